"""ixxsms inbox."""

from __future__ import annotations

import ixxsms
from ixxsms.cli.output import Json, Limit, iso, local, print_json, print_table
from ixxsms.cli.root import app, examples


@app.command(epilog=examples("ixxsms inbox", "ixxsms inbox --limit 5 --json"))
def inbox(
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show the latest SMS that came in, the newest first."""
    with ixxsms.open() as pbx:
        names = {trunk.id: trunk.name for trunk in pbx.trunks.all_trunks()}
        rows = [
            {
                "id": sms.id,
                "from": sms.source,
                "to": sms.destination,
                "text": sms.text,
                "whole": sms.part == sms.parts,
                "trunk": names.get(sms.trunk_id, "(removed)"),
                "received_at": iso(sms.received_at),
                "at": local(sms.received_at),
            }
            for sms in pbx.inbox.latest(limit)
        ]
    if as_json:
        print_json([{name: value for name, value in row.items() if name != "at"} for row in rows])
        return
    columns = ["id", "received", "from", "to", "trunk", "text"]
    shown = [[str(row["id"]), row["at"], row["from"], row["to"], row["trunk"], row["text"]] for row in rows]
    print_table(columns, shown, ["from", "trunk", "text"])
