"""What the crash tests share: a campaign, a daemon in the background, and what the SMSC counted."""

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import closing, contextmanager

from sqlalchemy import func, select
from systems import eventually

from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.models import Message
from ixxsms.states import OPEN, MessageState


def campaign(system, smsc, numbers, *trunk, name="promo"):
    file = system.folder / f"{name}.csv"
    file.write_text("".join(f"600{n:06}\n" for n in range(numbers)))
    system.smpp("provider", smsc.port, *(trunk or ("--window", "20")))
    system.ixxsms("campaign", "create", name, "--text", "Hola", "--csv", str(file), "--run")


def states(system):
    """How many messages are in each state. Not by the command: it would take the processor from what is tested."""
    with closing(Database(system.database_url)) as database, database.read() as session:
        found = dict(session.execute(select(Message.state, func.count()).group_by(Message.state)).all())
    return {str(state): found.get(state, 0) for state in MessageState}


def finished(system):
    """The campaign has come to its end; how many messages are in each state."""
    with closing(Database(system.database_url)) as database:
        eventually(lambda: _nothing_is_open(database), 120)
    eventually(lambda: system.json("campaign", "show", "promo")["state"] == "finished", 30)
    return states(system)


def _nothing_is_open(database):
    try:
        with database.read() as session:
            return session.scalar(select(Message.id).where(Message.state.in_(OPEN)).limit(1)) is None
    except DatabaseError:  # a server was killed, and the others are about to take its place
        return False


def each_once(smsc):
    sent = Counter(message.destination for message in smsc.received)
    assert max(sent.values()) == 1, "a number was sent to twice"
    return len(sent)


@contextmanager
def daemon(system, **environ):
    """A daemon in the background, up when the block begins; what it complains of is in daemon.log."""
    with (system.folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            system.program("ixxmassivesms"), env={**system.environ, **environ}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
