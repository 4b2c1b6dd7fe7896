"""One bind of an SMPP trunk: a non-blocking socket around a session without IO, which comes back by itself.

Knows sockets and how long they may take, nothing of PDUs, and nothing of the trunk's other binds. Must never wait;
only the resolution of the SMSC's name may, and it happens once for each try.
"""

from __future__ import annotations

import errno
import os
import random
import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ixxsms.events import Event, Received, Submission
from ixxsms.smpp.session import Session, State

CONNECT_SECONDS = 10.0  #: for each address of the SMSC, and for the TLS handshake
PIECE = 25  #: messages that are made before what there is gets written
READ_OCTETS = 64 * 1024
LAST_READS = 100  #: the most that are made of a link that broke
#: While so much waits to be written nothing is read: a peer that asks and never listens must not fill our memory.
UNWRITTEN_OCTETS = 1024 * 1024
NEVER = float("inf")


@dataclass(frozen=True)
class Place:
    """Where an SMSC listens; `tls_ca` and `tls_verify` as in drivers.tls."""

    host: str
    port: int
    tls: bool = False
    tls_ca: str = ""
    tls_verify: bool = True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Stage(Enum):
    NONE = "there is no socket"
    CONNECTING = "the connection is being made"
    GREETING = "the TLS handshake is under way"
    OPEN = "the session talks"


_OPEN, _NONE = _Stage.OPEN, _Stage.NONE  # looked at often, and slow to look up in their class


