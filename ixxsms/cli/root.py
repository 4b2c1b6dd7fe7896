"""The application that the commands of the other files enter themselves into."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

#: The commands in the order of the work, as --help lists them.
_ORDER = ["init", "numbering", "check", "segments", "trunk", "route", "list", "harvest"]
_ORDER += ["campaign", "send", "outbox", "receipts", "inbox", "optout", "hook", "sip", "asterisk"]
_ORDER += ["status", "db", "fake-smsc"]


class _InOrder(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: _ORDER.index(name) if name in _ORDER else 99)


def examples(*lines: str) -> str:
    """What --help ends with: each line as it would be typed."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def group(name: str, help: str) -> typer.Typer:
    """A noun: the commands that are entered into it are typed after it."""
    noun = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(noun, name=name)
    return noun


def _version(wanted: bool) -> None:
    if wanted:
        from ixxsms import __version__

        print(f"ixxsms {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="ixxsms",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 refused, and one sentence on standard error says why; 2 usage."
    " Every command has --help with examples.",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """SMS for an Asterisk PBX: numbers from the call records, lists, campaigns, trunks."""
