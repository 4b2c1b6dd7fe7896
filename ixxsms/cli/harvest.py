"""ixxsms harvest."""

from __future__ import annotations

from typing import Annotated

import typer

import ixxsms
from ixxsms.cli.input import moment
from ixxsms.cli.output import Json, print_json, progress_bar, say
from ixxsms.cli.report import harvest_json, print_harvest
from ixxsms.cli.root import app, examples


@app.command(
    epilog=examples(
        "ixxsms harvest callers --dry-run",
        "ixxsms harvest callers --since 2026-01-01 --disposition ANSWERED --min-billsec 30",
        "ixxsms harvest callers --cdr-url sqlite:////var/log/asterisk/master.db --direction both --all",
    )
)
def harvest(
    name: Annotated[str, typer.Argument(metavar="LIST", help="The list that takes the numbers.")],
    cdr_url: Annotated[str, typer.Option(help="Instead of the setting cdr_url: an SQLAlchemy URL or a CSV file.")] = "",
    since: Annotated[str, typer.Option(metavar="DATE", help='Calls from 2026-01-31 or "2026-01-31 09:00" on.')] = "",
    until: Annotated[str, typer.Option(metavar="DATE", help="Calls before this.")] = "",
    direction: Annotated[
        str, typer.Option(metavar="in|out|both", help="in: who called; out: who was called. [both; in with --missed]")
    ] = "",
    missed: Annotated[bool, typer.Option("--missed", help="Calls that nobody took.")] = False,
    disposition: Annotated[str, typer.Option(help='Such as ANSWERED or "NO ANSWER".')] = "",
    did: Annotated[str, typer.Option(help="The number that was called from outside.")] = "",
    min_billsec: Annotated[int, typer.Option(min=0, help="Calls that were talked for so many seconds.")] = 0,
    min_calls: Annotated[int, typer.Option(min=1, help="Numbers with so many calls.")] = 1,
    context: Annotated[str, typer.Option(help="Calls of this context of the dialplan.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Read all again, not only what is new.")] = False,
    as_json: Json = False,
) -> None:
    """Take mobile numbers from the call records into a list.

    The next time with the same filters it takes only what is new.
    """
    from ixxsms.asterisk.cdr import Filters

    filters = Filters(
        since=moment(since),
        until=moment(until),
        direction=direction or ("in" if missed else "both"),
        missed=missed,
        disposition=disposition,
        did=did,
        min_billsec=min_billsec,
        min_calls=min_calls,
        context=context,
    )
    with ixxsms.open() as pbx, progress_bar("harvesting") as progress:
        report = pbx.harvest(
            name, cdr_url=cdr_url, filters=filters, dry_run=dry_run, everything=everything, progress=progress
        )
    if as_json:
        print_json({"list": name, "dry_run": dry_run, **harvest_json(report)})
    else:
        if report.created and not dry_run:
            say(f"The list {name} is created.")
        print_harvest(report)
