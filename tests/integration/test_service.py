"""The service on every database, against a real SMSC socket and real scripts."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import delete, select

from ixxsms import campaigns, config, daemons, inbox, lists, numbering_plan, outbox, routes, single, status, trunks
from ixxsms.csvfile import Row
from ixxsms.drivers.base import Link
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Heard, Refused
from ixxsms.journal import Journal, Life
from ixxsms.models import Route, RoutePrefix, RouteTrunk
from ixxsms.service import Service
from ixxsms.testing import FakeSMSC


@pytest.fixture
def settings(database_url, tmp_path):
    made = config.with_database(database_url, {"IXXSMS_FASTAGI_PORT": "0"})
    (tmp_path / "scripts").mkdir()
    return dataclasses.replace(
        made,
        values={
            **made.values,
            "script_dir": str(tmp_path / "scripts"),
            "state_dir": str(tmp_path),
            "poll_seconds": 0.02,
            "retry_seconds": 0.2,
        },
    )


@pytest.fixture
def smsc():
    with FakeSMSC(accounts={"user": "secret"}) as started:
        yield started


@pytest.fixture
def pbx(database, settings, tmp_path):
    return Pbx(database, settings, tmp_path / "scripts")


class Pbx:
    """What the tests do to the system, each a transaction of its own."""

    def __init__(self, database, settings, scripts):
        self.database, self.settings, self.scripts = database, settings, scripts

    def smpp(self, name, port, **fields):
        given = {"host": "127.0.0.1", "port": port, "user": "user", "password": "secret", **fields}
        with self.database.write() as session:
            return trunks.add(session, name, "smpp", script_dir=str(self.scripts), **given).id

    def script(self, name, answer="0;ok;0;0", **fields):
        file = self.scripts / f"{name}.sh"
        file.write_text(f'#!/bin/sh\nprintf "%s|%s|%s|%s\\n" "$@" >> "{self.scripts}/{name}.log"\necho "{answer}"\n')
        file.chmod(0o755)
        with self.database.write() as session:
            return trunks.add(session, name, "script", script_dir=str(self.scripts), script=file.name, **fields).id

    def calls(self, name):
        log = self.scripts / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def campaign(self, count, name="promo", text="Hola", **kwargs):
        rows = [Row(n, f"600{n:06}", None) for n in range(count)]
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            campaigns.create(
                session, plan, name, text, now=time.time(), max_segments=10, rows=rows, **{"run": True, **kwargs}
            )

    def queue(self, text="hola", number="600000001", **kwargs):
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            return outbox.enqueue(session, plan, number, text, now=time.time(), max_segments=10, **kwargs).id

    def drain(self):
        Service(self.database, self.settings).run(drain=True)

    def serve(self):
        return Served(Service(self.database, self.settings))

    def show(self, name="promo"):
        with self.database.read() as session:
            return campaigns.show(session, name)

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def link(self, name):
        with self.database.read() as session:
            return next(t for t in status.snapshot(session, time.time(), 5.0).trunks if t.name == name)


class Served:
    """A service in a thread, stopped at the end of the block."""

    def __init__(self, service):
        self.service = service
        self.thread = threading.Thread(target=service.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.service.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def eventually(condition, seconds=15.0):
    """Wait until it is so: what changes is in a database, which tells nobody."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
    return value


def test_a_campaign_goes_out_once_to_each_number_and_its_receipts_come_in(pbx, smsc):
    pbx.smpp("one", smsc.port)
    pbx.campaign(300)
    pbx.drain()
    assert sorted(number for number, _ in smsc.texts()) == [f"34600{n:06}" for n in range(300)]
    assert pbx.show().state == "finished"
    assert pbx.show().states["delivered"] == 300
    pbx.drain()  # a second run sends nothing
    assert len(smsc.received) == 300


