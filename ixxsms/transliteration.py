"""Letters and signs in plainer ones, for a text that should fit an alphabet: á as a, curly quotes as straight ones.

What takes an accent off is Unicode's decomposition; the table has what is not decomposed. Must never decide whether a
text may be changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

#: What Unicode does not take apart, or takes apart into something that no alphabet has either.
_PLAINER = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "´": "'", "`": "'", "ʼ": "'", "‹": "'", "›": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"', "¨": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "•": "-", "·": ".", "⁄": "/",
    "\t": " ", "\u2028": "\n", "\u2029": "\n", "\x85": "\n",
    "\xad": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u200e": "", "\u200f": "", "\u2060": "", "\ufeff": "",
    "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Ħ": "H", "ħ": "h", "ı": "i", "ĸ": "k", "Ł": "L", "ł": "l", "Ø": "O",
    "ø": "o", "Ŧ": "T", "ŧ": "t", "Þ": "Th", "þ": "th", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "ẞ": "SS",
    "ß": "ss", "Å": "A", "å": "a", "€": "EUR", "£": "GBP", "¥": "JPY", "¢": "c", "©": "(c)", "®": "(r)", "×": "x",
    "÷": "/", "±": "+/-", "µ": "u", "\u03bc": "u", "¡": "!", "¿": "?", "¦": "|",
}  # fmt: skip


def transliterate(text: str, has: Callable[[str], bool]) -> str:
    """The text with each character that an alphabet lacks in plainer ones, where there are such; `has` knows it.

    A letter and the accent that follows it are one character first, so that what the alphabet has with its accent
    keeps it.
    """
    text = unicodedata.normalize("NFC", text)
    return "".join(char if has(char) else _plainer(char, has) for char in text)


def _plainer(char: str, has: Callable[[str], bool]) -> str:
    """The character itself where nothing plainer is in the alphabet."""
    if char in _PLAINER:
        plain = _PLAINER[char]
        return plain if has(plain) else char
    # Compatible forms too: a ligature in its letters, a full-width digit, an ellipsis as three dots, hard spaces.
    parts = [part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part)]
    plain = "".join(part if has(part) else _PLAINER.get(part, part) for part in parts)
    return plain if plain and has(plain) else char
