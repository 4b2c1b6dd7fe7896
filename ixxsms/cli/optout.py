"""ixxsms optout."""

from __future__ import annotations

import csv
from typing import Annotated

import typer

import ixxsms
from ixxsms.cli.input import number_file, output_file
from ixxsms.cli.output import ROWS, Json, LimitOrAll, harmless, iso, local, more, plural, print_json, print_table, say
from ixxsms.cli.report import import_json, print_import
from ixxsms.cli.root import examples, group

commands = group("optout", "Numbers that must not be written to, by whatever way.")

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="A number in any spelling.")]


@commands.command("list", epilog=examples("ixxsms optout list", "ixxsms optout list --filter 6001 --json"))
def list_(
    filter: Annotated[str | None, typer.Option(help="Part of the number or of the note.")] = None,
    limit: LimitOrAll = None,
    as_json: Json = False,
) -> None:
    """Show who has opted out, the latest first."""
    with ixxsms.open() as pbx:
        page = pbx.optouts.show(filter=filter, limit=limit or (None if as_json else ROWS))
    if as_json:
        rows = [{"number": r.number, "at": iso(r.at), "source": r.source, "note": r.note} for r in page.rows]
        print_json({"total": page.total, "numbers": rows})
        return
    say(plural(page.total, "number"))
    print_table(
        ["number", "since", "from", "note"], [(r.number, local(r.at), r.source, r.note) for r in page.rows], ["note"]
    )
    more(len(page.rows), page.total)


@commands.command(
    epilog=examples("ixxsms optout add 600123456", "ixxsms optout add 600123456 --note 'asked by telephone'")
)
def add(
    number: Number,
    note: Annotated[str, typer.Option(help="Why, for people.")] = "",
    as_json: Json = False,
) -> None:
    """Write no more to a number, whatever is queued for it."""
    with ixxsms.open() as pbx:
        result = pbx.optouts.add(number, note=note)
    if as_json:
        print_json({"number": result.number, "added": result.added})
    else:
        say(f"{result.number} {'has opted out' if result.added else 'had opted out already'}.")


@commands.command(epilog=examples("ixxsms optout remove 600123456"))
def remove(number: Number, as_json: Json = False) -> None:
    """Write to a number again. What was held back for it stays so."""
    with ixxsms.open() as pbx:
        normal = pbx.optouts.remove(number)
    if as_json:
        print_json({"number": normal, "removed": True})
    else:
        say(f"{normal} may be written to again.")


@commands.command(epilog=examples("ixxsms optout check 600123456", "ixxsms optout check 600123456 --json"))
def check(number: Number, as_json: Json = False) -> None:
    """Tell whether a number has opted out, and since when."""
    with ixxsms.open() as pbx:
        found = pbx.optouts.check(number)
        normal = pbx.check(number).number
    if as_json:
        since = {"at": iso(found.at), "source": found.source, "note": found.note} if found else {}
        print_json({"number": normal, "opted_out": found is not None, **since})
    elif found:
        note = f": {found.note}" if found.note else ""
        say(f"{normal} has opted out, {local(found.at)} ({found.source}){note}")
    else:
        say(f"{normal} has not opted out.")


@commands.command(
    "import",
    epilog=examples("ixxsms optout import donotcontact.csv", "ixxsms optout import - --strict < donotcontact.csv"),
)
def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help='Numbers in the first column, notes in the second; "-" is standard input.'),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if any row is refused.")] = False,
    as_json: Json = False,
) -> None:
    """Write no more to the numbers of a file.

    Refused rows are reported, and stop nothing without --strict.
    """
    with ixxsms.open() as pbx, number_file(file) as rows:
        report = pbx.optouts.import_rows(rows, strict=strict)
    if as_json:
        print_json(import_json(report))
    else:
        print_import(report)


@commands.command(epilog=examples("ixxsms optout export optouts.csv", "ixxsms optout export | wc -l"))
def export(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help='Where to; "-" is standard output.')] = "-",
) -> None:
    """Write all of them as CSV: number, note, source, since."""
    with ixxsms.open() as pbx:
        rows = pbx.optouts.export_rows()
        with output_file(file) as output:
            writer = csv.writer(output, lineterminator="\n")
            writer.writerow(["number", "note", "source", "since"])
            writer.writerows([row.number, harmless(row.note), row.source, iso(row.at)] for row in rows)
