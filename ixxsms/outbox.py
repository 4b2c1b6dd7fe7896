"""The outbox: messages on their way. The only file that changes a message's state, always by a guarded UPDATE.

A claim takes queued messages straight to submitted, no more than the driver has room for; its transaction is
committed before the first byte is written. So after a crash what is still queued has certainly not left, and what is
submitted, a window's worth at most, is in doubt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, or_, select, update
from sqlalchemy.orm import Session

from ixxsms import text as sms_text
from ixxsms.errors import BadInput, NotFound
from ixxsms.events import Accepted, Deferred, InDoubt, Outcome, Refused
from ixxsms.models import Campaign, Message, Segment
from ixxsms.numbering import Plan, check, check_sender_id
from ixxsms.smpp.receipt import remote_id_keys
from ixxsms.states import OPEN, MessageState, sources

__all__ = ["cancel", "counts", "enqueue", "exclude", "get", "rows", "segments_to_send"]

#: Urgency of a message that somebody waits for: it goes first, and one round over the trunks decides it.
NOW = 10

#: A message that was passed on to a trunk that has since gone down starts a new round after this many seconds.
PASSED_ON_FOR = 60.0

#: Settings.max_attempts doubles the wait each time; no wait is longer than this, in seconds.
LONGEST_WAIT = 3600.0

_IN_ONE_STATEMENT = 500

# A literal, not a parameter: SQLite uses a partial index only if it sees its condition in the statement.
_QUEUED: ColumnElement[bool] = Message.state == literal_column("'queued'")


@dataclass(frozen=True)
class Source:
    """Where a trunk may claim from: a campaign, or the outgoing queue where `campaign_id` is None.

    `named`: the campaign is bound to this trunk, so no other trunk's turn comes before.
    """

    campaign_id: int | None = None
    text: str = ""
    sender_id: str = ""
    named: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is now submitted, with the text and the sender id that count (the trunk's may still follow)."""

    id: int
    number: str
    text: str
    sender_id: str
    segments: int


@dataclass(frozen=True)
class Retry:
    """What becomes of a deferred message: how often it is tried, and the first wait in seconds."""

    max_attempts: int
    first_wait: float


# -- in ------------------------------------------------------------------------------------------------------------


def enqueue(
    session: Session,
    plan: Plan,
    number: str,
    text: str,
    *,
    now: float,
    max_segments: int,
    trunk_id: int | None = None,
    sender_id: str = "",
    urgency: int = 0,
) -> Message:
    """Put one message into the outgoing queue. Raises BadInput: bad number, empty or too long text, bad sender id."""
    checked = check(plan, number)
    if not checked.valid:
        raise BadInput(f'"{number[:32]}" cannot be written to: {checked.reason}.')
    message = Message(
        number=checked.number,
        text=check_text(text, max_segments),
        segments=sms_text.segments(text),
        sender_id=check_sender_id(sender_id) or None,
        trunk_id=trunk_id,
        urgency=urgency,
        state=MessageState.QUEUED,
        created_at=now,
    )
    session.add(message)
    session.flush()
    return message


def check_text(text: str, max_segments: int) -> str:
    """The text. Raises BadInput: empty, or more segments than the setting max_segments allows."""
    if not text.strip():
        raise BadInput("The text must not be empty.")
    needed = sms_text.segments(text)
    if needed > max_segments:
        raise BadInput(f"The text needs {needed} segments, and {max_segments} are allowed (setting max_segments).")
    return text


# -- claim ---------------------------------------------------------------------------------------------------------


def claim(
    session: Session,
    trunk_id: int,
    daemon_id: int,
    places: Sequence[Source],
    *,
    room: float,
    better: Collection[int],
    now: float,
    only: int | None = None,
) -> list[Claimed]:
    """Take messages for this trunk: queued becomes submitted. The caller commits before it writes one byte of them.

    `room`: segments that the trunk takes now; the last message may overrun it. `better`: the trunks of higher
    priority that may take messages now; what is not bound to a trunk is theirs until they have passed it on.
    `only`: consider just this message.
    """
    claimed: list[Claimed] = []
    for place in places:
        if room < 1:
            break
        for row in session.execute(_waiting(trunk_id, place, better, now, only).limit(int(min(room, 1000)))):
            claimed.append(
                Claimed(
                    row.id,
                    row.number,
                    place.text if row.text is None else row.text,
                    row.sender_id or place.sender_id,
                    row.segments,
                )
            )
            room -= row.segments
            if room < 1:
                break
    step = {"state": MessageState.SUBMITTED, "daemon_id": daemon_id, "via_trunk_id": trunk_id, "submitted_at": now}
    for ids in _chunks([message.id for message in claimed]):
        session.execute(update(Message).where(Message.id.in_(ids)).values(**step, attempts=Message.attempts + 1))
    return claimed


