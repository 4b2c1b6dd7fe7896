"""How a trunk writes a text: each option by example, and what holds for every text under all of them."""

from __future__ import annotations

from typing import Any

import handset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.errors import BadInput
from ixxsms.smpp import pdu
from ixxsms.smpp.coding import Coding, Template, Validity, of_options, parse_tlvs, parse_validity
from ixxsms.smpp.options import check_options

A = b"\x01\x0134600000001\0"
BELL = "\U0001f514"


def coding(**options: Any) -> Coding:
    return of_options(check_options({"host": "smsc", **options}), True)


def messages(template: Template, reference: int = 7) -> list[pdu.Message]:
    """The template filled in and taken apart again."""
    between = (reference % 256**template.reference).to_bytes(template.reference, "big") if template.reference else b""
    made = [
        pdu.parse_message(pdu.SUBMIT_SM, pdu.submit_head(b"", A) + A + before + between + after)
        for before, after in template.pieces
    ]
    assert None not in made
    return [message for message in made if message]


def submitted(text: str, **options: Any) -> list[pdu.Message]:
    return messages(coding(**options).template(text))


# --- what announces a text


@pytest.mark.parametrize(
    ("text", "options", "data_coding", "octets"),
    [
        ("hola €", {}, 0, b"hola \x1be"),
        ("hola €", {"data_coding": 1}, 1, b"hola \x1be"),
        ("hola €", {"data_coding": "0xF0"}, 0xF0, b"hola \x1be"),
        ("hola €", {"data_coding": "auto"}, 0, b"hola \x1be"),
        ("á", {}, 8, b"\x00\xe1"),
        ("á", {"ucs2_data_coding": 24}, 24, b"\x00\xe1"),
        (BELL, {}, 8, b"\xd8\x3d\xdd\x14"),  # big endian, no byte order mark
        ("hola", {"flash": "yes"}, 0x10, b"hola"),
        ("á", {"flash": "yes"}, 0x18, b"\x00\xe1"),
        ("hola", {"flash": "yes", "data_coding": "0xF0"}, 0xF0, b"hola"),
        # the SMSC's default alphabet is Latin-1: what is Latin-1 goes in it
        ("é á", {"default_alphabet": "latin1"}, 0, b"\xe9 \xe1"),
        ("€", {"default_alphabet": "latin1"}, 8, b"\x20\xac"),
        ("\x85", {"default_alphabet": "latin1"}, 8, b"\x00\x85"),
        # announced as 3 only what is GSM too, for the SMSC may turn it into septets
        ("é", {"default_alphabet": "latin1", "data_coding": 3}, 3, b"\xe9"),
        ("á", {"default_alphabet": "latin1", "data_coding": 3}, 8, b"\x00\xe1"),
        ("a@{", {"default_alphabet": "ascii", "data_coding": 1}, 1, b"a@{"),
        ("é", {"default_alphabet": "ascii"}, 8, b"\x00\xe9"),
        ("`", {"default_alphabet": "ascii"}, 8, b"\x00`"),
        ("hellohello", {"default_alphabet": "packed"}, 0, bytes.fromhex("e8329bfd4697d9ec37")),
    ],
)
def test_the_options_say_in_which_octets_a_text_goes_and_what_announces_them(
    text: str, options: dict[str, Any], data_coding: int, octets: bytes
) -> None:
    (message,) = submitted(text, **options)
    assert (message.data_coding, message.data, message.esm_class) == (data_coding, octets, 0)


# --- capacities


@pytest.mark.parametrize(
    ("char", "options", "single", "room"),
    [
        ("a", {}, 160, 153),
        ("a", {"long": "udh16"}, 160, 152),
        ("a", {"long": "sar"}, 160, 153),  # the header that the SMSC makes of it needs the room
        ("á", {}, 70, 67),
        ("á", {"long": "udh16"}, 70, 66),
        ("á", {"long": "sar"}, 70, 67),
        ("é", {"default_alphabet": "latin1"}, 140, 134),
        ("é", {"default_alphabet": "latin1", "long": "udh16"}, 140, 133),
        ("é", {"default_alphabet": "latin1", "long": "sar"}, 140, 134),
        ("a", {"default_alphabet": "ascii"}, 160, 153),
        ("a", {"default_alphabet": "ascii", "long": "udh16"}, 160, 152),
        ("a", {"default_alphabet": "packed"}, 160, 153),
        ("a", {"default_alphabet": "packed", "long": "udh16"}, 160, 152),
    ],
)
def test_a_segment_holds_as_much_as_the_specification_gives_it(
    char: str, options: dict[str, Any], single: int, room: int
) -> None:
    def count(length: int) -> int:
        return len(submitted(char * length, **options))

    assert [count(single), count(single + 1)] == [1, 2]
    assert [count(2 * room), count(2 * room + 1)] == [2, 3]


