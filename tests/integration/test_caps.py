"""Caps of trunks on every database: what counts, who stands in for a trunk at its cap, and when it goes on."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import event, select, update

from ixxsms import campaigns, config, daemons, explain, lists, numbering_plan, outbox, single, status, trunks, usage
from ixxsms.csvfile import Row
from ixxsms.drivers.base import Link
from ixxsms.errors import BadInput
from ixxsms.events import Deferred, Refused
from ixxsms.models import Message, Trunk, TrunkUsage
from ixxsms.outbox import outcomes
from ixxsms.sender import Identity, Sender
from ixxsms.service import Service
from ixxsms.testing import ScriptedDriver


@pytest.fixture
def plan(database):
    with database.read() as session:
        return numbering_plan.get(session)


@pytest.fixture
def today(monkeypatch):
    """The day of the local calendar, in a list: no test runs into midnight, and every one can make it another day."""
    days = ["2026-11-29"]
    monkeypatch.setattr(usage, "_day", lambda now: days[0])
    return days


class Exchange:
    """Trunks with drivers that do what the test says, and their senders, stepped by hand."""

    def __init__(self, database, database_url, plan, tmp_path):
        self.database, self.plan, self.scripts = database, plan, tmp_path
        made = config.with_database(database_url, {"IXXSMS_FASTAGI_PORT": "0"})
        values = {"script_dir": str(tmp_path), "poll_seconds": 0.01, "retry_seconds": 0.1}
        self.config = dataclasses.replace(made, values={**made.values, **values})
        self.senders, self.drivers = {}, {}
        with database.write() as session:
            self.identity = Identity(daemons.register(session, [], time.time()))

    def trunk(self, name, priority, answers=None, **caps):
        with self.database.write() as session:
            trunk = Trunk(name=name, kind="smpp", priority=priority, options={"host": "h", "port": 1}, **caps)
            session.add(trunk)
            session.flush()
            daemons.report_link(session, self.identity.daemon_id, trunk.id, Link.UP, "", time.time())
        driver = ScriptedDriver(answers)
        self.drivers[name] = driver
        self.senders[name] = Sender(self.database, self.config, trunk, self.identity, open_driver=lambda config: driver)
        return trunk.id

    def queue(self, count, text="hola", **kwargs):
        with self.database.write() as session:
            for n in range(count):
                outbox.enqueue(session, self.plan, f"600{n:06}", text, now=time.time(), max_segments=10, **kwargs)

    def work(self, until, seconds=30):
        """Let every sender take its turns until it is so."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, {name: self.sent(name) for name in self.drivers}
            for sender in self.senders.values():
                sender.step()

    def rest(self, seconds=1.2):
        """Longer than any sender waits before it looks at the others again."""
        ends = time.monotonic() + seconds
        self.work(lambda: time.monotonic() > ends)

    def sent(self, name):
        return len(self.drivers[name].submitted)

    def used(self, trunk_id):
        with self.database.read() as session:
            return usage.used(session, trunk_id, time.time())

    def status(self, name):
        with self.database.read() as session:
            return next(t for t in status.snapshot(session, time.time(), 5.0).trunks if t.name == name)

    def close(self):
        for driver in self.drivers.values():
            driver.close()


@pytest.fixture
def exchange(database, database_url, plan, tmp_path):
    made = Exchange(database, database_url, plan, tmp_path)
    yield made
    made.close()


def test_a_trunk_at_its_cap_leaves_the_rest_to_the_next_one(exchange, today):
    trunk_id = exchange.trunk("one", 1, daily_cap=5)
    exchange.trunk("two", 2)
    exchange.queue(12)
    exchange.work(lambda: exchange.sent("one") + exchange.sent("two") == 12)
    assert (exchange.sent("one"), exchange.sent("two")) == (5, 7)
    assert exchange.used(trunk_id) == usage.Used(5, 5)


def test_what_is_bound_to_a_trunk_at_its_cap_waits_for_the_next_day(exchange, today):
    trunk_id = exchange.trunk("one", 1, daily_cap=2, monthly_cap=5)
    exchange.trunk("two", 2)
    exchange.queue(9, trunk_id=trunk_id)
    exchange.work(lambda: exchange.sent("one") == 2)
    exchange.rest()
    assert (exchange.sent("one"), exchange.sent("two")) == (2, 0)
    assert exchange.status("one").link == "capped"
    assert exchange.status("one").why == "its cap of 2 segments a day is reached; it goes on tomorrow"
    today[0] = "2026-11-30"
    exchange.work(lambda: exchange.sent("one") == 4)
    today[0] = "2026-12-01"
    exchange.work(lambda: exchange.sent("one") == 6)
    assert exchange.used(trunk_id) == usage.Used(2, 2)


def test_a_month_has_a_cap_of_its_own(exchange, today):
    trunk_id = exchange.trunk("one", 1, daily_cap=3, monthly_cap=4)
    exchange.queue(9)
    exchange.work(lambda: exchange.sent("one") == 3)
    today[0] = "2026-11-30"
    exchange.work(lambda: exchange.sent("one") == 4)
    exchange.rest()
    assert exchange.sent("one") == 4
    assert exchange.status("one").why == "its cap of 4 segments a month is reached; it goes on next month"
    assert exchange.used(trunk_id) == usage.Used(1, 4)


