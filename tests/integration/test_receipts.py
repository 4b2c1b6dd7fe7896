"""Receipts on every database: which message each belongs to, and what becomes of it."""

from __future__ import annotations

import pytest

from ixxsms import campaigns, numbering_plan, outbox, receipts, trunks
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Heard, InDoubt, Receipt
from ixxsms.models import Message, OptOut, Segment, Trunk, UnmatchedReceipt

NOW = 1_800_000_000.0
DAY = 24 * 3600.0
RETRY = outbox.Retry(max_attempts=5, first_wait=30.0)
LONG = "x" * 400  # three segments


class Shop:
    """What the tests do, each a transaction of its own. Two trunks, `first` and `second`."""

    def __init__(self, database):
        self.database = database
        with database.write() as session:
            for priority in (1, 2):
                session.add(Trunk(name=f"t{priority}", kind="smpp", priority=priority, options={}))
            session.flush()
            self.first, self.second = (trunk.id for trunk in trunks.all_trunks(session))

    def manner(self, **options):
        """The first trunk's options; `receipt_failover` is a field."""
        with self.database.write() as session:
            trunk = session.get(Trunk, self.first)
            trunk.receipt_failover = options.pop("receipt_failover", trunk.receipt_failover)
            trunk.options = {**trunk.options, **options}

    def submit(self, text="hola", number="600000001", at=NOW, **kwargs):
        """A message that is submitted through the first trunk."""
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            message = outbox.enqueue(session, plan, number, text, now=at, max_segments=10, **kwargs)
        assert [each.id for each in self.claim(self.first, at)] == [message.id]
        return message.id

    def claim(self, trunk_id, at=NOW, better=(), places=None):
        with self.database.write() as session:
            places = places or [outbox.Source()]
            return outbox.claim(session, trunk_id, 1, places, room=100, better=better, now=at)

    def record(self, trunk_id, *outcomes, at=NOW, **kwargs):
        with self.database.write() as session:
            outbox.record(session, trunk_id, Heard(outcomes), now=at, retry=RETRY, **kwargs)

    def accepted(self, *remote_ids, **kwargs):
        message_id = self.submit(**kwargs)
        self.record(self.first, Accepted(message_id, remote_ids))
        return message_id

    def doubtful(self, *remote_ids, **kwargs):
        message_id = self.submit(**kwargs)
        self.record(self.first, InDoubt(message_id, "the link was lost", remote_ids), at=kwargs.get("at", NOW))
        return message_id

    def hear(self, *heard, trunk_id=None, at=NOW + 60, others=()):
        with self.database.write() as session:
            receipts.store(session, trunk_id or self.first, heard, at, lambda _: outbox.NextTrunks(others))

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def state(self, message_id):
        return self.message(message_id).state

    def unmatched(self):
        with self.database.read() as session:
            return [row.remote_id for row in receipts.unmatched(session)]

    def segments(self, message_id):
        with self.database.read() as session:
            rows = session.query(Segment).filter_by(message_id=message_id).order_by(Segment.part)
            return [(row.remote_id, row.delivered) for row in rows]


@pytest.fixture
def shop(database):
    return Shop(database)


def delivered(remote_id, number="34600000001"):
    return Receipt(remote_id, True, "DELIVRD", "000", number)


def failed(remote_id, number="34600000001", code="27"):
    return Receipt(remote_id, False, "UNDELIV", code, number)


def pending(remote_id, number="34600000001"):
    return Receipt(remote_id, None, "ENROUTE", "", number)


# -- which message -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submitted", "reported", "base"),
    [
        ("39f99dd5", "39f99dd5", "auto"),
        ("39F99DD5", "39f99dd5", "auto"),
        ("0039f99dd5", "39f99dd5", "auto"),
        ("39f99dd5", "0972660181", "auto"),
        ("972660181", "39F99DD5", "auto"),
        ("5D1B2A7E-9d1f-4b6c", "5d1b2a7e-9D1F-4b6c", "auto"),
        ("39f99dd5", "972660181", "resp_hex_receipt_dec"),
        ("972660181", "39f99dd5", "resp_dec_receipt_hex"),
        ("00FF", "ff", "both_hex"),
        ("0A", "a", "same"),
    ],
)
def test_a_receipt_finds_its_message_however_the_id_is_written(shop, submitted, reported, base):
    shop.manner(receipt_id_base=base)
    message_id = shop.accepted(submitted)
    shop.hear(delivered(reported))
    assert shop.state(message_id) == "delivered"


