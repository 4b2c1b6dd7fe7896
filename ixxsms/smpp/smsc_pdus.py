"""The PDUs that an SMSC makes: receipts in every form that SMSCs give them, and incoming SMS in parts.

Must never know sockets or clocks: times are Unix times.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime

from ixxsms import text as gsm
from ixxsms.smpp import pdu
from ixxsms.smpp.faults import Dates, Ids, Long, ReceiptFormat
from ixxsms.smpp.receipt import RECEIPT_TYPE, STATES

_IDS = {
    Ids.DECIMAL: "{:d}", Ids.HEX: "{:x}", Ids.UPPER: "{:X}", Ids.PADDED: "{:014d}", Ids.PADDED_HEX: "{:016X}",
}  # fmt: skip
_DATES = {
    Dates.MINUTES: "%y%m%d%H%M",
    Dates.SECONDS: "%y%m%d%H%M%S",
    Dates.CENTURY: "%Y%m%d%H%M",
    Dates.CENTURY_SECONDS: "%Y%m%d%H%M%S",
}
_STATES = {stat: state for state, stat in STATES.items()}
#: data_coding (section 5.2.19) -> Python's codec. Not the table by which we read: one is to show what the other lacks.
_CODECS = {1: "ascii", 3: "latin-1", 6: "iso8859-5", 7: "iso8859-8", 14: "euc-kr"}
_PART = 67  #: characters of a part whose data_coding is given: two octets each leave room for any header


def id_text(form: str, number: int) -> str:
    """The message_id of a message as this SMSC writes it."""
    return _IDS[Ids(form)].format(number)


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value


def deliver_sm(
    sequence: int, source: bytes, destination: bytes, esm_class: int, coding: int, data: bytes, tlvs: bytes = b""
) -> bytes:
    """A packed deliver_sm (SMPP 3.4 section 4.6.1). Addresses with TON, NPI and NUL, as address.Plan gives them."""
    tail = bytes((esm_class, 0, 0, 0, 0, 0, 0, coding, 0))
    body = b"\0" + source + destination + tail + len(data).to_bytes(1, "big") + data + tlvs
    return pdu.HEADER.pack(pdu.HEADER_LENGTH + len(body), pdu.DELIVER_SM, 0, sequence) + body


def data_sm(sequence: int, source: bytes, destination: bytes, esm_class: int, coding: int, tlvs: bytes) -> bytes:
    """A packed data_sm (section 4.7.1), whose text is a message_payload among the TLVs."""
    body = b"\0" + source + destination + bytes((esm_class, 0, coding)) + tlvs
    return pdu.HEADER.pack(pdu.HEADER_LENGTH + len(body), pdu.DATA_SM, 0, sequence) + body


def receipt(
    sequence: int,
    message: pdu.Message,
    receipt_id: str,
    stat: str,
    at: float,
    form: str = ReceiptFormat.TEXT,
    dates: str = Dates.MINUTES,
) -> bytes:
    """The receipt for a submitted message; `at`: when it was taken and, to be quick, delivered too."""
    form, date = ReceiptFormat(form), datetime.fromtimestamp(at).strftime(_DATES[Dates(dates)])
    delivered = stat == "DELIVRD"
    source = bytes((message.dest_ton, message.dest_npi)) + message.destination + b"\0"
    destination = bytes((message.source_ton, message.source_npi)) + message.source + b"\0"
    state = _STATES.get(stat, 7)
    tlvs = (
        tlv(pdu.TLV_RECEIPTED_MESSAGE_ID, receipt_id.encode() + b"\0")
        + tlv(pdu.TLV_MESSAGE_STATE, bytes((state,)))
        + tlv(pdu.TLV_NETWORK_ERROR_CODE, bytes((3, 0, 0 if delivered else 1)))
    )
    if form is ReceiptFormat.CSV:
        fields = (f"{state:02d},{date},{date},{'000' if delivered else '001'}", message.destination.decode("latin-1"))
        text = ",".join((*fields, message.source.decode("latin-1"), receipt_id)).encode("latin-1")
    elif form is ReceiptFormat.BARE:
        text = f"id:{receipt_id} stat:{stat}".encode()
    else:
        text = (
            f"id:{receipt_id} sub:001 dlvrd:{int(delivered):03d} submit date:{date} done date:{date} "
            f"stat:{stat} err:{'000' if delivered else '001'} text:"
        ).encode() + message.data[:20]
    if form is ReceiptFormat.LOWER:
        text = text.lower()
    payload = tlv(pdu.TLV_MESSAGE_PAYLOAD, text)
    if form is ReceiptFormat.DATA_SM:
        return data_sm(sequence, source, destination, RECEIPT_TYPE, 0, tlvs + payload)
    if form is ReceiptFormat.PAYLOAD:
        return deliver_sm(sequence, source, destination, RECEIPT_TYPE, 0, b"", payload)
    if form is ReceiptFormat.TLV:
        return deliver_sm(sequence, source, destination, RECEIPT_TYPE, 0, b"", tlvs)
    extra = tlvs if form is ReceiptFormat.BOTH else b""
    return deliver_sm(sequence, source, destination, RECEIPT_TYPE, 0, text, extra)


def sms(
    sequences: Iterable[int],
    source: bytes,
    destination: bytes,
    text: str,
    reference: int,
    *,
    long: str = Long.UDH8,
    coding: int | None = None,
    as_data_sm: bool = False,
) -> list[bytes]:
    """An SMS from a phone, in as many PDUs as it takes. `coding`: its data_coding, else 0 or 8 by the text.

    Raises UnicodeEncodeError for a text that the data_coding cannot hold.
    """
    long = Long(long)
    bodies = _bodies(text, coding, whole=long is Long.PAYLOAD)
    if coding is None:
        coding = 0 if gsm.encoding_of(text) is gsm.Encoding.GSM else 8
    made = []
    for number, (sequence, body) in enumerate(zip(sequences, bodies, strict=False), 1):
        esm_class, tlvs = 0, b""
        if len(bodies) > 1 and long is Long.SAR:
            fields = ((pdu.TLV_SAR_REFERENCE, reference & 0xFFFF, 2), (pdu.TLV_SAR_TOTAL, len(bodies), 1))
            for tag, value, size in (*fields, (pdu.TLV_SAR_NUMBER, number, 1)):
                tlvs += tlv(tag, value.to_bytes(size, "big"))
        elif len(bodies) > 1:
            esm_class, body = pdu.UDHI, _header(long, reference, len(bodies), number) + body
        if as_data_sm or long is Long.PAYLOAD:
            tlvs, body = tlvs + tlv(pdu.TLV_MESSAGE_PAYLOAD, body), b""
        if as_data_sm:
            made.append(data_sm(sequence, source, destination, esm_class, coding, tlvs))
        else:
            made.append(deliver_sm(sequence, source, destination, esm_class, coding, body, tlvs))
    return made


def _bodies(text: str, coding: int | None, whole: bool) -> list[bytes]:
    if coding is None:
        bodies = gsm.cut(text)
        return [b"".join(bodies)] if whole else bodies
    pieces = [text[at : at + _PART] for at in range(0, len(text), _PART)] or [""]
    if whole or len(text) <= _PART:
        pieces = [text]
    return [_encode(piece, coding) for piece in pieces]


def _encode(text: str, coding: int) -> bytes:
    if coding >= 0xF0:
        coding = 3 if coding & 0x04 else 0
    if coding == 0:
        return gsm.encode_gsm(text)
    return gsm.encode_ucs2(text) if coding == 8 else text.encode(_CODECS.get(coding, "latin-1"))


def _header(long: Long, reference: int, total: int, number: int) -> bytes:
    """The user data header of a part (3GPP TS 23.040 sections 9.2.3.24.1 and 9.2.3.24.8)."""
    if long is Long.UDH16:
        return bytes((6, 8, 4)) + (reference & 0xFFFF).to_bytes(2, "big") + bytes((total, number))
    return gsm.udh8(reference, total, number)
