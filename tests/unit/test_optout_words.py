"""By which words people opt out and come back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ixxsms
from ixxsms.optouts import Wish, wish, words

FILE = Path(ixxsms.__file__).parent / "data" / "optout_keywords.csv"
LANGUAGES = list(csv.DictReader(FILE.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda row: row["language"])
def test_every_word_of_every_language_says_what_it_says(language):
    for column, meant in (("out", Wish.OUT), ("in", Wish.IN)):
        for word in language[column].split():
            assert len(words(word)) == 1, word
            for written in (word, word.lower(), word.title(), f"  ¡«{word}»! ", f"{word}, por favor"):
                assert wish(written) is meant, written


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", "Stop.", '"STOP"', "¡¡BAJA!!", "baja\nya", "ALTO", "salir", "Cancelar", "CANCELÁR", "arrêt",
     "ARRET", "Stopp", "abmelden", "parar", "sair", "İPTAL", "ıptal", "стоп", "\u200fהסר", "📵 STOP", "STOP,SMS"],
)  # fmt: skip
def test_the_first_word_counts_without_case_accents_and_punctuation(text):
    assert wish(text) is Wish.OUT


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "STOPPING", "unstoppable", "don't STOP", "bajada", "altos", "STOP2", "0034", "📵", "no"],
)
def test_any_other_text_says_nothing(text):
    assert wish(text) is None


def test_one_may_have_words_of_ones_own():
    assert wish("Fuera ya") is None
    assert wish("Fuera ya", "nada, FUERA;basta") is Wish.OUT
    assert wish("BASTA", "nada, FUERA;basta") is Wish.OUT
    assert wish("start", "start") is Wish.OUT, "one's own words go first"
    assert wish("", "") is wish("ok", " , ") is None


@given(st.text())
def test_no_text_raises(text):
    wish(text, text)


def test_a_long_text_takes_no_time():
    assert wish("x" * 10_000_000) is None
