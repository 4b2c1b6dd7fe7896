"""Messages in doubt: which they are, and how a receipt or a person settles them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, insert, literal_column, select, update
from sqlalchemy.orm import Session

from ixxsms.errors import BadInput
from ixxsms.models import Message, OptOut, Segment
from ixxsms.outbox.failover import NO_REMOTE_IDS, forget_segments
from ixxsms.outbox.leases import covered_numbers
from ixxsms.outbox.outcomes import remote_key
from ixxsms.outbox.queue import may_go
from ixxsms.outbox.routing import reroute
from ixxsms.outbox.steps import chunks, step_each
from ixxsms.outbox.tallies import forget
from ixxsms.states import MessageState

_IN_DOUBT = frozenset({MessageState.IN_DOUBT})

# Literally the condition of its index.
_DOUBTFUL: ColumnElement[bool] = literal_column("messages.doubt_number IS NOT NULL")


class Verdict(StrEnum):
    """What a person knows of a message in doubt."""

    SENT = "sent"  #: the SMSC has it: accepted
    FAILED = "failed"  #: it never will: refused
    RESEND = "resend"  #: send it again: queued


@dataclass(frozen=True)
class Resolved:
    """`changed`: so many messages. `kept`: those that must not be sent again, for their numbers have opted out."""

    changed: int
    kept: int = 0


def doubtful(
    session: Session,
    *,
    ids: Collection[int] | None = None,
    campaign_id: int | None = None,
    trunk_id: int | None = None,
    limit: int | None = None,
) -> list[Message]:
    """The messages in doubt, the oldest first: all, or these, or those of a campaign, or of a trunk."""
    selected = _selected(select(Message).order_by(Message.id).limit(limit), ids, campaign_id, trunk_id)
    return [message for statement in selected for message in session.scalars(statement)][:limit]


def resolve(
    session: Session,
    verdict: str,
    *,
    now: float,
    ids: Collection[int] | None = None,
    campaign_id: int | None = None,
    trunk_id: int | None = None,
    cdr_sms: bool = False,
) -> Resolved:
    """A person settles messages in doubt: sent, failed or resend. The choice is that of `doubtful`. Raises BadInput."""
    if verdict not in list(Verdict):
        raise BadInput(f'"{verdict[:20]}" is no verdict on a message in doubt; it is {", ".join(Verdict)}.')
    # Locked: its answer may be recorded just now, and what is not in doubt any more is not settled.
    chosen = _selected(select(Message.id, Message.urgency).with_for_update(), ids, campaign_id, trunk_id)
    urgency: dict[int, int] = {row.id: row.urgency for statement in chosen for row in session.execute(statement)}
    found = list(urgency)
    kept = 0
    for part in chunks(found):
        forget(session, session.scalars(select(Message.campaign_id).where(Message.id.in_(part)).distinct()).all())
    if verdict == Verdict.RESEND:
        opted_out = set[int]()
        for part in chunks(found):
            reroute(session, part)
            opted_out.update(
                session.scalars(
                    select(Message.id).where(Message.id.in_(part), Message.number.in_(select(OptOut.number)))
                )
            )
        found, kept = [message_id for message_id in found if message_id not in opted_out], len(opted_out)
        again = {"reason": "sent again by hand", "tried": "", "attempts": 0, "settled_at": None, **NO_REMOTE_IDS}
        step_each(
            session,
            MessageState.QUEUED,
            [{"id": message_id, "not_before": may_go(urgency[message_id], now), **again} for message_id in found],
            only_from=_IN_DOUBT,
        )
        forget_segments(session, found)
    elif verdict == Verdict.SENT:
        sent = {"reason": "settled by hand: sent", "accepted_at": now, "settled_at": None, "cdr_due": cdr_sms}
        _step(session, MessageState.ACCEPTED, found, sent)
    else:
        _step(session, MessageState.REFUSED, found, {"reason": "settled by hand: failed", "settled_at": now})
    return Resolved(len(found), kept)


def _step(session: Session, target: MessageState, ids: Iterable[int], values: dict[str, Any]) -> None:
    step_each(session, target, [{"id": message_id, **values} for message_id in ids], only_from=_IN_DOUBT)


def _selected(
    statement: Any, ids: Collection[int] | None, campaign_id: int | None, trunk_id: int | None
) -> Iterable[Any]:
    """The statement for these only, in the order of their ids: several where there are more ids than one may have."""
    statement = statement.where(_DOUBTFUL, Message.state == str(MessageState.IN_DOUBT))
    if campaign_id is not None:
        statement = statement.where(Message.campaign_id == campaign_id)
    if trunk_id is not None:
        statement = statement.where(Message.via_trunk_id == trunk_id)
    if ids is None:
        return [statement]
    return (statement.where(Message.id.in_(some)) for some in chunks(sorted(set(ids))))


# -- settled by a receipt whose id nobody knows ----------------------------------------------------------------------


class Doubt(NamedTuple):
    """A message in doubt, as a receipt looks for it. `submitted_at`: seconds since 1970."""

    id: int
    number: str
    submitted_at: float
    segments: int


def doubts_of(session: Session, trunk_id: int, numbers: Collection[str], after: float) -> list[Doubt]:
    """The messages in doubt to these numbers that were given to the trunk after that time."""
    rows = session.execute(
        select(Message.id, Message.number, Message.submitted_at, Message.segments).where(
            Message.doubt_number.in_(numbers),
            Message.doubt_number.is_not(None),
            Message.state == str(MessageState.IN_DOUBT),
            Message.via_trunk_id == trunk_id,
            Message.submitted_at > after,
        )
    )
    return [Doubt(row.id, row.number, row.submitted_at or 0.0, row.segments) for row in rows]


def on_their_way(session: Session, trunk_id: int, numbers: Collection[str]) -> set[str]:
    """Those of the numbers to which a message is submitted to the trunk just now."""
    rows = session.scalars(
        select(Message.number).where(
            Message.daemon_id.is_not(None), Message.via_trunk_id == trunk_id, Message.number.in_(numbers)
        )
    )
    return set(rows) | covered_numbers(session, trunk_id, numbers)


def identify(
    session: Session, doubt: Doubt, remote_id: str, *, whole: bool, from_last: bool, accepted: bool, now: float
) -> int | None:
    """A receipt has told the remote id of a message in doubt, or of one of its segments that had no answer.

    Returns which segment has the id now, 0 for a whole message; None where every segment had one already.
    `whole`: the trunk has one id for a message of any length. `from_last`: the segments are given their ids from the
    last one on. `accepted`: the receipt says no more than that the SMSC has it.
    """
    ids = {} if whole else _ids_of_segments(session, doubt)
    if not ids:
        known = {"remote_id": remote_id[:65] or None, "remote_key": remote_key(remote_id) or None}
        session.execute(update(Message).where(Message.id == doubt.id).values(**known))
        if accepted:
            _step(session, MessageState.ACCEPTED, [doubt.id], {"accepted_at": now, "settled_at": None, "reason": ""})
        return 0
    silent = [part for part, key in sorted(ids.items(), reverse=from_last) if not key]
    if not silent or not remote_id:
        return None
    session.execute(
        update(Segment)
        .where(Segment.message_id == doubt.id, Segment.part == silent[0])
        .values(remote_id=remote_id, remote_key=remote_key(remote_id))
    )
    return silent[0]


def _ids_of_segments(session: Session, doubt: Doubt) -> dict[int, str]:
    """Part -> remote key of a long message, "" where it is not known; empty for a message of one segment.

    What a dead daemon had submitted has no segments yet.
    """
    rows = session.execute(select(Segment.part, Segment.remote_key).where(Segment.message_id == doubt.id)).all()
    if not rows and doubt.segments > 1:
        parts = range(1, doubt.segments + 1)
        silent = [{"message_id": doubt.id, "part": part, "remote_id": "", "remote_key": ""} for part in parts]
        session.execute(insert(Segment), silent)
        return dict.fromkeys(parts, "")
    return {row.part: row.remote_key for row in rows}
