"""What the fuzzers run: each target takes any bytes and fails where a promise about hostile input is broken.

No exception escapes, what is kept is bounded by what came, and every message is settled exactly once.
`tests/unit/test_fuzz.py` runs them with hypothesis, `tests/fuzz.py` with atheris.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

from sqlalchemy import Engine, StaticPool, create_engine, select
from sqlalchemy.orm import Session as Orm

from ixxsms import inbox
from ixxsms import text as gsm
from ixxsms.errors import ProtocolError
from ixxsms.events import Receipt, Received, Submission
from ixxsms.models import Base, IncomingPart
from ixxsms.smpp import incoming, pdu, receipt, smsc, smsc_pdus
from ixxsms.smpp.faults import Dates, ReceiptFormat
from ixxsms.smpp.session import Session, Settings, State

MAX_ID = 64  #: characters of a message_id
MAX_KEY = 80  #: of its forms: 64 hexadecimal digits are 78 decimal ones

COMMANDS = [
    pdu.GENERIC_NACK, pdu.SUBMIT_SM, pdu.SUBMIT_SM_RESP, pdu.DELIVER_SM, pdu.DELIVER_SM_RESP, pdu.DATA_SM,
    pdu.DATA_SM_RESP, pdu.UNBIND, pdu.UNBIND_RESP, pdu.ENQUIRE_LINK, pdu.ENQUIRE_LINK_RESP, pdu.ALERT_NOTIFICATION,
    pdu.OUTBIND, *pdu.BINDS.values(), *(command | pdu.RESPONSE for command in pdu.BINDS.values()), 0x21, 0xFFFFFFFF,
]  # fmt: skip
STATUSES = [0, 0x04, 0x08, 0x0B, 0x0E, 0x14, 0x45, 0x58, 0xB3, 0xFFFFFFFF]

SUBMITTED = pdu.Message(5, 0, b"acme", 1, 1, b"34600000001", 0, 1, 0, b"hello", {})
#: what real SMSCs send, to begin from
SOUND = [
    *(
        smsc_pdus.receipt(7, SUBMITTED, "39f99dd5", stat, 1.6e9, form, dates)
        for form in ReceiptFormat
        for dates in Dates
        for stat in ("DELIVRD", "UNDELIV")
    ),
    *(
        made
        for long in ("udh8", "udh16", "sar", "payload")
        for made in smsc_pdus.sms([1, 2, 3], b"\1\1346\0", b"\0\1123\0", "ñ😀 " * 50, 7, long=long)
    ),
]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def framed(data: bytes) -> bytes:
    """The bytes as PDUs with true lengths: each takes command, status, sequence and length from the next four."""
    made = []
    while len(data) >= 4:
        command, status, sequence, length = data[:4]
        body, data = data[4 : 4 + length], data[4 + length :]
        header = (16 + len(body), COMMANDS[command % len(COMMANDS)], STATUSES[status % len(STATUSES)], sequence)
        made.append(struct.pack(">LLLL", *header) + body)
    return b"".join(made)


def frames(data: bytes) -> None:
    """The same PDUs come out whatever the pieces are, and less than one of them is kept."""
    found = []
    for size in (max(1, len(data)), 7, 1):
        reader, heard = pdu.Frames(), []
        try:
            for piece in pieces(data, size):
                heard += reader.feed(piece)
                assert len(reader._rest) < pdu.MAX_LENGTH
            broken = False
        except ProtocolError:
            broken = True
        found.append((heard, broken))
    # Of a broken stream the PDUs before the break were read, but `feed` raised before it gave those of its last piece.
    assert found[0] == found[1] == found[2] or any(broken for _, broken in found)
    assert sum(16 + len(body) for *_, body in found[2][0]) <= len(data)


def session(data: bytes) -> None:
    """In every state, in pieces of every size, as they are and as PDUs; then the link falls."""
    if len(data) < 2:
        return
    state, size = list(State)[data[0] % 4], 1 + data[1] % 64
    for stream in (data[2:], framed(data[2:])):
        talk, events = Session(Settings("user", "secret", window=3)), []
        if state is not State.CLOSED:
            talk.connected(0.0)
        if state in (State.BOUND, State.UNBINDING):
            events += talk.receive(pdu.answer(pdu.BINDS["trx"], 0, 1, b"x"), 0.0)
            talk.submit([Submission(n, "34600000001", "x" * 200 * n, segments=n) for n in range(1, 4)], 0.0)
            talk.sent(len(talk.out) // 2)
        else:
            talk.submit([Submission(n, "34600000001", "x") for n in range(1, 4)], 0.0)
        if state is State.UNBINDING:
            talk.leave("leaving", 0.0, 0.0)
            events += talk.tick(0.0)
        written = len(talk.out)
        for number, piece in enumerate(pieces(stream, size)):
            events += talk.receive(piece, number / 10)
            if talk.over:
                break
        events += talk.tick(100.0)
        # What goes out: at most an answer to each PDU of theirs, and what there was to send of ours.
        assert len(talk.out) <= 2 * len(stream) + written + 3 * 1000
        assert sum(isinstance(event, Receipt | Received) for event in events) <= len(stream) / 16
        events += talk.lost("lost", 100.0)
        settled = Counter(event.message_id for event in events if hasattr(event, "message_id"))
        assert settled == {1: 1, 2: 1, 3: 1}
        assert talk.in_flight() == 0


def message(data: bytes) -> None:
    """The body of a deliver_sm and a data_sm: taken apart, and read as a receipt and as an SMS."""
    for command in (pdu.DELIVER_SM, pdu.DATA_SM, pdu.SUBMIT_SM):
        parsed = pdu.parse_message(command, data)
        if parsed is not None:
            assert len(parsed.data) + sum(map(len, parsed.tlvs.values())) <= 2 * len(data)
            _read(parsed)
    if len(data) > 3:
        base = pdu.Message(1, 1, data[:3], 1, 1, b"2345", data[0], 0, data[1], data[3:], {})
        _read(base)
        _read(base._replace(tlvs=pdu.parse_tlvs(data, 2)))
        _read(base._replace(esm_class=pdu.UDHI))


def _read(parsed: pdu.Message) -> None:
    event = incoming.event(parsed, None)
    size = len(parsed.data)
    if isinstance(event, Receipt):
        _word(event.remote_id, event.stat, event.code)
    else:
        assert isinstance(event, Received)
        assert len(event.text) <= 2 * size + 2  # binary octets are shown in hexadecimal
        assert "\0" not in event.text
        event.text.encode("utf-16-le", "surrogatepass")
        assert 1 <= event.part <= event.parts <= 255
        assert 0 <= event.reference <= 0xFFFF
    word = receipt.read(parsed)
    _word(word.remote_id, word.stat, word.err)


def _word(remote_id: str, stat: str, err: str) -> None:
    assert len(remote_id) <= MAX_ID
    assert len(stat) <= 16
    assert len(err) <= 16
    assert (remote_id + stat + err).isprintable() or not remote_id + stat + err
    keys = receipt.remote_id_keys(remote_id)
    assert all(0 < len(key) <= MAX_KEY for key in keys)
    assert len(keys) <= 8


def receipt_text(data: bytes) -> None:
    text = data.decode("latin-1")
    fields = receipt.parse_text(text)
    assert sum(map(len, fields.values())) <= len(text)
    receipt.remote_id_keys(text)
    receipt.verdict(text)


def user_data(data: bytes) -> None:
    """A user data header, and every decoder of a text."""
    concat, body = gsm.split_udh(data)
    assert len(body) <= len(data)
    assert concat is None or 1 <= concat.number <= concat.total <= 255
    for coding in range(256):
        assert len(incoming.decode(data, coding)) <= 2 * len(data) + 2


@cache
def _database() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    return engine


def reassembly(data: bytes) -> None:
    """Parts with any numbers, references and octets: no more is kept than came, and in the end nothing is."""
    sound, received = len(data), []
    while len(data) >= 6:
        flags, reference, total, number, coding, length = data[:6]
        body, data = data[6 : 6 + (length & 31)], data[6 + (length & 31) :]
        source, to = b"3460000000%d" % (flags & 3), b"2345"
        if flags & 4:
            header, tlvs = bytes((5, 0, 3, reference & 3, total & 7, number & 7)), {}
        else:
            fields = (reference & 3).to_bytes(2, "big"), bytes((total & 7,)), bytes((number & 7,))
            tags = pdu.TLV_SAR_REFERENCE, pdu.TLV_SAR_TOTAL, pdu.TLV_SAR_NUMBER
            header, tlvs = b"", dict(zip(tags, fields, strict=True))
        made = pdu.Message(1, 1, source, 1, 1, to, pdu.UDHI if header else 0, 0, coding, header + body, tlvs)
        received.append(incoming.event(made, None))
    with Orm(_database()) as store:
        whole, now = [], 1.8e9
        for at in range(0, len(received), 3):
            now += 100.0
            whole += inbox.store(store, 1, received[at : at + 3], now)
        kept = store.execute(select(IncomingPart.octets).where(IncomingPart.part > 0)).scalars().all()
        assert len(kept) + len(whole) <= len(received)
        assert sum(map(len, kept)) <= 2 * sound
        while given_up := inbox.give_up(store, now + 1e6):
            whole += given_up
        assert not store.execute(select(IncomingPart.octets).where(IncomingPart.part > 0)).first()
        assert len(whole) <= len(received)
        # Octets that are no text are shown in hexadecimal, and a gap where parts are missing.
        assert sum(len(sms.text) for sms in whole) <= 2 * sound + len(whole) * 8 * 5
        store.rollback()


def fake_smsc(data: bytes) -> None:
    """The other side is as safe: it stands on people's loopback."""
    for stream in (data, framed(data)):
        server, peer = smsc.Smsc(receipt_format="data_sm"), smsc.Peer()
        server.met(peer)
        try:
            server.take(peer, pdu.bind("trx", 1, "user", "secret"), 0.0)
            for piece in pieces(stream, 9):
                for say in server.take(peer, piece, 0.0):
                    server.say(say)
        except ProtocolError:
            pass
        server.gone(peer)
        smsc.whole_texts(server.received)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (frames, session, message, receipt_text, user_data, reassembly, fake_smsc)
}