def has_work(
    session: Session,
    trunk_id: int,
    places: Sequence[Source],
    *,
    better: Collection[int],
    now: float,
    only: int | None = None,
) -> bool:
    """Whether a claim would find something."""
    return any(
        session.execute(_waiting(trunk_id, place, better, now, only, lock=False).limit(1)).first() is not None
        for place in places
    )


def _waiting(
    trunk_id: int, place: Source, better: Collection[int], now: float, only: int | None, lock: bool = True
) -> Any:
    """The queued messages of one place that this trunk may take, in their order."""
    columns = (Message.id, Message.number, Message.text, Message.sender_id, Message.segments)
    statement = select(*columns).where(_QUEUED, Message.not_before <= now)
    if place.campaign_id is None:
        statement = statement.where(
            Message.campaign_id.is_(None),
            or_(Message.trunk_id == trunk_id, and_(Message.trunk_id.is_(None), _turn(trunk_id, better))),
        ).order_by(Message.urgency.desc(), Message.not_before, Message.id)
    else:
        statement = statement.where(Message.campaign_id == place.campaign_id)
        if not place.named:
            statement = statement.where(_turn(trunk_id, better))
        statement = statement.order_by(Message.not_before, Message.id)
    if only is not None:
        statement = statement.where(Message.id == only)
    return statement.with_for_update(skip_locked=True) if lock else statement


def _turn(trunk_id: int, better: Collection[int]) -> ColumnElement[bool]:
    """It is this trunk's turn: it has not passed the message on, and every better trunk has."""
    conditions: list[ColumnElement[bool]] = [Message.tried.not_like(f"%,{trunk_id},%")]
    if better:
        # The literal lets SQLite and PostgreSQL use the index of the few messages that were passed on.
        conditions.append(Message.tried != literal_column("''"))
        conditions += [Message.tried.like(f"%,{other},%") for other in sorted(better)]
    return and_(*conditions)


# -- record --------------------------------------------------------------------------------------------------------


def record(
    session: Session,
    trunk_id: int,
    outcomes: Sequence[Outcome],
    *,
    now: float,
    retry: Retry,
    others: Collection[int] = (),
    resend_in_doubt: bool = False,
) -> None:
    """Write the outcomes down. `others`: the other trunks that may take a message now, for what is passed on.

    Recording an outcome twice, or one of a message that a receipt has settled meanwhile, changes nothing.
    """
    _record_accepted(session, [o for o in outcomes if isinstance(o, Accepted)], now)
    _record_refused(session, [o for o in outcomes if isinstance(o, Refused)], now)
    _record_deferred(session, trunk_id, [o for o in outcomes if isinstance(o, Deferred)], now, retry, others)
    _record_in_doubt(session, [o for o in outcomes if isinstance(o, InDoubt)], now, resend_in_doubt)


def _record_accepted(session: Session, outcomes: list[Accepted], now: float) -> None:
    step = {"accepted_at": now, "settled_at": None, "code": "", "reason": ""}
    _step_each(
        session,
        MessageState.ACCEPTED,
        [{"b_id": o.message_id, **step, **_remote(o.remote_ids)} for o in outcomes],
    )
    _keep_segments(session, outcomes)


def _record_refused(session: Session, outcomes: list[Refused], now: float) -> None:
    _step_each(
        session,
        MessageState.REFUSED,
        [{"b_id": o.message_id, "settled_at": now, "code": o.code[:16], "reason": o.reason[:255]} for o in outcomes],
    )


def _record_in_doubt(session: Session, outcomes: list[InDoubt], now: float, resend: bool) -> None:
    if resend:
        _step_each(
            session,
            MessageState.QUEUED,
            [{"b_id": o.message_id, "reason": o.reason[:255], "tried": "", "not_before": now} for o in outcomes],
        )
        return
    _step_each(
        session,
        MessageState.IN_DOUBT,
        [
            {"b_id": o.message_id, "settled_at": now, "reason": o.reason[:255], **_remote(o.remote_ids)}
            for o in outcomes
        ],
    )
    _keep_segments(session, outcomes)


