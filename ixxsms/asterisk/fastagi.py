"""A FastAGI server: Asterisk connects, tells of its call, and answers our commands one at a time.

Knows the protocol and what its peers may get wrong. A peer that is no Asterisk, says nothing, says too much or goes
away costs a moment and no line in the log. Must never know what the routes do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import cast

from ixxsms.asterisk.variables import Asked, caller_of, read_query, readable, set_command, set_commands

log = logging.getLogger(__name__)

SECONDS = 5.0  #: for all that Asterisk tells of a call, and for its answer to one command
CLOSE_SECONDS = 1.0  #: for the calls under way when the server ends
LONGEST = 64 * 1024  #: octets of all that is told of a call
COMPLAIN_SECONDS = 60.0  #: between two lines in the log that calls are turned away

_ARGUMENTS = [f"agi_arg_{number}" for number in range(1, 20)]


class Gone(Exception):
    """Asterisk does not listen any more, or does not answer."""


class Call:
    """One call: what Asterisk told of it, and the commands to it.

    `hung_up`: the caller has gone; commands still work, but nobody waits for them.
    """

    def __init__(self, env: Mapping[str, str], ask: Callable[[bytes], Awaitable[str]]) -> None:
        self.env = env
        path, _, query = env.get("agi_network_script", "").partition("?")
        self.route = path.strip("/")
        self.asked = Asked(
            caller=caller_of(env),
            args=tuple(env[name] for name in _ARGUMENTS if name in env),
            query=read_query(query) if query else {},
        )
        self.hung_up = False
        self._ask = ask

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable; control characters become blanks. Raises Gone."""
        await self._ask(set_command(name, value))

    async def set_variables(self, values: Mapping[str, str]) -> None:
        """Set these; when the last one is set, so are the others. Raises Gone."""
        for command in set_commands(values):
            await self._ask(command)

    async def command(self, line: str) -> str:
        """The answer to one command, `200 result=…`. Raises Gone."""
        return await self._ask(line.encode())


Route = Callable[[Call], Awaitable[None]]


class Server:
    """Serves the routes; `fallback` gets every call to another one. `connections`: so many calls at a time."""

    def __init__(self, routes: Mapping[str, Route], fallback: Route, connections: int) -> None:
        self._routes, self._fallback, self._most = routes, fallback, max(1, connections)
        self._complain_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: In the order in which they came; those that have told nothing yet give way to new ones.
        self.connected: dict[_Connection, None] = {}
        #: Of the calls under way, also of those that have hung up.
        self.tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Begin to listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: _Connection(self), host, port, backlog=1024, reuse_address=True, start_serving=False
        )
        try:
            await listener.start_serving()
        except OSError:
            # Two may bind one address before either listens; asyncio leaves the loser's socket open.
            listener.close()
            raise
        return listener

    async def close(self) -> None:
        """End the calls under way, after a second at most."""
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=CLOSE_SECONDS)
        for connection in list(self.connected):
            connection.end()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=CLOSE_SECONDS)

    def has_room(self) -> bool:
        """Whether one more may come, if need be instead of one that says nothing."""
        if len(self.connected) < self._most:
            return True
        mute = next((connection for connection in self.connected if connection.task is None), None)
        if mute is None:
            self.complain("there are too many at a time (setting fastagi_connections)")
            return False
        mute.end()
        return True

    def watch(self) -> None:
        """End now and then what is overdue, as long as anything is connected: a timer for each call would cost more."""
        if self._timer is None and self.connected:
            self._timer = asyncio.get_running_loop().call_later(SECONDS / 4, self._end_overdue)

    def _end_overdue(self) -> None:
        now, self._timer = asyncio.get_running_loop().time(), None
        for connection in list(self.connected):
            if now >= connection.until:
                connection.end()
        self.watch()

    def complain(self, why: str) -> None:
        """Log that a call was turned away; once a minute, for whoever floods us must not fill the log too."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_SECONDS
            log.warning("a FastAGI call was turned away: %s", why)

    async def serve(self, call: Call) -> None:
        try:
            await self._routes.get(call.route, self._fallback)(call)
        except Gone:
            pass
        except Exception:
            log.exception("the FastAGI route %s failed", call.route[:40])


class _Connection(asyncio.Protocol):
    """One connection: first the call's own lines up to an empty one, then an answer to each of our commands."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = bytearray()
        self._answer: asyncio.Future[str] | None = None
        self._call: Call | None = None
        self._transport: asyncio.Transport
        #: When Asterisk must have said something; never while we are the one who is waited for.
        self.until = inf
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.has_room():
            self.end()
            return
        self._server.connected[self] = None
        self._expect()
        self._server.watch()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._call is None:
            self._hear_call()
        else:
            self._hear_answers()

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.connected.pop(self, None)
        if self._call:
            self._call.hung_up = True
        if self._answer and not self._answer.done():
            self._answer.set_exception(Gone())

    def end(self) -> None:
        """Close at once: what is not written yet does not matter any more."""
        self._server.connected.pop(self, None)
        if not self._transport.is_closing():
            self._transport.abort()

    def _hear_call(self) -> None:
        end = self._received.find(b"\n\n")
        if not self._received.startswith(b"agi_"[: len(self._received)]) or len(self._received) > LONGEST:
            self.end()
        elif end >= 0:
            env = parse(bytes(self._received[:end]))
            if env is None or len(self._received) > end + 2:
                # A line break in an argument: what follows it was written by a stranger.
                self._server.complain("an argument has a line break; give the text as base64")
                self.end()
                return
            self._received.clear()
            self.until = inf
            self._call = Call(env, self._ask)
            self.task = asyncio.get_running_loop().create_task(self._serve(self._call))
            self._server.tasks.add(self.task)
            self.task.add_done_callback(self._server.tasks.discard)

    async def _serve(self, call: Call) -> None:
        await self._server.serve(call)
        self._transport.close()

    def _hear_answers(self) -> None:
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        if len(rest) > LONGEST:
            self.end()
        for line in lines:
            if line == b"HANGUP":
                assert self._call
                self._call.hung_up = True
            elif line.startswith((b"100 ", b"520-")):
                continue  # more is to come
            elif self._answer is None or self._answer.done():
                self.end()  # an answer to nothing: from here on every answer would be taken for another's
            else:
                self._answer.set_result(line.decode("utf-8", "replace"))

    async def _ask(self, command: bytes) -> str:
        if self._transport.is_closing():
            raise Gone
        self._answer = asyncio.get_running_loop().create_future()
        self._expect()
        self._transport.write(command + b"\n")
        try:
            return await self._answer
        finally:
            self.until = inf

    def _expect(self) -> None:
        self.until = asyncio.get_running_loop().time() + SECONDS


def parse(told: bytes) -> dict[str, str] | None:
    """What Asterisk told of a call, by name; None where a line break in a value has made lines of its own."""
    env: dict[str, str] = {}
    try:
        lines = told.decode().split("\n")  # all at once, as nearly always
    except UnicodeDecodeError:
        lines = [readable(line) for line in told.split(b"\n")]
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.startswith("agi_") or name in env:
            return None
        env[name] = value.removeprefix(" ")
    return env
