"""Asterisk's call detail records where they are: a table of any back end, or Master.csv.

Knows the columns that Asterisk, FreePBX, Issabel and Elastix write, and what each database does to Asterisk while
somebody reads. Must never know our own database, or what a mobile number is: numbers are handed on as they stand,
counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from ixxsms.asterisk.cdr.mastercsv import MasterCsv
from ixxsms.asterisk.cdr.reading import Batch, Filters, Skip, Source, Start
from ixxsms.asterisk.cdr.server import ServerTable
from ixxsms.asterisk.cdr.sms import Sms, insert_sms
from ixxsms.asterisk.cdr.sqlite import SqliteTable
from ixxsms.errors import ConfigError

__all__ = ["Batch", "Filters", "Skip", "Sms", "Source", "Start", "open_cdr", "write_sms"]

_EXAMPLES = (
    "it looks like mysql://user:password@host/asteriskcdrdb, sqlite:////var/log/asterisk/master.db"
    " or /var/log/asterisk/cdr-csv/Master.csv"
)
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+mysqldb",
    "mariadb": "mysql+mysqldb",
}


def open_cdr(where: str, table: str = "cdr") -> SqliteTable | ServerTable | MasterCsv:
    """The CDRs in `table` of a database URL or of an SQLite file, or in a file like Master.csv.

    Nothing is opened before it is read. Raises ConfigError, with a sentence that does not repeat the URL.
    """
    if "://" not in where:
        return SqliteTable(Path(where), table) if _is_sqlite(Path(where)) else MasterCsv(Path(where))
    url = _parse(where)
    if not url.database:
        raise ConfigError(f"The CDR URL names no database; {_EXAMPLES}.")
    return SqliteTable(Path(url.database), table) if url.get_backend_name() == "sqlite" else ServerTable(url, table)


def write_sms(where: str, table: str, rows: Sequence[Sms]) -> None:
    """Insert a row for each SMS into a table of CDRs, in whichever of Asterisk's columns it has; all or none.

    `where`: as for open_cdr(), but no Master.csv. Raises ConfigError, NotFound (table) and DatabaseError (not
    reachable, not writable), each with one sentence.
    """
    source = open_cdr(where, table)
    if isinstance(source, MasterCsv):
        raise ConfigError("SMS can only be written to a table of CDRs, not to a file like Master.csv.")
    if rows:
        with source.writing() as connection:
            insert_sms(connection, table, rows)


def _parse(where: str) -> URL:
    try:
        url = make_url(where)
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        backend = url.get_dialect().name
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError) as error:
        raise ConfigError(f"The CDR URL cannot be read; {_EXAMPLES}.") from error
    if backend not in ("mysql", "mariadb", "postgresql", "sqlite"):
        raise ConfigError("The CDR URL names a kind of database that is not read; use mysql, postgresql or sqlite.")
    if url.host and "@" in url.host:  # it is a piece of the password, and must not be told
        raise ConfigError("The CDR URL has a second @; write the one in the password as %40.")
    if backend in ("mysql", "mariadb") and "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
