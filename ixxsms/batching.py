"""When a sender's next transaction is due, and how much is claimed ahead for the time until then.

A slow disk gets larger batches, not a slower trunk. Time is an argument; must never know the database, nor the driver.
"""

from __future__ import annotations

#: Between two transactions lie so many times the seconds that a commit takes, within these limits, unless the link
#: would have nothing to do. What goes out in so many times as long is claimed ahead. More of both would let others
#: wait: a transaction takes as long as it has messages, and on SQLite nobody else can write meanwhile. On a server they
#: can, and each statement costs more.
GATHER = 5.0
GATHER_LEAST, GATHER_LEAST_ON_SERVER, GATHER_MOST = 0.008, 0.05, 0.06
AHEAD, MOST_AHEAD = 1.5, 2_000

#: Segments for which a transaction is worth its own cost: a slow trunk, too, gathers so many, if that is not long.
WORTH = 100

#: Who brings receipts may wait for their acknowledgement before he brings more: so many seconds of silence end the
#: gathering.
SILENCE = 0.015


class Batching:
    """`on_server`: the database is on one, and no file of this host."""

    def __init__(self, *, on_server: bool) -> None:
        self._least = GATHER_LEAST_ON_SERVER if on_server else GATHER_LEAST
        self._gather = self._least
        self._commit = 0.0  # seconds that one takes, on average
        self._handed = 0  # segments since the rate was measured
        self._measured = self._rate = 0.0
        self._due = self._brought = 0.0

    def due(self, *, brought: bool) -> float:
        """When what was heard is to be recorded. `brought`: it has what the other side wants acknowledged."""
        return min(self._due, self._brought + SILENCE) if brought else self._due

    @property
    def ahead(self) -> float:
        """How many segments to claim beyond what there is room for."""
        return min(MOST_AHEAD, AHEAD * self._gather * self._rate)

    def brought(self, now: float) -> None:
        """The other side has brought something that it wants acknowledged."""
        self._brought = now

    def handed_over(self, segments: int) -> None:
        self._handed += segments

    def begin(self, now: float) -> None:
        """A transaction begins. How fast messages went out since the last one; over less time a figure says nothing."""
        if now - self._measured >= GATHER_LEAST / 2:
            self._rate = self._handed / (now - self._measured)
            self._measured, self._handed = now, 0

    def committed(self, seconds: float) -> None:
        """It is committed, which took so long; one alone may be slow by chance."""
        self._commit += (seconds - self._commit) / 8
        worth = WORTH / self._rate if self._rate else 0.0
        self._gather = min(GATHER_MOST, max(self._least, GATHER * self._commit, worth))

    def end(self, now: float, *, kept: bool) -> None:
        """It is over. `kept`: what is heard from now on stands in a journal; otherwise it is to be recorded at once."""
        self._due = now + self._gather if kept else 0.0
