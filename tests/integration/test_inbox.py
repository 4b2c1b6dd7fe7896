"""What comes in, on every database: parts become one SMS, once, whatever is lost, doubled or late on the way."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ixxsms import config, daemons, inbox, trunks
from ixxsms import text as sms_text
from ixxsms.batching import Batching
from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.events import Receipt, Received
from ixxsms.models import Incoming, IncomingPart, UnmatchedReceipt
from ixxsms.sender import Identity, Sender
from ixxsms.smpp.incoming import decode_as
from ixxsms.testing import ScriptedDriver

NOW = 1_800_000_000.0
HERE = "34900123123"


def part(text, number, parts, reference=7, source="34600123456", **fields):
    return Received(source, HERE, text, reference, number, parts, **fields)


def store(database, *received, now=NOW, trunk_id=1, **kwargs):
    with database.write() as session:
        return [sms.text for sms in inbox.store(session, trunk_id, received, now, **kwargs)]


def texts(database):
    with database.read() as session:
        return [sms.text for sms in reversed(inbox.latest(session, 1000))]


def waiting(database):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(IncomingPart).where(IncomingPart.part > 0))


def test_the_parts_of_a_long_sms_become_one_in_any_order(database):
    assert store(database, part("c", 3, 3)) == []
    assert store(database, part("other", 1, 3, source="34600999999"), Received("34600123456", HERE, "short")) == [
        "short"
    ]
    assert store(database, part("a", 1, 3)) == []
    assert store(database, part("b", 2, 3), now=NOW + 3600) == ["abc"]
    with database.read() as session:
        (sms,) = session.scalars(select(Incoming).where(Incoming.parts == 3))
        assert (sms.source, sms.destination, sms.reference, sms.part) == ("34600123456", HERE, 7, 3)
        assert sms.received_at == NOW + 3600
    assert waiting(database) == 1, "the other sender's"


def test_a_part_that_comes_again_changes_nothing(database):
    for _ in range(3):
        assert store(database, part("a", 1, 2)) == []
    assert store(database, part("a", 1, 2), part("b", 2, 2), part("b", 2, 2)) == ["ab"]
    # The acknowledgements were lost: the SMSC says some of it again, or all.
    assert store(database, part("b", 2, 2), now=NOW + 60) == []
    assert store(database, part("a", 1, 2), now=NOW + 70) == []
    assert store(database, part("a", 1, 2), part("b", 2, 2), now=NOW + 80) == []
    assert waiting(database) == 0
    assert texts(database) == ["ab"]


def test_the_same_long_sms_sent_again_later_is_another_one(database):
    parts = part("a", 1, 2), part("b", 2, 2)
    assert store(database, *parts) == ["ab"]
    assert store(database, *parts, now=NOW + 3600) == ["ab"]


def test_a_reference_that_comes_round_again_mixes_no_two_sms(database):
    assert store(database, part("old 1 ", 1, 3), part("old 3", 3, 3)) == []
    assert store(database, part("new 1 ", 1, 3), now=NOW + 600) == ["old 1 […]old 3"]
    assert store(database, part("new 3", 3, 3), part("new 2 ", 2, 3), now=NOW + 601) == ["new 1 new 2 new 3"]
    # Both in one go, and the first whole.
    again = [part(text, n, 2, source="1") for text in "xy" for n in (1, 2)]
    assert store(database, *again) == ["xx", "yy"]


def test_parts_of_another_number_of_parts_are_of_another_sms(database):
    assert store(database, part("a", 1, 2), part("x", 1, 3), part("y", 2, 3)) == []
    assert store(database, part("b", 2, 2)) == ["ab"]
    assert store(database, part("z", 3, 3)) == ["xyz"]


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        ("a😀b".encode("utf-16-be"), "ucs2", "a😀b"),
        (sms_text.encode_gsm("1€{2}"), "gsm", "1€{2}"),
        ("日本".encode("shift_jis"), "jis", "日本"),
        ("안녕".encode("euc-kr"), "euc-kr", "안녕"),
    ],
)
def test_a_character_that_is_cut_between_two_parts_survives(database, octets, coding, text):
    for reference, at in enumerate(range(1, len(octets))):
        halves = [
            part("?", n, 2, reference, octets=half, coding=coding) for n, half in ((2, octets[at:]), (1, octets[:at]))
        ]
        assert store(database, halves[0]) == []
        assert store(database, halves[1]) == [text]


def test_parts_may_be_coded_each_in_its_own_way(database):
    gsm = part("?", 1, 3, octets=b"\x00 ", coding="gsm")
    ucs2 = part("?", 2, 3, octets="я ".encode("utf-16-be"), coding="ucs2")
    assert store(database, ucs2, gsm, part("plain", 3, 3)) == ["@ я plain"]


def test_half_a_pair_from_a_driver_that_knows_no_octets_survives_too(database):
    assert store(database, part("a\ud83d", 1, 2), part("\ude00b", 2, 2)) == ["a😀b"]


_references = itertools.count()


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to make a failure smaller takes minutes on a server
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_in_any_order_doubled_over_restarts_is_there_once(database, data, text):
    octets = text.encode("utf-16-be")
    size = data.draw(st.integers(1 + len(octets) // 12, len(octets)))
    cut = [octets[at : at + size] for at in range(0, len(octets), size)]
    reference = next(_references)
    parts = [
        part("?", n, len(cut) + 1, reference, octets=piece, coding="ucs2") for n, piece in enumerate([*cut, b""], 1)
    ]
    doubled = [again for one in data.draw(st.permutations(parts)) for again in [one] * data.draw(st.integers(1, 2))]
    whole = []
    while doubled:
        some = data.draw(st.integers(1, len(doubled)))
        whole += store(database, *doubled[:some])  # each in a transaction of its own, as after a restart
        del doubled[:some]
    assert whole == [decode_as(octets, "ucs2")]
    with database.read() as session:
        left = select(func.count()).select_from(IncomingPart)
        assert session.scalar(left.where(IncomingPart.reference == reference, IncomingPart.part > 0)) == 0


def test_two_receivers_that_get_a_part_each_at_the_same_moment_make_one_sms(database, database_url):
    """On the servers the two transactions overlap; neither may overlook the other's part, nor fail for the lock."""
    other = Database(database_url)
    made, broken = [], []

    def receive(where, numbers, barrier):
        for reference in range(40):
            barrier.wait(60)
            try:
                # Two SMS in one go, and each receiver names them in its own order.
                long = [part(f"{n}", n, 4, reference, source=source) for source in ("1", "2") for n in numbers]
                made.extend(store(where, *(long if numbers[0] == 1 else long[::-1])))
            except DatabaseError as error:
                broken.append(error)

    barrier = threading.Barrier(2)
    threads = [
        threading.Thread(target=receive, args=args) for args in ((database, (1, 3), barrier), (other, (2, 4), barrier))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    other.close()
    assert broken == []
    assert made == ["1234"] * 80
    assert waiting(database) == 0


# -- parts that wait in vain ----------------------------------------------------------------------------------------


def give_up(database, now):
    with database.write() as session:
        return [sms.text for sms in inbox.give_up(session, now)]


def test_what_has_come_of_a_long_sms_is_in_the_inbox_after_a_day(database):
    store(database, part("b", 2, 5), part("e", 5, 5), now=NOW)
    store(database, part("a", 1, 5), now=NOW + 3600)
    store(database, part("young", 1, 2, source="2"), now=NOW + 7200)
    assert give_up(database, NOW + 24 * 3600) == [], "the last part came an hour later"
    assert give_up(database, NOW + 25 * 3600 + 1) == ["ab[…]e"]
    with database.read() as session:
        (sms,) = inbox.latest(session)
        assert (sms.part, sms.parts) == (3, 5)
    assert waiting(database) == 1
    assert give_up(database, NOW + 25 * 3600 + 1) == []


def test_a_part_that_is_too_late_begins_anew(database):
    store(database, part("a", 1, 2))
    assert give_up(database, NOW + 25 * 3600) == ["a[…]"]
    assert store(database, part("b", 2, 2), now=NOW + 26 * 3600) == []
    assert give_up(database, NOW + 60 * 3600) == ["[…]b"]


def test_a_flood_of_first_parts_is_bounded_and_the_oldest_go_first(database, monkeypatch):
    monkeypatch.setattr(inbox, "MOST_PARTS", 20)
    for reference in range(40):
        store(database, part(f"{reference}", 1, 255, reference, source=f"{reference}"), now=NOW + reference)
    assert waiting(database) == 40
    assert len(give_up(database, NOW + 60)) == 20
    assert waiting(database) == 20
    assert texts(database) == [f"{reference}[…]" for reference in range(20)]
    assert give_up(database, NOW + 60) == []


def test_what_is_remembered_of_an_sms_that_became_whole_is_forgotten(database):
    store(database, part("a", 1, 2), part("b", 2, 2))
    give_up(database, NOW + 300)
    assert store(database, part("b", 2, 2), now=NOW + 300) == []
    assert give_up(database, NOW + 700) == []
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(IncomingPart)) == 0


