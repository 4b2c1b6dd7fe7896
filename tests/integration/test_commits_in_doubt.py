"""A commit whose answer is lost: the sender cannot know what was committed, and nothing goes out twice for that."""

from __future__ import annotations

import os
import time
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import update

from ixxsms import config, daemons, numbering_plan, outbox, trunks
from ixxsms import sender as senders
from ixxsms.at_once import claiming_at_once
from ixxsms.batching import Batching
from ixxsms.db import Database
from ixxsms.drivers.base import Link
from ixxsms.errors import DatabaseError
from ixxsms.events import Accepted, Deferred
from ixxsms.journal import Life
from ixxsms.models import Message
from ixxsms.sender import Identity, Sender


class Lossy(Database):
    """The answer to the `lose`th commit from now on is lost."""

    lose = 0

    @contextmanager
    def write(self):
        with super().write() as session:
            yield session
        self.lose -= 1
        if self.lose == 0:
            raise DatabaseError("The answer to the commit is lost.")


class Driver:
    """Takes what it has room for, and says what it is told to."""

    why = ""

    def __init__(self, room):
        self.link, self.space, self.got, self.says = Link.UP, room, [], []

    def room(self):
        return max(0, self.space - len(self.got)) if self.link is Link.UP else 0

    def submit(self, batch):
        self.got += [submission.message_id for submission in batch]

    def poll(self, _timeout):
        said, self.says = self.says, []
        return said

    def wake(self):
        pass

    def acknowledge(self, _tokens):
        pass

    def refuse(self, _tokens):
        pass

    def close(self):
        return []


@pytest.fixture
def world(database, tmp_path):
    """world(count, room): a database that loses answers, with so many messages queued, a sender and its driver."""
    with closing(Lossy(database.url.render_as_string(hide_password=False))) as lossy:

        def make(count, room):
            now = time.time()
            with lossy.write() as session:
                plan = numbering_plan.get(session)
                account = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "p"}
                trunk = trunks.add(session, "one", "smpp", script_dir="", **account)
                identity = Identity(daemons.register(session, [trunk.id], now), (tmp_path, Life(os.getpid(), now)))
                ids = [
                    outbox.enqueue(session, plan, f"6000000{n:02}", "hola", now=now, max_segments=5).id
                    for n in range(count)
                ]
            settings = config.with_database(str(lossy.url), {"state_dir": str(tmp_path)})
            driver = Driver(room)
            return lossy, Sender(lossy, settings, trunk, identity, open_driver=lambda _: driver), driver, ids

        yield make


def step(sender, times):
    for _ in range(times):
        sender.step()


def test_what_was_given_back_is_not_handed_over_when_the_link_is_back_in_a_moment(world):
    database, sender, driver, _ = world(20, 1)
    step(sender, 1)
    sender.wake()
    step(sender, 2)
    assert sender._held.messages_ahead >= 5
    driver.link, database.lose = Link.DOWN, 2  # the first commit reports the link
    step(sender, 1)
    driver.link, driver.space = Link.UP, 100
    step(sender, 5)
    assert sorted(driver.got) == sorted(set(driver.got))


def test_no_call_claims_for_a_sender_that_does_not_know_what_was_committed(world):
    database, sender, driver, (message_id,) = world(1, 1)
    step(sender, 1)
    assert driver.got == [message_id]
    driver.says = [Deferred(message_id, "the link was lost", counted=False)]
    # Of what was handed over nothing is known: so slow a trunk claims nothing ahead, and it records at once.
    sender._batching, database.lose = Batching(on_server=False), 1
    step(sender, 1)  # it is recorded, and so queued again; the answer is lost
    with database.read() as session:
        assert outbox.get(session, message_id).state == "queued"
    with claiming_at_once([sender]) as claim, database.write() as session:
        assert claim(session) == set()
    driver.space = 100
    step(sender, 5)
    assert driver.got == [message_id, message_id]  # deferred, and then sent, once


@pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)
def test_a_commit_that_ends_long_after_its_answer_was_lost_leaves_nothing_behind(world, monkeypatch):
    monkeypatch.setattr(senders, "FIND_OUT_AGAIN", 0.2)
    database, sender, driver, (first, second) = world(2, 1)
    step(sender, 1)
    driver.says, database.lose = [Accepted(first, ("id1",))], 1
    sender._batching = Batching(on_server=False)  # it records at once
    step(sender, 3)
    with database.write() as session:  # as if the lost commit had claimed it only now
        late = {"state": "submitted", "via_trunk_id": sender.trunk_id, "daemon_id": sender._identity.daemon_id}
        session.execute(update(Message).where(Message.id == second).values(**late))
    driver.space = 100
    deadline = time.monotonic() + 20
    while second not in driver.got:
        assert time.monotonic() < deadline
        sender.step()
    assert driver.got == [first, second]
