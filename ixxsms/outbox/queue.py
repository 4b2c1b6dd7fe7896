"""The queue: how a message gets in, and how it leaves without ever having been sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, case, false, insert, literal_column, or_, select, update
from sqlalchemy.orm import Session

from ixxsms import text as sms_text
from ixxsms.bulk import orders_by_null, read_by_index
from ixxsms.errors import BadInput
from ixxsms.models import Campaign, Message
from ixxsms.numbering import Plan, check, check_sender_id
from ixxsms.outbox.barred import FAREWELL, opted_out, refusal
from ixxsms.outbox.leases import hold
from ixxsms.outbox.routing import routes_of
from ixxsms.outbox.steps import PASSED_ON, QUEUED, TABLE, TIMED, chunks
from ixxsms.outbox.tallies import forget
from ixxsms.states import CampaignState, MessageState

#: Urgency of a message that somebody waits for: it goes first, and one round over the trunks decides it.
NOW = 10

#: A message that was passed on to a trunk that has since gone down starts a new round after this many seconds.
PASSED_ON_FOR = 60.0

#: So many messages are changed in one turn.
_MOST_FOUND, _MOST_EXPIRED = 5_000, 1_000

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True, eq=False)
class Draft:
    """A message for the outgoing queue. `id`: 0 until it is there."""

    number: str
    text: str
    segments: int
    sender_id: str | None
    trunk_id: int | None
    urgency: int
    not_before: float
    created_at: float
    route_id: int = 0
    asked_id: str | None = None
    id: int = 0


_OWN = tuple(field.name for field in fields(Draft) if field.name != "id")


def _default(column: Column[Any]) -> ColumnElement[Any]:
    value = getattr(column.default, "arg", None)
    return false() if value is False else literal_column(repr(value))


# Calls come by the thousand, and each parameter of each row costs: what all new messages have stands in the statement.
_INSERT = insert(TABLE).values(
    {name: bindparam(name) for name in _OWN}
    | {column.key: _default(column) for column in TABLE.c if column.default and column.key not in _OWN}
    | {"state": literal_column(f"'{MessageState.QUEUED}'")}
)
_INSERT_MANY = _INSERT.returning(TABLE.c.id, sort_by_parameter_order=True)


def enqueue(
    session: Session,
    plan: Plan,
    number: str,
    text: str,
    *,
    now: float,
    max_segments: int,
    trunk_id: int | None = None,
    sender_id: str = "",
    urgency: int = 0,
) -> Draft:
    """Put one message into the outgoing queue. Raises BadInput: bad number, or one that has opted out; empty or too
    long text; bad sender id.
    """
    message = prepare(
        plan,
        number,
        text,
        now=now,
        max_segments=max_segments,
        trunk_id=trunk_id,
        sender_id=sender_id,
        urgency=urgency,
    )
    if urgency != FAREWELL and opted_out(session, [message.number]):
        raise BadInput(refusal(message.number))
    add(session, [message])
    return message


def prepare(
    plan: Plan,
    number: str,
    text: str,
    *,
    now: float,
    max_segments: int,
    trunk_id: int | None = None,
    sender_id: str = "",
    urgency: int = 0,
) -> Draft:
    """A message for the outgoing queue, to be given its route and put there together with others by `add`.

    Raises as `enqueue` does; whether the number has opted out is for the caller to ask.
    """
    checked = check(plan, number)
    if not checked.valid:
        raise BadInput(f'"{number[:32]}" cannot be written to: {checked.reason}.')
    return Draft(
        number=checked.number,
        text=check_text(text, max_segments),
        segments=sms_text.segments(text),
        sender_id=check_sender_id(sender_id) or None,
        trunk_id=trunk_id,
        urgency=urgency,
        not_before=may_go(urgency),
        created_at=now,
    )


def add(session: Session, messages: Sequence[Draft]) -> None:
    """Put messages into the outgoing queue that `prepare` made: each gets its route and its id."""
    free = [message for message in messages if message.trunk_id is None]  # what is bound to a trunk needs no route
    routes = routes_of(session, {message.number for message in free})
    for message in free:
        message.route_id = routes.get(message.number, 0)
    connection = session.connection()
    rows = [{name: getattr(message, name) for name in _OWN} for message in messages]
    if len(rows) > 1 and connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        ids = list(connection.scalars(_INSERT_MANY, rows))
    else:
        ids = [connection.execute(_INSERT, row).inserted_primary_key[0] for row in rows]  # type: ignore[index]
    for message, message_id in zip(messages, ids, strict=True):
        message.id = message_id


def may_go(urgency: int, after: float = 0.0) -> float:
    """The not_before of a message that may go at once: after what is so by that time, unless it is urgent."""
    return float(-urgency or after)


def check_text(text: str, max_segments: int) -> str:
    """The text. Raises BadInput: empty, or more segments than the setting max_segments allows."""
    if not text.strip():
        raise BadInput("The text must not be empty.")
    if "\0" in text or (not text.isprintable() and _SURROGATE.search(text)):
        raise BadInput("The text is not valid UTF-8, or has a character that no message can carry.")
    needed = sms_text.segments(text)
    if needed > max_segments:
        raise BadInput(f"The text needs {needed} segments, and {max_segments} are allowed (setting max_segments).")
    return text


def exclude(session: Session, list_id: int, number: str, now: float) -> int:
    """A member was excluded from its list: what is still queued for it must not go. Returns how many messages."""
    campaigns = session.scalars(select(Campaign.id).where(Campaign.list_id == list_id)).all()
    hold(session, campaigns)
    these = (Message.campaign_id.in_(campaigns), Message.number == number)
    excluded = _end_some(session, MessageState.EXCLUDED, "excluded from the list", now, *these)
    forget(session, campaigns)
    return excluded


def cancel(session: Session, message_id: int, reason: str, now: float) -> bool:
    """Take a message back. False where it has been claimed or settled already."""
    campaign_id = session.scalar(select(Message.campaign_id).where(Message.id == message_id))
    if campaign_id is not None:
        hold(session, [campaign_id])
    changed = session.execute(
        update(Message)
        .where(QUEUED, Message.id == message_id)
        .values(state=MessageState.CANCELLED, settled_at=now, reason=reason[:255])
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def cancel_some(session: Session, campaign_ids: Collection[int], now: float) -> None:
    """Take back what is queued of these campaigns, some thousands in one turn."""
    these = Message.campaign_id.in_(campaign_ids)
    _end_some(session, MessageState.CANCELLED, "the campaign was cancelled", now, these)


def _end_some(session: Session, state: MessageState, reason: str, now: float, *these: ColumnElement[bool]) -> int:
    """What of these is queued will not go; returns how many messages."""
    ended = 0
    for ids in _found(session, QUEUED, *these):
        change = update(Message).where(QUEUED, Message.id.in_(ids))
        changed = session.execute(change.values(state=state, settled_at=now, reason=reason))
        ended += int(changed.rowcount)  # type: ignore[attr-defined]
    return ended


def new_rounds(session: Session, now: float) -> None:
    """Messages that wait in vain for a trunk they were passed on to start again with the first trunk."""
    first = case((Message.urgency > 0, -Message.urgency), else_=Message.not_before)
    before = now - PASSED_ON_FOR
    # One that a cap passed on was never submitted.
    long_ago = or_(Message.submitted_at.is_(None), Message.submitted_at < before)
    waiting = (QUEUED, PASSED_ON, Message.not_before < before, long_ago)
    running = session.scalars(select(Campaign.id).where(Campaign.state == str(CampaignState.RUNNING))).all()
    for place in (Message.campaign_id.is_(None), Message.campaign_id.in_(running)):  # as the index begins
        for ids in _found(session, *waiting, place):
            session.execute(update(Message).where(Message.id.in_(ids), *waiting).values(tried="", not_before=first))


def expire(session: Session, before: float, now: float) -> None:
    """Messages without a campaign that were queued before that time and never left; the oldest, in one turn."""
    read_by_index(session)
    # The oldest and no further: a queue of a million would be read through each second, to find nothing.
    order = (Message.campaign_id, Message.id) if orders_by_null(session) else (Message.id,)
    oldest = select(Message.id, Message.created_at).where(QUEUED, TIMED, Message.campaign_id.is_(None)).order_by(*order)
    old = [row.id for row in session.execute(oldest.limit(_MOST_EXPIRED)) if row.created_at < before]
    left = {"state": MessageState.EXPIRED, "settled_at": now, "reason": "no trunk took it in time"}
    for ids in chunks(old):
        session.execute(update(Message).where(QUEUED, Message.id.in_(ids)).values(left))


def _found(session: Session, *conditions: ColumnElement[bool]) -> Iterable[list[int]]:
    """The messages that are so now, some thousands at most: to be changed by their ids.

    An UPDATE that looks for its rows itself locks on MariaDB what it reads, and one row behind: that of a sender, who
    then waits for it in a circle.
    """
    return chunks(list(session.scalars(select(Message.id).where(*conditions).limit(_MOST_FOUND))))
