"""A message that is queued while its sender is idle is claimed in the very transaction that queues it.

Knows senders, and that they have one transaction at a time. Who is at one of his own is left alone: he claims the
message in his next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.orm import Session

from ixxsms.outbox import Claimed
from ixxsms.sender import Sender

#: Claims what the transaction has queued, at its end; returns the ids of the messages.
Claim = Callable[[Session], set[int]]
Claiming = Callable[[], AbstractContextManager[Claim]]


@contextmanager
def claiming_at_once(senders: Iterable[Sender]) -> Iterator[Claim]:
    """A block that does one transaction, several times if it must be done anew, and ends when it is committed.

    Then the senders have what was claimed; if the block raises they find out what of it they have all the same.
    """
    idle: list[Sender] = []
    claims: dict[int, list[Claimed]] = {}
    began, done = 0.0, False

    def claim(session: Session) -> set[int]:
        nonlocal began
        began = time.monotonic()
        idle.extend(sender for sender in senders if sender not in idle and sender.stand_by())
        for sender in idle:
            claims[sender.trunk_id] = sender.claim_queued(session)
        return {message.id for claimed in claims.values() for message in claimed}

    try:
        yield claim
        done = True
    finally:
        for sender in idle:
            sender.go_on(claims.get(sender.trunk_id, []), began, committed=done)
