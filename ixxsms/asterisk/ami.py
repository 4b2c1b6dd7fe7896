"""The link to Asterisk's manager interface (AMI): panoramisk's Manager, with guards around what it lets through.

Knows no database and decides nothing: events go to a callback as plain headers, actions come back as an Answer.
The guards, each for something that was seen to happen: a character cut by TCP was lost; a CR or LF in a value began an
action of its own; an action without an answer waited for ever; a mute Asterisk was never noticed; an error in a
callback tore the link down; a closed Manager connected again.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from ixxsms.errors import BadInput, Error

log = logging.getLogger(__name__)

#: Bytes of a line, and lines of an action: over 1,023 and over 124 Asterisk refuses the whole action.
LINE, LINES = 1_000, 100

#: Seconds: for an answer, for a connection, between two signs of life.
ANSWER, CONNECT, PING = 10.0, 5.0, 10.0

#: Seconds for Asterisk to be fully booted. It does not say so to a user without the right to read `system`.
BOOT = 20.0

#: Characters without the end of a packet after which this cannot be Asterisk.
LONGEST_PACKET = 1_000_000

#: Seconds before the next attempt: at first, at most, and after a wrong password, which would fill Asterisk's log.
FIRST, LONGEST, REFUSED = 0.5, 15.0, 30.0

#: Why the link is not up yet, after the login.
BOOTING = "waiting for Asterisk to be fully booted"

_NEVER_IN_A_LINE = frozenset("\r\n\0")

Headers = Mapping[str, str]
Value = str | Sequence[str]


class Lost(Error):
    """The link to Asterisk's manager interface is down."""


class NotSent(Lost):
    """The link to Asterisk's manager interface is down, and nothing of the action was written."""


@dataclass(frozen=True)
class Answer:
    """What Asterisk said to an action. `headers`: all that it said, their names in lower case."""

    ok: bool
    message: str
    headers: Headers = field(default_factory=dict, repr=False)


class Ami:
    """One link, made again whenever it is lost. `on_event` gets each event's headers, their names in lower case.

    `on_change` is called after `up` or `why` has changed. `events`: the classes of events that are wanted, `system`
    among them, which tells of the boot. All of it belongs to one asyncio loop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        secret: str,
        *,
        on_event: Callable[[Headers], None],
        on_change: Callable[[], None] = lambda: None,
        events: str = "on",
    ) -> None:
        self.up, self.why = False, "not connected yet"
        self._where = (host, port)
        self._login = {"Username": user, "Secret": secret, "Events": events}
        self._on_event, self._on_change = on_event, on_change
        self._manager: _Manager | None = None

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        wait = FIRST
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except (Lost, OSError, TimeoutError, UnicodeError) as error:  # the last: the host can be no name
                self._tell(False, _sentence(error))
            finally:
                self.close()
            if time.monotonic() - began > LONGEST:
                wait = FIRST
            refused = self._manager is not None and self._manager.refused
            await asyncio.sleep(REFUSED if refused else wait)
            wait = min(2 * wait, LONGEST)

    def close(self) -> None:
        """Close the connection, if there is one."""
        self.up = False
        if self._manager is not None:
            self._manager.close()

    async def act(self, action: str, headers: Mapping[str, Value] | None = None) -> Answer:
        """Have Asterisk do something; returns what it says. A header with many values becomes many lines.

        Raises Lost: the link ended before the answer; NotSent, which is one: before a byte left. BadInput: a header
        that must not be sent.
        """
        checked = _checked({"Action": action, **(headers or {})})
        if self._manager is None or not self.up:
            raise NotSent(f"Asterisk's manager interface is not connected: {self.why}.")
        return await self._manager.act(checked)

    async def _connection(self) -> None:
        """One connection from beginning to end; how it ended is raised."""
        self._manager = manager = _Manager(self._on_event)
        await manager.open(*self._where)
        answer = await manager.act(_checked({"Action": "Login", **self._login}))
        if not answer.ok:
            manager.refused = True
            raise Lost(f"Asterisk refuses the login: {answer.message}")
        self._tell(False, BOOTING, logging.INFO)
        await manager.wait_for_boot()
        self._tell(True, "", logging.INFO)
        while True:
            await asyncio.wait({manager.lost}, timeout=PING)
            await manager.act({"Action": "Ping"})

    def _tell(self, up: bool, why: str, level: int = logging.WARNING) -> None:
        if (up, why) != (self.up, self.why):
            log.log(level, "AMI is %s", "up" if up else f"down: {why}")
        self.up, self.why = up, why
        self._on_change()


class _Manager(Manager):  # type: ignore[misc]
    """One connection of panoramisk. It never connects again by itself: its own timers cannot be cancelled."""

    def __init__(self, on_event: Callable[[Headers], None]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.refused = False
        self.lost: asyncio.Future[Any] = self.loop.create_future()  #: and why, as its result
        self._booted: asyncio.Future[Any] = self.loop.create_future()
        self._on_event = on_event

    async def open(self, host: str, port: int) -> None:
        opening: asyncio.Future[Any] = self.loop.create_future()
        made = self.loop.create_connection(lambda: _Protocol(self), host, port)
        opening.set_result(await asyncio.wait_for(made, CONNECT))
        self.connection_made(opening)

    async def act(self, headers: Mapping[str, Value]) -> Answer:
        """Send an action and wait for its answer. None in time: the link is dead, and is closed."""
        if self.lost.done():
            raise NotSent(self.lost.result())
        action = Action(dict(headers))
        future = self.send_action(action, as_list=False)
        await asyncio.wait({future, self.lost}, timeout=ANSWER, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            answer = future.result()
            return Answer(bool(answer.success), answer.message, {k.lower(): v for k, v in answer.items()})
        self.close(f"Asterisk did not answer within {ANSWER:g} seconds.")  # unless it was lost before
        raise Lost(self.lost.result())

    async def wait_for_boot(self) -> None:
        """Before it is booted, the dialplan and the phones are not there yet."""
        await asyncio.wait({self._booted, self.lost}, timeout=BOOT, return_when=asyncio.FIRST_COMPLETED)

    def dispatch(self, event: Any) -> None:
        if event.event == "FullyBooted" and not self._booted.done():
            self._booted.set_result(None)
        self._on_event({name.lower(): value for name, value in event.items()})

    def connection_lost(self, exc: Any) -> None:
        self._lose("The connection was lost.")

    def close(self, why: str = "The connection was closed.") -> None:
        super().close()
        self._lose(why)

    def _lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)

    def ping(self) -> None:
        """Not panoramisk's, which waits for no answer."""


