"""What passes between the dialplan and us."""

from __future__ import annotations

import base64

import pytest

from ixxsms.asterisk.variables import SWALLOWED, Asked, in_base64


@pytest.mark.parametrize("text", ["Sorry :( we are closed,provider", "one [two,three", "((a) b,c", "a, b (c, d"])
def test_a_text_that_may_have_swallowed_other_arguments_is_refused(text):
    with pytest.raises(ValueError, match="bracket") as raised:
        Asked("", ("600123456", text)).text(1, "text")
    assert str(raised.value) == SWALLOWED


@pytest.mark.parametrize(
    "text", ["Hola, Ana", "a (b, c), d", "smile :) , you", "no comma :(", "a, b (c", "[1,2] ok, yes"]
)
def test_any_other_text_is_taken_as_it_stands(text):
    assert Asked("", ("600123456", text)).text(1, "text") == text


def test_in_base64_and_in_a_query_brackets_swallow_nothing():
    text = "Sorry :( we are closed, really"
    coded = "base64:" + base64.b64encode(text.encode()).decode()
    assert Asked("", ("600123456", coded)).text(1, "text") == text
    assert Asked("", (), {"text": text}).text(1, "text") == text


def test_the_last_piece_of_a_text_is_followed_by_an_empty_variable():
    assert in_base64("T", "hola") == {"T": "aG9sYQ==", "T_2": ""}
    assert list(in_base64("T", "x" * 2000)) == ["T", "T_2", "T_3"]
    assert in_base64("T", "") == {"T": "", "T_2": ""}
