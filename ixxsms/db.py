"""The engine and its transactions. Besides `bulk` the only file that names a dialect of our own database.

`read()` and `write()` give a session and own the transaction; the verbs get the session and never commit. What a
driver raises leaves here as one sentence, without the URL's password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from ixxsms.errors import ConfigError, DatabaseError
from ixxsms.write_turn import WriteTurn

#: A writer waits this long, in seconds, for another one's SQLite transaction: an import of a million rows takes some.
SQLITE_WAIT = 60.0

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # With WAL a power cut may lose the last commits only with NORMAL: paid messages are worth the fsync.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)

_WRITE = {"ixxsms_write": True}


class Database:
    """One database by its SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.engine = _engine(self.url)
        self._writing = self.engine.execution_options(**_WRITE)
        self._turn = WriteTurn(Path(str(self.url.database)), SQLITE_WAIT) if self.folder else None

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading, in one transaction."""
        with renamed_errors(self.url), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session for writing: committed at the end, rolled back if anything is raised.

        On SQLite it takes the write lock at once: a transaction that reads first and writes later cannot wait for
        another writer, it fails. And the writers take turns.
        """
        own = Session(self._writing, expire_on_commit=False)
        with renamed_errors(self.url), self._turn or nullcontext(), own as session, session.begin():
            yield session

    @property
    def folder(self) -> Path | None:
        """Where its file lies; None: it is on a server."""
        return Path(str(self.url.database)).absolute().parent if self.url.get_backend_name() == "sqlite" else None

    def is_empty(self) -> bool:
        """Whether the database has no table at all."""
        with renamed_errors(self.url):
            return not inspect(self.engine).get_table_names()

    def close(self) -> None:
        self.engine.dispose()
        if self._turn:
            self._turn.close()


@contextmanager
def altering(engine: Engine) -> Iterator[Connection]:
    """A connection for a change of the schema, in one transaction where the database can; whoever has it commits.

    On SQLite most changes make a table anew, and to drop the old one must not take along the rows that refer to it.
    """
    with engine.execution_options(**_WRITE).connect() as connection:
        driver: Any = connection.connection.driver_connection
        if engine.dialect.name != "sqlite":
            yield connection
            return
        driver.execute("PRAGMA foreign_keys=OFF")  # inside of a transaction it would do nothing
        try:
            yield connection
        finally:
            connection.rollback()
            driver.execute("PRAGMA foreign_keys=ON")


def parse_url(url: str) -> URL:
    """Read a database URL; MySQL and PostgreSQL without a named driver get mysqlclient and psycopg.

    Raises ConfigError with one sentence that does not repeat the URL, for it may hold a password.
    """
    try:
        parsed = make_url(url)
        default = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mariadb": "mysql+mysqldb"}
        if parsed.drivername in default:
            parsed = parsed.set(drivername=default[parsed.drivername])
        parsed.get_dialect()
    except exc.NoSuchModuleError as error:
        raise ConfigError(
            "The database URL names an unknown kind of database; use sqlite:///, mysql:// or postgresql://."
        ) from error
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigError(
            "The database URL cannot be read; it looks like sqlite:////var/lib/ixxsms/ixxsms.db"
            " or mysql://user:password@host/database."
        ) from error
    if parsed.get_backend_name() == "mysql" and "charset" not in parsed.query:
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return parsed


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        options = {"connect_args": {"timeout": SQLITE_WAIT, "check_same_thread": False}}
        if not url.database or url.database == ":memory:":
            raise ConfigError("An SQLite database in memory cannot be shared; give a file, sqlite:////path/file.db.")
    if url.get_backend_name() == "mysql":
        # As PostgreSQL: a locking read must see what is there now, not an older snapshot (MariaDB 11.6 refuses that).
        options["isolation_level"] = "READ COMMITTED"
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        extra = "mysql" if url.get_backend_name() == "mysql" else "postgresql"
        raise ConfigError(f"The database driver {error.name} is missing; pip install 'ixxsms[{extra}]'.") from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("ixxsms_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def renamed_errors(url: URL) -> Iterator[None]:
    """What a database driver raises becomes a DatabaseError of one sentence."""
    try:
        yield
    except exc.DBAPIError as error:
        raise DatabaseError(f"The database {_name(url)} cannot be used: {_first_line(error.orig)}.") from error
    except exc.TimeoutError as error:
        raise DatabaseError(f"The database {_name(url)} cannot be used: {_first_line(error)}.") from error


def _name(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(Path(str(url.database)))
    server = url.host or "localhost"
    return f"{url.database} on {server}" if url.database else f"on {server}"


def _first_line(error: BaseException | None) -> str:
    lines = str(error.args[-1] if error and error.args else error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no reason given"
