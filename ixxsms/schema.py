"""The schema of the database: made and brought up to date by Alembic, checked at every start."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from sqlalchemy import inspect, text

from ixxsms.db import Database, renamed_errors
from ixxsms.errors import ConfigError, DatabaseError

#: The newest revision under migrations/versions; their names are numbers in order. A test holds it equal to Alembic's
#: own idea.
HEAD = "0002"


def upgrade(database: Database) -> bool:
    """Bring the schema up to date, creating it in an empty database. Returns whether there was anything to do.

    Raises DatabaseError where it is newer than this program.
    """
    from alembic import command
    from alembic.config import Config as AlembicConfig

    if database.url.get_backend_name() == "sqlite":
        _make_folder(Path(str(database.url.database)))
    found = revision(database)
    _refuse_newer(found)
    if found == HEAD:
        return False
    with as_file(files("ixxsms") / "migrations") as scripts, renamed_errors(database.url):
        settings = AlembicConfig()
        settings.set_main_option("script_location", str(scripts).replace("%", "%%"))
        settings.attributes["engine"] = database.engine
        command.upgrade(settings, "head")
    return True


def revision(database: Database) -> str:
    """The revision that the database is at; "" where it has none. Raises DatabaseError: its server is too old."""
    database.refuse_old_server()
    with renamed_errors(database.url):
        if not inspect(database.engine).has_table("alembic_version"):
            return ""
        with database.engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def is_there(database: Database) -> bool:
    """Whether an SQLite database has its file; any other is on its server. Raises DatabaseError: no right to look."""
    if database.url.get_backend_name() != "sqlite":
        return True
    try:
        return Path(str(database.url.database)).exists()
    except OSError as error:
        raise DatabaseError(f"The database {database.url.database} cannot be used: {error.strerror}.") from error


def check(database: Database) -> None:
    """Raise one sentence unless the database can be used as it is."""
    if not is_there(database):
        raise DatabaseError(f"There is no database {database.url.database}; run: ixxsms init")
    found = revision(database)
    if not found:
        raise DatabaseError("The database has not been set up; run: ixxsms init")
    _refuse_newer(found)
    if found != HEAD:
        raise DatabaseError(f"The database is at revision {found}, this program needs {HEAD}; run: ixxsms db upgrade")


def _refuse_newer(found: str) -> None:
    if found > HEAD:
        raise DatabaseError(
            f"The database is at revision {found} of a newer ixxsms, this one knows no more than {HEAD};"
            " install the newer one, or restore a backup of before."
        )


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # The file holds numbers, texts and passwords: nobody but its owner and group may read it.
        file.touch(mode=0o660)
    except OSError as error:
        raise ConfigError(f"The database {file} cannot be created: {error.strerror}.") from error
