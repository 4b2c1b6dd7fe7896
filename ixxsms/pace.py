"""Segments per second, as a token bucket. Time is an argument; it knows no clock."""

from __future__ import annotations


class Pace:
    """Allows `rate` segments per second (0: no limit), and a tenth of a second's worth (one at least) at once.

    A message of many segments may overdraw the bucket: its segments stay together, and the debt is waited off.
    """

    def __init__(self, rate: float) -> None:
        self._whole = rate
        self._at: float | None = None
        self.share(1)
        self._tokens = self._burst

    def share(self, among: int) -> None:
        """The rate is that of so many together: each has its part of it, of the burst too."""
        self.rate = self._whole / max(1, among)
        self._burst = max(1.0, self.rate / 10)

    def change(self, rate: float) -> None:
        """Go on with another rate; what was spent stays spent."""
        self.rate, self._burst = rate, max(1.0, rate / 10)

    def allowed(self, now: float) -> float:
        """How many segments may go now; infinity without a limit, negative or below one while a debt is open."""
        if not self.rate:
            return float("inf")
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now
        return self._tokens

    def spend(self, segments: int) -> None:
        if self.rate:
            self._tokens -= segments

    def wait(self) -> float:
        """Seconds until one segment may go, counted from the last `allowed`; 0 when one may go already."""
        return 0.0 if not self.rate else max(0.0, (1.0 - self._tokens) / self.rate)
