"""One step of many messages, guarded by the table of states: how every file here changes a message's state."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Update, bindparam, literal_column, or_, update
from sqlalchemy.orm import Session

from ixxsms.models import Message
from ixxsms.states import MessageState, sources

_IN_ONE_STATEMENT = 500

# A literal, not a parameter: SQLite uses a partial index only if it sees its condition in the statement.
QUEUED: ColumnElement[bool] = Message.state == literal_column("'queued'")


def step_each(session: Session, target: MessageState, changes: list[dict[str, Any]]) -> None:
    """Bring each message (`b_id`) to the state, with its other values, if the table of states allows it."""
    if changes:
        session.connection().execute(_step(target, tuple(changes[0])), changes)


# Kept: to build such a statement takes longer than SQLite does to run it, and every batch needs the same few.
@cache
def _step(target: MessageState, names: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(name) for name in names if name != "b_id"}
    return (
        update(Message.__table__)  # type: ignore[arg-type]
        .where(Message.__table__.c.id == bindparam("b_id"), _is_one_of(sources(target)))
        .values(state=target, daemon_id=None, **values)
    )


def _is_one_of(states: Iterable[MessageState]) -> ColumnElement[bool]:
    # Literals of our own: a list of parameters cannot be used for many rows at once.
    return or_(*[Message.__table__.c.state == literal_column(f"'{word}'") for word in words(states)])


def words(states: Iterable[MessageState]) -> list[str]:
    return sorted(str(state) for state in states)


def chunks(ids: list[int]) -> Iterable[list[int]]:
    return (ids[at : at + _IN_ONE_STATEMENT] for at in range(0, len(ids), _IN_ONE_STATEMENT))
