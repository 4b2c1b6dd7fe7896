"""What Asterisk has still to be told: SMS that came in, and new states of messages that it had asked for.

Both are facts in the database with a mark of their own, so what happens while Asterisk is down is told when it is
back. Verbs take an open session and never commit; who tells it is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import null, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from ixxsms.models import Incoming, Message, Trunk
from ixxsms.states import MESSAGE_STEPS, MessageState

__all__ = ["Arrived", "Change", "arrived", "changes", "forget_old", "mark_announced", "mark_told"]

#: So many seconds the parts of a long SMS wait for each other; then each is announced by itself.
PATIENCE = 60.0

#: So many incoming parts, and so many messages, are looked at in one go.
_AT_ONCE = 1_000

# Written as the index of each is, or SQLite and PostgreSQL do not use it.
_UNANNOUNCED = sql("announced_at IS NULL")
_UNTOLD = sql("asked_id IS NOT NULL AND told_state <> state")

_LAST = [str(state) for state, nexts in MESSAGE_STEPS.items() if not nexts]


@dataclass(frozen=True)
class Arrived:
    """An SMS that came in: the rows of its parts, and its whole text.

    `part`, `parts`: of a long SMS whose other parts did not come; 1, 1 for a whole one.
    """

    ids: tuple[int, ...]
    source: str
    destination: str
    trunk: str
    text: str
    part: int = 1
    parts: int = 1


@dataclass(frozen=True)
class Change:
    """A message that was asked for is in another state than its asker knows. `asked_id`: his own id for it."""

    message_id: int
    asked_id: str
    number: str
    state: str
    reason: str


def arrived(session: Session, now: float, limit: int) -> list[Arrived]:
    """What came in and was not announced, the oldest first. A long SMS is there when all of its parts are."""
    rows = session.scalars(select(Incoming).where(_UNANNOUNCED).order_by(Incoming.id).limit(_AT_ONCE)).all()
    names: dict[int, str] = {row.id: row.name for row in session.execute(select(Trunk.id, Trunk.name))} if rows else {}
    groups: dict[tuple[object, ...], list[Incoming]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    found: list[Arrived] = []
    for group in groups.values():
        found += _of_group(group, names.get(group[0].trunk_id, ""), now)
    return sorted(found, key=lambda each: each.ids[0])[:limit]


def _key(row: Incoming) -> tuple[object, ...]:
    """What the parts of one SMS have in common."""
    if row.parts <= 1:
        return (row.id,)
    return row.trunk_id, row.source, row.destination, row.reference, row.parts


def _of_group(rows: Sequence[Incoming], trunk: str, now: float) -> list[Arrived]:
    """One whole SMS, or its parts alone where the others did not come in time, or nothing yet."""
    first = rows[0]
    by_part = {row.part: row for row in rows}  # an SMSC may deliver a part twice
    if first.parts <= 1 or set(by_part) >= set(range(1, first.parts + 1)):
        text = "".join(by_part[part].text for part in sorted(by_part))
        ids = tuple(row.id for row in rows)
        return [Arrived(ids, first.source, first.destination, trunk, text)]
    if max(row.received_at for row in rows) > now - PATIENCE:
        return []
    return [
        Arrived((row.id,), row.source, row.destination, trunk, row.text, max(1, row.part), row.parts) for row in rows
    ]


def mark_announced(session: Session, ids: Iterable[int], now: float) -> None:
    """These were announced."""
    session.execute(update(Incoming).where(Incoming.id.in_(list(ids))).values(announced_at=now))


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
