"""What commands read, and where exports go: each also from and to the standard streams, which are written "-"."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from ixxsms.cli.output import progress_bar
from ixxsms.errors import BadFile, BadInput

if TYPE_CHECKING:
    from ixxsms.csvfile import Row


def read_text(text: str) -> str:
    """The text of a message; "-" is all of standard input without its last line break."""
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadInput("The text on standard input is not valid UTF-8.") from None


def read_password(password: str | None, file: str | None) -> str | None:
    """The password itself, or the first line of a file; None where neither is given."""
    if file is None:
        return password
    if password is not None:
        raise BadInput("Give --password or --password-file, not both.")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise BadFile(f"The file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadFile(f"The file {file} is not valid UTF-8.") from None


@contextmanager
def number_file(file: str) -> Iterator[Iterator[Row]]:
    """The rows of a file of numbers, with a progress bar while they are read."""
    from ixxsms import csvfile

    name = "on standard input" if file == "-" else file
    with progress_bar("reading") as progress, _whole(file, name) as source:
        yield csvfile.rows(source, name=name, progress=progress)


@contextmanager
def _whole(file: str, name: str) -> Iterator[str | BinaryIO]:
    """The file; of what a program or a person is still writing a copy, as soon as its end has come.

    Rows are read in a transaction, and on SQLite every other writer waits for that.
    """
    if file != "-" and not Path(file).is_fifo() and not Path(file).is_char_device():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        try:
            with nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as stream:
                shutil.copyfileobj(stream, copy)
            copy.seek(0)
        except OSError as error:
            raise BadFile(f"The file {name} cannot be read: {error.strerror or error}.") from error
        yield copy


@contextmanager
def output_file(file: str) -> Iterator[IO[str]]:
    """Where an export goes. A file that is made for it is its owner's alone: it holds numbers of people."""
    if file == "-":
        yield sys.stdout
        return
    try:
        with open(file, "w", encoding="utf-8", newline="", opener=_private) as output:
            yield output
    except OSError as error:
        raise BadFile(f"The file {file} cannot be written: {error.strerror}.") from error


def _private(file: str, flags: int) -> int:
    return os.open(file, flags, 0o600)


def moment(text: str) -> datetime | None:
    """A date, or a date and a time of the day, local; None for an empty text."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f'"{text}" is no date; write 2026-12-31 or "2026-12-31 09:30".') from None
    return found.astimezone().replace(tzinfo=None) if found.tzinfo else found


def hours(first: str | None, last: str | None) -> tuple[str, str] | None:
    """The hours of --from and --to, which go together."""
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise BadInput("The hours need both --from and --to.")
    return first, last
