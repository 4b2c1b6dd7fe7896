"""ixxsms campaign."""

from __future__ import annotations

import csv
import shlex
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.input import hours, number_file, read_text
from ixxsms.cli.message import message_fields, message_rows
from ixxsms.cli.output import (
    ROWS,
    Json,
    LimitOrAll,
    duration,
    harmless,
    iso,
    local,
    plural,
    print_facts,
    print_json,
    print_json_list,
    print_table,
    progress_bar,
    say,
)
from ixxsms.cli.report import import_json, print_import
from ixxsms.cli.root import examples, group
from ixxsms.errors import BadInput

if TYPE_CHECKING:
    from ixxsms.campaigns import CampaignView
    from ixxsms.pbx import Pbx

commands = group("campaign", "Campaigns: one text to many numbers. The outgoing queue is always the first of them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help='The campaign\'s name, or "outgoing queue".')]
Start = Annotated[
    str | None, typer.Option(metavar="DATE", help='Not before: 2026-12-31 or "2026-12-31 09:30", local time.')
]
From = Annotated[str | None, typer.Option("--from", metavar="HH:MM", help="Send from this time of the day …")]
To = Annotated[str | None, typer.Option("--to", metavar="HH:MM", help="… to this; 20:00 to 02:00 is over midnight.")]


@commands.command(
    epilog=examples(
        "ixxsms campaign create spring --text 'Open on Sunday' --list clients",
        "ixxsms campaign create bills --text 'Your bill is due' --csv bills.csv --from 09:00 --to 20:00 --run",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign's name.")],
    text: Annotated[str, typer.Option(help='The text for numbers without their own; "-" is standard input.')],
    list_name: Annotated[
        str | None, typer.Option("--list", metavar="LIST", help="To the members of this list.")
    ] = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="To these numbers; own texts in the second column.")
    ] = None,
    sender_id: Annotated[str, typer.Option(help="Goes before the trunk's.")] = "",
    trunk: Annotated[str | None, typer.Option(help="Only through this trunk; otherwise through any.")] = None,
    start: Start = None,
    first: From = None,
    last: To = None,
    run: Annotated[bool, typer.Option("--run", help="Let it run at once; otherwise it is paused.")] = False,
    as_json: Json = False,
) -> None:
    """Create a campaign, paused, and tell what it will cost. Excluded members are left out."""
    options: dict[str, Any] = {"sender_id": sender_id, "trunk": trunk, "start": start or "", "run": run}
    options |= {"hours": hours(first, last), "list_name": list_name}
    with ixxsms.open() as pbx:
        if csv_file is None:
            created = pbx.campaigns.create(name, read_text(text), **options)
        else:
            with number_file(csv_file) as rows:
                created = pbx.campaigns.create(name, read_text(text), rows=rows, **options)
    campaign, report = created.campaign, created.report
    if as_json:
        fields = {"name": campaign.name, "state": campaign.state, "total": campaign.total, "segments": created.segments}
        print_json(fields | ({"import": import_json(report)} if report else {}))
        return
    if report:
        print_import(report)
    cost = f"{plural(campaign.total, 'number')}, {plural(created.segments, 'segment')} to send"
    say(f"The campaign {campaign.name} is {campaign.state}: {cost}.")
    if not run:
        say(f"Let it run: ixxsms campaign resume {shlex.quote(campaign.name)}")


@commands.command("list", epilog=examples("ixxsms campaign list", "ixxsms campaign list --state running --json"))
def list_(
    state: Annotated[str | None, typer.Option(help="Only: paused, running, finished or cancelled.")] = None,
    as_json: Json = False,
) -> None:
    """Show the outgoing queue, then every campaign, the newest first."""
    with ixxsms.open() as pbx:
        views = pbx.campaigns.all_campaigns(state)
    if as_json:
        print_json([view_fields(view) for view in views])
    else:
        print_views(views)


def print_views(views: list[CampaignView]) -> None:
    """A line for each campaign."""
    rows = [(v.name, v.state, v.total, v.done, percent(v), v.segments_to_send, v.hours, v.trunk) for v in views]
    columns = ["campaign", "state", "numbers", "done", "%", "segments left", "hours", "trunk"]
    print_table(columns, rows, ["campaign", "trunk"])


def percent(view: CampaignView) -> int:
    return 100 * view.done // view.total if view.total else 0


@commands.command(epilog=examples("ixxsms campaign show spring", "ixxsms campaign show spring --follow"))
def show(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", help="Watch it until it is finished or paused.")] = False,
    as_json: Json = False,
) -> None:
    """Show a campaign: states, progress, rate, time left."""
    with ixxsms.open() as pbx:
        if follow:
            _follow(pbx, name)
        view = pbx.campaigns.show(name)
        rate = _rate(pbx, view)
    left = view.segments_to_send / rate if rate else None
    if as_json:
        print_json(view_fields(view) | {"rate": rate, "time_left_seconds": None if left is None else round(left)})
        return
    facts: dict[str, Any] = {
        "campaign": view.name,
        "state": view.state,
        "progress": f"{view.done} of {plural(view.total, 'number')}, {percent(view)} %",
        "segments left": view.segments_to_send,
        "rate": f"{rate:.1f} segments/s" if rate else None,
        "time left": None if left is None else duration(left),
        "list": view.list,
        "trunk": view.trunk or "any",
        "sender id": view.sender_id,
        "start": local(view.start_at),
        "hours": view.hours or "the whole day",
        "created": local(view.created_at),
        "finished": local(view.finished_at),
        "counted": local(view.counted_at),
        "text": view.text,
    }
    print_facts(facts)
    print()
    print_facts({state: count for state, count in view.states.items() if count})


