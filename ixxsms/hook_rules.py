"""The rules of hooks as they are kept: which event, which filters, what to do.

Verbs take an open session and never commit. What follows from a rule is in `hooks`. Everything that a rule may hold is
checked here, when it is added: by then a person is there to be told.
"""

from __future__ import annotations

import re

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ixxsms import lists, optouts, trunks
from ixxsms.asterisk import happenings
from ixxsms.errors import BadInput, Duplicate, NotFound
from ixxsms.hours import parse_hours
from ixxsms.models import Hook, HookRun
from ixxsms.names import check_name
from ixxsms.numbering import Plan, check, check_sender_id
from ixxsms.outbox import check_text
from ixxsms.sip_routes import did_form

__all__ = ["add", "all_hooks", "get", "remove", "set_active"]

SMS = "sms"
EVENTS = (happenings.MISSED_CALL, happenings.QUEUE_ABANDON, happenings.VOICEMAIL, happenings.CDR, SMS)

#: What a text may have in braces.
FIELDS = ("number", "did", "queue", "time")
FIELD = re.compile(r"\{([^{}]*)\}")

#: What a hook of each event cannot be without, in the words of the command line.
_NEEDS = {
    happenings.MISSED_CALL: [{"text"}],
    happenings.QUEUE_ABANDON: [{"text"}],
    happenings.VOICEMAIL: [{"text"}, {"notify"}],
    happenings.CDR: [{"list", "text"}],
    SMS: [{"keyword"}, {"text", "call-back"}],
}
_ONLY = {"keyword": SMS, "call-back": SMS, "notify": happenings.VOICEMAIL}

#: Each voicemail is news; whoever calls ten times is answered once.
_EVERY_HOURS = {happenings.VOICEMAIL: 0.0}

_CHANNEL = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9_.@/+:-]*")


def add(
    session: Session,
    plan: Plan,
    name: str,
    event: str,
    *,
    max_segments: int,
    optout: bool = True,
    optout_keywords: str = "",
    context: str = "",
    did: str = "",
    prefix: str = "",
    hours: tuple[str, str] | None = None,
    keyword: str = "",
    text: str = "",
    trunk: str = "",
    sender_id: str = "",
    every_hours: float | None = None,
    list_name: str = "",
    call_back: str = "",
    notify: str = "",
) -> Hook:
    """Add a rule. Raises BadInput, Duplicate and NotFound, each with one sentence."""
    name = check_name(name, "hook")
    if session.scalar(select(Hook.id).where(Hook.name == name)) is not None:
        raise Duplicate(f'There is a hook "{name}" already.')
    given = {"text": text, "list": list_name, "keyword": keyword, "call-back": call_back, "notify": notify}
    if optout and optouts.wish(keyword, optout_keywords) is optouts.Wish.OUT:
        raise BadInput(
            f'Who writes "{keyword[:40]}" opts out, and no hook acts on that; the setting optout_text answers it.'
        )
    _check_given(event, {option for option, value in given.items() if value})
    if not 0 <= (every_hours or 0) < 1e9:
        raise BadInput("The hours between two SMS to a number must be a number, 0 or more.")
    first, last = parse_hours(hours)
    hook = Hook(
        name=name,
        event=event,
        context=_short(context, "context", 80),
        did=did_form(plan, _short(did, "did", 40)) if did else "",
        prefix=_check_prefix(plan, prefix) if prefix else "",
        hours_from=first,
        hours_to=last,
        keyword=_check_keyword(keyword),
        template=_check_template(text, max_segments) if text else "",
        trunk_id=trunks.get(session, trunk).id if trunk else None,
        sender_id=check_sender_id(sender_id),
        every_hours=_EVERY_HOURS.get(event, 24.0) if every_hours is None else every_hours,
        list_id=lists.get(session, list_name).id if list_name else None,
        call_back=_check_channel(call_back) if call_back else "",
        notify=_check_notify(plan, notify) if notify else "",
    )
    session.add(hook)
    session.flush()
    return hook


def get(session: Session, name: str) -> Hook:
    """The hook of that name. Raises NotFound."""
    hook = session.scalar(select(Hook).where(Hook.name == name))
    if hook is None:
        raise NotFound(f'There is no hook "{name}".')
    return hook


def all_hooks(session: Session) -> list[Hook]:
    """Every hook, in the order in which they were added."""
    return list(session.scalars(select(Hook).order_by(Hook.id)))


def set_active(session: Session, name: str, active: bool) -> Hook:
    """Enable or disable a hook; running daemons take it up at the next event."""
    hook = get(session, name)
    hook.active = active
    session.flush()
    return hook


def remove(session: Session, name: str) -> None:
    """Delete a hook, and whom it acted for."""
    hook = get(session, name)
    session.execute(delete(HookRun).where(HookRun.hook_id == hook.id))
    session.delete(hook)
    session.flush()


def _check_given(event: str, given: set[str]) -> None:
    if event not in EVENTS:
        raise BadInput(f'"{event}" is no event of a hook; the events are {", ".join(EVENTS)}.')
    for either in _NEEDS[event]:
        if not either & given:
            raise BadInput(f"A hook of the event {event} needs --{' or --'.join(sorted(either))}.")
    for option in sorted(given & set(_ONLY)):
        if _ONLY[option] != event:
            raise BadInput(f"--{option} is for hooks of the event {_ONLY[option]}.")


def _short(text: str, name: str, longest: int) -> str:
    if len(text) > longest or not text.isprintable():
        raise BadInput(f"The {name} of a hook must be printable, {longest} characters at most.")
    return text.strip()


def _check_prefix(plan: Plan, prefix: str) -> str:
    """The first digits of numbers in normal form: those of the own country have no plus."""
    bare = "".join(prefix.split())
    bare = "+" + bare[2:] if bare.startswith("00") else bare
    found = bare.removeprefix("+") if bare.startswith("+" + plan.country_code) else bare
    if not re.fullmatch(rf"({plan.country_code}|\+)[0-9]{{0,15}}", found) or found == "+":
        code = plan.country_code
        raise BadInput(f"The prefix of a hook begins with a country code, such as {code}6 or +447, not {prefix!r}.")
    return found


def _check_keyword(keyword: str) -> str:
    if len(keyword.split()) > 1:
        raise BadInput("The keyword of a hook is one word.")
    return _short(keyword, "keyword", 40)


def _check_template(text: str, max_segments: int) -> str:
    for field in FIELD.findall(text):
        if field not in FIELDS:
            known = " ".join(f"{{{name}}}" for name in FIELDS)
            raise BadInput(f"The text has {{{field}}}, which is not known; known are {known}.")
    return check_text(text, max_segments)


def _check_channel(channel: str) -> str:
    if "{number}" not in channel or not _CHANNEL.fullmatch(channel.replace("{number}", "")) or len(channel) > 120:
        raise BadInput("The channel of a call back looks like PJSIP/{number}@trunk or Local/{number}@context.")
    return channel


def _check_notify(plan: Plan, notify: str) -> str:
    checked = check(plan, notify)
    if not checked.valid or not checked.mobile:
        raise BadInput(f'"{notify[:32]}" is no mobile number to notify.')
    return checked.number
