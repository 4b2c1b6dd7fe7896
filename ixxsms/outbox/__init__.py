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
from ixxsms.outbox.views import counts, get, rows, segments_to_send

__all__ = [
    "MOST_RESENDS",
    "NOW",
    "Claimed",
    "Retry",
    "Source",
    "cancel",
    "check_text",
    "claim",
    "counts",
    "enqueue",
    "exclude",
    "expire",
    "get",
    "give_back",
    "has_work",
    "new_rounds",
    "prepare",
    "record",
    "remote_key",
    "rows",
    "segments_to_send",
    "settle",
    "settle_dead",
    "settle_orphans",
]
