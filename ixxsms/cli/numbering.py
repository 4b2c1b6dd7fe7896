"""ixxsms numbering, check, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.input import read_text
from ixxsms.cli.output import Json, character, plural, print_facts, print_json, say
from ixxsms.cli.root import app, examples, group
from ixxsms.errors import BadInput

if TYPE_CHECKING:
    from ixxsms.numbering import Plan

commands = group("numbering", "The numbering plan: country code, mobile prefixes, lengths.")


@commands.command(epilog=examples("ixxsms numbering show", "ixxsms numbering show --json"))
def show(as_json: Json = False) -> None:
    """Show the numbering plan."""
    with ixxsms.open() as pbx:
        _print(pbx.numbering.get(), as_json)


@commands.command(
    "set",
    epilog=examples(
        "ixxsms numbering set --country ES",
        "ixxsms numbering set --country-code 56 --mobile-prefixes 9 --min-length 9 --max-length 9",
        "ixxsms numbering set --mobile-prefixes 6,7,+376",
    ),
)
def set_(
    country: Annotated[
        str | None, typer.Option(help="Two letters of ISO 3166, such as ES: fills in what no option gives.")
    ] = None,
    country_code: Annotated[str | None, typer.Option(help="Such as 34.")] = None,
    mobile_prefixes: Annotated[
        str | None, typer.Option(help="With commas: 6,7 or 346 or +346; +447 marks numbers of another country.")
    ] = None,
    min_length: Annotated[int | None, typer.Option(help="Digits of a mobile number without country code.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Digits of a mobile number without country code.")] = None,
    as_json: Json = False,
) -> None:
    """Set the numbering plan, or single values of it."""
    if all(value is None for value in (country, country_code, mobile_prefixes, min_length, max_length)):
        raise BadInput("There is nothing to set; give --country, or single values (see --help).")
    with ixxsms.open() as pbx:
        plan = pbx.numbering.change(
            country=country,
            country_code=country_code,
            mobile_prefixes=mobile_prefixes,
            min_length=min_length,
            max_length=max_length,
        )
    _print(plan, as_json)


def _print(plan: Plan, as_json: bool) -> None:
    fields: dict[str, Any] = {
        "country": plan.country,
        "country_code": plan.country_code,
        "mobile_prefixes": list(plan.mobile_prefixes),
        "min_length": plan.min_length,
        "max_length": plan.max_length,
    }
    if as_json:
        print_json(fields)
    else:
        facts = {**fields, "mobile_prefixes": ", ".join(plan.mobile_prefixes)}
        print_facts({name.replace("_", " "): value for name, value in facts.items()})


@app.command(epilog=examples("ixxsms check '600 123 456'", "ixxsms check +447911123456 --json", "ixxsms check -- -5"))
def check(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="In any spelling.")],
    as_json: Json = False,
) -> None:
    """Tell what the numbering plan says of a number, valid or not."""
    with ixxsms.open() as pbx:
        found = pbx.check(number)
    if as_json and found.valid:
        print_json({"number": found.number, "mobile": found.mobile, "valid": True})
    elif as_json:
        print_json({"valid": False, "reason": found.reason})
    elif found.valid:
        say(f"{found.number}: valid, {'mobile' if found.mobile else 'not mobile'}")
    else:
        say(f"{number}: not valid, {found.reason}")


@app.command(epilog=examples("ixxsms segments 'Your order is ready'", "ixxsms segments --trunk provider - < text.txt"))
def segments(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The text; "-" is standard input.')],
    trunk: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tell also what this SMPP trunk makes of it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what a text costs: encoding, length, segments.

    Names the characters that force UCS-2.
    """
    from ixxsms import text as sms_text

    words = read_text(text)
    found = sms_text.measure(words)
    through = _through(trunk, words) if trunk else None
    if as_json:
        fields = {"encoding": str(found.encoding), "length": found.length, "segments": found.segments}
        there = {"data_coding": through[0], "trunk_segments": through[1]} if through else {}
        print_json({**fields, "forced_by": list(found.forced_by), **there})
        return
    unit = "septet" if found.encoding is sms_text.Encoding.GSM else "UTF-16 unit"
    say(f"{found.encoding}: {plural(found.length, unit)}, {plural(found.segments, 'segment')}")
    for char in found.forced_by:
        say(f"not in the GSM alphabet: {character(char)}")
    if through:
        say(f"through the trunk {trunk}: data_coding {through[0]}, {plural(through[1], 'segment')}")


def _through(name: str, text: str) -> tuple[int, int]:
    """The data_coding and the segments of a text on that trunk."""
    from ixxsms.drivers import kinds
    from ixxsms.smpp import coding

    with ixxsms.open() as pbx:
        trunk = pbx.trunks.get(name)
    if trunk.kind != "smpp":
        raise BadInput(f'The trunk "{name}" is no SMPP trunk: only these write a text in a way of their own.')
    return coding.of_options(kinds.check_options(trunk.kind, trunk.options, ""), True).segments(text)
