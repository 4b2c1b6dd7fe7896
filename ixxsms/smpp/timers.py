"""When to ask whether the link is alive, and when to give it up. The time is an argument everywhere, in seconds."""

from __future__ import annotations

from enum import Enum

NEVER = float("inf")


class Due(Enum):
    """What the time asks for."""

    ENQUIRE = "send enquire_link"
    LINK_DEAD = "the enquire_link was not answered"
    BIND_OVERDUE = "the bind was not answered"
    UNBIND_OVERDUE = "the unbind was not answered"


class Timers:
    """The session's timers (SMPP 3.4 section 7.2): `answer` seconds for a bind, an unbind or an enquire_link.

    An enquire_link is due after `idle` seconds in which nothing was heard: whatever is heard proves the link.
    """

    def __init__(self, idle: float = 30.0, answer: float = 10.0) -> None:
        self.idle, self.answer = idle, answer
        self._due, self._at = Due.ENQUIRE, NEVER

    def bind_sent(self, now: float) -> None:
        self._due, self._at = Due.BIND_OVERDUE, now + self.answer

    def unbind_sent(self, now: float) -> None:
        self._due, self._at = Due.UNBIND_OVERDUE, now + self.answer

    def heard(self, now: float) -> None:
        """Anything came from the other side of a bound link."""
        if self._due is Due.ENQUIRE or self._due is Due.LINK_DEAD:
            self._due, self._at = Due.ENQUIRE, now + self.idle

    def bound(self, now: float) -> None:
        self._due, self._at = Due.ENQUIRE, now + self.idle

    def stop(self) -> None:
        self._due, self._at = Due.ENQUIRE, NEVER

    def next(self) -> float:
        """When `tick` has something to say; infinity while there is no link."""
        return self._at

    def tick(self, now: float) -> Due | None:
        """What is due now, told once."""
        if now < self._at:
            return None
        due = self._due
        if due is Due.ENQUIRE:
            self._due, self._at = Due.LINK_DEAD, now + self.answer
        else:
            self.stop()
        return due
