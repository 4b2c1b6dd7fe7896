"""What comes in from outside, kept and obeyed in one transaction: the inbox, and the words by which numbers opt out.

Verbs take an open session and never commit. That it obeys before anybody else acts on an SMS, and without Asterisk, is
why this is no hook.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ixxsms import inbox, numbering_plan, optouts, outbox
from ixxsms.config import Config
from ixxsms.errors import BadInput
from ixxsms.events import Received
from ixxsms.models import Incoming, OptOut, Request
from ixxsms.numbering import Check, Plan, check, check_incoming, digits
from ixxsms.optouts import Wish

__all__ = ["give_up", "keep", "opts_out"]

log = logging.getLogger(__name__)

DAY = 24 * 3600.0


def keep(
    session: Session,
    config: Config,
    trunk_id: int,
    received: Iterable[Received],
    now: float,
    doubtful: Collection[float] = (),
) -> None:
    """Keep what came in through a trunk (see inbox.store), and do what its keywords ask for."""
    plan = numbering_plan.find(session)
    read = [_read(plan, sms) for sms in received]
    for sms in inbox.store(session, trunk_id, read, now, doubtful):
        _obey(session, config, plan, sms, now)


def give_up(session: Session, config: Config, now: float) -> None:
    """What has come of long SMS is taken as it is after a day: see inbox.give_up."""
    for sms in inbox.give_up(session, now):
        _obey(session, config, numbering_plan.find(session), sms, now)


def opts_out(config: Config, text: str) -> bool:
    """Whether somebody who writes this opts out."""
    return bool(config.optout) and _wish(config, text) is Wish.OUT


def _wish(config: Config, text: str) -> Wish | None:
    if text.startswith(inbox.GAP):  # its first word is not known
        return None
    return optouts.wish(text, config.optout_keywords)


def _read(plan: Plan | None, sms: Received) -> Received:
    """With a number of another country in normal form, so that whoever answers it, phones and the dialplan too, writes
    to that number; everything else stays as it came, without a plus.
    """
    if plan is None:
        return sms
    source, destination = check_incoming(plan, sms.source).number, check(plan, sms.destination).number
    return replace(
        sms,
        source=source if source.startswith("+") else digits(sms.source),
        destination=destination if destination.startswith("+") else digits(sms.destination),
    )


def _obey(session: Session, config: Config, plan: Plan | None, sms: Incoming, now: float) -> None:
    wish = _wish(config, sms.text) if config.optout else None
    if plan is None or wish is None or _is_our_own(config, sms.text):  # nothing is sent before there is a plan
        return
    sender = check_incoming(plan, sms.source)
    if not sender.valid:  # a name or a short code: nothing can be sent to it
        return
    if wish is Wish.OUT:
        if optouts.add(session, plan, sender.number, now=now, note=sms.text.strip()[:120], source="sms").added:
            log.info("%s has opted out", sender.number)
            _answer(session, config, plan, sender, config.optout_text, outbox.FAREWELL, now)
    elif session.get(OptOut, sender.number) is not None:
        optouts.remove(session, plan, sender.number)
        log.info("%s may be written to again", sender.number)
        _answer(session, config, plan, sender, config.optin_text, 0, now)


def _is_our_own(config: Config, text: str) -> bool:
    """Whether it repeats what we answer: a robot may well send back what it is sent."""
    said = " ".join(optouts.words(text))
    return any(
        answer and answer in said
        for answer in (" ".join(optouts.words(each)) for each in (config.optout_text, config.optin_text))
    )


def _answer(session: Session, config: Config, plan: Plan, sender: Check, text: str, urgency: int, now: float) -> None:
    """Queue an answer where one is configured, for a mobile, once a day: two robots must not talk for ever."""
    if not text or not sender.mobile:
        return
    asker = f"{'optout' if urgency else 'optin'}:{sender.number}"
    if session.scalar(select(Request.id).where(Request.caller == asker, Request.at > now - DAY).limit(1)) is not None:
        return
    try:
        outbox.enqueue(session, plan, sender.number, text, now=now, max_segments=config.max_segments, urgency=urgency)
    except BadInput as error:
        log.warning("%s is not answered: %s", sender.number, error)
        return
    session.add(Request(caller=asker, at=now))
    session.flush()
