"""The phone at the far end: reads what submit_sm carry by the rules of the specifications, not by those of the sender.

Understands every alphabet, header and way of joining that a trunk may use; anything that a phone would not take fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from ixxsms.septets import Septets, fill_bits, unpack
from ixxsms.smpp import pdu


def read(messages: Sequence[pdu.Message], alphabet: str = "gsm0338") -> str:
    """The text of one message, given as its submit_sm; `alphabet` is what the SMSC's default one is."""
    parts = [_part(message, alphabet) for message in messages]
    if len(parts) == 1 and parts[0][0] is None:
        return parts[0][1]
    places = [place for place, _ in parts]
    assert None not in places
    references, totals, numbers = zip(*places, strict=True)  # type: ignore[arg-type]
    assert len(set(references)) == 1
    assert set(totals) == {len(parts)}
    assert list(numbers) == list(range(1, len(parts) + 1))
    return "".join(text for _, text in parts)


def _part(message: pdu.Message, alphabet: str) -> tuple[tuple[int, int, int] | None, str]:
    data, place, tables, header = message.data, None, Septets(), 0
    sar = [message.tlvs.get(tag) for tag in (0x020C, 0x020E, 0x020F)]
    if message.esm_class & 0x40:
        assert sar == [None] * 3, "a header and SAR at once"
        header = data[0] + 1
        place, tables = _elements(data[1:header])
        data = data[header:]
    elif any(sar):
        assert [len(value or b"") for value in sar] == [2, 1, 1]
        place = tuple(int.from_bytes(value or b"", "big") for value in sar)  # type: ignore[assignment]
    whole = 0x0424 in message.tlvs
    return place, _text(data, message.data_coding, alphabet, tables, header, whole)


def _elements(octets: bytes) -> tuple[tuple[int, int, int] | None, Septets]:
    place, locking, single, at = None, 0, 0, 0
    while at < len(octets):
        element, length = octets[at], octets[at + 1]
        value = octets[at + 2 : at + 2 + length]
        assert len(value) == length
        if element == 0x00:
            place = (value[0], value[1], value[2])
        elif element == 0x08:
            place = (value[0] * 256 + value[1], value[2], value[3])
        elif element == 0x24:
            (single,) = value
        elif element == 0x25:
            (locking,) = value
        else:
            raise AssertionError(f"element {element:02x}")
        at += 2 + length
    return place, Septets(locking, single)


def _text(data: bytes, coding: int, alphabet: str, tables: Septets, header: int, whole: bool) -> str:
    """`whole`: the SMSC cuts it, so that the room of one segment does not bound it."""
    room = 10**6 if whole else 140 - header
    if coding in (0x08, 0x18):
        assert len(data) <= room
        assert not data[-2:] or not 0xD8 <= data[-2] <= 0xDB, "ends inside a surrogate pair"
        return data.decode("utf-16-be")
    if alphabet == "latin1":
        assert len(data) <= room
        return data.decode("latin-1")
    if alphabet == "ascii":
        assert len(Septets().encode(data.decode("ascii"))) <= room * 8 // 7
        return data.decode("ascii")
    if alphabet == "packed":
        assert len(data) <= room
        bits = 8 * len(data) - fill_bits(header)
        data = unpack(data, fill_bits(header))
        if bits % 7 == 0 and data.endswith(b"\r"):
            data = data[:-1]
    assert len(data) <= room * 8 // 7
    assert not data.endswith(b"\x1b"), "ends inside an escape"
    assert all(octet < 0x80 for octet in data)
    return tables.decode(data)