def test_what_reaches_the_wire_is_right(pbx, smsc):
    pbx.smpp("one", smsc.port, sender_id="DEMO")
    pbx.smpp("national", smsc.port, append_country_code=False, priority=2)
    gsm = pbx.queue("¿Señal? {€}")
    with pbx.database.read() as session:
        national = trunks.get(session, "national").id
    pbx.queue("Привет 😀", number="600000002", trunk_id=national, sender_id="12345")
    long = pbx.queue("ñ" * 200, number="+447911123456")
    pbx.drain()
    by_number = {}
    for pdu in smsc.received:
        by_number.setdefault(pdu.destination, []).append(pdu)
    (first,) = by_number["34600000001"]
    assert first.short_message == b"\x60Se\x7dal? \x1b\x28\x1b\x65\x1b\x29"
    assert (first.data_coding, first.esm_class, first.registered_delivery) == (0, 0, 1)
    assert (first.source_addr, first.source_ton, first.source_npi) == ("DEMO", 5, 0)
    assert (first.dest_ton, first.dest_npi) == (1, 1)
    (second,) = by_number["600000002"]
    assert second.short_message == "Привет 😀".encode("utf-16-be")
    assert (second.data_coding, second.source_addr, second.source_ton) == (8, "12345", 3)
    assert (second.dest_ton, second.dest_npi) == (0, 1)
    parts = by_number["447911123456"]
    assert [pdu.short_message[:6] for pdu in parts] == [
        bytes([5, 0, 3, parts[0].short_message[3], 2, number]) for number in (1, 2)
    ]
    assert all(pdu.esm_class == 0x40 for pdu in parts)
    assert pbx.message(gsm).state == pbx.message(long).state == "delivered"
    assert pbx.message(long).segments == 2


def test_the_first_trunk_gets_everything_while_it_is_up(pbx, smsc):
    pbx.script("second", priority=2)
    pbx.smpp("first", smsc.port, priority=1)
    pbx.campaign(50)
    pbx.drain()
    assert len(smsc.received) == 50
    assert pbx.calls("second") == []


def test_where_the_first_trunk_is_down_the_next_one_sends(pbx):
    pbx.smpp("first", 1, priority=1)
    pbx.script("second", priority=2)
    pbx.campaign(5)
    pbx.drain()
    assert len(pbx.calls("second")) == 5
    assert pbx.show().states["accepted"] == 5


def test_a_message_whose_route_was_removed_on_another_node_while_it_was_queued_gets_another_way(pbx, smsc):
    pbx.smpp("one", smsc.port)
    pbx.script("two", priority=2)
    with pbx.database.write() as session:
        routes.add(session, "old", [("two", 1)], prefixes=["34600"])
        routes.add(session, "other", [("two", 1)], prefixes=["34601"])
    pbx.campaign(3)
    pbx.queue(number="600000009")
    on_other = pbx.queue(number="601000001")
    with pbx.database.write() as session:  # as a node does that does not see these messages yet
        old = session.scalar(select(Route.id).where(Route.name == "old"))
        session.execute(delete(RoutePrefix).where(RoutePrefix.route_id == old))
        session.execute(delete(RouteTrunk).where(RouteTrunk.route_id == old))
        session.execute(delete(Route).where(Route.id == old))
    pbx.drain()
    assert sorted(pdu.destination for pdu in smsc.received) == [f"3460000000{n}" for n in (0, 1, 2, 9)]
    assert [call.split("|")[1] for call in pbx.calls("two")] == ["34601000001"]
    assert pbx.message(on_other).state == "accepted"


def test_a_number_with_a_route_goes_through_the_trunks_of_the_route_only(pbx, smsc):
    pbx.smpp("one", smsc.port)
    pbx.script("two", answer="1;not here;0;0", priority=2)
    pbx.script("three", priority=3)
    with pbx.database.write() as session:
        routes.add(session, "operator", [("two", 1), ("three", 1)], prefixes=["34600"])
        routes.add(session, "one trunk", [("two", 1)], prefixes=["34602"])
    pbx.campaign(3)
    elsewhere, waiting = pbx.queue(number="601000001"), pbx.queue(number="602000001")
    pbx.drain()
    assert len(pbx.calls("three")) == 3
    assert [pdu.destination for pdu in smsc.received] == ["34601000001"]
    assert pbx.message(elsewhere).state == "delivered"
    assert pbx.message(waiting).reason == "not here"


