"""The outbox on every database: claims, outcomes, and what may never happen twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from sqlalchemy import event, insert, text

from ixxsms import campaigns, hours, inbox, lists, numbering_plan, outbox, receipts, trunks
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput, NotFound
from ixxsms.events import Accepted, Deferred, Heard, InDoubt, Receipt, Received, Refused
from ixxsms.models import Daemon, Message, Segment, Trunk, UnmatchedReceipt
from ixxsms.outbox import outcomes

NOW = 1_800_000_000.0
RETRY = outbox.Retry(max_attempts=3, first_wait=30.0)


@pytest.fixture
def plan(database):
    with database.read() as session:
        return numbering_plan.get(session)


@pytest.fixture
def queue(database, plan):
    """queue(text, …): put a message into the outgoing queue; returns its id."""

    def put(text="hola", number="600000001", **kwargs):
        with database.write() as session:
            return outbox.enqueue(session, plan, number, text, now=NOW, max_segments=10, **kwargs).id

    return put


@pytest.fixture
def trunk_ids(database):
    with database.write() as session:
        for priority in (1, 2):
            session.add(Trunk(name=f"t{priority}", kind="smpp", priority=priority, options={}))
        session.flush()
        return [trunk.id for trunk in trunks.all_trunks(session)]


def claim(database, trunk_id, room=100, better=(), now=NOW, places=None, daemon_id=1):
    with database.write() as session:
        return outbox.claim(
            session, trunk_id, daemon_id, places or [outbox.Source()], room=room, better=better, now=now
        )


def record(database, trunk_id, *outcomes, now=NOW, others=(), **kwargs):
    with database.write() as session:
        outbox.record(session, trunk_id, Heard(outcomes), now=now, retry=RETRY, others=others, **kwargs)


def state(database, message_id):
    with database.read() as session:
        return outbox.get(session, message_id).state


def test_a_claimed_message_is_submitted_and_not_claimed_again(database, queue, trunk_ids):
    message_id = queue()
    assert [message.id for message in claim(database, trunk_ids[0])] == [message_id]
    assert state(database, message_id) == "submitted"
    assert claim(database, trunk_ids[0]) == []


def test_a_claim_takes_no_more_segments_than_there_is_room_for(database, queue, trunk_ids):
    ids = [queue("x" * 300, f"60000000{n}") for n in range(5)]  # two segments each
    assert [message.id for message in claim(database, trunk_ids[0], room=4)] == ids[:2]


def test_a_long_message_goes_even_where_the_window_is_smaller(database, queue, trunk_ids):
    queue("x" * 1000)
    assert len(claim(database, trunk_ids[0], room=1)) == 1


def test_who_is_waited_for_goes_first(database, queue, trunk_ids):
    later, first = queue(), queue(urgency=outbox.NOW)
    assert [message.id for message in claim(database, trunk_ids[0])] == [first, later]


def test_what_is_bound_to_the_trunk_and_what_is_not_go_in_the_order_in_which_they_were_queued(
    database, queue, trunk_ids
):
    first, second = trunk_ids
    ids = [queue(), queue(trunk_id=first), queue(), queue(trunk_id=first)]
    other = queue(trunk_id=second)
    assert [message.id for message in claim(database, first, room=3)] == ids[:3]
    assert [message.id for message in claim(database, second, better={first})] == [other]
    assert [message.id for message in claim(database, first)] == ids[3:]


def test_the_more_urgent_goes_first_bound_or_not(database, queue, trunk_ids):
    first = trunk_ids[0]
    plain, bound = queue(), queue(trunk_id=first)
    answers = [queue(urgency=outbox.FAREWELL), queue(urgency=outbox.FAREWELL, trunk_id=first)]
    waited_for = [queue(urgency=outbox.NOW, trunk_id=first), queue(urgency=outbox.NOW)]
    assert [message.id for message in claim(database, first)] == [*waited_for, *answers, plain, bound]


def test_what_is_urgent_and_never_left_goes_first_again(database, queue, trunk_ids):
    others = [queue(), queue()]
    urgent = queue(urgency=outbox.NOW)
    for outcome in (Deferred(urgent, "the link was lost", counted=False), InDoubt(urgent, "no answer")):
        assert [message.id for message in claim(database, trunk_ids[0], room=1)] == [urgent]
        record(database, trunk_ids[0], outcome, resend_in_doubt=True)
    assert [message.id for message in claim(database, trunk_ids[0], room=1)] == [urgent]
    record(database, trunk_ids[0], InDoubt(urgent, "no answer"))
    with database.write() as session:
        outbox.resolve(session, "resend", now=NOW)
    assert [message.id for message in claim(database, trunk_ids[0])] == [urgent, *others]


def test_what_is_not_urgent_goes_after_what_is_fresh_the_second_time(database, queue, trunk_ids):
    again, fresh = queue(), queue()
    claim(database, trunk_ids[0], room=1)
    record(database, trunk_ids[0], Deferred(again, "the link was lost", counted=False))
    assert [message.id for message in claim(database, trunk_ids[0])] == [fresh, again]


def test_what_is_urgent_and_was_passed_on_goes_first_there_too(database, queue, trunk_ids):
    first, second = trunk_ids
    urgent, fresh = queue(urgency=outbox.NOW), [queue(), queue()]
    claim(database, first, room=1)
    record(database, first, Deferred(urgent, "no route", elsewhere=True), others={second})
    assert [message.id for message in claim(database, second, room=2)] == [urgent, fresh[0]]


def test_what_is_urgent_and_was_passed_on_in_vain_starts_a_new_round_first_but_not_before_its_time(
    database, queue, trunk_ids
):
    first, second = trunk_ids
    urgent = queue(urgency=outbox.NOW)
    claim(database, first)
    record(database, first, Deferred(urgent, "no route", elsewhere=True), others={second})
    other = queue()
    with database.write() as session:
        outbox.new_rounds(session, NOW + 1)
        assert not outbox.has_work(session, second, [outbox.Source()], better={first, 99}, now=NOW + 1)
        assert outbox.has_work(session, second, [outbox.Source()], better={first}, now=NOW + 1)
        outbox.new_rounds(session, NOW + 100)
        assert not outbox.has_work(session, second, [outbox.Source()], better={first}, now=NOW + 100)
    assert [message.id for message in claim(database, first, now=NOW + 100)] == [urgent, other]


def test_what_is_urgent_and_is_to_be_tried_again_later_is_the_next_trunks_at_once(database, queue, trunk_ids):
    first, second = trunk_ids
    urgent = queue(urgency=outbox.NOW)
    claim(database, first)
    record(database, first, Deferred(urgent, "system error", retry_after=30.0), others={second})
    assert [message.id for message in claim(database, second, better={first})] == [urgent]
    record(database, second, Deferred(urgent, "system error", retry_after=30.0), others={first})
    assert state(database, urgent) == "refused"


@pytest.mark.parametrize("retry_after", [None, 30.0])
def test_after_some_tries_on_one_trunk_the_next_one_has_its_turn(database, queue, trunk_ids, retry_after):
    first, second = trunk_ids
    message_id, now = queue(), NOW
    for _ in range(outcomes.MOST_RETRIES):
        assert claim(database, second, better={first}, now=now) == []
        assert [message.id for message in claim(database, first, now=now)] == [message_id]
        later = Deferred(message_id, "system error", retry_after=retry_after)
        record(database, first, later, others={second}, now=now)
        now += 3600
    assert [message.id for message in claim(database, second, better={first}, now=now)] == [message_id]


def test_what_was_passed_on_without_a_try_starts_a_new_round_too(database, queue, trunk_ids):
    first, _ = trunk_ids
    message_id = queue()
    with database.write() as session:
        next_trunks = outbox.NextTrunks(set(trunk_ids), {})
        outcomes.leave_to_others(session, first, [message_id], "it does not fit into a cap", next_trunks, NOW)
    assert claim(database, first, now=NOW + 10) == []
    with database.write() as session:
        outbox.new_rounds(session, NOW + 100)
    assert [message.id for message in claim(database, first, now=NOW + 100)] == [message_id]


def test_the_ids_of_another_trunks_late_answer_replace_none(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue("x" * 200)
    claim(database, first, daemon_id=1)
    record(database, first, InDoubt(message_id, "no answer", ("", "")), daemon_id=1, resend_in_doubt=True)
    claim(database, second, daemon_id=2)
    record(database, second, Accepted(message_id, ("b1", "b2")), daemon_id=2)
    record(database, first, Accepted(message_id, ("a1", "a2")), daemon_id=1)
    for remote_id, becomes in (("b1", "accepted"), ("b2", "delivered")):
        with database.write() as session:
            receipts.store(session, second, [Receipt(remote_id, True, "DELIVRD")], NOW)
        assert state(database, message_id) == becomes


def test_four_senders_at_once_never_claim_the_same_message(database, queue, trunk_ids, plan):
    with database.write() as session:
        for n in range(200):
            outbox.enqueue(session, plan, f"600{n:06}", "hola", now=NOW, max_segments=10)

    def drain(daemon_id):
        mine = []
        while batch := claim(database, trunk_ids[0], room=7, daemon_id=daemon_id):
            mine += [message.id for message in batch]
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [message_id for part in pool.map(drain, range(1, 5)) for message_id in part]
    # A sender may find only rows that another one holds locked, and end early; what is left is nobody's loss.
    taken += drain(9)
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 200


def test_an_accepted_message_keeps_its_remote_id(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("00AB",)))
    with database.read() as session:
        message = outbox.get(session, message_id)
        assert (message.state, message.remote_id, message.daemon_id) == ("accepted", "00AB", None)


def test_an_outcome_recorded_twice_changes_nothing(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("1",)))
    record(database, trunk_ids[0], Refused(message_id, "late"))
    assert state(database, message_id) == "accepted"


def test_a_late_answer_settles_a_doubt_with_all_its_ids(database, queue, trunk_ids):
    message_id = queue("x" * 400)
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], InDoubt(message_id, "no answer", ("", "b", "")), daemon_id=1)
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("b", True, "DELIVRD")], NOW)
    record(database, trunk_ids[0], Accepted(message_id, ("a", "b", "c")), daemon_id=1)
    assert state(database, message_id) == "accepted"
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("a", True, "DELIVRD"), Receipt("c", True, "DELIVRD")], NOW)
    assert state(database, message_id) == "delivered"


def test_a_late_refusal_settles_a_doubt(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], InDoubt(message_id, "no answer"), daemon_id=1)
    record(database, trunk_ids[0], Refused(message_id, "no such number", "0x0B"), daemon_id=1)
    assert state(database, message_id) == "refused"


def test_a_late_answer_of_one_trunk_settles_no_doubt_of_another(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue()
    for trunk_id, daemon_id in ((first, 1), (second, 2)):
        assert claim(database, trunk_id, daemon_id=daemon_id)
        resend = trunk_id == first
        record(database, trunk_id, InDoubt(message_id, "no answer"), daemon_id=daemon_id, resend_in_doubt=resend)
    record(database, first, Accepted(message_id, ("1",)), daemon_id=1)
    record(database, first, Refused(message_id, "no such number"), daemon_id=1)
    assert state(database, message_id) == "in_doubt"
    record(database, second, Accepted(message_id, ("2",)), daemon_id=2)
    assert state(database, message_id) == "accepted"


def test_a_late_refusal_stops_no_message_that_is_to_be_sent_again(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], InDoubt(message_id, "no answer"), daemon_id=1, resend_in_doubt=True)
    record(database, trunk_ids[0], Refused(message_id, "no such number"), daemon_id=1)
    assert state(database, message_id) == "queued"


def test_what_a_trunk_passes_on_is_the_next_ones(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue()
    assert claim(database, second, better={first}) == []  # the better trunk comes first
    claim(database, first)
    record(database, first, Deferred(message_id, "no route", elsewhere=True), others={second})
    assert claim(database, first) == []  # it has had its turn
    assert [message.id for message in claim(database, second, better={first})] == [message_id]


def test_an_outcome_recorded_again_takes_nothing_from_the_trunk_that_has_it_now(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue()
    claim(database, first)
    passed_on = Deferred(message_id, "no route", elsewhere=True)
    record(database, first, passed_on, others={second}, daemon_id=1)
    claim(database, second, better={first}, daemon_id=2)
    record(database, first, passed_on, others={second}, daemon_id=1)  # its commit's answer had been lost
    assert state(database, message_id) == "submitted"
    record(database, second, Accepted(message_id, ("9",)), daemon_id=2)
    assert state(database, message_id) == "accepted"


def test_a_message_in_doubt_is_sent_again_only_so_often(database, queue, trunk_ids):
    message_id = queue()
    for _ in range(outbox.MOST_RESENDS):
        assert claim(database, trunk_ids[0])
        record(database, trunk_ids[0], InDoubt(message_id, "no answer"), resend_in_doubt=True)
    assert state(database, message_id) == "in_doubt"


def test_what_a_forgotten_daemon_still_claimed_is_in_doubt(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0], daemon_id=4711)
    with database.write() as session:
        outbox.settle_orphans(session, NOW, resend_in_doubt=False)
    assert state(database, message_id) == "in_doubt"


def test_after_the_last_trunk_a_new_round_begins_later(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue()
    claim(database, first)
    record(database, first, Deferred(message_id, "no route", elsewhere=True), others={second})
    claim(database, second)
    record(database, second, Deferred(message_id, "no route either", elsewhere=True), others={first})
    assert claim(database, first, now=NOW + 29) == []
    assert len(claim(database, first, now=NOW + 31)) == 1


def test_however_many_trunks_there_are_a_round_comes_to_its_end(database, queue, trunk_ids):
    message_id = queue()
    many = set(range(10_001, 10_101))  # so many that no column has room for all of them
    rounds = 0
    for trunk_id in sorted(many):
        if not claim(database, trunk_id):
            break
        record(database, trunk_id, Deferred(message_id, "no route", elsewhere=True), others=many - {trunk_id})
        rounds += 1
    assert 30 < rounds < 100
    with database.read() as session:
        message = outbox.get(session, message_id)
        assert (message.state, message.tried, message.attempts) == ("queued", "", 1)
        assert message.not_before > NOW


def test_a_message_bound_to_a_trunk_is_never_passed_on(database, queue, trunk_ids):
    first, second = trunk_ids
    message_id = queue(trunk_id=first)
    claim(database, first)
    record(database, first, Deferred(message_id, "no", elsewhere=True), others={second})
    assert claim(database, second, now=NOW + 9999) == []
    assert len(claim(database, first, now=NOW + 31)) == 1


def test_after_its_last_attempt_a_message_is_refused_with_the_reason(database, queue, trunk_ids):
    message_id = queue()
    now = NOW
    for _ in range(3):
        assert claim(database, trunk_ids[0], now=now)
        record(database, trunk_ids[0], Deferred(message_id, "system error", "0x08"), now=now)
        now += 10_000
    with database.read() as session:
        message = outbox.get(session, message_id)
        assert (message.state, message.reason, message.code) == ("refused", "system error", "0x08")


def test_what_was_never_written_goes_back_at_once_and_is_no_attempt(database, queue, trunk_ids):
    message_id = queue()
    for _ in range(5):
        assert claim(database, trunk_ids[0])
        record(database, trunk_ids[0], Deferred(message_id, "the link was lost", counted=False))
    assert state(database, message_id) == "queued"


def test_a_message_somebody_waits_for_gets_one_round(database, queue, trunk_ids):
    message_id = queue(urgency=outbox.NOW)
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Deferred(message_id, "no route", elsewhere=True))
    assert state(database, message_id) == "refused"


def test_a_message_in_doubt_is_not_sent_again_unless_the_setting_says_so(database, queue, trunk_ids):
    silent, again = queue(), queue(number="600000002")
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], InDoubt(silent, "the link was lost"))
    record(database, trunk_ids[0], InDoubt(again, "the link was lost"), resend_in_doubt=True)
    assert state(database, silent) == "in_doubt"
    assert [message.id for message in claim(database, trunk_ids[0])] == [again]


def test_any_number_of_messages_in_doubt_can_be_settled_by_their_ids(database, queue, trunk_ids):
    ids = [queue(number=f"60000000{n}") for n in range(3)]
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], *(InDoubt(message_id, "no answer") for message_id in ids))
    many = range(ids[0] + 70_000, ids[0], -1)  # more than a database takes parameters; not the first one
    with database.write() as session:
        assert [message.id for message in outbox.doubtful(session, ids=many)] == ids[1:]
        assert [message.id for message in outbox.doubtful(session, ids=many, limit=1)] == ids[1:2]
        assert outbox.resolve(session, "sent", now=NOW, ids=many).changed == 2
        assert outbox.resolve(session, "sent", now=NOW, ids=[]).changed == 0
    assert [state(database, message_id) for message_id in ids] == ["in_doubt", "accepted", "accepted"]


def test_what_a_dead_daemon_had_submitted_is_in_doubt_and_the_rest_is_not(database, queue, trunk_ids):
    sent, waiting = queue(), queue(number="600000002")
    claim(database, trunk_ids[0], room=1, daemon_id=77)
    with database.write() as session:
        session.add(Daemon(id=77, host="h", pid=1, started_at=NOW, heartbeat_at=NOW))
        session.flush()
        assert outbox.settle_dead(session, [77], NOW, resend_in_doubt=False) == 1
    assert (state(database, sent), state(database, waiting)) == ("in_doubt", "queued")


def test_what_a_living_daemon_claimed_without_knowing_goes_back(database, queue, trunk_ids):
    held, unknown = queue(), queue(number="600000002")
    claim(database, trunk_ids[0], daemon_id=5)
    with database.write() as session:
        outbox.give_back(session, trunk_ids[0], 5, owed={held})
    assert (state(database, held), state(database, unknown)) == ("submitted", "queued")
    with database.read() as session:
        assert outbox.get(session, unknown).attempts == 0, "it was no attempt"


def test_a_receipt_settles_its_message_in_whatever_form_the_id_comes(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("0A1F",)))
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt(str(0x0A1F), True, "DELIVRD")], NOW)
    assert state(database, message_id) == "delivered"


def test_a_receipt_that_comes_before_the_answer_waits_for_it(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("77", False, "UNDELIV", "001")], NOW)
    record(database, trunk_ids[0], Accepted(message_id, ("77",)))
    with database.write() as session:
        receipts.match_late(session, trunk_ids[0], ["77"], NOW)
        assert session.query(UnmatchedReceipt).count() == 0
    assert state(database, message_id) == "undelivered"


def test_a_receipt_that_missed_its_message_by_a_moment_finds_it_later(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("77", True, "DELIVRD"), Receipt("78", True, "DELIVRD")], NOW)
    record(database, trunk_ids[0], Accepted(message_id, ("77",)))
    with database.write() as session:
        receipts.match_again(session, NOW + 1, NOW)
    assert state(database, message_id) == "accepted"
    with database.write() as session:
        receipts.match_again(session, NOW - 1, NOW)
        assert [row.remote_id for row in session.query(UnmatchedReceipt)] == ["78"]
    assert state(database, message_id) == "delivered"


def test_a_receipt_of_another_trunk_settles_nothing(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("77",)))
    with database.write() as session:
        receipts.store(session, trunk_ids[1], [Receipt("77", True, "DELIVRD")], NOW)
    assert state(database, message_id) == "accepted"


def test_a_final_state_never_changes(database, queue, trunk_ids):
    message_id = queue()
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("77",)))
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("77", True, "DELIVRD")], NOW)
        receipts.store(session, trunk_ids[0], [Receipt("77", False, "EXPIRED"), Receipt("77", None, "ENROUTE")], NOW)
    assert state(database, message_id) == "delivered"


def test_a_late_receipt_settles_a_message_in_doubt(database, queue, trunk_ids):
    message_id = queue("x" * 200)
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], InDoubt(message_id, "the link was lost", ("5", "6")))
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("5", True), Receipt("6", True)], NOW)
    assert state(database, message_id) == "delivered"


def test_a_long_message_is_delivered_when_all_its_segments_are(database, queue, trunk_ids):
    message_id = queue("x" * 400)
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("10", "11", "12")))
    for remote_id, expected in (("12", "accepted"), ("10", "accepted"), ("11", "delivered")):
        with database.write() as session:
            receipts.store(session, trunk_ids[0], [Receipt(remote_id, True, "DELIVRD")], NOW)
        assert state(database, message_id) == expected


def test_a_long_message_is_undelivered_as_soon_as_one_segment_is(database, queue, trunk_ids):
    message_id = queue("x" * 200)
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(message_id, ("10", "11")))
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt("11", False, "EXPIRED")], NOW)
        assert session.query(Segment).count() == 2
    assert state(database, message_id) == "undelivered"


HOSTILE = "a\0b\ud800c" * 200


def test_what_an_smsc_or_a_phone_writes_is_made_to_fit_and_holds_nothing_up(database, queue, trunk_ids):
    accepted, refused = queue(), queue(number="600000002")
    claim(database, trunk_ids[0])
    record(database, trunk_ids[0], Accepted(accepted, (HOSTILE, HOSTILE)), Refused(refused, HOSTILE, HOSTILE))
    with database.write() as session:
        receipts.store(session, trunk_ids[0], [Receipt(HOSTILE, False, HOSTILE, HOSTILE, HOSTILE)], NOW)
        receipts.store(session, trunk_ids[0], [Receipt("", True, HOSTILE), Receipt("\0", True)], NOW)
        receipts.match_late(session, trunk_ids[0], [HOSTILE], NOW)
        receipts.match_again(session, NOW - 1, NOW)
        inbox.store(session, trunk_ids[0], [Received(HOSTILE, HOSTILE, HOSTILE)], NOW)
        inbox.store(session, trunk_ids[0], [Received(HOSTILE, HOSTILE, HOSTILE, 7, 1, 2)], NOW)
        inbox.store(session, trunk_ids[0], [Received(HOSTILE, HOSTILE, "end", 7, 2, 2)], NOW)
        trunks.stop(session, trunk_ids[0], HOSTILE)
    with database.read() as session:
        long, arrived = inbox.latest(session)
        assert (arrived.text, long.text) == ("a\ufffdb?c" * 200, "ab\ufffdc" * 200 + "end")
        assert outbox.get(session, refused).reason.startswith("a\ufffdb?ca")
    assert state(database, accepted) == "undelivered"
    assert state(database, refused) == "refused"


def test_an_old_message_of_the_queue_expires(database, queue):
    message_id = queue()
    with database.write() as session:
        outbox.expire(session, before=NOW - 1, now=NOW)
    assert state(database, message_id) == "queued"
    with database.write() as session:
        outbox.expire(session, before=NOW + 1, now=NOW + 2)
    assert state(database, message_id) == "expired"


def test_of_many_old_messages_the_oldest_expire_first(database, queue, monkeypatch):
    monkeypatch.setattr(outbox.queue, "_MOST_EXPIRED", 2)
    ids = [queue() for _ in range(3)]
    for expired in (2, 3, 3):
        with database.write() as session:
            outbox.expire(session, before=NOW + 1, now=NOW + 2)
        assert [state(database, message_id) == "expired" for message_id in ids] == [n < expired for n in range(3)]


def test_housekeeping_waits_for_no_sender(database, queue, trunk_ids):
    queue(), queue()
    impatient = {"mysql": "SET SESSION innodb_lock_wait_timeout = 1", "postgresql": "SET LOCAL lock_timeout = '1s'"}
    set_up = impatient.get(database.engine.dialect.name)  # on SQLite nobody else can write meanwhile
    with database.write() as sender, database.write() if set_up else nullcontext(sender) as keeper:
        assert len(outbox.claim(sender, trunk_ids[0], 1, [outbox.Source()], room=1, better=(), now=NOW)) == 1
        if set_up:
            keeper.execute(text(set_up))
        outbox.new_rounds(keeper, NOW + 100)
        outbox.expire(keeper, before=NOW - 1, now=NOW)


def test_only_what_has_not_left_can_be_cancelled(database, queue, trunk_ids):
    left = queue()
    claim(database, trunk_ids[0])
    waiting = queue(number="600000002")
    with database.write() as session:
        assert not outbox.cancel(session, left, "no", NOW)
        assert outbox.cancel(session, waiting, "no", NOW)
    assert (state(database, left), state(database, waiting)) == ("submitted", "cancelled")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_postgresql_counted_while_nothing_was_queued_makes_no_statement_read_more(database, plan, trunk_ids):
    """It believes then that next to nothing is queued or submitted, and that all of it is found at once."""

    def rows_read(session):
        counted = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'messages'"
        return session.scalar(text(counted))

    row = {"text": "hola", "not_before": 0.0, "created_at": NOW}
    with database.write() as session:
        settled = [{**row, "number": f"346{n:08}", "state": "accepted"} for n in range(30_000)]
        session.connection().execute(insert(Message.__table__), settled)
    with database.write() as session:
        session.execute(text("ANALYZE messages"))
    with database.write() as session:
        queued = [{**row, "number": f"346{n:08}", "state": "queued"} for n in range(20_000)]
        session.connection().execute(insert(Message.__table__), queued)
    with database.write() as session:
        claimed = outbox.claim(session, trunk_ids[0], 1, [outbox.Source()], room=1000, better=(), now=NOW)
        assert len(claimed) == 1000
        assert rows_read(session) < 5_000
    with database.write() as session:
        accepted = Heard(Accepted(message.id, (str(message.id),)) for message in claimed)
        outbox.record(session, trunk_ids[0], accepted, now=NOW, retry=RETRY, daemon_id=1)
        assert rows_read(session) < 5_000


@pytest.mark.parametrize(
    ("number", "text", "sentence"),
    [
        ("600000001", "  \n ", "The text must not be empty."),
        ("600000001", "x" * 1600, "The text needs 11 segments"),
        ("anonymous", "hola", "cannot be written to"),
    ],
)
def test_what_cannot_be_sent_is_not_queued(database, plan, number, text, sentence):
    with pytest.raises(BadInput, match=sentence), database.write() as session:
        outbox.enqueue(session, plan, number, text, now=NOW, max_segments=10)
    with database.read() as session:
        assert session.query(Message).count() == 0


def test_an_unknown_message_is_not_found(database):
    with pytest.raises(NotFound, match="There is no message 4711"), database.read() as session:
        outbox.get(session, 4711)


# -- campaigns -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clients(database, plan):
    with database.write() as session:
        lists.create(session, "clients")
        rows = [Row(n, f"60000000{n}", "Hola Ana" if n == 3 else None) for n in range(1, 6)]
        lists.import_rows(session, plan, "clients", rows)
        lists.exclude(session, plan, "clients", "600000005")


def create(session, plan, name="promo", text="Hola", **kwargs):
    return campaigns.create(session, plan, name, text, now=NOW, max_segments=10, **kwargs)


def test_a_campaign_from_a_list_copies_its_members_and_excludes_the_excluded(database, plan, clients):
    with database.write() as session:
        created = create(session, plan, list_name="clients")
        assert created.segments == 4
        assert created.campaign.state == "paused"
        view = campaigns.show(session, "promo")
    assert view.total == 5
    assert (view.states["queued"], view.states["excluded"]) == (4, 1)


def test_a_paused_campaign_sends_nothing_and_a_running_one_each_number_once(database, plan, clients, trunk_ids):
    with database.write() as session:
        create(session, plan, list_name="clients")
        assert campaigns.sendable(session, trunk_ids[0], NOW) == []
        campaigns.resume(session, "promo")
    with database.read() as session:
        places = campaigns.sendable(session, trunk_ids[0], NOW)
    claimed = claim(database, trunk_ids[0], places=places)
    assert {(m.number, m.text) for m in claimed} == {
        ("34600000001", "Hola"),
        ("34600000002", "Hola"),
        ("34600000003", "Hola Ana"),
        ("34600000004", "Hola"),
    }
    record(database, trunk_ids[0], *[Accepted(m.id) for m in claimed])
    with database.write() as session:
        campaigns.finish(session, NOW)
        assert campaigns.show(session, "promo").state == "finished"


def test_a_list_and_a_file_together_are_one_campaign(database, plan, clients):
    rows = [Row(1, "600000001", "own"), Row(2, "+34 600 000 005", "no"), Row(3, "700000009", None)]
    with database.write() as session:
        create(session, plan, list_name="clients", rows=rows)
        messages = {m.number: m for m in campaigns.numbers(session, "promo")}
        assert [row.name for row in lists.all_lists(session)] == ["clients"]
    assert len(messages) == 6
    assert messages["34600000001"].text == "own"
    assert messages["34600000005"].state == "excluded"
    assert messages["34700000009"].state == "queued"


def test_no_statement_of_a_creation_changes_a_table_that_it_reads_which_mysql_refuses(database, plan, clients):
    seen = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    with database.write() as session:
        create(session, plan, list_name="clients", rows=[Row(1, "600000001", "own"), Row(2, "600000005", None)])
    changes = [statement for statement in seen if statement.startswith(("UPDATE", "DELETE"))]
    assert changes
    for statement in changes:
        table = statement.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0]
        assert f"FROM {table} " not in statement.removeprefix("DELETE FROM").replace("\n", " ")


def test_each_of_many_own_texts_counts_as_it_is(database, plan):
    """More than are read at once, and with other campaigns' messages before them."""
    rows = [Row(n, f"6{n:08}", ("Hola", "x" * 161, None)[n % 3]) for n in range(18_000)]
    with database.write() as session:
        create(session, plan, name="before", rows=rows[:2])
        created = create(session, plan, rows=rows)
        assert created.segments == 6_000 * (1 + 2 + 1)
        sizes = [m.segments for m in campaigns.numbers(session, "promo")]
    assert sizes == [1, 2, 1] * 6_000


