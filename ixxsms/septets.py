"""The 7 bit alphabets: the GSM default one, the national tables that may stand in for it, and packing (3GPP TS 23.038).

A text in one of them is septets, one in each octet, until they are packed. Must never know how long a message may be,
nor what an SMSC calls an alphabet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from ixxsms.errors import BadInput

ESCAPE = 0x1B  #: the septet after it is read in the second table
SINGLE_SHIFT, LOCKING_SHIFT = 0x24, 0x25  #: information elements that name a table (3GPP TS 23.040 9.2.3.24.15, .16)

#: Languages that have tables of their own, by their identifier (3GPP TS 23.038 6.2.1.2.4).
TURKISH, SPANISH, PORTUGUESE = 1, 2, 3
LANGUAGES = {"spanish": SPANISH, "portuguese": PORTUGUESE, "turkish": TURKISH}

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()

#: First tables: the position is the code. 0 is the default alphabet (6.2.1), the others are locking shift tables (A.3).
_LOCKING = {
    0: (
        "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
        " !\"#¤%&'()*+,-./0123456789:;<=>?"
        f"¡{_UPPER}ÄÖÑÜ§¿{_LOWER}äöñüà"
    ),
    TURKISH: (
        "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ"
        " !\"#¤%&'()*+,-./0123456789:;<=>?"
        f"İ{_UPPER}ÄÖÑÜ§ç{_LOWER}äöñüà"
    ),
    PORTUGUESE: (
        "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ"
        " !\"#º%&'()*+,-./0123456789:;<=>?"
        f"Í{_UPPER}ÃÕÚÜ§~{_LOWER}ãõ`üà"
    ),
}  # fmt: skip

_EXTENSION = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F,
    "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
}  # fmt: skip

#: Second tables: the code after the escape. 0 is the extension table (6.2.1.1), the others single shift tables (A.2).
_SINGLE: dict[int, dict[str, int]] = {
    0: _EXTENSION,
    TURKISH: _EXTENSION | {
        "Ğ": 0x47, "İ": 0x49, "Ş": 0x53, "ç": 0x63, "ğ": 0x67, "ı": 0x69, "ş": 0x73,
    },
    SPANISH: _EXTENSION | {
        "ç": 0x09, "Á": 0x41, "Í": 0x49, "Ó": 0x4F, "Ú": 0x55, "á": 0x61, "í": 0x69, "ó": 0x6F, "ú": 0x75,
    },
    PORTUGUESE: _EXTENSION | {
        "ê": 0x05, "ç": 0x09, "Ô": 0x0B, "ô": 0x0C, "Á": 0x0E, "á": 0x0F, "Φ": 0x12, "Γ": 0x13, "Ω": 0x15, "Π": 0x16,
        "Ψ": 0x17, "Σ": 0x18, "Θ": 0x19, "Ê": 0x1F, "À": 0x41, "Í": 0x49, "Ó": 0x4F, "Ú": 0x55, "Ã": 0x5B, "Õ": 0x5C,
        "Â": 0x61, "í": 0x69, "ó": 0x6F, "ú": 0x75, "ã": 0x7B, "õ": 0x7C, "â": 0x7F,
    },
}  # fmt: skip

_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)


class Septets:
    """One first table with one second table, each by the identifier of its language.

    An identifier without a table gives the default one, as a receiver has to read it (3GPP TS 23.038 6.2.1.2.1).
    """

    def __init__(self, locking: int = 0, single: int = 0) -> None:
        self.locking = locking if locking in _LOCKING else 0
        self.single = single if single in _SINGLE else 0
        #: the characters of one septet, and those that take an escape more
        self.basic = _LOCKING[self.locking].replace(chr(ESCAPE), "")
        self.extended = "".join(char for char in _SINGLE[self.single] if char not in self.basic)
        # One scan of a compiled class is the fastest test there is here: benchmarked against sets and codecs.
        self.outside: re.Pattern[str] = re.compile(f"[^{re.escape(self.basic + self.extended)}]")

    @property
    def elements(self) -> bytes:
        """The information elements that tell a receiver which tables these are; none for the default ones."""
        single = bytes((SINGLE_SHIFT, 1, self.single)) if self.single else b""
        return single + (bytes((LOCKING_SHIFT, 1, self.locking)) if self.locking else b"")

    def encode(self, text: str) -> bytes:
        """Unpacked septets. Raises BadInput, which names the first character that the alphabet lacks."""
        outside = self.outside.search(text)
        if outside:
            char = outside.group()
            raise BadInput(f"The character {char!r} (U+{ord(char):04X}) is not in the GSM alphabet.")
        return self.septets(text)

    def septets(self, text: str) -> bytes:
        """The same of a text that has nothing outside the alphabet."""
        return text.translate(self._codes).encode("ascii")

    def decode(self, data: bytes) -> str:
        """The text of unpacked septets. Never raises.

        As 3GPP TS 23.038 6.2.1 wants it from a receiver: an unknown code after an escape is read in the first table,
        an escape before another escape or before nothing is a space. Octets over 0x7F, which no septet can be, are
        U+FFFD.
        """
        text = data.decode("latin-1")
        if "\x1b" in text:
            text = _ESCAPED.sub(self._unescape, text)
        return text.translate(self._characters)

    def _unescape(self, match: re.Match[str]) -> str:
        char = match.group(1)
        if char in ("", "\x1b"):
            return " "
        extended = chr(0x100 + ord(char))
        return extended if ord(extended) in self._characters else char

    @cached_property
    def _codes(self) -> Mapping[int, str]:
        single = _SINGLE[self.single]
        return {ord(char): chr(code) for code, char in enumerate(_LOCKING[self.locking]) if code != ESCAPE} | {
            ord(char): f"\x1b{chr(single[char])}" for char in self.extended
        }

    @cached_property
    def _characters(self) -> Mapping[int, str]:
        # Decoding passes through text in which a character of the second table stands at 0x100 + its code.
        return (
            dict(enumerate(_LOCKING[self.locking]))
            | dict.fromkeys(range(0x80, 0x100), "\ufffd")
            | {0x100 + code: char for char, code in _SINGLE[self.single].items()}
        )


DEFAULT = Septets()


def tables_of(language: int) -> list[Septets]:
    """What a text in this language may be written with: what costs the smallest header and is known best comes first.

    Spanish has no locking shift table.
    """
    tables = [Septets(single=language)]
    if language in _LOCKING:
        tables += [Septets(locking=language), Septets(locking=language, single=language)]
    return tables


def fill_bits(header: int) -> int:
    """How many bits stand between a header of so many octets and the first septet (3GPP TS 23.040 9.2.3.24)."""
    return -header * 8 % 7


def pack(septets: bytes, fill: int = 0) -> bytes:
    """Eight septets in seven octets, the first in the lowest bits (3GPP TS 23.038 6.1.2.1), after `fill` bits.

    Where seven bits are left over a receiver that is told no number of septets would read them as an `@`: they are
    a carriage return (6.1.2.3.1).
    """
    if (fill + 7 * len(septets)) % 8 == 1:
        septets += b"\r"
    bits = 0
    for septet in reversed(septets):
        bits = bits << 7 | septet & 0x7F
    return (bits << fill).to_bytes((fill + 7 * len(septets) + 7) // 8, "little")


def unpack(data: bytes, fill: int = 0) -> bytes:
    """The septets that `pack` put into octets. One more carriage return at their end may be padding."""
    count = max(0, 8 * len(data) - fill) // 7
    data = (int.from_bytes(data, "little") >> fill).to_bytes(len(data), "little")
    # Seven octets at a time: to shift the whole for each septet takes a second for the longest PDU.
    groups = (int.from_bytes(data[at : at + 7], "little") for at in range(0, len(data), 7))
    return bytes(group >> bit & 0x7F for group in groups for bit in range(0, 56, 7))[:count]
