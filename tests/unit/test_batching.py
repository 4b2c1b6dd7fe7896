"""When a sender records what it heard, and how much it claims ahead."""

from __future__ import annotations

import pytest

from ixxsms import batching
from ixxsms.batching import Batching


def transaction(sender, at, *, commit=0.0, segments=0, kept=True):
    """One that begins at that time, after so many segments were handed over, and takes no time but for its commit."""
    sender.handed_over(segments)
    sender.begin(at)
    sender.committed(commit)
    sender.end(at, kept=kept)


def busy(*, on_server=False, commit=0.0, rate=1_000_000, turns=50):
    """One that has sent so many segments a second for a while, and when its last transaction ended."""
    sender, at = Batching(on_server=on_server), 1000.0
    for _ in range(turns):
        at += 0.01
        transaction(sender, at, commit=commit, segments=rate // 100)
    return sender, at


def test_the_first_answer_is_recorded_at_once():
    assert Batching(on_server=True).due(brought=False) == 0.0


def test_without_a_journal_every_answer_is_recorded_at_once():
    sender, at = busy()
    transaction(sender, at + 1, kept=False)
    assert sender.due(brought=False) == 0.0


def test_answers_gather_for_some_times_as_long_as_a_commit_takes():
    sender, at = busy(commit=0.005)
    assert sender.due(brought=False) - at == pytest.approx(5 * 0.005, rel=0.01)


def test_one_slow_commit_alone_changes_little():
    sender, at = busy(commit=0.002)
    transaction(sender, at, commit=0.01)
    assert sender.due(brought=False) - at == pytest.approx(5 * 0.003, rel=0.01)


@pytest.mark.parametrize(("on_server", "least"), [(False, 0.008), (True, 0.05)])
def test_however_fast_and_however_slow_commits_are_the_gathering_has_its_limits(on_server, least):
    sender, at = busy(on_server=on_server)
    assert sender.due(brought=False) - at == pytest.approx(least)
    sender, at = busy(on_server=on_server, commit=1.0)
    assert sender.due(brought=False) - at == pytest.approx(batching.GATHER_MOST)


def test_a_slow_trunk_waits_for_what_is_worth_a_transaction_if_that_is_not_long():
    sender, at = busy(rate=2_500)
    assert sender.due(brought=False) - at == pytest.approx(100 / 2_500, rel=0.01)
    sender, at = busy(rate=100)
    assert sender.due(brought=False) - at == pytest.approx(batching.GATHER_MOST)


def test_what_the_other_side_brought_is_recorded_when_it_falls_silent():
    sender, at = busy(commit=1.0)
    sender.brought(at + 0.01)
    assert sender.due(brought=True) - at == pytest.approx(0.01 + batching.SILENCE)
    sender.brought(at + 0.059)  # but no later than without it
    assert sender.due(brought=True) == sender.due(brought=False)


def test_what_goes_out_until_the_next_transaction_is_claimed_ahead():
    sender, _ = busy(rate=10_000, commit=0.004)
    assert sender.ahead == pytest.approx(1.5 * 0.02 * 10_000, rel=0.01)


def test_no_more_is_claimed_ahead_than_may_be_in_doubt_after_a_power_cut():
    sender, _ = busy(rate=1_000_000, commit=1.0)
    assert sender.ahead == batching.MOST_AHEAD


def test_a_trunk_that_sends_nothing_claims_nothing_ahead():
    sender, at = busy(rate=10_000)
    transaction(sender, at + 1)
    assert sender.ahead == 0


def test_two_transactions_in_a_moment_do_not_make_a_rate():
    sender, at = busy(rate=10_000)
    before = sender.ahead
    transaction(sender, at + 0.001, segments=0)
    assert sender.ahead == before
