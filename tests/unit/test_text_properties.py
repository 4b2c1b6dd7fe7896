"""What holds for every text."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ixxsms import text as sms
from ixxsms.text import Encoding

GSM = "@£$¥èéñÑüà§¿Δ_\n\r aZ09"
EXTENDED = "^{}\\[]~|€\f"
gsm_texts = st.text(GSM + EXTENDED * 3, max_size=700)
wide_texts = st.text("aá€\U0001f514\U0001f1ea", max_size=350)
any_text = st.one_of(gsm_texts, wide_texts, st.text(max_size=400))
broken_text = st.text(st.characters(codec=None), max_size=200)


def decoded(text: str) -> str:
    decode = sms.decode_gsm if sms.encoding_of(text) is Encoding.GSM else sms.decode_ucs2
    return "".join(map(decode, sms.cut(text)))


@given(any_text)
def test_what_is_cut_and_decoded_is_the_text(text):
    assert decoded(text) == text


@given(broken_text)
def test_lone_surrogates_only_become_replacement_characters(text):
    assert decoded(text) == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


@given(any_text)
def test_no_body_is_too_long_or_ends_inside_a_pair(text):
    bodies = sms.cut(text)
    gsm = sms.encoding_of(text) is Encoding.GSM
    room = (160 if gsm else 140) if len(bodies) == 1 else (153 if gsm else 134)
    for body in bodies:
        assert len(body) <= room
        assert not (gsm and body.endswith(b"\x1b"))
        assert gsm or len(body) % 2 == 0
        assert gsm or not (body and 0xD8 <= body[-2] <= 0xDB)


@given(any_text)
def test_the_counts_agree_with_the_bodies(text):
    measure, bodies = sms.measure(text), sms.cut(text)
    unit = 1 if measure.encoding is Encoding.GSM else 2
    assert measure.segments == sms.segments(text) == len(bodies)
    assert measure.length == sms.length(text) == sum(map(len, bodies)) // unit
    assert (measure.forced_by == ()) is (measure.encoding is Encoding.GSM)


@given(any_text)
def test_there_are_never_more_segments_than_the_pairs_can_explain(text):
    gsm = sms.encoding_of(text) is Encoding.GSM
    single, room = (160, 153) if gsm else (70, 67)
    length, count = sms.length(text), sms.segments(text)
    if length <= single:
        assert count == 1
    else:
        assert math.ceil(length / room) <= count <= math.ceil(length / (room - 1))


@given(any_text, st.integers())
def test_every_built_header_reads_back(text, reference):
    built = sms.build(text, reference)
    if len(built) == 1:
        assert not built[0].has_udh
        return
    read = [sms.split_udh(segment.body) for segment in built]
    assert [concat for concat, _ in read] == [(reference % 256, len(built), n) for n in range(1, len(built) + 1)]
    assert [body for _, body in read] == sms.cut(text)
    assert all(len(segment.body) <= (159 if segment.data_coding == 0 else 140) for segment in built)


@given(st.one_of(st.binary(max_size=300), st.text("\x00\x1b\x14A\x80", max_size=20).map(lambda t: t.encode("latin-1"))))
def test_decoders_never_raise(data):
    assert isinstance(sms.decode_gsm(data), str)
    sms.decode_ucs2(data).encode("utf-8")
    concat, body = sms.split_udh(data)
    assert data.endswith(body)
    assert concat is None or 1 <= concat.number <= concat.total


@given(st.binary(max_size=160).map(lambda data: bytes(octet & 0x7F for octet in data)))
def test_decoded_gsm_is_gsm_again(data):
    assert sms.encoding_of(sms.decode_gsm(data)) is Encoding.GSM