@pytest.mark.parametrize("char", "^{}\\[]~|€\f")
@pytest.mark.parametrize("alphabet", ["gsm0338", "ascii", "packed"])
def test_a_character_of_the_extension_table_costs_two(char: str, alphabet: str) -> None:
    if alphabet == "ascii" and char == "€":
        return
    assert len(submitted("a" * 158 + char, default_alphabet=alphabet)) == 1
    assert len(submitted("a" * 159 + char, default_alphabet=alphabet)) == 2


def test_an_astral_character_costs_two_units_and_is_never_cut() -> None:
    first, second = submitted("á" + "a" * 65 + BELL + "aaaa")
    assert len(first.data) == 6 + 66 * 2
    assert second.data[6:10] == BELL.encode("utf-16-be")


@pytest.mark.parametrize("long", ["udh8", "sar", "payload"])
def test_more_than_255_segments_are_refused_with_a_sentence(long: str) -> None:
    template = coding(long=long).template
    assert template("x" * 153 * 255).pieces
    with pytest.raises(BadInput) as caught:
        template("x" * (153 * 255 + 1))
    assert str(caught.value) == "The text is too long: it would take 256 segments, and 255 is the most."


# --- long messages


def test_udh8_is_a_header_of_six_octets_with_one_reference() -> None:
    parts = submitted("x" * 400)
    assert [part.data[:6].hex() for part in parts] == ["050003070301", "050003070302", "050003070303"]
    assert {(part.esm_class, part.data_coding) for part in parts} == {(0x40, 0)}


def test_udh16_is_a_header_of_seven_octets() -> None:
    parts = messages(coding(long="udh16").template("x" * 400), 0x1234567)
    assert [part.data[:7].hex() for part in parts] == ["06080445670301", "06080445670302", "06080445670303"]


def test_sar_is_three_tlvs_and_no_header() -> None:
    parts = messages(coding(long="sar").template("á" * 100), 0x1234567)
    assert [part.esm_class for part in parts] == [0, 0]
    assert [part.tlvs for part in parts] == [
        {0x020C: b"\x45\x67", 0x020E: b"\x02", 0x020F: b"\x01"},
        {0x020C: b"\x45\x67", 0x020E: b"\x02", 0x020F: b"\x02"},
    ]


def test_payload_is_one_pdu_without_a_short_message() -> None:
    template = coding(long="payload").template("x" * 400)
    ((before, after),) = template.pieces
    assert before[-405:] == b"\0" + bytes.fromhex("04240190") + b"x" * 400
    assert after == b""
    (part,) = messages(template)
    assert (part.esm_class, part.data, part.tlvs) == (0, b"x" * 400, {0x0424: b"x" * 400})


@pytest.mark.parametrize("long", ["udh8", "udh16", "sar", "payload"])
def test_a_text_of_one_segment_needs_nothing_of_this(long: str) -> None:
    (part,) = submitted("x" * 160, long=long)
    assert (part.esm_class, part.data, part.tlvs) == (0, b"x" * 160, {})


def test_packed_septets_after_a_header_have_their_fill_bits() -> None:
    first, second = submitted("Lorem ipsum" + "a" * 150, default_alphabet="packed")
    assert first.data[:15].hex() == "050003070201986f79b90d4ac3e7f5"[:30]
    assert len(first.data) == 140
    assert handset.read([first, second], "packed") == "Lorem ipsum" + "a" * 150


# --- shift tables