def test_a_single_send_without_the_service_keeps_to_the_route(pbx, smsc):
    pbx.smpp("one", smsc.port)
    pbx.script("two", answer="1;not here;0;0", priority=2)
    pbx.script("three", priority=3)
    with pbx.database.write() as session:
        plan = numbering_plan.get(session)
        routes.add(session, "operator", [("two", 1), ("three", 1)], prefixes=["34600"])
        routes.add(session, "resting", [("two", 1)], prefixes=["34601"])
        trunks.set_active(session, "two", False)
    sent = single.send_and_wait(pbx.database, pbx.settings, plan, "600000001", "hola")
    assert (sent.state, sent.trunk) == ("accepted", "three")
    sent = single.send_and_wait(pbx.database, pbx.settings, plan, "601000001", "hola")
    assert (sent.state, sent.reason) == ("cancelled", "no trunk that it may go through is active")
    assert smsc.received == []


def test_what_the_first_trunk_cannot_take_the_next_one_gets(pbx, smsc):
    smsc.errors = {"34600000001": 0x0A}  # invalid source address: the next trunk may have another idea
    pbx.smpp("first", smsc.port, priority=1)
    pbx.script("second", priority=2)
    pbx.campaign(3)
    pbx.drain()
    assert [call.split("|")[1] for call in pbx.calls("second")] == ["34600000001"]
    assert pbx.show().states["delivered"] == 2
    assert pbx.show().states["accepted"] == 1


def test_a_number_that_will_never_go_is_refused_with_the_reason(pbx, smsc):
    smsc.errors = {"34600000001": 0x65}
    pbx.smpp("first", smsc.port)
    message_id = pbx.queue()
    pbx.drain()
    message = pbx.message(message_id)
    assert message.state == "refused"
    assert "RX_P" in message.reason.upper() + message.code.upper() or "65" in message.code


def test_a_script_without_credit_stops_its_trunk_and_the_message_goes_elsewhere(pbx):
    pbx.script("first", answer="7;no credit;1;0", priority=1)
    pbx.script("second", priority=2)
    message_id = pbx.queue()
    with pbx.serve():
        eventually(lambda: pbx.message(message_id).state == "accepted")
        stopped = eventually(lambda: pbx.link("first").link == "stopped" and pbx.link("first"))
    assert "no credit" in stopped.why
    assert len(pbx.calls("second")) == 1


def test_a_script_that_refuses_the_number_settles_the_message(pbx):
    pbx.script("first", answer="3;number; not valid;0;1", priority=1)
    pbx.script("second", priority=2)
    message_id = pbx.queue()
    pbx.drain()
    assert pbx.message(message_id).state == "refused"
    assert pbx.calls("second") == []


def test_new_trunks_edits_and_campaigns_are_picked_up_without_a_restart(pbx, smsc):
    with pbx.serve():
        first = pbx.queue()
        pbx.smpp("late", smsc.port, sender_id="OLD")
        eventually(lambda: pbx.message(first).state == "delivered")
        with pbx.database.write() as session:
            trunks.edit(session, "late", script_dir="", sender_id="NEW")
        eventually(lambda: pbx.link("late").link == "up" and len(smsc.received) == 1)
        pbx.campaign(3)
        eventually(lambda: pbx.show().state == "finished")
        assert {pdu.source_addr for pdu in smsc.received[1:]} <= {"OLD", "NEW"}
        second = pbx.queue(number="600000009")
        eventually(lambda: pbx.message(second).state == "delivered")
        assert smsc.received[-1].source_addr == "NEW"


