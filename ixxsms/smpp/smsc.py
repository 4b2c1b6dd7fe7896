"""The other side: an SMSC without IO, for the fake one. The same codec in the other role.

Must never know sockets or clocks: the time comes in, in Unix seconds, and dates as text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from smpplib import consts

from ixxsms import text as gsm
from ixxsms.smpp import incoming, pdu
from ixxsms.smpp.receipt import RECEIPT_TYPE

FIRST_ID = 0x39F99DD5  #: has letters in hexadecimal and few digits in decimal, as real ids do
_KINDS = {command: kind for kind, command in pdu.BINDS.items()}


class Submitted(NamedTuple):
    """One submit_sm that the SMSC took. `at` is a Unix time; `short_message` holds the user data header, if any."""

    sequence: int
    source_addr: str
    source_ton: int
    source_npi: int
    destination: str
    dest_ton: int
    dest_npi: int
    data_coding: int
    esm_class: int
    registered_delivery: int
    short_message: bytes
    message_id: str
    at: float


class Login(NamedTuple):
    """One bind: `kind` trx, tx or rx, and the command_status of the answer."""

    user: str
    kind: str
    system_type: str
    status: int


class Peer:
    """One link: what it is bound as (trx, tx, rx; empty before), and what is to be written to it."""

    def __init__(self) -> None:
        self.frames = pdu.Frames()
        self.kind = ""
        self.out = bytearray()


class Smsc:
    """What an SMSC does with what it is sent. The attributes that shape its answers may be changed at any time.

    accounts: user -> password, None takes everybody. errors: prefix of a destination -> command_status. receipt_stat:
    prefix -> stat of its receipts. throttle_every: each n-th submit_sm gets RTHROTTLED. mute: takes messages and never
    answers. dead: answers nothing at all. hex_ids: the answer's id is hexadecimal and the receipt's decimal.
    """

    def __init__(
        self,
        *,
        receipts: bool = True,
        accounts: Mapping[str, str] | None = None,
        errors: Mapping[str, int] | None = None,
        receipt_stat: Mapping[str, str] | None = None,
        throttle_every: int = 0,
        mute: bool = False,
        hex_ids: bool = False,
    ) -> None:
        self.receipts, self.accounts = receipts, accounts
        self.errors, self.receipt_stat = dict(errors or {}), dict(receipt_stat or {})
        self.throttle_every, self.mute, self.dead, self.hex_ids = throttle_every, mute, False, hex_ids
        self.received: list[Submitted] = []
        self.logins: list[Login] = []
        self.submits = self.refused = 0  #: every submit_sm that came, and those that got an error
        self.receipts_sent = self.acknowledged = 0  #: receipts made, deliver_sm_resp that came
        self.enquire_links = self.enquire_links_answered = self.unbinds = 0
        self._ids, self._sequences = itertools.count(FIRST_ID), itertools.count(1)

    def next_sequence(self) -> int:
        return next(self._sequences)

    def take(self, peer: Peer, data: bytes, at: float, date: str) -> tuple[bytes, bytes]:
        """Read what came from a peer: the answers to its submit_sm, and the receipts; other answers go to its `out`.

        Raises ProtocolError.
        """
        answers: list[bytes] = []
        receipts: list[bytes] = []
        for command, status, sequence, body in peer.frames.feed(data):
            if command == pdu.SUBMIT_SM:
                self._submit(peer, sequence, body, at, date, answers, receipts)
            elif not self.dead:
                self._handle(peer, command, status, sequence, body)
        return b"".join(answers), b"".join(receipts)

    def _submit(
        self, peer: Peer, sequence: int, body: bytes, at: float, date: str, answers: list[bytes], receipts: list[bytes]
    ) -> None:
        self.submits += 1
        message = pdu.parse_message(pdu.SUBMIT_SM, body)
        status = self._status_of(peer, message)
        if status or message is None:
            self.refused += 1
            answers.append(pdu.answer(pdu.SUBMIT_SM, status, sequence))
            return
        number = next(self._ids)
        taken = _submitted(sequence, message, format(number, "x") if self.hex_ids else str(number), at)
        self.received.append(taken)
        if self.mute or self.dead:
            return
        answers.append(pdu.answer(pdu.SUBMIT_SM, 0, sequence, taken.message_id.encode()))
        if self.receipts and taken.registered_delivery & 1 and peer.kind == "trx":
            stat = by_prefix(self.receipt_stat, taken.destination) or "DELIVRD"
            receipts.append(receipt(next(self._sequences), message, str(number), stat, date))
            self.receipts_sent += 1

    def _status_of(self, peer: Peer, message: pdu.Message | None) -> int:
        if peer.kind not in ("trx", "tx"):
            return int(consts.SMPP_ESME_RINVBNDSTS)
        if message is None:
            return int(consts.SMPP_ESME_RINVCMDLEN)
        if self.throttle_every and self.submits % self.throttle_every == 0:
            return int(consts.SMPP_ESME_RTHROTTLED)
        return by_prefix(self.errors, message.destination.decode("latin-1")) or 0

    def _handle(self, peer: Peer, command: int, status: int, sequence: int, body: bytes) -> None:
        if command in _KINDS:
            self._bind(peer, command, sequence, body)
        elif command == pdu.DELIVER_SM_RESP:
            self.acknowledged += status == 0
        elif command == pdu.ENQUIRE_LINK:
            self.enquire_links += 1
            peer.out += pdu.answer(command, 0, sequence)
        elif command == pdu.ENQUIRE_LINK_RESP:
            self.enquire_links_answered += 1
        elif command == pdu.UNBIND:
            self.unbinds += 1
            peer.kind = ""
            peer.out += pdu.answer(command, 0, sequence)
        elif not command & pdu.RESPONSE:
            peer.out += pdu.answer(pdu.GENERIC_NACK, consts.SMPP_ESME_RINVCMDID, sequence)

    def _bind(self, peer: Peer, command: int, sequence: int, body: bytes) -> None:
        user, password, system_type = parse_bind(body) or ("", "", "")
        status = 0
        if self.accounts is not None and user not in self.accounts:
            status = int(consts.SMPP_ESME_RINVSYSID)
        elif self.accounts is not None and self.accounts[user] != password:
            status = int(consts.SMPP_ESME_RINVPASWD)
        self.logins.append(Login(user, _KINDS[command], system_type, status))
        peer.kind = "" if status else _KINDS[command]
        peer.out += pdu.answer(command, status, sequence, None if status else b"fake-smsc")


def deliver_sm(sequence: int, source: bytes, destination: bytes, esm_class: int, coding: int, data: bytes) -> bytes:
    """A packed deliver_sm (SMPP 3.4 section 4.6.1). Addresses with TON, NPI and NUL, as address.Plan gives them."""
    tail = bytes((esm_class, 0, 0, 0, 0, 0, 0, coding, 0))
    body = b"\0" + source + destination + tail + len(data).to_bytes(1, "big") + data
    return pdu.HEADER.pack(pdu.HEADER_LENGTH + len(body), pdu.DELIVER_SM, 0, sequence) + body


def receipt(sequence: int, message: pdu.Message, receipt_id: str, stat: str, date: str) -> bytes:
    """The receipt for a submitted message, in the form of the specification's appendix B; `date` as YYMMDDhhmm."""
    delivered = stat == "DELIVRD"
    text = (
        f"id:{receipt_id} sub:001 dlvrd:{int(delivered):03d} submit date:{date} done date:{date} "
        f"stat:{stat} err:{'000' if delivered else '001'} text:"
    ).encode() + message.data[:20]
    source = bytes((message.dest_ton, message.dest_npi)) + message.destination + b"\0"
    destination = bytes((message.source_ton, message.source_npi)) + message.source + b"\0"
    return deliver_sm(sequence, source, destination, RECEIPT_TYPE, 0, text)


