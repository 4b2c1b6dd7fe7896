"""How a trunk writes a text: in which alphabet and data_coding, cut how, and with which fields of submit_sm.

What providers want of all this differs, so all of it is options of the trunk. Must never know to whom a message goes,
the window, or the link; the time is an argument.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from smpplib import consts

from ixxsms import septets
from ixxsms import text as gsm
from ixxsms.errors import BadInput
from ixxsms.septets import DEFAULT, Septets
from ixxsms.smpp import pdu
from ixxsms.transliteration import transliterate

AIR_OCTETS = 140  #: of user data in a message between SMSC and phone, header included (3GPP TS 23.040 9.2.3.24)
LATIN1: int = consts.SMPP_ENCODING_ISO88591
UCS2: int = consts.SMPP_ENCODING_ISO10646
CLASS_0 = 0x10  #: added to data_coding 0 and 8: shown at once and not kept (3GPP TS 23.038 section 4)

LONGEST_VALIDITY = 30 * 24 * 3600  #: seconds
MAX_TLVS = 1000  #: octets of the vendor's TLVs together


class Alphabet(StrEnum):
    """What the octets of the SMSC's default alphabet are."""

    GSM0338 = "gsm0338"
    LATIN1 = "latin1"
    ASCII = "ascii"
    PACKED = "packed"


class Long(StrEnum):
    """What makes the segments of a long message one."""

    UDH8 = "udh8"  #: a header in each, with a reference of 8 bits (3GPP TS 23.040 9.2.3.24.1)
    UDH16 = "udh16"  #: the same with 16 bits (9.2.3.24.8)
    SAR = "sar"  #: TLVs of SMPP (sections 5.3.2.22 to 5.3.2.24), of which the SMSC makes the header
    PAYLOAD = "payload"  #: one submit_sm with all of it in message_payload (5.3.2.32): the SMSC cuts it


