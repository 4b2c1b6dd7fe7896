"""Outcomes: what becomes of a submitted message when its trunk, its receipt, or nobody has answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from ixxsms.bulk import one_of, read_by_index, update_columns, update_each
from ixxsms.events import Accepted, Deferred, Heard, InDoubt, Outcome, Refused
from ixxsms.models import Campaign, Daemon, Message, Segment
from ixxsms.outbox.leases import IS_FRESH, spell_out_of, spell_out_orphans, spell_out_some
from ixxsms.outbox.queue import NOW, PASSED_ON_FOR, may_go
from ixxsms.outbox.steps import FRESH, MOST_TRIED, SUBMITTED, TABLE, chunks, listed, step_each, tried_by, words
from ixxsms.outbox.turns import NextTrunks, Turn
from ixxsms.smpp.receipt import remote_id_key
from ixxsms.states import MessageState, sources

#: The wait before a new round doubles each time; none is longer than this, in seconds.
LONGEST_WAIT = 3600.0

#: A trunk that says "later" is asked so often; then the next one may try, where there is one.
MOST_RETRIES = 3

#: With the setting resend_in_doubt a message is sent so often at most: an SMSC that never answers is not fed for ever.
MOST_RESENDS = 5

_ACCEPTED = (
    ("state", f"'{MessageState.ACCEPTED}'"),
    # A claim counts the attempt, a lease does not. It must not depend on what is set here: in a join MariaDB promises
    # no order.
    ("attempts", f"messages.attempts + CASE WHEN messages.not_before = {FRESH!r} THEN 1 ELSE 0 END"),
    ("daemon_id", "NULL"),
    ("doubt_number", "NULL"),
    ("settled_at", "NULL"),
    ("code", "''"),
    ("reason", "''"),
)
_MAY_BE_ACCEPTED = f"{one_of('messages.state', words(sources(MessageState.ACCEPTED)))} OR ({IS_FRESH})"

_Outcome = TypeVar("_Outcome", Deferred, InDoubt)


@cache
def _may_be_accepted(trunk_id: int, daemon_id: int) -> str:
    """For an answer that this daemon has heard from this trunk: not where another one has the message by now, nor where
    it is in doubt on another trunk, whose receipts it waits for.
    """
    here = f"messages.via_trunk_id = {trunk_id:d}"
    settled = one_of("messages.state", words(sources(MessageState.ACCEPTED) - SUBMITTED))
    nobodys = "messages.daemon_id NOT IN (SELECT daemons.id FROM daemons)"  # and to be settled as an orphan
    mine = f"{here} AND messages.daemon_id = {daemon_id:d}"
    submitted = f"messages.state = '{MessageState.SUBMITTED}' AND ({mine} OR {nobodys})"
    return f"({settled} AND {here}) OR ({IS_FRESH}) OR ({submitted})"


@dataclass(frozen=True)
class Retry:
    """What becomes of a deferred message: how often it is tried, and the first wait in seconds."""

    max_attempts: int
    first_wait: float


def record(
    session: Session,
    trunk_id: int,
    heard: Heard,
    *,
    now: float,
    retry: Retry,
    others: Collection[int] = (),
    routes: Mapping[int, Turn] | None = None,
    resend_in_doubt: bool = False,
    cdr_due: bool = False,
    daemon_id: int | None = None,
    since: Mapping[int, float] | None = None,
) -> None:
    """Write down the outcomes among what was heard. `others`: the other trunks that may take a message now, for what is
    passed on. `routes`: how this trunk stands on its routes, for what has one; None: `others` are for every message.

    `cdr_due`: what is accepted is to have a call record. `daemon_id`: who held the messages; what somebody else has
    claimed since is not taken from him. `since`: when the messages were claimed.

    Recording an outcome twice, or one of a message that a receipt has settled meanwhile, changes nothing.
    """
    read_by_index(session)
    guard = _MAY_BE_ACCEPTED if daemon_id is None else _may_be_accepted(trunk_id, daemon_id)
    _record_accepted(session, trunk_id, heard.of(Accepted), now, cdr_due, since, guard)
    others_heard: list[Outcome] = [*heard.of(Refused), *heard.of(Deferred), *heard.of(InDoubt)]
    if daemon_id is not None:
        spell_out_some(session, [o.message_id for o in others_heard], trunk_id, daemon_id, since, now)
    refused = _settleable(session, trunk_id, daemon_id, heard.of(Refused))
    _record_refused(session, refused, now)
    deferred = _held(session, trunk_id, daemon_id, heard.of(Deferred))
    _record_deferred(session, trunk_id, deferred, now, retry, others, routes)
    in_doubt = _held(session, trunk_id, daemon_id, heard.of(InDoubt))
    _record_in_doubt(session, in_doubt, now, resend_in_doubt)


def _held(session: Session, trunk_id: int, daemon_id: int | None, outcomes: list[_Outcome]) -> list[_Outcome]:
    """Those of messages that are still submitted by this daemon to this trunk.

    An outcome may be recorded twice, when a commit's answer was lost; meanwhile another trunk may have the message.
    """
    if not outcomes:
        return []
    mine = [Message.state == str(MessageState.SUBMITTED), Message.via_trunk_id == trunk_id]
    if daemon_id is not None:
        mine.append(Message.daemon_id == daemon_id)
    held: set[int] = set()
    for ids in chunks([o.message_id for o in outcomes]):
        held.update(session.scalars(select(Message.id).where(Message.id.in_(ids), *mine)))
    return [o for o in outcomes if o.message_id in held]


def _settleable(session: Session, trunk_id: int, daemon_id: int | None, outcomes: list[Refused]) -> list[Refused]:
    """Those of messages that this daemon has submitted to this trunk, or that are in doubt on it: what is on its way
    again has its own answer to come.
    """
    if not outcomes or daemon_id is None:
        return outcomes
    here = Message.via_trunk_id == trunk_id
    nobodys = Message.daemon_id.not_in(select(Daemon.id))
    submitted = and_(
        Message.state == str(MessageState.SUBMITTED), or_(and_(here, Message.daemon_id == daemon_id), nobodys)
    )
    may = or_(submitted, and_(Message.state == str(MessageState.IN_DOUBT), here))
    found: set[int] = set()
    for ids in chunks([o.message_id for o in outcomes]):
        found.update(session.scalars(select(Message.id).where(Message.id.in_(ids), may).with_for_update(of=Message)))
    return [o for o in outcomes if o.message_id in found]


def _record_accepted(
    session: Session,
    trunk_id: int | None,
    outcomes: list[Accepted],
    now: float,
    cdr_due: bool,
    since: Mapping[int, float] | None = None,
    guard: str = _MAY_BE_ACCEPTED,
) -> None:
    """`trunk_id`, `since`: through which trunk, and since when, what the trunk has on a lease."""
    ids = [o.message_id for o in outcomes]
    remote_ids = [(o.remote_ids[0][:65] or None) if o.remote_ids else None for o in outcomes]
    columns: dict[str, Sequence[Any]] = {
        "submitted_at": [since.get(message_id, now) for message_id in ids] if since else [now] * len(ids),
        "remote_id": remote_ids,
        "remote_key": [(remote_id_key(remote_id) or None) if remote_id else None for remote_id in remote_ids],
        "id": ids,
    }
    update_columns(
        session,
        TABLE,
        columns,
        same={"via_trunk_id": trunk_id, "accepted_at": now, "cdr_due": cdr_due},
        unless_set=("submitted_at", "via_trunk_id"),
        fixed=_ACCEPTED,
        guard=guard,
    )
    # Only of those that became accepted by this answer: another trunk's late one must not replace the ids of this.
    firsts = dict(zip(ids, columns["remote_key"], strict=True))
    long = [o for o in outcomes if len(o.remote_ids) > 1]
    taken: set[int] = set()
    for some in chunks([o.message_id for o in long]):
        rows = session.execute(select(Message.id, Message.remote_key).where(Message.id.in_(some)))
        taken.update(row.id for row in rows if row.remote_key == firsts[row.id])
    _keep_segments(session, [o for o in long if o.message_id in taken])


def _record_refused(session: Session, outcomes: list[Refused], now: float) -> None:
    step_each(
        session,
        MessageState.REFUSED,
        [{"id": o.message_id, "settled_at": now, "code": o.code[:16], "reason": o.reason[:255]} for o in outcomes],
    )


def _record_in_doubt(session: Session, outcomes: list[InDoubt], now: float, resend: bool) -> None:
    if resend:
        at: dict[int, float] = {}
        for ids in chunks([o.message_id for o in outcomes]):
            seldom = Message.attempts < MOST_RESENDS
            for row in session.execute(select(Message.id, Message.urgency).where(Message.id.in_(ids), seldom)):
                at[row.id] = may_go(row.urgency, now)
        step_each(
            session,
            MessageState.QUEUED,
            [
                {"id": o.message_id, "reason": o.reason[:255], "tried": "", "not_before": at[o.message_id]}
                for o in outcomes
                if o.message_id in at
            ],
            only_from=SUBMITTED,
        )
        outcomes = [o for o in outcomes if o.message_id not in at]
    step_each(
        session,
        MessageState.IN_DOUBT,
        [{"id": o.message_id, "settled_at": now, "reason": o.reason[:255], **_remote(o.remote_ids)} for o in outcomes],
    )
    _keep_segments(session, outcomes)


def _record_deferred(
    session: Session,
    trunk_id: int,
    outcomes: list[Deferred],
    now: float,
    retry: Retry,
    others: Collection[int],
    routes: Mapping[int, Turn] | None,
) -> None:
    """Pass each on to the next trunk, or let it wait for a new round, or give it up after the last."""
    by_id = {o.message_id: o for o in outcomes}
    passed_on, waiting, given_up = [], [], []
    for ids in chunks(list(by_id)):
        for row in session.execute(
            select(Message.id, Message.tried, Message.attempts, Message.urgency, Message.route_id, bound())
            .outerjoin(Campaign, Campaign.id == Message.campaign_id)
            .where(Message.id.in_(ids))
        ):
            outcome = by_id[row.id]
            told = {"id": row.id, "code": outcome.code[:16], "reason": outcome.reason[:255]}
            tried = tried_by(row.tried) | {trunk_id}
            attempts = row.attempts if outcome.counted else row.attempts - 1
            left = NextTrunks(others, routes).of(row.route_id)
            # What is only to be tried again later has had its chances here after some attempts, the urgent after one.
            had_its_chances = outcome.counted and (attempts >= MOST_RETRIES or row.urgency >= NOW)
            elsewhere = outcome.elsewhere or had_its_chances
            if elsewhere and not row.bound and left - tried and len(tried) < MOST_TRIED:
                # The round goes on with the next trunk: it counts when it is over.
                not_before = may_go(row.urgency, now)
                passed_on.append(
                    {**told, "tried": listed(tried), "not_before": not_before, "attempts": row.attempts - 1}
                )
            elif outcome.counted and attempts >= (1 if row.urgency >= NOW else retry.max_attempts):
                given_up.append({**told, "settled_at": now, "attempts": attempts})
            else:
                wait = _wait(outcome, attempts, retry)
                not_before = now + wait if wait else may_go(row.urgency, now)
                waiting.append({**told, "tried": "", "not_before": not_before, "attempts": attempts})
    step_each(session, MessageState.QUEUED, passed_on, only_from=SUBMITTED)
    step_each(session, MessageState.QUEUED, waiting, only_from=SUBMITTED)
    step_each(session, MessageState.REFUSED, given_up)


def leave_to_others(
    session: Session, trunk_id: int, message_ids: list[int], reason: str, next_trunks: NextTrunks, now: float
) -> None:
    """Pass on what is queued and cannot go through this trunk just now; where nobody else is left it waits a while."""
    changes = []
    for ids in chunks(message_ids):
        for row in session.execute(
            select(Message.id, Message.tried, Message.urgency, Message.route_id, bound())
            .outerjoin(Campaign, Campaign.id == Message.campaign_id)
            .where(Message.id.in_(ids))
        ):
            tried = tried_by(row.tried) | {trunk_id}
            if not row.bound and next_trunks.of(row.route_id) - tried and len(tried) < MOST_TRIED:
                goes_on = {"tried": listed(tried), "not_before": may_go(row.urgency, now)}
            else:
                goes_on = {"tried": "", "not_before": now + PASSED_ON_FOR}
            changes.append({"id": row.id, "reason": reason, **goes_on})
    update_each(session, TABLE, changes, guard=one_of("messages.state", [MessageState.QUEUED]))


def bound() -> Any:
    """The trunk that a message is bound to, by itself or by its campaign; for a join with Campaign."""
    return func.coalesce(Message.trunk_id, Campaign.trunk_id).label("bound")


def _wait(outcome: Deferred, attempts: int, retry: Retry) -> float:
    if not outcome.counted:
        return 0.0
    first = retry.first_wait if outcome.retry_after is None else outcome.retry_after
    return float(min(LONGEST_WAIT, first * 2 ** max(0, attempts - 1)))


def remote_key(remote_id: str) -> str:
    """The normal form under which receipts look for a remote id."""
    return remote_id_key(remote_id)[:65]


def _remote(remote_ids: tuple[str, ...]) -> dict[str, Any]:
    first = remote_ids[0][:65] if remote_ids else ""
    return {"remote_id": first or None, "remote_key": remote_id_key(first) or None}


def _keep_segments(session: Session, outcomes: Iterable[Accepted | InDoubt]) -> None:
    """The remote ids of the segments of long messages: each segment has a receipt of its own.

    One whose id is not known is kept with an empty key, which no receipt has: it is silent, but it is a segment.
    """
    long = [o.message_id for o in outcomes if len(o.remote_ids) > 1]
    settled = Message.state.not_in([str(MessageState.QUEUED), str(MessageState.SUBMITTED)])  # or it is another one's
    known = {i for ids in chunks(long) for i in session.scalars(select(Message.id).where(Message.id.in_(ids), settled))}
    segments = [
        Segment(message_id=o.message_id, part=part, remote_id=remote_id[:65], remote_key=remote_key(remote_id))
        for o in outcomes
        if o.message_id in known
        for part, remote_id in enumerate(o.remote_ids, 1)
    ]
    for segment in segments:
        session.merge(segment)


def settle(session: Session, delivered: dict[int, bool], codes: dict[int, str], now: float) -> None:
    """A receipt's final word on these messages: True delivered, False undelivered."""
    for target, wanted in ((MessageState.DELIVERED, True), (MessageState.UNDELIVERED, False)):
        step_each(
            session,
            target,
            [
                {"id": message_id, "settled_at": now, "reason": codes.get(message_id, "")[:255]}
                for message_id, value in delivered.items()
                if value is wanted
            ],
        )


