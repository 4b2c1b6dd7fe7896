"""Which trunks may take messages now: what a sender knows of the others, and whoever passes a message on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy.orm import Session

from ixxsms import daemons, outbox, routes, trunks, usage
from ixxsms.models import Trunk


def may_send(trunk: Trunk) -> bool:
    """Whether messages may go through a trunk: it is enabled, has not stopped, and is not one that only receives."""
    return trunk.active and not trunk.stopped_reason and trunk.options.get("bind") != "rx"


class Neighbours(NamedTuple):
    """The other trunks that may take messages now.

    `better`: those whose turn comes before this one's where a message has no route. `others`: all of them. `routes`:
    how this trunk stands on each of its routes; None where somebody else decides whose turn it is.
    """

    better: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()
    routes: Mapping[int, outbox.Turn] | None = None


def neighbours(session: Session, trunk: Trunk, heartbeat_seconds: float) -> Neighbours:
    """The trunks beside this one, and its routes."""
    living = daemons.alive(session, time.time(), heartbeat_seconds)
    promising = daemons.promising(daemons.links(session, [daemon.id for daemon in living]))
    known = trunks.all_trunks(session)
    capped = usage.reached(session, known, time.time())
    usable = [
        other
        for other in known
        if may_send(other) and other.id in promising and other.id not in capped and other.id != trunk.id
    ]
    better = frozenset(other.id for other in usable if other.priority < trunk.priority)
    return Neighbours(better, frozenset(other.id for other in usable), routes.turns(session, trunk, usable))


def next_trunks(session: Session, heartbeat_seconds: float) -> Callable[[int], outbox.NextTrunks]:
    """Of a trunk, by its id: who may take its messages now, for those who settle receipts and have no sender."""

    def of(trunk_id: int) -> outbox.NextTrunks:
        trunk = session.get(Trunk, trunk_id)
        near = neighbours(session, trunk, heartbeat_seconds) if trunk else Neighbours()
        return outbox.NextTrunks(near.others, near.routes)

    return of
