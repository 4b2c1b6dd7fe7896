"""The session: logging in and out, the link, incoming messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from smpplib import consts

from ixxsms.events import Accepted, Deferred, InDoubt, Noted, Receipt, Received, Stopped
from ixxsms.smpp import pdu, smsc_pdus
from ixxsms.smpp.session import State, Token

Make = Callable[..., Any]
SOURCE, DEST = b"\x01\x0134600000001\0", b"\x05\x00acme\0"


def receipt(sequence: int, text: bytes = b"id:7 stat:DELIVRD err:000") -> bytes:
    return smsc_pdus.deliver_sm(sequence, SOURCE, DEST, 4, 0, text)


def test_it_logs_in_with_what_it_was_given(unbound: Make) -> None:
    talk = unbound(system_type="VMA")
    command, status, sequence, body = talk.connect()
    assert (command, status) == (pdu.BINDS["trx"], 0)
    assert body == b"user\0secret\0VMA\0\x34\0\0\0"
    assert talk.session.state is State.BINDING
    assert talk.session.room() == 0
    talk.say(pdu.answer(command, 0, sequence, b"smsc"))
    assert (talk.session.state, talk.session.why, talk.session.room()) == (State.BOUND, "", 10)


@pytest.mark.parametrize("kind", ["trx", "tx", "rx"])
def test_each_kind_of_bind_has_its_command_and_a_receiver_has_no_room(kind: str, unbound: Make) -> None:
    talk = unbound(bind=kind)
    assert talk.connect()[0] == pdu.BINDS[kind]
    talk.say(pdu.answer(pdu.BINDS[kind], 0, 1, b""))
    assert talk.session.state is State.BOUND
    assert talk.session.room() == (0 if kind == "rx" else 10)


def test_a_login_answer_without_a_body_is_an_answer(unbound: Make) -> None:
    talk = unbound()
    talk.connect()
    talk.say(pdu.answer(pdu.BINDS["trx"], 0, 1))
    assert talk.session.state is State.BOUND


def test_a_wrong_password_says_so_is_tried_three_times_and_then_stops(unbound: Make) -> None:
    talk = unbound(password="hunter2")
    waits = []
    for attempt in (1, 2, 3):
        events = talk.bind(consts.SMPP_ESME_RINVPASWD)
        assert talk.session.over == "The SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)."
        assert events[0] == Noted("0x0E", "the password is wrong (RINVPASWD, 0x0E)")
        if attempt < 3:
            assert len(events) == 1
            assert talk.lose() == []
            assert talk.session.why == "The SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)."
            waits.append(talk.session.retry_in)
    reason = "the SMSC refuses the login: the password is wrong (RINVPASWD, 0x0E)"
    assert events[1:] == [Stopped(reason)]
    assert talk.session.stopped == reason
    assert waits == [30.0, 60.0]
    assert "hunter2" not in reason + repr(talk.session._settings)


@pytest.mark.parametrize("code", [0x0E, 0x0F, 0x53])
def test_every_refusal_of_the_login_itself_is_counted(code: int, unbound: Make) -> None:
    talk = unbound()
    for _ in range(3):
        talk.bind(code)
        talk.lose()
    assert talk.session.stopped


def test_other_refusals_of_a_bind_are_tried_for_ever_with_a_growing_wait(unbound: Make) -> None:
    talk = unbound()
    waits = []
    for _ in range(8):
        talk.bind(consts.SMPP_ESME_RALYBND)
        assert "RALYBND" in talk.session.over
        talk.lose()
        waits.append(talk.session.retry_in)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert not talk.session.stopped


def test_a_bind_that_fails_after_a_cut_is_no_wrong_password(talk: Make) -> None:
    talk = talk()
    talk.lose()
    for _ in range(5):
        talk.bind(consts.SMPP_ESME_RBINDFAIL)  # the old session lives on at the SMSC
        talk.lose()
    assert not talk.session.stopped


def test_a_bind_that_fails_in_a_new_process_is_tried_on_at_ease_and_says_why(unbound: Make) -> None:
    talk = unbound()
    waits = []
    for _ in range(6):
        talk.bind(consts.SMPP_ESME_RBINDFAIL)  # another daemon has the only bind of the account
        talk.lose()
        waits.append(talk.session.retry_in)
        assert talk.session.why == "The SMSC refuses the login: the bind failed (RBINDFAIL, 0x0D)."
    assert waits == [30, 60, 120, 240, 480, 600]
    assert not talk.session.stopped
    talk.bind(consts.SMPP_ESME_ROK)
    assert talk.session.state is State.BOUND


def test_binds_that_failed_do_not_count_as_wrong_passwords(unbound: Make) -> None:
    talk = unbound()
    for _ in range(2):
        for code in (consts.SMPP_ESME_RBINDFAIL, consts.SMPP_ESME_RINVPASWD):
            assert not talk.session.stopped
            talk.bind(code)
            talk.lose()
    assert not talk.session.stopped


def test_a_generic_nack_answers_a_bind_too(unbound: Make) -> None:
    talk = unbound()
    talk.connect()
    talk.say(pdu.HEADER.pack(16, pdu.GENERIC_NACK, 3, 1))
    assert talk.session.over == "The SMSC refuses the login: the command is invalid (RINVCMDID, 0x03)."


def test_a_bind_that_nobody_answers_is_over(unbound: Make) -> None:
    talk = unbound(answer_timeout=10.0)
    talk.connect()
    assert talk.session.next_deadline() == talk.now + 10
    talk.tick(10.0)
    assert talk.session.over == "The SMSC did not answer the login in time."


def test_the_wait_is_short_again_after_a_link_that_held(talk: Make) -> None:
    talk = talk()
    for _ in range(4):
        talk.lose()
    assert talk.session.retry_in == 8
    talk.bind()
    talk.now += 100
    talk.lose()
    assert talk.session.retry_in == 1


def test_a_link_that_falls_at_once_is_not_tried_every_second(talk: Make) -> None:
    talk = talk()
    waits = []
    for _ in range(4):
        talk.lose()
        waits.append(talk.session.retry_in)
        talk.bind()
    assert waits == [1, 2, 4, 8]


def test_silence_is_answered_with_an_enquire_link_and_death(talk: Make) -> None:
    talk = talk(enquire_link=30.0, answer_timeout=10.0)
    talk.tick(29.9)
    assert talk.frames() == []
    talk.tick(0.1)
    ((command, _, sequence, body),) = talk.frames()
    assert (command, body) == (pdu.ENQUIRE_LINK, b"")
    talk.say(pdu.answer(command, 0, sequence))
    talk.tick(30.0)
    assert len(talk.frames()) == 1
    talk.tick(10.0)
    assert talk.session.over == "The SMSC does not answer any more: its enquire_link is overdue."


def test_an_enquire_link_is_answered(talk: Make) -> None:
    talk = talk()
    talk.say(pdu.request(pdu.ENQUIRE_LINK, 4711))
    assert talk.frames() == [(pdu.ENQUIRE_LINK_RESP, 0, 4711, b"")]


def test_an_unbind_is_answered_and_ends_the_link(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    events = talk.say(pdu.request(pdu.UNBIND, 5) + pdu.answer(frame[0], 0, frame[2], b"77"))
    assert talk.frames() == [(pdu.UNBIND_RESP, 0, 5, b"")]
    assert events == [Accepted(1, ("77",))]
    assert talk.session.over == "The SMSC ended the session (unbind)."


@pytest.mark.parametrize("command", [3, 4, 7, 0x21, 0x7FFFFFFF])
def test_a_request_that_no_client_can_serve_is_turned_down(command: int, talk: Make) -> None:
    talk = talk()
    talk.say(pdu.HEADER.pack(18, command, 0, 9) + b"xx")
    assert talk.frames() == [(pdu.GENERIC_NACK, consts.SMPP_ESME_RINVCMDID, 9, b"")]


@pytest.mark.parametrize(
    "command",
    [pdu.ALERT_NOTIFICATION, pdu.OUTBIND, pdu.ENQUIRE_LINK_RESP, pdu.GENERIC_NACK, 0x80000003, 0x80000009, 0xFFFFFFFF],
)
def test_what_asks_for_nothing_is_not_answered(command: int, talk: Make) -> None:
    talk = talk()
    assert talk.say(pdu.HEADER.pack(16, command, 0, 9)) == []
    assert talk.frames() == []
    assert talk.session.state is State.BOUND


def test_a_receipt_is_acknowledged_only_when_it_is_told(talk: Make) -> None:
    talk = talk()
    events = talk.say(receipt(31) + receipt(32, b"id:8 stat:UNDELIV err:011"))
    assert events == [
        Receipt("7", True, "DELIVRD", "000", "34600000001"),
        Receipt("8", False, "UNDELIV", "011", "34600000001"),
    ]
    assert talk.frames() == []
    talk.session.acknowledge([events[1].token])
    assert talk.frames() == [(pdu.DELIVER_SM_RESP, 0, 32, b"\0")]
    talk.session.acknowledge([events[0].token])
    assert talk.frames() == [(pdu.DELIVER_SM_RESP, 0, 31, b"\0")]


def test_a_receipt_in_a_data_sm_is_answered_in_kind(talk: Make) -> None:
    talk = talk()
    body = b"\0" + SOURCE + DEST + b"\x04\0\0" + b"\x00\x1e\x00\x027\0" + b"\x04\x27\x00\x01\x02"
    (event,) = talk.say(pdu.HEADER.pack(16 + len(body), pdu.DATA_SM, 0, 8) + body)
    assert event == Receipt("7", True, "DELIVRD", "", "34600000001")
    talk.session.acknowledge([event.token])
    assert talk.frames() == [(pdu.DATA_SM_RESP, 0, 8, b"\0")]


def test_an_sms_from_outside_is_given_with_its_text(talk: Make) -> None:
    talk = talk()
    (event,) = talk.say(smsc_pdus.deliver_sm(5, SOURCE, DEST, 0, 8, "¿qué?".encode("utf-16-be")))
    assert event == Received("+34600000001", "acme", "¿qué?")


def test_what_came_over_an_earlier_link_is_not_acknowledged_on_this_one(talk: Make) -> None:
    talk = talk()
    (event,) = talk.say(receipt(31))
    talk.lose()
    talk.session.acknowledge([event.token])
    talk.bind()
    talk.session.acknowledge([event.token, Token(0, 999, pdu.DELIVER_SM, 1)])
    assert talk.frames() == []


def test_a_deliver_sm_that_cannot_be_read_is_turned_down_for_ever(talk: Make) -> None:
    talk = talk()
    assert talk.say(pdu.HEADER.pack(20, pdu.DELIVER_SM, 0, 6) + b"\xff" * 4) == []
    assert talk.frames() == [(pdu.DELIVER_SM_RESP, consts.SMPP_ESME_RX_P_APPN, 6, b"\0")]


def test_a_deliver_sm_before_the_login_is_turned_down(unbound: Make) -> None:
    talk = unbound()
    talk.connect()
    assert talk.say(receipt(3)) == []
    assert talk.frames() == [(pdu.DELIVER_SM_RESP, consts.SMPP_ESME_RINVBNDSTS, 3, b"\0")]


def test_what_is_no_smpp_ends_the_link(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    events = talk.say(pdu.answer(frame[0], 0, frame[2], b"77") + b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert events == [Accepted(1, ("77",))]
    assert "no SMPP" in talk.session.over


def test_leaving_waits_for_what_was_begun_and_hands_back_the_rest(talk: Make, message: Make) -> None:
    talk = talk(window=2)
    frames = talk.submit(message(1), message(2), message(3))
    talk.session.leave("The trunk was closed.", talk.now)
    assert talk.session.room() == 0
    events = talk.answer(frames[0], message_id="a")
    assert events == [Deferred(3, "The trunk was closed.", elsewhere=True, counted=False), Accepted(1, ("a",))]
    assert talk.frames() == []
    assert talk.answer(frames[1], message_id="b") == [Accepted(2, ("b",))]
    ((command, _, sequence, _),) = talk.frames()
    assert command == pdu.UNBIND
    talk.say(pdu.answer(command, 0, sequence))
    assert talk.session.over == "The trunk was closed."


def test_leaving_does_not_wait_for_ever(talk: Make, message: Make) -> None:
    talk = talk()
    talk.submit(message(1))
    talk.session.leave("The trunk was closed.", talk.now, within=0.5)
    assert talk.session.next_deadline() == talk.now + 0.5
    talk.tick(0.5)
    assert talk.frames()[0][0] == pdu.UNBIND
    assert talk.lose() == [InDoubt(1, "The SMSC closed the link.")]
    assert talk.session.in_flight() == 0


def test_an_account_without_credit_stops_the_trunk(talk: Make, message: Make) -> None:
    talk = talk(window=2)
    frames = talk.submit(message(1), message(2), message(3))
    events = talk.answer(frames[0], status=0xB3)
    reason = "the SMSC refuses every message: there is no credit (0xB3)"
    assert Stopped(reason) in events
    assert Deferred(1, "there is no credit (0xB3)", "0xB3", elsewhere=True, counted=False) in events
    assert [event.message_id for event in events if isinstance(event, Deferred)] == [1, 3]
    assert talk.session.stopped == reason
    assert talk.session.room() == 0
    assert talk.answer(frames[1], status=0xB3) == [
        Deferred(2, "there is no credit (0xB3)", "0xB3", elsewhere=True, counted=False)
    ]
    assert talk.frames()[0][0] == pdu.UNBIND


def test_a_link_that_lost_its_login_is_made_anew(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    events = talk.answer(frame, status=consts.SMPP_ESME_RINVBNDSTS)
    reason = "the link is not bound for this (RINVBNDSTS, 0x04)"
    assert events == [Deferred(1, reason, "0x04", elsewhere=True, counted=False)]
    assert talk.frames()[0][0] == pdu.UNBIND
    assert not talk.session.stopped


def test_a_message_for_a_link_that_is_down_comes_back(unbound: Make, message: Make) -> None:
    talk = unbound()
    talk.submit(message(1))
    assert talk.tick(0) == [Deferred(1, "The trunk is not logged in.", elsewhere=True, counted=False)]


def test_what_cannot_be_kept_now_is_refused_so_that_it_comes_again(talk: Make) -> None:
    talk = talk()
    (sms,) = talk.say(smsc_pdus.deliver_sm(5, SOURCE, DEST, 0, 0, b"hi"))
    body = b"\0" + SOURCE + DEST + b"\x04\0\0" + b"\x00\x1e\x00\x027\0" + b"\x04\x27\x00\x01\x02"
    (word,) = talk.say(pdu.HEADER.pack(16 + len(body), pdu.DATA_SM, 0, 8) + body)
    talk.session.refuse([sms.token, word.token, Token(0, 999, pdu.DELIVER_SM, 1)])
    assert talk.frames() == [
        (pdu.DELIVER_SM_RESP, consts.SMPP_ESME_RX_T_APPN, 5, b"\0"),
        (pdu.DATA_SM_RESP, consts.SMPP_ESME_RX_T_APPN, 8, b"\0"),
    ]
