"""ixxsms init, outbox, status, fake-smsc."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.message import message_fields, message_rows
from ixxsms.cli.output import Json, clean, iso, local, plural, print_facts, print_json, print_table, say
from ixxsms.cli.root import app, examples
from ixxsms.errors import Error

if TYPE_CHECKING:
    from ixxsms.status import Status
    from ixxsms.testing import Submitted

SAMPLE_MODE = 0o755


@app.command(
    epilog=examples(
        "ixxsms init",
        "IXXSMS_CONFIG=/etc/pbx/sms.conf ixxsms init",
        "IXXSMS_DATABASE_URL=mysql://ixxsms:secret@db/ixxsms ixxsms init",
    )
)
def init() -> None:
    """Write the configuration and set up the database.

    Installs the sample script too. What is there stays as it is.
    """
    from ixxsms import config, schema
    from ixxsms.db import Database

    path, written = config.create()
    settings = config.load(path)
    with closing(Database(settings.database_url)) as database:
        changed = schema.upgrade(database)
        url = database.url.render_as_string(hide_password=True)
    print_facts(
        {
            "configuration": f"{path} ({'written' if written else 'kept'})",
            "database": f"{url} ({'set up' if changed else 'up to date'})",
            "scripts": _install_sample(Path(settings.script_dir)),
        }
    )


def _install_sample(folder: Path) -> str:
    """Put the sample into the script directory; returns what came of it. Without it nothing else fails."""
    sample = folder / "sample"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if sample.exists():
            return f"{sample} (kept)"
        with as_file(files("ixxsms") / "data" / "scripts" / "sample") as source:
            shutil.copyfile(source, sample)
        sample.chmod(SAMPLE_MODE)
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}); script trunks need the setting script_dir"
    return f"{sample} (installed)"


@app.command(epilog=examples("ixxsms outbox", "ixxsms outbox --state in_doubt", "ixxsms outbox --limit 500 --json"))
def outbox(
    state: Annotated[str | None, typer.Option(help="Only messages in this state, refused for example.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the latest messages of the outgoing queue."""
    with ixxsms.open() as pbx:
        messages = pbx.outbox.rows(None, state=state, limit=limit, newest_first=True)
        rows = list(message_fields(pbx, messages))
    if as_json:
        print_json(rows)
    else:
        message_rows(rows)


@app.command(epilog=examples("ixxsms status", "ixxsms status --json"))
def status(as_json: Json = False) -> None:
    """Show daemons, links, rates, queue and running campaigns."""
    from ixxsms.cli.campaign import print_views, view_fields

    with ixxsms.open() as pbx:
        found = pbx.status()
    if as_json:
        print_json(_status_fields(found) | {"campaigns": [view_fields(view) for view in found.campaigns]})
        return
    for daemon in found.daemons:
        say(f"ixxmassivesms is alive on {daemon.host}, process {daemon.pid}, since {local(daemon.started_at)}.")
        if daemon.ami_link:
            why = f": {daemon.ami_why}" if daemon.ami_why else "."
            say(f"Its link to Asterisk's manager interface is {daemon.ami_link}{why}")
    if not found.daemons:
        say("No ixxmassivesms is alive: nothing is sent.")
    queued = f"{plural(found.queued, 'message')} queued, {found.outgoing_queue} of them in the outgoing queue"
    say(f"{queued}; {found.in_doubt} in doubt.")
    if found.trunks:
        print()
        rows = [(t.name, t.kind, t.link, t.rate, t.in_flight, local(t.since)) for t in found.trunks]
        print_table(["trunk", "kind", "link", "segments/s", "in flight", "since"], rows, ["trunk"])
        for trunk in found.trunks:
            if trunk.why and found.daemons:
                say(f"{trunk.name}: {trunk.why}")
    if found.campaigns:
        print()
        print_views(found.campaigns)


def _status_fields(found: Status) -> dict[str, Any]:
    return {
        "daemons": [
            {
                "id": daemon.id,
                "host": daemon.host,
                "pid": daemon.pid,
                "started_at": iso(daemon.started_at),
                "heartbeat_at": iso(daemon.heartbeat_at),
                "ami_link": daemon.ami_link,
                "ami_why": daemon.ami_why,
            }
            for daemon in found.daemons
        ],
        "trunks": [
            {
                "name": trunk.name,
                "kind": trunk.kind,
                "priority": trunk.priority,
                "link": trunk.link,
                "why": trunk.why,
                "since": iso(trunk.since),
                "rate": trunk.rate,
                "in_flight": trunk.in_flight,
            }
            for trunk in found.trunks
        ],
        "rate": sum((trunk.rate for trunk in found.trunks), 0.0),
        "queued": found.queued,
        "outgoing_queue": found.outgoing_queue,
        "in_doubt": found.in_doubt,
    }


@app.command(
    "fake-smsc", epilog=examples("ixxsms fake-smsc", "ixxsms fake-smsc --port 2776 --latency-ms 200 --no-receipts")
)
def fake_smsc(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 is any free one.")] = 2775,
    latency_ms: Annotated[float, typer.Option(min=0, help="How long each answer takes.")] = 0.0,
    receipts: Annotated[bool, typer.Option("--receipts/--no-receipts", help="Send the receipts asked for.")] = True,
    record: Annotated[str | None, typer.Option(metavar="FILE", help="Add a JSON line for each message.")] = None,
) -> None:
    """Run a fake SMSC to try things out.

    It takes any login, sends nothing on, and prints what it gets.
    """
    from ixxsms.testing import serve

    try:
        serve(
            port=port,
            latency=latency_ms / 1000,
            receipts=receipts,
            record=record,
            on_message=_print_message,
            on_ready=lambda port: print(f"listening on 127.0.0.1:{port}", flush=True),
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Error(f"The fake SMSC cannot run on port {port}: {why}.") from error


def _print_message(message: Submitted) -> None:
    from ixxsms.smpp.incoming import decode
    from ixxsms.text import split_udh

    data = split_udh(message.short_message)[1] if message.esm_class & 0x40 else message.short_message
    text = decode(data, message.data_coding)
    print(clean(f"{message.destination} from {message.source_addr or '-'}: {text}"), flush=True)
