"""SMPP trunks in the hands of a test: drivers on loopback ports, polled as the sender does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Receipt, Received, Refused, Submission
from ixxsms.smpp.session import Session

Make = Callable[..., SmppDriver]


@contextmanager
def drivers() -> Iterator[Make]:
    """Makes drivers for a port, all other keywords are options, and closes them."""
    made: list[SmppDriver] = []

    def make(
        port: int,
        *,
        up: bool = True,
        receipts: bool = False,
        response_timeout: float = 30.0,
        password: str = "secret",
        reconnect: tuple[float, float] = (0.05, 0.2),
        login_retry: tuple[float, float] = (0.05, 0.1),
        **options: Any,
    ) -> SmppDriver:
        options = {"host": "127.0.0.1", "port": port, "user": "user", **options}
        config = TrunkConfig(
            "t", "smpp", options, password=password, receipts=receipts, response_timeout=response_timeout
        )
        opened = SmppDriver(config, reconnect=reconnect, login_retry=login_retry)
        made.append(opened)
        if up:
            until(opened, lambda events: opened.link is Link.UP)
        return opened

    try:
        yield make
    finally:
        for opened in made:
            opened.close()


def until(driver: SmppDriver, done: Callable[[list[Event]], bool], timeout: float = 20.0) -> list[Event]:
    """Poll until it is so."""
    events: list[Event] = []
    deadline = time.monotonic() + timeout
    while not done(events):
        assert time.monotonic() < deadline, f"it did not happen: {driver.link} {driver.why} {events[-3:]}"
        events += driver.poll(0.2)
    return events


def session_of(driver: SmppDriver, bind: int = 0) -> Session:
    return driver._links[bind].session


def message(number: int, text: str = "hello", **fields: Any) -> Submission:
    return Submission(
        number, fields.pop("destination", f"3460{number:07d}"), text, fields.pop("sender", "acme"), **fields
    )


def send(driver: SmppDriver, messages: list[Submission]) -> list[Event]:
    """As the sender does it: what there is room for, until every outcome is there; receipts are acknowledged."""
    waiting, events, owed = list(messages), [], len(messages)
    deadline = time.monotonic() + 60
    while owed and time.monotonic() < deadline:
        room = driver.room()
        if room and waiting:
            driver.submit(waiting[:room])
            del waiting[:room]
        new = driver.poll(1.0)
        owed -= sum(1 for event in new if isinstance(event, Accepted | Refused | Deferred | InDoubt))
        driver.acknowledge([event.token for event in new if isinstance(event, Receipt | Received)])
        events += new
    return events
