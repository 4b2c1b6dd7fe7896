"""The fake SMSC's socket and thread, and what a test asks of it. What it answers is in smpp.smsc, without IO."""

from __future__ import annotations

import heapq
import itertools
import json
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ixxsms import text as gsm
from ixxsms.errors import ProtocolError
from ixxsms.smpp import pdu, smsc
from ixxsms.smpp.address import Plan
from ixxsms.smpp.smsc import Submitted, whole_texts


class _Connection(smsc.Peer):
    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.socket = sock
        self.writing = False


class FakeSMSC(smsc.Smsc):
    """An SMSC in a thread of its own. `rules`: the keywords of smpp.smsc.Smsc, which are attributes afterwards.

    latency: seconds before each answer to a submit_sm. receipt_delay: seconds between the answer and the receipt.
    record: a file that gets each message as a line of JSON. on_message: called for each in the SMSC's thread.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        latency: float = 0.0,
        receipt_delay: float = 0.0,
        record: str | Path | None = None,
        on_message: Callable[[Submitted], None] | None = None,
        **rules: Any,
    ) -> None:
        super().__init__(**rules)
        self.host, self.port = host, port
        self.latency, self.receipt_delay = latency, receipt_delay
        self._record, self._on_message = record, on_message
        self._changed = threading.Condition()
        self._orders: list[Callable[[], None]] = []
        self._connections: list[_Connection] = []
        self._later: list[tuple[float, int, _Connection, bytes]] = []
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
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family, backlog=64)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._file = open(self._record, "a", encoding="utf-8") if self._record else None  # noqa: SIM115
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
        if self._error is not None:
            raise self._error

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

    def deliver(self, source: str, destination: str, text: str) -> int:
        """Send an SMS from outside to whoever is bound for receiving; gives the number of its deliver_sm."""
        to, frm = Plan().source(destination), Plan().source(source)
        segments = gsm.build(text, next(self._ids))
        data = b"".join(
            smsc.deliver_sm(
                self.next_sequence(), frm, to, pdu.UDHI if segment.has_udh else 0, segment.data_coding, segment.body
            )
            for segment in segments
        )
        self._send(data, self._receivers()[:1])
        return len(segments)

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

    def _receivers(self) -> list[_Connection]:
        receivers = [connection for connection in self._connections if connection.kind in ("trx", "rx")]
        if not receivers:
            raise ConnectionError("Nobody is bound to receive.")
        return receivers

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
        wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        for key, _ in self._selector.select(wait):
            if key.data is not None:
                self._read(key.data)
            elif key.fileobj is self._listener:
                self._accept()
            else:
                self._bell.recv(4096)
        while self._orders:
            self._orders.pop(0)()
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, connection, data = heapq.heappop(self._later)
            connection.out += data
        for connection in list(self._connections):
            self._write(connection)
        with self._changed:
            self._changed.notify_all()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(sock)
            self._connections.append(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        try:
            data = connection.socket.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        first = len(self.received)
        try:
            answers, receipts = self.take(connection, data, time.time(), time.strftime("%y%m%d%H%M"))
        except ProtocolError:
            self._close(connection)
            return
        self._say(connection, answers, self.latency)
        self._say(connection, receipts, self.latency + self.receipt_delay)
        self._tell(self.received[first:])

    def _say(self, connection: _Connection, data: bytes, delay: float) -> None:
        if data and delay:
            heapq.heappush(self._later, (time.monotonic() + delay, next(self._ties), connection, data))
        elif data:
            connection.out += data

    def _tell(self, messages: Sequence[Submitted]) -> None:
        for message in messages:
            if self._file:
                line = message._asdict() | {"short_message": message.short_message.hex()}
                self._file.write(json.dumps(line) + "\n")
            if self._on_message:
                self._on_message(message)
        if self._file and messages:
            self._file.flush()

    def _write(self, connection: _Connection) -> None:
        if connection.out:
            try:
                del connection.out[: connection.socket.send(connection.out)]
            except BlockingIOError:
                pass
            except OSError:
                self._close(connection)
                return
        if bool(connection.out) != connection.writing:
            connection.writing = bool(connection.out)
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.writing else 0)
            self._selector.modify(connection.socket, mask, connection)

    def _close(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._later = [entry for entry in self._later if entry[2] is not connection]
            heapq.heapify(self._later)
            self._selector.unregister(connection.socket)
            connection.socket.close()


def serve(
    host: str = "127.0.0.1",
    port: int = 2775,
    latency: float = 0.0,
    receipts: bool = True,
    record: str | Path | None = None,
    on_message: Callable[[Submitted], None] | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Run a FakeSMSC in the foreground until SIGINT or SIGTERM; `on_ready` is told its port. Raises OSError."""
    over = threading.Event()
    before = {number: signal.signal(number, lambda *_: over.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        fake = FakeSMSC(port, host=host, latency=latency, receipts=receipts, record=record, on_message=on_message)
        with fake:
            if on_ready:
                on_ready(fake.port)
            over.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
