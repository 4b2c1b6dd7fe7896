"""What is wrong with the database, sentence by sentence: its schema, its character set, its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from ixxsms import schema
from ixxsms.db import Database, renamed_errors
from ixxsms.models import Base
from ixxsms.states import CampaignState, MessageState


def findings(database: Database) -> list[str]:
    """Everything that is not as it should be; nothing where all is well. It changes nothing.

    Raises DatabaseError where the database cannot be used at all.
    """
    schema.check(database)
    with renamed_errors(database.url), database.engine.connect() as connection:
        return [*_schema(connection), *_storage(connection), *_rows(connection)]


def _schema(connection: Connection) -> Iterator[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    ours = set(Base.metadata.tables)
    for change in compare_metadata(MigrationContext.configure(connection), Base.metadata):
        words = change[0] if isinstance(change, tuple) else change
        for kind, *what in [words] if isinstance(words, tuple) else [change]:
            named = [str(getattr(part, "name", part)) for part in what if part is not None]
            # A table of somebody else in the same database is his.
            if not (str(kind).startswith("remove_table") and not ours & set(named)):
                yield f"The schema differs from what this program makes: {kind} {' '.join(named)[:120]}."


def _storage(connection: Connection) -> Iterator[str]:
    match connection.dialect.name:
        case "sqlite":
            for (found,) in connection.execute(text("PRAGMA integrity_check(10)")):
                if found != "ok":
                    yield f"SQLite says of the file: {found}."
            for row in connection.execute(text("PRAGMA foreign_key_check")).fetchmany(10):
                yield f"Row {row[1]} of {row[0]} names a row of {row[2]} that is not there."
        case "mysql" | "mariadb":
            columns = "SELECT table_name, table_collation, engine FROM information_schema.tables"
            for table, collation, engine in connection.execute(text(f"{columns} WHERE table_schema = DATABASE()")):
                if table in Base.metadata.tables and not str(collation).startswith("utf8mb4"):
                    yield f"The table {table} is in {collation}: it cannot hold every text; it should be utf8mb4."
                if table in Base.metadata.tables and engine != "InnoDB":
                    yield f"The table {table} is of the engine {engine}; only InnoDB has the transactions it needs."


def _rows(connection: Connection) -> Iterator[str]:
    for table, known in (("messages", list(MessageState)), ("campaigns", list(CampaignState))):
        words = ", ".join(f"'{word}'" for word in known)
        strange = _count(connection, f"SELECT COUNT(*) FROM {table} WHERE state NOT IN ({words})")  # noqa: S608
        if strange:
            yield f"{strange} {table} are in a state that this program does not know."
    orphans = _count(
        connection,
        "SELECT COUNT(*) FROM messages WHERE daemon_id IS NOT NULL AND state <> 'submitted'",
    )
    if orphans:
        yield f"{orphans} messages are held by a daemon although they are not submitted."


def _count(connection: Connection, statement: str) -> int:
    found: Any = connection.execute(text(statement)).scalar()
    return int(found or 0)
