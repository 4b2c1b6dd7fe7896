"""deliver_sm and data_sm as events: a receipt, or an SMS from outside with its text decoded.

Must never know sessions: the token that acknowledges it is made elsewhere and only handed on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from smpplib import consts

from ixxsms import septets
from ixxsms import text as gsm
from ixxsms.events import Receipt, Received
from ixxsms.smpp import receipt
from ixxsms.smpp.coding import Alphabet, Coding
from ixxsms.smpp.pdu import TLV_SAR_NUMBER, TLV_SAR_REFERENCE, TLV_SAR_TOTAL, UDHI, Message

#: The coding of each default alphabet that an SMSC may have.
_ALPHABETS = {Alphabet.GSM0338: "gsm", Alphabet.PACKED: "gsm", Alphabet.LATIN1: "latin-1", Alphabet.ASCII: "latin-1"}

_DEFAULT = "default"  #: whatever the SMSC's default alphabet is

#: data_coding 0 to 15 (SMPP 3.4 section 5.2.19); those that are reserved there are shown as binary ones are
_CODINGS = {
    0: _DEFAULT, 1: "ia5", 3: "latin-1", 5: "jis", 6: "iso8859-5", 7: "iso8859-8", 8: "ucs2", 9: "jis",
    10: "jis", 13: "kanji", 14: "euc-kr",
}  # fmt: skip


_USUAL_TRUNK, _USUAL_RULES = Coding(), receipt.Rules()


def event(
    message: Message, token: Any, trunk: Coding = _USUAL_TRUNK, rules: receipt.Rules = _USUAL_RULES
) -> Receipt | Received:
    """What this message is, from an SMSC to which the trunk writes like that, by the trunk's rules of receipts.

    Never raises, whatever it holds.
    """
    if receipt.is_receipt(message, rules):
        word = receipt.read(message, rules)
        number = word.number or address(message.source)
        return Receipt(word.remote_id, word.delivered, word.stat, word.err, number, token)
    data, reference, part, parts = message.data, 0, 1, 1
    tables = ""
    if message.esm_class & UDHI:
        concat, data = gsm.split_udh(data)
        if concat is not None:
            reference, parts, part = concat
        tables = _tables(message.data)
    else:
        reference, parts, part = _sar(message)
    coding = _DEFAULT if message.data_coding == trunk.data_coding else coding_of(message.data_coding)
    if coding == _DEFAULT:
        coding = _ALPHABETS[trunk.default_alphabet]
        if trunk.default_alphabet is Alphabet.PACKED:
            data = unpack(data, len(message.data) - len(data))
        if coding == "gsm":
            coding += tables
    place = (reference, part, parts)
    text = decode_as(data, coding)
    # A character may be cut between two parts: they are read together once they are all there.
    octets, coding = (data, coding) if parts > 1 else (b"", "")
    source = _number(message.source_ton, message.source)
    destination = _number(message.dest_ton, message.destination)
    return Received(source, destination, text, *place, octets, coding, token)


def _tables(data: bytes) -> str:
    """The national tables that the header names, as a coding has them behind "gsm"; empty for the default ones."""
    named = {element: value[0] for element, value in gsm.read_udh(data)[0] if len(value) == 1}
    locking, single = named.get(septets.LOCKING_SHIFT, 0), named.get(septets.SINGLE_SHIFT, 0)
    return f":{locking}:{single}" if locking or single else ""


def coding_of(data_coding: int) -> str:
    """How octets of this data_coding are read: a name for `decode_as`, or "default" for the SMSC's own alphabet.

    Beyond 15 it is a Data Coding Scheme as 3GPP TS 23.038 section 4 has it, with its message class, its indications
    and its alphabets; what is reserved there is read in the default alphabet.
    """
    group = data_coding >> 4
    if group == 0:
        return _CODINGS.get(data_coding, "binary")
    if group <= 0x7:  # general, and marked for automatic deletion
        if data_coding & 0x20:  # compressed
            return "binary"
        return (_DEFAULT, "binary", "ucs2", _DEFAULT)[data_coding >> 2 & 3]
    if group == 0xE:  # message waiting
        return "ucs2"
    return "binary" if group == 0xF and data_coding & 0x04 else _DEFAULT


def decode(data: bytes, data_coding: int) -> str:
    """The text of a short_message whose default alphabet is GSM. See `decode_as`."""
    coding = coding_of(data_coding)
    return decode_as(data, "gsm" if coding == _DEFAULT else coding)


def decode_as(data: bytes, coding: str) -> str:
    """The text of these octets. What cannot be read becomes U+FFFD; a NUL, which no database takes, goes.

    `coding`: gsm (unpacked septets) or gsm:1:2 (with the locking and the single shift table of these languages), ia5,
    ucs2, jis, kanji, binary, or the name of one of Python's codecs. Binary octets are shown in hexadecimal after 0x,
    unless they read as a text.
    """
    name, _, tables = coding.partition(":")
    if name == "gsm":
        text = _alphabet(tables).decode(data)
    else:
        decoder = _DECODERS.get(name)
        text = decoder(data) if decoder else data.decode(name, "replace")
    return text.replace("\0", "")


@lru_cache(maxsize=64)
def _alphabet(tables: str) -> septets.Septets:
    return septets.Septets(*map(int, tables.split(":"))) if tables else septets.DEFAULT


def _ia5(data: bytes) -> str:
    """ASCII; but some SMSCs mean GSM by it, whose letters stand where no text in ASCII has anything."""
    text = data.rstrip(b"\0").decode("latin-1")
    controls = any((char < " " and char not in "\r\n\t") or char == "\x7f" for char in text)
    return gsm.decode_gsm(data) if controls and data.isascii() else text


def _ucs2(data: bytes) -> str:
    """Big endian; some senders begin with a byte order mark, and it may say the contrary."""
    if data[:2] == b"\xff\xfe":
        return data[2 : len(data) // 2 * 2].decode("utf-16-le", "replace")
    return gsm.decode_ucs2(data).removeprefix("\ufeff")


def _binary(data: bytes) -> str:
    """Some SMSCs say binary and mean Latin-1; what was never a text has octets that steer a terminal, and soon."""
    text = data.decode("latin-1")
    readable = all(char.isprintable() or char in "\r\n\t\xa0" for char in text)
    return text if readable else f"0x{data.hex()}"


def _japanese(*codecs: str) -> Callable[[bytes], str]:
    """Section 5.2.19 names the character set and not its form: ISO-2022 has escapes, the others the eighth bit."""

    def decode(data: bytes) -> str:
        if b"\x1b" in data:
            return data.decode("iso2022_jp_2", "replace")
        for codec in codecs:
            try:
                return data.decode(codec)
            except UnicodeDecodeError:
                continue
        return data.decode(codecs[0], "replace")

    return decode


_DECODERS: dict[str, Callable[[bytes], str]] = {
    "ia5": _ia5,
    "ucs2": _ucs2,
    "binary": _binary,
    "jis": _japanese("shift_jis", "euc_jp"),
    "kanji": _japanese("euc_jp", "shift_jis"),
}


def unpack(data: bytes, header: int = 0) -> bytes:
    """Septets, one in an octet, of packed ones after a header of so many octets.

    Octets do not tell seven spare bits at the end from one septet more: a last one that is filling goes.
    """
    fill = septets.fill_bits(header)
    found = septets.unpack(data, fill)
    filled = fill + 7 * len(found) == 8 * len(data)
    return found[:-1] if filled and found[-1:] in (b"\0", b"\r") else found


def address(octets: bytes) -> str:
    """An address without its plus sign, in printable characters."""
    return _printable(octets).removeprefix("+")


def _number(ton: int, octets: bytes) -> str:
    """An address with a plus sign where one is written or its type of number says that it is international."""
    written = _printable(octets)
    return f"+{written}" if ton == consts.SMPP_TON_INTL and written.isdecimal() else written


def _printable(octets: bytes) -> str:
    return "".join(filter(str.isprintable, octets[:21].decode("latin-1"))).strip()


def _sar(message: Message) -> tuple[int, int, int]:
    """Reference, total, number from the SAR parameters (sections 5.3.2.22 to 5.3.2.24); without them a whole text."""
    fields = [message.tlvs.get(tag, b"") for tag in (TLV_SAR_REFERENCE, TLV_SAR_TOTAL, TLV_SAR_NUMBER)]
    reference, total, number = (int.from_bytes(field[:2], "big") for field in fields)
    if not (all(fields) and 1 <= number <= total <= 255):
        return 0, 1, 1
    return reference, total, number