LONG = "x" * 1500  # ten segments


def test_what_does_not_fit_into_what_is_left_of_a_cap_goes_through_the_next_trunk(exchange, today):
    trunk_id = exchange.trunk("one", 1, daily_cap=3)
    exchange.trunk("two", 2)
    exchange.queue(1)
    exchange.queue(2, LONG)
    exchange.queue(2)
    exchange.work(lambda: exchange.sent("one") + exchange.sent("two") == 5)
    assert [len(message.text) for message in exchange.drivers["one"].submitted] == [4, 4, 4]
    assert [len(message.text) for message in exchange.drivers["two"].submitted] == [1500, 1500]
    assert exchange.used(trunk_id) == usage.Used(3, 3)


@pytest.mark.parametrize("bound", [True, False])
def test_where_no_other_trunk_may_take_it_it_waits_and_what_is_behind_it_goes(
    exchange, today, database, bound, monkeypatch
):
    monkeypatch.setattr(outcomes, "PASSED_ON_FOR", 0.5)
    trunk_id = exchange.trunk("one", 1, daily_cap=12)
    if bound:
        exchange.trunk("two", 2)
    exchange.queue(3, **({"trunk_id": trunk_id} if bound else {}))
    exchange.queue(1, LONG, **({"trunk_id": trunk_id} if bound else {}))
    exchange.queue(4, **({"trunk_id": trunk_id} if bound else {}))
    exchange.work(lambda: exchange.sent("one") == 7)
    exchange.rest()
    assert exchange.used(trunk_id) == usage.Used(7, 7)
    with database.read() as session:
        assert [message.reason for message in outbox.rows(session, None, state="queued")] == [
            "it does not fit into what is left of a cap"
        ]
    today[0] = "2026-11-30"
    exchange.work(lambda: exchange.sent("one") == 8)
    assert exchange.used(trunk_id) == usage.Used(10, 17)


def test_of_a_campaign_too_no_message_overruns_a_cap(exchange, today, database):
    trunk_id = exchange.trunk("one", 1, daily_cap=4)
    exchange.trunk("two", 2)
    with database.write() as session:
        lists.create(session, "clients")
        rows = [Row(n, f"60000000{n}", LONG if n < 3 else None) for n in range(6)]
        lists.import_rows(session, exchange.plan, "clients", rows, max_segments=10)
        now = time.time()
        campaigns.create(
            session, exchange.plan, "spring", "hola", now=now, max_segments=10, list_name="clients", run=True
        )
    exchange.work(lambda: exchange.sent("one") + exchange.sent("two") == 6)
    assert (exchange.sent("one"), exchange.sent("two")) == (3, 3)
    assert exchange.used(trunk_id) == usage.Used(3, 3)


def test_a_single_send_of_more_segments_than_the_cap_says_so(exchange, today, plan, database):
    exchange.trunk("one", 1, daily_cap=1)
    script = exchange.scripts / "note"
    script.write_text("#!/bin/sh\necho '0;ok;0;0'\n")
    script.chmod(0o755)
    with database.write() as session:
        daemons.forget(session, exchange.identity.daemon_id)
        trunks.add(session, "two", "script", script_dir=str(exchange.scripts), script="note", daily_cap=1)
    sent = single.send_and_wait(database, exchange.config, plan, "600000001", LONG, trunk="two")
    assert sent.state == "cancelled"
    assert sent.reason == "two: it does not fit into what is left of a cap"


def test_segments_count_and_what_the_trunk_did_not_take_does_not(exchange, today):
    answers = {
        "34600000001": lambda s: Refused(s.message_id, "no such number"),
        "34600000002": lambda s: Deferred(s.message_id, "later", retry_after=3600.0),
    }
    trunk_id = exchange.trunk("one", 1, answers, daily_cap=100)
    exchange.queue(4, "x" * 300)  # two segments each
    exchange.work(lambda: exchange.sent("one") == 4)
    exchange.work(lambda: not exchange.senders["one"].owed)
    assert exchange.used(trunk_id) == usage.Used(4, 4)


def test_what_is_refused_after_midnight_counts_no_less_on_the_new_day(exchange, monkeypatch):
    evening = time.time() - 12 * 3600
    monkeypatch.setattr(usage, "_day", lambda now: "2026-11-30" if now < evening else "2026-12-01")
    trunk_id = exchange.trunk(
        "one", 1, {"3460000000": lambda s: Refused(s.message_id, "no such number")}, daily_cap=100
    )
    exchange.drivers["one"].hold = True
    exchange.queue(3)
    exchange.work(lambda: exchange.sent("one") == 3)
    with exchange.database.write() as session:  # they were claimed yesterday
        session.execute(update(Message).values(submitted_at=time.time() - 24 * 3600))
        session.execute(update(TrunkUsage).values(day="2026-11-30"))
        session.add(TrunkUsage(trunk_id=trunk_id, day="2026-12-01", segments=5))
    exchange.drivers["one"].release()
    exchange.work(lambda: not exchange.senders["one"].owed)
    with exchange.database.read() as session:
        used = dict(session.execute(select(TrunkUsage.day, TrunkUsage.segments)).all())
    assert used == {"2026-11-30": 0, "2026-12-01": 5}


