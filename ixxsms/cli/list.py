"""ixxsms list."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.input import number_file, output_file, read_text
from ixxsms.cli.output import (
    ROWS,
    Json,
    LimitOrAll,
    iso,
    local,
    more,
    plural,
    print_json,
    print_table,
    progress_bar,
    say,
)
from ixxsms.cli.report import harvest_json, import_json, print_harvest, print_import
from ixxsms.cli.root import examples, group
from ixxsms.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ixxsms.csvfile import Row
    from ixxsms.harvest import Found
    from ixxsms.imports import ImportReport
    from ixxsms.pbx import Pbx

commands = group("list", "Lists of numbers: from files, from the call records, by hand.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The list's name.")]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="A number in any spelling.")]
NumberFile = Annotated[
    str,
    typer.Argument(metavar="FILE", help='Numbers in the first column, own texts in the second; "-" is standard input.'),
]


@commands.command(
    epilog=examples(
        "ixxsms list create clients",
        "ixxsms list create clients --csv clients.csv",
        "ixxsms list create callers --cdr",
    )
)
def create(
    name: Name,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help='Import these numbers; "-" is standard input.')
    ] = None,
    cdr: Annotated[bool, typer.Option("--cdr", help="Harvest the mobile numbers of the call records.")] = False,
    as_json: Json = False,
) -> None:
    """Create a list: empty, from a file, from the call records."""
    from ixxsms import harvest, lists

    answer: dict[str, Any] = {"name": name}
    with ixxsms.open() as pbx:
        found = _look(pbx, name) if cdr else None
        # A single transaction: no list where its filling fails. And as late as can be: no daemon should wait for it.
        with number_file(csv_file) if csv_file else nullcontext() as rows, pbx.database.write() as session:
            answer["name"] = lists.create(session, name, now=time.time()).name
            imported = _import(pbx, session, name, rows) if rows else None
            harvested = harvest.keep(session, found, now=time.time()) if found else None
    if as_json:
        answer |= {"import": import_json(imported)} if imported else {}
        answer |= {"harvest": harvest_json(harvested)} if harvested else {}
        print_json(answer)
        return
    say(f"The list {answer['name']} is created.")
    if imported:
        print_import(imported)
    if harvested:
        print_harvest(harvested)


def _import(pbx: Pbx, session: Session, name: str, rows: Iterator[Row]) -> ImportReport:
    from ixxsms import lists, numbering_plan

    plan = numbering_plan.get(session)
    return lists.import_rows(session, plan, name, rows, max_segments=pbx.config.max_segments, now=time.time())


def _look(pbx: Pbx, name: str) -> Found:
    from datetime import timedelta

    from ixxsms import harvest, numbering_plan
    from ixxsms.asterisk.cdr import Filters, open_cdr

    if not pbx.config.cdr_url:
        raise BadInput("No call records are configured; set cdr_url.")
    source = open_cdr(pbx.config.cdr_url, pbx.config.cdr_table)
    overlap = timedelta(hours=pbx.config.harvest_overlap_hours)
    with pbx.database.read() as session, progress_bar("harvesting") as progress:
        plan = numbering_plan.get(session)
        return harvest.look(
            session, plan, name, source, Filters(direction="both"), now=time.time(), progress=progress, overlap=overlap
        )


@commands.command(
    "import",
    epilog=examples(
        "ixxsms list import clients clients.csv",
        "ixxsms list import clients clients.csv --strict",
        "mysql -N -e 'select phone from clients' crm | ixxsms list import clients -",
    ),
)
def import_(
    name: Name,
    file: NumberFile,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if any row is refused.")] = False,
    as_json: Json = False,
) -> None:
    """Add the numbers of a file. Refused rows are reported, and stop nothing without --strict."""
    with ixxsms.open() as pbx, number_file(file) as rows:
        report = pbx.lists.import_rows(name, rows, strict=strict)
    if as_json:
        print_json({"name": name, **import_json(report)})
    else:
        print_import(report)


@commands.command(
    epilog=examples("ixxsms list add clients 600123456", "ixxsms list add clients 600123456 --text 'Dear Ms Gil …'")
)
def add(
    name: Name,
    number: Number,
    text: Annotated[str | None, typer.Option(help='Its own text, instead of the campaign\'s; "-" is stdin.')] = None,
    as_json: Json = False,
) -> None:
    """Add one number by hand; one that is there already stays as it is."""
    with ixxsms.open() as pbx:
        result = pbx.lists.add(name, number, text=None if text is None else read_text(text))
    if as_json:
        print_json({"name": name, "number": result.number, "added": result.added})
    else:
        say(f"{result.number} is {'added' if result.added else 'there already'}.")


@commands.command(epilog=examples("ixxsms list exclude clients 600123456"))
def exclude(name: Name, number: Number, as_json: Json = False) -> None:
    """Never write to a number, which stays in the list.

    What is queued for it is held back too.
    """
    with ixxsms.open() as pbx:
        held_back = pbx.exclude(name, number)
    if as_json:
        print_json({"name": name, "number": number, "held_back": held_back})
    else:
        say(f"{number} is excluded; {plural(held_back, 'queued message')} held back.")


@commands.command(epilog=examples("ixxsms list include clients 600123456"))
def include(name: Name, number: Number) -> None:
    """Take back an exclusion, for campaigns created from now on."""
    with ixxsms.open() as pbx:
        marked = pbx.lists.include(name, number)
    say(f"{marked.number} is included again.")


@commands.command(
    epilog=examples("ixxsms list show clients", "ixxsms list show clients --filter 6001 --limit 20 --json")
)
def show(
    name: Name,
    filter: Annotated[str | None, typer.Option(help="Part of the number or of the own text.")] = None,
    limit: LimitOrAll = None,
    as_json: Json = False,
) -> None:
    """Show a list with its members."""
    with ixxsms.open() as pbx:
        view = pbx.lists.show(name, filter=filter, limit=limit or (None if as_json else ROWS))
    if as_json:
        members = [
            {"number": m.number, "text": m.text, "excluded": m.excluded, "source": m.source} for m in view.members
        ]
        print_json({"name": view.name, "total": view.total, "members": members})
        return
    say(f"{view.name}: {plural(view.total, 'number')}")
    rows = [(m.number, "excluded" if m.excluded else "", m.source, m.text) for m in view.members]
    print_table(["number", "", "from", "own text"], rows, ["own text"])
    more(len(rows), view.total)


@commands.command("list", epilog=examples("ixxsms list list", "ixxsms list list --json"))
def list_(as_json: Json = False) -> None:
    """Show every list."""
    with ixxsms.open() as pbx:
        every = pbx.lists.all_lists()
    if as_json:
        print_json(
            [{"name": e.name, "total": e.total, "excluded": e.excluded, "created_at": iso(e.created_at)} for e in every]
        )
    else:
        rows = [(e.name, e.total, e.excluded, local(e.created_at)) for e in every]
        print_table(["list", "numbers", "excluded", "created"], rows, ["list"])


@commands.command(epilog=examples("ixxsms list export clients clients.csv", "ixxsms list export clients | wc -l"))
def export(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="[FILE]", help='Where to; "-" is standard output.')] = "-",
) -> None:
    """Write a list as CSV: number, own text, excluded."""
    with ixxsms.open() as pbx:
        members = pbx.lists.export_rows(name)
        with output_file(file) as output:
            writer = csv.writer(output, lineterminator="\n")
            writer.writerow(["number", "text", "excluded"])
            writer.writerows([number, text or "", "yes" if excluded else "no"] for number, text, excluded in members)


@commands.command(epilog=examples("ixxsms list delete clients"))
def delete(name: Name) -> None:
    """Delete a list. Campaigns that were created from it keep their numbers."""
    with ixxsms.open() as pbx:
        pbx.lists.delete(name)
    say(f"The list {name} is deleted.")