def test_the_id_as_it_is_written_goes_before_any_other_form_of_it(shop):
    exact, folded = shop.accepted("00aB"), shop.accepted("AB", number="600000002")
    newest = shop.accepted("ab", number="600000003")
    shop.hear(delivered("00aB"))
    assert [shop.state(m) for m in (exact, folded, newest)] == ["delivered", "accepted", "accepted"]
    shop.hear(delivered("AB"))
    assert [shop.state(m) for m in (folded, newest)] == ["delivered", "accepted"]


def test_the_newest_message_has_an_id_that_an_smsc_used_twice(shop):
    old = shop.accepted("7")
    new = shop.accepted("7", number="600000002")
    shop.hear(delivered("7", ""))
    assert (shop.state(old), shop.state(new)) == ("accepted", "delivered")


def test_a_short_id_in_the_other_base_counts_only_with_the_right_number(shop):
    sixteen = shop.accepted("16")
    shop.hear(delivered("10", number="34600000009"))  # hexadecimal 10, but to somebody else
    assert shop.state(sixteen) == "accepted"
    assert shop.unmatched() == ["10"]
    shop.hear(delivered("10", number="+34600000001"))
    assert shop.state(sixteen) == "delivered"


@pytest.mark.parametrize(("own", "told"), [("64", "100"), ("256", "100"), ("12345678", "305419896")])
def test_an_id_that_is_another_messages_in_the_other_base_is_the_one_of_its_number(shop, own, told):
    first, second = shop.accepted(own), shop.accepted(told, number="600000002")
    shop.hear(delivered(told))
    assert (shop.state(first), shop.state(second)) == ("delivered", "accepted")
    shop.hear(failed(told, number="34600000002"))
    assert (shop.state(first), shop.state(second)) == ("delivered", "undelivered")


def test_of_two_messages_with_one_id_a_receipt_is_the_ones_of_its_number(shop):
    """Two hosts of an SMSC may count each for itself."""
    old = shop.accepted("7")
    new = shop.accepted("7", number="600000002")
    shop.hear(delivered("7"), failed("7", number="34600000002"))
    assert (shop.state(old), shop.state(new)) == ("delivered", "undelivered")


def test_where_the_base_is_said_no_other_one_is_tried(shop):
    shop.manner(receipt_id_base="same")
    message_id = shop.accepted("39f99dd5")
    shop.hear(delivered("972660181"))
    assert shop.state(message_id) == "accepted"


