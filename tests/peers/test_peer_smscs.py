"""The SMPP driver against SMSCs that were written by others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import peers
import pytest

from ixxsms import text
from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.events import Accepted, Event, Receipt, Stopped, Submission
from ixxsms.smpp.receipt import remote_id_keys

SMSCS = {"node": peers.node_smsc, "perl": peers.perl_smsc}
ACCOUNT = ("user", "a-long-password")


@pytest.fixture(params=sorted(SMSCS))
def smsc(request: pytest.FixtureRequest) -> Iterator[peers.Peer]:
    with SMSCS[request.param](ACCOUNT) as peer:
        yield peer


def open_driver(smsc: peers.Peer, password: str = ACCOUNT[1], window: int = 10) -> SmppDriver:
    options = {"host": "127.0.0.1", "port": smsc.port, "user": ACCOUNT[0], "window": window}
    config = TrunkConfig("peer", "smpp", options, password=password)
    return SmppDriver(config, login_retry=(0.02, 0.05))


def until(driver: SmppDriver, done: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + 20
    while not done(events):
        assert time.monotonic() < deadline, f"it did not happen: {driver.link} {driver.why} {events}"
        events += driver.poll(0.2)
    return events


@pytest.fixture
def driver(smsc: peers.Peer) -> Iterator[SmppDriver]:
    opened = open_driver(smsc)
    until(opened, lambda _: opened.link is Link.UP)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("body", "sender", "coding", "segments", "source"),
    [
        ("Hello {world} [€5]", "acme", 0, 1, ("acme", 5, 0)),
        ("¿Qué tal, ñandú? 😀 привет", "34600000009", 8, 1, ("34600000009", 1, 1)),
        ("The quick brown fox jumps over the lazy dog. " * 9, "2345", 0, 3, ("2345", 3, 0)),
        ("ñandú 😀 привет " * 12, "Acme Shop", 8, 3, ("Acme Shop", 5, 0)),
    ],
)
def test_a_text_arrives_and_its_receipts_find_it(
    body: str,
    sender: str,
    coding: int,
    segments: int,
    source: tuple[str, int, int],
    smsc: peers.Peer,
    driver: SmppDriver,
) -> None:
    driver.submit([Submission(7, "34600000001", body, sender, segments=segments)])
    events = until(driver, lambda events: len(events) == 1 + segments)
    taken = smsc.wait_for(segments)
    assert {(m["source_addr"], m["source_ton"], m["source_npi"]) for m in taken} == {source}
    assert {(m["destination"], m["dest_ton"], m["dest_npi"]) for m in taken} == {("34600000001", 1, 1)}
    assert {(m["data_coding"], m["registered_delivery"]) for m in taken} == {(coding, 1)}
    assert [m["esm_class"] for m in taken] == [0x40 if segments > 1 else 0] * segments
    octets = [bytes.fromhex(m["short_message"]) for m in taken]
    whole = b"".join(text.split_udh(part)[1] if segments > 1 else part for part in octets)
    assert (text.decode_ucs2(whole) if coding else text.decode_gsm(whole)) == body
    if "text" in taken[0] and segments == 1:  # the peer's own decoder read it too
        assert taken[0]["text"] == body

    (accepted,) = [event for event in events if isinstance(event, Accepted)]
    assert accepted.remote_ids == tuple(m["id"] for m in taken)
    receipts = [event for event in events if isinstance(event, Receipt)]
    assert {(receipt.delivered, receipt.stat, receipt.number) for receipt in receipts} == {
        (True, "DELIVRD", "34600000001")
    }
    for remote_id, receipt in zip(accepted.remote_ids, receipts, strict=True):
        assert remote_id_keys(remote_id)[0] in remote_id_keys(receipt.remote_id)
    assert smsc.of("deliver_sm_resp") == []
    driver.acknowledge([receipt.token for receipt in receipts])
    until(driver, lambda _: len(smsc.of("deliver_sm_resp")) == segments)
    assert {(m["id"], m["status"]) for m in smsc.of("deliver_sm_resp")} == {(m["id"], 0) for m in taken}


def test_a_window_full_of_messages_is_accepted_once_each(smsc: peers.Peer, driver: SmppDriver) -> None:
    waiting = [Submission(number, f"3460000{number:04d}", f"number {number}", "acme") for number in range(300)]
    accepted: list[int] = []
    receipts = 0
    while len(accepted) < 300 or receipts < 300:
        room = driver.room()
        driver.submit(waiting[:room])
        del waiting[:room]
        events = until(driver, bool)
        accepted += [event.message_id for event in events if isinstance(event, Accepted)]
        tokens = [event.token for event in events if isinstance(event, Receipt)]
        driver.acknowledge(tokens)
        receipts += len(tokens)
    assert sorted(accepted) == list(range(300))
    until(driver, lambda _: len(smsc.of("deliver_sm_resp")) == 300)
    assert len({message["destination"] for message in smsc.messages()}) == 300


def test_a_wrong_password_is_told_and_not_tried_for_ever(smsc: peers.Peer) -> None:
    opened = open_driver(smsc, password="wrong")
    events = until(opened, lambda _: opened.link is Link.STOPPED)
    assert events[-1] == Stopped("the SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)")
    assert [bind["status"] for bind in smsc.wait_for(3, "bind")] == [0x0E] * 3
    opened.close()


def test_closing_unbinds(smsc: peers.Peer) -> None:
    opened = open_driver(smsc)
    until(opened, lambda _: opened.link is Link.UP)
    started = time.monotonic()
    assert opened.close() == []
    assert time.monotonic() - started < 0.9
    assert len(smsc.wait_for(1, "unbind")) == 1
