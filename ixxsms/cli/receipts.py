"""ixxsms receipts."""

from __future__ import annotations

from typing import Annotated

import typer

import ixxsms
from ixxsms.cli.output import ROWS, Json, Limit, iso, local, print_json, print_table
from ixxsms.cli.root import examples, group

commands = group("receipts", "Receipts, the SMSCs' later word on messages.")

_WORDS = {True: "delivered", False: "failed", None: "pending"}


@commands.command(epilog=examples("ixxsms receipts unmatched", "ixxsms receipts unmatched --trunk provider --json"))
def unmatched(
    trunk: Annotated[str | None, typer.Option(help="Only those that came on this trunk.")] = None,
    limit: Limit = ROWS,
    as_json: Json = False,
) -> None:
    """Show the receipts whose message is not known, the newest first.

    They are kept for a week. Many of them: see the option receipt_id_base of the trunk.
    """
    with ixxsms.open() as pbx:
        names = {each.id: each.name for each in pbx.trunks.all_trunks()}
        trunk_id = pbx.trunks.get(trunk).id if trunk else None
        found = pbx.receipts.unmatched(trunk_id=trunk_id, limit=limit)
    if as_json:
        print_json(
            [
                {
                    "trunk": names.get(row.trunk_id, "(removed)"),
                    "remote_id": row.remote_id,
                    "number": row.number,
                    "stat": row.stat,
                    "code": row.code,
                    "delivered": row.delivered,
                    "received_at": iso(row.received_at),
                }
                for row in found
            ]
        )
        return
    rows = [
        (
            local(row.received_at),
            names.get(row.trunk_id, "(removed)"),
            row.remote_id,
            row.number,
            _WORDS[row.delivered],
            f"{row.stat} {row.code}".strip(),
        )
        for row in found
    ]
    print_table(["received", "trunk", "remote id", "number", "means", "says"], rows, ["trunk", "remote id"])
