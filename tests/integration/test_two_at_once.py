"""Two who do the same at the same moment: what a message comes to is decided once, by whoever has it."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import event, select

from ixxsms import campaigns, daemons, lists, numbering_plan, outbox, receipts
from ixxsms.db import Database
from ixxsms.events import Accepted, Deferred, Heard, Receipt, Refused
from ixxsms.models import Daemon, Message, Segment, Trunk

NOW = 1_800_000_000.0
RETRY = outbox.Retry(3, 60.0)

on_servers = pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)


@pytest.fixture
def pair(database):
    """Two trunks, and two daemons that live."""
    with database.write() as session:
        session.add_all(Trunk(name=name, kind="smpp", options={}) for name in ("one", "two"))
        session.add_all(Daemon(host="h", pid=1, started_at=NOW, heartbeat_at=NOW) for _ in range(2))
        session.flush()
        trunk_ids = session.scalars(select(Trunk.id).order_by(Trunk.id)).all()
        return trunk_ids, session.scalars(select(Daemon.id).order_by(Daemon.id)).all()


def queue(database, count=1, text="hola"):
    with database.write() as session:
        plan = numbering_plan.get(session)
        numbers = (f"6000000{n:02}" for n in range(count))
        return [outbox.enqueue(session, plan, n, text, now=NOW, max_segments=5).id for n in numbers]


def claim(database, trunk_id, daemon_id, now=NOW + 1000):
    with database.write() as session:
        taken = outbox.claim(session, trunk_id, daemon_id, [outbox.Source()], room=99, better=(), now=now)
        return [message.id for message in taken]


def record(database, trunk_id, daemon_id, *events):
    with database.write() as session:
        outbox.record(session, trunk_id, Heard(events), now=NOW + 60, retry=RETRY, daemon_id=daemon_id)


def message(database, message_id):
    with database.read() as session:
        row = outbox.get(session, message_id)
        return str(row.state), row.remote_id


@contextmanager
def paused_before(database, word):
    """A second connection that stops before the first UPDATE of messages with that word, until it is let go."""
    reached, go = threading.Event(), threading.Event()
    with closing(Database(database.url.render_as_string(hide_password=False))) as other:

        @event.listens_for(other.engine, "before_cursor_execute")
        def pause(_connection, _cursor, statement, parameters, _context, _many):
            if statement.startswith("UPDATE") and "messages" in statement and word in f"{statement} {parameters}":
                reached.set()
                assert go.wait(60)

        try:
            yield other, reached, go
        finally:
            go.set()


@on_servers
def test_of_two_who_settle_a_dead_daemon_only_one_queues_what_it_had(database, pair):
    (trunk_id, _), (living, dead) = pair
    ids = queue(database, 3)
    assert claim(database, trunk_id, dead) == ids
    known = {(trunk_id, message_id): Deferred(message_id, "", counted=False) for message_id in ids}

    def settle(session):
        outbox.settle_dead(session, [dead], NOW + 5, False, known=known)
        daemons.forget(session, dead)

    with paused_before(database, "'queued'") as (other, reached, go):
        slow = threading.Thread(target=other.transact, args=(settle,))
        slow.start()
        assert reached.wait(60)
        quick = threading.Thread(target=database.transact, args=(settle,))
        quick.start()
        quick.join(1.0)  # the lock holds it up
        claimed = claim(database, trunk_id, living) if not quick.is_alive() else []
        go.set()
        slow.join(60)
        quick.join(60)
    claimed += claim(database, trunk_id, living)
    assert sorted(claimed) == ids


def test_a_late_refusal_does_not_take_a_message_from_who_has_it_now(database, pair):
    (first, second), (slow, living) = pair
    (message_id,) = queue(database)
    claim(database, first, slow)
    with database.write() as session:
        outbox.settle_dead(session, [slow], NOW + 40, False)
        outbox.resolve(session, "resend", now=NOW + 41, ids=[message_id])
    assert claim(database, second, living) == [message_id]
    record(database, first, slow, Refused(message_id, "no such number"))
    assert message(database, message_id) == ("submitted", None)
    record(database, second, living, Accepted(message_id, ("id2",)))
    assert message(database, message_id) == ("accepted", "id2")


def test_an_acceptance_that_is_recorded_again_does_not_take_a_message_from_the_next_trunk(database, pair):
    (first, second), (one, other) = pair
    (message_id,) = queue(database, text="x" * 200)
    claim(database, first, one)
    record(database, first, one, Accepted(message_id, ("a1", "a2")))
    failed = [Receipt(remote_id, False, "UNDELIV") for remote_id in ("a1", "a2")]
    with database.write() as session:
        receipts.store(session, first, failed, NOW + 61, lambda _: outbox.NextTrunks([second]))
    if message(database, message_id)[0] != "queued":  # the trunk does not fail over
        with database.write() as session:
            reasons = {message_id: "UNDELIV"}
            session.get(Message, message_id).state = "accepted"
            session.flush()
            assert outbox.fail_over(session, first, reasons, outbox.NextTrunks([second]), NOW + 62) == {message_id}
    assert claim(database, second, other) == [message_id]
    record(database, first, one, Accepted(message_id, ("a1", "a2")))
    assert message(database, message_id)[0] == "submitted"
    record(database, second, other, Accepted(message_id, ("b1", "b2")))
    assert message(database, message_id) == ("accepted", "b1")
    with database.read() as session:
        assert sorted(session.scalars(select(Segment.remote_id))) == ["b1", "b2"]


def test_an_answer_to_a_message_of_a_daemon_that_is_entered_no_more_is_recorded(database, pair):
    (trunk_id, _), (_, daemon_id) = pair
    (message_id,) = queue(database)
    claim(database, trunk_id, daemon_id)
    with database.write() as session:
        daemons.forget(session, daemon_id)  # it was taken for dead just before it claimed
    record(database, trunk_id, daemon_id + 1, Accepted(message_id, ("id1",)))
    assert message(database, message_id) == ("accepted", "id1")


@on_servers
def test_what_a_person_settles_is_what_is_in_doubt_then(database, pair):
    (trunk_id, _), (slow, _) = pair
    (message_id,) = queue(database, text="x" * 200)
    claim(database, trunk_id, slow)
    with database.write() as session:
        outbox.settle_dead(session, [slow], NOW + 40, False)
    resolved = []

    def resolve(session):
        resolved.append(outbox.resolve(session, "resend", now=NOW + 41, ids=[message_id]))

    with paused_before(database, "cdr_due") as (other, reached, go):
        answer = threading.Thread(target=record, args=(other, trunk_id, slow, Accepted(message_id, ("s1", "s2"))))
        answer.start()
        assert reached.wait(60)
        by_hand = threading.Thread(target=database.transact, args=(resolve,))
        by_hand.start()
        by_hand.join(1.0)
        go.set()
        answer.join(60)
        by_hand.join(60)
    with database.read() as session:
        segments = sorted(session.scalars(select(Segment.remote_id)))
    state, _ = message(database, message_id)
    assert (state, segments, resolved[-1].changed) in [("accepted", ["s1", "s2"], 0), ("queued", [], 1)]


@on_servers
def test_a_receipt_that_comes_twice_fails_over_once(database, pair):
    (first, second), (one, other_daemon) = pair
    (message_id,) = queue(database)
    claim(database, first, one)
    record(database, first, one, Accepted(message_id, ("id1",)))

    def fail_over(session):
        return outbox.fail_over(session, first, {message_id: "UNDELIV"}, outbox.NextTrunks([second]), NOW + 62)

    with paused_before(database, "UNDELIV") as (other, reached, go):
        slow = threading.Thread(target=other.transact, args=(fail_over,))
        slow.start()
        assert reached.wait(60)
        quick = threading.Thread(target=database.transact, args=(fail_over,))
        quick.start()
        quick.join(1.0)
        claimed = []
        if not quick.is_alive():
            claimed += claim(database, second, other_daemon)
            record(database, second, other_daemon, Accepted(message_id, ("id2",)))
        go.set()
        slow.join(60)
        quick.join(60)
    claimed += claim(database, second, other_daemon)
    assert claimed == [message_id]


@pytest.fixture
def clients(database):
    with database.write() as session:
        lists.create(session, "clients")
        for number, own_text in (("600000001", None), ("600000002", "hola Ana")):
            lists.add(session, numbering_plan.get(session), "clients", number, own_text)


def create_campaign(session):
    plan = numbering_plan.get(session)
    campaigns.create(session, plan, "spring", "hola", now=NOW, max_segments=5, list_name="clients", run=True)


def exclude_one(session):
    marked = lists.exclude(session, numbering_plan.get(session), "clients", "600000001")
    outbox.exclude(session, *marked, NOW)


def state_of_the_excluded(database):
    with database.read() as session:
        return session.scalar(select(Message.state).where(Message.number == "34600000001"))


@on_servers
def test_who_is_excluded_while_a_campaign_is_created_is_not_written_to(database, clients):
    with paused_before(database, "segments") as (other, reached, go):  # the members have been copied
        creating = threading.Thread(target=other.transact, args=(create_campaign,))
        creating.start()
        assert reached.wait(60)
        excluding = threading.Thread(target=database.transact, args=(exclude_one,))
        excluding.start()
        excluding.join(1.0)
        go.set()
        creating.join(60)
        excluding.join(60)
    assert state_of_the_excluded(database) == "excluded"


@on_servers
def test_a_campaign_that_is_created_during_an_exclusion_leaves_the_number_out(database, clients):
    creating = threading.Thread(target=database.transact, args=(create_campaign,))
    with database.write() as session:
        exclude_one(session)
        creating.start()
        creating.join(1.0)
    creating.join(60)
    assert state_of_the_excluded(database) == "excluded"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # MariaDB cannot tell the locks apart
def test_an_exclusion_does_not_wait_for_an_import_into_its_list(database, clients):
    excluding = threading.Thread(target=database.transact, args=(exclude_one,))
    waited = []

    def batches():
        yield {"34600000003": None}
        excluding.start()
        excluding.join(30)
        waited.append(excluding.is_alive())

    with database.write() as session:
        lists.add_many(session, lists.get(session, "clients").id, batches(), "csv", NOW)
    excluding.join(60)
    assert waited == [False]
