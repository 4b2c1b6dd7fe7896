"""Whatever the other side sends: no exception, bounded memory, every message settled once."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ixxsms.events import Submission
from ixxsms.smpp import pdu
from ixxsms.smpp.session import Session, Settings

Make = Callable[..., Any]

COMMANDS = [
    pdu.GENERIC_NACK, pdu.SUBMIT_SM, pdu.SUBMIT_SM_RESP, pdu.DELIVER_SM, pdu.DELIVER_SM_RESP, pdu.DATA_SM, pdu.UNBIND,
    pdu.UNBIND_RESP, pdu.ENQUIRE_LINK, pdu.ENQUIRE_LINK_RESP, pdu.ALERT_NOTIFICATION, pdu.OUTBIND,
    0x80000009, 0x80000001, 0x21, 0x7FFFFFFF, 0xFFFFFFFF, 0,
]  # fmt: skip
STATUSES = [0, 0x04, 0x08, 0x0B, 0x0E, 0x14, 0x45, 0x58, 0xB3, 0xFFFFFFFF]

frames = st.builds(
    lambda command, status, sequence, body: struct.pack(">LLLL", 16 + len(body), command, status, sequence) + body,
    st.sampled_from(COMMANDS),
    st.sampled_from(STATUSES),
    st.integers(0, 30) | st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=80),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("frames"), st.lists(frames, max_size=5).map(b"".join)),
        st.tuples(st.just("bytes"), st.binary(max_size=60)),
        st.tuples(st.just("tick"), st.floats(0, 40)),
        st.tuples(st.just("write"), st.integers(0, 400)),
        st.tuples(st.just("submit"), st.sampled_from(["hi", "x" * 400, "ñ😀" * 60])),
        st.tuples(st.just("leave"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=300)
@given(steps, st.integers(1, 5))
def test_any_talk_settles_every_message_exactly_once(talk: list[tuple[str, Any]], window: int) -> None:
    session = Session(Settings("user", "secret", window=window))
    now, events, submitted = 0.0, [], 0

    def link() -> None:
        session.connected(now)
        events.extend(session.receive(pdu.answer(pdu.BINDS["trx"], 0, 1, b"x"), now))

    link()
    for step, value in talk:
        if step in ("frames", "bytes"):
            events += session.receive(value, now)
        elif step == "tick":
            now += value
            events += session.tick(now)
        elif step == "write":
            session.sent(min(value, len(session.out)))
        elif step == "submit":
            submitted += 1
            session.submit([Submission(submitted, "34600000001", value)], now)
        else:
            session.leave("leaving", now)
        assert session.room() <= window
        if session.over:
            events += session.lost("lost", now)
            if session.stopped:
                break
            link()
    events += session.lost("lost", now)
    outcomes = Counter(event.message_id for event in events if hasattr(event, "message_id"))
    assert outcomes == Counter(range(1, submitted + 1))
    assert session.in_flight() == 0
    assert session._outgoing.idle()


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_any_bytes_are_taken_without_an_exception_or_a_heap(chunks: list[bytes]) -> None:
    session = Session(Settings("user", "secret"))
    session.connected(0.0)
    for chunk in chunks:
        session.receive(chunk, 0.0)
        if session.over:
            break
        assert len(session._frames._rest) < pdu.MAX_LENGTH


def test_a_frame_that_trickles_in_is_kept_only_up_to_the_longest(talk: Make) -> None:
    talk = talk()
    talk.say(struct.pack(">LLLL", pdu.MAX_LENGTH, pdu.DELIVER_SM, 0, 1))
    for _ in range(63):
        assert talk.say(b"x" * 1024) == []
        assert len(talk.session._frames._rest) <= pdu.MAX_LENGTH
    talk.say(b"x" * 1008)
    assert talk.session._frames._rest == b""
    assert talk.frames()[0][0] == pdu.DELIVER_SM_RESP
