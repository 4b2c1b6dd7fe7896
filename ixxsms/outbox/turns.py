"""Whose turn a message is: the condition by which a claim shares messages out among the trunks.

A message without a route is offered to every trunk by priority, one on a route to the trunks of that route by its
method. Who comes first is decided elsewhere; here it becomes SQL. Every condition must be answered by an index alone:
a trunk looks many times a second, and most of what is queued may not be for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, literal_column, or_

from ixxsms.models import Message
from ixxsms.outbox.steps import PASSED_ON

#: The messages of a route by weight are dealt into so many slots by their ids.
SLOTS = 65_536
#: SLOTS by the golden ratio: ids one after another, or any step apart, fall into slots that lie evenly.
_STEP = 40_503

_M = Message.__table__.c

no_route: ColumnElement[bool] = _M.route_id == 0
unbound: ColumnElement[bool] = _M.trunk_id.is_(None)
_FRESH = _M.tried == literal_column("''")


@dataclass(frozen=True)
class Turn:
    """How a trunk stands on a route, now.

    `better`: the trunks whose turn comes first. `others`: all the other trunks that may take its messages. `slots`:
    of a route by weight, this trunk's share, from the first to before the last; None where the share is all.
    """

    better: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()
    slots: tuple[int, int] | None = None


class NextTrunks(NamedTuple):
    """The other trunks that may take a trunk's messages now.

    `routes`: how the trunk stands on its routes, for what has one; None: `others` are for every message.
    """

    others: Collection[int] = ()
    routes: Mapping[int, Turn] | None = None

    def of(self, route_id: int) -> set[int]:
        """Those for a message of this route; 0 is no route."""
        if self.routes is None or not route_id:
            return set(self.others)
        return set(self.routes.get(route_id, Turn()).others)


def slot(message_id: int) -> int:
    """The slot of a message on a route by weight."""
    return message_id * _STEP % SLOTS


def untried(trunk_id: int) -> ColumnElement[bool]:
    """The trunk has not passed the message on."""
    return _M.tried.not_like(f"%,{trunk_id},%")


class Lanes(NamedTuple):
    """What a trunk may take now of the messages that are not bound to one, as conditions that exclude each other.

    `fresh`: each one range of the index of what is queued, whose order it has. `passed_on`: of that of what was passed
    on; None where the others have it.
    """

    fresh: list[ColumnElement[bool]]
    passed_on: ColumnElement[bool] | None


def lanes(trunk_id: int, better: Collection[int], routes: Mapping[int, Turn]) -> Lanes:
    """The conditions for this trunk, now.

    `better`: the trunks that come first where a message has no route. `routes`: those that this trunk is on.
    """
    fresh: list[ColumnElement[bool]] = []
    passed_on: list[ColumnElement[bool]] = []
    for route_id, turn in [(0, Turn(frozenset(better))), *sorted(routes.items())]:
        here = and_(unbound, _M.route_id == route_id)
        among = _M.route_id + 0 == route_id  # not a column that SQLite could take the other index for
        if turn.slots is not None:
            fresh.append(and_(here, _FRESH, _in_slots(*turn.slots)))
            passed_on.append(among)
        elif turn.better:
            passed_on.append(and_(among, *(_M.tried.like(f"%,{other},%") for other in sorted(turn.better))))
        else:
            fresh.append(and_(here, untried(trunk_id)))
    if not passed_on:
        return Lanes(fresh, None)
    # Nor is this one: what is bound is never passed on.
    return Lanes(fresh, and_(PASSED_ON, (_M.trunk_id + 0).is_(None), untried(trunk_id), or_(*passed_on)))


def _in_slots(first: int, last: int) -> ColumnElement[bool]:
    share = (_M.id * _STEP % SLOTS).between(first, last - 1)
    # As a bare condition PostgreSQL takes it for one that few rows meet, and sorts a whole route for them.
    return case((share, 1), else_=0) != 0