def tell_why(session: Session, reasons: Mapping[int, str]) -> None:
    """Say of messages that wait for more receipts how they stand."""
    waiting = (str(MessageState.ACCEPTED), str(MessageState.IN_DOUBT))
    rows = [{"id": message_id, "reason": reason[:255]} for message_id, reason in reasons.items()]
    update_each(session, TABLE, rows, guard=one_of("messages.state", waiting))


def settle_dead(
    session: Session,
    daemon_ids: Sequence[int],
    now: float,
    resend_in_doubt: bool,
    trunk_id: int | None = None,
    *,
    known: Mapping[tuple[int, int], Outcome] | None = None,
    cdr_due: bool = False,
) -> int:
    """What dead daemons (or their dead sender of one trunk) had submitted may have left: it is in doubt.

    Except for what is known, by (trunk, message): what was answered is recorded, and what has not left is queued again.
    Returns how many messages are in doubt.
    """
    # Locked: of two who settle the same daemon the second would queue again what the first has, and a sender claimed
    # since. And who is entered no more has been settled.
    entered = select(Daemon.id).where(Daemon.id.in_(daemon_ids)).order_by(Daemon.id).with_for_update()
    daemon_ids = session.scalars(entered).all()
    spell_out_of(session, daemon_ids, trunk_id)
    held = select(Message.via_trunk_id, Message.id).where(Message.daemon_id.in_(daemon_ids))
    if trunk_id is not None:
        held = held.where(Message.via_trunk_id == trunk_id)
    of_each = [(key[1], (known or {}).get((key[0] or 0, key[1]))) for key in session.execute(held)]
    heard = Heard(outcome for _, outcome in of_each if outcome)
    _unclaim(session, [o.message_id for o in heard.of(Deferred)])
    _record_accepted(session, trunk_id, heard.of(Accepted), now, cdr_due)
    _record_refused(session, heard.of(Refused), now)
    doubtful = [InDoubt(message_id, "the daemon ended before the answer") for message_id, o in of_each if o is None]
    _record_in_doubt(session, doubtful, now, resend_in_doubt)
    return len(doubtful)


