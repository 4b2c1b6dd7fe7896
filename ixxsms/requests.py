"""The one door through which the dialplan, AMI events, hooks and SIP phones send: each SMS is counted and limited.

Knows the limits against abuse and who asked. Must never raise for what a caller wrote: he gets a Reply.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, case, delete, func, insert, select
from sqlalchemy.orm import Session

from ixxsms import outbox, trunks
from ixxsms.config import Config
from ixxsms.errors import BadInput, NotFound
from ixxsms.models import Request
from ixxsms.numbering import Plan, check, digits

__all__ = ["Ask", "Reply", "Status", "clean_caller", "forget_old", "take", "take_all"]

log = logging.getLogger(__name__)

HOUR, DAY = 3600.0, 24 * 3600.0

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class Status(StrEnum):
    """What Asterisk is told, in the variable SMSSTATUS."""

    SENT = "SENT"
    QUEUED = "QUEUED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: the message's id (0: none), and why it was not taken, in one sentence.

    `limited`: a limit against abuse refused it, not its number or its text.
    """

    status: Status
    id: int = 0
    error: str = ""
    segments: int = 0
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One SMS that somebody asks for.

    `caller`: who is counted: the number of the call, "sip:phone1", "hook:name". `asked_id`: his own id for the
    message, by which he is told of its states. `urgent`: somebody waits for the outcome.
    """

    caller: str
    number: str
    text: str
    trunk: str = ""
    sender_id: str = ""
    asked_id: str | None = None
    urgent: bool = False


def take(
    session: Session,
    config: Config,
    plan: Plan,
    *,
    caller: str,
    number: str,
    text: str,
    trunk: str = "",
    sender_id: str = "",
    now: float,
    asked_id: str | None = None,
    urgent: bool = False,
) -> Reply:
    """Queue one SMS for somebody on Asterisk's side, if the limits allow it. The arguments are those of Ask."""
    ask = Ask(caller, number, text, trunk, sender_id, asked_id, urgent)
    return take_all(session, config, plan, [ask], now)[0]


def take_all(session: Session, config: Config, plan: Plan, asks: Sequence[Ask], now: float) -> list[Reply]:
    """As `take`, for several at once: with so few statements that each costs little."""
    counts = _Counts(session, config, {clean_caller(ask.caller) for ask in asks}, now)
    trunk_ids = {name: _trunk_id(session, name) for name in {ask.trunk for ask in asks}}
    numbers = {check(plan, ask.number).number for ask in asks} - {""}
    out = outbox.opted_out(session, numbers) if numbers else set()
    taken: list[outbox.Draft | Reply] = [
        _take(config, plan, ask, counts, trunk_ids[ask.trunk], out, now) for ask in asks
    ]
    messages = [message for message in taken if isinstance(message, outbox.Draft)]
    outbox.add(session, messages)
    if messages:
        session.connection().execute(_LET_THROUGH, [{"caller": caller, "at": now} for caller in counts.new])
    return [one if isinstance(one, Reply) else Reply(Status.QUEUED, one.id, "", one.segments) for one in taken]


def _take(
    config: Config,
    plan: Plan,
    ask: Ask,
    counts: _Counts,
    trunk_id: int | NotFound | None,
    out: Collection[str],
    now: float,
) -> outbox.Draft | Reply:
    caller, checked = clean_caller(ask.caller), check(plan, ask.number)
    if checked.number in out:
        return Reply(Status.REFUSED, error=outbox.refusal(checked.number))
    over = checked.valid and (_wrong_prefix(config, checked.number) or counts.over(caller))
    if over:
        log.warning("no SMS from %s to %s: %s", caller, checked.number, over)
        return Reply(Status.REFUSED, error=over, limited=True)
    try:
        if isinstance(trunk_id, NotFound):
            raise trunk_id
        message = outbox.prepare(
            plan,
            ask.number,
            ask.text,
            now=now,
            max_segments=config.max_segments,
            trunk_id=trunk_id,
            sender_id=ask.sender_id,
            urgency=outbox.NOW if ask.urgent else 0,
        )
    except (BadInput, NotFound) as error:
        return Reply(Status.REFUSED, error=str(error))
    message.asked_id = ask.asked_id[:64] if ask.asked_id else None
    counts.new.append(caller)
    return message


def _trunk_id(session: Session, name: str) -> int | NotFound | None:
    try:
        return trunks.get(session, name).id if name else None
    except NotFound as error:
        return error


class _Counts:
    """How many were let through of late, and `new`, the callers of those that are let through now."""

    def __init__(self, session: Session, config: Config, callers: Collection[str], now: float) -> None:
        self.new: list[str] = []
        self._config = config
        self._hour, self._day = dict[str, int](), dict[str, int]()
        self._all = 0
        connection = session.connection()
        if config.request_per_caller_hour or config.request_per_caller_day:
            since = {"callers": list(callers), "hour": now - HOUR, "day": now - DAY}
            for row in connection.execute(_PER_CALLER, since):
                self._day[row.caller], self._hour[row.caller] = row.day, row.hour
        if config.request_per_day:
            self._all = connection.scalar(_IN_ALL, {"day": now - DAY}) or 0

    def over(self, caller: str) -> str:
        """Which limit does not allow one more of this caller, as a sentence; empty where all do."""
        mine, config = self.new.count(caller), self._config
        for most, counted, named in (
            (config.request_per_caller_hour, self._hour.get(caller, 0) + mine, "caller and hour"),
            (config.request_per_caller_day, self._day.get(caller, 0) + mine, "caller and day"),
            (config.request_per_day, self._all + len(self.new), "day"),
        ):
            if most and counted >= most:
                setting = "request_per_" + named.replace(" and ", "_")
                return f"Only {most} SMS are allowed per {named} (setting {setting})."
        return ""


def forget_old(session: Session, now: float) -> None:
    """Requests older than a day count for nothing."""
    session.execute(delete(Request).where(Request.at < now - DAY))


# Built once: they are run for every call.
_PER_CALLER = (
    select(
        Request.caller,
        func.count().label("day"),
        func.sum(case((Request.at > bindparam("hour"), 1), else_=0)).label("hour"),
    )
    .where(Request.caller.in_(bindparam("callers", expanding=True)), Request.at > bindparam("day"))
    .group_by(Request.caller)
)
_IN_ALL = select(func.count()).select_from(Request).where(Request.at > bindparam("day"))
_LET_THROUGH = insert(Request.__table__)  # type: ignore[arg-type]


def clean_caller(caller: str) -> str:
    """A caller's name for tables and logs: what he wrote himself cannot break a line there, nor fill it."""
    return _UNSEEN.sub(" ", caller).strip()[:80] or "unknown"


def _wrong_prefix(config: Config, number: str) -> str:
    if _may_be_written_to(config, number):
        return ""
    return "This number is not one that Asterisk may write to (setting request_prefixes)."


def _may_be_written_to(config: Config, number: str) -> bool:
    """Whether a number in normal form begins as the settings want it; the own country's have no plus."""
    written = [part.strip().removeprefix("+") for part in config.request_prefixes.split(",")]
    prefixes = tuple(part.removeprefix("00") for part in written if part)
    return digits(number).startswith(prefixes) if prefixes else not number.startswith("+")