def _record_deferred(
    session: Session,
    trunk_id: int,
    outcomes: list[Deferred],
    now: float,
    retry: Retry,
    others: Collection[int],
) -> None:
    """Pass each on to the next trunk, or let it wait for a new round, or give it up after the last."""
    by_id = {o.message_id: o for o in outcomes}
    passed_on, waiting, given_up = [], [], []
    for ids in _chunks(list(by_id)):
        for row in session.execute(
            select(Message.id, Message.tried, Message.attempts, Message.urgency, _bound())
            .outerjoin(Campaign, Campaign.id == Message.campaign_id)
            .where(Message.id.in_(ids))
        ):
            outcome = by_id[row.id]
            told = {"b_id": row.id, "code": outcome.code[:16], "reason": outcome.reason[:255]}
            tried = {int(part) for part in row.tried.split(",") if part} | {trunk_id}
            attempts = row.attempts if outcome.counted else row.attempts - 1
            if outcome.elsewhere and not row.bound and set(others) - tried:
                # The round goes on with the next trunk: it counts when it is over.
                listed = "," + ",".join(map(str, sorted(tried))) + ","
                passed_on.append({**told, "tried": listed, "not_before": now, "attempts": row.attempts - 1})
            elif outcome.counted and attempts >= (1 if row.urgency >= NOW else retry.max_attempts):
                given_up.append({**told, "settled_at": now, "attempts": attempts})
            else:
                wait = _wait(outcome, attempts, retry)
                waiting.append({**told, "tried": "", "not_before": now + wait, "attempts": attempts})
    _step_each(session, MessageState.QUEUED, passed_on)
    _step_each(session, MessageState.QUEUED, waiting)
    _step_each(session, MessageState.REFUSED, given_up)


def _bound() -> Any:
    return func.coalesce(Message.trunk_id, Campaign.trunk_id).label("bound")


def _wait(outcome: Deferred, attempts: int, retry: Retry) -> float:
    if not outcome.counted:
        return 0.0
    first = retry.first_wait if outcome.retry_after is None else outcome.retry_after
    return float(min(LONGEST_WAIT, first * 2 ** max(0, attempts - 1)))


def remote_key(remote_id: str) -> str:
    """The normal form under which receipts look for a remote id."""
    return next(iter(remote_id_keys(remote_id)), "")[:65]


def _remote(remote_ids: tuple[str, ...]) -> dict[str, Any]:
    first = remote_ids[0][:65] if remote_ids else None
    return {"remote_id": first, "remote_key": (remote_key(first) or None) if first else None}


def _keep_segments(session: Session, outcomes: Iterable[Accepted | InDoubt]) -> None:
    """The remote ids of the segments of long messages: each segment has a receipt of its own."""
    segments = [
        Segment(message_id=o.message_id, part=part, remote_id=remote_id[:65], remote_key=remote_key(remote_id))
        for o in outcomes
        if len(o.remote_ids) > 1
        for part, remote_id in enumerate(o.remote_ids, 1)
    ]
    for segment in segments:
        session.merge(segment)


def _step_each(session: Session, target: MessageState, changes: list[dict[str, Any]]) -> None:
    """Bring each message (`b_id`) to the state, with its other values, if the table of states allows it."""
    if not changes:
        return
    names = [name for name in changes[0] if name != "b_id"]
    statement = (
        update(Message.__table__)  # type: ignore[arg-type]
        .where(Message.__table__.c.id == bindparam("b_id"), _is_one_of(sources(target)))
        .values(state=target, daemon_id=None, **{name: bindparam(name) for name in names})
    )
    session.connection().execute(statement, changes)


def _is_one_of(states: Iterable[MessageState]) -> ColumnElement[bool]:
    # Literals of our own: a list of parameters cannot be used for many rows at once.
    return or_(*[Message.__table__.c.state == literal_column(f"'{word}'") for word in _words(states)])


def _words(states: Iterable[MessageState]) -> list[str]:
    return sorted(str(state) for state in states)


# -- settle --------------------------------------------------------------------------------------------------------


def settle(session: Session, delivered: dict[int, bool], codes: dict[int, str], now: float) -> None:
    """A receipt's final word on these messages: True delivered, False undelivered."""
    for target, wanted in ((MessageState.DELIVERED, True), (MessageState.UNDELIVERED, False)):
        _step_each(
            session,
            target,
            [
                {"b_id": message_id, "settled_at": now, "reason": codes.get(message_id, "")[:255]}
                for message_id, value in delivered.items()
                if value is wanted
            ],
        )