def settle_orphans(session: Session, now: float, resend_in_doubt: bool) -> None:
    """Messages that a daemon claimed after it was taken for dead and forgotten, and then ended without a word."""
    spell_out_orphans(session)
    held = select(Message.id).where(Message.daemon_id.is_not(None), Message.daemon_id.not_in(select(Daemon.id)))
    outcomes = [InDoubt(message_id, "the daemon ended before the answer") for message_id in session.scalars(held)]
    _record_in_doubt(session, outcomes, now, resend_in_doubt)


def unclaim(session: Session, trunk_id: int, daemon_id: int, message_ids: Sequence[int], now: float) -> None:
    """Queue again what was claimed and not handed over, unless somebody else has settled it meanwhile."""
    if not message_ids:
        return
    spell_out_some(session, message_ids, trunk_id, daemon_id, None, now)
    held = _held(session, trunk_id, daemon_id, [Deferred(message_id, "") for message_id in message_ids])
    _unclaim(session, [o.message_id for o in held])


def _unclaim(session: Session, message_ids: Sequence[int]) -> None:
    # It was no attempt.
    changes = [{"id": message_id} for message_id in message_ids]
    step_each(session, MessageState.QUEUED, changes, ("attempts", "messages.attempts - 1"), only_from=SUBMITTED)


def give_back(session: Session, trunk_id: int, daemon_id: int, owed: Collection[int]) -> None:
    """Queue again what this living daemon claimed for the trunk but never got: a commit failed on its way back."""
    spell_out_of(session, [daemon_id], trunk_id)
    held = session.scalars(select(Message.id).where(Message.daemon_id == daemon_id, Message.via_trunk_id == trunk_id))
    _unclaim(session, [message_id for message_id in held if message_id not in owed])
