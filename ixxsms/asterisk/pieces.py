"""Texts on their way to Asterisk: short enough for its lines, and never more than one of them."""

from __future__ import annotations

import base64

#: Bytes of a text whose base64 is a line of AMI (1,023 with its name), and a body of MessageSend (740 go, 770 do not).
PIECE = 700


def pieces(text: str, size: int = PIECE) -> list[str]:
    """The text in pieces of at most so many bytes of UTF-8, cut between two characters. An empty one is one piece."""
    data = text.encode("utf-8", "replace")
    found, at = [], 0
    while len(data) - at > size:
        end = at + size
        while data[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        found.append(data[at:end].decode("utf-8"))
        at = end
    return [*found, data[at:].decode("utf-8")]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def one_line(text: str, longest: int) -> str:
    """The text in one line of printable characters, cut where it is too long: what follows a CR or LF in a header
    would be a header, or an action, of its own.
    """
    return "".join(char if char.isprintable() else " " for char in text[: 4 * longest]).strip()[:longest]
