"""What is queued while its sender is idle is claimed in the transaction that queues it, and goes out once."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager

import pytest
from systems import eventually

from ixxsms import config, daemons, numbering_plan, outbox, trunks
from ixxsms import sender as sender_of_a_trunk
from ixxsms.at_once import claiming_at_once
from ixxsms.drivers.base import Link
from ixxsms.errors import DatabaseError
from ixxsms.journal import Life
from ixxsms.sender import Identity, Sender
from ixxsms.testing import FakeSMSC


@pytest.fixture
def smsc():
    with FakeSMSC(accounts={"user": "secret"}, receipts=False) as started:
        yield started


@pytest.fixture
def shop(database, smsc, tmp_path):
    with database.write() as session:
        numbering_plan.change(session, country="ES")
    return Shop(database, smsc, tmp_path)


class Shop:
    """A trunk and its sender."""

    def __init__(self, database, smsc, folder):
        self.database, self.smsc, self.folder = database, smsc, folder
        given = {"state_dir": str(folder), "poll_seconds": 30.0, "stop_seconds": 5.0}
        self.config = config.with_database(str(database.url), given)

    def sender(self, name="one", **fields):
        now = time.time()
        with self.database.write() as session:
            account = {"host": "127.0.0.1", "port": self.smsc.port, "user": "user", "password": "secret"}
            row = trunks.add(session, name, "smpp", script_dir="", **account, **fields)
            identity = Identity(daemons.register(session, [row.id], now), (self.folder, Life(os.getpid(), now)))
        return Sender(self.database, self.config, row, identity)

    def queue(self, *senders, number="600000001", fails="", urgency=0):
        """Queue a message and claim it; returns its id and what was claimed. `fails`: before or after the commit."""
        with claiming_at_once(senders) as claim:
            with self.database.write() as session:
                plan = numbering_plan.get(session)
                message = outbox.enqueue(
                    session, plan, number, "hola", now=time.time(), max_segments=10, urgency=urgency
                )
                claimed = claim(session)
                if fails == "before":
                    raise DatabaseError("The database is away.")
            if fails == "after":
                raise DatabaseError("The database is away.")
        return message.id, claimed

    def state(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id).state

    def states(self):
        with self.database.read() as session:
            return {state: count for state, count in outbox.counts(session, None).items() if count}


@contextmanager
def at_work(sender):
    """The sender in a thread, its journal open."""
    thread = threading.Thread(target=sender.run)
    thread.start()
    try:
        eventually(lambda: sender.link is Link.UP)
        yield sender
    finally:
        sender.stop()
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def warm(shop, sender):
    """At work, and with a first transaction behind it: before that it has no journal."""
    with at_work(sender):
        first, _ = shop.queue(number="600000000")
        sender.wake()
        eventually(lambda: shop.state(first) == "accepted")
        with sender._transaction:  # it has recorded that, and is idle
            pass
        yield sender


def test_it_is_claimed_in_the_transaction_that_queues_it_and_goes_out_once(shop, smsc):
    with warm(shop, shop.sender()) as sender:
        message_id, claimed = shop.queue(sender)
        assert claimed == {message_id}
        eventually(lambda: shop.state(message_id) == "accepted")
    assert [number for number, _ in smsc.texts()] == ["34600000000", "34600000001"]


def test_nobody_but_an_idle_sender_claims(shop):
    with warm(shop, shop.sender()) as sender:
        with sender._transaction:  # it is at one of its own
            message_id, claimed = shop.queue(sender)
            assert (claimed, shop.state(message_id)) == (set(), "queued")
        sender.wake()
        eventually(lambda: shop.state(message_id) == "accepted")


def test_a_sender_that_has_ended_claims_no_more(shop):
    with warm(shop, shop.sender()) as sender:
        pass
    message_id, claimed = shop.queue(sender)
    assert (claimed, shop.state(message_id)) == (set(), "queued")


def test_a_sender_that_has_no_journal_claims_only_what_there_is_room_for(shop):
    sender = shop.sender()
    sender._identity.journals = None
    with at_work(sender):
        message_id, claimed = shop.queue(sender)
        assert (claimed, shop.state(message_id)) == (set(), "queued")


def test_a_sender_that_lost_its_journal_keeps_one_again_as_soon_as_it_can(shop, monkeypatch):
    monkeypatch.setattr(sender_of_a_trunk, "JOURNAL_AGAIN", 0.2)
    shop.folder = shop.folder / "state"
    numbers = (f"6001{n:05}" for n in range(100_000))

    def claimed_at_once(sender):
        _, claimed = shop.queue(sender, number=next(numbers))
        sender.wake()
        return bool(claimed)

    with warm(shop, shop.sender()) as sender:
        assert not claimed_at_once(sender)
        shop.folder.mkdir()
        eventually(lambda: time.sleep(0.05) or claimed_at_once(sender))
        assert [path.suffix for path in shop.folder.iterdir()] == [".journal"]
        eventually(lambda: set(shop.states()) == {"accepted"})


def test_a_trunk_with_a_cap_counts_for_itself(shop):
    with warm(shop, shop.sender(daily_cap=10)) as sender:
        assert shop.queue(sender)[1] == set()


def test_of_two_trunks_the_better_one_has_it_whoever_is_asked_first(shop):
    better, worse = shop.sender("better", priority=10), shop.sender("worse", priority=20)
    with warm(shop, better), at_work(worse):
        eventually(lambda: worse._near.better)
        message_id, claimed = shop.queue(worse, better)
        assert claimed == {message_id}
        eventually(lambda: shop.state(message_id) == "accepted")
    with shop.database.read() as session:
        assert outbox.get(session, message_id).via_trunk_id == better.trunk_id


def test_what_was_rolled_back_is_sent_by_nobody(shop, smsc):
    with warm(shop, shop.sender()) as sender:
        with pytest.raises(DatabaseError):
            shop.queue(sender, fails="before")
        message_id, _ = shop.queue(sender, number="600000002")
        sender.wake()  # it may have been at work, on what it had claimed in vain
        eventually(lambda: shop.state(message_id) == "accepted")
    assert [number for number, _ in smsc.texts()] == ["34600000000", "34600000002"]
    assert shop.states() == {"accepted": 2}


def test_what_was_committed_though_nobody_knows_is_queued_again_and_goes_out_once(shop, smsc):
    with warm(shop, shop.sender()) as sender:
        with pytest.raises(DatabaseError):
            shop.queue(sender, fails="after")
        eventually(lambda: shop.states() == {"accepted": 2})
    assert [number for number, _ in smsc.texts()] == ["34600000000", "34600000001"]


def test_a_slow_trunk_keeps_their_order_and_only_the_urgent_goes_before(shop, smsc):
    numbers = [f"60000001{n}" for n in range(8)]
    with warm(shop, shop.sender(pace=5)) as sender:
        for number in numbers:
            shop.queue(sender, number=number)
        shop.queue(sender, number="600000020", urgency=outbox.NOW)
        sender.wake()
        eventually(lambda: shop.states() == {"accepted": 10})
    sent = [number.removeprefix("34") for number, _ in smsc.texts()][1:]
    assert [number for number in sent if number != "600000020"] == numbers
    assert sent[-1] != "600000020"


def test_many_at_once_go_out_once_each(shop, smsc):
    numbers = [f"6001{n:05}" for n in range(300)]
    with warm(shop, shop.sender()) as sender:

        def some(mine):
            for number in mine:
                shop.queue(sender, number=number)

        threads = [threading.Thread(target=some, args=(numbers[at::3],)) for at in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sender.wake()
        eventually(lambda: shop.states() == {"accepted": 301}, 60)
    assert sorted(number for number, _ in smsc.texts()) == ["34600000000", *(f"34{number}" for number in numbers)]
