from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.events import Receipt, Received
from ixxsms.smpp import incoming, pdu, receipt
from ixxsms.smpp.receipt import remote_id_keys


def message(text: bytes = b"", esm_class: int = 4, coding: int = 0, **tlvs: bytes) -> pdu.Message:
    tags = {"id": 0x001E, "state": 0x0427, "error": 0x0423, "ref": 0x020C, "total": 0x020E, "number": 0x020F}
    values = {tags[name]: value for name, value in tlvs.items()}
    return pdu.Message(1, 1, b"34600000001", 5, 0, b"acme", esm_class, 0, coding, text, values)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("id:0123456789 sub:001 dlvrd:001 submit date:2009281149 done date:2009281150 stat:DELIVRD err:000 text:hi",
         ("0123456789", True, "DELIVRD", "000")),
        ("id:39f99dd5 sub:001 dlvrd:000 submit date:200928114901 done date:200928114902 stat:UNDELIV err:011 Text:hi",
         ("39f99dd5", False, "UNDELIV", "011")),
        ("id:1101C1-C9D03D-F000 dlvrd:001 submit date:202009281149 done date:202009281149 stat:DELIVRD err:0000",
         ("1101C1-C9D03D-F000", True, "DELIVRD", "0000")),
        ("id:5d1b2a7e-9d1f-4b6c-8f2e-0a1b2c3d4e5f submit date:20200928114900 stat:EXPIRED err:",
         ("5d1b2a7e-9d1f-4b6c-8f2e-0a1b2c3d4e5f", False, "EXPIRED", "")),
        ("id:7 stat:ENROUTE", ("7", None, "ENROUTE", "")),
        ("id:7 stat:ACCEPTD err:", ("7", None, "ACCEPTD", "")),
        ("id:7 stat:BUFFRED", ("7", None, "BUFFRED", "")),
        ("id:7 stat:FAILED err:EC1", ("7", False, "FAILED", "EC1")),
        ("id:7 stat:UNKNOWN err:255", ("7", False, "UNKNOWN", "255")),
        ("ID: 7 STATUS: delivrd ERROR: 000 TEXT: stat:UNDELIV id:8", ("7", True, "DELIVRD", "000")),
        ("id:7 submit_date:2009281149 done_date:2009281149 stat:REJECTD err:a9", ("7", False, "REJECTD", "a9")),
        ("id:7 sub: dlvrd: submit date: done date: err: stat:DELIVRD", ("7", True, "DELIVRD", "")),
        ("stat:DELIVRD id:7", ("7", True, "DELIVRD", "")),
        ("id:7 stat:DELIVRD text:id:9 stat:UNDELIV", ("7", True, "DELIVRD", "")),
        ("valid:3 id:7 stat:NEVERHEARD", ("7", None, "NEVERHEARD", "")),
        ("", ("", None, "", "")),
        ("it has arrived, said the id", ("", None, "", "")),
    ],
)  # fmt: skip
def test_the_text_of_a_receipt_is_read(text: str, word: tuple[str, bool | None, str, str]) -> None:
    assert receipt.read(message(text.encode()))[:4] == word


@pytest.mark.parametrize(
    ("state", "delivered", "stat"),
    [
        (0, None, "SCHEDLD"), (1, None, "ENROUTE"), (2, True, "DELIVRD"), (3, False, "EXPIRED"), (4, False, "DELETED"),
        (5, False, "UNDELIV"), (6, None, "ACCEPTD"), (7, False, "UNKNOWN"), (8, False, "REJECTD"),
        (9, False, "SKIPPED"), (77, None, ""),
    ],
)  # fmt: skip
def test_the_state_of_the_tlv_is_read(state: int, delivered: bool | None, stat: str) -> None:
    word = receipt.read(message(id=b"39f9\0", state=bytes([state]), error=b"\x03\x00\x1b"))
    assert word[:4] == ("39f9", delivered, stat, "27")


def test_the_tlvs_go_before_the_text_and_the_text_fills_what_they_lack() -> None:
    word = receipt.read(message(b"id:8 stat:UNDELIV err:011", id=b"7\0", state=b"\x02"))
    assert word[:4] == ("7", True, "DELIVRD", "011")
    word = receipt.read(message(b"id:8 stat:DELIVRD err:000", state=b""))
    assert word[:4] == ("8", True, "DELIVRD", "000")


