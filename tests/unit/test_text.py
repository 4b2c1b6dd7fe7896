"""The alphabet, the counts and the headers, each rule by example. The expected table is written by code point."""

from __future__ import annotations

import pytest

from ixxsms import text as sms
from ixxsms.errors import BadInput
from ixxsms.text import Concat, Encoding, Measure, Segment

# 3GPP TS 23.038 6.2.1, in rows of 16: Unicode code points of 0x00 to 0x7F; 001B stands for the escape.
DEFAULT_TABLE = """\
0040 00A3 0024 00A5 00E8 00E9 00F9 00EC 00F2 00C7 000A 00D8 00F8 000D 00C5 00E5
0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E 001B 00C6 00E6 00DF 00C9
0020 0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F
0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F
00A1 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F
0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7
00BF 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F
0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0
"""
# 3GPP TS 23.038 6.2.1.1
EXTENSION_TABLE = {
    0x0A: 0x000C, 0x14: 0x005E, 0x28: 0x007B, 0x29: 0x007D, 0x2F: 0x005C,
    0x3C: 0x005B, 0x3D: 0x007E, 0x3E: 0x005D, 0x40: 0x007C, 0x65: 0x20AC,
}  # fmt: skip
DEFAULT = {code: chr(int(point, 16)) for code, point in enumerate(DEFAULT_TABLE.split()) if code != 0x1B}
EXTENSION = {code: chr(point) for code, point in EXTENSION_TABLE.items()}

BELL = "\U0001f514"  # astral: two UTF-16 units


# --- alphabet


def test_the_tables_of_this_test_are_complete():
    assert (len(DEFAULT), len(EXTENSION)) == (127, 10)


@pytest.mark.parametrize("code", sorted(DEFAULT))
def test_every_default_character_is_one_septet_both_ways(code):
    assert sms.encode_gsm(DEFAULT[code]) == bytes([code])
    assert sms.decode_gsm(bytes([code])) == DEFAULT[code]
    assert sms.length(DEFAULT[code]) == 1


@pytest.mark.parametrize("code", sorted(EXTENSION))
def test_every_extension_character_is_an_escape_and_a_septet_both_ways(code):
    assert sms.encode_gsm(EXTENSION[code]) == bytes([0x1B, code])
    assert sms.decode_gsm(bytes([0x1B, code])) == EXTENSION[code]
    assert sms.length(EXTENSION[code]) == 2


def test_no_other_character_of_the_basic_plane_is_gsm():
    known = {*DEFAULT.values(), *EXTENSION.values()}
    outside = (chr(point) for point in range(0x10000))
    assert [c for c in outside if (sms.encoding_of(c) is Encoding.GSM) != (c in known)] == []


@pytest.mark.parametrize("char", ["`", "ç", "á", "í", "ó", "ú", "Á", "\x1b", "\t", "\xa0", "’", BELL, "\udc80"])
def test_characters_that_look_like_gsm_force_ucs2(char):
    assert sms.encoding_of(f"hola {char}") is Encoding.UCS2
    with pytest.raises(BadInput, match=f"U\\+{ord(char):04X}"):
        sms.encode_gsm(f"hola {char}")


def test_the_section_sign_and_the_capital_cedilla_are_gsm():
    assert sms.encode_gsm("§Ç") == b"\x5f\x09"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\x1b", " "),
        (b"A\x1b", "A "),
        (b"\x1bA", "A"),
        (b"\x1b\x1b\x14", " Λ"),
        (b"\x1b\x1b\x1b\x14", " ^"),
        (b"\x1b\x0d", "\r"),
        (b"\x80\xff", "\ufffd\ufffd"),
        (b"\x1b\x80", "\ufffd"),
    ],
)
def test_decoding_gsm_survives_what_the_table_lacks(data, text):
    assert sms.decode_gsm(data) == text


def test_ucs2_is_big_endian_without_a_mark():
    assert sms.encode_ucs2("ñ" + BELL) == bytes.fromhex("00f1 d83d dd14")
    assert sms.decode_ucs2(bytes.fromhex("00f1 d83d dd14")) == "ñ" + BELL


def test_a_lone_surrogate_is_sent_as_the_replacement_character():
    assert sms.encode_ucs2("a\udc80b") == bytes.fromhex("0061 fffd 0062")
    assert sms.length("a\udc80b") == 3
    assert sms.cut("a\ud800") == [bytes.fromhex("0061 fffd")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\x00", ""),
        (b"\x00a\x00", "a"),
        (b"\xdc\x00\x00a", "\ufffda"),
        (b"\xd8\x3d", "\ufffd"),
        (b"\xd8\x3d\x00a", "\ufffda"),
    ],
)
def test_decoding_ucs2_survives_what_is_broken(data, text):
    assert sms.decode_ucs2(data) == text


