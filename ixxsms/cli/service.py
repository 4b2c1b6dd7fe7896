"""ixxsms init, status."""

from __future__ import annotations

import shutil
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ixxsms
from ixxsms.cli.output import Json, iso, local, plural, print_facts, print_json, print_table, say
from ixxsms.cli.root import app, examples

if TYPE_CHECKING:
    from ixxsms.status import Status

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
        if daemon.why:
            say(f"But {daemon.why}.")
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
                "why": daemon.why,
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
