"""A CDR table on MariaDB, MySQL or PostgreSQL."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    case,
    create_engine,
    distinct,
    event,
    func,
    inspect,
    not_,
    or_,
    text,
)
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.pool import NullPool

from ixxsms.asterisk.cdr.missed import MissedCalls
from ixxsms.asterisk.cdr.reading import NOTHING, Batch, Filters, Skip, Start, begin, moment, one_sentence
from ixxsms.asterisk.cdr.table import Table, leg, look_at, untyped
from ixxsms.errors import ConfigError

_CONNECT_TIMEOUT = 10  # seconds
_FETCH = 10_000  # rows that the server hands over at a time


def _connect(dialect: Dialect, _record: Any, args: Any, options: dict[str, Any]) -> Any:
    try:
        return dialect.connect(*args, **options)
    except TypeError as error:  # that is how the drivers say it
        raise ConfigError("The CDR URL has an option that its driver does not know.") from error


class ServerTable:
    """Everything is counted before the one batch is handed on: while a MyISAM table is read (Elastix), Asterisk waits
    for the reader."""

    def __init__(self, url: URL, name: str) -> None:
        self._url = url
        self._name = name

    @property
    def _shown(self) -> str:
        return f"{self._url.database} on {self._url.host or 'localhost'}"

    @property
    def identity(self) -> str:
        return f"{self._url.set(password=None).render_as_string()}#{self._name}"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        engine = self._engine()
        try:
            with one_sentence(self._shown, "written"), engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def read(self, filters: Filters, start: Start, skip: Skip = NOTHING, calls: bool = False) -> Iterator[Batch]:
        engine = self._engine()
        try:
            with (
                one_sentence(self._shown),
                engine.connect() as connection,
            ):
                table = look_at(connection, self._name)
                if filters.missed:
                    batch = _missed(connection, table, filters, start)
                else:
                    batch = self._count(connection, table, filters, start, skip, calls)
        finally:
            engine.dispose()
        yield batch

    def _engine(self) -> Engine:
        try:
            engine = create_engine(self._url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_TIMEOUT})
            event.listen(engine, "do_connect", _connect)
            return engine
        except ModuleNotFoundError as error:
            extra = "postgresql" if self._url.get_backend_name() == "postgresql" else "mysql"
            raise ConfigError(f"The database driver {error.name} is missing; pip install 'ixxsms[{extra}]'.") from error

    def _count(
        self, connection: Connection, table: Table, filters: Filters, start: Start, skip: Skip, calls: bool
    ) -> Batch:
        span, mark = _span(connection, table, start)
        conditions = [*table.conditions(filters), *span]
        call = table.call() if calls else None
        if call is None and self._url.get_backend_name() == "postgresql":
            return _in_one_pass(connection, table, filters, conditions, skip, mark)
        rows = connection.scalar(table.select(func.count()).where(*conditions)) or 0
        numbers: Counter[str] = Counter()
        skipped = 0
        for value in table.numbers(filters):
            kept = self._numbers(connection, table, value, [*conditions, _kept(value, skip)], call, numbers)
            skipped += rows - kept
        return Batch(rows, numbers, skipped, mark)

    def _numbers(
        self,
        connection: Connection,
        table: Table,
        value: ColumnElement[Any],
        conditions: list[ColumnElement[bool]],
        call: ColumnElement[Any] | None,
        numbers: Counter[str],
    ) -> int:
        """Add what stands in the column to `numbers`; returns in how many rows."""
        rows = 0
        if call is None:
            # For GROUP BY it makes a temporary table on disk: several times slower than to count here.
            plain = table.select(value).where(*conditions).execution_options(stream_results=True, yield_per=_FETCH)
            return sum(_add(numbers, part) for part in connection.execute(plain).partitions())
        for number, in_rows, often in connection.execute(
            table.select(value, func.count(), func.count(distinct(call))).where(*conditions).group_by(value)
        ):
            rows += in_rows
            numbers[number] += often
        return rows


def _in_one_pass(
    connection: Connection,
    table: Table,
    filters: Filters,
    conditions: list[ColumnElement[bool]],
    skip: Skip,
    mark: str,
) -> Batch:
    """PostgreSQL's processes group the rows side by side: what is left out is one more group, and tells how many rows
    there were."""
    rows = skipped = 0
    numbers: Counter[str] = Counter()
    for value in table.numbers(filters):
        kept = case((_kept(value, skip), value))
        # Not streamed: the distinct numbers are kept anyway, and a cursor costs PostgreSQL its parallel workers.
        found = connection.execute(table.select(kept, func.count()).where(*conditions).group_by(text("1"))).all()
        rows = sum(often for _, often in found)
        numbers.update({number: often for number, often in found if number is not None})
        skipped += sum(often for number, often in found if number is None)
    return Batch(rows, numbers, skipped, mark)


def _missed(connection: Connection, table: Table, filters: Filters, start: Start) -> Batch:
    span, mark = _span(connection, table, start)
    # Of a call that began before what is wanted, the other rows must be seen: somebody may have taken it.
    wider, _ = _span(connection, table, replace(start, overlap=2 * start.overlap))
    if filters.since:
        wider += table.conditions(Filters(since=filters.since - start.overlap))
    query = table.legs(filters, [*table.conditions(filters), *span]).where(*wider)
    if "uniqueid" in table.names:
        query = query.order_by(table.column("uniqueid"))
    rows = connection.execute(query.execution_options(stream_results=True, yield_per=_FETCH))
    calls, nth = MissedCalls(), itertools.count()
    numbers: Counter[str] = Counter()
    for part in rows.partitions():
        numbers += calls.take(map(leg, part, nth), end=False)
    numbers += calls.take([], end=True)
    return Batch(numbers.total(), numbers, 0, mark)


def _add(numbers: Counter[str], rows: Sequence[Row[Any]]) -> int:
    numbers.update([number for (number,) in rows])
    return len(rows)


def _kept(value: ColumnElement[Any], skip: Skip) -> ColumnElement[bool]:
    first = func.substr(value, 1, 1)
    short = and_(func.length(value) < skip.shorter_than, first.in_(list("0123456789")))
    return not_(or_(first.in_(list(skip.digits)), short))


def _span(connection: Connection, table: Table, start: Start) -> tuple[list[ColumnElement[bool]], str]:
    """The conditions for what has come since the mark, and the new mark: by the key where there is one."""
    key = _key(connection, table)
    last = None if key is None else connection.scalar(table.select(func.max(key)))
    if key is None or not isinstance(last, int):
        return _span_of_time(connection, table, start)
    return [key > begin(start.mark, "id", last), key <= last], f"id:{last}"


def _key(connection: Connection, table: Table) -> ColumnElement[Any] | None:
    key = inspect(connection).get_pk_constraint(table.clause.name, schema=table.clause.schema)["constrained_columns"]
    return table.column(key[0].lower()) if len(key) == 1 and key[0].lower() in ("acctid", "id") else None


def _span_of_time(connection: Connection, table: Table, start: Start) -> tuple[list[ColumnElement[bool]], str]:
    """Without a key, what may still have come after the mark is read again each time."""
    if table.date_name not in table.names:
        return [], ""
    began = table.column(table.date_name)
    latest = _time(connection.scalar(table.select(func.max(began))))
    # A row from the future must not hide those that are still to come.
    mark = f"date:{moment(min(latest, start.now))}" if latest else ""
    before = _time(start.mark.removeprefix("date:")) if start.mark.startswith("date:") else None
    return ([began >= untyped(before - start.overlap)] if before else []), mark


def _time(value: object) -> datetime | None:
    """What a driver gives for a time: a datetime, text, None; None for MySQL's 0000-00-00."""
    try:
        return datetime.fromisoformat(str(value)[:19])
    except ValueError:
        return None