class SmppLink:
    """`heard` gets the events. `first`: it may try a login of which nobody knows whether it is right.

    `tried`: whether its first try is over.
    """

    def __init__(
        self, session: Session, place: Place, selector: selectors.BaseSelector, heard: list[Event], first: bool
    ) -> None:
        self.session, self.place, self.first = session, place, first
        self.tried = False
        self._selector, self._heard = selector, heard
        self._stage = _NONE
        self._socket: socket.socket | None = None
        self._addresses: list[Any] = []
        self._blocked: tuple[type[OSError], ...] = (BlockingIOError, InterruptedError)
        self._most = UNWRITTEN_OCTETS  # octets that are written at once
        self._begun = 0  # octets that have to be written again at once: TLS has taken them, the system has not
        self._try_at = 0.0
        self._open_by = NEVER
        self._watched = 0

    def next_deadline(self) -> float:
        """When `advance` has something to do; infinity if never."""
        if self._stage is _OPEN:
            return self.session.next_deadline()
        if self._stage is _NONE:
            return self._try_at if self._may_try() else NEVER
        return self._open_by

    def closing(self) -> bool:
        """Whether the SMSC is still to be told that this link ends."""
        return self._stage is _OPEN and self.session.state is not State.CLOSED

    def advance(self, now: float, connect: bool = True) -> None:
        """Everything that needs no waiting: time, writing, connecting where that is wanted."""
        session = self.session
        self._heard += session.tick(now)
        if self._stage is _OPEN:
            self._write(now)
            if session.over:
                self.lose(session.over, now)
        elif self._stage is _NONE:
            if connect and now >= self._try_at and self._may_try():
                self._connect(now)
        elif now >= self._open_by:
            if self._stage is _Stage.CONNECTING:
                self._unreachable("it does not answer", now)
            else:
                self.lose("The SMSC does not answer the TLS handshake; is it a port without TLS?", now)

    def submit(self, batch: Sequence[Submission], now: float, at: float) -> None:
        """Hand messages to the session; `at`: the Unix time.

        Each piece is written before the next is made: the answers then come one after the other, not in one burst.
        """
        for first in range(0, len(batch), PIECE):
            if first and self._stage is _OPEN:
                self._write(now)
            self.session.submit(batch[first : first + PIECE], now, at)

    def ready(self, mask: int, now: float) -> None:
        """The selector says that there is something to read, or room to write."""
        if self._stage is _OPEN:
            if mask & selectors.EVENT_READ:
                self._read(now)
        elif self._stage is _Stage.GREETING:
            self._greet(now)
        elif self._stage is _Stage.CONNECTING:
            self._connected(now)

    def lose(self, why: str, now: float) -> None:
        """Close the socket, if there is one, and settle what was under way; the next try has to wait."""
        self._drop_socket()
        self._heard += self.session.lost(why, now)
        # Jitter, so that the trunks of many daemons do not come back in the same moment.
        self._try_at = now + self.session.retry_in * random.uniform(0.8, 1.2)  # noqa: S311
        self.tried = True

    # The connection

    def _may_try(self) -> bool:
        session = self.session
        return not session.stopped and (self.first or session.account.proven)

    def _connect(self, now: float) -> None:
        """Begin with the next address of the SMSC; the names are looked up anew when all were tried."""
        place = self.place
        try:
            if not self._addresses:
                self._addresses = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
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
        self._stage, self._open_by = _Stage.CONNECTING, now + CONNECT_SECONDS
        self._watch(selectors.EVENT_WRITE)

    def _unreachable(self, reason: str, now: float) -> None:
        self._drop_socket()
        if self._addresses:
            self._connect(now)
        else:
            self.lose(f"The SMSC cannot be reached at {self.place}: {reason}.", now)

    def _connected(self, now: float) -> None:
        assert self._socket is not None
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._unreachable(os.strerror(number), now)
            return
        self._addresses = []
        if not self.place.tls:
            self._open(now)
            return
        from ixxsms.drivers import tls

        place = self.place
        try:
            self._unwatch()
            self._socket = tls.wrap(self._socket, place.host, place.tls_ca, place.tls_verify)
        except OSError as error:
            self.lose(f"The certificates in {place.tls_ca or 'the store'} cannot be read: {_words_of(error)}.", now)
            return
        self._blocked, self._most = tls.BLOCKED, tls.RECORD_OCTETS
        self._stage, self._open_by = _Stage.GREETING, now + CONNECT_SECONDS
        self._greet(now)

    def _greet(self, now: float) -> None:
        import ssl

        from ixxsms.drivers import tls

        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._watch(selectors.EVENT_WRITE)
        except OSError as error:
            self.lose(tls.words_of(error, self.place.host), now)
        else:
            self._open(now)

    def _open(self, now: float) -> None:
        self._stage, self._open_by = _OPEN, NEVER
        self.session.connected(now)

    # The session

    def _read(self, now: float) -> None:
        assert self._socket is not None
        try:
            # More than a TLS record holds: nothing that was decrypted stays behind where the selector cannot see it.
            data = self._socket.recv(READ_OCTETS)
        except self._blocked:
            return
        except OSError as error:
            self.lose(f"The link to the SMSC broke: {_words_of(error)}.", now)
            return
        if data:
            self._heard += self.session.receive(data, now)
        else:
            self.lose("The SMSC closed the link.", now)

    def _read_rest(self, now: float) -> None:
        """What the SMSC had said before the link broke: what it answered must not be in doubt.

        An SMS from outside is left, since it comes again: it can no longer be acknowledged.
        """
        assert self._socket is not None
        try:
            for _ in range(LAST_READS):
                data = self._socket.recv(READ_OCTETS)
                if not data:
                    break
                heard = self.session.receive(data, now)
                self._heard += [event for event in heard if not isinstance(event, Received)]
        except OSError:
            pass

    def _write(self, now: float) -> None:
        out = self.session.out
        if not out and self._watched == selectors.EVENT_READ:
            return
        if out:
            assert self._socket is not None
            size = self._begun or min(len(out), self._most)
            self._begun = 0
            try:
                self.session.sent(self._socket.send(out[:size] if size < len(out) else out))
            except self._blocked:
                self._begun = size if self.place.tls else 0
            except OSError as error:
                self._read_rest(now)
                self.lose(f"The link to the SMSC broke: {_words_of(error)}.", now)
                return
        read = selectors.EVENT_READ if len(out) < UNWRITTEN_OCTETS else 0
        self._watch(read | (selectors.EVENT_WRITE if out else 0))

    # The selector

    def _watch(self, mask: int) -> None:
        if mask == self._watched:
            return
        assert self._socket is not None
        if self._watched:
            self._selector.modify(self._socket, mask, self)
        else:
            self._selector.register(self._socket, mask, self)
        self._watched = mask

    def _unwatch(self) -> None:
        if self._watched and self._socket is not None:
            self._selector.unregister(self._socket)
        self._watched = 0

    def _drop_socket(self) -> None:
        self._unwatch()
        if self._socket is not None:
            self._socket.close()
        self._socket, self._stage, self._open_by, self._begun = None, _NONE, NEVER, 0


def _words_of(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)