@pytest.mark.parametrize(
    ("language", "text", "header", "octets"),
    [
        ("spanish", "Está", "03240102", "Est\x1ba"),
        ("turkish", "İyi ğ", "03240101", "\x1bIyi \x1bg"),
        ("portuguese", "não", "03240103", "n\x1b{o"),
    ],
)
def test_a_text_outside_gsm_goes_with_its_shift_table_where_asked(
    language: str, text: str, header: str, octets: str
) -> None:
    (message,) = submitted(text, shift=language)
    assert (message.esm_class, message.data_coding) == (0x40, 0)
    assert message.data == bytes.fromhex(header) + octets.encode()
    assert submitted(text)[0].data_coding == 8


@pytest.mark.parametrize(("text", "data_coding"), [("hola ñ é", 0), ("¡ol日", 8), ("ã", 8)])
def test_shift_tables_are_left_alone_where_they_are_not_needed_or_do_not_help(text: str, data_coding: int) -> None:
    (message,) = submitted(text, shift="spanish")
    assert (message.data_coding, message.esm_class) == (data_coding, 0)


def test_the_header_of_the_shift_table_takes_room() -> None:
    def count(length: int) -> int:
        return len(submitted("á" + "a" * (length - 2), shift="spanish"))

    assert [count(155), count(156), count(2 * 149), count(2 * 149 + 1)] == [1, 2, 2, 3]
    first, second = submitted("á" + "a" * 200, shift="spanish")
    assert (first.data[:9].hex(), second.data[:9].hex()) == ("082401020003070201", "082401020003070202")
    assert (len(first.data), first.data[9:11]) == (9 + 149, b"\x1ba")


def test_the_locking_table_is_taken_where_it_makes_fewer_segments() -> None:
    (single,) = submitted("ğ" + "a" * 100, shift="turkish")
    assert single.data[:4].hex() == "03240101"
    (locking,) = submitted("ğş" * 60, shift="turkish")
    assert locking.data[:4].hex() == "03250101"
    assert handset.read([locking]) == "ğş" * 60
    (both,) = submitted("ãÓ" * 60 + "Γ", shift="portuguese")  # Γ is in the single shift table alone
    assert both.data[:7].hex() == "06240103250103"
    assert handset.read([both]) == "ãÓ" * 60 + "Γ"


@pytest.mark.parametrize("long", ["sar", "payload"])
def test_without_headers_in_long_messages_their_shift_tables_go_too(long: str) -> None:
    assert submitted("á" + "a" * 100, shift="spanish", long=long)[0].data_coding == 0
    parts = submitted("á" + "a" * 200, shift="spanish", long=long)
    assert {(part.data_coding, part.esm_class) for part in parts} == {(8, 0)}


# --- transliteration


@pytest.mark.parametrize(
    ("text", "options", "data_coding", "sent"),
    [
        ("canción “ya”", {}, 8, "canción “ya”"),
        ("canción “ya”", {"transliterate": "yes"}, 0, 'cancion "ya"'),
        ("canción 😀", {"transliterate": "yes"}, 8, "canción 😀"),  # UCS-2 all the same: then as it was written
        ("ñ é", {"transliterate": "yes"}, 0, "ñ é"),
        ("á “x”", {"transliterate": "yes", "shift": "spanish"}, 0, 'á "x"'),
        ("canción €", {"transliterate": "yes", "default_alphabet": "latin1"}, 0, "canción EUR"),
        ("ñ", {"transliterate": "yes", "default_alphabet": "ascii"}, 0, "n"),
        ("€" * 60, {"transliterate": "yes", "default_alphabet": "latin1"}, 8, "€" * 60),  # it would be two segments
    ],
)
def test_a_text_is_transliterated_only_where_asked_and_where_it_helps(
    text: str, options: dict[str, Any], data_coding: int, sent: str
) -> None:
    (message,) = submitted(text, **options)
    assert message.data_coding == data_coding
    assert handset.read([message], options.get("default_alphabet", "gsm0338")) == sent


def test_a_long_text_that_cannot_have_its_shift_table_is_transliterated_without_it() -> None:
    parts = submitted("á" + "a" * 200, shift="spanish", long="sar", transliterate="yes")
    assert {part.data_coding for part in parts} == {0}
    assert handset.read(parts) == "a" * 201


# --- fields