def test_a_receipt_of_another_trunk_is_nobodys(shop):
    message_id = shop.accepted("7")
    shop.hear(delivered("7"), trunk_id=shop.second)
    assert shop.state(message_id) == "accepted"


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ([delivered("7"), delivered("7")], "delivered"),
        ([delivered("7"), failed("7")], "delivered"),
        ([delivered("7"), pending("7")], "delivered"),
        ([failed("7"), delivered("7")], "undelivered"),
        ([failed("7"), pending("7")], "undelivered"),
        ([pending("7"), pending("7")], "accepted"),
        ([pending("7"), delivered("7")], "delivered"),
        ([pending("7"), failed("7")], "undelivered"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_nothing_comes_back_from_a_final_word(shop, words, state, together):
    message_id = shop.accepted("7")
    if together:
        shop.hear(*words)
    else:
        for day, word in enumerate(words):
            shop.hear(word, at=NOW + (day + 1) * DAY)
    assert shop.state(message_id) == state


def test_a_failure_is_told_with_its_code_and_what_that_means_in_gsm(shop):
    message_id = shop.accepted("7")
    shop.hear(failed("7", code="027"))
    assert shop.message(message_id).reason == "UNDELIV 027 (in GSM: absent subscriber)"


def test_a_receipt_that_is_faster_than_the_answer_waits_for_it(shop):
    message_id = shop.submit()
    shop.hear(delivered("39f99dd5"))
    assert shop.unmatched() == ["39f99dd5"]
    shop.record(shop.first, Accepted(message_id, ("972660181",)))
    with shop.database.write() as session:
        receipts.match_late(session, shop.first, ["972660181"], NOW)
    assert shop.state(message_id) == "delivered"
    assert shop.unmatched() == []


def test_receipts_that_nobody_waits_for_are_shown_and_forgotten_after_a_while(shop):
    shop.hear(delivered("1"), at=NOW)
    shop.hear(delivered("2"), trunk_id=shop.second, at=NOW + DAY)
    assert shop.unmatched() == ["2", "1"]
    with shop.database.write() as session:
        assert [row.remote_id for row in receipts.unmatched(session, trunk_id=shop.first)] == ["1"]
        assert len(receipts.unmatched(session, limit=1)) == 1
        receipts.forget_old(session, NOW + DAY / 2)
    assert shop.unmatched() == ["2"]


# -- long messages -----------------------------------------------------------------------------------------------------

T, F, P = delivered, failed, pending


@pytest.mark.parametrize(
    ("policy", "words", "state"),
    [
        ("all", [(T, 1), (T, 2)], "accepted"),
        ("all", [(T, 3), (T, 1), (T, 2)], "delivered"),
        ("all", [(T, 1), (F, 2)], "undelivered"),
        ("all", [(F, 2), (T, 2), (T, 1), (T, 3)], "undelivered"),
        ("all", [(T, 1), (P, 2), (T, 3)], "accepted"),
        ("first", [(T, 2), (T, 3)], "accepted"),
        ("first", [(F, 2), (T, 1)], "delivered"),
        ("first", [(F, 1)], "undelivered"),
        ("last", [(T, 1), (T, 2)], "accepted"),
        ("last", [(F, 1), (T, 3)], "delivered"),
        ("last", [(F, 3)], "undelivered"),
        ("any", [(P, 1)], "accepted"),
        ("any", [(T, 2)], "delivered"),
        ("any", [(F, 2)], "undelivered"),
        ("any", [(F, 2), (T, 1)], "undelivered"),
    ],
)
def test_the_trunk_says_whose_receipts_decide_about_a_long_message(shop, policy, words, state):
    shop.manner(parts_receipt=policy)
    message_id = shop.accepted("a1", "a2", "a3", text=LONG)
    for word, part in words:
        shop.hear(word(f"a{part}"))
    assert shop.state(message_id) == state


def test_a_late_word_takes_nothing_back_from_a_segment(shop):
    message_id = shop.accepted("a1", "a2", "a3", text=LONG)
    shop.hear(delivered("a1"), delivered("a2"))
    shop.hear(failed("a1"))
    assert shop.state(message_id) == "accepted"
    shop.hear(delivered("a3"))
    assert shop.state(message_id) == "delivered"


def test_an_id_that_an_smsc_gives_to_all_segments_speaks_for_all(shop):
    message_id = shop.accepted("a", "a", "a", text=LONG)
    shop.hear(delivered("a"))
    assert shop.state(message_id) == "delivered"


def test_one_segments_receipt_does_not_deliver_a_message_whose_other_answers_were_lost(shop):
    message_id = shop.doubtful("", "a2", "", text=LONG)
    assert shop.segments(message_id) == [("", None), ("a2", None), ("", None)]
    shop.hear(delivered("a2"))
    assert shop.state(message_id) == "in_doubt"
    shop.hear(Receipt("", True, "DELIVRD"))
    assert shop.segments(message_id) == [("", None), ("a2", True), ("", None)]


# -- in doubt ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["34600000001", "+34600000001", "0034600000001", "600000001", "600 00 00 01"])
def test_a_message_in_doubt_is_found_by_its_number_however_it_is_written(shop, number):
    message_id = shop.doubtful()
    shop.hear(delivered("b7", number))
    message = shop.message(message_id)
    assert (message.state, message.remote_id, message.doubt_number) == ("delivered", "b7", None)
    assert shop.unmatched() == []


def test_a_foreign_number_in_doubt_is_found_without_its_plus(shop):
    message_id = shop.doubtful(number="+447911123456")
    shop.hear(failed("b7", "447911123456"))
    assert shop.state(message_id) == "undelivered"


def test_a_receipt_without_an_id_settles_the_only_message_in_doubt_to_its_number(shop):
    message_id = shop.doubtful()
    shop.hear(delivered(""))
    assert shop.state(message_id) == "delivered"


def test_a_pending_receipt_tells_that_the_smsc_has_it_and_under_which_id(shop):
    message_id = shop.doubtful()
    shop.hear(pending("b7"))
    message = shop.message(message_id)
    assert (message.state, message.remote_id, message.doubt_number) == ("accepted", "b7", None)
    shop.hear(delivered("b7", ""))
    assert shop.state(message_id) == "delivered"


def test_of_two_messages_in_doubt_to_one_number_none_is_guessed(shop):
    both = [shop.doubtful(), shop.doubtful()]
    shop.hear(delivered("b7"))
    assert [shop.state(message_id) for message_id in both] == ["in_doubt", "in_doubt"]
    assert shop.unmatched() == ["b7"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": NOW - 1},
        {"at": NOW + 4 * DAY},
        {"heard": delivered("b7", "34600000009")},
        {"heard": delivered("b7", "")},
        {"trunk": 2},
    ],
    ids=["before it was submitted", "too late", "another number", "no number", "another trunk"],
)
def test_what_does_not_fit_settles_no_message_in_doubt(shop, wrong):
    message_id = shop.doubtful()
    trunk_id = shop.second if wrong.get("trunk") else shop.first
    shop.hear(wrong.get("heard", delivered("b7")), at=wrong.get("at", NOW + 60), trunk_id=trunk_id)
    assert shop.state(message_id) == "in_doubt"
    assert shop.unmatched() == ["b7"]


