"""Hours of the day."""

from __future__ import annotations

import pytest

from ixxsms.errors import BadInput
from ixxsms.hours import in_hours, parse_hours


@pytest.mark.parametrize(
    ("hours", "minute", "sends"),
    [
        (None, 0, True),
        (("08:00", "20:00"), 8 * 60, True),
        (("08:00", "20:00"), 20 * 60, False),
        (("08:00", "20:00"), 3 * 60, False),
        (("20:00", "02:00"), 23 * 60, True),
        (("20:00", "02:00"), 60, True),
        (("20:00", "02:00"), 2 * 60, False),
        (("20:00", "02:00"), 12 * 60, False),
        (("18:00", "24:00"), 23 * 60 + 59, True),
        (("18:00", "24:00"), 0, False),
        (("24:00", "08:00"), 0, True),
        (("24:00", "08:00"), 8 * 60, False),
    ],
)
def test_hours_hold_also_over_midnight(hours, minute, sends):
    first, last = parse_hours(hours)
    assert in_hours(first, last, minute) is sends


@pytest.mark.parametrize("hours", [("24:00", "00:00"), ("00:00", "00:00"), ("08:00", "08:00")])
def test_hours_that_would_never_come_are_refused(hours):
    with pytest.raises(BadInput, match="leave no time"):
        parse_hours(hours)


def test_from_midnight_as_either_day_writes_it_is_the_same():
    assert parse_hours(("24:00", "06:00")) == parse_hours(("00:00", "06:00"))
