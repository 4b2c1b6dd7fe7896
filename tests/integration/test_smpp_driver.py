"""The SMPP driver against the fake SMSC over real sockets."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import handset
import pytest
from smpp_trunks import Make, drivers, message, send, session_of, until

from ixxsms.drivers.base import Link
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.drivers.smpp_link import READ_OCTETS, UNWRITTEN_OCTETS
from ixxsms.events import Accepted, Deferred, InDoubt, Noted, Receipt, Received, Refused, Stopped, Warned
from ixxsms.smpp import pdu
from ixxsms.smpp.receipt import remote_id_keys
from ixxsms.smpp.smsc_pdus import deliver_sm
from ixxsms.testing import FakeSMSC, Submitted


@pytest.fixture
def driver() -> Iterator[Make]:
    with drivers() as make:
        yield make


@pytest.mark.parametrize("latency", [0.0, 0.005])
@pytest.mark.parametrize("window", [10, 100])
def test_a_thousand_messages_are_each_accepted_once(window: int, latency: float, driver: Make) -> None:
    with FakeSMSC(latency=latency, receipts=False) as smsc:
        opened = driver(smsc.port, window=window)
        events = send(opened, [message(number) for number in range(1000)])
        assert Counter(event.message_id for event in events) == Counter(range(1000))  # type: ignore[union-attr]
        assert {type(event) for event in events} == {Accepted}
        assert {taken.destination for taken in smsc.received} == {message(number).destination for number in range(1000)}
        assert len(smsc.received) == 1000
        by_id = {taken.message_id: taken.destination for taken in smsc.received}
        for event in events:
            assert isinstance(event, Accepted)
            assert by_id[event.remote_ids[0]] == message(event.message_id).destination
        assert (opened.room(), opened.in_flight()) == (window, 0)


def test_long_unicode_messages_arrive_letter_by_letter(driver: Make) -> None:
    texts = [f"{number}: " + "ñandú 😀 ¿qué? " * 12 for number in range(20)] + ["[€] " * 90, "plain"]
    with FakeSMSC(receipts=False) as smsc:
        opened = driver(smsc.port, window=7)
        events = send(opened, [message(number, text) for number, text in enumerate(texts)])
        assert {type(event) for event in events} == {Accepted}
        assert sorted(smsc.texts()) == sorted((message(n).destination, text) for n, text in enumerate(texts))
        first = next(event for event in events if isinstance(event, Accepted) and event.message_id == 0)
        assert len(first.remote_ids) == 3
        taken = smsc.received[0]
        assert (taken.data_coding, taken.esm_class, taken.short_message[:6]) == (8, 0x40, b"\x05\x00\x03\x00\x03\x01")


TEXTS = [
    "", "plain", "[€] " * 90,
    "Añadió más: ¿cuándo? " * 20, "ğışİ çok güzel " * 15, "não há coração " * 20, "日本 😀 " * 40
]  # fmt: skip


@pytest.mark.parametrize("long", ["udh8", "udh16", "sar", "payload"])
@pytest.mark.parametrize(
    ("alphabet", "shift"),
    [("latin1", "none"), ("ascii", "none")]
    + [(one, other) for one in ("gsm0338", "packed") for other in ("none", "spanish", "portuguese", "turkish")],
)
def test_the_phone_reads_every_text_letter_by_letter(alphabet: str, shift: str, long: str, driver: Make) -> None:
    tlvs = "0x1400=s:1101234567890,0x1401=s:1107160000000000001"
    with FakeSMSC(receipts=False) as smsc:
        opened = driver(
            smsc.port, window=7, default_alphabet=alphabet, long=long, shift=shift, validity="24h absolute", tlvs=tlvs
        )
        events = send(opened, [message(number, text) for number, text in enumerate(TEXTS)])
        assert {type(event) for event in events} == {Accepted}
        for number, text in enumerate(TEXTS):
            parts = [taken for taken in smsc.received if taken.destination == message(number).destination]
            assert handset.read([as_message(part) for part in parts], alphabet) == text
        assert {taken.tlvs[0x1400] for taken in smsc.received} == {b"1101234567890"}
        assert {taken.tlvs[0x1401] for taken in smsc.received} == {b"1107160000000000001"}


def as_message(taken: Submitted) -> pdu.Message:
    fields = (taken.esm_class, taken.registered_delivery, taken.data_coding, taken.short_message, taken.tlvs)
    return pdu.Message(0, 0, b"", 0, 0, b"", *fields)


def test_an_smsc_that_refuses_the_validity_gets_the_messages_without_it(driver: Make) -> None:
    with FakeSMSC(receipts=False, errors={"34": 0x62}) as smsc:
        opened = driver(smsc.port, validity="24h")
        assert [type(event) for event in send(opened, [message(1)])] == [Warned, Noted, Deferred]
        assert smsc.submits == 2
        smsc.errors.clear()
        assert [type(event) for event in send(opened, [message(1)])] == [Accepted]


@pytest.mark.parametrize("ids", ["decimal", "hex"])
def test_receipts_match_and_are_acknowledged_only_when_told(ids: str, driver: Make) -> None:
    with FakeSMSC(receipt_stat={"34698": "UNDELIV"}, ids=ids) as smsc:
        opened = driver(smsc.port, receipts=True)
        messages = [message(1), message(2, destination="34698000001")]
        opened.submit(messages)
        events = until(opened, lambda events: len(events) == 4)
        receipts = {event.number: event for event in events if isinstance(event, Receipt)}
        accepted = {event.message_id: event.remote_ids[0] for event in events if isinstance(event, Accepted)}
        assert receipts["34600000001"].delivered is True
        assert receipts["34698000001"].delivered is False
        for sent in messages:
            key = remote_id_keys(accepted[sent.message_id])[0]
            assert key in remote_id_keys(receipts[sent.destination].remote_id)
        smsc.enquire()
        until(opened, lambda _: smsc.enquire_links_answered == 1)
        assert smsc.acknowledged == 0
        opened.acknowledge([receipts["34698000001"].token])
        until(opened, lambda _: smsc.acknowledged == 1)
        opened.acknowledge([receipts["34600000001"].token])
        until(opened, lambda _: smsc.acknowledged == 2)


def test_an_sms_from_outside_comes_in_and_is_acknowledged(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port)
        parts = smsc.deliver("34600000001", "2345", "¿qué? 😀 " * 20)
        events = until(opened, lambda events: len(events) == parts)
        received = [event for event in events if isinstance(event, Received)]
        assert "".join(event.text for event in sorted(received, key=lambda event: event.part)) == "¿qué? 😀 " * 20
        assert {(event.source, event.destination, event.parts) for event in received} == {
            ("+34600000001", "2345", parts)
        }
        opened.acknowledge([event.token for event in received])
        until(opened, lambda _: smsc.acknowledged == parts)


def test_a_wrong_password_says_why_and_is_not_tried_for_ever(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "right"}) as smsc:
        opened = driver(smsc.port, up=False, password="wrong")
        assert (opened.link, opened.room()) == (Link.STARTING, 0)
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)."
        events = until(opened, lambda _: opened.link is Link.STOPPED)
        reason = "the password is wrong (RINVPASWD, 0x0E)"
        assert events[-1] == Stopped(f"the SMSC refuses the login: {reason}")
        assert set(events[:-1]) == {Noted("0x0E", reason)}
        assert opened.poll(0.4) == []
        assert [login.status for login in smsc.logins] == [0x0E] * 3


def test_a_long_password_logs_in(driver: Make) -> None:
    with FakeSMSC(accounts={"user": "0123456789abcdef"}) as smsc:
        driver(smsc.port, password="0123456789abcdef", system_type="VMA", bind="tx")
        assert [(login.kind, login.system_type) for login in smsc.logins] == [("tx", "VMA")]


def test_a_cut_leaves_in_doubt_what_was_written_and_the_link_comes_back(driver: Make) -> None:
    with FakeSMSC(mute=True) as smsc:
        opened = driver(smsc.port, window=5)
        opened.submit([message(number) for number in range(8)])
        until(opened, lambda _: len(smsc.received) == 5)
        smsc.mute = False
        smsc.drop()
        events = until(opened, lambda events: len(events) == 8)
        assert {event.message_id for event in events if isinstance(event, InDoubt)} == set(range(5))
        assert [event.message_id for event in events if isinstance(event, Deferred) and not event.counted] == [5, 6, 7]
        until(opened, lambda _: opened.link is Link.UP)
        assert opened.why == ""
        (event,) = send(opened, [message(9)])
        assert isinstance(event, Accepted)


def test_an_smsc_that_comes_later_is_found(driver: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    opened = driver(port, up=False)
    until(opened, lambda _: opened.link is Link.DOWN)
    assert opened.why == f"The SMSC cannot be reached at 127.0.0.1:{port}: Connection refused."
    with FakeSMSC(port):
        until(opened, lambda _: opened.link is Link.UP)


def test_a_name_that_does_not_exist_is_told(driver: Make) -> None:
    opened = driver(2775, up=False, host="no-such-host.invalid")
    until(opened, lambda _: opened.link is Link.DOWN)
    assert opened.why.startswith("The SMSC cannot be reached at no-such-host.invalid:2775: ")


def test_an_smsc_that_never_answers_the_login_is_left(driver: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = driver(silent.getsockname()[1], up=False)
        session_of(opened)._timers.answer = 0.1
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC did not answer the login in time."


def test_a_server_that_speaks_another_protocol_is_left(driver: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = driver(server.getsockname()[1], up=False)
        opened.poll(0.0)
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            until(opened, lambda _: opened.link is Link.DOWN)
        assert "no SMPP" in opened.why


@contextmanager
def two_on_their_way(driver: Make, **options: object) -> Iterator[tuple[SmppDriver, socket.socket, int]]:
    """A driver, the SMSC that has two messages of it, and the sequence number of the first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = driver(server.getsockname()[1], up=False, **options)
        opened.poll(0.0)
        peer, _ = server.accept()
        with peer:
            opened.poll(0.1)
            peer.sendall(pdu.answer(pdu.BINDS["trx"], 0, 1, b""))
            until(opened, lambda _: opened.link is Link.UP)
            peer.recv(4096)
            opened.submit([message(1), message(2)])
            opened.poll(0.0)
            (first, _) = pdu.Frames().feed(peer.recv(4096))
            yield opened, peer, first[2]


