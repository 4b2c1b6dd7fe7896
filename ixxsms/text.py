"""What a text costs and which octets it becomes: alphabet, length, segments, headers of long messages.

Knows the GSM 7 bit default alphabet (3GPP TS 23.038 6.2.1), UCS-2 (6.2.3) and the concatenation header
(3GPP TS 23.040 9.2.3.24). Septets are unpacked, one per octet, as SMPP carries them.
Must never know trunks, PDUs, or what an alphabet is called by one SMSC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ixxsms.errors import BadInput
from ixxsms.septets import DEFAULT, ESCAPE

SINGLE_SEPTETS, LONG_SEPTETS = 160, 153  #: room in one segment, without and with a header, in septets
SINGLE_UNITS, LONG_UNITS = 70, 67  #: the same in UTF-16 units
MOST_SEGMENTS = 255  #: of one message

# One scan of a compiled class is the fastest test there is here: benchmarked against sets, translate and codecs.
_NOT_BASIC = re.compile(f"[^{re.escape(DEFAULT.basic)}]")
_EXTENDED = re.compile(f"[{re.escape(DEFAULT.extended)}]")
_OUTSIDE = DEFAULT.outside
_SURROGATE = re.compile("[\ud800-\udfff]")


class Encoding(StrEnum):
    GSM = "gsm"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a text costs.

    `length` is in septets (gsm) or UTF-16 units (ucs2). `forced_by`: the distinct characters that the GSM alphabet
    lacks, in order of first appearance; a lone surrogate is shown as U+FFFD, as it would be sent.
    """

    encoding: Encoding
    length: int
    segments: int
    forced_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """The short_message of one submit_sm: header included where `has_udh`; `data_coding` 0 or 8 (SMPP 3.4 5.2.19)."""

    body: bytes
    data_coding: int
    has_udh: bool


class Concat(NamedTuple):
    """Which part of which long message this is: `number` runs from 1 to `total`."""

    reference: int
    total: int
    number: int


def encoding_of(text: str) -> Encoding:
    """The cheapest encoding that can carry all of the text."""
    return Encoding.UCS2 if _OUTSIDE.search(text) else Encoding.GSM


def length(text: str) -> int:
    """Septets or UTF-16 units, whichever its encoding counts. An extension or astral character counts two."""
    if encoding_of(text) is Encoding.GSM:
        return len(text) + len(_EXTENDED.findall(text))
    return len(encode_ucs2(text)) // 2


