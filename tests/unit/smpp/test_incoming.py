"""SMS from outside: every data_coding, every kind of long message, and nothing that raises."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.events import Received
from ixxsms.smpp import incoming, pdu, smsc_pdus
from ixxsms.smpp.address import Plan
from ixxsms.smpp.coding import Alphabet, Coding


def message(text: bytes = b"", esm_class: int = 0, coding: int = 0, **tlvs: bytes) -> pdu.Message:
    tags = {"ref": 0x020C, "total": 0x020E, "number": 0x020F}
    values = {tags[name]: value for name, value in tlvs.items()}
    return pdu.Message(1, 1, b"34600000001", 5, 0, b"acme", esm_class, 0, coding, text, values)


def seven_bits(text: str) -> bytes:
    """The octets of packed septets, as the specification draws them: written again here, bit by bit."""
    bits = "".join(format(ord(char), "07b")[::-1] for char in text)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


@pytest.mark.parametrize(
    ("data", "coding", "text"),
    [
        # SMPP 3.4 section 5.2.19
        (b"hello", 0x00, "hello"), (b"\x00\x1b\x65", 0x00, "@€"), (b"\x80", 0x00, "\ufffd"),
        (b"hello @", 0x01, "hello @"), (b"Se\xf1or", 0x01, "Señor"),
        (b"hi_$\r\n\0", 0x01, "hi_$\r\n"), (b"a\0b \x1be5", 0x01, "a@b €5"), (b"caf\x05", 0x01, "café"),
        (b"\x06\x05\x04\x0b", 0x02, "0x0605040b"), (b"BEGIN:VCARD\r\n", 0x02, "BEGIN:VCARD\r\n"),
        (b"Se\xf1or", 0x03, "Señor"), (b"hi\0", 0x03, "hi"),
        (b"\x00\xff\x10", 0x04, "0x00ff10"), (b"\xbfqu\xe9?", 0x04, "¿qué?"), (b"", 0x04, ""),
        ("日本語".encode("shift_jis"), 0x05, "日本語"), ("日本語".encode("iso2022_jp"), 0x05, "日本語"),
        (b"OK", 0x05, "OK"),
        ("дом".encode("iso8859-5"), 0x06, "дом"), ("שלום".encode("iso8859-8"), 0x07, "שלום"),
        (b"\x00h\x00i", 0x08, "hi"), (b"\xd8=\xde\x00", 0x08, "😀"), (b"\xd8=", 0x08, "\ufffd"),
        (b"\x00a\x00", 0x08, "a"),
        (b"\xfe\xff\x00a", 0x08, "a"), (b"\xff\xfea\x00", 0x08, "a"), (b"\x00\x00\x00a", 0x08, "a"),
        ("絵文字".encode("shift_jis"), 0x09, "絵文字"), ("音楽".encode("iso2022_jp"), 0x0A, "音楽"),
        (b"\x8f" + "丂".encode("euc_jp")[1:], 0x0D, "丂"), ("丂".encode("iso2022_jp_2"), 0x0D, "丂"),
        ("안녕".encode("euc-kr"), 0x0E, "안녕"),
        (b"\x01\x02", 0x0B, "0x0102"), (b"text", 0x0C, "text"), (b"\xff\x01", 0x0F, "0xff01"),
        # 3GPP TS 23.038 section 4: general, with and without a class, compressed, marked for deletion
        (b"\x00", 0x10, "@"), (b"\x05", 0x13, "é"), (b"\x00\x01", 0x14, "0x0001"), (b"\x00h", 0x18, "h"),
        (b"\x00h", 0x19, "h"), (b"\x00", 0x1C, "@"), (b"\x01", 0x20, "0x01"), (b"\x01", 0x38, "0x01"),
        (b"\x00", 0x40, "@"), (b"\x00h", 0x48, "h"), (b"\x00h", 0x59, "h"), (b"\x03", 0x44, "0x03"),
        (b"\x03", 0x60, "0x03"),
        # reserved ones are read in the default alphabet
        (b"\x00", 0x4D, "@"), (b"\x00", 0x80, "@"), (b"\x00", 0xBF, "@"),
        # message waiting: discard, store, store in UCS-2
        (b"\x00", 0xC8, "@"), (b"\x00", 0xD9, "@"), (b"\x00h", 0xE0, "h"),
        # data and class: septets or octets
        (b"\x00", 0xF0, "@"), (b"\x00", 0xF1, "@"), (b"\xe9", 0xF5, "é"), (b"\x01", 0xF6, "0x01"), (b"\x00", 0xF3, "@"),
    ],
)  # fmt: skip
def test_a_text_is_read_by_its_coding(data: bytes, coding: int, text: str) -> None:
    assert incoming.decode(data, coding) == text
    event = incoming.event(message(data, coding=coding), None)
    assert isinstance(event, Received)
    assert event.text == text


@pytest.mark.parametrize(
    ("alphabet", "data", "text"),
    [
        ("gsm0338", b"\x00\x05", "@é"),
        ("latin1", b"@\xe9", "@é"),
        ("ascii", b"@e", "@e"),
        ("packed", seven_bits("hellohello"), "hellohello"),
        ("packed", seven_bits("1234567\r"), "1234567"),
        ("packed", seven_bits("1234567"), "1234567"),
        ("packed", seven_bits("12345678"), "12345678"),
        ("packed", b"", ""),
    ],
)
def test_the_default_alphabet_is_the_trunks(alphabet: str, data: bytes, text: str) -> None:
    trunk = Coding(Alphabet(alphabet), data_coding=4)
    for coding in (0x00, 0xF1, 0xC0, 4):
        event = incoming.event(message(data, coding=coding), None, trunk)
        assert isinstance(event, Received)
        assert event.text == text
    assert incoming.event(message(b"\x00h", coding=8), None, trunk).text == "h"  # type: ignore[union-attr]


@given(st.text("abc@\x7f\x01", max_size=153), st.integers(0, 2))
def test_packed_septets_begin_at_a_boundary_after_a_header(septets: str, kind: int) -> None:
    header = (b"", b"\x05\x00\x03\x2a\x02\x01", b"\x06\x08\x04\x01\x2a\x02\x01")[kind]
    filling = "\0" * ((-len(header) * 8 % 7 + len(header) * 8) // 7)
    bits = "".join(format(ord(char), "07b")[::-1] for char in filling + septets)
    bits += "0" * (-len(bits) % 8)
    octets = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    found = incoming.unpack(octets[len(header) :], len(header)).decode()
    assert found == septets


@pytest.mark.parametrize(
    ("header", "place"),
    [
        (b"\x05\x00\x03\x2a\x03\x02", (42, 2, 3)),
        (b"\x06\x08\x04\x01\x2a\x02\x01", (298, 1, 2)),
        (b"\x09\x24\x01\x02\x08\x04\x01\x2a\x02\x01", (298, 1, 2)),
    ],
)
def test_a_part_tells_its_place_and_keeps_its_octets(header: bytes, place: tuple[int, int, int]) -> None:
    event = incoming.event(message(header + b"part", esm_class=0x40), None)
    coding = "gsm:0:2" if b"\x24" in header else "gsm"
    assert event == Received("+34600000001", "acme", "part", *place, octets=b"part", coding=coding)


@pytest.mark.parametrize(
    ("elements", "octets", "text"),
    [
        (b"\x24\x01\x02", b"a\x1b\x61", "aá"),  # single shift, Spanish
        (b"\x25\x01\x03", b"\x08", "ó"),  # locking shift, Portuguese
        (b"\x24\x01\x01\x25\x01\x01", b"\x0b\x1b\x69", "Ğı"),  # both, Turkish
        (b"\x24\x01\x63", b"\x1b\x65", "€"),  # a language that nobody knows
    ],
)
def test_the_shift_tables_that_a_header_names_are_read(elements: bytes, octets: bytes, text: str) -> None:
    header = bytes((len(elements),)) + elements
    event = incoming.event(message(header + octets, esm_class=0x40), None)
    assert isinstance(event, Received)
    assert event.text == text


def test_a_part_by_sar_parameters_tells_its_place() -> None:
    sar = message(b"\x00p", coding=8, ref=struct.pack(">H", 300), total=b"\x02", number=b"\x01")
    assert incoming.event(sar, None) == Received("+34600000001", "acme", "p", 300, 1, 2, b"\x00p", "ucs2")


@pytest.mark.parametrize(
    ("total", "number"), [(b"\x02", b"\x03"), (b"\x00", b"\x00"), (b"", b"\x01"), (b"\x02", b"\x00")]
)
def test_a_place_that_cannot_be_makes_a_whole_text(total: bytes, number: bytes) -> None:
    sar = message(b"part", ref=b"\x01\x02", total=total, number=number)
    assert incoming.event(sar, None) == Received("+34600000001", "acme", "part")


def test_a_text_in_a_message_payload_is_read_in_deliver_sm_and_data_sm() -> None:
    payload = "¡hola! 😀".encode("utf-16-be") * 40
    addresses = Plan().source("34600000001") + Plan().destination("34900123123")
    tlv = struct.pack(">HH", pdu.TLV_MESSAGE_PAYLOAD, len(payload)) + payload
    bodies = {
        pdu.DELIVER_SM: smsc_pdus.deliver_sm(
            1, Plan().source("34600000001"), Plan().destination("34900123123"), 0, 8, b""
        ),
        pdu.DATA_SM: b"." * 16 + b"\0" + addresses + bytes((0, 0, 8)),
    }
    for command, octets in bodies.items():
        found = pdu.parse_message(command, octets[16:] + tlv)
        assert found is not None
        assert incoming.event(found, None) == Received("+34600000001", "+34900123123", "¡hola! 😀" * 40)


@given(st.binary(max_size=300), st.integers(0, 255), st.sampled_from(Alphabet), st.booleans())
def test_nothing_that_comes_can_raise(data: bytes, coding: int, alphabet: Alphabet, header: bool) -> None:
    event = incoming.event(message(data, esm_class=0x40 * header, coding=coding), None, Coding(alphabet))
    assert isinstance(event, Received)
    assert "\0" not in event.text
    event.text.encode()  # no half of a pair


@pytest.mark.parametrize(
    ("ton", "written", "number"),
    [
        (1, b"33612345678", "+33612345678"),
        (1, b"+33612345678", "+33612345678"),
        (0, b"+33612345678", "+33612345678"),
        (0, b"33612345678", "33612345678"),
        (2, b"612345678", "612345678"),
        (1, b"ACME", "ACME"),
        (1, b"", ""),
    ],
)
def test_a_number_that_the_smsc_calls_international_has_a_plus(ton: int, written: bytes, number: str) -> None:
    found = message(b"hola")._replace(source_ton=ton, source=written, dest_ton=ton, destination=written)
    assert incoming.event(found, None) == Received(number, number, "hola")


def test_an_address_is_shown_without_plus_and_printable() -> None:
    assert incoming.address(b"+34600") == "34600"
    assert incoming.address(b"ac\x1b[me\n") == "ac[me"
    assert len(incoming.address(b"9" * 500)) == 21
