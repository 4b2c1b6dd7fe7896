"""What Asterisk has still to be told: SMS that came in, and new states of messages that it had asked for.

Both are facts in the database with a mark of their own, so what happens while Asterisk is down is told when it is
back. Verbs take an open session and never commit; who tells it is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import null, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from ixxsms.models import Incoming, Message, Trunk
from ixxsms.states import MESSAGE_STEPS, MessageState

__all__ = ["Arrived", "Change", "arrived", "changes", "forget_old", "mark_announced", "mark_told"]

#: So many messages are looked at in one go.
_AT_ONCE = 1_000

# Written as the index of each is, or SQLite and PostgreSQL do not use it.
_UNANNOUNCED = sql("announced_at IS NULL")
_UNTOLD = sql("asked_id IS NOT NULL AND told_state <> state")

_LAST = [str(state) for state, nexts in MESSAGE_STEPS.items() if not nexts]


@dataclass(frozen=True)
class Arrived:
    """An SMS that came in, by the id of its row. `received_at`: seconds since 1970."""

    id: int
    source: str
    destination: str
    trunk: str
    text: str
    received_at: float


@dataclass(frozen=True)
class Change:
    """A message that was asked for is in another state than its asker knows. `asked_id`: his own id for it."""

    message_id: int
    asked_id: str
    number: str
    state: str
    reason: str


def arrived(session: Session, limit: int) -> list[Arrived]:
    """What came in and was not announced, the oldest first."""
    rows = session.scalars(select(Incoming).where(_UNANNOUNCED).order_by(Incoming.id).limit(limit)).all()
    names: dict[int, str] = {row.id: row.name for row in session.execute(select(Trunk.id, Trunk.name))} if rows else {}
    return [Arrived(r.id, r.source, r.destination, names.get(r.trunk_id, ""), r.text, r.received_at) for r in rows]


def mark_announced(session: Session, sms_id: int, now: float) -> None:
    """It was announced."""
    session.execute(update(Incoming).where(Incoming.id == sms_id).values(announced_at=now))


def changes(session: Session, limit: int) -> list[Change]:
    """The messages whose asker does not know their state yet, the oldest first."""
    columns = (Message.id, Message.asked_id, Message.number, Message.state, Message.reason)
    # Put in order here: asked for it, a database goes through all messages by their ids instead of the index.
    rows = sorted(session.execute(select(*columns).where(_UNTOLD).limit(_AT_ONCE)), key=lambda row: row.id)
    return [Change(row.id, row.asked_id or "", row.number, str(row.state), row.reason) for row in rows[:limit]]


def mark_told(session: Session, told: Iterable[Change]) -> None:
    """Their askers know these states now. After a last state nobody asks for the message any more: MariaDB has no
    partial index, and would find the few that somebody waits for among all that somebody ever asked for.
    """
    for change in told:
        values: dict[str, object] = {"told_state": change.state}
        if change.state in _LAST:
            values["asked_id"] = null()
        session.execute(update(Message).where(Message.id == change.message_id).values(**values))


def forget_old(session: Session, before: float) -> None:
    """Messages accepted before that time without a receipt, of which no receipt is to be expected any more."""
    session.execute(
        update(Message)
        .where(sql("asked_id IS NOT NULL"), Message.state == str(MessageState.ACCEPTED), Message.accepted_at < before)
        .values(asked_id=null())
    )
