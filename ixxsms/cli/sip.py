"""ixxsms sip route."""

from __future__ import annotations

from typing import Annotated

import typer

import ixxsms
from ixxsms.cli.output import Json, print_json, print_table, say
from ixxsms.cli.root import examples, group

commands = group("sip", "SIP phones that get incoming SMS.")
routes = typer.Typer(help="Which phone gets what is sent to which number.", no_args_is_help=True, rich_markup_mode=None)
commands.add_typer(routes, name="route")

Did = Annotated[str, typer.Argument(metavar="NUMBER", help="A number of ours that SMS are sent to.")]


@routes.command(
    epilog=examples(
        "ixxsms sip route add 900123123 phone1", "ixxsms sip route add 900123123 phone1 --email ana@example.net"
    )
)
def add(
    did: Did,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The phone's name in pjsip.conf.")],
    email: Annotated[str, typer.Option(metavar="ADDRESS", help="Who gets a mail when the phone is away.")] = "",
    as_json: Json = False,
) -> None:
    """Deliver what is sent to a number to a SIP phone."""
    from ixxsms import numbering_plan, sip_routes

    with ixxsms.open() as pbx:
        route = pbx.database.transact(
            lambda session: sip_routes.add(session, numbering_plan.get(session), did, endpoint, email)
        )
    if as_json:
        print_json({"number": route.did, "endpoint": route.endpoint, "email": route.email})
        return
    say(f"SMS to {route.did} are delivered to {route.endpoint}.")
    if email and not pbx.config.smtp_host:
        say("No mail is sent before the setting smtp_host names a mail server.")


@routes.command("list", epilog=examples("ixxsms sip route list", "ixxsms sip route list --json"))
def list_(as_json: Json = False) -> None:
    """Show every route."""
    from ixxsms import sip_routes

    with ixxsms.open() as pbx, pbx.database.read() as session:
        found = [(route.did, route.endpoint, route.email) for route in sip_routes.all_routes(session)]
    if as_json:
        print_json([{"number": did, "endpoint": endpoint, "email": email} for did, endpoint, email in found])
    else:
        print_table(["number", "endpoint", "e-mail"], found, ["e-mail"])


@routes.command(epilog=examples("ixxsms sip route remove 900123123"))
def remove(did: Did, as_json: Json = False) -> None:
    """Deliver no more to a phone what is sent to a number."""
    from ixxsms import numbering_plan, sip_routes

    with ixxsms.open() as pbx:
        pbx.database.transact(lambda session: sip_routes.remove(session, numbering_plan.get(session), did))
    if as_json:
        print_json({"number": did, "removed": True})
    else:
        say(f"The route of {did} is removed.")
