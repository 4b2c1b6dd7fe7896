"""Hooks: what follows when Asterisk tells of a call, or when an SMS comes in, by the rules of `hook_rules`.

Verbs take an open session and never commit. Whatever is sent goes through `requests`, whose limits count the number
that is written to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ixxsms import arrivals, lists, outbox, requests
from ixxsms.asterisk import happenings
from ixxsms.asterisk.happenings import Asked, Happening
from ixxsms.config import Config
from ixxsms.hook_rules import FIELD, SMS
from ixxsms.hours import in_hours, minute_of_day
from ixxsms.models import Hook, HookRun, Member, Trunk
from ixxsms.numbering import Plan, check, check_incoming
from ixxsms.requests import Reply, Status
from ixxsms.sip_routes import did_form

__all__ = ["CallBack", "act", "incoming", "send", "wanted"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CallBack:
    """Somebody is to be called because of an SMS that he sent."""

    channel: str
    sms_id: int
    number: str
    text: str


def wanted(session: Session) -> set[str]:
    """The events that some active hook waits for: no other one needs a transaction."""
    return set(session.scalars(select(Hook.event).where(Hook.active).distinct()))


def send(session: Session, config: Config, plan: Plan, asked: Asked, now: float) -> Reply:
    """Queue an SMS that an AMI event asks for; who gave an Id is told of its states."""
    if asked.text is None:
        return Reply(Status.REFUSED, error="Text64 is not the base64 of a text in UTF-8.")
    return requests.take(
        session,
        config,
        plan,
        caller=asked.caller,
        number=asked.number,
        text=asked.text,
        trunk=asked.trunk,
        sender_id=asked.sender_id,
        now=now,
        asked_id=asked.id,
    )


def act(session: Session, config: Config, plan: Plan, happening: Happening, now: float) -> bool:
    """Do what the hooks say of a call. True: a message was queued."""
    caller = check(plan, happening.number)
    values = {"number": caller.number or happening.number, "did": happening.did, "queue": happening.queue}
    queued = False
    for hook in _concerned(session, plan, happening.event, values["number"], happening.did, happening.context, now):
        number = hook.notify or (caller.number if caller.mobile else "")
        if not number or _is_excluded(session, hook, number):
            continue
        if hook.event == happenings.CDR and hook.list_id is not None:
            lists.add_many(session, hook.list_id, [{number: None}], "cdr", now)
        if hook.template and _first_time(session, hook, number, now):
            queued |= _write(session, config, plan, hook, number, values, now)
    return queued


def incoming(
    session: Session, config: Config, plan: Plan, sms_id: int, source: str, destination: str, text: str, now: float
) -> tuple[bool, list[CallBack]]:
    """Do what the hooks say of an SMS that came in. Whether a message was queued, and whom Asterisk must call."""
    sender = check_incoming(plan, source)
    word = next(iter(text.split()), "").casefold()
    if not sender.mobile or not word or arrivals.opts_out(config, text):
        return False, []
    if outbox.opted_out(session, {sender.number}):  # not called either
        return False, []
    queued, calls = False, []
    for hook in _concerned(session, plan, SMS, sender.number, destination, "", now):
        if hook.keyword.casefold() != word or _is_excluded(session, hook, sender.number):
            continue
        if not _first_time(session, hook, sender.number, now):
            continue
        if hook.template:
            values = {"number": sender.number, "did": destination, "queue": ""}
            queued |= _write(session, config, plan, hook, sender.number, values, now)
        if hook.call_back:
            # Digits and nothing else get into the name of a channel: the number was written by a stranger.
            channel = hook.call_back.replace("{number}", re.sub("[^0-9]", "", sender.number))
            calls.append(CallBack(channel, sms_id, sender.number, text))
    return queued, calls


def _concerned(
    session: Session, plan: Plan, event: str, number: str, did: str, context: str, now: float
) -> Iterator[Hook]:
    """The hooks whose filters let this through."""
    minute = minute_of_day(now)
    for hook in session.scalars(select(Hook).where(Hook.active, Hook.event == event).order_by(Hook.id)).all():
        if (
            hook.context in ("", context)
            and hook.did in ("", did_form(plan, did))
            and number.startswith(hook.prefix)
            and in_hours(hook.hours_from, hook.hours_to, minute)
        ):
            yield hook


def _is_excluded(session: Session, hook: Hook, number: str) -> bool:
    member = session.get(Member, (hook.list_id, number)) if hook.list_id is not None else None
    return member is not None and member.excluded


def _first_time(session: Session, hook: Hook, number: str, now: float) -> bool:
    """Whether the hook may act for the number now, and note that it did. Of two daemons only one gets True."""
    this = (HookRun.hook_id == hook.id) & (HookRun.number == number)
    # Looked at without a lock first: on MariaDB an UPDATE that finds no row locks the gap, and two daemons deadlock.
    if session.scalar(select(HookRun.at).where(this)) is not None:
        again = update(HookRun).where(this, HookRun.at <= now - hook.every_hours * 3600).values(at=now)
        changed = session.execute(again).rowcount  # type: ignore[attr-defined]
        return bool(changed) or not hook.every_hours
    try:
        with session.begin_nested():
            session.execute(insert(HookRun).values(hook_id=hook.id, number=number, at=now))
    except IntegrityError:  # another daemon was quicker
        return False
    return True


def _write(
    session: Session, config: Config, plan: Plan, hook: Hook, number: str, values: dict[str, str], now: float
) -> bool:
    """Queue the hook's text for the number. A refused one does not count as written to, unless the hook calls back."""
    values = {**values, "time": f"{datetime.fromtimestamp(now):%H:%M}"}
    # Literally, each field once: a value with braces in it is text, never a field.
    text = FIELD.sub(lambda field: values[field[1]][:40], hook.template)
    trunk = session.get(Trunk, hook.trunk_id) if hook.trunk_id else None
    reply = requests.take(
        session,
        config,
        plan,
        caller=number,
        number=number,
        text=text,
        trunk=trunk.name if trunk else "",
        sender_id=hook.sender_id,
        now=now,
    )
    if reply.status is Status.REFUSED:
        log.warning("hook %s: nothing is sent to %s: %s", hook.name, number, reply.error)
        if not hook.call_back:  # else a stranger whose limit is reached could have himself called as often as he writes
            this = (HookRun.hook_id == hook.id) & (HookRun.number == number)
            session.execute(update(HookRun).where(this).values(at=0.0))
        return False
    return True
