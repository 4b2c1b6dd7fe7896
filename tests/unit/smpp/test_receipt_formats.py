"""Every form in which SMSCs are known to send receipts, and the rules that a trunk may have of its own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.errors import BadInput
from ixxsms.events import Receipt, Received
from ixxsms.smpp import incoming, pdu, receipt
from ixxsms.smpp.causes import cause
from ixxsms.smpp.options import check_options, receipt_rules
from ixxsms.smpp.receipt import Base, Rules, remote_id_keys

TAGS = {"id": 0x001E, "state": 0x0427, "error": 0x0423}
DATES = [
    ("2009281149", "YYMMDDhhmm"),
    ("200928114901", "YYMMDDhhmmss"),
    ("202009281149", "YYYYMMDDhhmm"),
    ("20200928114901", "YYYYMMDDhhmmss"),
    ("2020-09-28 11:49:01", "with signs"),
    ("", "none"),
    ("NULL", "a word"),
]


def message(text: bytes = b"", esm_class: int = 4, coding: int = 0, **tlvs: bytes) -> pdu.Message:
    values = {TAGS[name]: value for name, value in tlvs.items()}
    return pdu.Message(1, 1, b"34600000001", 5, 0, b"acme", esm_class, 0, coding, text, values)


@pytest.mark.parametrize("date", [date for date, _ in DATES], ids=[form for _, form in DATES])
def test_a_date_in_any_form_takes_nothing_from_the_receipt(date: str) -> None:
    text = f"id:7a sub:001 dlvrd:001 submit date:{date} done date:{date} stat:DELIVRD err:000 text:stat:UNDELIV"
    assert receipt.read(message(text.encode())) == ("7a", True, "DELIVRD", "000", "")


@pytest.mark.parametrize(
    ("err", "read"),
    [
        ("err:000", "000"), ("err:0000", "0000"), ("err:1", "1"), ("err:a9", "a9"), ("err:EC1", "EC1"), ("err:", ""),
        ("err: ", ""), ("err: 027", "027"), ("ERR:27", "27"), ("Error:27", "27"), ("", ""), ("err:\t5", "5"),
    ],
)  # fmt: skip
def test_an_error_in_any_form_is_read(err: str, read: str) -> None:
    assert receipt.read(message(f"id:7 stat:UNDELIV {err} text:err:99".encode()))[:4] == ("7", False, "UNDELIV", read)


@pytest.mark.parametrize(
    ("stat", "delivered"),
    [
        ("DELIVRD", True), ("delivrd", True), ("DELIVERED", True),
        *((word, None) for word in ("ENROUTE", "ACCEPTD", "ACKED", "BUFFRED", "BUFFERD", "SCHEDLD", "")),
        *((word, False) for word in ("UNDELIV", "EXPIRED", "DELETED", "REJECTD", "REJECTED", "FAILED", "SKIPPED")),
        ("UNKNOWN", False), ("NEVERHEARD", None),
    ],
)  # fmt: skip
def test_every_word_has_its_meaning(stat: str, delivered: bool | None) -> None:
    assert receipt.read(message(f"id:7 stat:{stat} err:000".encode())).delivered is delivered


def test_unknown_is_open_where_the_trunk_says_so() -> None:
    rules = Rules(unknown_is_final=False)
    assert receipt.read(message(b"id:7 stat:UNKNOWN err:000"), rules).delivered is None
    assert receipt.read(message(id=b"7\0", state=b"\x07"), rules).delivered is None
    assert receipt.read(message(b"id:7 stat:UNDELIV err:000"), rules).delivered is False


CSV = b"00,2009281149,2009281148,27,+34600000009,acme,0A-1f"


def test_vodafones_line_of_commas_is_read_and_its_words_are_the_trunks_to_explain() -> None:
    assert receipt.read(message(CSV)) == ("0A-1f", None, "00", "27", "34600000009")
    rules = Rules(words=receipt.parse_words("00=delivered,05=failed, 03=pending"))
    assert receipt.read(message(CSV), rules).delivered is True
    assert receipt.read(message(CSV.replace(b"00,", b"05,", 1)), rules).delivered is False
    assert receipt.read(message(CSV.replace(b"00,", b"03,", 1)), rules).delivered is None
    assert incoming.event(message(CSV), "token") == Receipt("0A-1f", None, "00", "27", "34600000009", "token")


def test_a_trunks_own_pattern_goes_first_and_the_usual_forms_are_tried_where_it_does_not_match() -> None:
    rules = Rules(receipt.check_pattern(r"^MSG (?P<id>\S+) TO (?P<number>\d+) IS (?P<stat>\w+)(?: E(?P<err>\w*))?"))
    assert receipt.read(message(b"MSG a-7 TO 34600000009 IS delivrd"), rules) == (
        "a-7", True, "DELIVRD", "", "34600000009",
    )  # fmt: skip
    assert receipt.read(message(b"MSG a-7 TO 346 IS undeliv E27"), rules)[:4] == ("a-7", False, "UNDELIV", "27")
    assert receipt.read(message(b"id:7 stat:DELIVRD err:000"), rules)[:4] == ("7", True, "DELIVRD", "000")
    assert receipt.read(message(b"MSG x TO 1 IS UNDELIV", id=b"7\0", state=b"\x02"), rules)[:3] == (
        "7",
        True,
        "DELIVRD",
    )


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is no regular expression"),
        (r"(?P<id>\d+)", "needs the groups"),
        (r"(?P<id>\d+) (?P<stat>(a+)+)$", "must not repeat a group"),
        (r"(?P<id>\d+) (?P<stat>(?:a|a)*)$", "must not repeat a group"),
        (r"(?P<id>\d+) (?P<stat>\w+){2,}", "must not repeat a group"),
        (r".*(?P<id>.*).*(?P<stat>.*)", "nor a dot more than twice"),
        (r"(?P<id>\d+) (?P<stat>\w+)" + "x" * 200, "200 characters"),
    ],
)
def test_a_pattern_that_is_wrong_or_may_take_for_ever_is_refused_when_the_trunk_is_saved(
    pattern: str, why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        check_options({"host": "h", "receipt_regex": pattern})


def test_a_pattern_that_is_allowed_takes_no_time_on_a_hostile_text() -> None:
    rules = Rules(receipt.check_pattern(r".*=(?P<id>\w+) .*=(?P<stat>\w+)!"))
    begun = time.process_time()
    receipt.read(message(b"=a =" * 5000), rules)
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("unknown_is_final", "maybe", "The unknown_is_final of an SMPP trunk must be yes or no."),
        ("parts_receipt", "some", "The parts_receipt of an SMPP trunk must be one of all, last, first, any."),
        ("receipt_id_base", "hex", "one of auto, same, resp_hex_receipt_dec, resp_dec_receipt_hex, both_hex."),
        ("receipt_words", "00=yes", '"00=yes" is not like 00=delivered; a word means delivered, failed, pending.'),
        ("provider", "nobody", 'error codes of a provider "nobody"'),
    ],
)
def test_an_option_of_receipts_that_cannot_be_is_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_options({"host": "h", name: value})
    assert sentence in str(caught.value)


def test_the_options_of_a_trunk_make_its_rules() -> None:
    plain = receipt_rules(check_options({"host": "h"}))
    assert plain == Rules()
    options = {"unknown_is_final": "no", "receipt_by_text": "yes", "receipt_words": "ok=delivered"}
    rules = receipt_rules(check_options({"host": "h", "receipt_regex": r"(?P<id>\d+) (?P<stat>\w+)", **options}))
    assert (rules.unknown_is_final, rules.by_text, rules.words) == (False, True, {"OK": True})
    assert receipt.read(message(b"12 ok"), rules)[:3] == ("12", True, "OK")


def test_a_text_that_reads_like_a_receipt_is_one_only_where_the_trunk_says_so() -> None:
    text = message(b"id:7 stat:DELIVRD err:000", esm_class=0)
    assert isinstance(incoming.event(text, None), Received)
    assert isinstance(incoming.event(text, None, rules=Rules(by_text=True)), Receipt)
    assert isinstance(incoming.event(message(b"my id: 7", esm_class=0), None, rules=Rules(by_text=True)), Received)


@pytest.mark.parametrize(
    ("made", "read"),
    [
        ({"text": "id:7 stat:DELIVRD".encode("utf-16-be"), "coding": 8}, ("7", True)),
        ({"text": b"\xfe\xff" + "id:7 stat:DELIVRD".encode("utf-16-be"), "coding": 8}, ("7", True)),
        ({"text": b"\xff\xfe" + "id:7 stat:DELIVRD".encode("utf-16-le"), "coding": 8}, ("7", True)),
        ({"text": b"id:7,sub:001,stat:DELIVRD,err:000"}, ("7", True)),
        ({"text": b"id:7; stat:DELIVRD; err:000;"}, ("7", True)),
        ({"text": b"id:7 stat:DELIVRD", "coding": 8}, ("7", True)),
        ({"text": b"\x05\x00\x03\x2a\x01\x01id:7 stat:DELIVRD", "esm_class": 0x44}, ("7", True)),
        ({"text": b"id:7 stat:DELIVRD\0"}, ("7", True)),
        ({"id": b"7\0", "state": b"\x02"}, ("7", True)),
        ({"id": b"7", "state": b"\x02", "esm_class": 0}, ("7", True)),
        ({"text": b"id:8 stat:DELIVRD", "id": b"7\0"}, ("7", True)),
        ({}, ("", None)),
    ],
    ids=[
        "ucs2", "ucs2 with a mark", "ucs2 turned round", "commas", "semicolons", "not ucs2", "header", "nul", "no text",
        "by the TLVs alone", "id from the TLV", "nothing at all",
    ],
)  # fmt: skip
def test_a_receipt_is_read_wherever_its_words_stand(made: dict[str, Any], read: tuple[str, bool | None]) -> None:
    event = incoming.event(message(**made), None)
    assert isinstance(event, Receipt)
    assert (event.remote_id, event.delivered) == read


def body(command: int, esm_class: int, text: bytes, payload: bytes = b"") -> bytes:
    start = b"\0\x01\x0134600000001\0\x05\0acme\0"
    if command == pdu.DATA_SM:
        made = start + bytes((esm_class, 0, 0))
    else:
        made = start + bytes((esm_class, 0, 0, 0, 0, 0, 0, 0, 0, len(text))) + text
    return made + (b"\x04\x24" + len(payload).to_bytes(2, "big") + payload if payload else b"")


@pytest.mark.parametrize(
    ("command", "text", "payload"),
    [
        (pdu.DELIVER_SM, b"id:7 stat:DELIVRD", b""),
        (pdu.DELIVER_SM, b"", b"id:7 stat:DELIVRD"),
        (pdu.DATA_SM, b"", b"id:7 stat:DELIVRD"),
    ],
    ids=["deliver_sm", "message_payload", "data_sm"],
)
def test_a_receipt_comes_as_deliver_sm_or_data_sm(command: int, text: bytes, payload: bytes) -> None:
    parsed = pdu.parse_message(command, body(command, 4, text, payload))
    assert parsed is not None
    assert incoming.event(parsed, None) == Receipt("7", True, "DELIVRD", "", "34600000001")


@pytest.mark.parametrize(
    ("base", "submitted", "reported", "found"),
    [
        (Base.AUTO, "39f99dd5", "0972660181", True),
        (Base.AUTO, "972660181", "39F99DD5", True),
        (Base.AUTO, "0Ab", "aB", True),
        (Base.SAME, "0Ab", "00aB", True),
        (Base.SAME, "39f99dd5", "972660181", False),
        (Base.RESP_HEX_RECEIPT_DEC, "39F99DD5", "0972660181", True),
        (Base.RESP_HEX_RECEIPT_DEC, "10", "16", True),
        (Base.RESP_HEX_RECEIPT_DEC, "10", "10", False),
        (Base.RESP_HEX_RECEIPT_DEC, "a-7", "A-7", True),
        (Base.RESP_DEC_RECEIPT_HEX, "972660181", "39f99dd5", True),
        (Base.RESP_DEC_RECEIPT_HEX, "16", "10", True),
        (Base.RESP_DEC_RECEIPT_HEX, "10", "10", False),
        (Base.BOTH_HEX, "00ff", "FF", True),
        (Base.BOTH_HEX, "10", "16", False),
    ],
)
def test_the_base_of_the_ids_decides_what_is_the_same(base: Base, submitted: str, reported: str, found: bool) -> None:
    assert (remote_id_keys(submitted)[0] in remote_id_keys(reported, base)) is found


@pytest.mark.parametrize(
    ("err", "words"),
    [("27", "absent subscriber"), ("001", "unknown subscriber"), ("40", "memory of the phone full"), ("000", ""),
     ("", ""), ("EC1", ""), ("9999", ""), ("1" * 5000, ""), ("²", "")],
)  # fmt: skip
def test_a_cause_of_gsm_has_words(err: str, words: str) -> None:
    assert cause(err) == words


@given(st.binary(max_size=2000), st.integers(0, 255), st.booleans())
def test_no_text_can_raise_whatever_the_rules(data: bytes, coding: int, by_text: bool) -> None:
    rules = Rules(receipt.check_pattern(r"(?P<id>\w+)[ ,](?P<stat>\w+)"), {"OK": True}, False, by_text)
    event = incoming.event(message(data, coding=coding), None, rules=rules)
    assert isinstance(event, Receipt)
    assert len(event.remote_id) <= 64
    assert event.remote_id.isprintable()