def test_explain_and_a_single_send_say_that_the_cap_is_reached(exchange, today, plan, database):
    trunk_id = exchange.trunk("one", 1, daily_cap=1)
    with database.write() as session:
        usage.left(session, trunks.get(session, "one"), time.time())
        usage.spend(session, trunk_id, 1, time.time())
        found = explain.explain(session, plan, "600000001", time.time(), 5.0)
        daemons.forget(session, exchange.identity.daemon_id)
    assert [(way.turn, way.link) for way in found.ways] == [(0, "capped")]
    for wanted in (None, "one"):
        sent = single.send_and_wait(database, exchange.config, plan, "600000001", "hola", trunk=wanted)
        assert sent.state == "cancelled"
        assert sent.reason == "one: its cap of 1 segments a day is reached; it goes on tomorrow"


def test_draining_does_not_wait_for_a_trunk_at_its_cap(exchange, today, database):
    script = exchange.scripts / "note"
    script.write_text("#!/bin/sh\necho '0;ok;0;0'\n")
    script.chmod(0o755)
    with database.write() as session:
        daemons.forget(session, exchange.identity.daemon_id)
        trunks.add(session, "one", "script", script_dir=str(exchange.scripts), script="note", daily_cap=3)
    exchange.queue(5)
    Service(database, exchange.config).run(drain=True)
    with database.read() as session:
        counts = outbox.counts(session, None)
    assert (counts["delivered"] + counts["accepted"], counts["queued"]) == (3, 2)


def test_daemons_that_claim_at_once_keep_to_the_cap_together(exchange, today, database):
    exchange.queue(100)
    trunk_id = exchange.trunk("one", 1, daily_cap=40)
    with database.read() as session:
        trunk = trunks.get(session, "one")

    def claim_some(daemon_id):
        taken = 0
        for _ in range(5):
            with database.write() as session:
                room = min(7, usage.left(session, trunk, time.time()))
                claimed = outbox.claim(
                    session, trunk_id, daemon_id, [outbox.Source()], room=room, better=(), now=time.time()
                )
                usage.spend(session, trunk_id, len(claimed), time.time())
            taken += len(claimed)
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim_some, range(100, 104))) <= 40
    while claim_some(104):
        pass
    assert exchange.used(trunk_id) == usage.Used(40, 40)


def test_without_a_cap_nothing_is_counted_and_no_statement_is_spent_on_it(exchange, database):
    exchange.trunk("one", 1)
    exchange.trunk("two", 2)
    seen = []
    event.listen(database.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: seen.append(sql))
    exchange.queue(3)
    exchange.work(lambda: exchange.sent("one") == 3)
    exchange.rest(0.7)
    assert exchange.status("one").link == "up"
    assert [sql for sql in seen if "trunk_usage" in sql] == []


def test_days_and_months_are_those_of_the_local_calendar(exchange, database):
    def at(text):
        return datetime.fromisoformat(text).timestamp()

    trunk_id = exchange.trunk("one", 1, daily_cap=10, monthly_cap=15)
    with database.write() as session:
        trunk = trunks.get(session, "one")
        assert usage.left(session, trunk, at("2026-11-30 00:00:00")) == 10
        usage.spend(session, trunk_id, 8, at("2026-11-30 23:59:59"))
        assert usage.left(session, trunk, at("2026-11-30 23:59:59")) == 2
        assert usage.left(session, trunk, at("2026-12-01 00:00:00")) == 10
        usage.spend(session, trunk_id, 10, at("2026-12-01 00:00:00"))
        assert usage.left(session, trunk, at("2026-12-02 12:00:00")) == 5
        usage.spend(session, trunk_id, 9, at("2026-12-02 12:00:00"))  # the last message was a long one
        assert usage.left(session, trunk, at("2026-12-02 12:00:00")) == 0
        assert usage.left(session, trunk, at("2027-01-01 00:00:00")) == 10
        assert list(usage.reached(session, [trunk], at("2026-12-31 12:00:00"))) == [trunk_id]
        assert usage.reached(session, [trunk], at("2027-01-01 00:00:00")) == {}


def test_a_removed_trunk_leaves_no_count_behind(exchange, database, today):
    trunk_id = exchange.trunk("one", 1, daily_cap=10)
    with database.write() as session:
        usage.left(session, trunks.get(session, "one"), time.time())
        usage.spend(session, trunk_id, 8, time.time())
    with database.write() as session:
        trunks.remove(session, "one")
        assert session.query(TrunkUsage).count() == 0


@pytest.mark.parametrize("caps", [{"daily_cap": -1}, {"monthly_cap": 3_000_000_000}])
def test_a_cap_is_a_number_of_segments(exchange, database, caps):
    exchange.trunk("one", 1)
    with pytest.raises(BadInput, match="A cap of a trunk is a number of segments"), database.write() as session:
        trunks.edit(session, "one", script_dir="", **caps)