def test_the_fields_of_every_submit_sm_are_the_trunks() -> None:
    trunk = coding(
        service_type="WAP", protocol_id=0x41, priority_flag=2, registered_delivery=3, tlvs="0x1400=s:12,0x1401=h:00ff"
    )
    assert trunk.service_type == b"WAP"
    for text in ("x", "x" * 400, "á" * 100):
        for (before, after), message in zip(trunk.template(text).pieces, messages(trunk.template(text)), strict=True):
            assert before[1:5] == b"\x41\x02\x00\x00"
            assert message.registered_delivery == 3
            assert message.tlvs == {0x1400: b"12", 0x1401: b"\0\xff"}
            assert (before + after).endswith(bytes.fromhex("140000023132 1401000200ff"))


@pytest.mark.parametrize(("option", "receipts", "value"), [("auto", True, 1), ("auto", False, 0), (5, False, 5)])
def test_receipts_are_asked_for_as_the_setting_and_the_option_say(option: Any, receipts: bool, value: int) -> None:
    options = check_options({"host": "smsc", "registered_delivery": option})
    assert of_options(options, receipts).registered_delivery == value


# facts about time fields: 1 day is 000001000000000R; an absolute one is in UTC with one digit of tenths
@pytest.mark.parametrize(
    ("option", "period"),
    [
        ("1d", b"000001000000000R"),
        ("24h", b"000001000000000R"),
        ("90m", b"000000013000000R"),
        ("90s", b"000000000130000R"),
        ("30d", b"000030000000000R"),
        ("24h relative", b"000001000000000R"),
        ("24h absolute", b"261121120100000+"),
        ("60s absolute", b"261120120200000+"),
    ],
)
def test_a_validity_is_a_relative_period_or_the_moment_of_its_end(option: str, period: bytes) -> None:
    validity = parse_validity(option)
    assert validity is not None
    assert validity.period(1795176001.5) == period  # 2026-11-20 12:00:01.5 UTC
    assert len(period) == 16
    ((before, _),) = coding(validity=option).template("x", period).pieces
    assert before[:22] == b"\0\0\0\0" + period + b"\0\x01"


def test_there_is_no_validity_and_no_schedule_by_default() -> None:
    assert coding().validity is None
    ((before, _),) = coding().template("x").pieces
    assert before == b"\0\0\0\0\0\x01\0\0\0\x01x"


@pytest.mark.parametrize("text", ["24", "h", "24w", "59s", "31d", "24h sometime", "٢h", "1h 30m"])
def test_a_validity_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not like 24h, 90m or 2d absolute"):
        parse_validity(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("", ""),
        ("0x1400=s:1101234", "1400000731313031323334"),
        ("0x1400=z:11", "14000003313100"),
        ("0x0204=h:00ff, 0x1401=s:", "0204000200ff 14010000"),
        ("5120=s:a=b:c", "14000005613d623a63"),
    ],
)
def test_vendor_tlvs_are_text_or_octets(text: str, octets: str) -> None:
    assert parse_tlvs(text) == bytes.fromhex(octets)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0x1400", "The TLV '0x1400' is not like 0x1400=s:text, 0x1401=z:text with a NUL, or 0x0204=h:00ff."),
        ("0x1400=1", "The TLV '0x1400=1' is not like 0x1400=s:text, 0x1401=z:text with a NUL, or 0x0204=h:00ff."),
        ("0x0204=h:0", "The TLV '0x0204=h:0' is not like 0x1400=s:text, 0x1401=z:text with a NUL, or 0x0204=h:00ff."),
        ("1400=s:ñ", "The TLV '1400=s:\\xf1' is not like 0x1400=s:text, 0x1401=z:text with a NUL, or 0x0204=h:00ff."),
        ("0x0424=s:x", "The TLV 0x0424 cannot be given: the trunk makes it itself, or there is none."),
        ("99999=s:x", "The TLV 99999 cannot be given: the trunk makes it itself, or there is none."),
        ("0x1400=s:1,0x1400=s:2", "The TLV 0x1400 is given twice."),
        ("0x1400=s:" + "x" * 1000, "The TLVs of an SMPP trunk can have 1000 octets together."),
    ],
)
def test_vendor_tlvs_that_cannot_be_are_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_options({"host": "h", "tlvs": text})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"default_alphabet": "utf8"},
            "The default_alphabet of an SMPP trunk must be one of gsm0338, latin1, ascii, packed.",
        ),
        ({"long": "both"}, "The long of an SMPP trunk must be one of udh8, udh16, sar, payload."),
        ({"shift": "french"}, "The shift of an SMPP trunk must be one of none, spanish, portuguese, turkish."),
        ({"data_coding": 256}, "The data_coding of an SMPP trunk must be a number from 0 to 255."),
        ({"data_coding": "0xZZ"}, "The data_coding of an SMPP trunk must be a number from 0 to 255."),
        ({"flash": "maybe"}, "The flash of an SMPP trunk must be yes or no."),
        ({"service_type": "LONGER"}, "The service_type of an SMPP trunk can have up to 5 letters and digits."),
        ({"service_type": "a\0"}, "The service_type of an SMPP trunk can have up to 5 letters and digits."),
        ({"priority_flag": 4}, "The priority_flag of an SMPP trunk must be a number from 0 to 3."),
        ({"protocol_id": -1}, "The protocol_id of an SMPP trunk must be a number from 0 to 255."),
        (
            {"shift": "spanish", "default_alphabet": "latin1"},
            "Shift tables need an SMPP trunk whose default_alphabet is gsm0338 or packed.",
        ),
        (
            {"data_coding": 3},
            "The data_coding 3 announces Latin-1: the default_alphabet of the SMPP trunk must be latin1 too.",
        ),
        ({"data_coding": 8}, "The data_coding 8 announces UCS-2, not the default alphabet of an SMPP trunk."),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_options({"host": "h", **options})
    assert str(caught.value) == sentence


