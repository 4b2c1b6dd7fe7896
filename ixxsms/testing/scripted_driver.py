"""A driver without a link: every outcome is written down by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ixxsms.drivers.base import Link
from ixxsms.events import Accepted, Event, InDoubt, Submission
from ixxsms.smpp.smsc import by_prefix


class ScriptedDriver:
    """A driver that answers as it is told. `answers`: prefix of a destination -> what comes of a submission to it.

    An answer is a function that gets the Submission and gives one Outcome; without one the message is accepted, with
    the remote ids "<message id>-1" and so on. With `hold` nothing is answered before `release`.
    """

    def __init__(
        self,
        answers: Mapping[str, Callable[[Submission], Event]] | None = None,
        *,
        window: int = 100,
        hold: bool = False,
    ) -> None:
        self.link, self.why = Link.UP, ""
        self.answers, self.window, self.hold = dict(answers or {}), window, hold
        self.submitted: list[Submission] = []
        self.acknowledged: list[Any] = []
        self.refused: list[Any] = []
        self.closed = False
        self._held: list[Submission] = []
        self._events: list[Event] = []
        self._news = threading.Event()

    def say(self, *events: Event) -> None:
        """The next `poll` gives these: receipts, incoming messages, Stopped."""
        self._events += events
        self._news.set()

    def set_link(self, link: Link, why: str = "") -> None:
        self.link, self.why = link, why
        self._news.set()

    def release(self) -> None:
        """Answer what was held back."""
        held, self._held = self._held, []
        self.say(*(self._answer(submission) for submission in held))

    def room(self) -> int:
        return max(0, self.window - len(self._held)) if self.link is Link.UP and not self.closed else 0

    def in_flight(self) -> int:
        return len(self._held) + sum(1 for event in self._events if hasattr(event, "message_id"))

    def submit(self, batch: Sequence[Submission]) -> None:
        self.submitted += batch
        if self.hold:
            self._held += batch
        else:
            self.say(*(self._answer(submission) for submission in batch))

    def poll(self, timeout: float) -> list[Event]:
        self._news.wait(timeout)
        self._news.clear()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        self._news.set()

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        self.acknowledged += tokens

    def refuse(self, tokens: Iterable[Any]) -> None:
        self.refused += tokens

    def close(self) -> list[Event]:
        self.closed = True
        events: list[Event] = [InDoubt(held.message_id, "The trunk was closed.") for held in self._held]
        self._held = []
        return [*self.poll(0.0), *events]

    def _answer(self, submission: Submission) -> Event:
        answer = by_prefix(self.answers, submission.destination)
        if answer is not None:
            event: Event = answer(submission)
            return event
        ids = tuple(f"{submission.message_id}-{number}" for number in range(1, submission.segments + 1))
        return Accepted(submission.message_id, ids)
