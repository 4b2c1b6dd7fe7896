"""The bytes of SMPP 3.4: frames, headers, and the PDUs.

submit_sm, its answer and deliver_sm go by the thousand a second: they are packed and taken apart by hand here, and a
test holds each against smpplib byte by byte. smpplib makes the rare ones. Whatever comes from outside becomes a value
or None; only a frame length that cannot be true is raised, since after it nothing on the link can be understood.
Must never know sessions, messages or time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from smpplib import command as _command
from smpplib import command_codes, consts, smpp

from ixxsms.errors import BadInput, ProtocolError

HEADER = struct.Struct(">LLLL")  #: command_length, command_id, command_status, sequence_number (section 3.2)
HEADER_LENGTH = 16
MAX_LENGTH = 64 * 1024  #: no PDU that makes sense is longer; it bounds what one peer can make us keep
RESPONSE = 0x80000000  #: the bit that tells an answer from a request
MAX_SHORT_MESSAGE = 254  #: octets of short_message (section 5.2.22)
MAX_SEQUENCE = 0x7FFFFFFF  #: section 5.1.4

_codes = command_codes.commands
GENERIC_NACK: int = _codes["generic_nack"]
SUBMIT_SM: int = _codes["submit_sm"]
SUBMIT_SM_RESP: int = _codes["submit_sm_resp"]
DELIVER_SM: int = _codes["deliver_sm"]
DELIVER_SM_RESP: int = _codes["deliver_sm_resp"]
DATA_SM: int = _codes["data_sm"]
DATA_SM_RESP: int = _codes["data_sm_resp"]
UNBIND: int = _codes["unbind"]
UNBIND_RESP: int = _codes["unbind_resp"]
ENQUIRE_LINK: int = _codes["enquire_link"]
ENQUIRE_LINK_RESP: int = _codes["enquire_link_resp"]
ALERT_NOTIFICATION: int = _codes["alert_notification"]
OUTBIND: int = _codes["outbind"]
BINDS: dict[str, int] = {
    "trx": _codes["bind_transceiver"],
    "tx": _codes["bind_transmitter"],
    "rx": _codes["bind_receiver"],
}

UDHI: int = consts.SMPP_GSMFEAT_UDHI  #: esm_class: the text begins with a user data header
TLV_RECEIPTED_MESSAGE_ID, TLV_MESSAGE_STATE, TLV_NETWORK_ERROR_CODE = 0x001E, 0x0427, 0x0423
TLV_MESSAGE_PAYLOAD = 0x0424
TLV_SAR_REFERENCE, TLV_SAR_TOTAL, TLV_SAR_NUMBER = 0x020C, 0x020E, 0x020F

#: command_id, command_status, sequence_number, body
Frame = tuple[int, int, int, bytes]


class Frames:
    """Bytes go in as they come, whole PDUs come out. Keeps less than one PDU of MAX_LENGTH between two calls."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The PDUs that are whole now; read it to its end. Raises ProtocolError at a length that cannot be true."""
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        self._rest = b""
        while size - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if not HEADER_LENGTH <= length <= MAX_LENGTH:
                raise ProtocolError(f"The other side sent a PDU of {length} octets, which is no SMPP.")
            if size - at < length:
                break
            # Answers come many at once, and most are as long as the one before: such a run is taken apart in one go.
            layout, run = f">LLLL{length - HEADER_LENGTH}s", memoryview(data)[at : size - (size - at) % length]
            for its_length, command, status, sequence, body in struct.iter_unpack(layout, run):
                if its_length != length:
                    break
                yield command, status, sequence, body
                at += length
        self._rest = data[at:]


class Message(NamedTuple):
    """submit_sm, deliver_sm or data_sm, taken apart (sections 4.4.1, 4.6.1, 4.7.1). `data` may be a message_payload."""

    source_ton: int
    source_npi: int
    source: bytes
    dest_ton: int
    dest_npi: int
    destination: bytes
    esm_class: int
    registered_delivery: int
    data_coding: int
    data: bytes
    tlvs: dict[int, bytes]


def parse_message(command: int, body: bytes) -> Message | None:
    """The body of a submit_sm, deliver_sm or data_sm; None where it is not one. TLVs may be unknown or broken."""
    try:
        at = body.index(0) + 1  # service_type
        source_ton, source_npi = body[at], body[at + 1]
        end = body.index(0, at + 2)
        source, at = body[at + 2 : end], end + 1
        dest_ton, dest_npi = body[at], body[at + 1]
        end = body.index(0, at + 2)
        destination, at = body[at + 2 : end], end + 1
        if command == DATA_SM:
            esm_class, registered, coding, data = body[at], body[at + 1], body[at + 2], b""
            at += 3
        else:
            esm_class = body[at]
            at = body.index(0, at + 3) + 1  # protocol_id, priority_flag, schedule_delivery_time
            at = body.index(0, at) + 1  # validity_period
            registered, coding, length = body[at], body[at + 2], body[at + 4]
            data = body[at + 5 : at + 5 + length]
            if len(data) != length:
                return None
            at += 5 + length
    except (ValueError, IndexError):
        return None
    tlvs = parse_tlvs(body, at) if at < len(body) else {}
    if not data:
        data = tlvs.get(TLV_MESSAGE_PAYLOAD, b"")
    return Message(
        source_ton, source_npi, source, dest_ton, dest_npi, destination, esm_class, registered, coding, data, tlvs
    )