def test_while_another_message_to_the_number_waits_for_its_answer_the_receipt_may_be_that_ones(shop):
    message_id = shop.doubtful()
    other = shop.submit()
    shop.hear(delivered("b7"))
    assert shop.state(message_id) == "in_doubt"
    shop.record(shop.first, Accepted(other, ("b8",)))
    with shop.database.write() as session:
        receipts.match_again(session, NOW, NOW + 61)
    assert shop.state(message_id) == "delivered"


def test_a_receipt_that_came_before_its_message_became_doubtful_settles_it_then(shop):
    message_id = shop.submit()
    shop.hear(delivered("b7"), at=NOW + 1)
    shop.record(shop.first, InDoubt(message_id, "no answer"), at=NOW + 300)
    with shop.database.write() as session:
        receipts.match_again(session, NOW + 240, NOW + 301)  # the receipt itself is too old to be looked at again
    assert shop.state(message_id) == "delivered"
    assert shop.unmatched() == []


def test_a_long_message_in_doubt_is_settled_when_all_its_segments_have_spoken(shop):
    message_id = shop.doubtful(text=LONG)
    shop.hear(delivered("b1"), delivered("b1"))
    assert shop.segments(message_id) == [("b1", True), ("", None), ("", None)]
    shop.hear(delivered("b2"), delivered("b3"))
    assert shop.state(message_id) == "delivered"


def test_the_segments_that_were_answered_keep_their_ids_and_the_others_get_theirs_from_receipts(shop):
    message_id = shop.doubtful("", "b2", "", text=LONG)
    shop.hear(delivered("b3"), delivered("b2"))
    assert shop.segments(message_id) == [("b3", True), ("b2", True), ("", None)]
    shop.hear(failed("b1"))
    assert shop.state(message_id) == "undelivered"


def test_where_the_last_segment_decides_its_receipt_is_taken_for_the_last_ones(shop):
    shop.manner(parts_receipt="last")
    message_id = shop.doubtful(text=LONG)
    shop.hear(delivered("b3"))
    assert shop.segments(message_id) == [("", None), ("", None), ("b3", True)]
    assert shop.state(message_id) == "delivered"


# -- settled by hand -------------------------------------------------------------------------------------------------


def resolve(shop, verdict, **choice):
    with shop.database.write() as session:
        return outbox.resolve(session, verdict, now=NOW + 100, **choice)


@pytest.mark.parametrize(("verdict", "state"), [("sent", "accepted"), ("failed", "refused"), ("resend", "queued")])
def test_a_person_settles_a_message_in_doubt(shop, verdict, state):
    message_id, other = shop.doubtful("", "b2", "", text=LONG), shop.doubtful(number="600000002")
    assert resolve(shop, verdict, ids=[message_id]) == outbox.Resolved(1)
    message = shop.message(message_id)
    assert (message.state, message.doubt_number) == (state, None)
    assert "hand" in message.reason
    assert shop.state(other) == "in_doubt"
    assert len(shop.segments(message_id)) == (0 if verdict == "resend" else 3)


