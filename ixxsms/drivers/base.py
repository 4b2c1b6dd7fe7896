"""The port that the sender needs from every kind of trunk. A driver knows no database and no other driver.

One thread calls a driver; none of its calls but `poll` may wait, and only `wake` may come from another thread.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ixxsms.events import Event, Submission


class Link(StrEnum):
    STARTING = "starting"  #: the first try is under way: it may well be up in a moment
    UP = "up"
    DOWN = "down"  #: tries again by itself
    STOPPED = "stopped"  #: does not try again before a person enables the trunk


@dataclass(frozen=True)
class TrunkConfig:
    """What a driver is built from: `options` are those of its kind; no repr shows a secret."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(repr=False)
    password: str = field(default="", repr=False)
    script_dir: Path = Path("/var/lib/ixxsms/scripts")
    script_timeout: float = 30.0
    response_timeout: float = 30.0
    receipts: bool = True
    #: Where the other side can call us with receipts and incoming SMS; empty where it cannot.
    webhook: str = field(default="", repr=False)


class Driver(Protocol):
    link: Link
    #: why the link is not up, or what of it is not, in one sentence; empty while all is well
    why: str

    def room(self) -> int:
        """How many segments it can take now; 0 unless the link is up."""

    def submit(self, batch: Sequence[Submission]) -> None:
        """Take these messages. Exactly one Outcome comes for each, from a later `poll` or from `close`; after an
        InDoubt there may be one more that settles it.
        """

    def poll(self, timeout: float) -> list[Event]:
        """Do what there is to do on the link, waiting at most `timeout` seconds for something to happen."""

    def wake(self) -> None:
        """Let a `poll` that waits, or else the next one, return at once."""

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        """These receipts and incoming messages are committed: tell the other side."""

    def refuse(self, tokens: Iterable[Any]) -> None:
        """These cannot be kept now: let the other side bring them again later."""

    def in_flight(self) -> int:
        """How many submissions still owe their Outcome."""

    def close(self) -> list[Event]:
        """End the link, waiting a second at most; an InDoubt or Deferred for each submission that owed its Outcome."""


class Bell:
    """What ends a wait in a selector: one thread waits for `socket`, any other may ring."""

    def __init__(self) -> None:
        self.socket, self._ringer = socket.socketpair()
        self.socket.setblocking(False)
        self._ringer.setblocking(False)

    def ring(self) -> None:
        # A full pipe rings already, and a closed one has nobody who waits.
        with suppress(OSError):
            self._ringer.send(b"!")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            while self.socket.recv(4096):
                pass

    def close(self) -> None:
        self.socket.close()
        self._ringer.close()
