"""What a trunk may send after the SMSC said "too fast": nothing for a while, then slowly, and in the end freely again.

One for all binds of a trunk, for it is the account that the SMSC counts. Time is an argument; must never know segments
or links.
"""

from __future__ import annotations

from ixxsms.pace import Pace
from ixxsms.smpp.backoff import Backoff

PAUSE_FIRST, PAUSE_LAST = 1.0, 60.0  #: seconds that a throttled trunk is silent
MEASURED = 0.25  #: seconds over which the rate that the SMSC takes is measured: many take a burst before they refuse
CLIMB = 5.0  #: seconds until the rate is again what it was when the SMSC turned it down
DROP = 0.3  #: by how much less than that it begins
FREE = 4.0  #: how many times that rate, taken without a refusal, ends the limit
SLOWEST = 1.0  #: segments per second


class Throttle:
    """`paused`: nothing may go before `resume_at`. `limited`: paused, or not more than `allowed` says may go.

    After a pause the rate follows the cubic curve of RFC 9438 around the one that was turned down: quickly towards it,
    slowly past it, then away from it, so that most of the time is spent close under what the SMSC takes.
    """

    def __init__(self) -> None:
        self.paused = self.limited = False
        self.resume_at = float("inf")
        self.taken = 0  #: segments that the SMSC has accepted; who hears its answers counts them here
        self.measure_at = float("-inf")  #: when `measure` is to be called
        self._lately = 0.0
        self._since = float("-inf")
        self._pauses = Backoff(PAUSE_FIRST, PAUSE_LAST)
        self._resumed_at = float("-inf")
        self._asked_at = float("-inf")
        self._rate = 0.0  # what goes while it is limited
        self._refused_at = 0.0  # the rate that was turned down
        self._pace = Pace(0)

    def measure(self, now: float) -> None:
        """Begin to count anew; see `measure_at`."""
        self._lately = self.taken / max(MEASURED, now - self._since)
        self.taken, self._since, self.measure_at = 0, now, now + MEASURED

    def refused(self, since: float, now: float) -> None:
        """A segment that was sent at `since` was turned down."""
        # Of all that was under way only the first answer makes a pause, and the next pause longer.
        if self.paused or since < self._resumed_at:
            return
        if not self.limited:
            self._rate = max(self._lately, self.taken / max(MEASURED, now - self._since))
        self._refused_at = max(SLOWEST, self._rate)
        self.paused = self.limited = True
        self.resume_at = now + self._pauses.next()

    def accepted(self, since: float) -> None:
        """A segment that was sent at `since` was taken; need not be told while nothing is limited."""
        if since >= self._resumed_at:
            self._pauses.reset()

    def allowed(self, now: float) -> float:
        """How many segments may go now; less than one: none."""
        if not self.limited:
            return float("inf")
        if self.paused:
            if now < self.resume_at:
                return 0.0
            self.paused, self.resume_at, self._resumed_at = False, float("inf"), now
            self._pace = Pace(SLOWEST)
        self._asked_at = now
        self._rate = self._refused_at * (1 + DROP * ((now - self._resumed_at) / CLIMB - 1) ** 3)
        if self._rate >= FREE * self._refused_at:
            self.limited = False
            return float("inf")
        self._pace.change(self._rate)
        return self._pace.allowed(now)

    def spend(self, segments: int) -> None:
        """So many went."""
        self._pace.spend(segments)

    @property
    def ahead(self) -> int:
        """How many segments are worth waiting for their turn, while `limited`: those of one second."""
        return max(1, int(self._rate))

    @property
    def next_at(self) -> float:
        """When the next segment may go, while `limited`."""
        return self.resume_at if self.paused else self._asked_at + self._pace.wait()
