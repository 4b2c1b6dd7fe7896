"""The engine and its transactions. Besides `bulk` the only file that names a dialect of our own database.

`read()` and `write()` give a session and own the transaction; the verbs get the session and never commit. What a
driver raises leaves here as one sentence, without the URL's password.

Where the URL names several hosts the database is on all of them: a Galera cluster, or a server with its standbys. A
connection goes to one that takes writes, the last one that did first; a connection that is lost makes all others be
tried anew before their next use.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, create_engine, event, exc, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from ixxsms.errors import BadInput, ConfigError, Conflict, DatabaseError
from ixxsms.write_turn import WriteTurn

T = TypeVar("T")

#: A writer waits this long, in seconds, for another one's SQLite transaction: an import of a million rows takes some.
SQLITE_WAIT = 60.0

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # With WAL a power cut may lose the last commits only with NORMAL: paid messages are worth the fsync.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)

#: A server has so many seconds to take a connection: behind it the next host may be waiting.
CONNECT_WAIT = 10

#: A host that fell silent is given up after so many seconds; unasked, the kernel takes a quarter of an hour for it.
SILENCE = 30

#: A transaction that others were in the way of is done so many times in all.
ATTEMPTS = 12

#: The transaction was taken back because of another one: as a deadlock, or on another node of a cluster.
_CONFLICTS = {1213, "40001", "40P01"}

#: The server is there, but cannot be written to any more: a Galera node without its majority, a demoted primary.
_UNFIT = {1047, 1290}

_WRITE = {"ixxsms_write": True}


#: The first servers with SKIP LOCKED, JSON_TABLE and what else our statements need, each with its name.
OLDEST: dict[str, tuple[str, tuple[int, ...]]] = {
    "mariadb": ("MariaDB", (10, 6)),
    "mysql": ("MySQL", (8, 0)),
    "postgresql": ("PostgreSQL", (11,)),
}


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

    def refuse_old_server(self) -> None:
        """Raise one sentence where the server does not know our statements: each claim would fail."""
        with renamed_errors(self.url), self.engine.connect() as connection:
            dialect = connection.dialect
            name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
            found = dialect.server_version_info or ()
        known, oldest = OLDEST.get(name, (name, ()))
        if found[: len(oldest)] < oldest:
            is_now, needed = (".".join(map(str, version)) for version in (found, oldest))
            raise DatabaseError(f"The database server is {known} {is_now}; {needed} is the oldest that can be used.")

    def transact(self, work: Callable[[Session], T], attempts: int = ATTEMPTS) -> T:
        """What `work` returns, done in one transaction as of `write()`, and anew where others were in its way.

        It may be done several times before it is committed once: it must change nothing but the database. Raises
        Conflict after so many attempts.
        """
        for attempt in range(1, attempts):
            try:
                with self.write() as session:
                    return work(session)
            except Conflict:
                # Longer each time, and never in step with those it ran into.
                time.sleep(random.uniform(0, min(0.5, 0.001 * 2**attempt)))  # noqa: S311 - no secret
        with self.write() as session:
            return work(session)

    def one_host(self) -> URL:
        """The URL with that one of several hosts that answers now: for programs that know of one only."""
        if not _hosts(self.url):
            return self.url
        with renamed_errors(self.url), self.engine.connect() as connection:
            if self.url.get_backend_name() == "mysql":
                host, port = connection.info["host"]
            else:
                found: Any = connection.connection.driver_connection
                host, port = found.info.host, found.info.port
        return self.url.set(host=host, port=port).difference_update_query(["host"])

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
    if parsed.host and "@" in parsed.host:  # it is a piece of the password, and must not be told
        raise ConfigError("The database URL has a second @; write the one in the password as %40.")
    if parsed.host and "host" in parsed.query:
        raise ConfigError(
            "The database URL names hosts in two places; use mysql://user:password@/database?host=a&host=b."
        )
    for named in _hosts(parsed):
        _host_and_port(named)
    return parsed


#: How drivers connect, unless the URL says something else.
_CONNECT: dict[str, dict[str, Any]] = {
    "mysql": {"charset": "utf8mb4", "connect_timeout": CONNECT_WAIT},
    "postgresql": {
        "connect_timeout": CONNECT_WAIT,
        "keepalives_idle": SILENCE // 3,
        "keepalives_interval": SILENCE // 3,
        "keepalives_count": 2,
        "tcp_user_timeout": 1000 * SILENCE,
        "target_session_attrs": "read-write",
    },
}


def _hosts(url: URL) -> list[str]:
    """What the URL names in its query: host, or host:port."""
    named = url.query.get("host", ())
    return [named] if isinstance(named, str) else list(named)


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {
        "pool_pre_ping": True,
        "connect_args": {k: v for k, v in _CONNECT.get(url.get_backend_name(), {}).items() if k not in url.query},
    }
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
    if url.get_backend_name() == "mysql":
        event.listen(engine, "do_connect", _MySQLHosts(url).connect)
    if url.get_backend_name() == "postgresql":
        event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _notice_unfit)
    return engine


class _MySQLHosts:
    """Connects to the hosts of a MySQL URL; PostgreSQL's own library does the like."""

    def __init__(self, url: URL) -> None:
        self._hosts = [_host_and_port(named) for named in _hosts(url)]

    def connect(self, dialect: Dialect, record: Any, args: Any, options: dict[str, Any]) -> Any:
        if not self._hosts:
            return _connect_mysql(dialect, *args, **options)
        for turn, (host, port) in enumerate(hosts := list(self._hosts), 1):
            try:
                connection = _connect_mysql(dialect, *args, **{**options, "host": host, "port": port})
            except dialect.loaded_dbapi.Error:
                if turn == len(hosts):
                    raise
            else:
                record.info["host"] = host, port
                self._hosts = [(host, port), *(other for other in hosts if other != (host, port))]
                break
        return connection