def settle_dead(
    session: Session, daemon_ids: Sequence[int], now: float, resend_in_doubt: bool, trunk_id: int | None = None
) -> int:
    """What dead daemons (or their dead sender of one trunk) had submitted may have left: it is in doubt.

    Returns how many messages that were.
    """
    held = select(Message.id).where(Message.daemon_id.in_(daemon_ids))
    if trunk_id is not None:
        held = held.where(Message.via_trunk_id == trunk_id)
    outcomes = [InDoubt(message_id, "the daemon ended before the answer") for message_id in session.scalars(held)]
    _record_in_doubt(session, outcomes, now, resend_in_doubt)
    return len(outcomes)


def give_back(session: Session, trunk_id: int, daemon_id: int, owed: Collection[int]) -> None:
    """Queue again what this living daemon claimed for the trunk but never got: a commit failed on its way back."""
    held = session.scalars(select(Message.id).where(Message.daemon_id == daemon_id, Message.via_trunk_id == trunk_id))
    lost = [{"b_id": message_id} for message_id in held if message_id not in owed]
    _step_each(session, MessageState.QUEUED, lost)


def new_rounds(session: Session, now: float) -> None:
    """Messages that wait in vain for a trunk they were passed on to start again with the first trunk."""
    session.execute(
        update(Message)
        .where(_QUEUED, Message.tried != literal_column("''"), Message.not_before < now - PASSED_ON_FOR)
        .values(tried="")
    )


def expire(session: Session, before: float, now: float) -> None:
    """Messages without a campaign that were queued before that time and never left."""
    session.execute(
        update(Message)
        .where(_QUEUED, Message.campaign_id.is_(None), Message.created_at < before)
        .values(state=MessageState.EXPIRED, settled_at=now, reason="no trunk took it in time")
    )


def exclude(session: Session, list_id: int, number: str, now: float) -> int:
    """A member was excluded from its list: what is still queued for it must not go. Returns how many messages."""
    campaigns = select(Campaign.id).where(Campaign.list_id == list_id)
    changed = session.execute(
        update(Message)
        .where(_QUEUED, Message.campaign_id.in_(campaigns), Message.number == number)
        .values(state=MessageState.EXCLUDED, settled_at=now, reason="excluded from the list")
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def cancel(session: Session, message_id: int, reason: str, now: float) -> bool:
    """Take a message back. False where it has been claimed or settled already."""
    changed = session.execute(
        update(Message)
        .where(_QUEUED, Message.id == message_id)
        .values(state=MessageState.CANCELLED, settled_at=now, reason=reason[:255])
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


# -- look ----------------------------------------------------------------------------------------------------------


def get(session: Session, message_id: int) -> Message:
    """One message. Raises NotFound."""
    message = session.get(Message, message_id, populate_existing=True)
    if message is None:
        raise NotFound(f"There is no message {message_id}.")
    return message


def counts(session: Session, campaign_id: int | None) -> dict[str, int]:
    """How many messages of a campaign (None: of the outgoing queue) are in each state; every state is named."""
    found: Any = session.execute(select(Message.state, func.count()).where(_of(campaign_id)).group_by(Message.state))
    return {str(state): 0 for state in MessageState} | {state: count for state, count in found}


def segments_to_send(session: Session, campaign_id: int | None) -> int:
    """How many segments are still to be sent."""
    total = session.scalar(select(func.sum(Message.segments)).where(_of(campaign_id), Message.state.in_(_words(OPEN))))
    return int(total or 0)


def rows(
    session: Session,
    campaign_id: int | None,
    *,
    state: str | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterable[Message]:
    """The messages of a campaign (None: of the outgoing queue). Raises BadInput: no such state."""
    statement = select(Message).where(_of(campaign_id)).order_by(Message.id.desc() if newest_first else Message.id)
    if state:
        if state not in list(MessageState):
            raise BadInput(f'"{state}" is no state of a message; the states are {", ".join(MessageState)}.')
        statement = statement.where(Message.state == state)
    return session.scalars(statement.limit(limit).execution_options(yield_per=1000))


def _of(campaign_id: int | None) -> ColumnElement[bool]:
    return Message.campaign_id.is_(None) if campaign_id is None else Message.campaign_id == campaign_id


def _chunks(ids: list[int]) -> Iterable[list[int]]:
    return (ids[at : at + _IN_ONE_STATEMENT] for at in range(0, len(ids), _IN_ONE_STATEMENT))
