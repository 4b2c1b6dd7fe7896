"""The outbox: messages on their way. Only this package changes a message's state, always by a guarded UPDATE.

A claim takes queued messages straight to submitted, one by one or a batch by a lease; its transaction is committed
before the first byte is written. So after a crash what is still queued, and not leased, has certainly not left. Of what
is submitted the sender's journal knows more: what was not handed to the link is queued again, what was answered is
recorded, and the rest, a window's worth at most, is in doubt. Without a journal nothing is claimed but what the link
has room for, and all of it is in doubt.
"""

from __future__ import annotations

from ixxsms.outbox.barred import FAREWELL, OPTED_OUT, opted_out, refusal
from ixxsms.outbox.claims import Cap, Claimed, Source, claim, has_work, lease
from ixxsms.outbox.doubt import Doubt, Resolved, Verdict, doubtful, doubts_of, identify, on_their_way, resolve
from ixxsms.outbox.failover import MOST_FAILOVERS, fail_over
from ixxsms.outbox.leases import Leased, end, hold, prepare_leases
from ixxsms.outbox.outcomes import (
    MOST_RESENDS,
    MOST_RETRIES,
    Retry,
    give_back,
    record,
    remote_key,
    settle,
    settle_dead,
    settle_orphans,
    tell_why,
    unclaim,
)
from ixxsms.outbox.queue import (
    NOW,
    Draft,
    add,
    cancel,
    cancel_some,
    check_text,
    enqueue,
    exclude,
    expire,
    new_rounds,
    prepare,
)
from ixxsms.outbox.routing import find_route, reroute, route_of, with_gone_route
from ixxsms.outbox.steps import FRESH, QUEUED
from ixxsms.outbox.tallies import Counted, count, counted, counts, due, forget, keep, queue_is_large
from ixxsms.outbox.turns import SLOTS, NextTrunks, Turn, slot
from ixxsms.outbox.views import get, holds, rows

__all__ = [
    "FAREWELL",
    "FRESH",
    "MOST_FAILOVERS",
    "MOST_RESENDS",
    "MOST_RETRIES",
    "NOW",
    "OPTED_OUT",
    "QUEUED",
    "SLOTS",
    "Cap",
    "Claimed",
    "Counted",
    "Doubt",
    "Draft",
    "Leased",
    "NextTrunks",
    "Resolved",
    "Retry",
    "Source",
    "Turn",
    "Verdict",
    "add",
    "cancel",
    "cancel_some",
    "check_text",
    "claim",
    "count",
    "counted",
    "counts",
    "doubtful",
    "doubts_of",
    "due",
    "end",
    "enqueue",
    "exclude",
    "expire",
    "fail_over",
    "find_route",
    "forget",
    "get",
    "give_back",
    "has_work",
    "hold",
    "holds",
    "identify",
    "keep",
    "lease",
    "new_rounds",
    "on_their_way",
    "opted_out",
    "prepare",
    "prepare_leases",
    "queue_is_large",
    "record",
    "refusal",
    "remote_key",
    "reroute",
    "resolve",
    "route_of",
    "rows",
    "settle",
    "settle_dead",
    "settle_orphans",
    "slot",
    "tell_why",
    "unclaim",
    "with_gone_route",
]