def _host_and_port(named: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{named}")
        return parts.hostname or "localhost", parts.port or 3306
    except ValueError as error:
        raise ConfigError(f'The database URL names the host "{named}"; it looks like db1 or db1:3306.') from error


def _connect_mysql(dialect: Dialect, *args: Any, **options: Any) -> Any:
    try:
        connection = dialect.connect(*args, **options)
    except TypeError as error:  # that is how the drivers say it
        raise ConfigError("The database URL has an option that its driver does not know.") from error
    try:
        _prepare_mysql(connection, dialect)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_mysql(connection: Any, dialect: Dialect) -> None:
    """Let a connection notice that its host has gone; refuse one to a server that takes no writes.

    On a Galera cluster each transaction sees all that had been committed when it began, through whatever node: what
    was sent through one that has died must not look queued on the next.
    """
    if hasattr(connection, "fileno"):  # mysqlclient has it, PyMySQL has not
        with socket.socket(fileno=os.dup(connection.fileno())) as own:
            if own.family != socket.AF_UNIX:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE // 3)
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENCE // 3)
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENCE)
    with closing(connection.cursor()) as cursor:
        cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
        if (cursor.fetchone() or ("", ""))[1] == "ON":
            cursor.execute("SET SESSION wsrep_sync_wait = 7")  # reads, UPDATE and DELETE, INSERT
        cursor.execute("SELECT @@read_only")  # fails on a node without its majority
        if cursor.fetchone()[0] not in (0, "OFF"):
            raise dialect.loaded_dbapi.OperationalError(1290, "the server takes no writes")
    connection.rollback()


def _notice_unfit(context: ExceptionContext) -> None:
    """Have the pool's connections made anew where their server cannot be used any more though it answers."""
    if _code(context.original_exception) in _UNFIT:
        context.is_disconnect = True


def _code(error: BaseException | None) -> object:
    """What a driver calls the error: MySQL's number, PostgreSQL's SQLSTATE."""
    return getattr(error, "sqlstate", None) or next(iter(error.args if error else ()), None)


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """Have no statement compiled. Ours are short; but some the server takes for dear, as where `read_by_index` leaves
    it no other way, and to compile one takes a hundred times longer than to run it.
    """
    with closing(connection.cursor()) as cursor:  # not as an option of the login, which a pooler may refuse
        cursor.execute("SELECT set_config('jit', 'off', false) FROM pg_settings WHERE name = 'jit'")
    connection.commit()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("ixxsms_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def renamed_errors(url: URL) -> Iterator[None]:
    """What a database driver raises becomes a DatabaseError of one sentence; BadInput where a number was too large."""
    try:
        yield
    except exc.DBAPIError as error:
        kind = Conflict if _code(error.orig) in _CONFLICTS else DatabaseError
        raise kind(f"The database {_name(url)} cannot be used: {_first_line(error.orig)}.") from error
    except exc.TimeoutError as error:
        raise DatabaseError(f"The database {_name(url)} cannot be used: {_first_line(error)}.") from error
    except OverflowError as error:  # SQLite's driver does not call it an error of the database
        raise BadInput("A number is larger than the database can hold.") from error


def _name(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(Path(str(url.database)))
    server = url.host or ", ".join(_hosts(url)) or "localhost"
    return f"{url.database} on {server}" if url.database else f"on {server}"


def _first_line(error: BaseException | None) -> str:
    lines = str(error.args[-1] if error and error.args else error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no reason given"
