"""A small HTTP/1.1 server: requests in, answers out, on the edge's event loop.

Knows the protocol, by h11, and what strangers do to servers: everything has a limit, in octets, seconds and
connections, and what is no HTTP costs a moment and no line in the log. Must never know what a request means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import h11

log = logging.getLogger(__name__)

SECONDS = 10.0  #: for a whole request, for the next one on the same connection, and for an answer to be taken
CLOSE_SECONDS = 1.0  #: for the requests under way when the server ends
CONNECTIONS = 100  #: at a time; those that have asked nothing yet give way to new ones
HEAD_OCTETS = 16 * 1024
BODY_OCTETS = 256 * 1024
_READ_OCTETS = 16 * 1024


@dataclass(frozen=True)
class Asked:
    """One request. No repr shows it: it holds secrets."""

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)  #: by name in small letters
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    status: int
    text: str = ""
    retry_after: int = 0


class _TooLong(Exception):
    """The body has more octets than anybody needs."""


class Server:
    """Gives each request to `answer`, which may take its time: the database may be busy."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Answer]]) -> None:
        self._answer = answer
        self._waiting: dict[asyncio.StreamWriter, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Begin to listen. Raises OSError."""
        listener = await asyncio.start_server(self._connected, host, port, backlog=1024, start_serving=False)
        try:
            await listener.start_serving()
        except OSError:
            # Two may bind one address before either listens; asyncio leaves the loser's socket open.
            listener.close()
            raise
        return listener

    async def close(self) -> None:
        """End the connections: those with a request under way after a second at most."""
        for writer in list(self._waiting):
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_SECONDS)
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not self._has_room():
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the other side has gone, says nothing or no HTTP; or the server closes
        except Exception:
            log.exception("a request to the webhook failed")
        finally:
            self._waiting.pop(writer, None)
            self._tasks.discard(task)
            writer.close()
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # it does not read its answer
            with suppress(Exception):
                await writer.wait_closed()

    def _has_room(self) -> bool:
        """Whether one more may come, if need be instead of the one that has said nothing for longest."""
        if len(self._tasks) < CONNECTIONS:
            return True
        mute = next(iter(self._waiting), None)
        if mute is None:
            return False
        del self._waiting[mute]
        mute.transport.abort()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_OCTETS)
        while True:
            self._waiting[writer] = None
            try:
                async with asyncio.timeout(SECONDS):
                    asked = await _hear(connection, reader, writer)
            except _TooLong:
                answer = Answer(413, "The request is too long.")
            except h11.RemoteProtocolError as error:
                if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await _tell(connection, writer, Answer(error.error_status_hint, "This is no HTTP request."), True)
                return
            else:
                if asked is None:
                    return
                self._waiting.pop(writer, None)
                answer = await self._answer(asked)
            await _tell(connection, writer, answer, connection.their_state is not h11.DONE)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()


async def _hear(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
    """The next request, None where the other side has gone. Raises _TooLong and h11.RemoteProtocolError."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        await asyncio.sleep(0)  # what is there already is read without a wait: others on the loop must have their turn
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                _write(writer, connection.send(h11.InformationalResponse(status_code=100, headers=[])))
            connection.receive_data(await reader.read(_READ_OCTETS))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_OCTETS:
                raise _TooLong
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
            return Asked(request.method.decode("ascii"), request.target.decode("latin-1"), headers, bytes(body))
        else:
            return None


def _write(writer: asyncio.StreamWriter, data: bytes | None) -> None:
    if writer.is_closing():  # where it was reset uvloop's transport raises what is no OSError
        raise ConnectionResetError
    writer.write(data or b"")


async def _tell(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, last: bool) -> None:
    body = answer.text.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    headers += [("Retry-After", str(answer.retry_after))] if answer.retry_after else []
    headers += [("Connection", "close")] if last else []
    response = h11.Response(status_code=answer.status, headers=headers, reason=b"")
    for event in (response, h11.Data(data=body), h11.EndOfMessage()):
        _write(writer, connection.send(event))
    async with asyncio.timeout(SECONDS):
        await writer.drain()
