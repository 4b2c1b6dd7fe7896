"""Messages on their way out: segments, the window, refusals, throttling, time-outs, loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ixxsms import text as gsm
from ixxsms.events import Accepted, Deferred, InDoubt, Noted, Refused, Stopped, Warned
from ixxsms.smpp import outgoing, pdu
from ixxsms.smpp.coding import Coding, Long, Validity

Make = Callable[..., Any]
LONG = "x" * 400  # three segments


def test_a_message_goes_as_one_submit_sm_and_is_accepted_with_its_id(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1, "hello {€}", sender_id="acme"))
    assert frame[0] == pdu.SUBMIT_SM
    parsed = pdu.parse_message(*frame[::3])
    assert parsed == pdu.Message(5, 0, b"acme", 1, 1, b"34600000001", 0, 1, 0, b"hello \x1b(\x1be\x1b)", {})
    assert talk.session.in_flight() == 1
    assert talk.answer(frame, message_id="39f9") == [Accepted(1, ("39f9",))]
    assert talk.session.in_flight() == 0


def test_no_receipt_is_asked_for_where_none_is_wanted(talk: Make, message: Make) -> None:
    (frame,) = talk(coding=Coding(registered_delivery=0)).submit(message(1))
    parsed = pdu.parse_message(frame[0], frame[3])
    assert parsed is not None
    assert parsed.registered_delivery == 0


def test_a_long_unicode_message_is_cut_and_accepted_when_all_of_it_is(talk: Make, message: Make) -> None:
    talk = talk()
    text = "ñandú 😀 " * 20
    frames = talk.submit(message(1, text))
    parsed = [pdu.parse_message(frame[0], frame[3]) for frame in frames]
    assert [(part.esm_class, part.data_coding) for part in parsed if part] == [(0x40, 8)] * 3
    headers = [gsm.split_udh(part.data) for part in parsed if part]
    assert [(concat.total, concat.number) for concat, _ in headers if concat] == [(3, 1), (3, 2), (3, 3)]
    assert len({concat.reference for concat, _ in headers if concat}) == 1
    assert b"".join(body for _, body in headers).decode("utf-16-be") == text
    assert talk.answer(frames[2], message_id="c") == []
    assert talk.answer(frames[0], message_id="a") == []
    assert talk.answer(frames[1], message_id="b") == [Accepted(1, ("a", "b", "c"))]


def test_two_long_messages_have_different_references(talk: Make, message: Make) -> None:
    frames = talk().submit(message(1, LONG), message(2, LONG))
    references = [gsm.split_udh(pdu.parse_message(f[0], f[3]).data)[0].reference for f in frames]  # type: ignore[union-attr]
    assert references[0] == references[1] == references[2] != references[3]


def test_the_window_counts_segments(talk: Make, message: Make) -> None:
    talk = talk(window=4)
    frames = talk.submit(message(1, LONG), message(2, LONG))
    assert len(frames) == 4
    assert talk.session.room() == 0
    talk.answer(frames[0])
    assert talk.session.room() == 0
    frames += talk.frames()
    assert len(frames) == 5
    for frame in frames[1:4]:
        talk.answer(frame)
    assert talk.session.room() == 4 - 2
    assert talk.session.in_flight() == 1


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (0x0B, Refused(1, "the number is invalid (RINVDSTADR, 0x0B)", "0x0B")),
        (0x45, Deferred(1, "the submission failed (RSUBMITFAIL, 0x45)", "0x45", elsewhere=True)),
        (0x14, Deferred(1, "the message queue is full (RMSGQFUL, 0x14)", "0x14", retry_after=30.0)),
        (0x499, Deferred(1, "an error that only the provider knows (0x0499)", "0x0499", elsewhere=True)),
    ],
)
def test_the_class_of_a_status_decides_what_becomes_of_the_message(
    status: int, event: object, talk: Make, message: Make
) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    assert talk.answer(frame, status) == [event]
    assert talk.session.room() == 10


def test_a_refusal_may_come_with_a_body_or_as_generic_nack(talk: Make, message: Make) -> None:
    talk = talk()
    first, second = talk.submit(message(1), message(2))
    assert talk.say(pdu.answer(pdu.SUBMIT_SM, 0x0B, first[2], b"")) == [
        Refused(1, "the number is invalid (RINVDSTADR, 0x0B)", "0x0B")
    ]
    (event,) = talk.say(pdu.HEADER.pack(16, pdu.GENERIC_NACK, 2, second[2]))
    assert event == Deferred(2, "the command length is invalid (RINVCMDLEN, 0x02)", "0x02", elsewhere=True)


def test_an_answer_without_an_id_is_still_an_answer(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    assert talk.say(pdu.answer(pdu.SUBMIT_SM, 0, frame[2])) == [Accepted(1, ("",))]


def test_an_answer_that_nothing_waits_for_is_let_go(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    assert talk.say(pdu.answer(pdu.SUBMIT_SM, 0, frame[2] + 1, b"x")) == []
    talk.answer(frame)
    assert talk.answer(frame) == []


def test_a_trunks_own_meaning_of_a_code_goes_first(talk: Make, message: Make) -> None:
    from ixxsms.smpp import status

    talk = talk(errors=status.errors(overrides="0x0B=next"))
    (frame,) = talk.submit(message(1))
    (event,) = talk.answer(frame, 0x0B)
    assert isinstance(event, Deferred)


@pytest.mark.parametrize("status", [0x45, 0x14])
def test_a_long_message_of_which_nothing_was_taken_may_go_elsewhere(status: int, talk: Make, message: Make) -> None:
    talk = talk()
    frames = talk.submit(message(1, LONG))
    assert talk.answer(frames[0], status) == []
    (noted,) = talk.answer(frames[1], status)
    event, again = talk.answer(frames[2], status)[::-1]
    assert isinstance(event, Deferred)
    assert again == noted == Noted(event.code, event.reason.removeprefix("segment 1 of 3 refused: "))
    assert event.reason.startswith("segment 1 of 3 refused: ")


def test_a_long_message_of_which_a_part_was_taken_is_refused(talk: Make, message: Make) -> None:
    talk = talk()
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[0])
    talk.answer(frames[1], 0x45)
    (event,) = talk.answer(frames[2])
    assert event == Refused(1, "segment 2 of 3 refused: the submission failed (RSUBMITFAIL, 0x45)", "0x45")


def test_after_a_refusal_the_segments_that_wait_are_not_sent(talk: Make, message: Make) -> None:
    talk = talk(window=1)
    (frame,) = talk.submit(message(1, LONG), message(2))
    (event,) = talk.answer(frame, 0x0B)
    assert isinstance(event, Refused)
    (frame,) = talk.frames()
    assert talk.answer(frame, message_id="b") == [Accepted(2, ("b",))]


@pytest.mark.parametrize(
    "field", [{"destination": "34\x00600"}, {"destination": ""}, {"sender_id": "far too long a name"}]
)
def test_what_no_pdu_can_carry_is_refused_and_the_others_go(field: dict[str, str], talk: Make, message: Make) -> None:
    talk = talk()
    frames = talk.submit(message(1, **field), message(2))
    assert len(frames) == 1
    (event,) = talk.tick(0)
    assert isinstance(event, Refused)
    assert event.message_id == 1


def test_a_text_of_more_than_255_segments_is_refused(talk: Make, message: Make) -> None:
    talk = talk()
    assert talk.submit(message(1, "x" * 153 * 256)) == []
    (event,) = talk.tick(0)
    assert "255" in event.reason


def test_throttling_pauses_the_trunk_and_the_segment_goes_first_again(talk: Make, message: Make) -> None:
    talk = talk(window=2)
    frames = talk.submit(message(1), message(2), message(3))
    throttled = Noted("0x58", "messages come too fast (RTHROTTLED, 0x58)")
    assert talk.answer(frames[0], 0x58) == [throttled]
    assert talk.answer(frames[1], 0x58) == [throttled]
    assert talk.session.room() == 0
    assert talk.frames() == []
    assert talk.session.next_deadline() == talk.now + 1.0
    talk.tick(0.99)
    assert talk.frames() == []
    talk.tick(0.01)
    (again,) = talk.frames()
    assert again[3] == frames[0][3]
    assert again[2] not in {frame[2] for frame in frames}
    assert talk.answer(again, message_id="a") == [Accepted(1, ("a",))]
    assert talk.frames() == []
    talk.tick(talk.session.next_deadline() - talk.now)
    assert [frame[3] for frame in talk.frames()] == [frames[1][3]]


def test_what_was_throttled_late_goes_again_before_what_is_newer(talk: Make, message: Make) -> None:
    talk = talk(window=3, enquire_link=3600.0)
    frames = talk.submit(message(1), message(2), message(3), message(4))
    talk.answer(frames[0], 0x58)
    talk.tick(1.0)  # the pause is over, and the answers to the others come only now
    (first,) = talk.frames()
    assert first[3] == frames[0][3]
    talk.answer(frames[1], 0x58)
    talk.answer(frames[2], 0x58)
    talk.answer(first)
    sent = []
    for _ in range(3):
        talk.tick(5.0)
        sent += talk.frames()
    assert [frame[3] for frame in sent] == [frames[1][3], frames[2][3], frames[0][3]]


def test_the_pause_doubles_up_to_a_minute_and_success_makes_it_short_again(talk: Make, message: Make) -> None:
    talk = talk(window=3, enquire_link=3600.0)
    frames = talk.submit(message(1), message(2), message(3))
    throttle, pauses = talk.session._outgoing._throttle, []
    for _ in range(8):
        for frame in frames:  # a whole window turned down makes one pause
            talk.answer(frame, 0x58)
        pauses.append(throttle.resume_at - talk.now)
        talk.tick(pauses[-1])
        frames = talk.frames()
        assert len(frames) == 1
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    talk.answer(frames[0])
    talk.tick(5.0)
    talk.answer(talk.frames()[0], 0x58)
    assert throttle.resume_at - talk.now == pytest.approx(1)


def test_a_throttled_segment_of_a_long_message_is_only_sent_again(talk: Make, message: Make) -> None:
    talk = talk()
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[0], message_id="a")
    talk.answer(frames[1], 0x58)
    talk.answer(frames[2], message_id="c")
    talk.tick(1.0)
    (again,) = talk.frames()
    assert again[3] == frames[1][3]
    assert talk.answer(again, message_id="b") == [Accepted(1, ("a", "b", "c"))]


def test_an_answer_that_does_not_come_leaves_the_message_in_doubt(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0)
    (frame,) = talk.submit(message(1))
    assert talk.session.next_deadline() == talk.now + 30
    assert talk.tick(29.9) == []
    assert talk.tick(0.1) == [InDoubt(1, "The SMSC did not answer within 30 seconds.")]
    assert talk.session.in_flight() == 0
    assert talk.answer(frame, message_id="7") == [Accepted(1, ("7",))], "an SMSC that is only slow settles it"
    assert talk.session.in_flight() == 0
    assert talk.answer(frame, message_id="7") == []


def test_a_late_refusal_settles_a_doubt_if_it_is_final_and_else_is_only_counted(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0)
    first, second = talk.submit(message(1), message(2))
    assert len(talk.tick(30.0)) == 2
    assert talk.answer(first, 0x0B) == [Refused(1, "the number is invalid (RINVDSTADR, 0x0B)", "0x0B")]
    (event,) = talk.answer(second, 0x58)
    assert event == Noted("0x58", "messages come too fast (RTHROTTLED, 0x58)")
    assert talk.session.room() == 1, "nobody knows of it any more: the trunk does not pause for it"


def test_a_long_message_in_doubt_is_accepted_when_its_last_answers_come(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0)
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[1], message_id="b")
    talk.tick(30.0)
    assert talk.answer(frames[0], message_id="a") == []
    assert talk.answer(frames[2], message_id="c") == [Accepted(1, ("a", "b", "c"))]


def test_an_answer_that_is_late_for_one_segment_only_leaves_no_doubt(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0, window=2)
    frames = talk.submit(message(1, LONG))
    talk.tick(1.0)
    talk.answer(frames[1], message_id="b")
    frames += talk.frames()  # the third, a second later
    assert talk.tick(29.0) == [], "the first is overdue"
    assert talk.answer(frames[0], message_id="a") == []
    assert talk.answer(frames[2], message_id="c") == [Accepted(1, ("a", "b", "c"))]
    assert talk.session.in_flight() == 0


def test_a_long_message_whose_end_was_never_sent_stays_in_doubt(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0, window=1)
    (frame,) = talk.submit(message(1, LONG))
    assert len(talk.tick(30.0)) == 1
    assert talk.answer(frame, message_id="a") == []


def test_answers_on_another_link_are_not_late_ones(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0)
    (frame,) = talk.submit(message(1))
    talk.tick(30.0)
    talk.lose()
    talk.bind()
    assert talk.answer(frame) == []


def test_only_so_many_late_answers_are_waited_for(talk: Make, message: Make, monkeypatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_LATE", 2)
    talk = talk(response_timeout=30.0, enquire_link=300.0, window=3)
    frames = talk.submit(message(1), message(2), message(3))
    talk.tick(30.0)
    assert [talk.answer(frame, message_id="x") for frame in frames] == [
        [],
        [Accepted(2, ("x",))],
        [Accepted(3, ("x",))],
    ]


def test_after_a_time_out_one_segment_at_a_time_goes_until_an_answer_comes(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0, window=10)
    talk.submit(message(1))
    talk.tick(30.0)
    assert talk.session.room() == 1
    (frame,) = talk.submit(message(2), message(3))
    talk.answer(frame)
    assert talk.session.room() == 9


def test_a_long_message_in_doubt_keeps_the_ids_that_came(talk: Make, message: Make) -> None:
    talk = talk(response_timeout=30.0, enquire_link=300.0)
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[1], message_id="b")
    (event,) = talk.tick(30.0)
    assert event == InDoubt(
        1, "The SMSC did not answer within 30 seconds. (1 of 3 segments were accepted)", ("", "b", "")
    )


def test_a_loss_leaves_in_doubt_what_was_written_and_hands_back_what_was_not(talk: Make, message: Make) -> None:
    talk = talk(window=3)
    talk.session.submit([message(n) for n in (1, 2, 3, 4)], talk.now)
    data = bytes(talk.session.out)
    size = len(data) // 3
    talk.session.sent(2 * size - 1)  # the last octet of the second never left
    assert talk.lose("gone") == [
        InDoubt(1, "gone"),
        Deferred(2, "gone", elsewhere=True, counted=False),
        Deferred(3, "gone", elsewhere=True, counted=False),
        Deferred(4, "gone", elsewhere=True, counted=False),
    ]
    assert talk.session.in_flight() == 0
    assert talk.session.out == b""


def test_the_count_of_what_was_written_begins_anew_with_each_link(talk: Make, message: Make) -> None:
    talk = talk()
    for frame in talk.submit(*(message(n) for n in range(1, 6))):
        talk.answer(frame)
    talk.lose()
    talk.bind()
    talk.session.submit([message(9)], talk.now)
    assert talk.lose("gone") == [Deferred(9, "gone", elsewhere=True, counted=False)]


def test_a_long_message_is_in_doubt_as_a_whole_if_any_of_it_left(talk: Make, message: Make) -> None:
    talk = talk(window=1)
    talk.submit(message(1, LONG))
    (event,) = talk.lose("gone")
    assert event == InDoubt(1, "gone (0 of 3 segments were accepted)", ("", "", ""))


def test_a_long_message_between_two_segments_is_in_doubt_with_its_ids(talk: Make, message: Make) -> None:
    talk = talk(window=1)
    (frame,) = talk.submit(message(1, LONG))
    talk.answer(frame, message_id="a")  # the second is put into the buffer, but not written
    assert talk.lose("gone") == [InDoubt(1, "gone (1 of 3 segments were accepted)", ("a", "", ""))]


def test_a_loss_while_throttled_hands_everything_back(talk: Make, message: Make) -> None:
    talk = talk()
    for frame in talk.submit(message(1), message(2)):
        talk.answer(frame, 0x58)
    assert talk.lose("gone") == [
        Deferred(1, "gone", elsewhere=True, counted=False),
        Deferred(2, "gone", elsewhere=True, counted=False),
    ]
    talk.bind()
    assert talk.session.room() == 0  # a new link does not make the SMSC faster
    talk.tick(1.0)
    assert talk.session.room() == 10


def test_sequence_numbers_come_round_without_zero(talk: Make, message: Make) -> None:
    talk = talk()
    talk.session._outgoing._sequence = pdu.MAX_SEQUENCE - 1
    frames = talk.submit(message(1), message(2))
    assert [frame[2] for frame in frames] == [pdu.MAX_SEQUENCE, 1]
    for frame in frames:
        assert len(talk.answer(frame)) == 1


def test_a_pause_wakes_nobody_once_the_trunk_unbinds(talk: Make, message: Make) -> None:
    talk = talk(enquire_link=3600.0, answer_timeout=10.0)
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[0], message_id="a")
    talk.answer(frames[1], 0x58)
    talk.answer(frames[2], message_id="c")
    talk.session.leave("The trunk was closed.", talk.now, within=0.5)
    assert talk.frames() == []
    talk.tick(0.5)
    assert talk.frames()[0][0] == pdu.UNBIND
    assert talk.session.next_deadline() == talk.now + 10.0
    assert talk.lose("gone") == [InDoubt(1, "gone (2 of 3 segments were accepted)", ("a", "", "c"))]


def test_what_was_throttled_is_handed_back_when_the_trunk_leaves(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    talk.answer(frame, 0x58)
    talk.session.leave("The trunk was closed.", talk.now)
    assert talk.frames()[0][0] == pdu.UNBIND
    assert talk.tick(0) == [Deferred(1, "The trunk was closed.", elsewhere=True, counted=False)]


def test_the_reference_of_a_long_message_is_its_own_number(talk: Make, message: Make) -> None:
    talk = talk()
    for number in (7, 0x1234):
        frames = talk.submit(message(number, LONG))
        references = {gsm.split_udh(pdu.parse_message(f[0], f[3]).data)[0].reference for f in frames}  # type: ignore[union-attr]
        assert references == {number % 256}


def test_the_window_counts_what_the_trunks_alphabet_makes_of_a_text(talk: Make, message: Make) -> None:
    talk = talk(window=3, coding=Coding(long=Long.UDH16))
    frames = talk.submit(message(1, "x" * 153 * 3, segments=3), message(2, segments=1))
    assert len(frames) == 3
    assert talk.session.room() == 0
    talk.answer(frames[0], message_id="a")
    frames += talk.frames()
    for frame, message_id in zip(frames[1:3], "bc", strict=True):
        talk.answer(frame, message_id=message_id)
    assert talk.answer(frames[3], message_id="d") == [Accepted(1, ("a", "b", "c", "d"))]


WEEK = Coding(validity=Validity(7 * 24 * 3600))
WITHOUT_IT = Warned(
    "the SMSC refuses the validity period, so messages go without one: "
    "the validity period is invalid (RINVEXPIRY, 0x62)"
)
COUNTED = Noted("0x62", "the validity period is invalid (RINVEXPIRY, 0x62)")


def validity_of(frame: pdu.Frame) -> bytes:
    """validity_period of a submit_sm of these tests, none of whose fields before the addresses has a NUL."""
    after_addresses = frame[3].split(b"34600000001\0", 1)[1]
    return after_addresses[4:].split(b"\0", 1)[0]


def test_every_submit_sm_carries_the_validity_of_the_trunk(talk: Make, message: Make) -> None:
    frames = talk(coding=WEEK).submit(message(1), message(2, LONG))
    assert [validity_of(frame) for frame in frames] == [b"000007000000000R"] * 4
    talk = talk(coding=Coding(validity=Validity(3600, absolute=True)))
    talk.session.submit([message(1)], talk.now, 1795176001.5)  # 2026-11-20 12:00:01 UTC
    assert validity_of(talk.frames()[0]) == b"261120130100000+"


@pytest.mark.parametrize("status", [0x61, 0x62])
def test_a_refused_validity_is_cleared_and_the_message_goes_once_more(status: int, talk: Make, message: Make) -> None:
    talk = talk(coding=WEEK)
    (frame,) = talk.submit(message(1))
    warning, noted = talk.answer(frame, status)
    assert isinstance(warning, Warned)
    assert isinstance(noted, Noted)
    (again,) = talk.frames()
    assert validity_of(again) == b""
    assert again[3] == frame[3].replace(b"000007000000000R", b"")
    assert talk.session.in_flight() == 1
    assert talk.answer(again, message_id="a") == [Accepted(1, ("a",))]


def test_after_one_refusal_all_go_without_a_validity_and_one_warning_is_enough(talk: Make, message: Make) -> None:
    talk = talk(coding=WEEK)
    frames = talk.submit(message(1), message(2))
    assert talk.answer(frames[0], 0x62) == [WITHOUT_IT, COUNTED]
    assert talk.answer(frames[1], 0x62) == [COUNTED]
    frames = [*talk.frames(), *talk.submit(message(3))]
    assert [validity_of(frame) for frame in frames] == [b"", b"", b""]
    assert [type(event) for frame in frames for event in talk.answer(frame)] == [Accepted] * 3


def test_a_validity_is_cleared_once_and_then_the_refusal_counts(talk: Make, message: Make) -> None:
    talk = talk(coding=WEEK)
    (frame,) = talk.submit(message(1))
    talk.answer(frame, 0x62)
    (again,) = talk.frames()
    (event,) = talk.answer(again, 0x62)
    assert event == Deferred(1, "the validity period is invalid (RINVEXPIRY, 0x62)", "0x62", elsewhere=True)
    (frame,) = talk.submit(message(2))
    (event,) = talk.answer(frame, 0x62)
    assert isinstance(event, Deferred)


def test_each_segment_of_a_long_message_goes_again_in_its_order(talk: Make, message: Make) -> None:
    talk = talk(coding=WEEK)
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[0], message_id="a")
    refusals = b"".join(pdu.answer(frame[0], 0x62, frame[2]) for frame in (frames[2], frames[1]))
    assert talk.say(refusals) == [WITHOUT_IT, COUNTED, COUNTED]
    again = talk.frames()
    assert [frame[3] for frame in again] == [frame[3].replace(b"000007000000000R", b"") for frame in frames[1:]]
    talk.answer(again[0], message_id="b")
    assert talk.answer(again[1], message_id="c") == [Accepted(1, ("a", "b", "c"))]


def test_a_message_that_is_to_go_without_its_validity_is_handed_back_at_a_loss(talk: Make, message: Make) -> None:
    talk = talk(coding=WEEK, window=1)
    (frame,) = talk.submit(message(1))
    talk.session.receive(pdu.answer(frame[0], 0x62, frame[2]), talk.now)
    assert talk.lose("gone") == [Deferred(1, "gone", elsewhere=True, counted=False)]


def test_an_error_before_a_loss_is_counted_though_the_message_is_in_doubt(talk: Make, message: Make) -> None:
    talk = talk()
    frames = talk.submit(message(1, LONG))
    talk.answer(frames[0], message_id="a")
    assert talk.answer(frames[1], 0x45) == []
    noted, outcome = talk.lose("gone")
    assert noted == Noted("0x45", "the submission failed (RSUBMITFAIL, 0x45)")
    assert outcome == InDoubt(1, "gone (1 of 3 segments were accepted)", ("a", "", ""))


def refuse(talk: Any, message: Make, count: int) -> list[Any]:
    """What comes of so many messages whose sender id is refused."""
    events = []
    for n in range(count):
        (frame,) = talk.submit(message(n + 1))
        events += talk.answer(frame, 0x0A)
    return events


def test_a_trunk_whose_every_message_has_a_wrong_sender_id_stops(talk: Make, message: Make) -> None:
    talk = talk()
    assert not [event for event in refuse(talk, message, 99) if isinstance(event, Stopped)]
    (stopped,) = [event for event in refuse(talk, message, 1) if isinstance(event, Stopped)]
    assert stopped.reason == "the SMSC refuses every message: the sender id is not allowed (RINVSRCADR, 0x0A)"


def test_one_accepted_message_tells_that_the_trunk_is_set_up_well(talk: Make, message: Make) -> None:
    talk = talk()
    refuse(talk, message, 99)
    (frame,) = talk.submit(message(1))
    talk.answer(frame)
    assert not [event for event in refuse(talk, message, 99) if isinstance(event, Stopped)]