def test_only_messages_in_doubt_are_settled_by_hand(shop):
    accepted, doubtful = shop.accepted("7"), shop.doubtful(number="600000002")
    with shop.database.read() as session:
        assert [message.id for message in outbox.doubtful(session)] == [doubtful]
        assert outbox.doubtful(session, trunk_id=shop.second) == []
    assert resolve(shop, "failed", ids=[accepted, doubtful]) == outbox.Resolved(1)
    assert shop.state(accepted) == "accepted"
    with pytest.raises(BadInput, match="sent, failed, resend"):
        resolve(shop, "perhaps")


def test_what_is_sent_again_is_not_settled_by_the_receipt_of_the_first_attempt(shop):
    message_id = shop.doubtful("", "b2", "", text=LONG)
    resolve(shop, "resend")
    assert shop.claim(shop.first, NOW + 101)
    shop.record(shop.first, Accepted(message_id, ("c1", "c2", "c3")))
    shop.hear(failed("b2"))
    assert shop.state(message_id) == "accepted"


def test_nothing_is_sent_again_to_a_number_that_opted_out(shop):
    gone, stays = shop.doubtful(), shop.doubtful(number="600000002")
    with shop.database.write() as session:
        session.add(OptOut(number="34600000001", at=NOW, source="sms"))
    assert resolve(shop, "resend") == outbox.Resolved(1, kept=1)
    assert (shop.state(gone), shop.state(stays)) == ("in_doubt", "queued")


# -- failover --------------------------------------------------------------------------------------------------------


