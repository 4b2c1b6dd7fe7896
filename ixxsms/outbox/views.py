"""What is in the outbox. It only reads."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ixxsms.errors import BadInput, NotFound
from ixxsms.models import Lease, Message
from ixxsms.states import MessageState

#: So many messages are a page, of which each state's index is asked.
_PAGE = 1000


def get(session: Session, message_id: int) -> Message:
    """One message. Raises NotFound."""
    message = session.get(Message, message_id, populate_existing=True)
    if message is None:
        raise NotFound(f"There is no message {message_id}.")
    return message


def holds(session: Session, daemon_id: int) -> bool:
    """Whether a daemon has submitted a message whose outcome is not recorded yet."""
    leased = session.scalar(select(Lease.first_id).where(Lease.daemon_id == daemon_id).limit(1))
    if leased is not None:
        return True
    return session.scalar(select(Message.id).where(Message.daemon_id == daemon_id).limit(1)) is not None


def rows(
    session: Session,
    campaign_id: int | None,
    *,
    state: str | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterable[Message]:
    """The messages of a campaign (None: of the outgoing queue). Raises BadInput: no such state."""
    order = Message.id.desc() if newest_first else Message.id
    wanted: list[str] = [str(each) for each in MessageState]
    if state:
        if state not in wanted:
            raise BadInput(f'"{state}" is no state of a message; the states are {", ".join(MessageState)}.')
        wanted = [state]
    in_each = [select(Message.id).where(_of(campaign_id), Message.state == each).order_by(order) for each in wanted]
    if limit is not None and limit <= _PAGE:
        # The first ones of each state, by the index: else a database sorts a million messages for one page.
        ids = [message_id for each in in_each for message_id in session.scalars(each.limit(limit))]
        ids = sorted(ids, reverse=newest_first)[:limit]
        return session.scalars(select(Message).where(Message.id.in_(ids)).order_by(order))
    statement = select(Message).order_by(order).limit(limit)
    if state:
        statement = statement.where(_of(campaign_id), Message.state == state)
    else:
        # In the table's own order, from the first to the last one: an index of the campaign would make it sort all.
        first, last = _span(session, campaign_id)
        statement = statement.where(Message.id.between(first, last), _of(campaign_id, by_index=False))
    return session.scalars(statement.execution_options(yield_per=1000))


def _span(session: Session, campaign_id: int | None) -> tuple[int, int]:
    ends: list[int] = []
    for state in MessageState:
        mine = select(Message.id).where(_of(campaign_id), Message.state == str(state)).limit(1)
        for order in (Message.id, Message.id.desc()):
            ends += session.scalars(mine.order_by(order))
    return min(ends, default=0), max(ends, default=0)


def _of(campaign_id: int | None, by_index: bool = True) -> ColumnElement[bool]:
    column = Message.campaign_id if by_index else Message.campaign_id + 0
    return column.is_(None) if campaign_id is None else column == campaign_id
