"""Receipts through the whole of it: the service, a real socket, a real database."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from ixxsms import campaigns, codes, config, numbering_plan, outbox, receipts, trunks
from ixxsms.csvfile import Row
from ixxsms.models import Message
from ixxsms.service import Service
from ixxsms.testing import FakeSMSC


@pytest.fixture
def settings(database_url):
    made = config.with_database(database_url, {"IXXSMS_FASTAGI_PORT": "0"})
    quick = {"poll_seconds": 0.02, "retry_seconds": 0.2, "response_timeout": 1.0}
    return dataclasses.replace(made, values={**made.values, **quick})


@pytest.fixture
def smsc():
    with FakeSMSC() as started:
        yield started


@pytest.fixture
def other_smsc():
    with FakeSMSC() as started:
        yield started


@pytest.fixture
def add(database):
    def add(name, smsc, **fields):
        with database.write() as session:
            return trunks.add(session, name, "smpp", script_dir="", host="127.0.0.1", port=smsc.port, **fields).id

    return add


@pytest.fixture
def queue(database):
    def queue(text="hola", number="600000001"):
        with database.write() as session:
            plan = numbering_plan.get(session)
            return outbox.enqueue(session, plan, number, text, now=time.time(), max_segments=10).id

    return queue


@pytest.fixture
def serve(database, settings):
    """serve(): start the service, once the trunks are there; it ends with the test."""
    started = []

    def serve():
        service = Service(database, settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        started.append((service, thread))

    yield serve
    for service, thread in started:
        service.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def becomes(database):
    """becomes(message_id, state): wait for it; the message."""

    def becomes(message_id, state, seconds=40.0):
        deadline = time.monotonic() + seconds
        while True:
            with database.read() as session:
                message = outbox.get(session, message_id)
            if message.state == state:
                return message
            assert time.monotonic() < deadline, f"it is {message.state}: {message.reason}"
            time.sleep(0.02)

    return becomes


def test_what_the_first_provider_cannot_deliver_the_second_one_does(
    add, smsc, other_smsc, queue, becomes, database, serve
):
    smsc.receipt_stat = {"34600000001": "UNDELIV"}
    add("first", smsc, receipt_failover=True)
    second = add("second", other_smsc, priority=2)
    serve()
    failed, delivered = queue(), queue(number="600000002")
    assert becomes(delivered, "delivered").failovers == 0
    message = becomes(failed, "delivered")
    assert (message.via_trunk_id, message.failovers) == (second, 1)
    assert [pdu.destination for pdu in smsc.received] == ["34600000001", "34600000002"]
    assert [pdu.destination for pdu in other_smsc.received] == ["34600000001"]


def test_a_campaign_that_drains_waits_for_its_failovers(add, smsc, other_smsc, database, settings):
    smsc.receipt_stat = {"34600": "UNDELIV"}
    smsc.receipt_delay = 0.5
    add("first", smsc, receipt_failover=True)
    add("second", other_smsc, priority=2)
    with database.write() as session:
        plan = numbering_plan.get(session)
        rows = [Row(n, f"60000000{n}", None) for n in range(1, 4)]
        campaigns.create(session, plan, "promo", "Hola", now=time.time(), max_segments=10, rows=rows, run=True)
    Service(database, settings).run(drain=True)
    with database.read() as session:
        view = campaigns.show(session, "promo")
    assert (view.state, view.states["delivered"]) == ("finished", 3)
    assert len(other_smsc.received) == 3


def test_a_message_whose_answer_never_came_is_settled_by_its_receipt(add, smsc, queue, becomes, database, serve):
    smsc.missing_every = 1  # it takes every message, answers none, and sends the receipts
    smsc.receipt_delay = 3.0
    add("one", smsc)
    serve()
    message_id = queue()
    becomes(message_id, "in_doubt")
    message = becomes(message_id, "delivered")
    assert message.remote_id == smsc.received[0].message_id
    assert len(smsc.received) == 1


def test_an_smsc_that_answers_too_late_settles_its_messages_all_the_same(add, smsc, queue, becomes, database, serve):
    smsc.latency = 4.0
    smsc.receipt_stat = {"34600000002": "UNDELIV"}
    smsc.errors = {"34600000003": 0x0B}
    add("one", smsc)
    serve()
    sent = [queue(number=f"60000000{n}") for n in (1, 2, 3)]
    long = queue("x" * 400, number="600000004")
    for message_id in sent:
        becomes(message_id, "in_doubt")
    states = ("delivered", "undelivered", "refused")
    settled = [becomes(message_id, state) for message_id, state in zip(sent, states, strict=True)]
    assert [bool(message.remote_id) for message in settled] == [True, True, False]
    becomes(long, "delivered")
    with database.read() as session:
        assert receipts.unmatched(session) == []


def test_a_receipt_that_came_while_the_answer_was_awaited_settles_the_message_too(
    add, smsc, queue, becomes, database, serve
):
    smsc.missing_every = 1
    add("one", smsc)
    serve()
    message_id = queue("x" * 400)
    becomes(message_id, "delivered")
    with database.read() as session:
        assert receipts.unmatched(session) == []
    assert len(smsc.received) == 3


def test_throttling_and_refusals_are_counted(add, smsc, queue, becomes, database, serve):
    smsc.throttle_every = 2
    smsc.errors = {"34600000009": 0x0B}
    add("one", smsc)
    serve()
    becomes(queue(), "delivered")
    becomes(queue(number="600000002"), "delivered")  # the second submit_sm, throttled
    becomes(queue(number="600000009"), "refused")  # the fourth, throttled before it was refused
    with database.read() as session:
        counts = {view.code: view.count for view in codes.table(session, "one") if view.count}
    assert counts == {"0x58": 2, "0x0B": 1}


def test_a_code_that_stops_the_trunk_is_shown_until_a_person_enables_it(add, smsc, queue, database, serve):
    smsc.errors = {"34": 0xB3}
    add("one", smsc)
    serve()
    message_id = queue()
    deadline = time.monotonic() + 40
    while True:
        with database.read() as session:
            reason = trunks.get(session, "one").stopped_reason
        if reason:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert reason == "the SMSC refuses every message: there is no credit (0xB3)"
    with database.read() as session:
        assert session.get(Message, message_id).state == "queued"
