"""ixxsms db."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ixxsms.cli.output import progress_bar, say
from ixxsms.cli.root import examples, group

if TYPE_CHECKING:
    from ixxsms.db import Database

commands = group("db", "The database: bring it up to date, check it, copy it.")


@commands.command(epilog=examples("ixxsms db upgrade"))
def upgrade() -> None:
    """Bring the schema up to date, as ixxsms init does. Stop ixxmassivesms before."""
    from ixxsms import schema

    with _database() as database:
        before = schema.revision(database)
        if schema.upgrade(database):
            say(f"The database is now at revision {schema.HEAD} (before: {before or 'empty'}).")
        else:
            say(f"The database is at revision {schema.HEAD}; there was nothing to do.")


@commands.command(epilog=examples("ixxsms db check"))
def check() -> None:
    """Look for what is wrong with the database. Exit code 1 where something is."""
    from ixxsms import inspection

    with _database() as database:
        found = inspection.findings(database)
    for finding in found:
        say(finding)
    if found:
        raise typer.Exit(1)
    say("The database is as it should be.")


@commands.command(epilog=examples("ixxsms db backup /var/backups/ixxsms.db", "ixxsms db backup ixxsms.sql"))
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")],
) -> None:
    """Copy the whole database into a file, while everything runs. Nobody else may read the file."""
    from ixxsms import backup as copying

    with _database() as database, progress_bar("copying") as told:
        size = copying.backup(database, file, told)
        url = database.url
    say(f"{file} has {size / 1e6:,.1f} MB. {copying.how_to_restore(url, file)}")


def _database() -> closing[Database]:
    from ixxsms import config
    from ixxsms.db import Database

    return closing(Database(config.load().database_url))
