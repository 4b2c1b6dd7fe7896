"""Many rows in one statement, in the form that each database is fast with. Only this file and `db` name a dialect.

Knows tables and forms of SQL; must never know what the rows mean. The forms were measured against each other: on
MariaDB an UPDATE for each row costs ten times what a join with the rows costs, on SQLite it is the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise, repeat
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Table, update
from sqlalchemy.orm import Session

# The dialects are imported where they are needed: all of them together would make every command start later.

Processors = tuple[Callable[[Any], Any] | None, ...]

_IN_ONE_STATEMENT = 2_000

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def insert_and_lock(session: Session, table: Table, row: dict[str, Any]) -> None:
    """Insert the row unless its primary key is there. Either way the row is locked until the transaction ends."""
    key = next(iter(table.primary_key))
    statement: Any
    match session.get_bind().dialect.name:
        case "sqlite":
            from sqlalchemy.dialects import sqlite

            statement = sqlite.insert(table).on_conflict_do_nothing()  # who writes at all is alone there
        case "postgresql":
            from sqlalchemy.dialects import postgresql

            statement = postgresql.insert(table)
            statement = statement.on_conflict_do_update(
                index_elements=list(table.primary_key), set_={key.name: statement.excluded[key.name]}
            )
        case _:
            from sqlalchemy.dialects import mysql

            statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    session.connection().execute(statement, row)


def insert_missing(
    session: Session, table: Table, columns: Mapping[str, Sequence[Any]], same: Mapping[str, Any]
) -> int:
    """Insert the rows whose primary key is not there yet; returns how many that were.

    `columns`: the values of all rows, column by column, all of one length. `same`: columns whose value is the same in
    all rows, as the driver takes it. MariaDB also leaves out a row that names one of another table that is not there.
    And it locks what was there so that others may still read it: whoever wants to change such a row afterwards takes
    insert_and_lock().
    """
    connection = session.connection()
    form = _insertion(connection.dialect, table, tuple(columns), tuple(same))
    processed = [
        values if processor is None else list(map(processor, values))
        for values, processor in zip(columns.values(), form.processors, strict=True)
    ]
    inserted = 0
    # Some at a time: long texts must not make a statement that a server refuses for its length.
    for at in range(0, len(processed[0]), _IN_ONE_STATEMENT):
        some = [values[at : at + _IN_ONE_STATEMENT] for values in processed]
        parameters = form.parameters(some, tuple(same.values()))
        inserted += connection.exec_driver_sql(form.sql, parameters, {"preserve_rowcount": True}).rowcount
    return inserted


def be_in_the_way(session: Session, table: Table, ids: Sequence[int], column: str) -> None:
    """Let no transaction on another node of a cluster that writes these rows be committed beside this one.

    There only what is written counts, not what is locked, and MariaDB writes nothing where a value stays as it was: so
    the column, a number, changes and changes back. Where a lock is enough this does nothing.
    """
    if session.get_bind().dialect.name == "mysql":
        rows = table.c.id.in_(ids)
        for step in (1, -1):
            session.connection().execute(update(table).where(rows).values({column: table.c[column] + step}))


def add_up(session: Session, table: Table, rows: Sequence[dict[str, Any]], sums: Sequence[str]) -> None:
    """Insert these rows; where a primary key is there already, add the columns `sums` to it and replace the others.

    All rows have the same keys, and no two the same primary key.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    others = [name for name in rows[0] if name not in key]

    def change(new: Any) -> dict[str, Any]:
        return {name: table.c[name] + new[name] if name in sums else new[name] for name in others}

    statement: Any
    match session.get_bind().dialect.name:
        case "sqlite":
            from sqlalchemy.dialects import sqlite

            insert = sqlite.insert(table)
            statement = insert.on_conflict_do_update(index_elements=key, set_=change(insert.excluded))
        case "postgresql":
            from sqlalchemy.dialects import postgresql

            into = postgresql.insert(table)
            statement = into.on_conflict_do_update(index_elements=key, set_=change(into.excluded))
        case _:
            from sqlalchemy.dialects import mysql

            new = mysql.insert(table)
            statement = new.on_duplicate_key_update(change(new.inserted))
    # In order of the key: two transactions that add to the same rows must not lock them crosswise.
    session.connection().execute(statement, sorted(rows, key=lambda row: [row[name] for name in key]))


def orders_by_null(session: Session) -> bool:
    """Whether an index is read in order behind columns that are NULL only if these are in the ORDER BY too.

    PostgreSQL needs it. MariaDB sees for itself that they do not change, and sorts all rows if it is told of them.
    """
    return session.get_bind().dialect.name == "postgresql"


_OTHER_WAYS = ("sort", "seqscan", "hashjoin", "mergejoin")


