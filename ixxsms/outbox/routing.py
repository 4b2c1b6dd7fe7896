"""Which route a message has: the one of the longest prefix that its number begins with.

It is looked up when the message is queued, and again when routes change; a claim finds it in the message's own row.
Whoever looks a route up locks it until his commit, so that none goes while a message is about to get it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Integer, SQLColumnExpression, and_, bindparam, func, literal, or_, select, update
from sqlalchemy.orm import Session

from ixxsms.models import Campaign, Message, Route, RoutePrefix
from ixxsms.numbering import MAX_DIGITS, digits
from ixxsms.outbox.leases import hold
from ixxsms.outbox.steps import FRESH, QUEUED
from ixxsms.states import CampaignState, MessageState

#: So many messages whose route is gone are found in one go.
_MOST_FOUND = 5_000


class OnPrefix(NamedTuple):
    """The prefix that decided for a number, and its route."""

    prefix: str
    route_id: int


# Built once: it is run for every message that is queued.
_PREFIXES = (
    select(RoutePrefix.prefix, RoutePrefix.route_id)
    .where(RoutePrefix.prefix.in_(bindparam("prefixes", expanding=True)))
    .with_for_update(read=True, key_share=True)
)


def find_route(session: Session, number: str) -> OnPrefix | None:
    """The prefix that decides for a number in normal form, with its route; None where every trunk may take it."""
    return _longest(session, [number]).get(number)


def routes_of(session: Session, numbers: Collection[str]) -> dict[str, int]:
    """The ids of the routes of these numbers in normal form; one that every trunk may take is left out."""
    return {number: found.route_id for number, found in _longest(session, numbers).items()}


def _longest(session: Session, numbers: Collection[str]) -> dict[str, OnPrefix]:
    starts = {number: _starts(number) for number in numbers}
    if not starts:
        return {}
    asked = {"prefixes": list({start for each in starts.values() for start in each})}
    known = {row.prefix: row.route_id for row in session.connection().execute(_PREFIXES, asked)}
    if not known:
        return {}
    found = {number: next((start for start in each if start in known), "") for number, each in starts.items()}
    return {number: OnPrefix(start, known[start]) for number, start in found.items() if start}


def _starts(number: str) -> list[str]:
    """With what a number begins, the longest first."""
    plain = digits(number)[:MAX_DIGITS]
    return [plain[:length] for length in range(len(plain), 0, -1)]


def route_of(session: Session, number: SQLColumnExpression[str]) -> SQLColumnExpression[Any]:
    """The id of the route of a column of numbers, for a statement over many rows; 0 where there is none."""
    session.execute(select(Route.id).with_for_update(read=True, key_share=True)).all()
    lengths = sorted(session.scalars(select(func.length(RoutePrefix.prefix)).distinct()), reverse=True)
    plain = func.replace(number, "+", "")
    found = [
        select(RoutePrefix.route_id).where(RoutePrefix.prefix == func.substr(plain, 1, length)).scalar_subquery()
        for length in lengths
    ]
    return func.coalesce(*found, literal(0, Integer)) if found else literal(0, Integer)


def with_gone_route(session: Session) -> list[int]:
    """Queued messages, some at most, whose route is gone: nobody would ever take them.

    On a cluster nobody waits for a lock that was taken on another node, so a message may be queued on one while its
    route is removed on another.
    """
    gone = Message.route_id.not_in(select(Route.id))
    found = select(Message.id).where(QUEUED, Message.trunk_id.is_(None), Message.route_id != 0, gone)
    return list(session.scalars(found.limit(_MOST_FOUND)))


def reroute(session: Session, only: Collection[int] | None = None) -> int:
    """Routes have changed: what has not left gets its route anew. Returns how many messages go another way now.

    `only`: these messages, which had left and are to be queued again, or whose route is gone.
    """
    held: set[int] = set()
    if only is None:
        open_ones = [str(state) for state in (CampaignState.PAUSED, CampaignState.RUNNING)]
        # Again: while the first are waited for others may be created, and leased.
        while new := set(session.scalars(select(Campaign.id).where(Campaign.state.in_(open_ones)))) - held:
            hold(session, new)
            held |= new
    wanted = route_of(session, Message.number)
    submitted = Message.state == str(MessageState.SUBMITTED)  # it may be deferred, and queued again
    ours = or_(Message.campaign_id.is_(None), Message.campaign_id.in_(held))
    concerned = and_(or_(QUEUED, submitted), ours) if only is None else Message.id.in_(only)
    bound = select(Campaign.id).where(Campaign.trunk_id.is_not(None))
    changed = session.execute(
        update(Message)
        .where(concerned, Message.trunk_id.is_(None))
        .where(or_(Message.campaign_id.is_(None), Message.campaign_id.not_in(bound)))
        .where(Message.route_id != wanted)
        .values(route_id=wanted),
        execution_options={"synchronize_session": False},
    )
    if only is None:
        # What has a route is not fresh any more: each trunk of the route takes its share.
        routed = (QUEUED, Message.campaign_id.in_(held), Message.not_before == FRESH, Message.route_id != 0)
        session.execute(
            update(Message).where(*routed).values(not_before=0.0), execution_options={"synchronize_session": False}
        )
    return int(changed.rowcount)  # type: ignore[attr-defined]
