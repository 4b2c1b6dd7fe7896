"""The states of a message and of a campaign: two tables, and only these tables decide what may follow what.

A claim takes a message straight from queued to submitted, in the transaction that is committed before its first
byte is written: whoever finds a submitted message of a dead process knows that it may have left, and that every
queued one has not. What a lease covers (outbox.leases) is submitted although its row says queued.
"""

from __future__ import annotations

from enum import StrEnum

from ixxsms.errors import IllegalTransition


class MessageState(StrEnum):
    QUEUED = "queued"  #: waits for its turn, or for `not_before`
    SUBMITTED = "submitted"  #: given to a trunk's driver; its answer is awaited
    ACCEPTED = "accepted"  #: the SMSC (or the script) took it and answers for it
    DELIVERED = "delivered"  #: a receipt says that the phone has it
    UNDELIVERED = "undelivered"  #: a receipt says that it will never arrive
    REFUSED = "refused"  #: this number or text will never go
    IN_DOUBT = "in_doubt"  #: the link or the process died before the answer; never resent silently
    CANCELLED = "cancelled"  #: taken back before it left
    EXPIRED = "expired"  #: its time ran out before it left
    EXCLUDED = "excluded"  #: its number must not be written to


class CampaignState(StrEnum):
    PAUSED = "paused"
    RUNNING = "running"
    FINISHED = "finished"  #: no message is queued or submitted any more
    CANCELLED = "cancelled"


_M = MessageState
MESSAGE_STEPS: dict[MessageState, frozenset[MessageState]] = {
    _M.QUEUED: frozenset({_M.SUBMITTED, _M.CANCELLED, _M.EXPIRED, _M.EXCLUDED, _M.REFUSED}),
    _M.SUBMITTED: frozenset({_M.ACCEPTED, _M.QUEUED, _M.REFUSED, _M.IN_DOUBT}),
    # Back to queued only where its receipt says that it will not arrive, and the next trunk is to try.
    _M.ACCEPTED: frozenset({_M.DELIVERED, _M.UNDELIVERED, _M.QUEUED}),
    _M.IN_DOUBT: frozenset({_M.ACCEPTED, _M.DELIVERED, _M.UNDELIVERED, _M.REFUSED, _M.QUEUED}),
    _M.DELIVERED: frozenset(),
    _M.UNDELIVERED: frozenset(),
    _M.REFUSED: frozenset(),
    _M.CANCELLED: frozenset(),
    _M.EXPIRED: frozenset(),
    _M.EXCLUDED: frozenset(),
}

_C = CampaignState
CAMPAIGN_STEPS: dict[CampaignState, frozenset[CampaignState]] = {
    _C.PAUSED: frozenset({_C.RUNNING, _C.CANCELLED}),
    _C.RUNNING: frozenset({_C.PAUSED, _C.FINISHED, _C.CANCELLED}),
    _C.FINISHED: frozenset({_C.RUNNING}),  # a message of it is queued again
    _C.CANCELLED: frozenset(),
}

#: A message in one of these still has its sending before it: its campaign is not finished.
OPEN = frozenset({_M.QUEUED, _M.SUBMITTED})


def sources(target: MessageState) -> frozenset[MessageState]:
    """The states from which a message may step to `target`: what the WHERE of a guarded UPDATE lists."""
    return frozenset(state for state, nexts in MESSAGE_STEPS.items() if target in nexts)


def check_campaign_step(current: CampaignState, target: CampaignState) -> None:
    """Raise IllegalTransition unless a campaign may go from `current` to `target`."""
    if target not in CAMPAIGN_STEPS[current]:
        raise IllegalTransition(f"A {current} campaign cannot become {target}.")
