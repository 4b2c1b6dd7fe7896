"""Several binds on one trunk, against the fake SMSC over real sockets."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from smpp_trunks import Make, drivers, message, send, session_of, until

from ixxsms import text as gsm
from ixxsms.drivers.base import Link
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.events import Accepted, Deferred, InDoubt, Noted, Receipt, Received, Stopped
from ixxsms.smpp.session import State
from ixxsms.testing import FakeSMSC


@pytest.fixture
def driver() -> Iterator[Make]:
    with drivers() as make:
        yield make


def whole(driver: SmppDriver) -> None:
    """Wait until every bind of it is up."""
    until(driver, lambda _: (driver.link, driver.why) == (Link.UP, ""))


def cut(driver: SmppDriver, bind: int) -> None:
    """The network takes one link away."""
    driver._links[bind]._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


def test_each_bind_has_a_window_of_its_own(driver: Make) -> None:
    with FakeSMSC(mute=True) as smsc:
        opened = driver(smsc.port, binds=3, window=2)
        whole(opened)
        assert opened.room() == 6
        opened.submit([message(number) for number in range(6)])
        until(opened, lambda _: len(smsc.received) == 6)
        assert (opened.room(), opened.in_flight()) == (0, 6)
        assert [session_of(opened, bind).in_flight() for bind in range(3)] == [2, 2, 2]


def test_a_thousand_messages_over_four_binds_are_each_accepted_once(driver: Make) -> None:
    with FakeSMSC(latency=0.002, receipts=False) as smsc:
        opened = driver(smsc.port, binds=4, window=25)
        whole(opened)
        events = send(opened, [message(number) for number in range(1000)])
        assert Counter(event.message_id for event in events) == Counter(range(1000))  # type: ignore[union-attr]
        assert {type(event) for event in events} == {Accepted}
        assert len(smsc.received) == 1000


def test_the_segments_of_a_long_message_stay_on_one_bind(driver: Make) -> None:
    texts = [f"{number} " + "x" * 600 for number in range(30)]
    with FakeSMSC(receipts=False) as smsc:
        opened = driver(smsc.port, binds=3, window=10)
        whole(opened)
        send(opened, [message(number, text, segments=4) for number, text in enumerate(texts)])
        sequences = defaultdict(list)
        for taken in smsc.received:
            concat, _ = gsm.split_udh(taken.short_message)
            assert concat is not None
            sequences[taken.destination].append((concat.number, taken.sequence, concat.reference))
        for segments in sequences.values():
            first = min(segments)[1]  # each bind counts for itself
            assert [(number, sequence - first) for number, sequence, _ in sorted(segments)] == [
                (1, 0), (2, 1), (3, 2), (4, 3)
            ]  # fmt: skip
        assert sorted(text for _, text in smsc.texts()) == sorted(texts)


def test_a_bind_that_is_lost_hands_back_only_its_own(driver: Make) -> None:
    with FakeSMSC(mute=True) as smsc:
        opened = driver(smsc.port, binds=2, window=2)
        whole(opened)
        opened.submit([message(number) for number in range(4)])
        until(opened, lambda _: len(smsc.received) == 4)
        cut(opened, 1)
        events = until(opened, lambda events: len(events) == 2)
        assert {type(event) for event in events} == {InDoubt}
        assert opened.link is Link.UP
        assert session_of(opened, 0).in_flight() == 2
        smsc.mute = False
        whole(opened)
        (event,) = send(opened, [message(9)])
        assert isinstance(event, Accepted)


def test_the_trunk_is_up_while_one_bind_is_and_says_how_many_are(driver: Make) -> None:
    with FakeSMSC(max_binds=2) as smsc:
        opened = driver(smsc.port, binds=3)
        until(opened, lambda _: opened.why.startswith("2 of 3 binds are up: The SMSC refuses the login: "))
        assert "(RALYBND, 0x05)" in opened.why
        assert opened.link is Link.UP
        until(opened, lambda _: len(smsc.logins) >= 7)  # it is tried again, and does not stop the trunk
        assert opened.link is Link.UP
        smsc.max_binds = 0
        whole(opened)


def test_without_any_bind_the_trunk_is_down_and_comes_back(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port, binds=3)
        whole(opened)
        smsc.refuse_bind = 0x08
        smsc.drop()
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.room() == 0
        opened.submit([message(1)])
        (event,) = until(opened, lambda events: len(events) == 1)
        assert isinstance(event, Deferred)
        smsc.refuse_bind = 0
        whole(opened)


def test_a_wrong_password_is_tried_by_one_bind_alone(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "right"}) as smsc:
        opened = driver(smsc.port, up=False, password="wrong", binds=5)
        events = until(opened, lambda _: opened.link is Link.STOPPED)
        assert events[-1] == Stopped("the SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)")
        assert {type(event) for event in events[:-1]} == {Noted}
        opened.poll(0.4)
        assert len(smsc.logins) == 3


def test_a_password_that_is_changed_while_all_are_bound_is_not_tried_by_each(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        opened = driver(smsc.port, binds=4)
        whole(opened)
        smsc.accounts = {"user": "new"}
        smsc.drop()
        until(opened, lambda _: opened.link is Link.STOPPED)
        # What was under way when the first refusal came cannot be taken back.
        assert 3 <= len(smsc.logins) - 4 <= 6


def test_what_stops_one_bind_stops_the_trunk(driver: Make) -> None:
    with FakeSMSC(errors={"34": 0xB3}) as smsc:
        opened = driver(smsc.port, binds=3)
        whole(opened)
        events = send(opened, [message(1)])
        assert [type(event) for event in events].count(Stopped) == 1
        until(opened, lambda _: smsc.unbinds == 3)
        assert (opened.link, opened.room()) == (Link.STOPPED, 0)
        assert opened.why == "the SMSC refuses every message: there is no credit (0xB3)"
        opened.poll(0.3)
        assert len(smsc.logins) == 3


def test_a_receipt_on_another_bind_is_acknowledged_there(driver: Make) -> None:
    with FakeSMSC(receipt_elsewhere=True) as smsc:
        opened = driver(smsc.port, binds=2, receipts=True)
        whole(opened)
        opened.submit([message(number) for number in range(10)])
        events = until(opened, lambda events: sum(isinstance(event, Receipt) for event in events) == 10)
        opened.acknowledge([event.token for event in events if isinstance(event, Receipt)])
        until(opened, lambda _: smsc.acknowledged == 10)
        assert not any(connection.unacknowledged for connection in smsc._connections)


def test_throttling_pauses_every_bind(driver: Make) -> None:
    with FakeSMSC(throttle_every=1) as smsc:
        opened = driver(smsc.port, binds=3)
        whole(opened)
        opened.submit([message(1)])
        until(opened, lambda _: smsc.refused == 1)
        until(opened, lambda _: opened.room() == 0)
        assert opened.link is Link.UP
        smsc.throttle_every = 0
        assert isinstance(until(opened, lambda events: len(events) == 1)[0], Accepted)


def test_an_smsc_with_a_limit_gets_about_what_it_takes(driver: Make) -> None:
    with FakeSMSC(throttle_rate=50, receipts=False) as smsc:
        opened = driver(smsc.port, binds=2, window=20)
        whole(opened)
        events = send(opened, [message(number) for number in range(200)])
        assert Counter(event.message_id for event in events if isinstance(event, Accepted)) == Counter(range(200))
        assert {type(event) for event in events} == {Accepted, Noted}
        assert smsc.refused < 150


def test_a_transmitter_and_a_receiver_are_two_links_of_one_trunk(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port, bind="tx+rx", receipts=True)
        whole(opened)
        assert sorted(login.kind for login in smsc.logins) == ["rx", "tx"]
        opened.submit([message(1)])
        events = until(opened, lambda events: len(events) == 2)
        assert {type(event) for event in events} == {Accepted, Receipt}
        smsc.deliver("34600000001", "2345", "hola")
        events += until(opened, lambda events: len(events) == 1)
        tokens = [event.token for event in events if isinstance(event, Receipt | Received)]
        assert {token.bind for token in tokens} == {1}
        opened.acknowledge(tokens)
        until(opened, lambda _: smsc.acknowledged == 2)


def test_the_receiver_may_have_its_own_host_port_user_and_password(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "secret"}) as send_here, FakeSMSC(accounts={"in": "other"}) as receive_here:
        opened = driver(
            *(send_here.port,),
            bind="tx+rx",
            binds=2,
            rx_host="localhost",
            rx_port=receive_here.port,
            rx_user="in",
            rx_password="other",
        )
        whole(opened)
        assert [(login.user, login.kind) for login in send_here.logins] == [("user", "tx")] * 2
        assert [(login.user, login.kind) for login in receive_here.logins] == [("in", "rx")]
        receive_here.deliver("34600000001", "2345", "hola")
        (event,) = until(opened, lambda events: len(events) == 1)
        assert isinstance(event, Received)


def test_without_its_receiver_the_trunk_still_sends_and_says_so(driver: Make) -> None:
    with FakeSMSC(receipts=False) as smsc, socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
        reserved.close()
        opened = driver(smsc.port, bind="tx+rx", rx_port=port)
        until(opened, lambda _: "cannot be reached" in opened.why)
        assert opened.link is Link.UP
        assert opened.why.startswith("The receiver is not bound: The SMSC cannot be reached at 127.0.0.1:")
        assert isinstance(send(opened, [message(1)])[0], Accepted)


def test_a_receivers_wrong_password_names_the_receiver(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        opened = driver(smsc.port, bind="tx+rx", rx_password="wrong")
        until(opened, lambda _: opened.link is Link.STOPPED)
        assert opened.why == "the SMSC refuses the receiver's login: the password is wrong (RINVPASWD, 0x0E)"
        assert len(smsc.logins) == 4


def test_closing_unbinds_every_bind_and_settles_everything(driver: Make) -> None:
    with FakeSMSC(latency=0.05) as smsc:
        opened = driver(smsc.port, binds=3, window=1)
        whole(opened)
        opened.submit([message(number) for number in range(4)])
        opened.poll(0.0)
        events = opened.close()
        assert Counter(type(event) for event in events) == {Accepted: 3, Deferred: 1}
        assert smsc.unbinds == 3
        assert {session_of(opened, bind).state for bind in range(3)} == {State.CLOSED}
