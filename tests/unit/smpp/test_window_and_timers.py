from __future__ import annotations

from ixxsms.smpp.backoff import Backoff
from ixxsms.smpp.timers import NEVER, Due, Timers
from ixxsms.smpp.window import Window

A, B, C = (10.0, "a"), (11.0, "b"), (11.0, "c")  #: deadline, request


def filled() -> Window[tuple[float, str]]:
    window: Window[tuple[float, str]] = Window()
    window.register({1: A})
    window.register({2: B, 3: C})
    return window


def test_an_answer_completes_its_request_once() -> None:
    window = filled()
    assert window.complete(2) == B
    assert window.complete(2) is None
    assert window.complete(99) is None
    assert len(window) == 2


def test_overdue_requests_are_given_oldest_first_and_only_those() -> None:
    window = filled()
    assert window.expire(9.9) == {}
    assert list(window.expire(11.0).items()) == [(1, A), (2, B), (3, C)]
    assert len(window) == 0


def test_the_next_deadline_is_the_oldest_requests() -> None:
    window = filled()
    assert window.next_deadline() == 10.0
    window.complete(1)
    assert window.next_deadline() == 11.0
    window.drain()
    assert window.next_deadline() == float("inf")


def test_a_loss_gives_back_everything_unanswered() -> None:
    window = filled()
    window.complete(1)
    assert window.drain() == [B, C]
    assert window.drain() == []


def test_a_wait_doubles_up_to_its_end_and_starts_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 60.0)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next() == 1


def test_an_enquire_link_is_due_after_silence() -> None:
    timers = Timers(idle=30, answer=10)
    timers.bound(100)
    assert timers.next() == 130
    assert timers.tick(129.9) is None
    timers.heard(120)
    assert timers.tick(149.9) is None
    assert timers.tick(150) is Due.ENQUIRE


def test_a_link_is_dead_when_the_enquire_link_stays_unanswered() -> None:
    timers = Timers(idle=30, answer=10)
    timers.bound(100)
    assert timers.tick(130) is Due.ENQUIRE
    assert timers.tick(139.9) is None
    assert timers.tick(140) is Due.LINK_DEAD
    assert timers.tick(500) is None


def test_anything_heard_proves_the_link() -> None:
    timers = Timers(idle=30, answer=10)
    timers.bound(100)
    assert timers.tick(130) is Due.ENQUIRE
    timers.heard(135)
    assert timers.tick(164.9) is None
    assert timers.tick(165) is Due.ENQUIRE


def test_a_bind_and_an_unbind_have_their_own_deadline() -> None:
    timers = Timers(idle=30, answer=10)
    assert timers.next() == NEVER
    timers.bind_sent(100)
    timers.heard(105)  # something else than the answer
    assert timers.tick(110) is Due.BIND_OVERDUE
    timers.unbind_sent(200)
    assert timers.tick(210) is Due.UNBIND_OVERDUE
    timers.stop()
    assert timers.next() == NEVER
