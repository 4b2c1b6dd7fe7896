"""The SMPP driver against an SMSC with every fault: each message is settled exactly once, and none is sent twice."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Receipt, Refused, Submission
from ixxsms.testing import FakeSMSC

Outcomes = dict[type[Event], int]


def settle(smsc: FakeSMSC, count: int, receipts: int = 0, window: int = 20, **fields: Any) -> list[Event]:
    """Send so many as the sender does, deferred ones again; all that was heard, once so many receipts came."""
    options = {"host": smsc.host, "port": smsc.port, "user": "user", "window": window}
    config = TrunkConfig("t", "smpp", options, password="secret", **fields)
    waiting = [Submission(number, f"3460{number:07d}", f"text {number}", "acme") for number in range(count)]
    by_id = {submission.message_id: submission for submission in waiting}
    driver, events, owed, heard = SmppDriver(config, reconnect=(0.02, 0.05)), [], count, 0
    deadline = time.monotonic() + 90
    try:
        while owed or heard < receipts:
            assert time.monotonic() < deadline, f"{owed} owed, {heard} receipts, {driver.link} {driver.why}"
            room = driver.room()
            driver.submit(waiting[:room])
            del waiting[: max(room, 0)]
            for event in driver.poll(0.2):
                if isinstance(event, Deferred):
                    waiting.append(by_id[event.message_id])
                    continue
                owed -= isinstance(event, Accepted | Refused | InDoubt)
                if isinstance(event, Receipt):
                    heard += 1
                    driver.acknowledge([event.token])
                events.append(event)
    finally:
        driver.close()
    return events


def outcomes(events: list[Event], count: int) -> Counter[str]:
    """How many messages came out how; each has exactly one outcome."""
    found = [event for event in events if isinstance(event, Accepted | Refused | InDoubt)]
    assert sorted(event.message_id for event in found) == list(range(count))
    return Counter(type(event).__name__ for event in found)


def sent_once(smsc: FakeSMSC) -> None:
    assert max(Counter(taken.destination for taken in smsc.received).values()) == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"fragment": 1, "receipts": False},
        {"fragment": 7},
        {"glue": 0.05},
        {"shuffle": True},
        {"latency": 0.01, "jitter": 0.05},
        {"receipt_first": True},
        {"receipt_twice": True},
        {"receipt_format": "data_sm", "receipt_delay": 0.05},
        {"latency": 0.02, "glue": 0.03, "fragment": 50, "shuffle": True, "receipt_first": True, "jitter": 0.02},
    ],
    ids=str,
)
def test_a_stream_in_any_shape_and_order_is_understood(faults: dict[str, Any]) -> None:
    with FakeSMSC(**faults) as smsc:
        receipts = 0 if faults.get("receipts") is False else 60 * (1 + faults.get("receipt_twice", 0))
        events = settle(smsc, 60, receipts)
        assert outcomes(events, 60) == {"Accepted": 60}
        sent_once(smsc)
        ids = {event.message_id: event.remote_ids for event in events if isinstance(event, Accepted)}
        assert ids == {int(taken.destination) % 10**7: (taken.message_id,) for taken in smsc.received}


def test_an_answer_that_is_missing_leaves_its_message_in_doubt_and_the_receipt_comes() -> None:
    with FakeSMSC(missing_every=20) as smsc:
        events = settle(smsc, 60, receipts=60, response_timeout=1.0)
        found = outcomes(events, 60)
        assert found["InDoubt"] >= 3
        assert found["Accepted"] + found["InDoubt"] == 60
        sent_once(smsc)


@pytest.mark.parametrize("unanswered", [False, True])
def test_links_that_are_cut_lose_nothing_and_send_nothing_twice(unanswered: bool) -> None:
    with FakeSMSC(cut_after=25, cut_unanswered=unanswered) as smsc:
        events = settle(smsc, 200)
        found = outcomes(events, 200)
        assert found["Accepted"] + found["InDoubt"] == 200
        assert found["Accepted"] > 0
        sent_once(smsc)
        known = {int(taken.destination) % 10**7 for taken in smsc.received}
        accepted = {event.message_id for event in events if isinstance(event, Accepted)}
        doubtful = {event.message_id for event in events if isinstance(event, InDoubt)}
        assert accepted <= known <= accepted | doubtful


def test_a_big_batch_that_a_cut_meets_is_settled_once() -> None:
    with FakeSMSC(cut_after=10) as smsc:
        found = outcomes(settle(smsc, 900, window=600), 900)
        assert found["Accepted"] + found["InDoubt"] == 900
        sent_once(smsc)


def test_a_slow_reader_gets_everything() -> None:
    with FakeSMSC(read_rate=40_000, receipts=False) as smsc:
        assert outcomes(settle(smsc, 300, window=300), 300) == {"Accepted": 300}