def _rate(pbx: Pbx, view: CampaignView) -> float:
    """Segments per second that its trunks send now; shared, where other campaigns run."""
    if view.state != "running":
        return 0.0
    return sum(trunk.rate for trunk in pbx.status().trunks if view.trunk in ("", trunk.name))


def _follow(pbx: Pbx, name: str) -> None:
    told = ""
    with progress_bar(name) as progress:
        while True:
            view = pbx.campaigns.show(name)
            progress(view.done, view.total)
            if view.state != told and not sys.stderr.isatty():
                print(f"{view.name}: {view.state}, {view.done} of {view.total}", file=sys.stderr)
            told = view.state
            if told != "running":
                return
            time.sleep(0.5)


def view_fields(view: CampaignView) -> dict[str, Any]:
    """A campaign for programs."""
    return {
        "name": view.name,
        "state": view.state,
        "total": view.total,
        "done": view.done,
        "progress": round(view.done / view.total, 4) if view.total else 0.0,
        "segments_to_send": view.segments_to_send,
        "states": view.states,
        "text": view.text,
        "sender_id": view.sender_id,
        "trunk": view.trunk,
        "list": view.list,
        "hours": view.hours,
        "start_at": iso(view.start_at),
        "created_at": iso(view.created_at),
        "finished_at": iso(view.finished_at),
        "counted_at": iso(view.counted_at),
    }


@commands.command(
    epilog=examples(
        "ixxsms campaign numbers spring --state refused",
        "ixxsms campaign numbers spring --csv > spring.csv",
    )
)
def numbers(
    name: Name,
    state: Annotated[str | None, typer.Option(help="Only messages in this state, refused for example.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all as CSV, with a header.")] = False,
    limit: LimitOrAll = None,
    as_json: Json = False,
) -> None:
    """Show what happened to every number.

    State, reason, trunk, remote id and times.
    """
    with ixxsms.open() as pbx:
        wanted = limit if as_csv or as_json else (limit or ROWS) + 1
        rows = message_fields(pbx, pbx.campaigns.numbers(name, state=state, limit=wanted))
        if as_json:
            print_json_list(rows)
        elif as_csv:
            _print_csv(rows)
        else:
            found = list(rows)
            message_rows(found[: limit or ROWS])
            if len(found) == wanted:
                say("… and more (--limit)")


def _print_csv(rows: Iterator[dict[str, Any]]) -> None:
    columns = ["number", "state", "reason", "trunk", "remote_id", "segments", "text"]
    columns += ["created_at", "submitted_at", "accepted_at", "settled_at"]
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {name: harmless(row[name] or "") for name in ("reason", "remote_id", "text")})


@commands.command(epilog=examples("ixxsms campaign stop spring"))
def stop(name: Name) -> None:
    """Pause a campaign. What is under way goes on to its answer."""
    with ixxsms.open() as pbx:
        campaign = pbx.campaigns.stop(name)
    say(f"The campaign {campaign.name} is {campaign.state}.")


@commands.command(epilog=examples("ixxsms campaign resume spring"))
def resume(name: Name) -> None:
    """Let a campaign run, as soon as its date and hours come."""
    with ixxsms.open() as pbx:
        campaign = pbx.campaigns.resume(name)
    say(f"The campaign {campaign.name} is {campaign.state}.")


@commands.command(epilog=examples("ixxsms campaign edit spring --text 'Open on Monday'"))
def edit(
    name: Name,
    text: Annotated[str | None, typer.Option(help='The new text; "-" is standard input.')] = None,
    start: Start = None,
    first: From = None,
    last: To = None,
) -> None:
    """Change text, start date or hours of a paused campaign.

    From 00:00 to 24:00 is the whole day.
    """
    day = hours(first, last)
    if text is None and start is None and day is None:
        raise BadInput("There is nothing to change; give --text, --start, or --from and --to.")
    with ixxsms.open() as pbx:
        pbx.campaigns.edit(name, text=None if text is None else read_text(text), start=start, hours=day)
    say(f"The campaign {name} is changed.")


@commands.command(epilog=examples("ixxsms campaign cancel spring"))
def cancel(name: Name) -> None:
    """End a campaign for good, and keep what became of it.

    What is under way goes on to its answer, the rest is never sent: a running ixxmassivesms takes it back, some
    thousand messages a second.
    """
    with ixxsms.open() as pbx:
        campaign = pbx.campaigns.cancel(name)
    say(f"The campaign {campaign.name} is {campaign.state}.")


@commands.command(epilog=examples("ixxsms campaign delete spring"))
def delete(name: Name) -> None:
    """Delete a campaign with its messages. Refused while it runs."""
    with ixxsms.open() as pbx:
        pbx.campaigns.delete_campaign(name)
    say(f"The campaign {name} is deleted.")
