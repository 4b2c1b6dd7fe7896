"""A copy of the whole database into one file, while everything runs.

SQLite is copied by its own backup, a server's database by the server's own program, in one transaction. The password is
handed on in a file or in the environment, never on the command line, where others could read it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL

from ixxsms.db import Database
from ixxsms.errors import BadInput, DatabaseError
from ixxsms.states import CampaignState

#: Of an SQLite database, so many pages are copied between two words of progress.
_PAGES = 1000

_DUMPS = {"mysql": ("mariadb-dump", "mysqldump"), "postgresql": ("pg_dump",)}


def backup(database: Database, target: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Write the copy, readable by nobody else; returns its size in octets. `progress`: pages copied, pages in all.

    Raises BadInput where the file exists or cannot be made, DatabaseError where the copy fails: then no file is left.
    """
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInput(f"{target} exists already; a backup never overwrites a file.") from None
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}.") from error
    try:
        if database.url.get_backend_name() == "sqlite":
            os.close(handle)
            _copy(str(database.url.database), target, progress)
        else:
            with os.fdopen(handle, "wb") as file:
                _dump(database.one_host(), file.fileno())
                os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target.stat().st_size


def how_to_restore(url: URL, target: Path) -> str:
    """What a person must know before he does it, in one line."""
    match url.get_backend_name():
        case "sqlite":
            how = f"stop ixxmassivesms, then cp {target} {url.database} (and remove its -wal and -shm)"
        case "mysql":
            how = f"stop ixxmassivesms, then, into an empty database: mariadb {url.database} < {target}"
        case _:
            how = f"stop ixxmassivesms, then, into an empty database: psql -d {url.database} -f {target}"
    return (
        f"To restore it: {how}. What was sent after the backup is queued in it and would be sent again: before the "
        "service starts, look at ixxsms campaign list and ixxsms outbox."
    )


def _copy(source: str, target: Path, progress: Callable[[int, int], None] | None) -> None:
    def tell(_status: int, remaining: int, total: int) -> None:
        if progress:
            progress(total - remaining, total)

    try:
        reading = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        with closing(reading), closing(sqlite3.connect(target)) as writing:
            # One transaction for all the steps: without it each commit of another connection begins the copy anew.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchall()
            reading.backup(writing, pages=_PAGES, progress=tell)
            # What goes out from now on is still queued in the copy: restored, it must not send that again by itself.
            states = (CampaignState.PAUSED, CampaignState.RUNNING)
            writing.execute("UPDATE campaigns SET state = ? WHERE state = ?", tuple(map(str, states)))
            writing.commit()
            # The copy is a whole by itself: no file beside it.
            writing.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise DatabaseError(f"The database {source} cannot be copied: {error}.") from error


def _dump(url: URL, output: int) -> None:
    programs = _DUMPS[url.get_backend_name()]
    program = next((found for name in programs if (found := shutil.which(name))), None)
    if program is None:
        raise DatabaseError(f"A backup of this database needs the program {programs[0]}, which is not installed.")
    with tempfile.TemporaryDirectory(prefix="ixxsms-") as folder:
        if url.get_backend_name() == "mysql":
            command, environ = _mysql_dump(program, url, Path(folder) / "login.cnf"), dict(os.environ)
        else:
            command, environ = _postgresql_dump(program, url), {**os.environ, "PGPASSWORD": url.password or ""}
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell, names from the configuration
            command, stdout=output, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environ, check=False
        )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise DatabaseError(f"{Path(program).name} failed: {lines[-1].rstrip('.')}.")


def _mysql_dump(program: str, url: URL, login: Path) -> list[str]:
    fields = {"user": url.username, "password": url.password, "host": url.host or "localhost", "port": url.port}
    lines = [f'{name}="{_quoted(str(value))}"' for name, value in fields.items() if value is not None]
    login.touch(mode=0o600)
    login.write_text("\n".join(["[client]", *lines, ""]), encoding="utf-8")
    options = ["--single-transaction", "--quick", "--default-character-set=utf8mb4", "--skip-lock-tables"]
    if url.host in (None, "localhost") and url.query.get("unix_socket"):
        options.append(f"--socket={url.query['unix_socket']}")
    return [program, f"--defaults-extra-file={login}", *options, str(url.database)]


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _postgresql_dump(program: str, url: URL) -> list[str]:
    options = ["--no-owner", "--no-password", "--encoding=UTF8"]
    for option, value in (("--host", url.host), ("--port", url.port), ("--username", url.username)):
        if value is not None:
            options.append(f"{option}={value}")
    return [program, *options, f"--dbname={url.database}"]
