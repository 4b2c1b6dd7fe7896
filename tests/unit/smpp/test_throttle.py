"""Throttling of a whole trunk: invented times, no link."""

from __future__ import annotations

import math

import pytest

from ixxsms.smpp.throttle import Throttle


def taking(rate: int, now: float = 0.0) -> Throttle:
    """One whose SMSC has taken `rate` segments a second for two seconds."""
    throttle = Throttle()
    for second in range(3):
        throttle.measure(now + second)
        throttle.taken = rate
    return throttle


def rate_at(throttle: Throttle, now: float) -> float:
    throttle.allowed(now)
    return throttle._rate if throttle.limited else math.inf


def test_nothing_is_limited_before_the_smsc_says_so() -> None:
    throttle = taking(1000)
    assert (throttle.paused, throttle.limited, throttle.allowed(3.0)) == (False, False, math.inf)


def test_nothing_goes_during_the_pause() -> None:
    throttle = taking(100)
    throttle.refused(since=2.5, now=3.0)
    assert (throttle.paused, throttle.next_at) == (True, 4.0)
    assert throttle.allowed(3.99) == 0
    assert throttle.allowed(4.0) >= 1
    assert not throttle.paused


def test_only_the_first_refusal_of_a_window_makes_the_pause_longer() -> None:
    throttle = taking(100)
    for _ in range(50):
        throttle.refused(since=2.5, now=3.0)
    assert throttle.resume_at == 4.0
    throttle.allowed(4.0)
    throttle.refused(since=2.5, now=4.1)  # sent before the pause, answered after it
    assert not throttle.paused
    throttle.refused(since=4.0, now=4.2)
    assert throttle.resume_at == pytest.approx(6.2)


def test_a_segment_that_is_taken_makes_the_next_pause_short_again() -> None:
    throttle = taking(100)
    throttle.refused(2.5, 3.0)
    throttle.allowed(4.0)
    throttle.accepted(since=2.9)  # sent before the pause: it says nothing
    throttle.refused(4.0, 4.1)
    assert throttle.resume_at == pytest.approx(6.1)
    throttle.allowed(6.1)
    throttle.accepted(since=6.1)
    throttle.refused(6.2, 6.3)
    assert throttle.resume_at == pytest.approx(7.3)


def test_the_rate_begins_under_the_one_that_was_refused_and_creeps_up_until_it_is_free() -> None:
    throttle = taking(100)
    throttle.refused(2.5, 3.0)
    rates = [rate_at(throttle, 4.0 + second) for second in range(15)]
    assert rates[0] == pytest.approx(70)
    assert rates == sorted(rates)
    assert rates[5] == pytest.approx(100)
    assert rates[4] > 99 and rates[6] < 101  # slowly where the SMSC said no
    assert rate_at(throttle, 4.0 + 16) == math.inf
    assert not throttle.limited


def test_so_many_segments_go_as_the_rate_says() -> None:
    throttle = taking(100)
    throttle.refused(2.5, 3.0)
    sent, now = 0, 4.0
    while now < 5.0:
        may = int(throttle.allowed(now))
        throttle.spend(may)
        sent += may
        now += 0.01
    assert 70 <= sent <= 100
    throttle.spend(100)
    assert throttle.allowed(now) < 1
    assert now < throttle.next_at < now + 2


def test_an_smsc_that_takes_nothing_is_tried_with_one_segment_a_second() -> None:
    throttle = taking(0)
    throttle.refused(2.5, 3.0)
    assert throttle.allowed(4.0) == 1
    assert rate_at(throttle, 9.0) == pytest.approx(1)


def test_a_second_refusal_begins_under_the_rate_that_was_allowed() -> None:
    throttle = taking(100)
    throttle.refused(2.5, 3.0)
    assert rate_at(throttle, 4.0) == pytest.approx(70)
    assert rate_at(throttle, 9.0) == pytest.approx(100)
    throttle.taken = 500
    throttle.refused(9.0, 9.1)
    assert rate_at(throttle, 11.1) == pytest.approx(70)


@pytest.mark.parametrize("limit", [1, 7, 50, 400])
def test_most_of_what_an_smsc_takes_is_used_and_little_of_it_is_turned_down(limit: int) -> None:
    throttle, now, taken, refused, second = Throttle(), 0.0, 0, 0, {}
    while now < 300:
        if now >= throttle.measure_at:
            throttle.measure(now)
        may = int(min(100, throttle.allowed(now)))
        throttle.spend(may)
        for _ in range(may):
            if second.get(int(now), 0) < limit:
                second[int(now)] = second.get(int(now), 0) + 1
                taken += 1
                throttle.taken += 1
                throttle.accepted(now)
            else:
                refused += 1
                throttle.refused(now, now)
        now += 0.01
    assert taken > 0.6 * 300 * limit
    assert refused < taken / 4 + 100  # the first window of a hundred goes in any case
