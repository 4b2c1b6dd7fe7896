"""The fake SMSC's socket and thread, and what a test asks of it. What it answers is in smpp.smsc, without IO."""

from __future__ import annotations

import heapq
import itertools
import json
import selectors
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ixxsms.errors import ProtocolError
from ixxsms.smpp import pdu, smsc, smsc_pdus
from ixxsms.smpp.address import Plan
from ixxsms.smpp.faults import Long
from ixxsms.smpp.smsc import Say, Submitted, whole_texts
from ixxsms.testing.certificate import self_signed

READ_OCTETS = WRITE_OCTETS = 256 * 1024
BETWEEN_FRAGMENTS = 0.001  #: seconds, so that the other side has read one before the next comes
BETWEEN_READS = 0.05  #: seconds, of a slow reader
SLOW_BUFFER = 4096  #: octets that the system takes in for a slow reader


class _Connection(smsc.Peer):
    """`read_at`, `write_at`: monotonic times before which a fault has it wait; 0 for no wait."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.socket = sock
        self.greeting = isinstance(sock, ssl.SSLSocket)  #: the TLS handshake is under way
        self.watched = 0  #: what the selector looks for
        self.full = False  #: the system takes no more at the moment
        self.read_at = self.write_at = 0.0


class FakeSMSC(smsc.Smsc):
    """An SMSC in a thread of its own. `faults`: the fields of smpp.faults.Faults, which are attributes afterwards.

    record: a file that gets each message as a line of JSON. on_message: called for each in the SMSC's thread.
    tls: True for a certificate made on the spot, or the files (certificate, key); clients trust `certificate`.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        record: str | Path | None = None,
        on_message: Callable[[Submitted], None] | None = None,
        tls: bool | tuple[str | Path, str | Path] = False,
        **faults: Any,
    ) -> None:
        super().__init__(**faults)
        self.host, self.port = host, port
        self.certificate = ""  #: the file, once it runs with TLS
        self._record, self._on_message, self._tls = record, on_message, tls
        self._context: ssl.SSLContext | None = None
        self._folder = ""
        self._changed = threading.Condition()
        self._orders: list[Callable[[], None]] = []
        self._connections: list[_Connection] = []
        self._later: list[tuple[float, int, Say]] = []
        self._ties = itertools.count()
        self._stopping = False
        self._error: BaseException | None = None
        self._file: Any = None

    # In the thread of the test

    def __enter__(self) -> FakeSMSC:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Again too, after a stop, at the same port, with what it has kept.

        Raises OSError for a port or a file that cannot be used, Error for a certificate that cannot.
        """
        self._stopping = False
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family, backlog=64)
        try:
            if self._tls:
                self._prepare_tls()
            self._file = open(self._record, "a", encoding="utf-8") if self._record else None  # noqa: SIM115
        except BaseException:
            self._listener.close()
            self._forget_certificate()
            raise
        self._listener.setblocking(False)
        if self.read_rate:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
        self.port = self._listener.getsockname()[1]
        self._bell, self._ringer = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="fake-smsc", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close everything. Raises what broke the SMSC's thread, if something did."""
        self._stopping = True
        with suppress(OSError):
            self._ringer.send(b"!")
        self._thread.join(5.0)
        self._forget_certificate()
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            raise TimeoutError("The SMSC's thread does not end.")

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Submitted]:
        """Wait until `count` messages were taken; the list of all. Raises TimeoutError."""
        self.wait_until(lambda: len(self.received) >= count, timeout, f"{count} messages")
        return self.received

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0, what: str = "it") -> None:
        """Wait for anything that the counters tell. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition() or self._error is not None, timeout):
                raise TimeoutError(f"The SMSC waited {timeout:g} s for {what}; it has {len(self.received)} messages.")
        if self._error is not None:
            raise self._error

    def texts(self) -> list[tuple[str, str]]:
        """(destination, text) of every whole message, long ones put together, in the order in which they got whole."""
        return whole_texts(list(self.received))

    def deliver(
        self,
        source: str,
        destination: str,
        text: str,
        *,
        long: str = Long.UDH8,
        coding: int | None = None,
        as_data_sm: bool = False,
    ) -> int:
        """Send an SMS from outside to whoever is bound to receive, or will be; gives the number of its PDUs.

        long: how its parts are told from each other, see smpp.faults.Long. coding: its data_coding, else by the text.
        """
        to, frm, reference = Plan().source(destination), Plan().source(source), self.next_sequence()
        made = smsc_pdus.sms(self._sequences, frm, to, text, reference, long=long, coding=coding, as_data_sm=as_data_sm)
        self._order(lambda: self.deliver_to(None, made))
        return len(made)

    def send_raw(self, data: bytes) -> None:
        """Send these bytes on every link."""
        self._send(data, self._connections)

    def enquire(self) -> None:
        """Send an enquire_link on every link; `enquire_links_answered` counts the answers."""
        self.send_raw(pdu.request(pdu.ENQUIRE_LINK, self.next_sequence()))

    def unbind(self) -> None:
        """Send an unbind on every link."""
        self.send_raw(pdu.request(pdu.UNBIND, self.next_sequence()))

    def drop(self) -> None:
        """Cut all links, as a failing network does."""

        def cut() -> None:
            for connection in list(self._connections):
                self._close(connection)

        self._order(cut)

    def _prepare_tls(self) -> None:
        if isinstance(self._tls, tuple):
            certificate, key = self._tls
        else:
            self._folder = tempfile.mkdtemp(prefix="fake-smsc-")
            certificate, key = self_signed(Path(self._folder))
        self.certificate = str(certificate)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    def _forget_certificate(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, data: bytes, connections: Iterable[_Connection]) -> None:
        def send() -> None:
            for connection in connections:
                connection.out += data

        self._order(send)

    def _order(self, order: Callable[[], None]) -> None:
        """Have it done in the SMSC's thread, and wait until it is."""
        done = threading.Event()

        def obey() -> None:
            order()
            done.set()

        self._orders.append(obey)
        self._ringer.send(b"!")
        if not done.wait(5.0):
            raise TimeoutError("The SMSC's thread does not answer.")

    # In the SMSC's thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self._error = error
        finally:
            for connection in list(self._connections):
                self._close(connection)
            for closable in (self._selector, self._listener, self._bell, self._ringer, self._file):
                if closable is not None:
                    closable.close()
            with self._changed:
                self._changed.notify_all()

    def _turn(self) -> None:
        for key, mask in self._selector.select(self._wait(time.monotonic())):
            if key.data is not None:
                key.data.full = key.data.full and not mask & selectors.EVENT_WRITE
                if mask & selectors.EVENT_READ:
                    self._read(key.data)
            elif key.fileobj is self._listener:
                self._accept()
            else:
                self._bell.recv(4096)
        while self._orders:
            self._orders.pop(0)()
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self.say(heapq.heappop(self._later)[2])
        for connection in list(self._connections):
            self._write(connection, now)
            self._watch(connection, now)
        with self._changed:
            self._changed.notify_all()

    def _wait(self, now: float) -> float | None:
        """Seconds until there is something to do by itself; None for never."""
        times = [connection.read_at for connection in self._connections if connection.read_at > now]
        times += (
            connection.write_at for connection in self._connections if connection.write_at and not connection.full
        )
        times += (at for at, _, _ in self._later[:1])
        return max(0.0, min(times) - now) if times else None

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = _Connection(sock)
            self._connections.append(connection)
            self.met(connection)

    def _read(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        try:
            data = self._receive(connection)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        first = len(self.received)
        try:
            says = self.take(connection, data, time.time())
        except ProtocolError:
            self._close(connection)
            return
        now = time.monotonic()
        for say in says:
            if say.after:
                heapq.heappush(self._later, (now + say.after, next(self._ties), say))
            else:
                self.say(say)
        self._tell(self.received[first:])

    def _receive(self, connection: _Connection) -> bytes:
        sock = connection.socket
        if connection.greeting:
            sock.do_handshake()  # type: ignore[attr-defined]
            connection.greeting = False
        if self.read_rate:
            connection.read_at = time.monotonic() + BETWEEN_READS
            return sock.recv(max(1, int(self.read_rate * BETWEEN_READS)))
        data = sock.recv(READ_OCTETS)
        if isinstance(sock, ssl.SSLSocket):
            while sock.pending():  # the selector sees nothing of what TLS has read already
                data += sock.recv(READ_OCTETS)
        return data

    def _tell(self, messages: Sequence[Submitted]) -> None:
        for message in messages:
            if self._file:
                line = message._asdict() | {
                    "short_message": message.short_message.hex(),
                    "tlvs": {f"{tag:04X}": value.hex() for tag, value in message.tlvs.items()},
                }
                self._file.write(json.dumps(line) + "\n")
            if self._on_message:
                self._on_message(message)
        if self._file and messages:
            self._file.flush()

    def _write(self, connection: _Connection, now: float) -> None:
        """Write what the faults and the system let through now."""
        if connection.out and not connection.write_at:
            connection.write_at = now + self.glue
        if connection.out and now >= connection.write_at and not connection.full:
            piece = connection.out[: self.fragment or WRITE_OCTETS]
            try:
                del connection.out[: connection.socket.send(piece)]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                connection.full = True
            except OSError:
                self._close(connection)
                return
            connection.write_at = now + BETWEEN_FRAGMENTS if self.fragment else now
        if not connection.out:
            connection.write_at = 0.0
            if connection.over:
                self._close(connection)

    def _watch(self, connection: _Connection, now: float) -> None:
        if connection not in self._connections:
            return
        mask = selectors.EVENT_READ if now >= connection.read_at else 0
        mask |= selectors.EVENT_WRITE if connection.full else 0
        if mask == connection.watched:
            return
        if not mask:
            self._selector.unregister(connection.socket)
        elif connection.watched:
            self._selector.modify(connection.socket, mask, connection)
        else:
            self._selector.register(connection.socket, mask, connection)
        connection.watched = mask

    def _close(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self.gone(connection)
            if connection.watched:
                self._selector.unregister(connection.socket)
            connection.socket.close()


_ENDS = (signal.SIGINT, signal.SIGTERM)


def serve(port: int = 2775, *, on_ready: Callable[[FakeSMSC], None] | None = None, **options: Any) -> None:
    """Run a FakeSMSC in the foreground until SIGINT or SIGTERM; `on_ready` gets it once it listens. Raises OSError."""
    over: list[int] = []
    before = {number: signal.signal(number, lambda number, _: over.append(number)) for number in _ENDS}
    # Blocked, they wait until they are asked for: one that comes just before a wait begins would not end that wait.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        with FakeSMSC(port, **options) as fake:
            if on_ready:
                on_ready(fake)
            while not over and not signal.sigtimedwait(_ENDS, 1.0):
                pass  # a thread of somebody else's may have got it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
