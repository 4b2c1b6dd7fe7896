"""What passes between the sender and a driver: a Submission goes in, events come out. Values, and where they lie.

All are to be left as they were made. `frozen` makes sure of it, but for Submission and Accepted: these are made for
every message, and it would cost three times as much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar


@dataclass(slots=True, unsafe_hash=True)
class Submission:
    """One text to one number, ready for a trunk.

    `destination` is digits only: E.164 without the plus sign, or the national number where `national` is set.
    `segments` is how many submit_sm it needs.
    """

    message_id: int
    destination: str
    text: str
    sender_id: str = ""
    national: bool = False
    segments: int = 1


@dataclass(slots=True, unsafe_hash=True)
class Accepted:
    """The trunk took every segment. `remote_ids`: one for each segment, in order; empty where the trunk gives none."""

    message_id: int
    remote_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """This number or text will never go, on no trunk."""

    message_id: int
    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now, or not here: nothing of the message left for the recipient.

    `elsewhere`: the next trunk may try at once. `counted`: it was an attempt; False where nothing was written.
    `retry_after`: seconds after which this trunk may try again, None for the setting's usual wait.
    """

    message_id: int
    reason: str
    code: str = ""
    elsewhere: bool = False
    counted: bool = True
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It was written, and nobody knows what became of it.

    `remote_ids`: of a message of several segments one for each, in order, and "" for one that was not answered.
    """

    message_id: int
    reason: str
    remote_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """The trunk itself must not go on (wrong password, no credit): a person has to look at it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """The trunk goes on, but not as it was told to: a person should look at it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """The other side answered with an error code that no outcome tells of: it is only counted."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The SMSC's later word on one segment, by its remote id. It is acknowledged with `token` once it is committed.

    `delivered` is True, False (final), or None while the SMSC is still trying.
    """

    remote_id: str
    delivered: bool | None
    stat: str = ""
    code: str = ""
    number: str = ""
    token: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Received:
    """An SMS from outside, or a part of a long one. It is acknowledged with `token` once it is committed.

    `source`, `destination`: with a plus where the trunk says that the number is international, else as it came.
    `reference`, `part`, `parts`: of a long message, from its user data header; 0, 1, 1 for a whole one. `octets`: what
    a part came as, to be read together with the other parts as smpp.incoming.decode_as does with `coding`; where
    `coding` is empty the part's text is all there is.
    """

    source: str
    destination: str
    text: str
    reference: int = 0
    part: int = 1
    parts: int = 1
    octets: bytes = b""
    coding: str = ""
    token: Any = field(default=None, compare=False)


Outcome = Accepted | Refused | Deferred | InDoubt
Event = Outcome | Stopped | Warned | Noted | Receipt | Received

_E = TypeVar("_E", bound=Event)


class Heard:
    """Events by their kind, each kind in the order in which they came. A fast trunk brings many tens of thousands a
    second: each is looked at once, here.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._by_kind: defaultdict[type, list[Any]] = defaultdict(list)
        by_kind = self._by_kind
        for event in events:
            by_kind[type(event)].append(event)

    def add(self, later: Heard) -> None:
        for kind, events in later._by_kind.items():
            self._by_kind[kind] += events

    def of(self, kind: type[_E]) -> list[_E]:
        return self._by_kind.get(kind, [])

    def put(self, kind: type[_E], events: list[_E]) -> None:
        """These are now all of their kind."""
        self._by_kind[kind] = events

    def __bool__(self) -> bool:
        return any(self._by_kind.values())