# --- counts


@pytest.mark.parametrize(
    ("text", "length", "count"),
    [
        ("", 0, 1),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("a" * 459, 459, 3),
        ("€" * 80, 160, 1),
        ("€" * 80 + "a", 161, 2),
        ("á" * 70, 70, 1),
        ("á" * 71, 71, 2),
        ("á" * 134, 134, 2),
        ("á" * 135, 135, 3),
        (BELL * 35, 70, 1),
        (BELL * 36, 72, 2),
        ("a" * 170, 170, 2),
        ("á" + "a" * 169, 170, 3),
    ],
)
def test_length_and_segments(text, length, count):
    assert (sms.length(text), sms.segments(text), len(sms.cut(text))) == (length, count, count)


def test_an_escape_pair_is_not_cut_even_if_it_costs_one_segment_more():
    text = "a" * 152 + "€" + "a" * 152  # 306 septets, twice 153: but the pair lies across the cut
    assert sms.length(text) == 306
    assert [len(body) for body in sms.cut(text)] == [152, 153, 1]
    assert sms.segments(text) == 3


def test_a_surrogate_pair_is_not_cut_even_if_it_costs_one_segment_more():
    text = "a" * 66 + BELL + "a" * 66
    assert sms.length(text) == 134
    assert [len(body) // 2 for body in sms.cut(text)] == [66, 67, 1]
    assert sms.segments(text) == 3


def test_measure_names_what_forces_ucs2_in_order_and_once():
    assert sms.measure("Año ¿qué?") == Measure(Encoding.GSM, 9, 1, ())
    assert sms.measure("él está allí, está ") == Measure(Encoding.UCS2, 19, 1, ("á", "í"))
    assert sms.measure("`" * 71) == Measure(Encoding.UCS2, 71, 2, ("`",))


def test_measure_shows_a_lone_surrogate_as_something_that_can_be_printed():
    assert sms.measure("a\udc80").forced_by == ("\ufffd",)


# --- segments and headers


def test_a_short_text_is_one_segment_without_header():
    assert sms.build("hola", 7) == [Segment(b"hola", 0, False)]
    assert sms.build("allí", 7) == [Segment("allí".encode("utf-16-be"), 8, False)]
    assert sms.build("", 7) == [Segment(b"", 0, False)]


def test_a_long_text_carries_its_header_in_every_segment():
    built = sms.build("a" * 154, 0)
    assert built == [Segment(b"a" * 154, 0, False)]
    built = sms.build("a" * 161, 0x1FE)
    assert built == [
        Segment(bytes.fromhex("050003fe0201") + b"a" * 153, 0, True),
        Segment(bytes.fromhex("050003fe0202") + b"a" * 8, 0, True),
    ]


def test_255_segments_are_the_most():
    assert len(sms.build("a" * 153 * 255, 1)) == 255
    with pytest.raises(BadInput, match="256 segments"):
        sms.build("a" * 153 * 255 + "a", 1)
    with pytest.raises(BadInput):
        sms.udh8(1, 256, 1)


def test_a_header_is_split_off_again():
    assert sms.split_udh(sms.udh8(300, 3, 2) + b"body") == (Concat(44, 3, 2), b"body")


def test_a_header_with_a_16_bit_reference_is_read():
    assert sms.split_udh(bytes.fromhex("06 08 04 0102 03 02") + b"body") == (Concat(0x102, 3, 2), b"body")


def test_other_elements_of_a_header_are_passed_over():
    ports = bytes.fromhex("0504 0b84 23f0")
    assert sms.split_udh(b"\x06" + ports + b"body") == (None, b"body")
    both = b"\x0b" + ports + bytes.fromhex("0003 09 02 01")
    assert sms.split_udh(both + b"body") == (Concat(9, 2, 1), b"body")
    assert sms.split_udh(b"\x00body") == (None, b"body")


@pytest.mark.parametrize("values", ["01 00 01", "01 02 00", "01 02 03", "01 00 00"])
def test_impossible_concatenation_values_are_ignored_but_the_body_is_kept(values):
    assert sms.split_udh(bytes.fromhex("05 00 03") + bytes.fromhex(values) + b"body") == (None, b"body")


@pytest.mark.parametrize(
    "data",
    ["", "05", "05 00 03 01 02", "02 00 03 01 02 01", "05 00 04 01 02 01", "01 00 41", "ff 00", "06 00 03 01 02 01 00"],
)
def test_a_header_that_does_not_add_up_gives_everything_back(data):
    assert sms.split_udh(bytes.fromhex(data)) == (None, bytes.fromhex(data))
