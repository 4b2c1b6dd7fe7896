"""Hours of the day."""

from __future__ import annotations

import pytest

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
    ],
)
def test_hours_hold_also_over_midnight(hours, minute, sends):
    first, last = parse_hours(hours)
    assert in_hours(first, last, minute) is sends
