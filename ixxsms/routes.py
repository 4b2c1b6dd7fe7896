"""Routes: which trunks carry the numbers with certain prefixes, and in which order.

Verbs take an open session and never commit. What changes a route gives the messages that have not left theirs anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from ixxsms import outbox, trunks
from ixxsms.csvfile import Row
from ixxsms.errors import BadFile, BadInput, Duplicate, NotFound
from ixxsms.models import Route, RoutePrefix, RouteTrunk, Trunk
from ixxsms.names import check_name
from ixxsms.numbering import MAX_DIGITS

__all__ = ["add", "all_routes", "edit", "get", "import_rows", "remove"]

#: The weights of a route go up to here.
MOST_WEIGHT = 1000

_AT_ONCE = 500


class Method(StrEnum):
    """How a route chooses among its trunks."""

    PRIORITY = "priority"  #: in the order in which they were given
    COST = "cost"  #: the lowest price of a segment first
    WEIGHT = "weight"  #: each gets a share of the messages; the rest where it cannot take its share


@dataclass(frozen=True)
class OnRoute:
    """A trunk on a route: `position` from 1, `price` of a segment."""

    trunk: str
    position: int
    weight: int
    price: float


@dataclass(frozen=True)
class RouteView:
    """A route as it is shown, its trunks in the order of its method."""

    name: str
    method: str
    trunks: list[OnRoute]
    prefixes: list[str]


@dataclass(frozen=True)
class Rerouted:
    """A route after a change; `messages`: how many queued ones go another way now."""

    route: RouteView
    messages: int


@dataclass(frozen=True)
class Imported:
    """What an import did: prefixes that are new, and those that were on another route before."""

    added: int
    moved: int
    messages: int


# -- change --------------------------------------------------------------------------------------------------------


def add(
    session: Session,
    name: str,
    members: Sequence[tuple[str, int]],
    *,
    prefixes: Iterable[str] = (),
    method: str = Method.PRIORITY,
) -> Rerouted:
    """Create a route over trunks, each (its name, its weight), for numbers that begin with one of these prefixes.

    Raises Duplicate, NotFound and BadInput, each with one sentence.
    """
    _lock(session)
    name = check_name(name, "route")
    if session.scalar(select(Route.id).where(Route.name == name)) is not None:
        raise Duplicate(f'There is a route "{name}" already.')
    route = Route(name=name, method=_check_method(method))
    session.add(route)
    session.flush()
    _set_trunks(session, route, members)
    _set_prefixes(session, route, prefixes)
    return Rerouted(_view(session, route), outbox.reroute(session))


def edit(
    session: Session,
    name: str,
    *,
    members: Sequence[tuple[str, int]] | None = None,
    prefixes: Iterable[str] | None = None,
    method: str | None = None,
) -> Rerouted:
    """Change what is given: all the trunks, all the prefixes, the method. The rest stays."""
    _lock(session)
    route = _find(session, name)
    if method is not None:
        route.method = _check_method(method)
    if members is not None:
        session.execute(delete(RouteTrunk).where(RouteTrunk.route_id == route.id))
        _set_trunks(session, route, members)
    if prefixes is not None:
        session.execute(delete(RoutePrefix).where(RoutePrefix.route_id == route.id))
        _set_prefixes(session, route, prefixes)
    session.flush()
    return Rerouted(_view(session, route), outbox.reroute(session))


def remove(session: Session, name: str) -> int:
    """Delete a route. Returns how many queued messages go another way now."""
    _lock(session)
    route = _find(session, name)
    session.execute(delete(RoutePrefix).where(RoutePrefix.route_id == route.id))
    session.execute(delete(RouteTrunk).where(RouteTrunk.route_id == route.id))
    session.delete(route)
    session.flush()
    return outbox.reroute(session)


def import_rows(session: Session, rows: Iterable[Row]) -> Imported:
    """Put prefixes on routes: rows of prefix and route, as an operator table has them.

    A prefix that is on another route moves; those that are not named stay. Raises BadFile at the first row that
    cannot be used: half a table would send to the wrong operator.
    """
    _lock(session)
    ids = {name: route_id for route_id, name in session.execute(select(Route.id, Route.name))}
    wanted: dict[str, int] = {}
    for row in rows:
        if row.problem:
            raise BadFile(f"Line {row.line}: {row.problem}; nothing was imported.")
        route_id = ids.get(row.text or "")
        if route_id is None:
            raise BadFile(f'Line {row.line}: there is no route "{(row.text or "")[:64]}"; nothing was imported.')
        try:
            prefix = _check_prefix(row.number)
        except BadInput as error:
            raise BadFile(f"Line {row.line}: {str(error).rstrip('.')}; nothing was imported.") from None
        if wanted.setdefault(prefix, route_id) != route_id:
            raise BadFile(f"Line {row.line}: the prefix {prefix} has another route above; nothing was imported.")
    moved = 0
    names = list(wanted)
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        before = session.execute(select(RoutePrefix.prefix, RoutePrefix.route_id).where(RoutePrefix.prefix.in_(some)))
        there = dict(before.all())
        moved += sum(route_id != wanted[prefix] for prefix, route_id in there.items())
        for prefix in there:
            if there[prefix] == wanted[prefix]:
                del wanted[prefix]
        session.execute(delete(RoutePrefix).where(RoutePrefix.prefix.in_([p for p in some if p in wanted])))
    if wanted:
        session.connection().execute(
            insert(RoutePrefix), [{"prefix": prefix, "route_id": route_id} for prefix, route_id in wanted.items()]
        )
    return Imported(len(wanted) - moved, moved, outbox.reroute(session))


def _lock(session: Session) -> None:
    """Wait for whoever is giving messages their routes: none may get one that goes."""
    session.execute(select(Route.id).with_for_update()).all()


def _set_trunks(session: Session, route: Route, members: Sequence[tuple[str, int]]) -> None:
    if not members:
        raise BadInput("A route needs at least one trunk.")
    ids = [trunks.get(session, name).id for name, _ in members]
    if len(set(ids)) < len(ids):
        raise BadInput("A trunk can be on a route only once.")
    for (name, weight), trunk_id, position in zip(members, ids, range(1, len(ids) + 1), strict=True):
        if not 1 <= weight <= MOST_WEIGHT:
            raise BadInput(f'The weight of the trunk "{name}" must be from 1 to {MOST_WEIGHT}.')
        if weight != 1 and route.method != Method.WEIGHT:
            raise BadInput(f'The trunk "{name}" has a weight, which counts with the method weight only.')
        session.add(RouteTrunk(route_id=route.id, trunk_id=trunk_id, position=position, weight=weight))
    session.flush()


def _set_prefixes(session: Session, route: Route, prefixes: Iterable[str]) -> None:
    for prefix in dict.fromkeys(map(_check_prefix, prefixes)):
        there = session.get(RoutePrefix, prefix)
        if there is not None:
            other = session.get_one(Route, there.route_id).name
            raise Duplicate(f'The prefix {prefix} is on the route "{other}" already.')
        session.add(RoutePrefix(prefix=prefix, route_id=route.id))
    session.flush()


def _check_prefix(prefix: str) -> str:
    text = prefix.strip()
    bare = text.removeprefix("+").removeprefix("00")
    if not re.fullmatch(f"[1-9][0-9]{{0,{MAX_DIGITS - 1}}}", bare):
        raise BadInput(
            f'The prefix "{text[:32]}" is not one: up to {MAX_DIGITS} digits are allowed, the country code first.'
        )
    return bare


def _check_method(method: str) -> Method:
    if method not in list(Method):
        raise BadInput(f'"{method}" is no method of a route; there are {", ".join(Method)}.')
    return Method(method)


# -- look ----------------------------------------------------------------------------------------------------------


def get(session: Session, name: str) -> RouteView:
    """The route of that name. Raises NotFound."""
    return _view(session, _find(session, name))


def all_routes(session: Session) -> list[RouteView]:
    """Every route, by name."""
    return [_view(session, route) for route in session.scalars(select(Route).order_by(Route.name))]


def _find(session: Session, name: str) -> Route:
    route = session.scalar(select(Route).where(Route.name == name))
    if route is None:
        raise NotFound(f'There is no route "{name}".')
    return route


def _view(session: Session, route: Route) -> RouteView:
    prefixes = session.scalars(
        select(RoutePrefix.prefix).where(RoutePrefix.route_id == route.id).order_by(RoutePrefix.prefix)
    )
    found = [OnRoute(trunk.name, on.position, on.weight, trunk.price) for on, trunk in members(session, route)]
    return RouteView(route.name, route.method, found, list(prefixes))


def members(session: Session, route: Route) -> list[tuple[RouteTrunk, Trunk]]:
    """The trunks of a route in the order of its method."""
    rows = session.execute(
        select(RouteTrunk, Trunk).join(Trunk, Trunk.id == RouteTrunk.trunk_id).where(RouteTrunk.route_id == route.id)
    )
    return sorted(rows, key=lambda row: _rank(route.method, row[1].price, row[0].position))


def _rank(method: str, price: float, position: int) -> tuple[float, int]:
    return (price if method == Method.COST else 0.0, position)


# -- whose turn it is ----------------------------------------------------------------------------------------------


def in_turn(session: Session, route_id: int, message_id: int) -> list[Trunk]:
    """The trunks of a route in the order in which they try a message."""
    route = session.get(Route, route_id)
    if route is None:
        return []
    found = members(session, route)
    if route.method == Method.WEIGHT:
        shares = _shares([on.weight for on, _ in found])
        owner = next(n for n, (first, last) in enumerate(shares) if first <= outbox.slot(message_id) < last)
        found.insert(0, found.pop(owner))
    return [trunk for _, trunk in found]


def turns(session: Session, trunk: Trunk, usable: Iterable[Trunk]) -> dict[int, outbox.Turn]:
    """How a trunk stands on each of its routes, among the `usable` others: those that may take messages now."""
    by_id = {other.id: other for other in usable} | {trunk.id: trunk}
    routes: dict[int, list[tuple[RouteTrunk, str]]] = defaultdict(list)
    rows = select(RouteTrunk, Route.method).join(Route, Route.id == RouteTrunk.route_id).order_by(RouteTrunk.position)
    for on, method in session.execute(rows):
        routes[on.route_id].append((on, method))
    return {
        route_id: _turn(trunk, [(on, by_id[on.trunk_id]) for on, _ in found if on.trunk_id in by_id], found[0][1])
        for route_id, found in routes.items()
        if any(on.trunk_id == trunk.id for on, _ in found)
    }


def _turn(trunk: Trunk, present: list[tuple[RouteTrunk, Trunk]], method: str) -> outbox.Turn:
    others = frozenset(other.id for _, other in present if other.id != trunk.id)
    if method == Method.WEIGHT:
        shares = _shares([on.weight for on, _ in present])
        mine = next(share for share, (on, _) in zip(shares, present, strict=True) if on.trunk_id == trunk.id)
        return outbox.Turn(others=others, slots=mine if others else None)
    ranks = {other.id: _rank(method, other.price, on.position) for on, other in present}
    better = frozenset(other for other in others if ranks[other] < ranks[trunk.id])
    return outbox.Turn(better, others)


def _shares(weights: Sequence[int]) -> list[tuple[int, int]]:
    """What each has of the slots, from the first to before the last."""
    ends = [outbox.SLOTS * so_far // sum(weights) for so_far in accumulate(weights)]
    return list(zip([0, *ends], ends, strict=False))
