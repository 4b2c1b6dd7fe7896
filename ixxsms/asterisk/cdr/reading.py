"""What a reading of CDRs is asked for and gives, whatever they are kept in.

Rows arrive when a call ends and carry the time at which it began: the time of the last one read says nothing about
what is still to come. Hence the marks: a key, a place in a file, or failing both a time and an overlap.
"""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import exc

from ixxsms.errors import BadInput, DatabaseError

#: The longest call: what began this long before a mark may still have arrived after it.
OVERLAP = timedelta(hours=24)

#: Where each direction finds the number.
NUMBERS = {"in": ("src",), "out": ("dst",), "both": ("src", "dst")}


@dataclass(frozen=True)
class Filters:
    """Which rows are taken.

    `direction`: "in" takes the caller's number, "out" the dialled one, "both" either. `since` (inclusive), `until`
    (exclusive): when the call began, in the PBX's local time without a zone, as the rows have it. `disposition`:
    ANSWERED, NO ANSWER, BUSY, FAILED, in any case. `did`: the number that was called, as the row has it.
    `min_billsec`: seconds. `min_calls`: of one number, which only the caller can count, who knows all spellings of a
    number. `context`: that of the dialplan. `missed`: calls, not rows, and only those that nobody took. Rows that tell
    of an SMS are never taken. Raises BadInput.
    """

    direction: str = "in"
    since: datetime | None = None
    until: datetime | None = None
    disposition: str = ""
    did: str = ""
    min_billsec: int = 0
    min_calls: int = 1
    context: str = ""
    missed: bool = False

    def __post_init__(self) -> None:
        if self.direction not in NUMBERS:
            raise BadInput(f'The direction "{self.direction}" is none of in, out and both.')
        if self.missed and self.direction != "in":
            raise BadInput("Only the calls that came in can be missed; leave the direction at in.")


@dataclass(frozen=True)
class Start:
    """Where a reading begins: after `mark`, or with the first row where that is empty. `now`: in local time.

    A mark of another kind of source, or beyond the end (the table was emptied, the file rotated), counts as empty.
    """

    now: datetime
    mark: str = ""
    overlap: timedelta = OVERLAP


@dataclass(frozen=True)
class Skip:
    """What the caller would throw away in any case, so that it need not leave the database.

    Of what begins with an ASCII digit: what begins with one of `digits`, and what has fewer than `shorter_than`
    characters. Everything else is always handed on.
    """

    digits: str = ""
    shorter_than: int = 0


NOTHING = Skip()


@dataclass(frozen=True)
class Batch:
    """Some of the rows that the filters take.

    `rows`: how many; of missed calls, how many calls. `numbers`: what stands in them as a number, for Counter.update:
    once for each row, or call if those were asked for, or already counted. `skipped`: values that Skip left out.
    `mark`: where a later reading goes on, "" if it must begin again; that of the last batch counts. The first may be
    without rows: where there are none the mark from before does not hold for what will be written.
    """

    rows: int
    numbers: list[str] | Counter[str]
    skipped: int
    mark: str


class Source(Protocol):
    """A place where Asterisk writes its CDRs."""

    @property
    def identity(self) -> str:
        """Which place it is: the same each time, and without a password."""

    def read(self, filters: Filters, start: Start, skip: Skip = NOTHING, calls: bool = False) -> Iterator[Batch]:
        """Read from `start` to what is the end now. `calls`: count calls instead of rows.

        Raises NotFound (file, table), DatabaseError (not reachable, not readable) and BadInput (a filter on a column
        that is not there), each with one sentence.
        """


class CallCounter:
    """Counts a call of a number once. Its rows are written together when it ends: only the batch before can have
    the others."""

    def __init__(self) -> None:
        self._before: set[tuple[str, str]] = set()

    def count(self, pairs: Iterable[tuple[str, str]]) -> list[str]:
        """`pairs`: (number, call) of each row. Returns the number of each call that is new."""
        these = set(pairs)
        fresh = these - self._before
        self._before = these
        return [number for number, _ in fresh]


def begin(mark: str, kind: str, last: int) -> int:
    """The number in a mark `kind:number`; 0 for one of another kind or beyond `last`."""
    number = int(mark.removeprefix(f"{kind}:")) if mark.startswith(f"{kind}:") else 0
    return number if number <= last else 0


def moment(when: datetime) -> str:
    """A time as CDRs have it, in text."""
    return when.isoformat(" ", "seconds")


@contextmanager
def one_sentence(shown: str, done: str = "read") -> Iterator[None]:
    """What a driver or the system raises becomes a DatabaseError of one sentence."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, csv.Error, OSError) as error:
        cause = getattr(error, "orig", None) or error
        said = str(cause.args[-1] if cause.args else cause).strip().splitlines() or ["no reason given"]
        raise DatabaseError(f"The CDRs in {shown} cannot be {done}: {said[0].rstrip('.')}.") from error
