"""MariaDB through PyMySQL, which needs no compiler: everything that has a form of its own for MariaDB."""

from __future__ import annotations

import itertools

import pytest
from conftest import new_database

from ixxsms import backup, campaigns, inspection, lists, numbering_plan, outbox, schema, usage
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.events import Accepted, Heard, Receipt
from ixxsms.models import Trunk
from ixxsms.tallier import Tallier

pytest.importorskip("pymysql")

NOW = 1_800_000_000.0
TEXT = "100 % ñ € 😀 \\ ' \" %s"


@pytest.fixture
def database(server):
    url = new_database(server("mariadb"), "ixxsms_pymysql").replace("+mysqldb", "+pymysql")
    opened = Database(url)
    schema.upgrade(opened)
    yield opened
    opened.close()


def test_a_campaign_goes_the_whole_way(database, tmp_path):
    from ixxsms import receipts

    with database.write() as session:
        plan = numbering_plan.change(session, country="ES")
        trunk = Trunk(name="t", kind="smpp", options={}, daily_cap=100_000)
        session.add(trunk)
        session.flush()
        lists.create(session, "clients")
        rows = [Row(n, f"6{n:08}", TEXT if n % 2 == 0 else None) for n in range(12_000)]
        report = lists.import_rows(session, plan, "clients", itertools.chain(rows, rows[:10]))
        assert (report.added, report.duplicates) == (12_000, 10)
        campaign = campaigns.create(
            session, plan, "spring", "Hola", now=NOW, max_segments=10, list_name="clients", run=True
        ).campaign
    with database.write() as session:
        place = outbox.Source(campaign.id)
        assert usage.left(session, trunk, NOW) == 100_000
        claimed = outbox.claim(session, trunk.id, 1, [place], room=900, better=(), now=NOW)
        usage.spend(session, trunk.id, len(claimed), NOW)
    assert claimed[0].text == TEXT
    with database.write() as session:
        outcomes = [Accepted(message.id, (f"r{message.id}",)) for message in claimed]
        outbox.record(session, trunk.id, Heard(outcomes), now=NOW, retry=outbox.Retry(3, 30.0))
    with database.write() as session:
        receipts.store(session, trunk.id, [Receipt(f"r{claimed[0].id}", True, "DELIVRD", "000")], NOW)
    Tallier(database).turn()
    with database.read() as session:
        view = campaigns.show(session, "spring")
        assert view.counted_at is not None
        assert (view.states["queued"], view.states["accepted"], view.states["delivered"]) == (
            12_000 - len(claimed),
            len(claimed) - 1,
            1,
        )
        assert sum(1 for _ in campaigns.numbers(session, "spring")) == 12_000
        assert [size for _, size, _, _ in lists.all_lists(session)] == [12_000]
    assert inspection.findings(database) == []
    assert backup.backup(database, tmp_path / "copy") > 0


def test_what_the_server_says_is_one_sentence(database):
    gone = Database(database.url.set(database="ixxsms_not_there").render_as_string(hide_password=False))
    with pytest.raises(DatabaseError, match="Unknown database") as caught:
        gone.is_empty()
    assert "\n" not in str(caught.value)
    gone.close()
