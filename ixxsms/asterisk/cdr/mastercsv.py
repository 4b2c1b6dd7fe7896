"""Asterisk's Master.csv, with or without the columns that cdr.conf adds. It has no header."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ixxsms.asterisk.cdr.missed import APPLICATIONS, Leg, MissedCalls
from ixxsms.asterisk.cdr.reading import (
    NOTHING,
    NUMBERS,
    Batch,
    CallCounter,
    Filters,
    Skip,
    Start,
    begin,
    moment,
    one_sentence,
)
from ixxsms.errors import BadInput, NotFound

_COLUMNS = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata"),
    *("start", "answer", "end", "duration", "billsec", "disposition", "amaflags"),
)
_CONTEXT, _START, _BILLSEC, _DISPOSITION = map(_COLUMNS.index, ("dcontext", "start", "billsec", "disposition"))
_SRC, _CHANNEL, _DSTCHANNEL, _LASTAPP = map(_COLUMNS.index, ("src", "channel", "dstchannel", "lastapp"))
#: The next one is the uniqueid with loguniqueid=yes, the userfield with loguserfield=yes alone.
_UNIQUEID = len(_COLUMNS)
_LIKE_A_UNIQUEID = re.compile(r"(.+-)?\d+\.\d+")
_NEW_COLUMNS = 3  # peeraccount, linkedid and sequence, at the end with newcdrcolumns=yes
_PIECE = 1 << 20  # bytes
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class MasterCsv:
    """Hands on also what could be skipped: it has been read anyway."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def identity(self) -> str:
        return f"csv:{self._path.resolve()}"

    def read(self, filters: Filters, start: Start, skip: Skip = NOTHING, calls: bool = False) -> Iterator[Batch]:
        takes = _takes(filters)
        places = [_COLUMNS.index(name) for name in NUMBERS[filters.direction]]
        counter = CallCounter()
        with one_sentence(str(self._path)):
            if not self._path.exists():
                raise NotFound(f"The CDR file {self._path} does not exist.")
            if filters.missed:
                yield from self._missed(start.mark, takes)
                return
            for lines, mark in self._lines(start.mark):
                rows = [row for row in csv.reader(lines) if len(row) >= len(_COLUMNS) and takes(row)]
                if calls:
                    pairs = ((row[place], _call(row, f"{mark}/{n}")) for n, row in enumerate(rows) for place in places)
                    numbers = counter.count(pairs)
                else:
                    numbers = [row[place] for row in rows for place in places]
                yield Batch(len(rows), numbers, 0, mark)

    def _missed(self, mark: str, takes: Callable[[list[str]], bool]) -> Iterator[Batch]:
        calls = MissedCalls()
        for lines, end in self._lines(mark):
            mark = end
            rows = (row for row in csv.reader(lines) if len(row) >= len(_COLUMNS) and row[_LASTAPP] in APPLICATIONS)
            numbers = calls.take([_leg(row, takes(row), f"{mark}/{nth}") for nth, row in enumerate(rows)], end=False)
            yield Batch(numbers.total(), numbers, 0, mark)
        numbers = calls.take([], end=True)
        yield Batch(numbers.total(), numbers, 0, mark)

    def _lines(self, mark: str) -> Iterator[tuple[list[str], str]]:
        """Complete lines after the mark, some at a time, with the mark behind them."""
        for path in (*self._rotated(mark), self._path):
            yield from _lines_of(path, mark)

    def _rotated(self, mark: str) -> list[Path]:
        """The file that the mark is of, where it has another name by now: its end may not have been read."""
        found: list[Path] = []
        with suppress(PermissionError), os.scandir(self._path.parent) as files:
            found = [
                Path(file)
                for file in files
                if mark.startswith(f"byte:{file.inode()}:")
                and file.name != self._path.name
                and file.name.startswith(self._path.stem)
                and not file.name.endswith(_COMPRESSED)  # it has the inode of one that is gone
            ]
        return found


def _lines_of(path: Path, mark: str) -> Iterator[tuple[list[str], str]]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        kind = f"byte:{status.st_ino}"  # once rotated it is another file
        at = begin(mark, kind, status.st_size)
        file.seek(at)
        yield [], f"{kind}:{at}"
        half = False
        while not half and (lines := file.readlines(_PIECE)):
            half = not lines[-1].endswith(b"\n")
            if half:  # Asterisk is writing it: the next reading begins with it
                lines.pop()
            at += sum(map(len, lines))
            yield [line.decode("utf-8", "replace") for line in lines], f"{kind}:{at}"


def _takes(filters: Filters) -> Callable[[list[str]], bool]:
    if filters.did:
        raise BadInput('The CDR file has no column "did", which the filter did needs.')
    since = moment(filters.since) if filters.since else ""
    until = moment(filters.until) if filters.until else "~"
    disposition = filters.disposition.strip().upper()

    def takes(row: list[str]) -> bool:
        return (
            since <= row[_START] < until
            and disposition in ("", row[_DISPOSITION].upper())
            and filters.context in ("", row[_CONTEXT])
            and (filters.min_billsec <= 0 or _seconds(row[_BILLSEC]) >= filters.min_billsec)
        )

    return takes


def _seconds(cell: str) -> int:
    return int(cell) if cell.isdigit() else 0


def _call(row: list[str], otherwise: str) -> str:
    """The uniqueid where it was written."""
    written = len(row) > _UNIQUEID and _LIKE_A_UNIQUEID.fullmatch(row[_UNIQUEID])
    return row[_UNIQUEID] if written else otherwise


def _leg(row: list[str], wanted: bool, otherwise: str) -> Leg:
    linkedid = row[-2] if len(row) >= len(_COLUMNS) + _NEW_COLUMNS else ""
    ends = row[_CHANNEL], row[_DSTCHANNEL]
    return Leg(row[_SRC], _call(row, otherwise), linkedid, *ends, row[_DISPOSITION], wanted)
