"""deliver_sm and data_sm as events: a receipt, or an SMS from outside with its text decoded.

Must never know sessions: the token that acknowledges it is made elsewhere and only handed on.
"""

from __future__ import annotations

from typing import Any

from ixxsms import text as gsm
from ixxsms.events import Receipt, Received
from ixxsms.smpp import receipt
from ixxsms.smpp.pdu import TLV_SAR_NUMBER, TLV_SAR_REFERENCE, TLV_SAR_TOTAL, UDHI, Message

#: data_coding (SMPP 3.4 section 5.2.19) -> Python's codec; 0 and 8 are decoded by `text`
_CODECS = {1: "ascii", 3: "latin-1", 6: "iso8859-5", 7: "iso8859-8", 14: "euc-kr"}


def event(message: Message, token: Any) -> Receipt | Received:
    """What this message is. Never raises, whatever it holds."""
    if receipt.is_receipt(message):
        word = receipt.read(message)
        return Receipt(word.remote_id, word.delivered, word.stat, word.err, address(message.source), token)
    data, reference, part, parts = message.data, 0, 1, 1
    if message.esm_class & UDHI:
        concat, data = gsm.split_udh(data)
        if concat is not None:
            reference, parts, part = concat
    else:
        reference, parts, part = _sar(message)
    text = decode(data, message.data_coding)
    return Received(address(message.source), address(message.destination), text, reference, part, parts, token)


def decode(data: bytes, data_coding: int) -> str:
    """The text of a short_message. What cannot be read becomes U+FFFD; a NUL, which no database takes, goes."""
    if data_coding >= 0xF0:  # a message class: bit 2 tells octets from septets (3GPP TS 23.038 section 4)
        data_coding = 3 if data_coding & 0x04 else 0
    if data_coding == 0:
        text = gsm.decode_gsm(data)
    elif data_coding == 8:
        text = gsm.decode_ucs2(data)
    else:
        text = data.decode(_CODECS.get(data_coding, "latin-1"), "replace")
    return text.replace("\0", "")


def address(octets: bytes) -> str:
    """An address without its plus sign, in printable characters."""
    return "".join(filter(str.isprintable, octets[:21].decode("latin-1"))).strip().removeprefix("+")


def _sar(message: Message) -> tuple[int, int, int]:
    """Reference, total, number from the SAR parameters (sections 5.3.2.22 to 5.3.2.24); without them a whole text."""
    fields = [message.tlvs.get(tag, b"") for tag in (TLV_SAR_REFERENCE, TLV_SAR_TOTAL, TLV_SAR_NUMBER)]
    reference, total, number = (int.from_bytes(field[:2], "big") for field in fields)
    if not (all(fields) and 1 <= number <= total <= 255):
        return 0, 1, 1
    return reference, total, number