def test_what_was_answered_while_the_caller_was_away_is_not_in_doubt(
    driver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ixxsms.drivers.smpp.STALL_SECONDS", 0.1)
    with two_on_their_way(driver, response_timeout=0.3) as (opened, peer, first):
        peer.sendall(pdu.answer(pdu.SUBMIT_SM, 0, first, b"77"))
        time.sleep(0.5)  # the database is slow: both answers are overdue, and one of them lies in the socket
        events = until(opened, lambda events: len(events) == 2)
        assert events == [Accepted(1, ("77",)), InDoubt(2, "The SMSC did not answer within 0.3 seconds.")]


def test_what_was_answered_before_a_link_broke_under_the_next_message_is_not_in_doubt(driver: Make) -> None:
    with two_on_their_way(driver) as (opened, peer, first):
        sms = deliver_sm(7, b"\1\x0134600000009\0", b"\0\x012345\0", 0, 0, b"hola")
        peer.sendall(sms + pdu.answer(pdu.SUBMIT_SM, 0, first, b"77"))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that it is reset
        peer.close()
        opened.submit([message(3)])
        events = until(opened, lambda events: len(events) == 3)
        why = "The link to the SMSC broke: Connection reset by peer."
        assert events == [Accepted(1, ("77",)), InDoubt(2, why), Deferred(3, why, elsewhere=True, counted=False)]


def test_throttling_slows_down_and_loses_nothing(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ixxsms.smpp.throttle.PAUSE_FIRST", 0.02)
    monkeypatch.setattr("ixxsms.smpp.throttle.SLOWEST", 1000.0)
    with FakeSMSC(throttle_every=10, receipts=False) as smsc:
        opened = driver(smsc.port, window=10)
        events = send(opened, [message(number) for number in range(100)])
        accepted = [event.message_id for event in events if isinstance(event, Accepted)]
        assert Counter(accepted) == Counter(range(100))
        throttled = [event.code for event in events if isinstance(event, Noted)]
        assert throttled == ["0x58"] * smsc.refused
        assert smsc.refused >= 10
        assert len(smsc.received) == 100


def test_numbers_are_refused_by_their_prefix(driver: Make) -> None:
    with FakeSMSC(errors={"34699": 0x0B, "34697": 0x45}) as smsc:
        opened = driver(smsc.port)
        events = send(
            opened, [message(1, destination="34699000001"), message(2, destination="34697000001"), message(3)]
        )
        assert Refused(1, "the number is invalid (RINVDSTADR, 0x0B)", "0x0B") in events
        assert Deferred(2, "the submission failed (RSUBMITFAIL, 0x45)", "0x45", elsewhere=True) in events
        assert [event.message_id for event in events if isinstance(event, Accepted)] == [3]


def test_an_account_without_credit_stops_the_trunk(driver: Make) -> None:
    with FakeSMSC(errors={"34": 0xB3}) as smsc:
        opened = driver(smsc.port)
        events = send(opened, [message(number) for number in range(3)])
        assert [type(event) for event in events].count(Stopped) == 1
        assert all(event.elsewhere and not event.counted for event in events if isinstance(event, Deferred))
        until(opened, lambda _: smsc.unbinds == 1)
        assert (opened.link, opened.room()) == (Link.STOPPED, 0)
        assert opened.why == "the SMSC refuses every message: there is no credit (0xB3)"
        opened.poll(0.3)
        assert len(smsc.logins) == 1


def test_an_answer_that_does_not_come_leaves_the_message_in_doubt(driver: Make) -> None:
    with FakeSMSC(mute=True) as smsc:
        opened = driver(smsc.port, response_timeout=0.1)
        (event,) = send(opened, [message(1)])
        assert event == InDoubt(1, "The SMSC did not answer within 0.1 seconds.")
        assert opened.link is Link.UP


def test_both_sides_ask_whether_the_link_lives(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port)
        smsc.enquire()
        until(opened, lambda _: smsc.enquire_links_answered == 1)
        timers = session_of(opened)._timers
        timers.idle, timers.answer = 0.05, 0.1
        timers.heard(time.monotonic())
        until(opened, lambda _: smsc.enquire_links >= 2)
        assert opened.link is Link.UP
        smsc.dead = True
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC does not answer any more: its enquire_link is overdue."


def test_an_unbind_from_the_smsc_is_answered_and_the_link_comes_back(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port)
        smsc.unbind()
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC ended the session (unbind)."
        until(opened, lambda _: opened.link is Link.UP)
        assert len(smsc.logins) == 2


def test_closing_unbinds_and_settles_everything(driver: Make) -> None:
    with FakeSMSC(latency=0.05) as smsc:
        opened = driver(smsc.port, window=2)
        opened.submit([message(1), message(2), message(3)])
        opened.poll(0.0)
        events = opened.close()
        assert {event.message_id for event in events if isinstance(event, Accepted)} == {1, 2}
        assert Deferred(3, "The trunk was closed.", elsewhere=True, counted=False) in events
        assert smsc.unbinds == 1


def test_an_sms_that_comes_while_the_link_ends_is_left_to_come_again_once(driver: Make) -> None:
    with FakeSMSC(latency=0.3) as smsc:
        opened = driver(smsc.port, receipts=True)
        opened.submit([message(1)])
        opened.poll(0.0)
        smsc.deliver("34600000001", "2345", "hola")
        select.select([opened._links[0]._socket], [], [], 10)
        assert [type(event) for event in opened.close()] == [Accepted, Receipt]
        again = until(driver(smsc.port, up=False), lambda events: len(events) == 2)  # the receipt too
        assert [event.text for event in again if isinstance(event, Received)] == ["hola"]


def test_closing_does_not_wait_longer_than_a_second(driver: Make) -> None:
    with FakeSMSC(mute=True) as smsc:
        opened = driver(smsc.port)
        opened.submit([message(1)])
        until(opened, lambda _: len(smsc.received) == 1)
        smsc.dead = True
        started = time.monotonic()
        assert opened.close() == [InDoubt(1, "The trunk was closed.")]
        assert time.monotonic() - started < 1.5


def test_closing_what_never_connected_is_quick(driver: Make) -> None:
    opened = driver(9, up=False)
    opened.submit([message(1)])
    started = time.monotonic()
    (event,) = opened.close()
    assert isinstance(event, Deferred)
    assert time.monotonic() - started < 0.5


def test_a_poll_returns_as_soon_as_there_is_something(driver: Make) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port)
        opened.submit([message(1)])
        started = time.monotonic()
        assert isinstance(opened.poll(10.0)[0], Accepted)
        assert time.monotonic() - started < 2
        started = time.monotonic()
        assert opened.poll(0.1) == []
        assert time.monotonic() - started >= 0.09


def test_a_peer_that_asks_and_never_listens_does_not_fill_the_memory(driver: Make) -> None:
    flood = pdu.request(pdu.ENQUIRE_LINK, 1) * 65536
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = driver(server.getsockname()[1], up=False)
        opened.poll(0.0)
        peer, _ = server.accept()
        with peer:
            opened.poll(0.1)
            peer.sendall(pdu.answer(pdu.BINDS["trx"], 0, 1, b""))
            until(opened, lambda _: opened.link is Link.UP)
            peer.setblocking(False)
            for _ in range(2000):
                try:
                    peer.send(flood)
                except BlockingIOError:
                    if len(session_of(opened).out) >= UNWRITTEN_OCTETS:
                        break
                opened.poll(0.0)
            assert UNWRITTEN_OCTETS <= len(session_of(opened).out) <= UNWRITTEN_OCTETS + READ_OCTETS


def test_ipv6_and_every_address_of_a_name_are_tried(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSMSC(host="::1") as smsc:
        driver(smsc.port, host="::1")
        # the name resolves to two addresses, and at the first nobody listens
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", smsc.port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", smsc.port, 0, 0)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(addresses))
        driver(smsc.port, host="smsc.example")
        assert len(smsc.logins) == 2
