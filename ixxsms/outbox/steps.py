"""One step of many messages, guarded by the table of states: how every file here changes a message's state."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Table, literal_column
from sqlalchemy.orm import Session

from ixxsms.bulk import one_of, update_each
from ixxsms.models import Message
from ixxsms.states import MessageState, sources

_IN_ONE_STATEMENT = 500

T = TypeVar("T")

TABLE = cast(Table, Message.__table__)

#: Through so many trunks a message goes in one round at most: messages.tried has no room for more.
MOST_TRIED = 40

#: Whatever the table of states allows.
ANY: frozenset[MessageState] = frozenset()

SUBMITTED = frozenset({MessageState.SUBMITTED})

#: The not_before of a fresh message (see leases): a time that never comes, so no claim of single rows sees it.
FRESH = 1e12

# Literals, not parameters: SQLite uses a partial index only if it sees its very condition in the statement.
QUEUED: ColumnElement[bool] = Message.state == literal_column("'queued'")
TIMED: ColumnElement[bool] = Message.not_before < literal_column("1e12")  # FRESH, as the index has it
PASSED_ON: ColumnElement[bool] = Message.tried > literal_column("''")


def step_each(
    session: Session,
    target: MessageState,
    changes: list[dict[str, Any]],
    *same: tuple[str, str],
    only_from: frozenset[MessageState] = ANY,
) -> None:
    """Bring each message (`id`) to the state, with its other values, if the table of states allows it.

    `same`: what becomes the same for all, as SQL of our own. `only_from`: only those that are in one of these states.
    Whoever queues again must say it: what has been accepted meanwhile would be sent twice.
    """
    assert only_from or target is not MessageState.QUEUED
    doubt_number = "messages.number" if target is MessageState.IN_DOUBT else "NULL"
    step = (("state", f"'{target}'"), ("daemon_id", "NULL"), ("doubt_number", doubt_number), *same)
    update_each(session, TABLE, changes, fixed=step, guard=_guard(target, only_from))


@cache
def _guard(target: MessageState, only_from: frozenset[MessageState]) -> str:
    return one_of("messages.state", words((only_from or sources(target)) & sources(target)))


def words(states: Iterable[MessageState]) -> list[str]:
    return sorted(str(state) for state in states)


def chunks(ids: list[T]) -> Iterable[list[T]]:
    return (ids[at : at + _IN_ONE_STATEMENT] for at in range(0, len(ids), _IN_ONE_STATEMENT))


def tried_by(tried: str) -> set[int]:
    """The trunks in messages.tried."""
    return {int(part) for part in tried.split(",") if part}


def listed(trunk_ids: Iterable[int]) -> str:
    """As messages.tried has them, so that each is found with a comma on both sides."""
    return "," + ",".join(map(str, sorted(trunk_ids))) + ","