class _Protocol(AMIProtocol):  # type: ignore[misc]
    """Reads packets so that no character is lost between two segments, and no packet ends the connection."""

    def __init__(self, manager: _Manager) -> None:
        self._manager = manager
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.factory = self._manager

    def data_received(self, data: bytes) -> None:
        self._rest += self._decoder.decode(data)
        *packets, self._rest = self._rest.split("\r\n\r\n")
        for packet in packets:
            try:
                headers = _first_of_each(packet)
                if "event" in headers or "response" in headers:
                    self.handle_message(Message(headers))
            except Exception:
                log.exception("a packet from Asterisk could not be handled")
        if len(self._rest) > LONGEST_PACKET:
            self._manager.close()

    def close(self) -> None:
        # What is unanswered learns it from `lost`; panoramisk would log it, text and all, and keep it for later.
        self.responses.clear()
        super().close()
        self.transport.abort()  # without waiting for a peer that reads nothing


def _first_of_each(packet: str) -> dict[str, str]:
    """The headers by their names in lower case. Of equals the first counts: what follows a UserEvent's own headers
    was written by whoever called, who could otherwise give himself another event, or another caller's number.
    """
    headers: dict[str, str] = {}
    for line in packet.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _checked(headers: Mapping[str, Value]) -> dict[str, Value]:
    """The headers, if they are no more than they seem. Raises BadInput."""
    lines = 0
    for name, value in headers.items():
        for each in [value] if isinstance(value, str) else value:
            line = f"{name}: {each}"
            lines += 1
            if _NEVER_IN_A_LINE & set(line):
                raise BadInput(f"The header {name!r} of an AMI action must be one line.")
            if len(line.encode("utf-8", "replace")) > LINE:
                raise BadInput(f"The header {name!r} of an AMI action is over {LINE} bytes long.")
    if lines > LINES:
        raise BadInput(f"An AMI action of {lines} lines is too long.")
    return dict(headers)


def _sentence(error: Exception) -> str:
    if isinstance(error, Lost):
        return str(error)
    if isinstance(error, socket.gaierror):
        why = error.strerror  # its numbers are not the system's
    elif isinstance(error, OSError) and error.errno:
        why = os.strerror(error.errno)
    else:
        why = str(error)
    return f"Asterisk cannot be reached: {why or 'no answer'}."
