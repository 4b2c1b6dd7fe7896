"""Dates and hours of the day as people write them, and whether it is time. It knows no clock."""

from __future__ import annotations

from datetime import datetime

from ixxsms.errors import BadInput

_DAY = 24 * 60


def parse_start(text: str) -> float:
    """A start date as seconds since 1970: "2026-12-31" or "2026-12-31 09:30", local time; "" is at once."""
    if not text.strip():
        return 0.0
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(f'"{text}" is no date; write 2026-12-31 or "2026-12-31 09:30".') from None


def parse_hours(hours: tuple[str, str] | None) -> tuple[int, int]:
    """Two times of the day "HH:MM" as minutes; (0, 0) is the whole day. Raises BadInput."""
    if hours is None:
        return 0, 0
    first, last = (_minutes(text) for text in hours)
    first %= _DAY  # else "24:00" to "00:00" would be hours that never come
    if first == last:
        raise BadInput(f"The hours {hours[0]} to {hours[1]} leave no time; leave them out for the whole day.")
    return first, last % _DAY


def _minutes(text: str) -> int:
    hour, _, minute = text.strip().partition(":")
    if hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit() and len(minute) == 2:
        total = int(hour) * 60 + int(minute)
        if total <= _DAY and int(minute) < 60:
            return total
    raise BadInput(f'"{text}" is no time of the day; write HH:MM, 08:00 for example.')


def in_hours(first: int, last: int, minute: int) -> bool:
    """Whether a minute of the local day is in the hours. From 20:00 to 02:00 goes over midnight; equal: always."""
    if first == last:
        return True
    if first < last:
        return first <= minute < last
    return minute >= first or minute < last


def minute_of_day(now: float) -> int:
    """The minute of the local day at a time in seconds since 1970."""
    local = datetime.fromtimestamp(now)
    return local.hour * 60 + local.minute


def written(first: int, last: int) -> str:
    """The hours as they are shown, "20:00-02:00"; "" for the whole day."""
    return "" if first == last else f"{_clock(first)}-{_clock(last)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