def test_a_stopped_campaign_stops_at_once_and_goes_on_when_resumed(pbx, smsc):
    smsc.latency = 0.05
    pbx.smpp("slow", smsc.port, window=2)
    pbx.campaign(60)
    with pbx.serve():
        eventually(lambda: pbx.show().states["queued"] < 55)
        with pbx.database.write() as session:
            campaigns.stop(session, "promo")
        eventually(lambda: pbx.show().states["submitted"] == 0)
        sent = len(smsc.received)
        assert pbx.show().states["queued"] == 60 - sent > 0
        smsc.latency = 0.0
        with pbx.database.write() as session:
            campaigns.resume(session, "promo")
        eventually(lambda: pbx.show().state == "finished")
    assert len(smsc.received) == 60


def test_a_stopping_service_finishes_what_is_in_its_window(pbx, smsc):
    smsc.latency = 0.1
    pbx.smpp("slow", smsc.port, window=5)
    pbx.campaign(100)
    with pbx.serve() as served:
        smsc.wait_for(5)
        served.stop()
    shown = pbx.show()
    assert shown.states["submitted"] == shown.states["in_doubt"] == 0
    assert shown.states["queued"] == 100 - len(smsc.received)
    with pbx.database.read() as session:
        assert daemons.alive(session, time.time(), 5.0) == []


def test_two_services_on_one_database_share_the_work(pbx, smsc):
    smsc.latency = 0.02
    pbx.smpp("one", smsc.port, window=5)
    pbx.campaign(200)
    with pbx.serve(), pbx.serve():
        eventually(lambda: pbx.show().state == "finished", 30)
        with pbx.database.read() as session:
            assert len(daemons.alive(session, time.time(), 5.0)) == 2
    assert sorted(number for number, _ in smsc.texts()) == [f"34600{n:06}" for n in range(200)]
    assert len(smsc.logins) == 2


def test_the_pace_of_a_trunk_holds_for_two_daemons_together(pbx, smsc):
    pbx.smpp("one", smsc.port, pace=40)
    with pbx.serve(), pbx.serve():
        eventually(lambda: len(smsc.logins) == 2)
        time.sleep(1.2)  # each looks twice a second who shares
        pbx.campaign(150)
        smsc.wait_for(30)
        begun = time.monotonic()
        smsc.wait_for(130)
        # A hundred at forty a second; two that do not share would take half of it.
        assert time.monotonic() - begun > 1.8


def test_a_trunk_for_one_daemon_moves_to_another_when_that_one_ends(pbx, smsc):
    pbx.smpp("one", smsc.port, most_daemons=1)
    with ExitStack() as first:
        first.enter_context(pbx.serve())
        eventually(lambda: len(smsc.logins) == 1)
        with pbx.serve():
            pbx.queue()
            smsc.wait_for(1)
            assert len(smsc.logins) == 1
            first.close()
            pbx.queue()
            smsc.wait_for(2)
            assert len(smsc.logins) == 2


def test_a_trunk_is_served_on_its_hosts_only(pbx, smsc):
    pbx.smpp("elsewhere", smsc.port, hosts="another-host")
    pbx.smpp("here", smsc.port, priority=2, hosts=f"another-host, {daemons.this_host()}")
    with pbx.serve():
        message_id = pbx.queue()
        eventually(lambda: pbx.message(message_id).state == "delivered")
    assert len(smsc.logins) == 1


def test_a_lost_link_comes_back_and_nothing_is_sent_twice(pbx, smsc):
    smsc.latency = 0.02
    pbx.smpp("one", smsc.port, window=10)
    pbx.campaign(150)
    with pbx.serve():
        smsc.wait_for(40)
        smsc.drop()
        eventually(lambda: pbx.show().state == "finished", 30)
    numbers = [number for number, _ in smsc.texts()]
    assert len(numbers) == len(set(numbers))
    shown = pbx.show().states
    assert shown["in_doubt"] <= 10
    assert shown["in_doubt"] + shown["delivered"] + shown["accepted"] == 150


