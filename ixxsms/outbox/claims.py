"""Claims: which messages a trunk may take now, in which order, one by one or by a lease."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from ixxsms.bulk import orders_by_null, read_by_index, update_all
from ixxsms.models import Message
from ixxsms.outbox.barred import OPTED_OUT, barred
from ixxsms.outbox.leases import CLAIMED, SOURCE, Leased, advance, begin, has_fresh, may_send, next_fresh
from ixxsms.outbox.outcomes import leave_to_others
from ixxsms.outbox.steps import QUEUED, TABLE, TIMED, step_each
from ixxsms.outbox.turns import NextTrunks, Turn, lanes, no_route, unbound, untried
from ixxsms.states import MessageState

#: So many messages are claimed in one transaction at most.
MOST_AT_ONCE = 5_000

_M = Message.__table__.c
_COLUMNS = (_M.id, _M.number, _M.text, _M.sender_id, _M.segments, _M.urgency, barred.label("barred"), _M.not_before)
_SEGMENTS, _BARRED = 4, 6
_BY_TIME = (_M.not_before, _M.id)
_SOURCES = select(*SOURCE).where(SOURCE[0].in_(bindparam("ids", expanding=True)))

_NO_ROUTES: Mapping[int, Turn] = MappingProxyType({})


class Kind(Enum):
    """What a place is, as far as the statement of a claim depends on it."""

    QUEUE = "the outgoing queue"
    CAMPAIGN = "a campaign"
    NAMED = "a campaign that is bound to this trunk"


@dataclass(frozen=True)
class Source:
    """Where a trunk may claim from: a campaign, or the outgoing queue where `campaign_id` is None.

    `named`: the campaign is bound to this trunk, so no other trunk's turn comes before.
    """

    campaign_id: int | None = None
    named: bool = False

    @property
    def kind(self) -> Kind:
        if self.campaign_id is None:
            return Kind.QUEUE
        return Kind.NAMED if self.named else Kind.CAMPAIGN


class Claimed(NamedTuple):
    """A message that is now submitted, with the text and the sender id that count (the trunk's may still follow).

    `queue`: it is of the outgoing queue, which goes before every campaign, and of it what is of higher `urgency`.
    """

    id: int
    number: str
    text: str
    sender_id: str
    segments: int
    queue: bool
    urgency: int


class Cap(NamedTuple):
    """What a trunk's cap leaves, in segments, and who may take what does not fit into it."""

    left: float
    next_trunks: NextTrunks


def claim(
    session: Session,
    trunk_id: int,
    daemon_id: int,
    places: Sequence[Source],
    *,
    room: float,
    better: Collection[int],
    routes: Mapping[int, Turn] = _NO_ROUTES,
    now: float,
    only: int | None = None,
    fresh: bool = True,
    cap: Cap | None = None,
) -> list[Claimed]:
    """Take messages for this trunk: queued becomes submitted. The caller commits before it writes one byte of them.
    What would go to a number that has opted out becomes excluded instead.

    `room`: segments that the trunk takes now; the last message may overrun it. `better`: the trunks of higher
    priority that may take messages now; what has neither a trunk nor a route is theirs until they have passed it on.
    `routes`: how this trunk stands on each of its routes; what is on others is not for it. `only`: consider just this
    message, whatever its route. `fresh`: of campaigns also what is fresh, each message by itself. `cap`: no message
    overruns it; one that would is left to the other trunks, or waits, and what is behind it goes.
    """
    found: list[tuple[int | None, list[Any]]] = []
    held_back: list[int] = []
    too_long: list[int] = []
    left = cap.left if cap else inf

    def take(place: Source, rows: Iterable[Any]) -> int:
        """Returns the id of the last row that was decided on."""
        nonlocal room, left, held_back, too_long
        taken, out, longer = _sort_out(rows, room, left)
        segments = sum([row.segments for row in taken])
        room, left = room - segments, left - segments
        held_back, too_long = held_back + out, too_long + longer
        found.append((place.campaign_id, taken))
        return max([row.id for row in taken] + out + longer, default=0)

    passed: dict[int, int] = {}
    connection, nulls = session.connection(), orders_by_null(session)
    read_by_index(session)
    for place in places:
        if min(room, left) < 1:
            break
        most = int(min(room, MOST_AT_ONCE))
        given = {"now": now, "campaign": place.campaign_id, "only": only, "most": most}
        statements = _waiting(trunk_id, place.kind, frozenset(better), _key(routes), only is not None, True, nulls)
        rows: Any = [row for statement in statements for row in connection.execute(statement, given).all()]
        if len(statements) > 1:
            rows.sort(key=lambda row: (-row.urgency, row.not_before, row.id))
        take(place, rows)
        offered = fresh and only is None and _offers_fresh(place, better)
        if offered and place.campaign_id is not None and min(room, left) >= 1:
            fresh_ones = next_fresh(session, place.campaign_id, int(min(room, MOST_AT_ONCE)))[1]
            passed[place.campaign_id] = take(place, fresh_ones)
    sources = _sources(session, {campaign_id for campaign_id, taken in found if taken and campaign_id}, now)
    claimed = [
        message
        for campaign_id, taken in found
        if campaign_id is None or campaign_id in sources
        for message in _claimed(taken, sources.get(campaign_id))
    ]
    step = {"daemon_id": daemon_id, "via_trunk_id": trunk_id, "submitted_at": now}
    update_all(session, TABLE, [message.id for message in claimed], step, fixed=CLAIMED)
    for campaign_id, last in passed.items():
        if last and campaign_id in sources:
            # Also because on a cluster only what is written is in another node's way: a lease writes no message.
            advance(session, campaign_id, last)
    _hold_back(session, held_back, now)
    if cap:
        leave_to_others(session, trunk_id, too_long, "it does not fit into what is left of a cap", cap.next_trunks, now)
    return claimed


def lease(
    session: Session,
    trunk_id: int,
    daemon_id: int,
    place: Source,
    *,
    room: float,
    better: Collection[int],
    now: float,
) -> tuple[Leased, list[Claimed]] | None:
    """Take the next fresh messages of a campaign for this trunk, all by one lease; None where there is none for it.

    As `claim` otherwise.
    """
    if place.campaign_id is None or not _offers_fresh(place, better):
        return None
    read_by_index(session)
    campaign, rows = next_fresh(session, place.campaign_id, int(min(room, MOST_AT_ONCE)))
    if not rows or not may_send(campaign, now):
        return None
    taken, held_back, _ = _sort_out(rows, room)
    last = max([row.id for row in taken[-1:]] + held_back[-1:], default=0)
    if not last:
        return None
    leased = Leased(place.campaign_id, rows[0].id, last)
    begin(session, leased, trunk_id, daemon_id, now)
    _hold_back(session, held_back, now)
    return leased, _claimed(taken, campaign)


def _offers_fresh(place: Source, better: Collection[int]) -> bool:
    """Whether what is fresh in that campaign may be this trunk's. It has no route."""
    return place.named or not better


def _sort_out(rows: Iterable[Any], room: float, left: float = inf) -> tuple[list[Any], list[int], list[int]]:
    """What of the rows there is room for; what on the way there must not go; and what there is longer than is left."""
    taken: list[Any] = []
    held_back: list[int] = []
    too_long: list[int] = []
    for row in rows:
        segments = row[_SEGMENTS]  # by its place: names cost, and this is done for every message
        if row[_BARRED]:
            held_back.append(row.id)
        elif segments > left:
            too_long.append(row.id)
        else:
            taken.append(row)
            room -= segments
            left -= segments
            if room < 1 or left < 1:
                break
    return taken, held_back, too_long


def _sources(session: Session, campaign_ids: Collection[int], now: float) -> dict[int | None, Any]:
    """Of these campaigns those that may send, as they are now.

    To be asked when the rows of the messages are locked: then an edit of the text has been committed, and is seen, or
    it waits for them.
    """
    if not campaign_ids:
        return {}
    rows = session.connection().execute(_SOURCES, {"ids": sorted(campaign_ids)})
    return {row.id: row for row in rows if may_send(row, now)}


def _claimed(rows: Iterable[Any], campaign: Any) -> list[Claimed]:
    """These rows of one campaign, or of the outgoing queue where it is None."""
    queue = campaign is None
    text, sender_id = ("", "") if queue else (campaign.text, campaign.sender_id)
    return [
        Claimed(
            message_id,
            number,
            text if own_text is None else own_text,
            own_sender_id or sender_id,
            segments,
            queue,
            urgency,
        )
        for message_id, number, own_text, own_sender_id, segments, urgency, *_ in rows
    ]


def _hold_back(session: Session, message_ids: Sequence[int], now: float) -> None:
    barred = [{"id": message_id, "settled_at": now, "reason": OPTED_OUT} for message_id in message_ids]
    step_each(session, MessageState.EXCLUDED, barred)


def has_work(
    session: Session,
    trunk_id: int,
    places: Sequence[Source],
    *,
    better: Collection[int],
    routes: Mapping[int, Turn] = _NO_ROUTES,
    now: float,
    only: int | None = None,
) -> bool:
    """Whether a claim would find something."""
    connection, nulls = session.connection(), orders_by_null(session)
    read_by_index(session)
    for place in places:
        given = {"now": now, "campaign": place.campaign_id, "only": only, "most": 1}
        for statement in _waiting(
            trunk_id, place.kind, frozenset(better), _key(routes), only is not None, False, nulls
        ):
            if connection.execute(statement, given).first() is not None:
                return True
        fresh = only is None and place.campaign_id is not None and _offers_fresh(place, better)
        if fresh and has_fresh(session, cast(int, place.campaign_id)):
            return True
    return False


def _key(routes: Mapping[int, Turn]) -> tuple[tuple[int, Turn], ...]:
    return tuple(routes.items())


# Statements are kept: to build one takes longer than SQLite does to run it. There are few: the better trunks change
# when a link does.
@lru_cache(maxsize=1000)
def _waiting(
    trunk_id: int,
    kind: Kind,
    better: frozenset[int],
    routes: tuple[tuple[int, Turn], ...],
    only: bool,
    lock: bool,
    nulls: bool,
) -> list[Select[Any]]:
    """The queued messages of one place that this trunk may take, in their order; in several statements, where none
    that has them all could use an index.

    `nulls`: see orders_by_null(). Parameters: now, campaign (where the place is one), only (where it is asked for),
    most.
    """
    place = _M.campaign_id.is_(None) if kind is Kind.QUEUE else _M.campaign_id == bindparam("campaign")
    bound = and_(_M.trunk_id == trunk_id, no_route)  # what is bound has no route
    in_order = [_M.trunk_id, _M.campaign_id, *_BY_TIME] if nulls else _BY_TIME  # as the index begins
    if only:
        asked = and_(_M.id == bindparam("only"), or_(bound, and_(unbound, untried(trunk_id))))
        statements = [_select(place, asked)]
    elif kind is Kind.NAMED:
        statements = [_select(place, and_(unbound, no_route)).order_by(*in_order)]
    else:
        fresh, passed_on = lanes(trunk_id, better, dict(routes))
        if kind is Kind.QUEUE:
            fresh = [bound, *fresh]
        statements = [_select(place, condition).order_by(*in_order) for condition in fresh]
        if passed_on is not None:
            statements.append(_select(place, passed_on).order_by(_M.urgency.desc(), *_BY_TIME))
    statements = [statement.limit(bindparam("most")) for statement in statements]
    return [statement.with_for_update(skip_locked=True) for statement in statements] if lock else statements


def _select(place: ColumnElement[bool], condition: ColumnElement[bool]) -> Select[Any]:
    return select(*_COLUMNS).where(QUEUED, TIMED, _M.not_before <= bindparam("now"), place, condition)
