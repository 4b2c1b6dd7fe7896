"""What real providers do at the login and on the link, one test for each thing that was seen; addresses too."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from smpplib import consts

from ixxsms.events import Accepted, Noted, Received, Stopped
from ixxsms.smpp import address, pdu, smsc_pdus
from ixxsms.smpp.address import Plan
from ixxsms.smpp.options import VERSIONS, check_options
from ixxsms.smpp.session import LOGIN_REST, Account, Session, Settings, State
from ixxsms.smpp.throttle import Throttle

Make = Callable[..., Any]
SOURCE, DEST = b"\x01\x0134600000001\0", b"\x05\x00acme\0"


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        pytest.param({}, b"user\0secret\0\0\x34\0\0\0", id="nothing asked for: 3.4, no system type, no range"),
        pytest.param({"version": 0x33}, b"user\0secret\0\0\x33\0\0\0", id="version 3.3"),
        pytest.param({"version": 0x50}, b"user\0secret\0\0\x50\0\0\0", id="version 5.0"),
        pytest.param({"system_type": "SMPP"}, b"user\0secret\0SMPP\0\x34\0\0\0", id="system type SMPP"),
        pytest.param({"system_type": "VMA"}, b"user\0secret\0VMA\0\x34\0\0\0", id="system type VMA"),
        pytest.param({"password": "p" * 20}, b"user\0" + b"p" * 20 + b"\0\0\x34\0\0\0", id="password over 8 octets"),
        pytest.param({"user": "u" * 30}, b"u" * 30 + b"\0secret\0\0\x34\0\0\0", id="user over 15 octets"),
        pytest.param(
            {"addresses": (1, 1, "^2345")}, b"user\0secret\0\0\x34\x01\x01^2345\0", id="address range with its type"
        ),
        pytest.param({"addresses": (0, 0, "2" * 40)}, b"user\0secret\0\0\x34\0\0" + b"2" * 40 + b"\0", id="long range"),
    ],
)
def test_the_login_is_what_the_provider_wants(settings: dict[str, Any], body: bytes, unbound: Make) -> None:
    assert unbound(**settings).connect()[3] == body


def test_the_versions_are_the_three_there_are() -> None:
    assert VERSIONS == {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50}


def test_without_a_word_it_is_one_transceiver_with_a_window_of_ten_without_tls_that_would_check_certificates() -> None:
    options = check_options({"host": "h"})
    assert [options[name] for name in ("bind", "binds", "window", "enquire_link", "tls", "tls_verify")] == [
        *("trx", 1, 10, 30, False, True)
    ]


def test_a_provider_that_still_holds_the_old_session_is_waited_for_and_never_given_up(unbound: Make) -> None:
    talk = unbound()
    waits = []
    for _ in range(20):
        (noted,) = talk.bind(consts.SMPP_ESME_RALYBND)
        assert noted == Noted("0x05", "the link is bound already (RALYBND, 0x05)")
        talk.lose()
        waits.append(talk.session.retry_in)
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert not talk.session.stopped
    talk.bind()
    assert talk.session.state is State.BOUND


@pytest.mark.parametrize("command", [pdu.DELIVER_SM, pdu.DATA_SM])
def test_what_comes_in_is_always_answered_in_kind(command: int, talk: Make) -> None:
    talk = talk()
    tail = b"\0\0\0" if command == pdu.DATA_SM else b"\0\0\0\0\0\0\0\0\0\x02hi"
    body = b"\0" + SOURCE + DEST + tail
    (event,) = talk.say(pdu.HEADER.pack(16 + len(body), command, 0, 9) + body)
    assert isinstance(event, Received)
    talk.session.acknowledge([event.token])
    assert talk.frames() == [(command | pdu.RESPONSE, 0, 9, b"\0")]


def test_unknown_tlvs_are_let_be(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    answer = b"77\0" + b"\x14\x00\x00\x02ab" + b"\xff\xff\x00\x00" + b"\x00\x01\xff\xff"  # the last one is cut
    talk.say(pdu.HEADER.pack(16 + len(answer), pdu.SUBMIT_SM_RESP, 0, frame[2]) + answer)
    assert talk.session.in_flight() == 0
    sms = smsc_pdus.deliver_sm(5, SOURCE, DEST, 0, 0, b"hi", b"\x14\x00\x00\x02ab\x15\x00\x00\x09z")
    (event,) = talk.say(sms)
    assert isinstance(event, Received)
    assert event.text == "hi"


def test_unknown_pdus_are_turned_down_and_the_link_stays(talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    talk.say(pdu.HEADER.pack(20, 0x00010204, 0, 3) + b"what" + pdu.HEADER.pack(16, 0x80010204, 0, 4))
    assert talk.frames() == [(pdu.GENERIC_NACK, consts.SMPP_ESME_RINVCMDID, 3, b"")]
    assert talk.answer(frame, message_id="a") == [Accepted(1, ("a",))]


@pytest.mark.parametrize("body", [b"", b"\0", b"junk without an end"])
def test_an_error_may_have_any_body(body: bytes, talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    (event,) = talk.say(pdu.HEADER.pack(16 + len(body), pdu.SUBMIT_SM_RESP, 0x0B, frame[2]) + body)
    assert event.code == "0x0B"


@pytest.mark.parametrize("length", [0, 1, 15, pdu.MAX_LENGTH + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_cannot_be_true_ends_the_link_and_nothing_else(length: int, talk: Make, message: Make) -> None:
    talk = talk()
    (frame,) = talk.submit(message(1))
    events = talk.say(
        pdu.answer(frame[0], 0, frame[2], b"77") + struct.pack(">LLLL", length, pdu.DELIVER_SM, 0, 1) + b"x" * 100
    )
    assert events == [Accepted(1, ("77",))]
    assert talk.session.over == f"The other side sent a PDU of {length} octets, which is no SMPP."
    talk.lose()
    talk.bind()
    assert talk.session.state is State.BOUND


# -- several binds of one account --------------------------------------------------------------------------------


def bound_and_not(account: Account) -> tuple[Session, Session]:
    first, second = (Session(Settings("user", "secret"), account, Throttle(), number) for number in (0, 1))
    first.connected(0.0)
    first.receive(pdu.answer(pdu.BINDS["trx"], 0, 1, b""), 0.0)
    return first, second


def refuse(session: Session, status: int) -> list[Any]:
    session.connected(1.0)
    events = session.receive(pdu.answer(pdu.BINDS["trx"], status, 1), 1.0)
    return events + session.lost("The SMSC closed the link.", 1.0)


def test_a_login_is_proven_once_it_was_taken_and_until_it_is_refused() -> None:
    account = Account()
    assert not account.proven
    first, _ = bound_and_not(account)
    assert (account.proven, account.bound) == (True, 1)
    first.lost("cut", 5.0)
    assert (account.proven, account.bound) == (True, 0)
    refuse(first, consts.SMPP_ESME_RINVPASWD)
    assert not account.proven


def test_refusals_are_counted_for_the_account_and_not_for_each_bind() -> None:
    account = Account()
    sessions = [Session(Settings("user", "wrong"), account, Throttle(), number) for number in range(3)]
    events = [event for session in sessions for event in refuse(session, consts.SMPP_ESME_RINVPASWD)]
    assert [type(event) for event in events] == [Noted, Noted, Noted, Stopped]
    assert [bool(session.stopped) for session in sessions] == [False, False, True]


def test_one_bind_too_many_rests_while_the_others_go_on() -> None:
    account = Account()
    _, second = bound_and_not(account)
    for _ in range(5):
        assert [type(event) for event in refuse(second, consts.SMPP_ESME_RINVPASWD)] == [Noted]
        assert second.retry_in == LOGIN_REST
    assert not second.stopped
    assert account.proven


def test_a_bind_that_fails_where_another_holds_is_tried_again_soon() -> None:
    _, second = bound_and_not(Account())
    refuse(second, consts.SMPP_ESME_RBINDFAIL)
    assert second.retry_in == 1.0


# -- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender_id", "plan", "octets"),
    [
        pytest.param("+34600000001", Plan(), b"\x01\x0134600000001\0", id="plus and digits: 1/1"),
        pytest.param("6000000012", Plan(), b"\x01\x016000000012\0", id="ten digits: 1/1"),
        pytest.param("My-Shop 24", Plan(), b"\x05\x00My-Shop 24\0", id="letters, space, hyphen: 5/0"),
        pytest.param("ABCDEFGHIJK", Plan(), b"\x05\x00ABCDEFGHIJK\0", id="eleven characters"),
        pytest.param("217", Plan(), b"\x03\x00217\0", id="three digits: 3/0"),
        pytest.param("12345678", Plan(), b"\x03\x0012345678\0", id="eight digits: 3/0"),
        pytest.param("2345", Plan(source_ton=0, source_npi=1), b"\x00\x012345\0", id="short codes as 0/1"),
        pytest.param("acme", Plan(source_npi=1), b"\x05\x01acme\0", id="only one of the two"),
        pytest.param("acme", Plan(source_ton=0, source_npi=0), b"\x00\x00acme\0", id="everything 0/0"),
        pytest.param("1" * 20, Plan(), b"\x01\x01" + b"1" * 20 + b"\0", id="twenty octets"),
    ],
)
def test_a_source_address_is_what_providers_expect(sender_id: str, plan: Plan, octets: bytes) -> None:
    assert plan.source(sender_id) == octets


@pytest.mark.parametrize(
    ("number", "national", "plan", "octets"),
    [
        pytest.param("34600000001", False, Plan(), b"\x01\x0134600000001\0", id="international: 1/1"),
        pytest.param("+34600000001", False, Plan(), b"\x01\x0134600000001\0", id="without the plus sign"),
        pytest.param("600000001", True, Plan(), b"\x00\x01600000001\0", id="national: 0/1"),
        pytest.param("34600", False, Plan(dest_npi=0), b"\x01\x0034600\0", id="numbering plan 0"),
        pytest.param("34600", False, Plan(dest_ton=0, dest_npi=0), b"\x00\x0034600\0", id="everything 0/0"),
        pytest.param("1" * 20, False, Plan(), b"\x01\x01" + b"1" * 20 + b"\0", id="twenty octets"),
    ],
)
def test_a_destination_address_is_what_providers_expect(number: str, national: bool, plan: Plan, octets: bytes) -> None:
    assert plan.destination(number, national) == octets


def test_every_type_of_number_and_numbering_plan_can_be_overridden_by_an_option() -> None:
    given = {"source_ton": "6", "source_npi": "18", "dest_ton": "7", "dest_npi": "0"}
    assert check_options({"host": "h", **given}) | {name: int(value) for name, value in given.items()} == (
        check_options({"host": "h", **given})
    )
    assert address.source("acme")[0] == (5, 0)
