"""The outbox: messages on their way. Only this package changes a message's state, always by a guarded UPDATE.

A claim takes queued messages straight to submitted, no more than the driver has room for; its transaction is
committed before the first byte is written. So after a crash what is still queued has certainly not left, and what is
submitted, a window's worth at most, is in doubt.
"""

from __future__ import annotations

from ixxsms.outbox.claims import Claimed, Source, claim, has_work
from ixxsms.outbox.doubt import Doubt, Resolved, Verdict, doubtful, doubts_of, identify, on_their_way, resolve
from ixxsms.outbox.failover import MOST_FAILOVERS, fail_over
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
)
from ixxsms.outbox.queue import NOW, cancel, check_text, enqueue, exclude, expire, new_rounds, prepare
from ixxsms.outbox.routing import find_route, give_routes, reroute, route_of
from ixxsms.outbox.steps import QUEUED
from ixxsms.outbox.turns import SLOTS, NextTrunks, Turn, slot
from ixxsms.outbox.views import counts, get, holds, rows, segments_to_send

__all__ = [
    "MOST_FAILOVERS",
    "MOST_RESENDS",
    "MOST_RETRIES",
    "NOW",
    "QUEUED",
    "SLOTS",
    "Claimed",
    "Doubt",
    "NextTrunks",
    "Resolved",
    "Retry",
    "Source",
    "Turn",
    "Verdict",
    "cancel",
    "check_text",
    "claim",
    "counts",
    "doubtful",
    "doubts_of",
    "enqueue",
    "exclude",
    "expire",
    "fail_over",
    "find_route",
    "get",
    "give_back",
    "give_routes",
    "has_work",
    "holds",
    "identify",
    "new_rounds",
    "on_their_way",
    "prepare",
    "record",
    "remote_key",
    "reroute",
    "resolve",
    "route_of",
    "rows",
    "segments_to_send",
    "settle",
    "settle_dead",
    "settle_orphans",
    "slot",
]