def test_checked_options_are_checked_again_without_a_change() -> None:
    given = {"host": "h", "transliterate": "yes", "validity": "24h", "tlvs": "0x1400=s:1", "data_coding": "0xF0"}
    options = check_options(given)
    assert check_options(options) == options
    assert (options["transliterate"], options["flash"], options["data_coding"]) == (True, False, 0xF0)


# --- every text

texts = st.one_of(
    st.text("@£éñà aZ09\n" + "^{}[]~|€" * 2, max_size=700),
    st.text("áíóúçÁ ña€{", max_size=400),
    st.text("ğşıİçÇa €", max_size=400),
    st.text("ãõâêÊáÓªº∞Φ€~a", max_size=400),
    st.text(f"aá{BELL}€", max_size=350),
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=300),
)
alphabets = st.sampled_from(["gsm0338", "latin1", "ascii", "packed"])
longs = st.sampled_from(["udh8", "udh16", "sar", "payload"])
shifts = st.sampled_from(["none", "spanish", "portuguese", "turkish"])


@given(texts, alphabets, longs, shifts, st.booleans(), st.integers(0, 2**40))
def test_the_phone_reads_what_was_written(
    text: str, alphabet: str, long: str, shift: str, flash: bool, reference: int
) -> None:
    if alphabet in ("latin1", "ascii"):
        shift = "none"
    trunk = coding(default_alphabet=alphabet, long=long, shift=shift, flash=flash)
    template = trunk.template(text)
    parts = messages(template, reference)
    assert handset.read(parts, alphabet) == text
    assert all(len(part.data) <= (160 if len(parts) == 1 else 159) for part in parts if 0x0424 not in part.tlvs)
    data_coding, count = trunk.segments(text)
    assert {part.data_coding for part in parts} == {data_coding}
    assert count == len(parts) or long == "payload"


@given(texts, alphabets, longs)
def test_transliteration_never_costs_a_segment_and_is_read_as_it_was_sent(text: str, alphabet: str, long: str) -> None:
    plain = coding(default_alphabet=alphabet, long=long)
    fitted = coding(default_alphabet=alphabet, long=long, transliterate=True)
    handset.read(messages(fitted.template(text)), alphabet)
    assert fitted.segments(text)[1] <= plain.segments(text)[1]


def test_the_default_options_are_those_of_a_coding_without_any() -> None:
    assert coding() == Coding()
    assert coding(validity="24h absolute").validity == Validity(24 * 3600, True)
