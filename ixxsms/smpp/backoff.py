"""A wait that doubles. Knows no clock: who waits adds it to the time."""

from __future__ import annotations


class Backoff:
    """Seconds to wait: `first`, twice that, and so on up to `last`, until a success resets it."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, last
        self._next = first

    def next(self) -> float:
        wait, self._next = self._next, min(self._next * 2, self.last)
        return wait

    def reset(self) -> None:
        self._next = self.first