def test_a_wrong_password_is_said_and_does_not_loop(pbx, smsc):
    pbx.smpp("one", smsc.port, password="xyzzy")
    message_id = pbx.queue()
    with pbx.serve():
        eventually(lambda: pbx.link("one").link in ("down", "stopped"))
        assert "password" in pbx.link("one").why.lower()
        assert "xyzzy" not in pbx.link("one").why
    assert 1 <= len(smsc.logins) <= 3
    assert pbx.message(message_id).state == "queued"


def test_a_disabled_trunk_sends_nothing(pbx, smsc):
    pbx.smpp("one", smsc.port, active=False)
    message_id = pbx.queue()
    pbx.drain()
    assert pbx.message(message_id).state == "queued"
    assert smsc.received == []


def test_an_incoming_sms_is_in_the_inbox_before_it_is_acknowledged(pbx, smsc):
    pbx.smpp("one", smsc.port)
    with pbx.serve():
        eventually(lambda: pbx.link("one").link == "up")
        smsc.deliver("34600999888", "34900123123", "BAJA ¡ya! ☕")

        def arrived():
            with pbx.database.read() as session:
                return inbox.latest(session)

        (row,) = eventually(arrived)
        assert (row.source, row.destination, row.text) == ("34600999888", "34900123123", "BAJA ¡ya! ☕")
        eventually(lambda: smsc.acknowledged >= 1)


def test_the_pace_of_a_trunk_is_kept_in_segments(pbx, smsc):
    pbx.smpp("slow", smsc.port, pace=20)
    pbx.campaign(12, text="x" * 161)  # 24 segments
    begun = time.monotonic()
    pbx.drain()
    assert len(smsc.received) == 24
    assert time.monotonic() - begun > 0.8


def test_the_pace_holds_where_the_trunks_alphabet_makes_more_segments_than_were_counted(pbx, smsc):
    pbx.smpp("slow", smsc.port, pace=20, default_alphabet="ascii")
    pbx.campaign(6, text="é" * 150)  # one segment each in GSM, three in UCS-2
    pbx.drain()
    assert len(smsc.received) == 18
    assert pbx.show().states["delivered"] == 6
    # Six segments would be gone in 0.2 seconds; the debt of the last two messages is not waited for.
    assert smsc.received[-1].at - smsc.received[0].at > 0.4


def test_a_cancelled_campaign_sends_nothing_more_and_keeps_what_became_of_it(pbx, smsc):
    trunk_id = pbx.smpp("one", smsc.port)
    pbx.campaign(20)
    with pbx.database.write() as session:
        alive = daemons.register(session, [trunk_id], time.time())
        (place,) = campaigns.sendable(session, trunk_id, time.time())
        first, second = outbox.claim(session, trunk_id, alive, [place], room=2, better=(), now=time.time())
    with pbx.database.write() as session:
        campaigns.cancel(session, "promo")
        heard = Heard([Accepted(first.id, ("a1",)), Deferred(second.id, "busy", retry_after=0.0)])
        outbox.record(session, trunk_id, heard, now=time.time(), retry=outbox.Retry(5, 0.0))
        daemons.forget(session, alive)
    pbx.drain()
    assert (pbx.show().state, smsc.received) == ("cancelled", [])
    assert {state: count for state, count in pbx.show().states.items() if count} == {"accepted": 1, "cancelled": 19}
    with pbx.database.write() as session, pytest.raises(BadInput, match="is cancelled"):
        campaigns.resume(session, "promo")


def test_what_a_killed_daemon_had_in_its_window_is_in_doubt_and_the_rest_is_sent(pbx, smsc):
    trunk_id = pbx.smpp("one", smsc.port)
    pbx.campaign(20)
    with pbx.database.write() as session:
        dead = daemons.register(session, [trunk_id], time.time())
        session.get(daemons.Daemon, dead).pid = 2**22 + 1  # no process has it
        (place,) = campaigns.sendable(session, trunk_id, time.time())
        outbox.claim(session, trunk_id, dead, [place], room=4, better=(), now=time.time())
    pbx.drain()
    assert pbx.show().states["in_doubt"] == 4
    assert pbx.show().states["delivered"] == 16
    assert len(smsc.received) == 16


