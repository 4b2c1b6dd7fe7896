"""The other side: an SMSC without IO, for the fake one. The same codec in the other role.

Must never know sockets or clocks: the time comes in, in Unix seconds, and what is to be said later goes out with its
delay.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from smpplib import consts

from ixxsms import text as gsm
from ixxsms.pace import Pace
from ixxsms.smpp import incoming, pdu, smsc_pdus
from ixxsms.smpp.faults import Faults

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
    tlvs: dict[int, bytes]


class Login(NamedTuple):
    """One bind: `kind` trx, tx or rx, and the command_status of the answer."""

    user: str
    kind: str
    system_type: str
    status: int


class Peer:
    """One link: what it is bound as (trx, tx, rx; empty before) and by whom, and what is to be written to it."""

    def __init__(self) -> None:
        self.frames = pdu.Frames()
        self.kind = self.user = ""
        self.out = bytearray()
        self.submits = 0  #: submit_sm that came
        self.deaf = False  #: what comes is not read any more
        self.over = False  #: to be cut once `out` is written
        self.unacknowledged: dict[int, bytes] = {}  #: deliver_sm and data_sm by sequence number


class Say(NamedTuple):
    """What the SMSC will have to say to a peer in so many seconds: hand it to `Smsc.say` then.

    `deliveries`: deliver_sm and data_sm, which wait for a receiver where none is bound at that time.
    """

    after: float
    peer: Peer
    answers: bytes = b""
    deliveries: tuple[bytes, ...] = ()
    cut: bool = False


class Smsc(Faults):
    """What an SMSC does with what it is sent. Its faults are its attributes, which may be changed at any time.

    Receipts and incoming SMS that nobody can take, or that were not acknowledged when their link fell, come again as
    soon as somebody binds to receive.
    """

    def __init__(self, **faults: Any) -> None:
        super().__init__(**faults)
        self.received: list[Submitted] = []
        self.logins: list[Login] = []
        self.submits = self.refused = 0  #: every submit_sm that came, and those that got an error
        self.receipts_sent = self.acknowledged = 0  #: receipts made, deliver_sm_resp and data_sm_resp that came
        self.turned_down = 0  #: of our deliver_sm and data_sm, those that got an error
        self.enquire_links = self.enquire_links_answered = self.unbinds = 0
        self._peers: list[Peer] = []
        self._kept: list[tuple[str | None, bytes]] = []  # user (None: anybody), delivery
        self._ids, self._sequences = itertools.count(FIRST_ID), itertools.count(1)
        self._pace = Pace(0.0)
        self._chance = random.Random(0)  # noqa: S311  the same every time

    def next_sequence(self) -> int:
        return next(self._sequences)

    def met(self, peer: Peer) -> None:
        """There is a link."""
        self._peers.append(peer)

    def gone(self, peer: Peer) -> None:
        """The link is gone."""
        self._peers.remove(peer)
        self._kept += ((peer.user, delivery) for delivery in peer.unacknowledged.values())

    def take(self, peer: Peer, data: bytes, now: float) -> list[Say]:
        """Read what came from a peer. What follows from its submit_sm is returned, other answers are in its `out`.

        Raises ProtocolError.
        """
        answers: list[tuple[bytes, tuple[bytes, ...]]] = []
        if peer.deaf:
            return []
        for command, status, sequence, body in peer.frames.feed(data):
            if peer.deaf:
                break
            if command == pdu.SUBMIT_SM:
                answers.append(self._submit(peer, sequence, body, now))
            elif not self._is_dead(peer):
                self._handle(peer, command, status, sequence, body)
        says = self._timed(peer, answers)
        if peer.deaf:  # after its last word, except where the point is to be before it
            says.append(Say(0.0 if self.cut_unanswered else self.latency + self.jitter, peer, cut=True))
        return says

    def say(self, say: Say) -> None:
        """Its time has come."""
        say.peer.out += say.answers
        say.peer.over = say.peer.over or say.cut
        self.deliver_to(say.peer.user, say.deliveries, say.peer)

    def deliver_to(self, user: str | None, deliveries: Iterable[bytes], origin: Peer | None = None) -> None:
        """Send deliver_sm and data_sm to a link of this user (None: of anybody), or keep them until there is one."""
        receiver = self._receiver(user, origin)
        for delivery in deliveries:
            if receiver is None:
                self._kept.append((user, delivery))
            else:
                receiver.unacknowledged[int.from_bytes(delivery[12:16], "big")] = delivery
                receiver.out += delivery

    def _receiver(self, user: str | None, origin: Peer | None) -> Peer | None:
        able = [peer for peer in self._peers if peer.kind in ("trx", "rx") and user in (None, peer.user)]
        if self.receipt_elsewhere and len(able) > 1:
            able = [peer for peer in able if peer is not origin]
        return origin if origin in able else next(iter(able), None)

    def _timed(self, peer: Peer, answers: list[tuple[bytes, tuple[bytes, ...]]]) -> list[Say]:
        """When each is to be said."""
        if self.shuffle:
            self._chance.shuffle(answers)
        if self.jitter:
            batches = [(self.latency + self._chance.uniform(0, self.jitter), [answer]) for answer in answers]
        else:
            batches = [(self.latency, answers)] if answers else []
        says = []
        for after, batch in batches:
            own = Say(after, peer, b"".join(octets for octets, _ in batch))
            receipts = Say(after, peer, deliveries=tuple(itertools.chain.from_iterable(made for _, made in batch)))
            if self.receipt_first:
                says += [receipts, own]
            else:
                says += [own, receipts._replace(after=after + self.receipt_delay)]
        return [say for say in says if say.answers or say.deliveries]

    def _is_dead(self, peer: Peer) -> bool:
        return self.dead or 0 < self.dead_after <= peer.submits

    def _submit(self, peer: Peer, sequence: int, body: bytes, now: float) -> tuple[bytes, tuple[bytes, ...]]:
        """The answer and the receipts of one submit_sm; either may be empty."""
        dead = self._is_dead(peer)
        self.submits += 1
        peer.submits += 1
        message = pdu.parse_message(pdu.SUBMIT_SM, body)
        status = self._status_of(peer, message, now)
        if self.cut_after and peer.submits >= self.cut_after:
            peer.deaf = True
        if status or message is None:
            self.refused += 1
            return b"" if dead else pdu.answer(pdu.SUBMIT_SM, status, sequence), ()
        number = next(self._ids)
        taken = _submitted(sequence, message, smsc_pdus.id_text(self.ids, number), now)
        self.received.append(taken)
        if dead or self.mute:
            return b"", ()
        answer = pdu.answer(pdu.SUBMIT_SM, 0, sequence, taken.message_id.encode())
        if (self.missing_every and self.submits % self.missing_every == 0) or (peer.deaf and self.cut_unanswered):
            answer = b""
        return answer, self._receipts(message, number, now)

    def _receipts(self, message: pdu.Message, number: int, now: float) -> tuple[bytes, ...]:
        if not (self.receipts and message.registered_delivery & 1):
            return ()
        stat = by_prefix(self.receipt_stat, message.destination.decode("latin-1")) or "DELIVRD"
        receipt_id, form, dates = smsc_pdus.id_text(self.receipt_ids, number), self.receipt_format, self.receipt_dates
        made = tuple(
            smsc_pdus.receipt(next(self._sequences), message, receipt_id, stat, now, form, dates)
            for _ in range(1 + self.receipt_twice)
        )
        self.receipts_sent += len(made)
        return made

    def _status_of(self, peer: Peer, message: pdu.Message | None, now: float) -> int:
        if peer.kind not in ("trx", "tx"):
            return int(consts.SMPP_ESME_RINVBNDSTS)
        if message is None:
            return int(consts.SMPP_ESME_RINVCMDLEN)
        if self._too_many(now) or (self.throttle_every and self.submits % self.throttle_every == 0):
            return self.throttle_status
        return by_prefix(self.errors, message.destination.decode("latin-1")) or 0

    def _too_many(self, now: float) -> bool:
        if self._pace.rate != self.throttle_rate:
            self._pace = Pace(self.throttle_rate)
        if self._pace.allowed(now) < 1:
            return True
        self._pace.spend(1)
        return False

    def _handle(self, peer: Peer, command: int, status: int, sequence: int, body: bytes) -> None:
        if command in _KINDS:
            self._bind(peer, command, sequence, body)
        elif command in (pdu.DELIVER_SM_RESP, pdu.DATA_SM_RESP):
            self._acknowledged(peer, sequence, status)
        elif command == pdu.ENQUIRE_LINK:
            self.enquire_links += 1
            if not self.ignore_enquire_link:
                peer.out += pdu.answer(command, 0, sequence)
        elif command == pdu.ENQUIRE_LINK_RESP:
            self.enquire_links_answered += 1
        elif command == pdu.UNBIND:
            self.unbinds += 1
            peer.kind = ""
            peer.out += pdu.answer(command, 0, sequence)
        elif not command & pdu.RESPONSE:
            peer.out += pdu.answer(pdu.GENERIC_NACK, consts.SMPP_ESME_RINVCMDID, sequence)

    def _acknowledged(self, peer: Peer, sequence: int, status: int) -> None:
        delivery = peer.unacknowledged.pop(sequence, None)
        if status == 0:
            self.acknowledged += 1
            return
        self.turned_down += 1
        if delivery is not None and status != consts.SMPP_ESME_RX_P_APPN:  # an error for ever
            self._kept.append((peer.user, delivery))

    def _bind(self, peer: Peer, command: int, sequence: int, body: bytes) -> None:
        user, password, system_type = parse_bind(body) or ("", "", "")
        status = 0
        if self.refuse_bind:
            status = self.refuse_bind
        elif self.accounts is not None and user not in self.accounts:
            status = int(consts.SMPP_ESME_RINVSYSID)
        elif self.accounts is not None and self.accounts[user] != password:
            status = int(consts.SMPP_ESME_RINVPASWD)
        elif self.max_binds and sum(bool(other.kind) for other in self._peers) >= self.max_binds:
            status = int(consts.SMPP_ESME_RALYBND)
        self.logins.append(Login(user, _KINDS[command], system_type, status))
        peer.kind, peer.user = ("" if status else _KINDS[command]), user
        peer.out += pdu.answer(command, status, sequence, None if status else b"fake-smsc")
        if peer.kind in ("trx", "rx"):
            kept, self._kept = self._kept, []
            for owner, delivery in kept:
                self.deliver_to(owner, (delivery,), peer)


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
        concat, data = _sar(message.tlvs), message.short_message
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


def _sar(tlvs: Mapping[int, bytes]) -> gsm.Concat | None:
    fields = [tlvs.get(tag, b"") for tag in (pdu.TLV_SAR_REFERENCE, pdu.TLV_SAR_TOTAL, pdu.TLV_SAR_NUMBER)]
    return gsm.Concat(*(int.from_bytes(field, "big") for field in fields)) if all(fields) else None


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
        message.tlvs,
    )
