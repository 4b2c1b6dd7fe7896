"""What a sender has claimed: what of it is ahead, what is owed an answer, and what it has on leases.

An account in memory; must never know the database, nor the driver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ixxsms import outbox


class Lease(NamedTuple):
    """A lease that a sender has, since so many seconds since 1970. `left`: its messages, the last one first; what is
    not owed any more goes.
    """

    leased: outbox.Leased
    left: list[int]
    at: float


class Held:
    """`owed`: messages that were claimed and whose outcome is not recorded, each with the segments counted for it.

    `since`: when those of them that are on a lease were leased. Only `give` may be called from other threads.
    """

    def __init__(self) -> None:
        self.owed: dict[int, int] = {}
        self.since: dict[int, float] = {}
        self.leases: list[Lease] = []
        # Each with when it was claimed, by the monotonic clock.
        self._ahead: deque[tuple[outbox.Claimed, float]] = deque()
        self._given: deque[tuple[list[outbox.Claimed], float]] = deque()

    # -- what is ahead: claimed, and not handed over yet -------------------------------------------------------------

    @property
    def messages_ahead(self) -> int:
        return len(self._ahead)

    @property
    def segments_ahead(self) -> int:
        return sum([message.segments for message, _ in self._ahead])

    def ids_ahead(self) -> list[int]:
        return [message.id for message, _ in self._ahead]

    @property
    def next_claimed_at(self) -> float:
        """When the one was claimed that is next; there must be one."""
        return self._ahead[0][1]

    def take(self, claimed: Sequence[outbox.Claimed], began: float) -> None:
        """These are ours now. What is of no campaign goes before what is, and the urgent before all."""
        self.owed.update((message.id, message.segments) for message in claimed)
        of_queue = [(message, began) for message in claimed if message.queue]
        if of_queue:
            first = []
            while self._ahead and self._ahead[0][0].queue:
                first.append(self._ahead.popleft())
            first = sorted(first + of_queue, key=lambda each: -each[0].urgency)  # among equals their order stays
            self._ahead.extendleft(reversed(first))
        self._ahead.extend((message, began) for message in claimed if not message.queue)

    def give(self, claimed: list[outbox.Claimed], began: float) -> None:
        """Somebody else has claimed these for the sender, who takes them with `take_given`."""
        self._given.append((claimed, began))

    def take_given(self) -> None:
        while self._given:
            self.take(*self._given.popleft())

    def hand_out(self, room: float, after: float) -> list[outbox.Claimed]:
        """The next ones that there is room for, of what was claimed after that time; they are ahead no more."""
        batch = []
        while self._ahead and room >= 1 and self._ahead[0][1] > after:
            message, _ = self._ahead.popleft()
            if message.id in self.owed:  # else the late answer to an earlier try has settled it
                batch.append(message)
                room -= message.segments
        return batch

    def give_back(self) -> list[int]:
        """All that is ahead is to be queued again, and not to be handed over any more whatever becomes of that."""
        back = [message_id for message_id in self.ids_ahead() if self.owed.pop(message_id, None)]
        self._ahead.clear()
        return back

    # -- leases ------------------------------------------------------------------------------------------------------

    def lease(self, leases: Iterable[Lease]) -> None:
        """These leases are ours now; their messages are taken for themselves."""
        for lease in leases:
            self.leases.append(lease)
            self.since.update(dict.fromkeys(lease.left, lease.at))

    def shorten(self) -> None:
        """What is not owed any more leaves its lease."""
        for lease in self.leases:
            while lease.left and lease.left[-1] not in self.owed:
                self.since.pop(lease.left.pop(), None)

    def ended(self) -> list[outbox.Leased]:
        """The leases that have nothing left."""
        return [lease.leased for lease in self.leases if not lease.left]

    def drop(self, *, all_of_them: bool) -> None:
        """Those that have nothing left, or all, have ended in the database."""
        self.leases = [] if all_of_them else [lease for lease in self.leases if lease.left]
        if not self.leases:
            self.since.clear()
