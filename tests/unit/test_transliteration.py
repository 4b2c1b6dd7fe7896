from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.septets import DEFAULT, SPANISH, Septets
from ixxsms.transliteration import transliterate


def gsm(text: str) -> bool:
    return not DEFAULT.outside.search(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("canción rápida, ¿qué?", "cancion rapida, ¿qué?"),  # é is GSM and stays
        ("n\u0303 a\u0301", "ñ a"),  # written as letter and accent
        ("“hola” ‘sí’ „x‚ «y»", '"hola" \'si\' "x\' "y"'),
        ("1–2 — 3 − 4…", "1-2 - 3 - 4..."),
        ("a\xa0b\u202fc\u2009d\te", "a b c d e"),
        ("a\u200bb\xadc\ufeff", "abc"),
        ("façade, Œuvre, ﬁn, Łódź, đ", "facade, OEuvre, fin, Lodz, d"),
        ("nº 1ª ½ ™ © µ`", "no 1a 1/2 TM (c) u'"),
        ("ｗｉｄｅ", "wide"),
        ("€ Å ß Ω", "€ Å ß Ω"),
        ("日本 😀 á", "日本 😀 a"),  # what has nothing plainer stays
        ("\u0301", "\u0301"),
        ("", ""),
    ],
)
def test_what_an_alphabet_lacks_is_written_in_plainer_letters(text: str, plain: str) -> None:
    assert transliterate(text, gsm) == plain


def test_it_depends_on_the_alphabet() -> None:
    spanish = Septets(single=SPANISH)
    assert transliterate("ó ã ğ", lambda part: not spanish.outside.search(part)) == "ó a g"
    assert transliterate("€ ñ Ø ¿", str.isascii) == "EUR n O ?"


@given(st.text(max_size=100))
def test_nothing_is_lost_from_a_text_that_fits_and_nothing_raises(text: str) -> None:
    plain = transliterate(text, gsm)
    assert transliterate(plain, gsm) == plain
    if gsm(text):
        assert plain == text
