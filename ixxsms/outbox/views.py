"""What is in the outbox. It only reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ixxsms.errors import BadInput, NotFound
from ixxsms.models import Message
from ixxsms.outbox.steps import words
from ixxsms.states import OPEN, MessageState


def get(session: Session, message_id: int) -> Message:
    """One message. Raises NotFound."""
    message = session.get(Message, message_id, populate_existing=True)
    if message is None:
        raise NotFound(f"There is no message {message_id}.")
    return message


def counts(session: Session, campaign_id: int | None) -> dict[str, int]:
    """How many messages of a campaign (None: of the outgoing queue) are in each state; every state is named."""
    found: Any = session.execute(select(Message.state, func.count()).where(_of(campaign_id)).group_by(Message.state))
    return {str(state): 0 for state in MessageState} | dict(found.all())


def holds(session: Session, daemon_id: int) -> bool:
    """Whether a daemon has submitted a message whose outcome is not recorded yet."""
    return session.scalar(select(Message.id).where(Message.daemon_id == daemon_id).limit(1)) is not None


def segments_to_send(session: Session, campaign_id: int | None) -> int:
    """How many segments are still to be sent."""
    total = session.scalar(select(func.sum(Message.segments)).where(_of(campaign_id), Message.state.in_(words(OPEN))))
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