class Validity(NamedTuple):
    """How long the SMSC may try. A relative period is what most take; some want the moment of its end, in UTC."""

    seconds: int
    absolute: bool = False

    def period(self, at: float) -> bytes:
        """validity_period of a message that goes at this Unix time (section 7.1.1).

        An absolute one ends with a whole minute, so that many messages have the same.
        """
        if self.absolute:
            end = datetime.fromtimestamp(-(-(at + self.seconds) // 60) * 60, UTC)
            return end.strftime("%y%m%d%H%M%S000+").encode()
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        return f"0000{days:02d}{hours:02d}{minutes:02d}{seconds:02d}000R".encode()


class Template(NamedTuple):
    """The submit_sm that carry a text, but for their addresses.

    `pieces`: for each what comes before the reference of the message and what comes after it; `reference`: how many
    octets stand between them, 0 where no part needs one.
    """

    pieces: tuple[tuple[bytes, bytes], ...]
    reference: int


class _Gsm:
    """Septets, one in an octet or packed."""

    def __init__(self, tables: Septets, data_coding: int, packed: bool = False) -> None:
        self.data_coding, self.elements = data_coding, tables.elements
        self._tables, self._packed = tables, packed

    def has(self, text: str) -> bool:
        return not self._tables.outside.search(text)

    def cut(self, text: str, single: int, header: int) -> list[bytes]:
        """Pieces with room for headers of so many octets: `single` where one piece is enough."""
        return gsm.cut_septets(self._tables.septets(text), _septets(single), _septets(header))

    def write(self, piece: bytes, header: int) -> bytes:
        """The octets that follow a header of so many octets."""
        return septets.pack(piece, septets.fill_bits(header)) if self._packed else piece


class _Ascii:
    """ASCII that the SMSC turns into septets: it has no back-tick then, and ten of its signs cost two."""

    elements = b""

    def __init__(self, data_coding: int) -> None:
        self.data_coding = data_coding

    def has(self, text: str) -> bool:
        return text.isascii() and not DEFAULT.outside.search(text)

    def cut(self, text: str, single: int, header: int) -> list[bytes]:
        pieces = gsm.cut_septets(DEFAULT.septets(text), _septets(single), _septets(header))
        return [DEFAULT.decode(piece).encode("ascii") for piece in pieces]

    def write(self, piece: bytes, header: int) -> bytes:
        return piece


class _Latin1:
    """Latin-1. What an SMSC takes as data_coding 3 it may turn into septets, so that the rest of it would be lost."""

    elements = b""
    _outside = re.compile("[^\n\f\r\x20-\x7e\xa0-\xff]")

    def __init__(self, data_coding: int) -> None:
        self.data_coding = data_coding

    def has(self, text: str) -> bool:
        if self.data_coding == LATIN1 and DEFAULT.outside.search(text):
            return False
        return not self._outside.search(text)

    def cut(self, text: str, single: int, header: int) -> list[bytes]:
        data, room = text.encode("latin-1"), AIR_OCTETS - header
        if len(data) <= AIR_OCTETS - single:
            return [data]
        return [data[at : at + room] for at in range(0, len(data), room)]

    def write(self, piece: bytes, header: int) -> bytes:
        return piece


class _Ucs2:
    """UCS-2, which carries every text."""

    elements = b""

    def __init__(self, data_coding: int) -> None:
        self.data_coding = data_coding

    def has(self, text: str) -> bool:
        return True

    def cut(self, text: str, single: int, header: int) -> list[bytes]:
        units = [(AIR_OCTETS - octets) // 2 * 2 for octets in (single, header)]
        return gsm.cut_units(gsm.encode_ucs2(text), *units)

    def write(self, piece: bytes, header: int) -> bytes:
        return piece


_Writing = _Gsm | _Ascii | _Latin1 | _Ucs2


def _septets(header: int) -> int:
    """How many septets have room beside a header of so many octets."""
    return (AIR_OCTETS - header) * 8 // 7


@dataclass(frozen=True)
class Coding:
    """The options of a trunk that shape its submit_sm. None: the value that follows from the others."""

    default_alphabet: Alphabet = Alphabet.GSM0338
    data_coding: int | None = None
    ucs2_data_coding: int | None = None
    long: Long = Long.UDH8
    shift: str = "none"
    transliterate: bool = False
    flash: bool = False
    service_type: bytes = b""
    protocol_id: int = 0
    priority_flag: int = 0
    registered_delivery: int = 1
    validity: Validity | None = None
    tlvs: bytes = b""

    def template(self, text: str, validity_period: bytes = b"") -> Template:
        """The submit_sm that carry this text. Raises BadInput where it would take more than 255 segments."""
        writing, text = self._spell(text)
        bodies = self._cut(writing, text)
        gsm.check_total(len(bodies))
        if len(bodies) == 1:
            header = bytes((len(writing.elements),)) + writing.elements if writing.elements else b""
            data = header + writing.write(bodies[0], len(header))
            tail = self._tail(writing.data_coding, pdu.UDHI if header else 0, validity_period)
            return Template(((tail + pdu.short_message(data) + self.tlvs, b""),), 0)
        if self.long is Long.PAYLOAD:
            payload = pdu.tlv(pdu.TLV_MESSAGE_PAYLOAD, writing.write(b"".join(bodies), 0))
            tail = self._tail(writing.data_coding, 0, validity_period)
            return Template(((tail + pdu.short_message(b"") + payload + self.tlvs, b""),), 0)
        if self.long is Long.SAR:
            return self._sar(bodies, writing, self._tail(writing.data_coding, 0, validity_period))
        return self._udh(bodies, writing, self._tail(writing.data_coding, pdu.UDHI, validity_period))

    def segments(self, text: str) -> tuple[int, int]:
        """What a text costs here: its data_coding, and in how many segments it reaches the phone."""
        writing, text = self._spell(text)
        return writing.data_coding, len(self._cut(writing, text))

    def _udh(self, bodies: list[bytes], writing: _Writing, tail: bytes) -> Template:
        """The header's elements: the shift tables, then the concatenation with its reference."""
        reference = 2 if self.long is Long.UDH16 else 1
        concat = (0x08, 4) if self.long is Long.UDH16 else (0x00, 3)
        elements = writing.elements + bytes(concat)
        header = 1 + len(elements) + reference + 2
        pieces = []
        for number, body in enumerate(bodies, 1):
            counted = bytes((len(bodies), number)) + writing.write(body, header)
            octets = pdu.short_message(bytes((header - 1,)) + elements + bytes(reference) + counted)
            before = octets[: 2 + len(elements)]
            pieces.append((tail + before, counted + self.tlvs))
        return Template(tuple(pieces), reference)

    def _sar(self, bodies: list[bytes], writing: _Writing, tail: bytes) -> Template:
        tag, total = struct.pack(">HH", pdu.TLV_SAR_REFERENCE, 2), pdu.tlv(pdu.TLV_SAR_TOTAL, bytes((len(bodies),)))
        pieces = []
        for number, body in enumerate(bodies, 1):
            after = total + pdu.tlv(pdu.TLV_SAR_NUMBER, bytes((number,)))
            pieces.append((tail + pdu.short_message(writing.write(body, 0)) + tag, after + self.tlvs))
        return Template(tuple(pieces), 2)

    @cached_property
    def _tail(self) -> Callable[[int, int, bytes], bytes]:
        return lru_cache(maxsize=64)(self._make_tail)

    def _make_tail(self, data_coding: int, esm_class: int, validity_period: bytes) -> bytes:
        return pdu.submit_tail(
            esm_class,
            self.registered_delivery,
            data_coding,
            protocol_id=self.protocol_id,
            priority_flag=self.priority_flag,
            validity_period=validity_period,
        )

    # The choice

    def _spell(self, text: str) -> tuple[_Writing, str]:
        """The writing that carries the text, and the text in its letters: changed only where that spares it UCS-2.

        A sign may become several plainer ones: where that made more segments, nothing is changed.
        """
        if self._plain.has(text):
            return self._plain, text
        for spelling in self._spellings(text):
            writing = self._writing(spelling)
            if writing is not None and len(self._cut(writing, spelling)) <= len(self._cut(self._ucs2, text)):
                return writing, spelling
        return self._ucs2, text

    def _spellings(self, text: str) -> Iterator[str]:
        yield text
        if self.transliterate:
            if self._shifted:
                yield transliterate(
                    text, lambda part: any(writing.has(part) for writing in (*self._shifted, self._plain))
                )
            yield transliterate(text, self._plain.has)

    def _writing(self, text: str) -> _Writing | None:
        """The default alphabet, else the shift tables that make the fewest segments; None where none has the text.

        Shift tables need a header in each segment, which must not stand beside SAR, and which nobody would repeat for
        us in the segments of a payload.
        """
        if self._plain.has(text):
            return self._plain
        cut = {writing: len(self._cut(writing, text)) for writing in self._shifted if writing.has(text)}
        if self.long in (Long.SAR, Long.PAYLOAD):
            cut = {writing: segments for writing, segments in cut.items() if segments == 1}
        return min(cut, key=lambda writing: cut[writing], default=None)

    def _cut(self, writing: _Writing, text: str) -> list[bytes]:
        elements = 1 + len(writing.elements)
        # Where the SMSC makes the header, it needs room for it all the same: one with an 8 bit reference.
        return writing.cut(text, elements if elements > 1 else 0, elements + (6 if self.long is Long.UDH16 else 5))

    @cached_property
    def _plain(self) -> _Writing:
        coding = self.data_coding
        if coding is None:
            coding = CLASS_0 if self.flash else 0
        if self.default_alphabet is Alphabet.LATIN1:
            return _Latin1(coding)
        if self.default_alphabet is Alphabet.ASCII:
            return _Ascii(coding)
        return _Gsm(DEFAULT, coding, self.default_alphabet is Alphabet.PACKED)

    @cached_property
    def _shifted(self) -> list[_Gsm]:
        if self.shift == "none":
            return []
        packed = self.default_alphabet is Alphabet.PACKED
        tables = septets.tables_of(septets.LANGUAGES[self.shift])
        return [_Gsm(table, self._plain.data_coding, packed) for table in tables]

    @cached_property
    def _ucs2(self) -> _Ucs2:
        coding = self.ucs2_data_coding
        if coding is None:
            coding = UCS2 + CLASS_0 if self.flash else UCS2
        return _Ucs2(coding)


def of_options(options: Mapping[str, Any], receipts: bool) -> Coding:
    """From the options of a trunk, checked and complete. `receipts`: whether any are wanted where it does not say."""
    registered = options["registered_delivery"]
    return Coding(
        default_alphabet=Alphabet(options["default_alphabet"]),
        data_coding=options["data_coding"],
        ucs2_data_coding=options["ucs2_data_coding"],
        long=Long(options["long"]),
        shift=options["shift"],
        transliterate=options["transliterate"],
        flash=options["flash"],
        service_type=options["service_type"].encode("ascii"),
        protocol_id=options["protocol_id"],
        priority_flag=options["priority_flag"],
        registered_delivery=int(receipts) if registered is None else registered,
        validity=parse_validity(options["validity"]),
        tlvs=parse_tlvs(options["tlvs"]),
    )


_VALIDITY = re.compile(r"([0-9]{1,6})\s*([smhd])(?:\s+(relative|absolute))?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def parse_validity(text: str) -> Validity | None:
    """`24h`, `90m absolute`; an empty text is none. Raises BadInput."""
    if not text:
        return None
    found = _VALIDITY.fullmatch(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if found is None or not 60 <= seconds <= LONGEST_VALIDITY:
        raise BadInput(f"The validity {text[:40]!a} is not like 24h, 90m or 2d absolute, from one minute to 30 days.")
    return Validity(seconds, found[3] == "absolute")


_TLV = re.compile(r"(0x[0-9a-fA-F]{1,4}|[0-9]{1,5})=([szh]):(.*)", re.DOTALL)
_OURS = {pdu.TLV_MESSAGE_PAYLOAD, pdu.TLV_SAR_REFERENCE, pdu.TLV_SAR_TOTAL, pdu.TLV_SAR_NUMBER}


def parse_tlvs(text: str) -> bytes:
    """`0x1400=s:1101234, 0x1401=z:1107, 0x0204=h:00ff` packed, in that order. Raises BadInput.

    s: the characters, z: the same and a NUL, h: octets in hexadecimal.
    """
    tlvs: dict[int, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        found = _TLV.fullmatch(entry)
        try:
            if found is None:
                raise ValueError
            tag = int(found[1], 0)
            value = bytes.fromhex(found[3]) if found[2] == "h" else found[3].encode("ascii")
        except ValueError:
            raise BadInput(
                f"The TLV {entry[:40]!a} is not like 0x1400=s:text, 0x1401=z:text with a NUL, or 0x0204=h:00ff."
            ) from None
        if tag in _OURS or tag > 0xFFFF:
            raise BadInput(f"The TLV {found[1]} cannot be given: the trunk makes it itself, or there is none.")
        if tag in tlvs:
            raise BadInput(f"The TLV {found[1]} is given twice.")
        tlvs[tag] = value + b"\0" if found[2] == "z" else value
    packed = b"".join(pdu.tlv(tag, value) for tag, value in tlvs.items())
    if len(packed) > MAX_TLVS:
        raise BadInput(f"The TLVs of an SMPP trunk can have {MAX_TLVS} octets together.")
    return packed