def read_by_index(session: Session) -> None:
    """For what follows in this transaction: rows are read by an index where one has them, and in its order.

    PostgreSQL counts now and then how rows are spread. If nothing was queued just then it believes for the whole of the
    next campaign that there is next to nothing to sort, and sorts all that is queued in every claim. And it takes a
    table in memory for one on a disk that seeks: to change a thousand rows it reads a hundred thousand.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("; ".join(f"SET LOCAL enable_{way} = off" for way in _OTHER_WAYS))


def one_of(column: str, words: Iterable[str]) -> str:
    """A guard: the column has one of these words, literals of our own, never from outside."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def update_each(
    session: Session,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    fixed: tuple[tuple[str, str], ...] = (),
    guard: str = "",
) -> None:
    """Change rows by their `id`, each to its own values; all have the same keys. What the guard rejects stays.

    `fixed`: columns that become the same in every row. That and the guard are SQL that our own code wrote, never
    anybody else.
    """
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        update_columns(session, table, columns, fixed=fixed, guard=guard)


def update_columns(
    session: Session,
    table: Table,
    columns: Mapping[str, Sequence[Any]],
    *,
    same: Mapping[str, Any] = _NOTHING,
    unless_set: tuple[str, ...] = (),
    fixed: tuple[tuple[str, str], ...] = (),
    guard: str = "",
) -> None:
    """As update_each, of rows that are given column by column, all of one length; `id` is one of them.

    `same`: columns whose value is the same in all rows, as the driver takes it. `unless_set`: those columns among them
    all that are left alone where they have a value already.
    """
    if not columns["id"]:
        return
    connection = session.connection()
    names = tuple(name for name in columns if name != "id")
    form = _change(connection.dialect, table, names, tuple(same), unless_set, fixed, guard)
    values = [
        columns[name] if processor is None else [processor(value) for value in columns[name]]
        for name, processor in zip((*names, "id"), form.processors, strict=True)
    ]
    # In order of id: two transactions that change the same rows must not lock them crosswise.
    if any(a > b for a, b in pairwise(values[-1])):
        values = [list(column) for column in zip(*sorted(zip(*values, strict=True), key=itemgetter(-1)), strict=True)]
    connection.exec_driver_sql(form.sql, form.parameters(values, tuple(same.values())))


def update_all(
    session: Session,
    table: Table,
    ids: Sequence[int],
    values: Mapping[str, Any],
    *,
    fixed: tuple[tuple[str, str], ...] = (),
    guard: str = "",
) -> None:
    """Change the rows with these ids, all to the same values; `fixed` and `guard` as in update_each."""
    if not ids:
        return
    connection = session.connection()
    dialect, names = connection.dialect, tuple(values)
    sql = _change_all(dialect, table, names, fixed, guard)
    these: Any = sorted(ids) if dialect.name == "postgresql" else json.dumps(sorted(ids))
    given = [values[name] for name in names]
    connection.exec_driver_sql(sql, (*given, these) if dialect.name in ("sqlite", "postgresql") else (these, *given))


class _Form(NamedTuple):
    sql: str
    processors: Processors
    #: makes the driver's parameters of the columns' values, and of those that are the same in every row
    parameters: Callable[[Sequence[Sequence[Any]], Sequence[Any]], Any]


@lru_cache(maxsize=50)
def _insertion(dialect: Dialect, table: Table, names: tuple[str, ...], same: tuple[str, ...]) -> _Form:
    processors, types = _processors_and_types(dialect, table, names)
    into = f"INTO {table.name} ({', '.join(map(dialect.identifier_preparer.quote, (*same, *names)))})"
    match dialect.name:
        case "sqlite":
            places = ", ".join("?" for _ in (*same, *names))
            statement = f"INSERT {into} VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of our own
            return _Form(statement, processors, _row_by_row)
        case "postgresql":
            _, kinds = _processors_and_types(dialect, table, same)
            fixed = "".join(f"%(s{at})s::{kind}, " for at, kind in enumerate(kinds))
            chosen = f"SELECT {fixed}r.* FROM {_unnest(types)}"  # noqa: S608 - as above
            return _Form(f"INSERT {into} {chosen} ON CONFLICT DO NOTHING", processors, _by_column)
        case _:
            # Not ON DUPLICATE KEY UPDATE, after which the rows that were there are counted too.
            fixed = "%s, " * len(same)
            statement = f"INSERT IGNORE {into} SELECT {fixed}r.* FROM {_json_table(types)}"  # noqa: S608 - as above
            return _Form(statement, processors, _as_json)