def segments(text: str) -> int:
    """How many submit_sm the text takes. At least 1, also when empty."""
    size = len(text)
    if size <= SINGLE_UNITS // 2:  # fits even if every character counted two of the scarcer unit
        return 1
    if not _NOT_BASIC.search(text):
        return 1 if size <= SINGLE_SEPTETS else -(-size // LONG_SEPTETS)
    return len(cut(text))


def measure(text: str) -> Measure:
    """Everything that a person wants to see before sending."""
    forced_by = tuple(dict.fromkeys(_OUTSIDE.findall(_well_formed(text))))
    return Measure(encoding_of(text), length(text), segments(text), forced_by)


def cut(text: str) -> list[bytes]:
    """The encoded bodies in order, without headers; a single empty one for an empty text.

    Never cuts inside an escape pair or a surrogate pair, so now and then there is one more than the length suggests.
    """
    if encoding_of(text) is Encoding.GSM:
        return cut_septets(encode_gsm(text), SINGLE_SEPTETS, LONG_SEPTETS)
    return cut_units(encode_ucs2(text), SINGLE_UNITS * 2, LONG_UNITS * 2)


def cut_septets(data: bytes, single: int, room: int) -> list[bytes]:
    """Unpacked septets as they are where there are `single` at most, else in pieces of `room`, no pair cut."""
    return [data] if len(data) <= single else _pieces(data, _septet_breaks(data, room))


def cut_units(data: bytes, single: int, room: int) -> list[bytes]:
    """The same with the octets of UCS-2; `single` and `room` are octets, and even."""
    return [data] if len(data) <= single else _pieces(data, _unit_breaks(data, room))


def _pieces(data: bytes, breaks: Iterable[int]) -> list[bytes]:
    starts = [0, *breaks]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _septet_breaks(data: bytes, room: int) -> Iterator[int]:
    end = room
    while end < len(data):
        if data[end - 1] == ESCAPE:
            end -= 1
        yield end
        end += room


def _unit_breaks(data: bytes, room: int) -> Iterator[int]:
    end = room
    while end < len(data):
        if data[end - 2] & 0xFC == 0xD8:  # a high surrogate: its low half would open the next segment
            end -= 2
        yield end
        end += room


def build(text: str, reference: int) -> list[Segment]:
    """The segments ready to send. `reference` ties those of one long message together, modulo 256.

    Raises BadInput where it would take more than 255.
    """
    coding = 0 if encoding_of(text) is Encoding.GSM else 8
    bodies = cut(text)
    if len(bodies) == 1:
        return [Segment(bodies[0], coding, False)]
    total = len(bodies)
    return [Segment(udh8(reference, total, number) + body, coding, True) for number, body in enumerate(bodies, 1)]


def encode_gsm(text: str) -> bytes:
    """Unpacked septets. Raises BadInput, which names the first character that the alphabet lacks."""
    return DEFAULT.encode(text)


def decode_gsm(data: bytes) -> str:
    """The text of unpacked septets of the default alphabet. Never raises: see septets.Septets.decode."""
    return DEFAULT.decode(data)


def encode_ucs2(text: str) -> bytes:
    """UTF-16 big endian without a byte order mark. Lone surrogates become U+FFFD. Never raises."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return _well_formed(text).encode("utf-16-be")


def decode_ucs2(data: bytes) -> str:
    """The text of UTF-16 big endian octets. Never raises: what is broken becomes U+FFFD, an odd last octet goes."""
    return data[: len(data) // 2 * 2].decode("utf-16-be", "replace")


def _well_formed(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def udh8(reference: int, total: int, number: int) -> bytes:
    """The concatenation header with an 8 bit reference, 6 octets (3GPP TS 23.040 9.2.3.24.1).

    `reference` is taken modulo 256; `number` runs from 1 to `total`. Raises BadInput where total is over 255.
    """
    check_total(total)
    return bytes((0x05, 0x00, 0x03, reference % 256, total, number))


def check_total(total: int) -> None:
    """Raises BadInput for more segments than a header, or a SAR parameter, can number."""
    if total > MOST_SEGMENTS:
        raise BadInput(f"The text is too long: it would take {total} segments, and {MOST_SEGMENTS} is the most.")


def split_udh(data: bytes) -> tuple[Concat | None, bytes]:
    """User data that begins with a header, taken apart into its concatenation element and the body.

    Reads the elements 00 (8 bit reference) and 08 (16 bit). Never raises: a header that does not add up gives
    (None, data). In a sound header a concatenation element with impossible values is ignored, as 3GPP TS 23.040
    9.2.3.24.1 has it, which gives (None, body).
    """
    elements, body = read_udh(data)
    concat = None
    for element, value in elements:
        concat = _concat(element, value) or concat
    return concat, body


def read_udh(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The information elements of the header, each with its value, and the body; none where they do not add up."""
    end = 1 + data[0] if data else 0
    if not data or end > len(data):
        return [], data
    elements = []
    at = 1
    while at < end:
        if at + 2 > end or at + 2 + data[at + 1] > end:
            return [], data
        value = data[at + 2 : at + 2 + data[at + 1]]
        elements.append((data[at], value))
        at += 2 + len(value)
    return elements, data[end:]


def _concat(element: int, value: bytes) -> Concat | None:
    if (element, len(value)) not in ((0x00, 3), (0x08, 4)):
        return None
    *reference, total, number = value
    if not 1 <= number <= total:
        return None
    return Concat(int.from_bytes(reference, "big"), total, number)