@pytest.mark.parametrize(
    ("esm_class", "tlvs", "is_receipt"),
    [
        (0x04, {}, True), (0x44, {}, True), (0x20, {}, True), (0x24, {}, True), (0x00, {}, False), (0x40, {}, False),
        (0x08, {}, False), (0x10, {}, False), (0x00, {"id": b"7\0", "state": b"\x02"}, True),
        (0x00, {"id": b"7\0"}, False), (0x00, {"state": b"\x02"}, False),
    ],
)  # fmt: skip
def test_the_class_or_the_tlvs_tell_a_receipt(esm_class: int, tlvs: dict[str, bytes], is_receipt: bool) -> None:
    event = incoming.event(message(b"id:7 stat:DELIVRD", esm_class, **tlvs), "token")
    assert isinstance(event, Receipt if is_receipt else Received)


def test_an_intermediate_notification_is_never_a_final_failure() -> None:
    assert receipt.read(message(b"id:7 stat:UNDELIV err:001", esm_class=0x20)).delivered is None
    assert receipt.read(message(b"id:7 stat:DELIVRD err:000", esm_class=0x20)).delivered is True


def test_a_receipt_names_the_number_that_it_is_about() -> None:
    event = incoming.event(message(b"id:7 stat:DELIVRD err:000"), "token")
    assert event == Receipt("7", True, "DELIVRD", "000", "34600000001")
    assert event.token == "token"


@pytest.mark.parametrize(
    ("submitted", "reported"),
    [
        ("39f99dd5", "0972660181"), ("972660181", "39f99dd5"), ("972660181", "39F99DD5"),
        ("1101C1-C9D03D-F000", "1101c1-c9d03d-f000"), ("0000123", "123"), ("123", "0000123"), ("abc", "ABC"),
        ("0A", "10"), ("00000000", "0"), (" 77 ", "77"),
        ("5D1B2A7E-9d1f-4b6c-8f2e-0a1b2c3d4e5f", "5d1b2a7e-9D1F-4b6c-8f2e-0a1b2c3d4e5f"),
    ],
)  # fmt: skip
def test_a_receipt_finds_its_submit_however_the_id_is_written(submitted: str, reported: str) -> None:
    assert remote_id_keys(submitted)[0] in remote_id_keys(reported)


def test_the_key_to_store_is_the_likeliest_form() -> None:
    assert remote_id_keys("0039F99DD5") == ["39f99dd5", "972660181"]
    assert remote_id_keys("10") == ["10", "a", "16"]
    assert remote_id_keys("") == []
    assert remote_id_keys("٣") == ["٣"]


@given(st.text(min_size=1, max_size=200).filter(str.strip))
def test_any_id_has_a_key(remote_id: str) -> None:
    assert remote_id_keys(remote_id)[0]


_WORD = st.one_of(
    st.from_regex(r"\A\w{0,18}\Z"), st.sampled_from(["id", "sub", "text", "stat", "err", "submit", "date"])
)


@given(
    st.tuples(*[_WORD] * 7), st.sampled_from(["", " text:", " Text:", "\ttext:", " text", ":"]), st.text(max_size=40)
)
def test_the_standard_form_is_read_as_any_other(words: tuple[str, ...], before: str, rest: str) -> None:
    names = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err")
    text = " ".join(f"{name}:{word}" for name, word in zip(names, words, strict=True)) + before + rest
    assert receipt.parse_text(text) == receipt._in_any_form(text)


@given(st.binary(max_size=3000), st.integers(0, 255), st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=80)))
def test_no_receipt_and_no_message_can_raise(data: bytes, esm_class: int, tlvs: dict[int, bytes]) -> None:
    hostile = pdu.Message(1, 1, data[:30], 1, 1, data[30:60], esm_class, 0, esm_class, data, tlvs)
    event = incoming.event(hostile, None)
    if isinstance(event, Receipt):
        assert len(event.remote_id) <= 64
        assert event.remote_id.isprintable()
        assert len(event.stat) <= 16
        assert len(event.code) <= 16
    else:
        assert "\0" not in event.text
        assert 1 <= event.part <= event.parts <= 255


@pytest.mark.parametrize(
    "text", ["id:" * 5000, "stat:" + " " * 20000, "done date" * 3000, ("id" + "\t" * 40) * 500, "a:" * 9000]
)
def test_a_hostile_receipt_takes_no_time(text: str) -> None:
    receipt.read(message(text.encode()))
