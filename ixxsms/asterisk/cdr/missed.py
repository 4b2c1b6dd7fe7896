"""Calls that nobody took: the caller was put through to a phone, or waited in a queue, and spoke with nobody.

A disposition alone does not tell. A call that the PBX answered before the queue is ANSWERED although it was abandoned
there. Of phones that rang in turn each is a row, NO ANSWER in all but one. A queue's calls to its members can be rows
with the caller's number, written while he is speaking with another member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

#: Those that put a caller through, in the column `lastapp`. What comes after them, such as voicemail, is no answer.
APPLICATIONS = ("Dial", "Queue")


class Leg(NamedTuple):
    """One row of a call with one of APPLICATIONS. `uniqueid`: its own where the rows have none, so that each is a
    call. `linkedid`, `channel`: empty where the rows have none. `wanted`: the other filters take it."""

    number: str
    uniqueid: str
    linkedid: str
    channel: str
    dstchannel: str
    disposition: str
    wanted: bool

    @property
    def is_callers(self) -> bool:
        """Whether it is of the channel that began the call, not of one to which the call led."""
        local = self.channel.startswith("Local/")
        if not self.linkedid:
            return not local
        # A Local channel begins a call with Originate and call files: the half that comes into the dialplan is the
        # next after the other. One to which a call leads is never the next after the channel that began it.
        return self.uniqueid == self.linkedid or (local and _nth(self.uniqueid) == _nth(self.linkedid) + 1)

    @property
    def spoke(self) -> bool:
        return self.disposition.upper() == "ANSWERED" and self.dstchannel != ""


class MissedCalls:
    """Finds them in rows of which those of one call stand together, as they were written."""

    def __init__(self) -> None:
        self._last: list[Leg] = []

    def take(self, legs: Iterable[Leg], end: bool) -> Counter[str]:
        """How many calls of each number nobody took. What the last call is comes with the next legs, unless it is the
        `end`."""
        begun = [*self._last, *(leg for leg in legs if leg.is_callers)]
        calls = [list(call) for _, call in groupby(begun, key=lambda leg: leg.uniqueid)]
        self._last = calls.pop() if calls and not end else []
        return Counter(
            call[0].number for call in calls if any(leg.wanted for leg in call) and not any(leg.spoke for leg in call)
        )


def _nth(uniqueid: str) -> int:
    counter = uniqueid.rpartition(".")[2]
    return int(counter) if counter.isdecimal() else -1
