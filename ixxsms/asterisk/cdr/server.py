"""A CDR table on MariaDB, MySQL or PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, create_engine, distinct, func, inspect, not_, or_
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from ixxsms.asterisk.cdr.reading import NOTHING, Batch, Filters, Skip, Start, begin, moment, one_sentence
from ixxsms.asterisk.cdr.table import Table, look_at, untyped
from ixxsms.errors import ConfigError

_CONNECT_TIMEOUT = 10  # seconds
_FETCH = 10_000  # rows that the server hands over at a time


class ServerTable:
    """Everything is counted before the one batch is handed on: while a MyISAM table is read (Elastix), Asterisk waits
    for the reader."""

    def __init__(self, url: URL, name: str) -> None:
        self._url = url
        self._name = name

    @property
    def identity(self) -> str:
        return f"{self._url.set(password=None).render_as_string()}#{self._name}"

    def read(self, filters: Filters, start: Start, skip: Skip = NOTHING, calls: bool = False) -> Iterator[Batch]:
        engine = self._engine()
        try:
            with (
                one_sentence(f"{self._url.database} on {self._url.host or 'localhost'}"),
                engine.connect() as connection,
            ):
                table = look_at(connection, self._name)
                batch = self._count(connection, table, filters, start, skip, calls)
        finally:
            engine.dispose()
        yield batch

    def _engine(self) -> Engine:
        try:
            return create_engine(self._url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_TIMEOUT})
        except ModuleNotFoundError as error:
            extra = "postgresql" if self._url.get_backend_name() == "postgresql" else "mysql"
            raise ConfigError(f"The database driver {error.name} is missing; pip install 'ixxsms[{extra}]'.") from error

    def _count(
        self, connection: Connection, table: Table, filters: Filters, start: Start, skip: Skip, calls: bool
    ) -> Batch:
        values = table.numbers(filters)
        span, mark = _span(connection, table, start)
        conditions = [*table.conditions(filters), *span]
        kept = [func.count(case((_kept(value, skip), value))) for value in values]
        rows, *passed = connection.execute(table.select(func.count(), *kept).where(*conditions)).one()
        numbers: Counter[str] = Counter()
        for value in values:
            for number, times in self._numbers(connection, table, value, [*conditions, _kept(value, skip)], calls):
                numbers[number] += times
        return Batch(rows, numbers, rows * len(values) - sum(passed), mark)

    def _numbers(
        self,
        connection: Connection,
        table: Table,
        value: ColumnElement[Any],
        conditions: list[ColumnElement[bool]],
        calls: bool,
    ) -> Iterable[tuple[str, int]]:
        call = table.call() if calls else None
        streamed = {"stream_results": True, "yield_per": _FETCH}
        if call is None and self._url.get_backend_name() != "postgresql":
            # For GROUP BY it makes a temporary table on disk: several times slower than to count here.
            plain = connection.execute(table.select(value).where(*conditions), execution_options=streamed)
            return Counter(number for part in plain.partitions() for (number,) in part).items()
        times = func.count() if call is None else func.count(distinct(call))
        grouped = table.select(value, times).where(*conditions).group_by(value)
        return ((number, n) for number, n in connection.execute(grouped, execution_options=streamed))


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
