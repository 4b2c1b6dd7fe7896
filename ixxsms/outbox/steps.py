"""One step of many messages, guarded by the table of states: how every file here changes a message's state."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, literal_column
from sqlalchemy.orm import Session

from ixxsms.bulk import Guard, update_each
from ixxsms.models import Message
from ixxsms.states import MessageState, sources

_IN_ONE_STATEMENT = 500

TABLE = cast(Table, Message.__table__)

# Literals, not parameters: SQLite uses a partial index only if it sees its very condition in the statement.
QUEUED: ColumnElement[bool] = Message.state == literal_column("'queued'")
PASSED_ON: ColumnElement[bool] = Message.tried > literal_column("''")


def step_each(session: Session, target: MessageState, changes: list[dict[str, Any]], *same: tuple[str, str]) -> None:
    """Bring each message (`id`) to the state, with its other values, if the table of states allows it.

    `same`: what becomes the same for all, as SQL of our own.
    """
    step = (("state", f"'{target}'"), ("daemon_id", "NULL"), *same)
    update_each(session, TABLE, changes, fixed=step, guard=_guard(target))


@cache
def _guard(target: MessageState) -> Guard:
    return Guard("state", tuple(words(sources(target))))


def words(states: Iterable[MessageState]) -> list[str]:
    return sorted(str(state) for state in states)


def chunks(ids: list[int]) -> Iterable[list[int]]:
    return (ids[at : at + _IN_ONE_STATEMENT] for at in range(0, len(ids), _IN_ONE_STATEMENT))
