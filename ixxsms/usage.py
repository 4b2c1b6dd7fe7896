"""Caps: how many segments a trunk may send in a day and in a month of the local calendar, over all daemons.

What is claimed is counted in the transaction of its claim, and taken off where the trunk did not take it. A trunk
without a cap is not counted at all. Verbs take an open session and never commit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import cast

from sqlalchemy import ColumnElement, Table, case, func, select, update
from sqlalchemy.orm import Session

from ixxsms.bulk import insert_and_lock
from ixxsms.models import Message, Trunk, TrunkUsage
from ixxsms.states import MessageState

__all__ = ["has_cap", "held", "left", "reached", "spend", "take_off", "used"]

_TABLE = cast(Table, TrunkUsage.__table__)


@dataclass(frozen=True)
class Used:
    """Segments that were sent today and in this month, since the trunk has a cap."""

    today: int = 0
    month: int = 0


def has_cap(trunk: Trunk) -> bool:
    return trunk.daily_cap > 0 or trunk.monthly_cap > 0


def left(session: Session, trunk: Trunk, now: float) -> float:
    """How many segments the trunk may still send. Until the commit no other daemon counts for it."""
    day = _day(now)
    insert_and_lock(session, _TABLE, {"trunk_id": trunk.id, "day": day, "segments": 0})
    return _left(trunk, used(session, trunk.id, now))


def spend(session: Session, trunk_id: int, segments: int, now: float) -> None:
    """These segments were claimed, after a call of `left`."""
    row = update(TrunkUsage).where(*_row(trunk_id, _day(now)))
    session.execute(row.values(segments=TrunkUsage.segments + segments))


def held(session: Session, trunk_id: int, daemon_id: int, message_ids: Collection[int]) -> Counter[str]:
    """The segments of those messages that this daemon still has submitted to the trunk, by the day of their claim.

    To be asked before an outcome is recorded: one that is recorded twice must not count twice.
    """
    ids, segments = sorted(message_ids), Counter[str]()
    for at in range(0, len(ids), 500):
        mine = select(Message.submitted_at, Message.segments).where(
            Message.id.in_(ids[at : at + 500]),
            Message.state == str(MessageState.SUBMITTED),
            Message.via_trunk_id == trunk_id,
            Message.daemon_id == daemon_id,
        )
        for row in session.execute(mine):
            segments[_day(row.submitted_at)] += row.segments
    return segments


def take_off(session: Session, trunk_id: int, segments: Mapping[str, int]) -> None:
    """The trunk did not take these segments, each counted on the day when it was claimed."""
    for day, count in sorted(segments.items()):
        fewer = case((TrunkUsage.segments > count, TrunkUsage.segments - count), else_=0)
        session.execute(update(TrunkUsage).where(*_row(trunk_id, day)).values(segments=fewer))


def used(session: Session, trunk_id: int, now: float) -> Used:
    """What the trunk has sent."""
    return _used(session, [trunk_id], now).get(trunk_id, Used())


def reached(session: Session, trunks: Iterable[Trunk], now: float) -> dict[int, str]:
    """Those trunks that are at a cap, each with what is to be said about it. Without caps it asks nothing."""
    capped = [trunk for trunk in trunks if has_cap(trunk)]
    if not capped:
        return {}
    found = _used(session, [trunk.id for trunk in capped], now)
    return {trunk.id: why for trunk in capped if (why := _why(trunk, found.get(trunk.id, Used())))}


def _why(trunk: Trunk, so_far: Used) -> str:
    if 0 < trunk.monthly_cap <= so_far.month:
        return f"its cap of {trunk.monthly_cap} segments a month is reached; it goes on next month"
    if 0 < trunk.daily_cap <= so_far.today:
        return f"its cap of {trunk.daily_cap} segments a day is reached; it goes on tomorrow"
    return ""


def _left(trunk: Trunk, so_far: Used) -> float:
    day = trunk.daily_cap - so_far.today if trunk.daily_cap else inf
    month = trunk.monthly_cap - so_far.month if trunk.monthly_cap else inf
    return max(0, min(day, month))


def _used(session: Session, trunk_ids: list[int], now: float) -> dict[int, Used]:
    day = _day(now)
    today = func.sum(case((TrunkUsage.day == day, TrunkUsage.segments), else_=0))
    rows = session.execute(
        select(TrunkUsage.trunk_id, today, func.sum(TrunkUsage.segments))
        .where(TrunkUsage.trunk_id.in_(trunk_ids), TrunkUsage.day.between(day[:8] + "01", day[:8] + "31"))
        .group_by(TrunkUsage.trunk_id)
    )
    return {trunk_id: Used(int(of_day), int(of_month)) for trunk_id, of_day, of_month in rows}


def _row(trunk_id: int, day: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return TrunkUsage.trunk_id == trunk_id, TrunkUsage.day == day


def _day(now: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(now))