@lru_cache(maxsize=200)
def _change(
    dialect: Dialect,
    table: Table,
    names: tuple[str, ...],
    same: tuple[str, ...],
    unless_set: tuple[str, ...],
    fixed: tuple[tuple[str, str], ...],
    guard: str,
) -> _Form:
    processors, types = _processors_and_types(dialect, table, (*names, "id"))

    def becomes(name: str, value: str) -> str:
        # MariaDB needs the table's name before a column that its rows have too; the others refuse it in SET.
        column = f"{table.name}.{name}" if dialect.name in ("mysql", "mariadb") else name
        return f"{column} = COALESCE({table.name}.{name}, {value})" if name in unless_set else f"{column} = {value}"

    allowed = f" AND ({guard})" if guard else ""
    rest = [becomes(name, written) for name, written in fixed]
    each = [becomes(name, f"r.c{at}") for at, name in enumerate(names)]
    this = f"{table.name}.id = r.c{len(names)}{allowed}"
    match dialect.name:
        case "sqlite":
            own = ", ".join([*rest, *(becomes(name, "?") for name in (*same, *names))])
            statement = f"UPDATE {table.name} SET {own} WHERE id = ?{allowed}"  # noqa: S608 - as above
            return _Form(statement, processors, _row_by_row)
        case "postgresql":
            # CASE: how many rows have these words it must not guess. If it believes that next to none has, as when it
            # last looked, it reads the whole table for them, again and again.
            this = f"{table.name}.id = r.c{len(names)} AND CASE WHEN TRUE{allowed} THEN TRUE ELSE FALSE END"
            _, kinds = _processors_and_types(dialect, table, same)
            given = [
                becomes(name, f"%(s{at})s::{kind}") for at, (name, kind) in enumerate(zip(same, kinds, strict=True))
            ]
            own = ", ".join([*rest, *given, *each])
            statement = f"UPDATE {table.name} SET {own} FROM {_unnest(types)} WHERE {this}"  # noqa: S608 - as above
            return _Form(statement, processors, _by_column)
        case _:
            own = ", ".join([*rest, *(becomes(name, "%s") for name in same), *each])
            statement = f"UPDATE {_json_table(types)} JOIN {table.name} ON {this} SET {own}"  # noqa: S608 - as above
            return _Form(statement, processors, _json_first)


@lru_cache(maxsize=50)
def _change_all(
    dialect: Dialect, table: Table, names: tuple[str, ...], fixed: tuple[tuple[str, str], ...], guard: str
) -> str:
    place = "?" if dialect.name == "sqlite" else "%s"
    change = [*fixed, *((name, place) for name in names)]
    own = ", ".join(f"{name} = {value}" for name, value in change)
    allowed = f" AND ({guard})" if guard else ""
    match dialect.name:
        case "sqlite":
            these = "id IN (SELECT value FROM json_each(?))"
            return f"UPDATE {table.name} SET {own} WHERE {these}{allowed}"  # noqa: S608 - as above
        case "postgresql":
            return f"UPDATE {table.name} SET {own} WHERE id = ANY(%s){allowed}"  # noqa: S608 - as above
        case _:
            own = ", ".join(f"{table.name}.{name} = {value}" for name, value in change)
            rows = "JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r"
            return f"UPDATE {rows} JOIN {table.name} ON {table.name}.id = r.id{allowed} SET {own}"  # noqa: S608


def _processors_and_types(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[Processors, list[str]]:
    types = [table.c[name].type for name in names]
    processors = tuple(each.dialect_impl(dialect).bind_processor(dialect) for each in types)
    return processors, [each.compile(dialect=dialect) for each in types]


# -- rows as a table: r, with the columns c0, c1, … --------------------------------------------------------------------


def _unnest(types: list[str]) -> str:
    arrays = ", ".join(f"%(c{at})s::{kind}[]" for at, kind in enumerate(types))
    return f"unnest({arrays}) AS r({', '.join(f'c{at}' for at in range(len(types)))})"


def _json_table(types: list[str]) -> str:
    fields = ", ".join(f"c{at} {kind} PATH '$[{at}]'" for at, kind in enumerate(types))
    return f"JSON_TABLE(%s, '$[*]' COLUMNS ({fields})) AS r"


def _row_by_row(values: Sequence[Sequence[Any]], same: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*(repeat(value, len(values[0])) for value in same), *values, strict=True))


def _by_column(values: Sequence[Sequence[Any]], same: Sequence[Any]) -> dict[str, Any]:
    return {f"s{at}": value for at, value in enumerate(same)} | {f"c{at}": column for at, column in enumerate(values)}


def _as_json(values: Sequence[Sequence[Any]], same: Sequence[Any]) -> tuple[Any, ...]:
    return (*same, json.dumps(list(zip(*values, strict=True))))


def _json_first(values: Sequence[Sequence[Any]], same: Sequence[Any]) -> tuple[Any, ...]:
    return (json.dumps(list(zip(*values, strict=True))), *same)
