"""Upgrades of the schema: a database of the released one, with rows in it, goes on to a revision that comes after."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from conftest import KINDS, new_database
from sqlalchemy import exc, select, text

from ixxsms import campaigns, cli, lists, numbering_plan, outbox, schema
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.events import Accepted, Heard
from ixxsms.models import Base, Member, Message, Segment, Trunk

NEXT = "9001"
#: What a later version may do: a new column, filled from others, and another that changes its type, which on SQLite
#: makes the table anew.
REVISION = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{NEXT}", "{schema.HEAD}"


def upgrade():
    with op.batch_alter_table("messages", table_kwargs={{"sqlite_autoincrement": True}}) as table:
        table.add_column(sa.Column("colour", sa.String(12), nullable=False, server_default="green"))
        table.alter_column("reason", type_=sa.String(500), existing_type=sa.String(255), existing_nullable=False)
    op.execute("UPDATE messages SET colour = 'blue' WHERE state = 'accepted'")
"""
FAILING = REVISION.replace("UPDATE messages SET", "UPDATE nothing_of_that_name SET")


@pytest.fixture(params=KINDS)
def released(request, server, tmp_path):
    """A database as the released program made it, with something in most tables."""
    kind = request.param
    url = f"sqlite:///{tmp_path / 'ixxsms.db'}" if kind == "sqlite" else new_database(server(kind), "ixxsms_released")
    database = Database(url)
    assert schema.upgrade(database)
    with database.write() as session:
        plan = numbering_plan.change(session, country="ES")
        session.add(Trunk(name="t", kind="smpp", options={}, password="secret"))
        lists.create(session, "clients")
        rows = [Row(n, f"60000000{n}", "€ ñ 😀" if n == 3 else None) for n in range(5)]
        lists.import_rows(session, plan, "clients", rows)
        created = campaigns.create(
            session, plan, "spring", "x" * 200, now=1.0, max_segments=10, list_name="clients", run=True
        )
        place = outbox.Source(created.campaign.id)
        claimed = outbox.claim(session, 1, 1, [place], room=4, better=(), now=1.0)
        outcomes = [Accepted(message.id, (f"{message.id}a", f"{message.id}b")) for message in claimed]
        outbox.record(session, 1, Heard(outcomes), now=1.0, retry=outbox.Retry(3, 30.0))
    yield database
    database.close()


@pytest.fixture
def newer_program(tmp_path, monkeypatch):
    """newer_program(source): from now on this program has one more revision."""

    def make(source=REVISION):
        scripts = tmp_path / "newer" / "migrations"
        shutil.copytree(Path(schema.__file__).parent / "migrations", scripts, dirs_exist_ok=True)
        (scripts / "versions" / "next.py").write_text(source)
        monkeypatch.setattr(schema, "files", lambda _: scripts.parent)
        monkeypatch.setattr(schema, "HEAD", NEXT)

    return make


def everything(database):
    """All rows of all tables of this version."""
    with database.engine.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in Base.metadata.sorted_tables
        }


def test_an_upgrade_keeps_every_row_and_the_program_goes_on(released, newer_program):
    before = everything(released)
    assert len(before["messages"]) == 5
    assert len(before["segments"]) == 4
    newer_program()
    with pytest.raises(DatabaseError, match=f"at revision {schema.HEAD}|run: ixxsms db upgrade"):
        schema.check(released)
    assert schema.upgrade(released)
    schema.check(released)
    assert not schema.upgrade(released)
    assert everything(released) == before
    with released.read() as session:
        colours = dict(session.execute(text("SELECT colour, COUNT(*) FROM messages GROUP BY colour")).all())
        assert colours == {"blue": 2, "green": 3}
        assert session.scalar(select(Member.text).where(Member.number == "34600000003")) == "€ ñ 😀"
    with released.write() as session:
        outbox.enqueue(session, numbering_plan.get(session), "600000009", "Hola", now=2.0, max_segments=1)


def test_after_an_upgrade_rows_still_may_not_name_what_is_not_there(released, newer_program):
    newer_program()
    schema.upgrade(released)
    with pytest.raises((DatabaseError, exc.IntegrityError)), released.write() as session:
        session.add(Segment(message_id=4711, part=1, remote_id="x", remote_key="x"))
        session.flush()


def test_the_command_upgrades_and_says_from_where(released, newer_program, monkeypatch, capsys):
    monkeypatch.setenv("IXXSMS_DATABASE_URL", released.url.render_as_string(hide_password=False))
    before = schema.HEAD
    newer_program()
    monkeypatch.setattr(sys, "argv", ["ixxsms", "db", "upgrade"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out == f"The database is now at revision {NEXT} (before: {before}).\n"


def test_an_upgrade_that_fails_is_one_sentence_and_loses_no_row(released, newer_program):
    before = everything(released)
    newer_program(FAILING)
    with pytest.raises(DatabaseError, match="nothing_of_that_name") as caught:
        schema.upgrade(released)
    assert "\n" not in str(caught.value)
    assert schema.revision(released) != NEXT
    assert everything(released) == before
    if released.url.get_backend_name() != "mysql":  # it commits each change of a table by itself
        newer_program()
        assert schema.upgrade(released)


def test_a_newer_schema_than_the_programs_is_refused_with_one_sentence(released, newer_program, monkeypatch):
    newer_program()
    schema.upgrade(released)
    monkeypatch.undo()
    for verb in (schema.check, schema.upgrade):
        with pytest.raises(DatabaseError, match=f"revision {NEXT} of a newer ixxsms") as caught:
            verb(released)
        assert "\n" not in str(caught.value)
    with released.read() as session:
        assert session.scalar(select(Message.id).limit(1)) is not None


def test_a_campaign_of_the_first_schema_goes_on_after_the_upgrade(released):
    """What it had queued before there were leases is claimed row by row."""
    with released.engine.begin() as connection:
        connection.execute(text("DROP TABLE leases"))
        for column in ("leased_to", "fresh_to"):
            connection.execute(text(f"ALTER TABLE campaigns DROP COLUMN {column}"))
        connection.execute(text("UPDATE messages SET not_before = 0"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert schema.upgrade(released)
    schema.check(released)
    with released.write() as session:
        place = outbox.Source(session.scalar(select(Message.campaign_id)))
        assert outbox.lease(session, 1, 1, place, room=99, better=(), now=2.0) is None
        assert outbox.has_work(session, 1, [place], better=(), now=2.0)
        assert len(outbox.claim(session, 1, 1, [place], room=99, better=(), now=2.0)) == 3
