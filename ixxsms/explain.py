"""Why a number goes the way it goes: its route, the trunks of it in their order, and what keeps each from its turn.

It only reads, and says of every trunk what the senders would decide by.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ixxsms import outbox, routes, trunks
from ixxsms.drivers.base import Link
from ixxsms.errors import BadInput
from ixxsms.models import Route, Trunk
from ixxsms.numbering import Plan, check
from ixxsms.routes import Method
from ixxsms.status import NO_DAEMON, TrunkStatus, trunk_statuses


@dataclass(frozen=True)
class Way:
    """One trunk that a message may go through. `turn`: from 1, 0 where it has none now. `link`, `why`: as in a status.

    `share`: of a route by weight, the part of the messages that it takes first now, in percent.
    """

    trunk: str
    turn: int
    priority: int
    price: float
    weight: int
    share: float
    link: str
    why: str


@dataclass(frozen=True)
class Explained:
    """Where a message to `number` goes. `route`, `prefix` and `method` are "" where it has no route."""

    number: str
    route: str
    prefix: str
    method: str
    ways: list[Way]


def explain(session: Session, plan: Plan, number: str, now: float, heartbeat_seconds: float) -> Explained:
    """Which trunks, in which order, and why. Raises BadInput: not a number."""
    checked = check(plan, number)
    if not checked.valid:
        raise BadInput(f'"{number[:32]}" cannot be written to: {checked.reason}.')
    statuses = {found.name: found for found in trunk_statuses(session, now, heartbeat_seconds)}
    found = outbox.find_route(session, checked.number)
    if found is None:
        ways = _ways([(trunk, 1) for trunk in trunks.all_trunks(session)], statuses, Method.PRIORITY)
        return Explained(checked.number, "", "", "", ways)
    route = session.get_one(Route, found.route_id)
    on_route = [(trunk, on.weight) for on, trunk in routes.members(session, route)]
    return Explained(
        checked.number, route.name, found.prefix, route.method, _ways(on_route, statuses, Method(route.method))
    )


def _ways(found: list[tuple[Trunk, int]], statuses: dict[str, TrunkStatus], method: Method) -> list[Way]:
    """Those that may take a message first, in their order; then the others."""
    rows = [(trunk, weight, statuses[trunk.name]) for trunk, weight in found]
    present = [row for row in rows if _takes(row[0], row[2])]
    total = sum(weight for _, weight, _ in present)
    ways = []
    for turn, (trunk, weight, status) in enumerate(present, 1):
        share = 100 * weight / total if method is Method.WEIGHT else 0.0
        ways.append(Way(trunk.name, turn, trunk.priority, trunk.price, weight, share, status.link, status.why))
    for trunk, weight, status in (row for row in rows if row not in present):
        why = "it only receives" if _only_receives(trunk) else status.why
        ways.append(Way(trunk.name, 0, trunk.priority, trunk.price, weight, 0.0, status.link, why))
    return ways


def _takes(trunk: Trunk, status: TrunkStatus) -> bool:
    """Where no daemon is alive, a single send tries what is enabled."""
    return status.link in (Link.UP, Link.STARTING, NO_DAEMON) and not _only_receives(trunk)


def _only_receives(trunk: Trunk) -> bool:
    return trunk.options.get("bind") == "rx"
