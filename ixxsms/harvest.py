"""Harvest: take the mobile numbers of Asterisk's call records into a list.

All is read before anything is written. Of a row only its number is kept; what tells a mobile one is the numbering
plan, and only here do the two meet.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import phonenumbers
from sqlalchemy.orm import Session

from ixxsms import lists
from ixxsms.asterisk.cdr import Filters, Skip, Source, Start
from ixxsms.errors import NotFound
from ixxsms.models import HarvestMark, NumberList
from ixxsms.names import check_name
from ixxsms.numbering import Plan, Reason, checker

__all__ = ["harvest", "keep", "look"]

NOT_MOBILE = "not a mobile"

_BATCH = 10_000


@dataclass(frozen=True)
class HarvestReport:
    """What a harvest found.

    `read`: rows that the filters took. `mobiles`: distinct numbers among them = `new` + `already_there`, of
    whom `excluded` stay excluded. `too_few`: distinct numbers with fewer than min_calls. `refused`: places where no
    mobile number stood, by reason. `created`: the list was made. After a dry run: what would have been.
    """

    read: int
    mobiles: int
    new: int
    already_there: int
    excluded: int
    too_few: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    created: bool = False
    mark: str = ""


@dataclass
class _Reading:
    rows: int = 0
    mark: str = ""
    mobiles: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Found:
    """What a look at the CDRs has found for a list, and where the next one begins."""

    list_name: str
    numbers: tuple[str, ...]
    digest: str
    mark: str
    report: HarvestReport


def harvest(
    session: Session,
    plan: Plan,
    list_name: str,
    source: Source,
    filters: Filters | None = None,
    *,
    dry_run: bool = False,
    everything: bool = False,
    create: bool = True,
    overlap: timedelta = timedelta(hours=24),
    progress: Callable[[int], None] | None = None,
    now: float,
) -> HarvestReport:
    """`look`, and unless it is a dry run `keep`, in one transaction."""
    found = look(
        session,
        plan,
        list_name,
        source,
        filters,
        everything=everything,
        create=create,
        overlap=overlap,
        progress=progress,
        now=now,
    )
    return found.report if dry_run else keep(session, found, now=now)


def look(
    session: Session,
    plan: Plan,
    list_name: str,
    source: Source,
    filters: Filters | None = None,
    *,
    everything: bool = False,
    create: bool = True,
    overlap: timedelta = timedelta(hours=24),
    progress: Callable[[int], None] | None = None,
    now: float,
) -> Found:
    """The mobile numbers of the CDRs that were written since the last harvest. It only reads, and may take long.

    `everything`: read all, not only what is new; with min_calls over 1 it is always so, for only all of them can be
    counted. `create`: the list may be missing. `overlap`: how long the longest call may be, where the CDRs have no
    key. `progress`: called with the rows read so far. `now`: seconds since 1970.

    Raises what the source raises, and NotFound and BadInput for the list.
    """
    filters = filters or Filters()
    chosen = _find(session, list_name, create)
    digest = _digest(source, filters, plan)
    whole = everything or filters.min_calls > 1
    before = None if chosen is None else session.get(HarvestMark, (chosen.id, digest))
    start = Start(datetime.fromtimestamp(now), "" if whole or before is None else before.mark, overlap)
    reading = _read(plan, source, filters, start, progress)
    numbers = sorted(number for number, calls in reading.mobiles.items() if calls >= filters.min_calls)
    there = {} if chosen is None else dict(lists.known(session, chosen.id, numbers))
    report = HarvestReport(
        read=reading.rows,
        mobiles=len(numbers),
        new=len(numbers) - len(there),
        already_there=len(there),
        excluded=sum(there.values()),
        too_few=len(reading.mobiles) - len(numbers),
        refused=dict(reading.refused),
        created=chosen is None,
        mark=reading.mark,
    )
    new = tuple(number for number in numbers if number not in there)
    return Found(list_name, new, digest, reading.mark if filters.min_calls <= 1 else "", report)


def keep(session: Session, found: Found, *, now: float) -> HarvestReport:
    """Put what was found on the list, which is made where there is none, and remember how far the CDRs were read.

    The report counts what others have put there since the look as already there.
    """
    chosen = _find(session, found.list_name, create=True) or lists.create(session, found.list_name, now=now)
    starts = range(0, len(found.numbers), _BATCH)
    batches = (dict.fromkeys(found.numbers[at : at + _BATCH]) for at in starts)
    new = lists.add_many(session, chosen.id, batches, "cdr", now)
    if found.mark:
        session.merge(HarvestMark(list_id=chosen.id, source=found.digest, mark=found.mark, harvested_at=now))
    elif gone := session.get(HarvestMark, (chosen.id, found.digest)):
        session.delete(gone)
    return replace(found.report, new=new, already_there=found.report.mobiles - new)


def _find(session: Session, name: str, create: bool) -> NumberList | None:
    try:
        return lists.get(session, name)
    except NotFound:
        if not create:
            raise
        check_name(name, "list")
        return None


def _digest(source: Source, filters: Filters, plan: Plan) -> str:
    """Other filters have read other rows, and another plan has seen other mobiles in them."""
    return hashlib.sha256(repr((source.identity, filters, plan)).encode()).hexdigest()


def _read(
    plan: Plan, source: Source, filters: Filters, start: Start, progress: Callable[[int], None] | None
) -> _Reading:
    reading = _Reading(mark=start.mark)
    numbers: Counter[str] = Counter()
    for batch in source.read(filters, start, never_mobile(plan), calls=filters.min_calls > 1):
        reading.rows += batch.rows
        reading.mark = batch.mark
        reading.refused[NOT_MOBILE] += batch.skipped
        numbers.update(batch.numbers)
        if progress:
            progress(reading.rows)
    check = checker(plan)
    for raw, times in numbers.items():
        found = check(raw)
        if found.mobile:
            reading.mobiles[found.number] = reading.mobiles.get(found.number, 0) + times
        else:
            reading.refused[_reason(found.reason)] += times
    reading.refused = +reading.refused
    return reading


def _reason(reason: str) -> str:
    # An extension is too short for the plan, a landline is in it: here both are the same.
    return NOT_MOBILE if reason in ("", Reason.TOO_SHORT, Reason.TOO_LONG) else reason


def never_mobile(plan: Plan) -> Skip:
    """What cannot be a mobile number in any spelling, for a database to leave out.

    A number that begins with a digit begins with its country code, with 0 or 00, with the digit that is dialled
    first inside the country, or with its own first digit.
    """
    region = plan.country or phonenumbers.region_code_for_country_code(int(plan.country_code))
    dialled = phonenumbers.ndd_prefix_for_region(region, True) or ""
    possible = {"0", plan.country_code[0], dialled[:1], *(prefix[:1] for prefix in plan.mobile_prefixes)}
    foreign = any(prefix.startswith("+") for prefix in plan.mobile_prefixes)
    return Skip("".join(sorted(set("123456789") - possible)), 0 if foreign else plan.min_length)