def test_what_a_receipt_says_will_not_arrive_goes_through_the_next_trunk(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("7")
    shop.hear(failed("7"), others={shop.second})
    message = shop.message(message_id)
    assert (message.state, message.failovers, message.remote_id) == ("queued", 1, None)
    assert message.reason == "UNDELIV 27 (in GSM: absent subscriber)"
    assert shop.claim(shop.first, NOW + 61) == []
    assert [each.id for each in shop.claim(shop.second, NOW + 61, better={shop.first})] == [message_id]
    shop.record(shop.second, Accepted(message_id, ("7",)))
    shop.hear(failed("7"), delivered("7"))  # the first trunk again: these are of the first attempt
    assert shop.state(message_id) == "accepted"
    shop.hear(delivered("7"), trunk_id=shop.second)
    message = shop.message(message_id)
    assert (message.state, message.reason) == ("delivered", "")


def test_by_default_nothing_fails_over(shop):
    message_id = shop.accepted("7")
    shop.hear(failed("7"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_without_another_trunk_that_may_take_it_a_message_is_undelivered(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("7")
    shop.hear(failed("7"))
    assert shop.state(message_id) == "undelivered"


def test_a_message_that_is_bound_to_the_trunk_is_undelivered(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("7", trunk_id=shop.first)
    shop.hear(failed("7"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_a_trunk_that_had_passed_the_message_on_does_not_get_it_again(shop):
    shop.manner(receipt_failover=True)
    with shop.database.write() as session:
        plan = numbering_plan.get(session)
        message_id = outbox.enqueue(session, plan, "600000001", "hola", now=NOW, max_segments=10).id
    shop.claim(shop.second)
    shop.record(shop.second, Deferred(message_id, "no route", elsewhere=True), others={shop.first})
    shop.claim(shop.first)
    shop.record(shop.first, Accepted(message_id, ("7",)))
    shop.hear(failed("7"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_a_message_fails_over_only_so_often(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("7")
    with shop.database.write() as session:
        session.get(Message, message_id).failovers = outbox.MOST_FAILOVERS
    shop.hear(failed("7"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_a_message_in_doubt_that_a_receipt_says_has_failed_fails_over_too(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.doubtful()
    shop.hear(failed("b7"), others={shop.second})
    message = shop.message(message_id)
    assert (message.state, message.remote_id, message.doubt_number) == ("queued", None, None)


def test_a_long_message_fails_over_as_a_whole_and_forgets_its_segments(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("a1", "a2", "a3", text=LONG)
    shop.hear(failed("a2"), others={shop.second})
    assert shop.state(message_id) == "queued"
    assert shop.segments(message_id) == []
    shop.hear(delivered("a1"), delivered("a3"))
    assert shop.state(message_id) == "queued"


def test_a_long_message_of_which_a_part_was_delivered_does_not_fail_over(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("a1", "a2", "a3", text=LONG)
    shop.hear(delivered("a1"), others={shop.second})
    shop.hear(failed("a2"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_nothing_fails_over_to_a_number_that_has_opted_out(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.accepted("7")
    with shop.database.write() as session:
        session.add(OptOut(number="34600000001", at=NOW, source="sms"))
    shop.hear(failed("7"), others={shop.second})
    assert shop.state(message_id) == "undelivered"


def test_a_finished_campaign_runs_on_when_one_of_its_messages_fails_over(shop):
    shop.manner(receipt_failover=True)
    with shop.database.write() as session:
        plan = numbering_plan.get(session)
        campaigns.create(
            session, plan, "promo", "Hola", now=NOW, max_segments=10, rows=[Row(1, "600000001", None)], run=True
        )
    with shop.database.read() as session:
        places = campaigns.sendable(session, shop.first, NOW)
    (message,) = shop.claim(shop.first, places=places)
    shop.record(shop.first, Accepted(message.id, ("7",)))

    def keep_house():
        with shop.database.write() as session:
            campaigns.reopen(session)
            campaigns.finish(session, NOW)
            return campaigns.show(session, "promo").state

    assert keep_house() == "finished"
    shop.hear(failed("7"), others={shop.second})
    assert keep_house() == "running"
    with shop.database.read() as session:
        places = campaigns.sendable(session, shop.second, NOW + 61)
    assert [each.id for each in shop.claim(shop.second, NOW + 61, places=places)] == [message.id]
    shop.record(shop.second, Accepted(message.id, ("8",)))
    assert keep_house() == "finished"


# -- attempts --------------------------------------------------------------------------------------------------------


def test_a_trunk_that_says_later_again_and_again_lets_the_next_one_try(shop):
    message_id = shop.submit()
    later = Deferred(message_id, "a system error", "0x08", retry_after=30.0)
    now = NOW
    for _ in range(outbox.MOST_RETRIES - 1):
        shop.record(shop.first, later, at=now, others={shop.second})
        assert shop.message(message_id).tried == ""
        now += 1000
        assert shop.claim(shop.first, now)
    shop.record(shop.first, later, at=now, others={shop.second})
    assert shop.message(message_id).tried == f",{shop.first},"
    assert shop.claim(shop.second, now, better={shop.first})


def test_the_kept_receipts_are_gone_with_the_match(shop):
    shop.hear(delivered("5"), delivered("6"))
    message_id = shop.accepted("5")
    with shop.database.write() as session:
        receipts.match_again(session, NOW, NOW + 61)
        assert session.query(UnmatchedReceipt).count() == 1
    assert shop.state(message_id) == "delivered"


def test_what_is_queued_again_goes_by_the_routes_of_now(shop):
    message_id = shop.doubtful()
    with shop.database.write() as session:
        session.get(Message, message_id).route_id = 4711  # a route that has gone meanwhile
    resolve(shop, "resend")
    assert [each.id for each in shop.claim(shop.first, NOW + 101)] == [message_id]
    shop.manner(receipt_failover=True)
    shop.record(shop.first, Accepted(message_id, ("c1",)), at=NOW + 102)
    with shop.database.write() as session:
        session.get(Message, message_id).route_id = 4711
    shop.hear(failed("c1"), others={shop.second}, at=NOW + 103)
    assert [each.id for each in shop.claim(shop.second, NOW + 104, better={shop.first})] == [message_id]


def test_a_long_message_that_goes_in_one_pdu_has_one_receipt(shop):
    shop.manner(long="payload")
    message_id = shop.doubtful(text=LONG)
    shop.hear(delivered("b1"))
    assert shop.state(message_id) == "delivered"


def test_a_receipt_that_missed_its_message_may_send_it_on_when_it_finds_it(shop):
    shop.manner(receipt_failover=True)
    message_id = shop.submit()
    shop.hear(failed("7"))
    shop.record(shop.first, Accepted(message_id, ("7",)))
    with shop.database.write() as session:
        receipts.match_again(session, NOW, NOW + 61, lambda _: outbox.NextTrunks({shop.second}))
    assert shop.state(message_id) == "queued"
