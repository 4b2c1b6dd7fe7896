"""ixxsms db: upgrade, check and backup, on every database."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
import time
from contextlib import ExitStack, closing

import pytest
from conftest import new_database
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from systems import System

from ixxsms import backup, inspection, numbering_plan, outbox, schema
from ixxsms.db import Database
from ixxsms.errors import BadInput, DatabaseError
from ixxsms.models import Campaign, Message


@pytest.fixture
def system(tmp_path, database_url):
    with ExitStack() as stack:
        yield System(tmp_path, database_url, stack)


def fill(database, count=300):
    with database.write() as session:
        plan = numbering_plan.get(session)
        for number in range(count):
            outbox.enqueue(session, plan, f"600{number:06}", "ñ € 😀", now=1.0, max_segments=10)


def texts(database):
    with database.read() as session:
        return session.execute(select(Message.number, Message.text).order_by(Message.number)).all()


def restored(database, file, tmp_path):
    """The copy as a database of its own, restored as the program says."""
    url = database.url
    if url.get_backend_name() == "sqlite":
        shutil.copy(file, tmp_path / "restored.db")
        return Database(f"sqlite:///{tmp_path / 'restored.db'}")
    made = new_database(f"{url.drivername}://{url.username}@{url.host}:{url.port}", "ixxsms_restored")
    to = make_url(made)
    if url.get_backend_name() == "mysql":
        command = ["mariadb", f"--host={to.host}", f"--port={to.port}", f"--user={to.username}", str(to.database)]
        with file.open("rb") as dump:
            subprocess.run(command, stdin=dump, check=True)
    else:
        login = [f"--host={to.host}", f"--port={to.port}", f"--username={to.username}"]
        command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", *login, "-d", str(to.database), "-f", str(file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Database(made)


def test_a_backup_is_the_whole_database_and_for_nobody_else(database, tmp_path):
    fill(database)
    size = backup.backup(database, tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert size == (tmp_path / "copy").stat().st_size > 1000
    with closing(restored(database, tmp_path / "copy", tmp_path)) as copy:
        schema.check(copy)
        assert inspection.findings(copy) == []
        assert texts(copy) == texts(database)


def test_in_a_backup_of_sqlite_no_campaign_runs_and_the_hint_says_what_would_be_sent_again(database, tmp_path):
    def states(of):
        with of.read() as session:
            return dict(session.execute(select(Campaign.name, Campaign.state)).all())

    with database.write() as session:
        for name, state in (("spring", "running"), ("summer", "paused"), ("winter", "finished")):
            session.add(Campaign(name=name, text="hola", state=state, created_at=1.0))
    backup.backup(database, tmp_path / "copy")
    on_sqlite = database.url.get_backend_name() == "sqlite"
    with closing(restored(database, tmp_path / "copy", tmp_path)) as copy:
        spring = "paused" if on_sqlite else "running"
        assert states(copy) == {"spring": spring, "summer": "paused", "winter": "finished"}
    assert states(database)["spring"] == "running"
    assert "would be sent again" in backup.how_to_restore(database.url, tmp_path / "copy")


def test_a_backup_while_messages_come_in_is_sound(database, tmp_path):
    fill(database)
    stopping = threading.Event()

    def go_on():
        with closing(Database(database.url.render_as_string(hide_password=False))) as own:
            while not stopping.is_set():
                fill(own, 5)
                time.sleep(0.001)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        backup.backup(database, tmp_path / "copy")
    finally:
        stopping.set()
        writer.join()
    with closing(restored(database, tmp_path / "copy", tmp_path)) as copy:
        assert inspection.findings(copy) == []
        # Each transaction of the writer is in it as a whole, or not at all.
        assert len(texts(copy)) % 5 == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_of_sqlite_ends_though_something_is_committed_at_each_step_of_it(database, tmp_path):
    with database.write() as session:
        session.add(Campaign(name="large", text="x" * 12_000_000, state="finished", created_at=1.0))
    steps = []

    def go_on(copied, pages):
        steps.append((copied, pages))
        assert len(steps) < 50, "it begins anew again and again"
        fill(database, 1)

    backup.backup(database, tmp_path / "copy", go_on)
    assert len(steps) > 2
    assert sorted(steps) == steps
    with closing(restored(database, tmp_path / "copy", tmp_path)) as copy:
        assert inspection.findings(copy) == []
        assert texts(copy) == []  # what was committed after it had begun is not in it
    assert len(texts(database)) == len(steps)


def test_a_backup_overwrites_nothing(database, tmp_path):
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        backup.backup(database, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"
    with pytest.raises(BadInput, match="cannot be written"):
        backup.backup(database, tmp_path / "nowhere" / "copy")


def test_a_backup_that_fails_leaves_no_file(database, tmp_path):
    broken = Database(str(database.url.set(database="ixxsms_not_there").render_as_string(hide_password=False)))
    with pytest.raises(DatabaseError):
        backup.backup(broken, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    broken.close()


def test_the_commands(system, database, tmp_path):
    assert "nothing to do" in system.ixxsms("db", "upgrade")
    assert system.ixxsms("db", "check") == "The database is as it should be.\n"
    assert "To restore it" in system.ixxsms("db", "backup", str(tmp_path / "copy"))
    assert "exists already" in system.refused("db", "backup", str(tmp_path / "copy"))


def test_what_is_wrong_is_said(system, database):
    fill(database, 2)
    with database.write() as session:
        session.execute(text("UPDATE messages SET state = 'lost' WHERE number = '34600000000'"))
    done = system.run("ixxsms", "db", "check")
    assert done.returncode == 1
    assert done.stdout == "1 messages are in a state that this program does not know.\n"


def test_a_mysql_table_in_the_wrong_character_set_is_said(database):
    if database.url.get_backend_name() != "mysql":
        return
    with database.write() as session:
        session.execute(text("ALTER TABLE opt_outs CONVERT TO CHARACTER SET latin1"))
    try:
        assert any("opt_outs" in finding and "utf8mb4" in finding for finding in inspection.findings(database))
    finally:
        with database.write() as session:
            session.execute(text("ALTER TABLE opt_outs CONVERT TO CHARACTER SET utf8mb4"))


def test_the_password_is_on_no_command_line(database, tmp_path, monkeypatch):
    """A program of that name sees what it was called with."""
    if database.url.get_backend_name() == "sqlite":
        return
    for name in ("mariadb-dump", "pg_dump"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/called\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    backup.backup(Database(str(database.url.set(password="s3cret").render_as_string(False))), tmp_path / "copy")
    assert "s3cret" not in (tmp_path / "called").read_text()
