"""ixxsms route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

import ixxsms
from ixxsms.cli.input import number_file
from ixxsms.cli.output import Json, plural, print_facts, print_json, print_table, say
from ixxsms.cli.root import examples, group
from ixxsms.errors import BadInput

if TYPE_CHECKING:
    from ixxsms.explain import Explained, Way
    from ixxsms.routes import Rerouted, RouteView

#: So many prefixes of a route are listed; `route show` has them all.
_FEW = 5

_METHODS = {
    "priority": "in the order of the route",
    "cost": "the cheapest first",
    "weight": "shared by weight",
}

commands = group("route", "Which trunks carry the numbers with certain prefixes.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The route's name.")]
Prefixes = Annotated[
    str | None, typer.Option("--prefix", help="First digits with the country code, by commas: 34600,34601.")
]
Trunks = Annotated[
    list[str] | None,
    typer.Option("--trunk", metavar="TRUNK[:WEIGHT]", help="Once for each trunk, the first to be tried first."),
]
Method = Annotated[
    str | None,
    typer.Option(metavar="priority|cost|weight", help="In the order given (default), cheapest first, or shared."),
]


@commands.command(
    epilog=examples(
        "ixxsms route add mobile-a --prefix 34600,34601 --trunk direct --trunk backup",
        "ixxsms route add cheap --prefix 44,33,49 --trunk one --trunk two --method cost",
        "ixxsms route add shared --prefix 34 --trunk one:3 --trunk two:1 --method weight",
    )
)
def add(name: Name, trunk: Trunks = None, prefix: Prefixes = None, method: Method = None) -> None:
    """Add a route. What is queued for its numbers takes it at once."""
    prefixes = _prefixes(prefix)
    if prefixes == []:
        raise BadInput("The option --prefix names no prefix; leave it out for a route that gets its prefixes later.")
    with ixxsms.open() as pbx:
        done: Rerouted = pbx.routes.add(
            name, _members(trunk or []), prefixes=prefixes or [], method=method or "priority"
        )
    say(f"The route {done.route.name} is added{_rerouted(done.messages)}.")


@commands.command(
    "set",
    epilog=examples(
        "ixxsms route set cheap --method cost",
        "ixxsms route set shared --trunk one:1 --trunk two:1",
        "ixxsms route set mobile-a --prefix 34600,34601,34602",
    ),
)
def set_(name: Name, trunk: Trunks = None, prefix: Prefixes = None, method: Method = None) -> None:
    """Change all the trunks, all the prefixes, or the method; the rest stays."""
    if trunk is None and prefix is None and method is None:
        raise BadInput("There is nothing to change; give at least one option (see --help).")
    with ixxsms.open() as pbx:
        members = None if trunk is None else _members(trunk)
        done: Rerouted = pbx.routes.edit(name, members=members, prefixes=_prefixes(prefix), method=method)
    say(f"The route {done.route.name} is changed{_rerouted(done.messages)}.")


@commands.command("list", epilog=examples("ixxsms route list", "ixxsms route list --json"))
def list_(as_json: Json = False) -> None:
    """Show every route with its trunks, the one that is tried first first."""
    with ixxsms.open() as pbx:
        found: list[RouteView] = pbx.routes.all_routes()
    if as_json:
        print_json([asdict(route) for route in found])
    else:
        rows = [(route.name, route.method, _trunks(route), _few(route.prefixes)) for route in found]
        print_table(["route", "method", "trunks", "prefixes"], rows, ["prefixes", "trunks"])


@commands.command(epilog=examples("ixxsms route show shared", "ixxsms route show shared --json"))
def show(name: Name, as_json: Json = False) -> None:
    """Show a route with all its prefixes."""
    with ixxsms.open() as pbx:
        route: RouteView = pbx.routes.get(name)
    if as_json:
        print_json(asdict(route))
        return
    print_facts(
        {
            "route": route.name,
            "method": f"{route.method}, {_METHODS[route.method]}",
            "trunks": _trunks(route),
            "prefixes": ", ".join(route.prefixes),
        }
    )


@commands.command(epilog=examples("ixxsms route remove shared"))
def remove(name: Name) -> None:
    """Remove a route. Its numbers go by other routes, or through any trunk."""
    with ixxsms.open() as pbx:
        messages: int = pbx.routes.remove(name)
    say(f"The route {name} is removed{_rerouted(messages)}.")


@commands.command("import", epilog=examples("ixxsms route import operators.csv", "ixxsms route import - < table.csv"))
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help='Rows of prefix and route; "-" is standard input.')],
    as_json: Json = False,
) -> None:
    """Put the prefixes of an operator table on routes that exist.

    Prefixes that the file does not name stay. One row that cannot be used, and nothing is imported.
    """
    with ixxsms.open() as pbx, number_file(file) as rows:
        done = pbx.routes.import_rows(rows)
    if as_json:
        print_json({"added": done.added, "moved": done.moved, "messages": done.messages})
        return
    say(f"Prefixes added: {done.added}; moved from another route: {done.moved}{_rerouted(done.messages)}.")


@commands.command(epilog=examples("ixxsms route explain 600123456", "ixxsms route explain +447911123456 --json"))
def explain(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="In any spelling.")],
    as_json: Json = False,
) -> None:
    """Tell through which trunks a number goes, in which order and why."""
    with ixxsms.open() as pbx:
        found = pbx.explain(number)
    if as_json:
        print_json(asdict(found))
        return
    _print_explained(found)


def _print_explained(found: Explained) -> None:
    if found.route:
        method = _METHODS[found.method]
        say(f"{found.number} begins with {found.prefix}: route {found.route}, {method}.")
    else:
        say(f"{found.number} has no route: every trunk by its priority.")
    if found.ways:
        print()
        names = ["turn", "trunk", *_deciding(found), "state"]
        print_table(names, [_row(way, found) for way in found.ways], ["state", "trunk"])
        print()
    first = [way for way in found.ways if way.turn == 1]
    if not first:
        say("No trunk may take it now: a message waits until one can.")
    elif first[0].link == "no daemon":
        say("No ixxmassivesms is alive: a queued message waits, and ixxsms send tries them in this order.")
    elif found.method == "weight":
        say("The share says who tries a message first; who passes it on leaves it to the others.")
    else:
        say(f"A message goes through {first[0].trunk} now.")


def _deciding(found: Explained) -> list[str]:
    if not found.route:
        return ["priority"]
    return {"cost": ["price"], "weight": ["weight", "share"]}.get(found.method, [])


def _row(way: Way, found: Explained) -> list[str]:
    share = f"{way.share:.0f} %" if way.turn else ""
    values = {"priority": str(way.priority), "price": f"{way.price:g}", "weight": str(way.weight), "share": share}
    state = f"{way.link}: {way.why}" if way.why else way.link
    return [str(way.turn or "-"), way.trunk, *[values[name] for name in _deciding(found)], state]


def _members(trunks: Sequence[str]) -> list[tuple[str, int]]:
    return [_member(text) for text in trunks]


def _member(text: str) -> tuple[str, int]:
    name, colon, weight = text.rpartition(":")
    if colon and weight.isascii() and weight.isdigit() and len(weight) < 9:
        return name, int(weight)
    return text, 1


def _prefixes(text: str | None) -> list[str] | None:
    return None if text is None else [part for part in text.split(",") if part.strip()]


def _trunks(route: RouteView) -> str:
    told = {"weight": ":{on.weight}", "cost": " ({on.price:g})"}.get(route.method, "")
    return ", ".join(on.trunk + told.format(on=on) for on in route.trunks)


def _few(prefixes: list[str]) -> str:
    more = f" and {len(prefixes) - _FEW} more" if len(prefixes) > _FEW else ""
    return ", ".join(prefixes[:_FEW]) + more


def _rerouted(messages: int) -> str:
    return (
        f"; {plural(messages, 'queued message')} {'goes' if messages == 1 else 'go'} another way now"
        if messages
        else ""
    )
