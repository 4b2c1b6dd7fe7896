"""Files of numbers as people really have them: any encoding, any delimiter, a header or none.

Knows bytes, text and columns. Must never know what a valid number is, nor that there is a database: what it cannot
read as a row it hands on with its line and the reason, and goes on with the next line.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from ixxsms.errors import BadFile

#: Called with the bytes read so far and the bytes there are (0: not known).
Progress = Callable[[int, int], None]

#: No line of a number file is longer, in characters: whoever has one has another kind of file.
LONGEST_LINE = 100_000
#: No row with line breaks inside its quotes is longer: a quote was opened and never closed.
LONGEST_ROW = 20_000

_HEAD = 1 << 16
_NO_DELIMITER = "\x1f"
_COLUMNS = 2
_DELIMITERS = ";\t,"
_NUMBER_LIKE = re.compile(r"[ '=\"]*\+?[\d ()./-]+[ \"]*")
_EXCEL_NOTATION = re.compile(r"\d+(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)


class Row(NamedTuple):
    """A row of the file. `line` is where it begins, from 1; `text` None: it has none of its own."""

    line: int
    number: str
    text: str | None
    #: Why the line cannot be read as a row, in which case `number` is its beginning; empty when it can.
    problem: str = ""


class Sniffed(NamedTuple):
    """How a file is written: a Python codec, and the delimiter ("" for a file of one column)."""

    encoding: str
    delimiter: str


def rows(source: str | Path | BinaryIO, *, name: str = "", progress: Progress | None = None) -> Iterator[Row]:
    """Stream the rows of a file, or of a binary stream that is not closed here, in bounded memory.

    First column: number; second: own text; further ones that a header names are ignored, as are blank lines, lines
    that begin with "#" and the header itself (a first row whose first cell has no digit). What stands in a column
    beyond these is a problem of its row: the rest of a text with a comma, most likely. Raises BadFile, while
    iterating, when this is no file of numbers; `name` is what the sentence calls the file.
    """
    name = name or str(source if isinstance(source, str | Path) else getattr(source, "name", "") or "that was sent")
    try:
        if isinstance(source, str | Path):
            with open(source, "rb") as stream:
                yield from _stream(stream, name, progress)
        else:
            yield from _stream(source, name, progress)
    except OSError as error:
        raise BadFile(f"The file {name} cannot be read: {error.strerror or error}.") from error
    except UnicodeError as error:
        raise BadFile(f"The file {name} is damaged: it is not the {error.args[0]} that it begins as.") from error


def sniff(head: bytes) -> Sniffed:
    """Tell how a file is written from its first bytes. Raises BadFile, for "it", when they are not text."""
    encoding = _encoding(head)
    text = codecs.getincrementaldecoder(encoding)(_errors(encoding)).decode(head)
    lines = [line for line in text.splitlines()[:60] if line.strip() and not line.startswith("#")]
    return Sniffed(encoding, _delimiter(lines))


def _stream(stream: BinaryIO, name: str, progress: Progress | None) -> Iterator[Row]:
    counted = _Counted(stream, progress)
    try:
        encoding, delimiter = sniff(counted.head)
    except BadFile as error:
        raise BadFile(f"The file {name} is binary, not text; save the sheet as CSV.") from error
    text = io.TextIOWrapper(io.BufferedReader(counted, _HEAD), encoding, _errors(encoding))
    found = False
    for row in _below_header(_parse(_Lines(text, name), delimiter or _NO_DELIMITER)):
        found = True
        yield row
    if not found:
        raise BadFile(f"The file {name} holds no numbers.")


def _below_header(every: Iterator[tuple[Row, int]]) -> Iterator[Row]:
    top, columns = True, _COLUMNS
    for row, width in every:
        if top and row.number.lower() == "sep=":  # a spreadsheet's own line; the header may still follow
            continue
        if top and not row.problem and row.number and not any(map(str.isdigit, row.number)):
            columns = max(columns, width)
        elif width > columns:
            yield row._replace(text=None, problem="it goes on in a further column; a text with delimiters needs quotes")
        else:
            yield row
        top = False


class _Counted(io.RawIOBase):
    """The caller's stream with its head read ahead; tells how far it was read, and never closes it."""

    def __init__(self, stream: BinaryIO, progress: Progress | None) -> None:
        self._stream = stream
        self._progress = progress
        self._total = _size(stream)
        self._read = 0
        self.head = stream.read(_HEAD)
        self._ahead = self.head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._ahead[: len(buffer)] or self._stream.read(len(buffer)) or b""
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        self._read += len(data)
        if self._progress:
            self._progress(self._read, self._total)
        return len(data)