def parse_tlvs(body: bytes, at: int) -> dict[int, bytes]:
    """Optional parameters by tag (section 5.3): unknown ones too, the first of each tag, up to one that is cut."""
    tlvs: dict[int, bytes] = {}
    while len(body) - at >= 4:
        tag, length = struct.unpack_from(">HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if len(value) != length:
            break
        tlvs.setdefault(tag, value)
        at += 4 + length
    return tlvs


def parse_id(body: bytes) -> str:
    """The message_id that begins a submit_sm_resp (section 4.4.2): 64 printable characters at most, else none."""
    octets = body.rstrip(b"\0")
    if octets.isalnum():  # as most are
        return octets[:64].decode()
    message_id = octets.partition(b"\0")[0][:64].decode("latin-1").strip()
    return message_id if message_id.isprintable() else "".join(filter(str.isprintable, message_id))


def submit_head(service_type: bytes, source: bytes) -> bytes:
    """What stands before dest_addr_ton: `service_type` without its NUL, `source` as address.Plan gives it."""
    return service_type + b"\0" + source


def submit_tail(
    esm_class: int,
    registered_delivery: int,
    data_coding: int,
    *,
    protocol_id: int = 0,
    priority_flag: int = 0,
    validity_period: bytes = b"",
) -> bytes:
    """What stands between destination_addr and sm_length: no schedule, replacement or canned text.

    `validity_period` without its NUL; empty leaves it to the SMSC.
    """
    before = bytes((esm_class, protocol_id, priority_flag, 0)) + validity_period
    return before + bytes((0, registered_delivery, 0, data_coding, 0))


def short_message(data: bytes) -> bytes:
    """sm_length and short_message. 254 octets are the most (section 5.2.22): more must not have been made."""
    if len(data) > MAX_SHORT_MESSAGE:
        raise ValueError(f"a short_message of {len(data)} octets")
    return len(data).to_bytes(1, "big") + data


def tlv(tag: int, value: bytes) -> bytes:
    """An optional parameter (section 5.3.1)."""
    return struct.pack(">HH", tag, len(value)) + value


def submit_sm(sequence: int, body: bytes) -> bytes:
    """The packed submit_sm (section 4.4.1).

    `body`: submit_head, the destination as address.Plan gives it, submit_tail, short_message, TLVs.
    """
    return HEADER.pack(HEADER_LENGTH + len(body), SUBMIT_SM, 0, sequence) + body


def answer(command: int, status: int, sequence: int, message_id: bytes | None = None) -> bytes:
    """The response to a request; `message_id` for those that carry one (submit_sm, deliver_sm, data_sm)."""
    body = b"" if message_id is None else message_id + b"\0"
    return HEADER.pack(HEADER_LENGTH + len(body), command | RESPONSE, status, sequence) + body


def request(command: int, sequence: int) -> bytes:
    """A request without a body: enquire_link, unbind."""
    return HEADER.pack(HEADER_LENGTH, command, 0, sequence)


def check_field(name: str, value: str) -> None:
    """Raises BadInput for what cannot stand in a bind; the sentence shows the name and never the value."""
    if len(value) > 254 or not all("\0" < char <= "\xff" for char in value):
        raise BadInput(f"The {name} of an SMPP trunk can have up to 254 characters, all of them Latin-1.")


def bind(
    kind: str,
    sequence: int,
    system_id: str,
    password: str,
    system_type: str = "",
    *,
    version: int = 0x34,
    addresses: tuple[int, int, str] = (0, 0, ""),
) -> bytes:
    """The bind of kind trx, tx or rx (section 4.1). Raises BadInput.

    `version`: the interface_version, 0x34 for 3.4. `addresses`: addr_ton, addr_npi and address_range of what the
    receiver wants to get; empty is all that is the account's.

    Providers give out passwords longer than the 8 octets of the specification, and smpplib would cut them without a
    word, which no SMSC understands: its lengths are widened here.
    """
    fields = {"system_id": system_id, "password": password, "system_type": system_type}
    for name, value in fields.items():
        check_field(name, value)
    name = next(name for name, code in _codes.items() if code == BINDS[kind])
    ton, npi, address_range = addresses
    fields["address_range"] = address_range
    pdu = smpp.make_pdu(name, sequence=sequence, addr_ton=ton, addr_npi=npi, **fields)
    pdu.params = {**pdu.params, **{field: _command.Param(type=str, max=256) for field in fields}}
    pdu.sequence, pdu.interface_version = sequence, version  # smpplib forgets the arguments
    made: bytes = pdu.generate()
    return made
