"""ixxsms outbox, and what a person does about messages in doubt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.message import message_fields, message_rows
from ixxsms.cli.output import ROWS, Json, Limit, more, plural, print_json, say
from ixxsms.cli.root import app, examples
from ixxsms.errors import BadInput

if TYPE_CHECKING:
    from ixxsms.pbx import Pbx

#: So many messages are settled without a question.
WITHOUT_ASKING = 10

commands = typer.Typer(rich_markup_mode=None)
app.add_typer(commands, name="outbox")

Campaign = Annotated[str | None, typer.Option(help="Only those of this campaign.")]
Trunk = Annotated[str | None, typer.Option(help="Only those that went to this trunk.")]


@commands.callback(
    invoke_without_command=True,
    epilog=examples("ixxsms outbox", "ixxsms outbox --state in_doubt", "ixxsms outbox --limit 500 --json"),
)
def outbox(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only messages in this state, refused for example.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show the latest messages of the outgoing queue."""
    if context.invoked_subcommand:
        return
    with ixxsms.open() as pbx:
        messages = pbx.outbox.rows(None, state=state, limit=limit, newest_first=True)
        rows = list(message_fields(pbx, messages))
    if as_json:
        print_json(rows)
    else:
        message_rows(rows)


@commands.command(epilog=examples("ixxsms outbox doubt", "ixxsms outbox doubt --campaign spring --json"))
def doubt(
    campaign: Campaign = None,
    trunk: Trunk = None,
    limit: Limit = ROWS,
    as_json: Json = False,
) -> None:
    """Show the messages in doubt, with the ids that resolve takes."""
    with ixxsms.open() as pbx:
        found = pbx.outbox.doubtful(**_choice(pbx, None, campaign, trunk))
        rows = list(message_fields(pbx, found[:limit]))
    if as_json:
        print_json(rows)
    else:
        message_rows(rows, with_id=True)
        more(len(rows), len(found))


@commands.command(
    epilog=examples(
        "ixxsms outbox resolve 17 18 --as sent",
        "ixxsms outbox resolve --campaign spring --as resend",
        "ixxsms outbox resolve --trunk provider --as failed --yes",
    )
)
def resolve(
    verdict: Annotated[str, typer.Option("--as", metavar="sent|failed|resend", help="What becomes of them.")],
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Messages in doubt (outbox doubt).")
    ] = None,
    campaign: Campaign = None,
    trunk: Trunk = None,
    everything: Annotated[bool, typer.Option("--all", help="All messages in doubt.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many are settled.")] = False,
    as_json: Json = False,
) -> None:
    """Settle messages in doubt by hand.

    sent: the SMSC has them. failed: they never left. resend: send them again, at the risk of sending twice.
    """
    if not (ids or campaign or trunk or everything):
        raise BadInput("Say which: ids, --campaign, --trunk or --all.")
    with ixxsms.open() as pbx:
        choice = _choice(pbx, ids, campaign, trunk)
        found = [message.id for message in pbx.outbox.doubtful(**choice)]
        missing = sorted(set(ids or ()) - set(found))
        if missing:
            raise BadInput(
                f"Not in doubt: {', '.join(map(str, missing[:10]))}; ixxsms outbox doubt shows those that are."
            )
        if len(found) > WITHOUT_ASKING and not yes:
            _ask(len(found), verdict)
        done = pbx.outbox.resolve(verdict, **(choice | {"ids": found}))
    if as_json:
        print_json({"as": verdict, "resolved": done.changed, "opted_out": done.kept})
        return
    say(f"{plural(done.changed, 'message')} in doubt resolved as {verdict}.")
    if done.kept:
        say(f"{plural(done.kept, 'message')} left in doubt: the numbers have opted out.")


def _choice(pbx: Pbx, ids: list[int] | None, campaign: str | None, trunk: str | None) -> dict[str, Any]:
    return {
        "ids": ids or None,
        "campaign_id": pbx.campaigns.get(campaign).id if campaign else None,
        "trunk_id": pbx.trunks.get(trunk).id if trunk else None,
    }


def _ask(count: int, verdict: str) -> None:
    """Raises BadInput unless a person says yes."""
    if not sys.stdin.isatty():
        raise BadInput(f"{count} messages would be settled; say --yes to do it.")
    if not typer.confirm(f"Resolve {count} messages as {verdict}?", err=True):
        raise BadInput("Nothing was changed.")
