"""ixxsms send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import ixxsms
from ixxsms.cli.input import read_text
from ixxsms.cli.output import Json, plural, print_json, say
from ixxsms.cli.root import app, examples
from ixxsms.errors import Error

if TYPE_CHECKING:
    from ixxsms.single import Sent

#: What is told of a message that was not accepted, by its state.
_WORDS = {
    "refused": "was refused",
    "cancelled": "was not sent",
    "expired": "was not sent",
    "excluded": "was not sent",
    "in_doubt": "is in doubt, it may have been sent",
}


@app.command(
    epilog=examples(
        "ixxsms send 600123456 'Your order is ready'",
        "ixxsms send 600123456 - --trunk provider < text.txt",
        "ixxsms send 600123456 'Your order is ready' --queue",
    )
)
def send(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="In any spelling.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The text; "-" is standard input.')],
    trunk: Annotated[str | None, typer.Option(help="Only through this trunk; otherwise through any.")] = None,
    sender_id: Annotated[str, typer.Option(help="Goes before the trunk's.")] = "",
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to ixxmassivesms and return at once.")] = False,
    as_json: Json = False,
) -> None:
    """Send one message and wait for its outcome. Exit code 1 unless it is accepted."""
    with ixxsms.open() as pbx:
        if queue:
            message_id = pbx.enqueue(number, read_text(text), trunk=trunk, sender_id=sender_id)
            if as_json:
                print_json({"id": message_id, "state": "queued"})
            else:
                say(f"Queued as message {message_id}.")
            return
        sent = pbx.send(number, read_text(text), trunk=trunk, sender_id=sender_id)
    if as_json:
        print_json(_fields(sent))
    elif sent.accepted:
        remote = f", remote id {sent.remote_id}" if sent.remote_id else ""
        say(f"{sent.number}: {sent.state} by {sent.trunk}, {plural(sent.segments, 'segment')}{remote}")
    if not sent.accepted:
        why = sent.reason.rstrip(".") or "no reason is known"
        raise Error(f"The message to {sent.number} {_WORDS.get(sent.state, 'has no outcome yet')}: {why}.")


def _fields(sent: Sent) -> dict[str, object]:
    return {
        "id": sent.id,
        "number": sent.number,
        "state": sent.state,
        "trunk": sent.trunk,
        "remote_id": sent.remote_id,
        "segments": sent.segments,
        "reason": sent.reason,
    }
