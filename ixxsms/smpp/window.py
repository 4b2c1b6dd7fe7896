"""Requests in flight, by sequence number, each with the time at which its answer is overdue.

A request is registered before it is written, so that no answer can come too early and no loss can miss it.
Must never know what a request is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

#: A request is a tuple, and its first item is its deadline.
T = TypeVar("T", bound=tuple[float, *tuple[Any, ...]])


class Window(Generic[T]):
    """Deadlines must not decrease from one `register` to the next: then the first in is the first to be overdue."""

    def __init__(self) -> None:
        self._requests: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def register(self, requests: Mapping[int, T]) -> None:
        """These, by their sequence numbers, are about to be written."""
        self._requests.update(requests)

    def complete(self, sequence: int) -> T | None:
        """The request that this answers, which is in flight no more; None for an answer that nothing waits for."""
        return self._requests.pop(sequence, None)

    def next_deadline(self) -> float:
        """When the oldest is overdue; infinity while nothing is in flight."""
        for request in self._requests.values():
            return request[0]
        return float("inf")

    def expire(self, now: float) -> dict[int, T]:
        """Take out what is overdue, oldest first, by its sequence number."""
        overdue = {}
        while self._requests:
            sequence = next(iter(self._requests))
            if self._requests[sequence][0] > now:
                break
            overdue[sequence] = self._requests.pop(sequence)
        return overdue

    def drain(self) -> list[T]:
        """Take out everything: the link is lost."""
        requests = list(self._requests.values())
        self._requests.clear()
        return requests
