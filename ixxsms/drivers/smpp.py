"""The SMPP trunk: a non-blocking socket around a session without IO, and a link that comes back by itself.

Knows sockets and the clock, nothing of PDUs. Must never hold the caller longer than `poll` was given; only the
resolution of the SMSC's name may, and it happens once for each try.
"""

from __future__ import annotations

import errno
import os
import random
import selectors
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ixxsms.drivers.base import Bell, Link, TrunkConfig
from ixxsms.events import Event, Submission
from ixxsms.smpp import coding, pdu
from ixxsms.smpp.address import Plan
from ixxsms.smpp.options import OPTIONS, check_options
from ixxsms.smpp.presets import fields as preset
from ixxsms.smpp.session import Session, Settings, State
from ixxsms.smpp.status import parse_overrides

__all__ = ["OPTIONS", "SmppDriver", "check_options", "open_driver", "preset"]

CONNECT_SECONDS = 10.0  #: for each address of the SMSC
CLOSE_SECONDS = 1.0
READ_OCTETS = 64 * 1024
PIECE = 128  #: messages that are made before what there is gets written
#: While so much waits to be written nothing is read: a peer that asks and never listens must not fill our memory.
UNWRITTEN_OCTETS = 1024 * 1024


class SmppDriver:
    """The driver of an SMPP trunk. The password comes from the TrunkConfig alone."""

    def __init__(
        self,
        config: TrunkConfig,
        *,
        reconnect: tuple[float, float] = (1.0, 60.0),
        login_retry: tuple[float, float] = (30.0, 60.0),
    ) -> None:
        options = check_options(config.options)
        self._host, self._port = options["host"], options["port"]
        plan = Plan(*(options[name] for name in ("source_ton", "source_npi", "dest_ton", "dest_npi")))
        self._session = Session(
            Settings(
                user=options["user"],
                password=config.password,
                system_type=options["system_type"],
                bind=options["bind"],
                window=options["window"],
                response_timeout=config.response_timeout,
                coding=coding.of_options(options, config.receipts),
                enquire_link=options["enquire_link"],
                plan=plan,
                errors=parse_overrides(options["errors"]),
                reconnect=reconnect,
                login_retry=login_retry,
            )
        )
        pdu.check_field("password", config.password)
        self.link, self.why = Link.STARTING, "The trunk is being connected."
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._selector.register(self._bell.socket, selectors.EVENT_READ)
        self._rung = False
        self._socket: socket.socket | None = None
        self._connecting = False
        self._connect_by = float("inf")
        self._addresses: list[Any] = []
        self._try_at = 0.0
        self._tried = False
        self._watched = 0
        self._events: list[Event] = []

    def room(self) -> int:
        return self._session.room()

    def in_flight(self) -> int:
        return self._session.in_flight()

    def submit(self, batch: Sequence[Submission]) -> None:
        now = time.monotonic()
        for at in range(0, len(batch), PIECE):
            if at:
                self._flush(now)
            self._session.submit(batch[at : at + PIECE], now, time.time())

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        self._session.acknowledge(tokens)

    def poll(self, timeout: float) -> list[Event]:
        """Connect, write and read; returns as soon as there is an event or the link changed, else after `timeout`."""
        now = time.monotonic()
        until, link, self._rung = now + timeout, self.link, False
        self._advance(now)
        while True:
            news = bool(self._events) or self.link is not link
            wait = 0.0 if news else max(0.0, min(until, self._next_deadline()) - now)
            now = self._wait(wait)
            self._advance(now)
            if self._events or self.link is not link or self._rung or now >= until:
                events, self._events = self._events, []
                return events

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> list[Event]:
        """Unbind politely, a second at most."""
        now = time.monotonic()
        until = now + CLOSE_SECONDS
        self._session.leave("The trunk was closed.", now, CLOSE_SECONDS * 0.7)
        while self._session.state is not State.CLOSED and not self._connecting and now < until:
            # Not `poll`: a link that falls while it is closed must not be made again.
            self._advance(now, reconnect=False)
            if self._socket is None:
                break
            now = self._wait(max(0.0, min(until, self._next_deadline()) - now))
        self._lost("The trunk was closed.", now)
        self._selector.close()
        self._bell.close()
        events, self._events = self._events, []
        return events

    # The link

    def _wait(self, seconds: float) -> float:
        """Wait for the link or the bell, and hear what came; the time is then the one returned."""
        ready = self._selector.select(seconds)
        now = time.monotonic()
        for key, mask in ready:
            if key.fileobj is self._bell.socket:
                self._bell.silence()
                self._rung = True
            else:
                self._ready(mask, now)
        return now

    def _advance(self, now: float, reconnect: bool = True) -> None:
        """Everything that needs no waiting: time, writing, connecting, and what the link is now."""
        self._events += self._session.tick(now)
        if self._socket is None:
            if reconnect and now >= self._try_at and not self._session.stopped:
                self._connect(now)
        elif self._connecting:
            if now >= self._connect_by:
                self._unreachable("it does not answer", now)
        else:
            self._write(now)
            if self._session.over:
                self._lost(self._session.over, now)
        self._look()

    def _look(self) -> None:
        session = self._session
        if session.stopped:
            self.link, self.why = Link.STOPPED, session.stopped
        elif session.state is State.BOUND:
            self.link, self.why = Link.UP, ""
        elif self._tried:
            self.link, self.why = Link.DOWN, session.why or "The trunk is being connected again."

    def _next_deadline(self) -> float:
        if self._socket is None:
            return float("inf") if self._session.stopped else self._try_at
        return self._connect_by if self._connecting else self._session.next_deadline()

    def _connect(self, now: float) -> None:
        """Begin with the next address of the SMSC; the names are looked up anew when all were tried."""
        try:
            if not self._addresses:
                self._addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = self._addresses.pop(0)
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = self._socket.connect_ex(address)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except (OSError, UnicodeError) as error:
            self._unreachable(_words_of(error), now)
            return
        self._connecting, self._connect_by = True, now + CONNECT_SECONDS
        self._watch(selectors.EVENT_WRITE)

    def _unreachable(self, reason: str, now: float) -> None:
        self._drop_socket()
        if self._addresses:
            self._connect(now)
        else:
            self._lost(f"The SMSC cannot be reached at {self._host}:{self._port}: {reason}.", now)

    def _ready(self, mask: int, now: float) -> None:
        assert self._socket is not None
        if self._connecting:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._unreachable(os.strerror(error), now)
                return
            self._connecting, self._connect_by, self._addresses = False, float("inf"), []
            self._session.connected(now)
        elif mask & selectors.EVENT_READ:
            try:
                data = self._socket.recv(READ_OCTETS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lost(f"The link to the SMSC broke: {_words_of(error)}.", now)
                return
            if data:
                self._events += self._session.receive(data, now)
            else:
                self._lost("The SMSC closed the link.", now)

    def _flush(self, now: float) -> None:
        """Write what there is before more is made: the answers then come one after the other and not in one burst."""
        if self._socket is not None and not self._connecting:
            self._write(now)

    def _write(self, now: float) -> None:
        out = self._session.out
        if out:
            assert self._socket is not None
            try:
                self._session.sent(self._socket.send(out))
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._lost(f"The link to the SMSC broke: {_words_of(error)}.", now)
                return
        read = selectors.EVENT_READ if len(out) < UNWRITTEN_OCTETS else 0
        self._watch(read | (selectors.EVENT_WRITE if out else 0))

    def _watch(self, mask: int) -> None:
        if mask == self._watched:
            return
        assert self._socket is not None
        if self._watched:
            self._selector.modify(self._socket, mask)
        else:
            self._selector.register(self._socket, mask)
        self._watched = mask

    def _lost(self, why: str, now: float) -> None:
        self._drop_socket()
        self._events += self._session.lost(why, now)
        # Jitter, so that the trunks of many daemons do not come back in the same moment.
        self._try_at = now + self._session.retry_in * random.uniform(0.8, 1.2)  # noqa: S311
        self._tried = True
        self._look()

    def _drop_socket(self) -> None:
        if self._socket is not None:
            if self._watched:
                self._selector.unregister(self._socket)
            self._socket.close()
        self._socket, self._connecting, self._watched, self._connect_by = None, False, 0, float("inf")


open_driver = SmppDriver


def _words_of(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)
