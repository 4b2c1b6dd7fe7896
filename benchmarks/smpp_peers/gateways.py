"""Kannel and Jasmin, each between a sender of ours and a sink: what they pass on a second, and what it costs.

A gateway is measured from the first message that it is offered to the last one that the sink has. What offers them is
part of the benchmark's own process and keeps the gateway busy: HTTP connections that stay open for Kannel, which has no
SMPP server, and a link of our own driver, whose window is always full, for Jasmin. Kannel's window to the sink is as
wide as ours; Jasmin's has one message at a time and no setting. Neither is asked for receipts, and their logs are not
those of the tests: Kannel writes warnings, Jasmin what it writes by default. RabbitMQ is that of the tests, whose
schedulers do not spin while they wait: with its own default Jasmin was up to a quarter faster, for more CPU.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "peers"))

import jasmins
import kannels
import processes
import pytest
import servers

from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.events import Accepted, Submission

CONNECTIONS = 32  #: more are no faster, and Kannel keeps ten at most waiting to be accepted
FEWEST = 100  #: messages of a measurement
PATIENCE = 60.0  #: seconds without a step forward
TAKEN = b"0: Accepted for delivery"

Offer = Callable[[int], None]


class Missing(Exception):
    """A gateway is not installed; says how it would be."""


class Sink:
    """How many messages a sink has taken: each gets the next number for its id, a question of ours too."""

    def __init__(self, port: int) -> None:
        self._link = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._asked = 0
        self.close = self._link.close

    def taken(self) -> int:
        self._asked += 1
        self._link.sendall(struct.pack(">4I", 16, 4, 0, self._asked))
        answer = b""
        while len(answer) < 25:  # the header, eight digits and a zero
            answer += self._link.recv(25 - len(answer))
        return int(answer[16:24], 16) - self._asked


@dataclass
class Gateway:
    """`opened()` gives, for one measurement, what returns when the gateway has taken so many messages.

    `roots` are the processes that were started for it.
    """

    sink: Sink
    roots: set[int]
    opened: Callable[[], AbstractContextManager[Offer]]
    per_second: float = 0.0  #: of the measurement before, by which the next one is made so long

    def measure(self, seconds: float) -> dict[str, float]:
        """As many messages as take about so long, but 100 at least; CPU and memory are those of all its processes."""
        count = max(FEWEST, int(seconds * self.per_second))
        with self.opened() as offer:
            wanted = self.sink.taken() + count
            cpu, begun = processes.cpu_seconds(self.roots), time.monotonic()
            offer(count)
            offered = time.monotonic()
            while self.sink.taken() < wanted:
                assert time.monotonic() < offered + PATIENCE, f"{wanted - self.sink.taken()} of {count} never arrived"
                time.sleep(0.005)
            taken, used = time.monotonic() - begun, processes.cpu_seconds(self.roots) - cpu
        self.per_second = count / taken
        return {
            "per_second": self.per_second,
            "cpu_us": 1e6 * used / count,
            "memory_mb": processes.peak_mb(self.roots),
        }


def start(stack: ExitStack, name: str, sink_port: int, window: int, text: str) -> Gateway:
    """The gateway of that name, warm. Raises Missing."""
    with ExitStack() as own:
        sink = own.enter_context(closing(Sink(sink_port)))
        before = processes.children()
        try:
            opened = own.enter_context(GATEWAYS[name](sink_port, window, text))
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:  # which of them, says whether CI is set
            raise Missing(str(missing)) from None
        gateway = Gateway(sink, processes.children() - before, opened)
        for _ in range(2):
            gateway.measure(0.3)
        stack.push(own.pop_all())
    return gateway


@contextmanager
def kannel(sink_port: int, window: int, text: str) -> Iterator[Callable[[], AbstractContextManager[Offer]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nowhere = "http://127.0.0.1:9/"
        running = stack.enter_context(kannels.kannel(folder, sink_port, nowhere, window=window, log_level=2))
        yield lambda: _requests(running.url, text)


@contextmanager
def _requests(url: str, text: str) -> Iterator[Offer]:
    """Over connections that stay open, each with one request at a time: Kannel does not read ahead."""
    where = urlsplit(url)
    user, password = kannels.ACCOUNT
    path = f"{where.path}?{urlencode({'username': user, 'password': password, 'from': 'acme', 'text': text})}&to="

    def offer(count: int) -> None:
        waiting = iter(range(count))
        answered = 0
        for key in list(selector.get_map().values()):
            ask(key.fileobj, waiting)
        while answered < count:
            ready = selector.select(PATIENCE)
            assert ready, f"Kannel answered {answered} of {count} requests and no more"
            for key, _ in ready:
                key.data.extend(key.fileobj.recv(4096))
                if key.data.endswith(TAKEN):
                    answered += 1
                    key.data.clear()
                    ask(key.fileobj, waiting)
                else:
                    assert key.data and key.data.startswith(b"HTTP/1.1 202"[: len(key.data)]), bytes(key.data)

    def ask(connection: Any, waiting: Iterator[int]) -> None:
        number = next(waiting, None)
        if number is not None:
            connection.send(f"GET {path}34{600000000 + number} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())

    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection((where.hostname, where.port), PATIENCE))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, bytearray())
        yield offer


@contextmanager
def jasmin(sink_port: int, window: int, text: str) -> Iterator[Callable[[], AbstractContextManager[Offer]]]:
    jasmins.need_jasmin()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        brokers = stack.enter_context(servers.rabbitmq()), stack.enter_context(servers.redis())
        running = stack.enter_context(jasmins.running(folder, *brokers, log_level="INFO"))
        jasmins.provision(running, sink_port)
        user, password = jasmins.ACCOUNT
        options = {"host": "127.0.0.1", "port": running.port, "user": user, "window": window}
        config = TrunkConfig("bench", "smpp", options, password=password, receipts=False)
        yield lambda: _link(config, text)


@contextmanager
def _link(config: TrunkConfig, text: str) -> Iterator[Offer]:
    """A link of its own for each measurement: between two of them nobody would answer the other side's questions."""
    with closing(SmppDriver(config)) as driver:
        deadline = time.monotonic() + PATIENCE
        while driver.link is not Link.UP:
            assert time.monotonic() < deadline, driver.why
            driver.poll(0.1)
        yield lambda count: _submit(driver, count, text)


def _submit(driver: SmppDriver, count: int, text: str) -> None:
    """So many messages over one link, whose window is always full."""
    sent = answered = 0
    heard = time.monotonic()
    while answered < count:
        room = min(driver.room(), count - sent)
        driver.submit([Submission(n, f"34{600000000 + n}", text, "acme") for n in range(sent, sent + room)])
        sent += room
        events = driver.poll(1.0)
        assert all(type(event) is Accepted for event in events), events
        answered += len(events)
        heard = time.monotonic() if events else heard
        assert time.monotonic() < heard + PATIENCE, f"Jasmin answered {answered} of {count} messages and no more"


GATEWAYS = {"Kannel": kannel, "Jasmin": jasmin}
