"""Claims: which messages a trunk may take now, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, or_, select, update
from sqlalchemy.orm import Session

from ixxsms.models import Message
from ixxsms.outbox.steps import QUEUED, chunks
from ixxsms.states import MessageState


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
    for ids in chunks([message.id for message in claimed]):
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
    statement = select(*columns).where(QUEUED, Message.not_before <= now)
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
