"""The account that a sender keeps of what it has claimed."""

from __future__ import annotations

from ixxsms.held import Held, Lease
from ixxsms.outbox import Claimed, Leased


def message(number, *, queue=True, urgency=0, segments=1):
    return Claimed(number, f"34600{number:06}", "hola", "", segments, queue, urgency)


def handed(held, room=100.0):
    return [message.id for message in held.hand_out(room, after=0.0)]


def test_what_is_of_no_campaign_goes_before_what_is_and_the_urgent_before_all():
    held = Held()
    held.take([message(1, queue=False), message(2, queue=False)], 1.0)
    held.take([message(3), message(4)], 2.0)
    held.take([message(5, urgency=10), message(6)], 3.0)
    assert handed(held) == [5, 3, 4, 6, 1, 2]


def test_no_more_is_handed_out_than_there_is_room_for_and_the_last_may_overrun_it():
    held = Held()
    held.take([message(1), message(2, segments=3), message(3)], 1.0)
    assert held.segments_ahead == 5
    assert handed(held, room=2.0) == [1, 2]
    assert (held.ids_ahead(), held.messages_ahead, held.segments_ahead) == ([3], 1, 1)
    assert handed(held, room=0.5) == []
    assert list(held.owed) == [1, 2, 3]


def test_what_was_claimed_too_long_ago_is_not_handed_out():
    held = Held()
    held.take([message(1)], 1.0)
    assert held.next_claimed_at == 1.0
    assert held.hand_out(100.0, after=1.0) == []


def test_what_is_given_back_is_owed_no_more():
    held = Held()
    held.take([message(1), message(2)], 1.0)
    handed(held, room=1.0)
    assert held.give_back() == [2]
    assert (list(held.owed), held.ids_ahead()) == ([1], [])


def test_what_a_late_answer_has_settled_is_neither_handed_out_nor_given_back():
    held = Held()
    held.take([message(1), message(2), message(3)], 1.0)
    del held.owed[1]
    assert handed(held, room=1.0) == [2]
    del held.owed[3]
    assert held.give_back() == []
    assert (list(held.owed), held.ids_ahead()) == ([2], [])


def test_what_others_have_claimed_is_ours_when_it_is_taken():
    held = Held()
    held.give([message(1)], 1.0)
    assert (held.owed, held.messages_ahead) == ({}, 0)
    held.take_given()
    held.take_given()
    assert (held.owed, held.ids_ahead()) == ({1: 1}, [1])


def test_a_lease_ends_when_nothing_of_it_is_owed():
    held, leased = Held(), Leased(7, 1, 3)
    held.take([message(number, queue=False) for number in (1, 2, 3)], 1.0)
    held.lease([Lease(leased, [3, 2, 1], 50.0)])
    assert held.since == {1: 50.0, 2: 50.0, 3: 50.0}
    for settled in (2, 1):
        del held.owed[settled]
    held.shorten()
    assert (held.since, held.ended()) == ({3: 50.0}, [])
    del held.owed[3]
    held.shorten()
    assert held.ended() == [leased]
    held.drop(all_of_them=False)
    assert (held.leases, held.since, held.ended()) == ([], {}, [])


def test_all_leases_go_where_the_database_has_ended_them():
    held = Held()
    held.take([message(1, queue=False)], 1.0)
    held.lease([Lease(Leased(7, 1, 1), [1], 50.0)])
    held.drop(all_of_them=True)
    assert (held.leases, held.since, held.owed) == ([], {}, {1: 1})
