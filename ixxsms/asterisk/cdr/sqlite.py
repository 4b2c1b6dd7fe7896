"""A CDR table in Asterisk's own SQLite file, read without a lock.

cdr_sqlite3_custom waits for a lock, a second unless its busy_timeout is another, then the CDR is lost: no reader may
hold one. Instead a piece of the file is read as if nothing could change, and read again if somebody has written
meanwhile. Before a byte of the file changes there is a journal; when the journal is gone, the change counter has
changed (https://www.sqlite.org/fileformat.html, 1.3.7 and 3). In WAL mode readers are in nobody's way, and
read as usual.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Integer, and_, create_engine, exc, func, literal_column, or_, true
from sqlalchemy.pool import NullPool

from ixxsms.asterisk.cdr.missed import MissedCalls
from ixxsms.asterisk.cdr.reading import NOTHING, Batch, CallCounter, Filters, Skip, Start, begin, one_sentence
from ixxsms.asterisk.cdr.table import Table, leg, look_at
from ixxsms.errors import DatabaseError, NotFound

T = TypeVar("T")

_ROWID: ColumnElement[int] = literal_column("rowid", Integer)
_SMALLEST, _FIRST, _LARGEST = 500, 20_000, 100_000  # rows in a piece
_TRIES, _PAUSE = 1000, 0.003  # seconds before the next try
_SEPARATOR = "\x1f"
_WAL_MODE, _LOG = b"\2", b"log"


class SqliteTable:
    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._file = _File(path)

    @property
    def identity(self) -> str:
        return f"sqlite:{self._file.path}#{self._name}"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """For as short as possible: meanwhile Asterisk waits, and not for long."""
        path = self._file.path
        engine = create_engine(
            "sqlite://",
            creator=partial(sqlite3.connect, f"{path.as_uri()}?mode=rw", uri=True),
            poolclass=NullPool,
        )
        with one_sentence(str(path), "written"), engine.begin() as connection:
            yield connection

    def read(self, filters: Filters, start: Start, skip: Skip = NOTHING, calls: bool = False) -> Iterator[Batch]:
        with one_sentence(str(self._file.path)):
            if not self._file.path.is_file():
                raise NotFound(f"The CDR file {self._file.path} does not exist.")
            table, last = self._file.ask(self._look)
            piece = _MissedPiece(table, filters) if filters.missed else _Piece(table, filters, skip, calls)
            at = begin(start.mark, "rowid", last)
            yield Batch(0, [], 0, f"rowid:{at}")
            while at < last:
                rows, passed, found, at = self._file.ask(partial(piece.ask, at, last))
                yield piece.batch(rows, passed, found, f"rowid:{at}")

    def _look(self, connection: Connection, _size: int) -> tuple[Table, int]:
        table = look_at(connection, self._name)
        return table, connection.scalar(table.select(func.max(_ROWID))) or 0


class _File:
    """Gives answers that nobody has written in the middle of."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # journal and log lie beside the file, not beside a link to it
        self._engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        self._size = _FIRST

    def ask(self, query: Callable[[Connection, int], T]) -> T:
        """`query` gets a connection and how many rows it may look at: the more writing there is, the fewer."""
        for _ in range(_TRIES):
            before = self._counter()  # in this order, and in the opposite one afterwards
            answer = None if self._in_writing() else self._try(query, before)
            if answer is not None and self._undisturbed(before):
                self._size = min(self._size * 2, _LARGEST)
                return answer
            self._size = max(self._size // 4, _SMALLEST)
            time.sleep(_PAUSE)
        raise DatabaseError(
            f"The CDR file {self.path} is being written all the time, or was left in the middle of a write;"
            " try again, or put it into WAL mode."
        )

    def _try(self, query: Callable[[Connection, int], T], before: bytes) -> T | None:
        try:
            with self._engine.connect() as connection:
                return query(connection, self._size)
        except exc.DatabaseError:
            if self._undisturbed(before):
                raise
            return None  # a page was seen half written

    def _undisturbed(self, before: bytes) -> bool:
        return not self._in_writing() and self._counter() == before

    def _connect(self) -> sqlite3.Connection:
        how = "mode=ro" if self._counter() == _LOG else "mode=ro&immutable=1"
        return sqlite3.connect(f"{self.path.as_uri()}?{how}", uri=True, isolation_level=None)

    def _counter(self) -> bytes:
        """What every write changes; always the same where there is a log, which keeps readers and writers apart."""
        with self.path.open("rb") as file:
            header = file.read(28)
            changed = os.fstat(file.fileno()).st_mtime_ns
        if header[18:19] != _WAL_MODE:
            return header[24:28]
        # Without a log nobody else has the file open, and to read it as usual would take the right to write.
        log = Path(f"{self.path}-wal")
        return _LOG if log.exists() and log.stat().st_size else str(changed).encode()

    def _in_writing(self) -> bool:
        """Whether there is a journal: one that stays there between writes is emptied, or begins with zeros."""
        try:
            with open(f"{self.path}-journal", "rb") as file:
                return file.read(1) not in (b"", b"\0")
        except FileNotFoundError:
            return False


class _Piece:
    """Reads a range of rowids; all numbers come as one text in one row, which takes half the time of many rows."""

    def __init__(self, table: Table, filters: Filters, skip: Skip, calls: bool) -> None:
        self._table = table
        self._values = [(value, _kept(value, skip)) for value in table.numbers(filters)]
        self._conditions = table.conditions(filters)
        self._call = table.call() if calls else None
        self._calls = CallCounter()

    def ask(self, at: int, last: int, connection: Connection, size: int) -> tuple[int, int, list[Any], int]:
        """After `at`: how many rows, in how many places a number is kept, these numbers, the rowid of the end."""
        here, end = _here(self._table, at, last, connection, size)
        here += self._conditions
        if self._call is not None:
            return *self._calls_of(connection, self._call, here), end
        joined = [func.group_concat(value, _SEPARATOR).filter(kept) for value, kept in self._values]
        rows, *texts = connection.execute(self._table.select(func.count(), *joined).where(*here)).one()
        numbers = [number for text in texts if text is not None for number in str(text).split(_SEPARATOR)]
        return rows, len(numbers), numbers, end

    def _calls_of(
        self, connection: Connection, call: ColumnElement[Any], here: list[ColumnElement[bool]]
    ) -> tuple[int, int, list[Any]]:
        counts = [func.count(value).filter(kept) for value, kept in self._values]
        rows, *passed = connection.execute(self._table.select(func.count(), *counts).where(*here)).one()
        pairs: list[Any] = []
        for value, kept in self._values:
            found = connection.execute(self._table.select(value, call).distinct().where(kept, *here))
            pairs += [(str(number), str(uniqueid)) for number, uniqueid in found]
        return rows, sum(passed), pairs

    def batch(self, rows: int, passed: int, found: list[Any], mark: str) -> Batch:
        numbers = found if self._call is None else self._calls.count(found)
        return Batch(rows, numbers, rows * len(self._values) - passed, mark)


class _MissedPiece:
    """Reads the same ranges; what a call was may only be known in the next one."""

    def __init__(self, table: Table, filters: Filters) -> None:
        self._table = table
        self._query = table.legs(filters, table.conditions(filters)).order_by(_ROWID)
        self._calls = MissedCalls()

    def ask(self, at: int, last: int, connection: Connection, size: int) -> tuple[int, int, list[Any], int]:
        """As above; the third are the rows, and whether they are the last."""
        here, end = _here(self._table, at, last, connection, size)
        rows = connection.execute(self._query.where(*here)).all()
        return 0, 0, [[leg(row, at + nth) for nth, row in enumerate(rows)], end >= last], end

    def batch(self, _rows: int, _passed: int, found: list[Any], mark: str) -> Batch:
        numbers = self._calls.take(found[0], end=found[1])
        return Batch(numbers.total(), numbers, 0, mark)


def _here(table: Table, at: int, last: int, connection: Connection, size: int) -> tuple[list[ColumnElement[bool]], int]:
    """The conditions for the next rows after `at`, and the rowid of their end."""
    first = connection.scalar(table.select(func.min(_ROWID)).where(at < _ROWID)) or last
    end = min(first + size - 1, last)
    return [first <= _ROWID, end >= _ROWID], end


def _kept(value: ColumnElement[Any], skip: Skip) -> ColumnElement[bool]:
    # GLOB takes half the time of substr().
    begins = [value.op("NOT GLOB")(f"[{skip.digits}]*")] if skip.digits else []
    return and_(true(), *begins, or_(func.length(value) >= skip.shorter_than, value.op("NOT GLOB")("[0-9]*")))