def test_excluding_a_member_holds_back_what_is_still_queued(database, plan, clients):
    with database.write() as session:
        create(session, plan, list_name="clients")
        marked = lists.exclude(session, plan, "clients", "600000001")
        assert outbox.exclude(session, marked.list_id, marked.number, NOW) == 1
        assert campaigns.show(session, "promo").states["excluded"] == 2


def test_the_text_of_a_paused_campaign_can_be_edited_and_own_texts_stay(database, plan, clients):
    with database.write() as session:
        create(session, plan, list_name="clients")
        campaigns.edit(session, "promo", text="x" * 161, max_segments=10)
        assert campaigns.show(session, "promo").segments_to_send == 3 * 2 + 1
        campaigns.resume(session, "promo")
    with pytest.raises(Exception, match="only a paused one can be edited"), database.write() as session:
        campaigns.edit(session, "promo", text="y", max_segments=10)


def test_a_campaign_and_its_messages_can_be_deleted_once_it_is_stopped(database, plan, clients):
    with database.write() as session:
        create(session, plan, list_name="clients", run=True)
    with pytest.raises(Exception, match="stop it first"), database.write() as session:
        campaigns.delete_campaign(session, "promo")
    with database.write() as session:
        campaigns.stop(session, "promo")
        campaigns.delete_campaign(session, "promo")
        assert session.query(Message).count() == 0


