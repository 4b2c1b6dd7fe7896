"""How messages are shown, by every command that shows some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ixxsms.cli.output import iso, print_table

if TYPE_CHECKING:
    from ixxsms.models import Message
    from ixxsms.pbx import Pbx


def message_fields(pbx: Pbx, messages: Iterable[Message]) -> Iterator[dict[str, Any]]:
    """The messages for programs. `trunk` is the one that the message went through; `text` null: the campaign's."""
    names = {trunk.id: trunk.name for trunk in pbx.trunks.all_trunks()}
    for message in messages:
        via = message.via_trunk_id
        yield {
            "id": message.id,
            "number": message.number,
            "state": message.state,
            "reason": message.reason,
            "trunk": names.get(via, "(removed)") if via else "",
            "remote_id": message.remote_id or "",
            "segments": message.segments,
            "attempts": message.attempts,
            "text": message.text,
            "created_at": iso(message.created_at),
            "submitted_at": iso(message.submitted_at),
            "accepted_at": iso(message.accepted_at),
            "settled_at": iso(message.settled_at),
        }


def message_rows(rows: Iterable[dict[str, Any]], with_id: bool = False) -> None:
    """A table with a line for each message: its latest time, and the reason or else the remote id."""
    columns = [*(["id"] if with_id else []), "number", "state", "time", "trunk", "remote id", "reason"]
    cells = [(*([row["id"]] if with_id else []), *_row(row)) for row in rows]
    print_table(columns, cells, ["trunk", "remote id", "reason"])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    latest = row["settled_at"] or row["accepted_at"] or row["submitted_at"] or row["created_at"]
    when = latest[:19].replace("T", " ")
    return row["number"], row["state"], when, row["trunk"], row["remote_id"], row["reason"]