def parse_bind(body: bytes) -> tuple[str, str, str] | None:
    """system_id, password and system_type of a bind; None where it is not one."""
    fields = body.split(b"\0", 3)
    if len(fields) < 4:
        return None
    system_id, password, system_type = (field.decode("latin-1") for field in fields[:3])
    return system_id, password, system_type


def whole_texts(messages: Iterable[Submitted]) -> list[tuple[str, str]]:
    """(destination, text) of every message that is whole, segments put together by their headers."""
    whole: list[tuple[str, str]] = []
    parts: dict[tuple[str, str, int, int], dict[int, bytes]] = {}
    for message in messages:
        concat, data = None, message.short_message
        if message.esm_class & pdu.UDHI:
            concat, data = gsm.split_udh(data)
        if concat is not None:
            key = (message.source_addr, message.destination, concat.reference, concat.total)
            heap = parts.setdefault(key, {})
            heap[concat.number] = data
            if len(heap) < concat.total:
                continue
            data = b"".join(heap[number] for number in sorted(parts.pop(key)))
        whole.append((message.destination, incoming.decode(data, message.data_coding)))
    return whole


def by_prefix(table: Mapping[str, Any], destination: str) -> Any:
    """The value of the first prefix that the destination begins with; None without one."""
    return next((value for prefix, value in table.items() if destination.startswith(prefix)), None)


def _submitted(sequence: int, message: pdu.Message, message_id: str, at: float) -> Submitted:
    return Submitted(
        sequence,
        message.source.decode("latin-1"),
        message.source_ton,
        message.source_npi,
        message.destination.decode("latin-1"),
        message.dest_ton,
        message.dest_npi,
        message.data_coding,
        message.esm_class,
        message.registered_delivery,
        message.data,
        message_id,
        at,
    )
