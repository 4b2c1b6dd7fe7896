"""The outbox: messages on their way. Only this package changes a message's state, always by a guarded UPDATE.

A claim takes queued messages straight to submitted, no more than the driver has room for; its transaction is
committed before the first byte is written. So after a crash what is still queued has certainly not left, and what is
submitted, a window's worth at most, is in doubt.
"""

from __future__ import annotations

from ixxsms.outbox.claims import Claimed, Source, claim, has_work
from ixxsms.outbox.outcomes import (
    MOST_RESENDS,
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
from ixxsms.outbox.turns import SLOTS, Turn, slot
from ixxsms.outbox.views import counts, get, holds, rows, segments_to_send

__all__ = [
    "MOST_RESENDS",
    "NOW",
    "SLOTS",
    "Claimed",
    "Retry",
    "Source",
    "Turn",
    "cancel",
    "check_text",
    "claim",
    "counts",
    "enqueue",
    "exclude",
    "expire",
    "find_route",
    "get",
    "give_back",
    "give_routes",
    "has_work",
    "holds",
    "new_rounds",
    "prepare",
    "record",
    "remote_key",
    "reroute",
    "route_of",
    "rows",
    "segments_to_send",
    "settle",
    "settle_dead",
    "settle_orphans",
    "slot",
]
