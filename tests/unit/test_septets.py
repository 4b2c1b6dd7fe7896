"""The 7 bit alphabets: every entry of every table, written here by code point in the rows of the specification."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms import septets
from ixxsms.errors import BadInput
from ixxsms.septets import DEFAULT, PORTUGUESE, SPANISH, TURKISH, Septets, fill_bits, pack, tables_of, unpack

# 3GPP TS 23.038 A.3.1 and A.3.3, in rows of 16; 001B stands for the escape.
LOCKING = {
    TURKISH: """\
0040 00A3 0024 00A5 20AC 00E9 00F9 0131 00F2 00C7 000A 011E 011F 000D 00C5 00E5
0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E 001B 015E 015F 00DF 00C9
0020 0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F
0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F
0130 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F
0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7
00E7 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F
0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0
""",
    PORTUGUESE: """\
0040 00A3 0024 00A5 00EA 00E9 00FA 00ED 00F3 00E7 000A 00D4 00F4 000D 00C1 00E1
0394 005F 00AA 00C7 00C0 221E 005E 005C 20AC 00D3 007C 001B 00C2 00E2 00CA 00C9
0020 0021 0022 0023 00BA 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F
0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F
00CD 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F
0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C3 00D5 00DA 00DC 00A7
007E 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F
0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E3 00F5 0060 00FC 00E0
""",
}
# A.2.1 to A.2.3: row (low half of the code) and column (high half) as the specification prints them; . is empty.
SINGLE = {
    TURKISH: """\
.    .    .    .    007C .    .    .
.    .    .    .    .    .    .    .
.    .    .    .    .    .    .    .
.    .    .    .    .    015E 00E7 015F
.    005E .    .    .    .    .    .
.    .    .    .    .    .    20AC .
.    .    .    .    .    .    .    .
.    .    .    .    011E .    011F .
.    .    007B .    .    .    .    .
.    .    007D .    0130 .    0131 .
000C .    .    .    .    .    .    .
.    .    .    .    .    .    .    .
.    .    .    005B .    .    .    .
.    .    .    007E .    .    .    .
.    .    .    005D .    .    .    .
.    .    005C .    .    .    .    .
""",
    SPANISH: """\
.    .    .    .    007C .    .    .
.    .    .    .    00C1 .    00E1 .
.    .    .    .    .    .    .    .
.    .    .    .    .    .    .    .
.    005E .    .    .    .    .    .
.    .    .    .    .    00DA 20AC 00FA
.    .    .    .    .    .    .    .
.    .    .    .    .    .    .    .
.    .    007B .    .    .    .    .
00E7 .    007D .    00CD .    00ED .
000C .    .    .    .    .    .    .
.    .    .    .    .    .    .    .
.    .    .    005B .    .    .    .
.    .    .    007E .    .    .    .
.    .    .    005D .    .    .    .
.    .    005C .    00D3 .    00F3 .
""",
    PORTUGUESE: """\