def test_a_daemon_with_our_process_id_that_is_not_ours_is_dead_as_soon_as_one_of_another_host(database, monkeypatch):
    monkeypatch.setattr(daemons, "_entered", set())  # other tests have entered daemons in other databases
    now = time.time()
    with database.write() as session:
        ours = daemons.register(session, [], now - 31)
        # The container was begun anew with its name: process 1 again.
        before = daemons.Daemon(host=daemons.this_host(), pid=os.getpid(), started_at=now - 900, heartbeat_at=now - 29)
        session.add(before)
        session.flush()
        assert daemons.dead(session, now, 5.0) == []
        before.heartbeat_at = now - 31
        session.flush()
        assert [daemon.id for daemon in daemons.dead(session, now, 5.0)] == [before.id]
        assert daemons.is_oldest(session, ours, now, 5.0)


def test_what_the_journal_of_a_killed_daemon_knows_is_not_in_doubt(pbx, smsc, tmp_path):
    trunk_id = pbx.smpp("one", smsc.port)
    pbx.campaign(20)
    life = Life(2**22 + 1, time.time())  # no process has this id
    (tmp_path / "journals").mkdir()
    kept = Journal(tmp_path / "journals", life, trunk_id)
    with pbx.database.write() as session:
        dead = daemons.register(session, [trunk_id], life.started_at)
        session.get(daemons.Daemon, dead).pid = life.pid
        (place,) = campaigns.sendable(session, trunk_id, time.time())
        ids = [m.id for m in outbox.claim(session, trunk_id, dead, [place], room=6, better=(), now=time.time())]
        kept.claimed(ids)
    kept.handed(ids[:4])
    kept.heard(Heard([Accepted(ids[0], ("a1",)), Refused(ids[1], "no such number"), Deferred(ids[2], "busy")]))
    kept.close()
    pbx.drain()
    states = {n: pbx.message(message_id).state for n, message_id in enumerate(ids)}
    sent = "delivered"
    assert states == {0: "accepted", 1: "refused", 2: sent, 3: "in_doubt", 4: sent, 5: sent}
    assert (pbx.message(ids[0]).remote_id, pbx.message(ids[1]).reason) == ("a1", "no such number")
    assert pbx.message(ids[4]).attempts == 1
    assert len(smsc.received) == 17
    assert not list((tmp_path / "journals").iterdir())


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="only root may give a folder away")
def test_journals_that_root_begins_are_for_the_user_of_the_service(pbx, tmp_path):
    os.chown(tmp_path, 65534, 65534)
    pbx.drain()
    made = (tmp_path / "journals").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (65534, 65534, 0o750)


def test_an_excluded_number_is_never_written_to(pbx, smsc, database):
    pbx.smpp("one", smsc.port)
    with database.write() as session:
        plan = numbering_plan.get(session)
        lists.create(session, "clients")
        lists.import_rows(session, plan, "clients", [Row(1, "600000001", None), Row(2, "600000002", None)])
        lists.exclude(session, plan, "clients", "600000002")
        campaigns.create(
            session, plan, "promo", "Hola", now=time.time(), max_segments=10, list_name="clients", run=True
        )
    pbx.drain()
    assert [pdu.destination for pdu in smsc.received] == ["34600000001"]
    assert pbx.show().states["excluded"] == 1


def test_a_trunk_that_is_about_to_bind_is_waited_for(pbx):
    """The worse trunk is up at once; the better one is entered as starting before either begins."""
    first, second = pbx.smpp("first", 1), pbx.script("second", priority=2)
    with pbx.database.write() as session:
        daemons.register(session, [first, second], time.time())
        promising = daemons.promising(daemons.links(session, [d.id for d in daemons.alive(session, time.time(), 5.0)]))
    assert promising == {first, second}
    assert Link.STARTING == "starting"
