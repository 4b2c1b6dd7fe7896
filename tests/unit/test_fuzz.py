"""Every target of the fuzzers, with inputs that look a little like what it reads. `make fuzz` looks much longer."""

from __future__ import annotations

import fuzz_targets
import pytest
from fuzz_targets import SOUND, TARGETS, framed
from hypothesis import given, settings
from hypothesis import strategies as st

from ixxsms.smpp import pdu
from ixxsms.smpp.receipt import parse_text, remote_id_keys


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound PDU, or its body, with some octets changed, put in or left out."""
    made = bytearray(draw(st.sampled_from(SOUND))[draw(st.sampled_from([0, 16])) :])
    for _ in range(draw(st.integers(0, 6))):
        at, what = draw(st.integers(0, max(0, len(made) - 1))), draw(st.binary(max_size=3))
        made[at : at + draw(st.integers(0, 3))] = what
    return bytes(made)


WORDS = [
    b"id:",
    b"stat:",
    b"err:",
    b"text:",
    b"submit date:",
    b"done_date:",
    b"DELIVRD",
    b" ",
    b"\t",
    b",",
    b"02,",
    b"\0",
]
phrases = st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=40).map(b"".join)
inputs = st.one_of(st.binary(max_size=300), damaged(), phrases, st.binary(max_size=120).map(framed))


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=400)
@given(data=inputs)
def test_no_input_breaks_a_promise(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_sound_input_breaks_no_promise_either(name: str) -> None:
    for octets in SOUND:
        for data in (octets, octets[16:], b"\2\7" + octets):
            TARGETS[name](data)


LONG = 60_000
BAIT = [
    "id:", "id :", "id", "stat", "submit ", "submit date", "submit_date:", " \t", "\t", "text", "text:", " text ",
    "err", "id:\t", "id:a", "0", "0,", "02,", "+", "-", "a-", "\0", "\n", "id:\u00e9", "stat:stat:", "error",
    "erro", "dlvrd:",
]  # fmt: skip


@pytest.mark.parametrize("bait", BAIT)
@pytest.mark.parametrize("tail", ["", ":", "x", "text:"])
def test_no_text_takes_long(bait: str, tail: str) -> None:
    """A pattern that tries everything would take hours for these; the suite's own time limit ends them."""
    text = (bait * LONG)[:LONG] + tail
    parse_text(text)
    remote_id_keys(text)
    fuzz_targets.message(b"\4\0\0" + text.encode("latin-1"))


def test_a_peer_that_only_writes_cannot_fill_the_memory() -> None:
    """What is kept of a stream without an end is less than one PDU, piece by piece."""
    reader = pdu.Frames()
    head = pdu.HEADER.pack(pdu.MAX_LENGTH, pdu.DELIVER_SM, 0, 1)
    for piece in fuzz_targets.pieces((head + b"x" * (pdu.MAX_LENGTH - 16)) * 3, 1000):
        assert all(len(body) < pdu.MAX_LENGTH for *_, body in reader.feed(piece))
        assert len(reader._rest) < pdu.MAX_LENGTH