.    .    .    .    007C .    .    .
.    .    .    .    00C0 .    00C2 .
.    03A6 .    .    .    .    .    .
.    0393 .    .    .    .    .    .
.    005E .    .    .    .    .    .
00EA 03A9 .    .    .    00DA 20AC 00FA
.    03A0 .    .    .    .    .    .
.    03A8 .    .    .    .    .    .
.    03A3 007B .    .    .    .    .
00E7 0398 007D .    00CD .    00ED .
000C .    .    .    .    .    .    .
00D4 .    .    .    .    00C3 .    00E3
00F4 .    .    005B .    00D5 .    00F5
.    .    .    007E .    .    .    .
00C1 .    .    005D .    .    .    .
00E1 00CA 005C .    00D3 .    00F3 00E2
""",
}


def locking_rows(language: int) -> dict[int, str]:
    points = (int(point, 16) for point in LOCKING[language].split())
    return {code: chr(point) for code, point in enumerate(points) if code != 0x1B}


def single_rows(language: int) -> dict[int, str]:
    cells = [row.split() for row in SINGLE[language].splitlines()]
    return {
        column * 16 + row: chr(int(cell, 16))
        for row, columns in enumerate(cells)
        for column, cell in enumerate(columns)
        if cell != "."
    }


def test_the_tables_of_this_test_are_complete() -> None:
    assert {language: len(locking_rows(language)) for language in LOCKING} == {TURKISH: 127, PORTUGUESE: 127}
    assert {language: len(single_rows(language)) for language in SINGLE} == {TURKISH: 17, SPANISH: 19, PORTUGUESE: 37}


@pytest.mark.parametrize(("language", "code"), [(one, code) for one in LOCKING for code in locking_rows(one)])
def test_every_character_of_a_locking_table_is_one_septet_both_ways(language: int, code: int) -> None:
    tables, char = Septets(locking=language), locking_rows(language)[code]
    assert tables.encode(char) == bytes([code])
    assert tables.decode(bytes([code])) == char


@pytest.mark.parametrize(("language", "code"), [(one, code) for one in SINGLE for code in single_rows(one)])
def test_every_character_of_a_single_shift_table_comes_after_an_escape_both_ways(language: int, code: int) -> None:
    tables, char = Septets(single=language), single_rows(language)[code]
    assert tables.decode(bytes([0x1B, code])) == char
    # What the default alphabet has too is cheaper there.
    assert tables.encode(char) == (DEFAULT.encode(char) if char in DEFAULT.basic else bytes([0x1B, code]))


@pytest.mark.parametrize("tables", [Septets(a, b) for a in (0, TURKISH, PORTUGUESE) for b in (0, 1, 2, 3)])
def test_a_pair_of_tables_has_their_characters_and_no_others(tables: Septets) -> None:
    has = {chr(point) for point in range(0x10000) if not tables.outside.search(chr(point))}
    assert has == set(tables.basic) | set(tables.extended)
    assert tables.decode(tables.encode("".join(sorted(has)))) == "".join(sorted(has))


@pytest.mark.parametrize(
    ("char", "octets"),
    [("á", "1B61"), ("í", "1B69"), ("ó", "1B6F"), ("ú", "1B75"), ("Á", "1B41"), ("Í", "1B49"), ("Ó", "1B4F"),
     ("Ú", "1B55"), ("ç", "1B09"), ("ñ", "7D"), ("é", "05")],
)  # fmt: skip
def test_spanish_letters_are_those_that_providers_document(char: str, octets: str) -> None:
    assert Septets(single=SPANISH).encode(char) == bytes.fromhex(octets)


def test_the_header_names_the_tables() -> None:
    assert [tables.elements.hex() for tables in tables_of(SPANISH)] == ["240102"]
    assert [tables.elements.hex() for tables in tables_of(TURKISH)] == ["240101", "250101", "240101250101"]
    assert DEFAULT.elements == b""


def test_a_language_without_tables_is_read_with_the_default_ones() -> None:
    unknown = Septets(locking=6, single=99)
    assert (unknown.locking, unknown.single) == (0, 0)
    assert Septets(locking=SPANISH).decode(b"\x07\x1b\x65") == "ì€"


@pytest.mark.parametrize("language", [TURKISH, SPANISH, PORTUGUESE])
def test_what_a_table_lacks_is_read_in_the_first_one(language: int) -> None:
    tables = Septets(single=language)
    assert tables.decode(b"\x1bB\x1b\x1bC\x1b") == "B C "
    assert tables.decode(b"\x1b\x0d\xff") == "\r\ufffd"


def test_the_character_that_does_not_fit_is_named() -> None:
    with pytest.raises(BadInput, match=r"U\+011F"):
        Septets(single=SPANISH).encode("doğru")


# --- packing


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("", ""),
        ("a", "61"),
        ("hellohello", "e8329bfd4697d9ec37"),
        ("1234567", "31d98c56b3dd1a"),  # seven bits are left over: a carriage return, not an @
        ("12345678", "31d98c56b3dd70"),
    ],
)
def test_septets_are_packed_as_the_specification_shows(text: str, packed: str) -> None:
    assert pack(text.encode()).hex() == packed


@pytest.mark.parametrize(("header", "bits"), [(0, 0), (4, 3), (6, 1), (7, 0), (9, 5), (10, 4), (12, 2), (13, 1)])
def test_septets_after_a_header_begin_at_a_septet(header: int, bits: int) -> None:
    assert fill_bits(header) == bits
    assert (header * 8 + bits) % 7 == 0


def test_packed_septets_after_a_header_are_shifted() -> None:
    # As in every description of concatenated SMS: 050003CC0201 986F79B90D4AC3E7...
    assert pack(b"Lorem ipsum", fill_bits(6)).hex().startswith("986f79b90d4ac3e7f5")


@given(st.binary(max_size=160).map(lambda data: bytes(octet & 0x7F for octet in data)), st.integers(0, 6))
def test_what_is_packed_comes_out_again(data: bytes, fill: int) -> None:
    out = unpack(pack(data, fill), fill)
    assert out[: len(data)] == data
    assert out[len(data) :] in (b"", b"\r")


@given(st.integers(0, 13).flatmap(lambda header: st.tuples(st.just(header), st.integers(0, (140 - header) * 8 // 7))))
def test_a_full_segment_of_packed_septets_never_is_over_140_octets(case: tuple[int, int]) -> None:
    header, count = case
    assert header + len(pack(b"a" * count, fill_bits(header))) <= 140


@given(st.binary(max_size=200), st.integers(0, 6))
def test_unpacking_never_raises(data: bytes, fill: int) -> None:
    assert len(septets.unpack(data, fill)) == max(0, 8 * len(data) - fill) // 7


def test_a_long_pdu_takes_as_long_as_its_pieces():
    """It may come from somebody who means harm, and again and again."""

    def seconds(pieces):
        begun = time.process_time()
        for piece in pieces:
            unpack(piece)
        return time.process_time() - begun

    data = bytes(range(252)) * 250
    pieces = [data[at : at + 252] for at in range(0, len(data), 252)]
    assert unpack(data) == b"".join(map(unpack, pieces))
    whole, in_pieces = (min(seconds(of) for _ in range(3)) for of in ([data], pieces))
    assert whole < 10 * in_pieces  # where each septet costs more in a longer text it is some hundred times as long
