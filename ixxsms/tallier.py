"""Counts the messages of large campaigns for those who look, now and then, in transactions of their own.

Several daemons may do so side by side: what one has counted, the next one finds to be fresh.
"""

from __future__ import annotations

import time

from ixxsms import outbox
from ixxsms.db import Database

#: Seconds between two looks at whether the outgoing queue has become large.
LOOK = 60.0


class Tallier:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._took: dict[int | None, float] = {}
        self._looked = -LOOK

    def turn(self, *, ending: bool = False) -> None:
        """Count what is due. `ending`: the daemon is about to end."""
        now = time.time()
        with self._database.read() as session:
            wanted = outbox.due(session, self._took, now, ending=ending)
            if None not in wanted and time.monotonic() - self._looked >= LOOK:
                self._looked = time.monotonic()
                wanted += [None] if outbox.queue_is_large(session) else []
        for campaign_id in wanted:
            self._count(campaign_id)

    def _count(self, campaign_id: int | None) -> None:
        began, started = time.time(), time.monotonic()
        # Not in the transaction that keeps it: on SQLite nobody could send meanwhile.
        with self._database.read() as session:
            found = outbox.count(session, campaign_id)
        self._took[campaign_id] = time.monotonic() - started
        self._database.transact(lambda session: outbox.keep(session, campaign_id, found, began))