def test_no_part_takes_more_room_than_a_phone_makes_it(database):
    store(database, part("x" * 65000, 1, 2))
    assert [len(text) for text in store(database, part("end", 2, 2))] == [2051]


def test_two_daemons_that_give_up_at_the_same_moment_make_one_sms_of_it(database, database_url):
    other = Database(database_url)
    for reference in range(30):
        store(database, part("a", 1, 2, reference))
    found = []
    threads = [threading.Thread(target=lambda d=d: found.extend(give_up(d, NOW + 1e6))) for d in (database, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    give_up(database, NOW + 1e6)
    assert texts(database) == ["a[…]"] * 30


# -- the sender, while the database is away --------------------------------------------------------------------------


class Failing(Database):
    """A database that fails before it is reached, or after the commit: then nobody knows whether it was."""

    fail = ""

    @contextmanager
    def write(self):
        if self.fail == "before":
            raise DatabaseError("The database is away.")
        with super().write() as session:
            yield session
        if self.fail == "after":
            raise DatabaseError("The connection was lost.")

    def read(self):
        if self.fail == "before":
            raise DatabaseError("The database is away.")
        return super().read()


@pytest.fixture
def failing(database_url):
    opened = Failing(database_url)
    yield opened
    opened.close()


@pytest.fixture
def trunk(failing, database_url):
    """A sender whose trunk is a list, on a database that fails."""
    made = config.with_database(database_url, {})
    made = dataclasses.replace(made, values={**made.values, "poll_seconds": 0.01, "stop_seconds": 0.1})
    driver = ScriptedDriver()
    with failing.write() as session:
        row = trunks.add(session, "one", "smpp", script_dir="", host="127.0.0.1", port=1, user="u", password="p")
        identity = Identity(daemons.register(session, [row.id], time.time()))
    sender = Sender(failing, made, row, identity, open_driver=lambda _: driver)
    return Trunk(failing, driver, sender)


class Trunk:
    def __init__(self, database, driver, sender):
        self.database, self.driver, self.sender = database, driver, sender

    def hear(self, *events):
        self.driver.say(*events)
        self.sender.step()

    def fails(self, how):
        self.database.fail = how


def sms(text, token, **fields):
    return Received("34600123456", HERE, text, token=token, **fields)


def test_an_sms_that_was_heard_before_a_stop_is_stored_and_acknowledged_before_the_link_ends(trunk, monkeypatch):
    monkeypatch.setattr(Batching, "due", lambda self, *, brought: float("inf"))
    trunk.hear(sms("hola", "t1"))
    assert trunk.driver.acknowledged == []
    trunk.sender.stop()
    trunk.sender.run()
    assert trunk.driver.acknowledged == ["t1"]
    with trunk.database.read() as session:
        assert [each.text for each in inbox.latest(session, 10)] == ["hola"]


def test_a_sender_that_fails_leaves_no_link_behind(trunk, monkeypatch):
    monkeypatch.setattr(trunk.sender, "step", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trunk.sender.run()
    assert trunk.driver.closed


def test_what_was_stored_although_the_commits_answer_was_lost_is_not_stored_twice(trunk):
    long = [part(text, n, 2, token=text) for n, text in ((1, "long "), (2, "one"))]
    trunk.fails("after")
    trunk.hear(sms("twice", 1), sms("twice", 2), sms("ok", 3), *long)
    assert trunk.driver.acknowledged == []
    trunk.fails("")
    trunk.hear(sms("ok", 4))
    assert sorted(map(str, trunk.driver.acknowledged)) == ["1", "2", "3", "4", "long ", "one"]
    assert sorted(texts(trunk.database)) == ["long one", "ok", "ok", "twice", "twice"]
    trunk.hear(sms("ok", 5))
    assert texts(trunk.database).count("ok") == 3, "what somebody writes again is kept again"


def test_what_waits_for_a_database_that_comes_back_is_acknowledged_then(trunk):
    trunk.fails("before")
    trunk.hear(sms("a", 1), Receipt("7", True, token=2))
    assert (trunk.driver.acknowledged, trunk.driver.refused) == ([], [])
    trunk.fails("")
    trunk.hear()
    assert (trunk.driver.acknowledged, trunk.driver.refused) == ([1, 2], [])
    assert texts(trunk.database) == ["a"]


def test_while_the_database_stays_away_the_smsc_keeps_what_it_has(trunk, monkeypatch):
    monkeypatch.setattr("ixxsms.sender.REFUSE_AFTER", 0.0)
    trunk.fails("before")
    trunk.hear(sms("a", 1), Receipt("7", True, token=2))
    trunk.hear(sms("b", 3))
    assert (trunk.driver.acknowledged, trunk.driver.refused) == ([], [1, 2, 3])
    trunk.fails("")
    trunk.hear(sms("a", 4), Receipt("7", True, token=5))
    assert trunk.driver.acknowledged == [4, 5]
    assert texts(trunk.database) == ["a"]
    with trunk.database.read() as session:
        assert session.scalars(select(UnmatchedReceipt.remote_id)).all() == ["7"]


def test_what_was_refused_although_it_was_stored_is_not_stored_again(trunk, monkeypatch):
    monkeypatch.setattr("ixxsms.sender.REFUSE_AFTER", 0.0)
    trunk.fails("after")
    trunk.hear(sms("a", 1))
    assert trunk.driver.refused == [1]
    trunk.fails("")
    trunk.hear(sms("a", 2))
    assert trunk.driver.acknowledged == [2]
    assert texts(trunk.database) == ["a"]


def test_no_more_than_so_many_wait_in_memory(trunk, monkeypatch):
    monkeypatch.setattr("ixxsms.sender.MOST_HELD", 3)
    trunk.fails("before")
    trunk.hear(*[sms("a", n) for n in range(5)])
    assert trunk.driver.refused == [3, 4]
    trunk.fails("")
    trunk.hear()
    assert trunk.driver.acknowledged == [0, 1, 2]
