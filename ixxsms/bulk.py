"""Many rows in one statement, in the form that each database is fast with. Only this file and `db` name a dialect.

Knows tables and forms of SQL; must never know what the rows mean. The forms were measured against each other: on
MariaDB an UPDATE for each row costs ten times what a join with the rows costs, on SQLite it is the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

Processors = tuple[Callable[[Any], Any] | None, ...]


def insert_and_lock(session: Session, table: Table, row: dict[str, Any]) -> None:
    """Insert the row unless its primary key is there. Either way the row is locked until the transaction ends."""
    key = next(iter(table.primary_key))
    statement: Any
    match session.get_bind().dialect.name:
        case "sqlite":
            statement = sqlite.insert(table).on_conflict_do_nothing()  # who writes at all is alone there
        case "postgresql":
            statement = postgresql.insert(table)
            statement = statement.on_conflict_do_update(
                index_elements=list(table.primary_key), set_={key.name: statement.excluded[key.name]}
            )
        case _:
            statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    session.connection().execute(statement, row)


def insert_missing(session: Session, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose primary key is not there yet. All rows have the same keys.

    It does not count: after many rows at once the servers' counts mean different things, or nothing.
    """
    if not rows:
        return
    statement: Any
    match session.get_bind().dialect.name:
        case "sqlite":
            statement = sqlite.insert(table).on_conflict_do_nothing()
        case "postgresql":
            statement = postgresql.insert(table).on_conflict_do_nothing()
        case _:
            key = next(iter(table.primary_key))
            statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    session.connection().execute(statement, list(rows))


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
            insert = sqlite.insert(table)
            statement = insert.on_conflict_do_update(index_elements=key, set_=change(insert.excluded))
        case "postgresql":
            into = postgresql.insert(table)
            statement = into.on_conflict_do_update(index_elements=key, set_=change(into.excluded))
        case _:
            new = mysql.insert(table)
            statement = new.on_duplicate_key_update(change(new.inserted))
    # In order of the key: two transactions that add to the same rows must not lock them crosswise.
    session.connection().execute(statement, sorted(rows, key=lambda row: [row[name] for name in key]))


class Guard(NamedTuple):
    """A row is changed only where its column has one of these words: literals of our own, never from outside."""

    column: str
    words: tuple[str, ...]


def update_each(
    session: Session,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    fixed: tuple[tuple[str, str], ...] = (),
    guard: Guard | None = None,
) -> None:
    """Change rows by their `id`, each to its own values; all have the same keys. What the guard rejects stays.

    `fixed`: columns that become the same in every row, as SQL that our own code wrote, never anybody else.
    """
    if not rows:
        return
    connection = session.connection()
    names = tuple(name for name in rows[0] if name != "id")
    form = _form(connection.dialect, table, names, fixed, guard)
    columns = (*names, "id")
    # In order of id: two transactions that change the same rows must not lock them crosswise.
    ordered = sorted(rows, key=lambda row: row["id"])
    values = [
        [row[name] for row in ordered] if processor is None else [processor(row[name]) for row in ordered]
        for name, processor in zip(columns, form.processors, strict=True)
    ]
    connection.exec_driver_sql(form.sql, form.parameters(values))


class _Form(NamedTuple):
    sql: str
    processors: Processors
    #: makes the driver's parameters of the columns' values
    parameters: Callable[[list[list[Any]]], Any]


@lru_cache(maxsize=200)
def _form(
    dialect: Dialect,
    table: Table,
    names: tuple[str, ...],
    fixed: tuple[tuple[str, str], ...],
    guard: Guard | None,
) -> _Form:
    columns = [table.c[name] for name in (*names, "id")]
    processors = tuple(column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns)
    types = [column.type.compile(dialect=dialect) for column in columns]
    # MariaDB needs the table's name before a column that its rows have too; the others refuse it in SET.
    prefix = f"{table.name}." if dialect.name in ("mysql", "mariadb") else ""
    same = [f"{prefix}{name} = {written}" for name, written in fixed]
    allowed = ""
    if guard:
        listed = ", ".join(f"'{word}'" for word in guard.words)
        allowed = f" AND {table.name}.{guard.column} IN ({listed})"
    own = ", ".join([*same, *(f"{prefix}{name} = r.c{at}" for at, name in enumerate(names))])
    last = len(names)
    if dialect.name == "sqlite":
        own = ", ".join([*same, *(f"{name} = ?" for name in names)])
        return _Form(
            f"UPDATE {table.name} SET {own} WHERE id = ?{allowed}",  # noqa: S608 - names and words of our own
            processors,
            lambda values: list(zip(*values, strict=True)),
        )
    if dialect.name == "postgresql":
        arrays = ", ".join(f"%(c{at})s::{kind}[]" for at, kind in enumerate(types))
        listed = ", ".join(f"c{at}" for at in range(len(types)))
        return _Form(
            f"UPDATE {table.name} SET {own} FROM unnest({arrays}) AS r({listed})"  # noqa: S608 - as above
            f" WHERE {table.name}.id = r.c{last}{allowed}",
            processors,
            lambda values: {f"c{at}": column for at, column in enumerate(values)},
        )
    fields = ", ".join(f"c{at} {kind} PATH '$[{at}]'" for at, kind in enumerate(types))
    return _Form(
        f"UPDATE JSON_TABLE(%s, '$[*]' COLUMNS ({fields})) AS r"  # noqa: S608 - as above
        f" JOIN {table.name} ON {table.name}.id = r.c{last}{allowed} SET {own}",
        processors,
        lambda values: (json.dumps(list(zip(*values, strict=True))),),
    )