def test_the_outgoing_queue_is_listed_first_and_cannot_be_deleted(database, plan, clients, queue):
    queue()
    with database.write() as session:
        create(session, plan, list_name="clients")
        assert [view.name for view in campaigns.all_campaigns(session)] == ["outgoing queue", "promo"]
        for verb in (campaigns.delete_campaign, campaigns.stop, campaigns.resume):
            with pytest.raises(BadInput, match="always there"):
                verb(session, "outgoing queue")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": ""}, "must not be empty"),
        ({"name": "promo"}, "is a campaign"),
        ({"name": "Outgoing Queue"}, "is a campaign"),
        ({"text": " "}, "text must not be empty"),
        ({"list_name": "nobody"}, 'no list "nobody"'),
        ({"list_name": None}, "needs a list or a file"),
        ({"trunk": "nobody"}, 'no trunk "nobody"'),
        ({"start": "31/12/2026"}, "is no date"),
        ({"hours": ("8", "20:00")}, "is no time of the day"),
        ({"hours": ("08:00", "25:00")}, "is no time of the day"),
        ({"hours": ("08:00", "08:00")}, "leave no time"),
        ({"sender_id": "TWELVE-CHARS"}, "sender id"),
    ],
)
def test_a_campaign_that_cannot_be_created_leaves_nothing_behind(database, plan, clients, wrong, sentence):
    with database.write() as session:
        create(session, plan, list_name="clients")
    given = {"name": "second", "text": "Hola", "list_name": "clients"} | wrong
    with pytest.raises(Exception, match=sentence), database.write() as session:
        create(session, plan, given.pop("name"), given.pop("text"), **given)
    with database.read() as session:
        assert [view.name for view in campaigns.all_campaigns(session)] == ["outgoing queue", "promo"]
        assert session.query(Message).count() == 5


def test_a_campaign_waits_for_its_start_date(database, plan, clients, trunk_ids):
    with database.write() as session:
        create(session, plan, list_name="clients", run=True, start="2030-01-01 09:00")
        assert campaigns.sendable(session, trunk_ids[0], NOW) == []
        start = hours.parse_start("2030-01-01 09:00")
        assert len(campaigns.sendable(session, trunk_ids[0], start)) == 1
