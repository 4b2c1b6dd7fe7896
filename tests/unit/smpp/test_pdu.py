"""The packed PDUs against smpplib's, and framing."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpplib import smpp

from ixxsms.errors import BadInput, ProtocolError
from ixxsms.smpp import pdu, smsc_pdus
from ixxsms.smpp.address import Plan

PLAN = Plan()


def by_smpplib(name: str, sequence: int, **fields: object) -> bytes:
    made = smpp.make_pdu(name, sequence=sequence, **fields)
    made.sequence = sequence
    return made.generate()


def ours(sequence: int, sender: str, destination: str, esm: int, receipts: int, coding: int, data: bytes) -> bytes:
    rest = pdu.submit_tail(esm, receipts, coding) + pdu.short_message(data)
    return pdu.submit_sm(sequence, pdu.submit_head(b"", PLAN.source(sender)) + PLAN.destination(destination) + rest)


@given(
    sequence=st.integers(1, pdu.MAX_SEQUENCE),
    sender=st.sampled_from(["", "acme", "ACME shop", "2345", "34600000001", "+34600000001", "600000001"]),
    destination=st.from_regex(r"[0-9]{3,20}", fullmatch=True),
    esm=st.sampled_from([0, 0x40]),
    receipts=st.sampled_from([0, 1]),
    coding=st.sampled_from([0, 8]),
    data=st.binary(max_size=254),
)
def test_the_packed_submit_sm_is_smpplibs_byte_by_byte(
    sequence: int, sender: str, destination: str, esm: int, receipts: int, coding: int, data: bytes
) -> None:
    source = PLAN.source(sender)
    expected = by_smpplib(
        "submit_sm",
        sequence,
        service_type="",
        source_addr_ton=source[0],
        source_addr_npi=source[1],
        source_addr=source[2:-1].decode(),
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=destination,
        esm_class=esm,
        protocol_id=0,
        priority_flag=0,
        schedule_delivery_time="",
        validity_period="",
        registered_delivery=receipts,
        replace_if_present_flag=0,
        data_coding=coding,
        sm_default_msg_id=0,
        short_message=data,
    )
    assert ours(sequence, sender, destination, esm, receipts, coding, data) == expected


@given(
    service_type=st.sampled_from(["", "WAP", "CMT"]),
    protocol_id=st.integers(0, 255),
    priority_flag=st.integers(0, 3),
    validity=st.sampled_from(["", "000001000000000R", "261121120100000+"]),
    registered=st.integers(0, 255),
    data=st.binary(max_size=254),
    reference=st.integers(0, 0xFFFF),
    payload=st.binary(min_size=1, max_size=300),
)
def test_every_field_and_tlv_of_a_submit_sm_is_where_smpplib_puts_it(
    service_type: str,
    protocol_id: int,
    priority_flag: int,
    validity: str,
    registered: int,
    data: bytes,
    reference: int,
    payload: bytes,
) -> None:
    tlvs = {"sar_msg_ref_num": reference, "sar_total_segments": 2, "sar_segment_seqnum": 1}
    if not data:
        tlvs = {"message_payload": payload}  # type: ignore[dict-item]
    source, destination = PLAN.source("acme"), PLAN.destination("34600000001")
    expected = by_smpplib(
        "submit_sm",
        7,
        service_type=service_type,
        source_addr_ton=5,
        source_addr_npi=0,
        source_addr="acme",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="34600000001",
        esm_class=0,
        protocol_id=protocol_id,
        priority_flag=priority_flag,
        schedule_delivery_time="",
        validity_period=validity,
        registered_delivery=registered,
        replace_if_present_flag=0,
        data_coding=0,
        sm_default_msg_id=0,
        short_message=data,
        **tlvs,
    )
    tail = pdu.submit_tail(
        0, registered, 0, protocol_id=protocol_id, priority_flag=priority_flag, validity_period=validity.encode()
    )
    ours = [
        pdu.tlv(pdu.TLV_SAR_REFERENCE, reference.to_bytes(2, "big")),
        pdu.tlv(pdu.TLV_SAR_TOTAL, b"\x02"),
        pdu.tlv(pdu.TLV_SAR_NUMBER, b"\x01"),
    ]
    if not data:
        ours = [pdu.tlv(pdu.TLV_MESSAGE_PAYLOAD, payload)]
    rest = tail + pdu.short_message(data) + b"".join(ours)
    made = pdu.submit_sm(7, pdu.submit_head(service_type.encode(), source) + destination + rest)
    assert made == expected


def test_a_short_message_of_more_than_254_octets_cannot_be_made() -> None:
    assert pdu.short_message(b"x" * 254) == b"\xfe" + b"x" * 254
    with pytest.raises(ValueError, match="255 octets"):
        pdu.short_message(b"x" * 255)


@pytest.mark.parametrize("name", ["enquire_link", "unbind"])
def test_a_request_without_a_body_is_smpplibs(name: str) -> None:
    assert pdu.request(pdu._codes[name], 77) == by_smpplib(name, 77)


@pytest.mark.parametrize("name", ["enquire_link_resp", "unbind_resp"])
def test_an_answer_without_a_body_is_smpplibs(name: str) -> None:
    assert pdu.answer(pdu._codes[name], 0, 77) == by_smpplib(name, 77)


@pytest.mark.parametrize("name", ["deliver_sm_resp", "data_sm_resp", "submit_sm_resp"])
def test_an_answer_with_a_message_id_is_smpplibs(name: str) -> None:
    assert pdu.answer(pdu._codes[name], 0, 78, b"") == by_smpplib(name, 78)
    assert pdu.answer(pdu._codes[name], 0, 78, b"39f9") == by_smpplib(name, 78, message_id="39f9")


def test_the_packed_deliver_sm_is_smpplibs() -> None:
    made = smsc_pdus.deliver_sm(5, b"\x01\x0134600\0", b"\x00\x01123\0", 4, 8, b"\0a")
    fields = {
        "source_addr_ton": 1,
        "source_addr_npi": 1,
        "source_addr": "34600",
        "dest_addr_ton": 0,
        "dest_addr_npi": 1,
    }
    expected = by_smpplib(
        "deliver_sm", 5, **fields, destination_addr="123", esm_class=4, data_coding=8, short_message=b"\0a"
    )
    assert made == expected


@pytest.mark.parametrize(
    ("kind", "name"), [("trx", "bind_transceiver"), ("tx", "bind_transmitter"), ("rx", "bind_receiver")]
)
def test_a_bind_within_the_specification_is_smpplibs(kind: str, name: str) -> None:
    made = pdu.bind(kind, 9, "user", "secret", "VMA")
    assert made == by_smpplib(name, 9, system_id="user", password="secret", system_type="VMA")


def test_a_long_password_and_user_are_not_cut() -> None:
    made = pdu.bind("trx", 1, "u" * 40, "p" * 64, "t" * 20)
    assert made[16:] == b"u" * 40 + b"\0" + b"p" * 64 + b"\0" + b"t" * 20 + b"\0\x34\0\0\0"
    assert struct.unpack(">LLLL", made[:16]) == (len(made), 9, 0, 1)


@pytest.mark.parametrize("password", ["with\0nul", "snow ☃", "p" * 255])
def test_a_password_that_cannot_be_sent_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(BadInput) as caught:
        pdu.bind("trx", 1, "user", password)
    assert password not in str(caught.value)
    assert "password" in str(caught.value)


@given(
    data=st.binary(max_size=254),
    esm=st.integers(0, 255),
    coding=st.integers(0, 255),
    tlvs=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=5),
)
def test_a_deliver_sm_is_taken_apart_as_it_was_packed(
    data: bytes, esm: int, coding: int, tlvs: dict[int, bytes]
) -> None:
    made = smsc_pdus.deliver_sm(5, b"\x01\x0134600\0", b"\x05\x00acme\0", esm, coding, data)
    made += b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in tlvs.items())
    message = pdu.parse_message(pdu.DELIVER_SM, made[16:])
    assert message is not None
    assert (message.source_ton, message.source_npi, message.source) == (1, 1, b"34600")
    assert (message.dest_ton, message.dest_npi, message.destination) == (5, 0, b"acme")
    assert (message.esm_class, message.data_coding, message.tlvs) == (esm, coding, tlvs)
    assert message.data == (data or tlvs.get(pdu.TLV_MESSAGE_PAYLOAD, b""))


def test_smpplib_reads_the_deliver_sm_as_we_do() -> None:
    made = bytearray(smsc_pdus.deliver_sm(5, b"\x01\x0134600\0", b"\x05\x00acme\0", 4, 0, b"text"))
    made += struct.pack(">HH", 0x001E, 5) + b"39f9\0" + struct.pack(">HHB", 0x0427, 1, 2)
    made[:4] = struct.pack(">L", len(made))
    theirs = smpp.parse_pdu(bytes(made), sequence=1, allow_unknown_opt_params=True)
    message = pdu.parse_message(pdu.DELIVER_SM, bytes(made[16:]))
    assert message is not None
    assert (theirs.source_addr, theirs.destination_addr, theirs.short_message) == (b"34600", b"acme", b"text")
    assert (theirs.receipted_message_id, theirs.message_state) == (b"39f9", 2)
    assert (message.source, message.destination, message.data) == (b"34600", b"acme", b"text")
    assert message.tlvs == {0x001E: b"39f9\0", 0x0427: b"\x02"}


def test_a_data_sm_has_its_text_in_the_payload() -> None:
    made = by_smpplib(
        "data_sm", 6, source_addr_ton=1, source_addr_npi=1, source_addr="34600", dest_addr_ton=1, dest_addr_npi=1,
        destination_addr="34601", esm_class=4, registered_delivery=0, data_coding=8, message_payload=b"\0h\0i",
    )  # fmt: skip
    message = pdu.parse_message(pdu.DATA_SM, made[16:])
    assert message is not None
    assert (message.source, message.destination, message.esm_class) == (b"34600", b"34601", 4)
    assert (message.data_coding, message.data) == (8, b"\0h\0i")


def test_a_cut_tlv_ends_the_list_and_the_first_of_a_tag_counts() -> None:
    body = (
        struct.pack(">HH2s", 0x0204, 2, b"ab") + struct.pack(">HH2s", 0x0204, 2, b"cd") + struct.pack(">HH", 0x1400, 9)
    )
    assert pdu.parse_tlvs(body + b"cut", 0) == {0x0204: b"ab"}


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b"39f99dd5\0", "39f99dd5"),
        (b"39f99dd5", "39f99dd5"),
        (b"\0", ""),
        (b"", ""),
        (b" 39f9 \0", "39f9"),
        (b"a\x1b[31mb\x07\0", "a[31mb"),
        (b"x" * 500, "x" * 64),
    ],
)
def test_the_message_id_of_an_answer_is_bounded_and_printable(body: bytes, message_id: str) -> None:
    assert pdu.parse_id(body) == message_id


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.lists(st.integers(1, 200), max_size=50))
def test_glued_and_broken_frames_come_out_whole(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(struct.pack(">LLLL", 16 + len(body), 5, 0, n) + body for n, body in enumerate(bodies))
    frames, got, at = pdu.Frames(), [], 0
    for cut in [*cuts, len(stream)]:
        got += list(frames.feed(stream[at : at + cut]))
        at += cut
    assert got == [(5, 0, n, body) for n, body in enumerate(bodies)]


@pytest.mark.parametrize("length", [0, 4, 15, pdu.MAX_LENGTH + 1, 0xFFFFFFFF])
def test_an_impossible_length_breaks_the_link_as_soon_as_it_is_seen(length: int) -> None:
    with pytest.raises(ProtocolError, match="no SMPP"):
        list(pdu.Frames().feed(struct.pack(">L", length)))


def test_what_came_before_an_impossible_length_is_still_given() -> None:
    frames = pdu.Frames().feed(pdu.request(pdu.ENQUIRE_LINK, 1) + b"GET / HTTP/1.1\r\n\r\n")
    assert next(frames) == (pdu.ENQUIRE_LINK, 0, 1, b"")
    with pytest.raises(ProtocolError):
        next(frames)
