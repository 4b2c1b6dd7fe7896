"""ixxsms hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.input import hours, read_text
from ixxsms.cli.output import Json, print_facts, print_json, print_table, say
from ixxsms.cli.root import examples, group

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ixxsms.models import Hook

commands = group("hook", "What follows when Asterisk tells of a call, or an SMS comes in.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The hook's name.")]


@commands.command(
    epilog=examples(
        "ixxsms hook add missed --event missed_call --text 'You called {did} at {time}. We call you back.'",
        "ixxsms hook add queue --event queue_abandon --text 'Sorry that you had to wait.' --from 09:00 --to 20:00",
        "ixxsms hook add box100 --event voicemail --did 100 --notify 600123456 --text 'Voicemail from {number}'",
        "ixxsms hook add callers --event cdr --list callers --context from-trunk",
        "ixxsms hook add callme --event sms --keyword CALLME --call-back 'PJSIP/{number}@trunk'",
    )
)
def add(
    name: Name,
    event: Annotated[
        str, typer.Option(metavar="missed_call|queue_abandon|voicemail|cdr|sms", help="What it waits for.")
    ],
    text: Annotated[
        str, typer.Option(help='What is sent, with {number} {did} {queue} {time} filled in; "-" is standard input.')
    ] = "",
    context: Annotated[str, typer.Option(help="Only calls of this context of the dialplan, or of voicemail.")] = "",
    did: Annotated[str, typer.Option(help="Only calls and SMS to this number; voicemail: of this mailbox.")] = "",
    prefix: Annotated[str, typer.Option(help="Only callers whose number begins so, 346 for example.")] = "",
    first: Annotated[
        str | None, typer.Option("--from", metavar="HH:MM", help="Only from this time of the day.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="HH:MM", help="Only until then; may be past midnight.")
    ] = None,
    keyword: Annotated[str, typer.Option(help="sms: only where this is the first word.")] = "",
    trunk: Annotated[str, typer.Option(help="Send through this trunk; else through any.")] = "",
    sender_id: Annotated[str, typer.Option(help="What recipients see, instead of the trunk's.")] = "",
    every_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Once per number in so many hours (default 24; voicemail 0: each time)."),
    ] = None,
    list_name: Annotated[
        str, typer.Option("--list", help="Its excluded members are never written to; cdr: callers are put on it.")
    ] = "",
    call_back: Annotated[
        str, typer.Option(metavar="CHANNEL", help="sms: call the sender through it, PJSIP/{number}@trunk for example.")
    ] = "",
    notify: Annotated[str, typer.Option(metavar="NUMBER", help="voicemail: the mobile of the mailbox's owner.")] = "",
    as_json: Json = False,
) -> None:
    """Add a hook. A running ixxmassivesms takes it up by itself."""
    from ixxsms import hook_rules, numbering_plan

    words = read_text(text)

    def work(session: Session) -> dict[str, Any]:
        hook = hook_rules.add(
            session,
            numbering_plan.get(session),
            name,
            event,
            max_segments=pbx.config.max_segments,
            optout=pbx.config.optout,
            optout_keywords=pbx.config.optout_keywords,
            text=words,
            context=context,
            did=did,
            prefix=prefix,
            hours=hours(first, last),
            keyword=keyword,
            trunk=trunk,
            sender_id=sender_id,
            every_hours=every_hours,
            list_name=list_name,
            call_back=call_back,
            notify=notify,
        )
        return _fields(session, hook)

    with ixxsms.open() as pbx:
        fields = pbx.database.transact(work)
    if as_json:
        print_json(fields)
    else:
        say(f"The hook {fields['name']} is added.")
        if event == "cdr":
            say("Asterisk tells of call records only where cdr_manager.conf has enabled = yes.")


@commands.command("list", epilog=examples("ixxsms hook list", "ixxsms hook list --json"))
def list_(as_json: Json = False) -> None:
    """Show every hook."""
    from ixxsms import hook_rules

    with ixxsms.open() as pbx, pbx.database.read() as session:
        found = [_fields(session, hook) for hook in hook_rules.all_hooks(session)]
    if as_json:
        print_json(found)
    else:
        rows = [(f["name"], f["event"], "" if f["active"] else "disabled", f["list"], f["text"]) for f in found]
        print_table(["hook", "event", "", "list", "text"], rows, ["text", "hook"])


@commands.command(epilog=examples("ixxsms hook show missed", "ixxsms hook show missed --json"))
def show(name: Name, as_json: Json = False) -> None:
    """Show a hook with all that it has."""
    from ixxsms import hook_rules

    with ixxsms.open() as pbx, pbx.database.read() as session:
        fields = _fields(session, hook_rules.get(session, name))
    if as_json:
        print_json(fields)
    else:
        print_facts({name.replace("_", " "): value for name, value in fields.items()})


@commands.command(epilog=examples("ixxsms hook enable missed"))
def enable(name: Name, as_json: Json = False) -> None:
    """Let a hook act."""
    _set_active(name, True, as_json)


@commands.command(epilog=examples("ixxsms hook disable missed"))
def disable(name: Name, as_json: Json = False) -> None:
    """Let a hook rest."""
    _set_active(name, False, as_json)


def _set_active(name: str, active: bool, as_json: bool) -> None:
    from ixxsms import hook_rules

    with ixxsms.open() as pbx:
        pbx.database.transact(lambda session: hook_rules.set_active(session, name, active))
    if as_json:
        print_json({"name": name, "active": active})
    else:
        say(f"The hook {name} is {'enabled' if active else 'disabled'}.")


@commands.command(epilog=examples("ixxsms hook remove missed"))
def remove(name: Name, as_json: Json = False) -> None:
    """Delete a hook, and its memory of whom it acted for."""
    from ixxsms import hook_rules

    with ixxsms.open() as pbx:
        pbx.database.transact(lambda session: hook_rules.remove(session, name))
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        say(f"The hook {name} is removed.")


def _fields(session: Session, hook: Hook) -> dict[str, Any]:
    """A hook in the words of the command line."""
    from ixxsms.hours import written
    from ixxsms.models import NumberList, Trunk

    trunk = session.get(Trunk, hook.trunk_id) if hook.trunk_id else None
    chosen = session.get(NumberList, hook.list_id) if hook.list_id else None
    return {
        "name": hook.name,
        "event": hook.event,
        "active": hook.active,
        "context": hook.context,
        "did": hook.did,
        "prefix": hook.prefix,
        "hours": written(hook.hours_from, hook.hours_to),
        "keyword": hook.keyword,
        "text": hook.template,
        "trunk": trunk.name if trunk else "",
        "sender_id": hook.sender_id,
        "every_hours": hook.every_hours,
        "list": chosen.name if chosen else "",
        "call_back": hook.call_back,
        "notify": hook.notify,
    }
