"""Requests in flight, by sequence number, each with the time at which its answer is overdue.

A request is registered before it is written, so that no answer can come too early and no loss can miss it.
Must never know what a request is.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Window(Generic[T]):
    """Deadlines must not decrease from one `register` to the next: then the first in is the first to be overdue."""

    def __init__(self) -> None:
        self._requests: dict[int, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def register(self, sequence: int, deadline: float, request: T) -> None:
        self._requests[sequence] = (deadline, request)

    def complete(self, sequence: int) -> T | None:
        """The request that this answers, which is in flight no more; None for an answer that nothing waits for."""
        entry = self._requests.pop(sequence, None)
        return None if entry is None else entry[1]

    def next_deadline(self) -> float:
        """When the oldest is overdue; infinity while nothing is in flight."""
        for deadline, _ in self._requests.values():
            return deadline
        return float("inf")

    def expire(self, now: float) -> list[T]:
        """Take out what is overdue, oldest first."""
        overdue = []
        while self._requests:
            sequence = next(iter(self._requests))
            if self._requests[sequence][0] > now:
                break
            overdue.append(self._requests.pop(sequence)[1])
        return overdue

    def drain(self) -> list[T]:
        """Take out everything: the link is lost."""
        requests = [request for _, request in self._requests.values()]
        self._requests.clear()
        return requests