def _size(stream: BinaryIO) -> int:
    try:
        here = stream.tell()
        size = stream.seek(0, os.SEEK_END)
        stream.seek(here)
        return (size or stream.tell()) - here
    except (OSError, ValueError, AttributeError):
        return 0


# --- bytes to text


def _encoding(head: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return "utf-8-sig"
    # Digits and delimiters of UTF-16 have a zero byte each, always on the same side.
    for encoding, zeros, others in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if zeros.count(0) * 5 >= len(zeros) and 0 not in others:
            return encoding
    raise BadFile("It is binary, not text.")


def _errors(encoding: str) -> str:
    return "ixxsms-cp1252" if encoding == "utf-8-sig" else "strict"


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    """What is not UTF-8 is Windows-1252 (or Latin-1), which shows only where the first accent is: maybe at the end."""
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in wrong), error.end


codecs.register_error("ixxsms-cp1252", _as_cp1252)


# --- text to rows


def _delimiter(lines: list[str]) -> str:
    """The delimiter after which most first cells look like a number; failing that, the one most lines have."""
    declared = _SEPARATOR_LINE.fullmatch(lines[0].strip()) if lines else None
    if declared:
        return declared[1]
    lines = [line for line in lines if not _EXCEL_NOTATION.fullmatch(line.strip())]
    numbers = {mark: sum(_begins_with_number(line, mark) for line in lines) for mark in _DELIMITERS}
    if not any(numbers.values()):
        if any(map(_looks_like_number, lines)):
            return ""
        numbers = {mark: sum(mark in line for line in lines) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: numbers[mark])
    return best if numbers[best] else ""


def _begins_with_number(line: str, delimiter: str) -> bool:
    cell, found, _ = line.partition(delimiter)
    return bool(found) and _looks_like_number(cell)


def _looks_like_number(cell: str) -> bool:
    return len(cell) < 40 and bool(_NUMBER_LIKE.fullmatch(cell)) and sum(map(str.isdigit, cell)) >= 5


class _Lines:
    """The physical lines of a file, and those of the row that is being read, in case they must be read again."""

    def __init__(self, text: TextIO, name: str) -> None:
        self._text = text
        self._name = name
        self._again: list[str] = []  # the next one is the last
        self.line = 0
        self.row: list[str] = []

    def feed(self) -> Iterator[str]:
        """Lines for csv.reader, which asks for one more while a row is open: that is inside quotes."""
        while line := self._again.pop() if self._again else self._text.readline(LONGEST_LINE):
            self.line += 1
            if not self.row and line[0] in "\n\r #\t" and (line[0] == "#" or line.isspace()):
                continue
            if "\0" in line:
                raise BadFile(f"The file {self._name} is binary, not text: line {self.line} holds a NUL byte.")
            if len(line) >= LONGEST_LINE:
                raise BadFile(f"The file {self._name} is no list of numbers: line {self.line} is too long.")
            self.row.append(line)
            if len(self.row) > 1 and sum(map(len, self.row)) > LONGEST_ROW:
                break
            yield line
        if self.row:
            raise csv.Error("A quote is not closed.")

    def end_row(self) -> int:
        """The row is complete; returns the line where it began."""
        begin = self.line - len(self.row) + 1
        self.row = []
        return begin

    def give_up_row(self) -> Row:
        """The row cannot be read: its first line is handed on as it is, the others will be read again."""
        first, *others = self.row
        self.line -= len(others)
        self._again.extend(reversed(others))
        self.row = []
        return Row(self.line, first.strip(), None, "its quotes do not match")


def _parse(lines: _Lines, delimiter: str) -> Iterator[tuple[Row, int]]:
    """Each row and how many columns it has, without empty ones at its end."""
    reading = True
    while reading:  # a second time only after a row that could not be read
        try:
            for cells in csv.reader(lines.feed(), delimiter=delimiter, skipinitialspace=True, strict=True):
                begin = lines.end_row()
                if any(map(str.strip, cells)):
                    while len(cells) > _COLUMNS and not cells[-1].strip():
                        cells.pop()
                    row = Row(begin, _number(cells[0]), (cells[1].strip() or None) if len(cells) > 1 else None)
                    yield row, len(cells)
            reading = False
        except csv.Error:
            yield lines.give_up_row(), 1


def _number(cell: str) -> str:
    cell = cell.strip()
    if cell.startswith('="') and cell.endswith('"'):  # how a spreadsheet is told to keep the digits as they are
        return cell[2:-1].strip()
    return cell
