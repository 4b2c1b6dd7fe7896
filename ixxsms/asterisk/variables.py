"""What passes between the dialplan and us: texts on the way in, values of channel variables on the way out.

Knows where Asterisk cuts, splits and mistakes a value. Must never let one value become two commands.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ixxsms.asterisk.pieces import base64_of

BASE64 = "base64:"  #: a text in an argument that begins so is encoded

#: Octets of one AGI command: Asterisk 16 splits a line of 2,048 in two, and both are then misread.
LONGEST_LINE = 2000
#: Octets of a base64 value that one SET VARIABLE carries; a multiple of four, so that each piece can be decoded.
LONGEST_BASE64 = 1800

#: Characters of base64 that are left where Asterisk has cut it.
CUT_BASE64 = 4092
CUT_TEXT = f"{BASE64}cut"  #: stands for a text that was cut: it is no base64
CUT = "Asterisk has cut the text: one argument holds 3,000 octets in base64, or 4,000 plain ones."
SWALLOWED_TEXT = f"{BASE64}swallowed"  #: stands for a text that may hold other arguments
SWALLOWED = (
    "The text has a bracket that is not closed, and Asterisk may have taken the arguments behind it for text: "
    "give it as base64."
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_PLAIN = re.compile(r"[A-Za-z0-9 _.+-]{0,60}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True)
class Asked:
    """What a call asks: who calls, the arguments, and those that stood in the URL's query."""

    caller: str
    args: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)

    def text(self, position: int, name: str) -> str:
        """An argument that is a text, as `read_text` reads it. Raises ValueError with one sentence."""
        if position < len(self.args) and has_swallowed(self.args[position]):
            raise ValueError(SWALLOWED)
        return read_text(self.argument(position, name))

    def argument(self, position: int, name: str) -> str:
        """An argument by its position, from 0, or else by its name in the query; empty where it is not given."""
        positional = self.args[position] if position < len(self.args) else ""
        return positional or self.query.get(name, "")


def caller_of(env: Mapping[str, str]) -> str:
    """The number of who calls, from what AGI tells; where he hides it, his channel without its serial number."""
    number = env.get("agi_callerid", "unknown")
    channel = env.get("agi_channel", "")
    return (channel.rpartition("-")[0] or channel) if number in ("", "unknown") else number


def set_command(name: str, value: str) -> bytes:
    """The AGI command that sets a channel variable: one line, whatever the value is.

    Line breaks and other control characters become blanks, and a value that is too long is cut.
    """
    assert _NAME.fullmatch(name), name
    plain = _CONTROL.sub(" ", value).replace("\\", "\\\\").replace('"', '\\"').encode()
    if len(plain) > LONGEST_LINE - 60:
        cut = plain[: LONGEST_LINE - 60].decode(errors="ignore")
        # What is cut inside an escape would swallow the closing quote.
        plain = (cut[:-1] if (len(cut) - len(cut.rstrip("\\"))) % 2 else cut).encode()
    return b'SET VARIABLE "%s" "%s"' % (name.encode(), plain)


def set_commands(values: Mapping[str, str]) -> list[bytes]:
    """The commands that set these; the last variable is set by the last of them.

    What has nothing that Asterisk could mistake goes in one command: each costs a round trip.
    """
    *others, last = values
    plain = [name for name in values if _NAME.fullmatch(name) and _PLAIN.fullmatch(values[name])]
    if last not in plain or len(plain) < 2:
        return [set_command(name, values[name]) for name in values]
    together = ",".join(f"{name}={values[name]}" for name in plain)
    return [
        *(set_command(name, values[name]) for name in others if name not in plain),
        f'EXEC MSet "{together}"'.encode(),
    ]


def in_base64(name: str, text: str) -> dict[str, str]:
    """The variables that carry a text: NAME, and NAME_2, NAME_3… where one cannot carry all of it; then an empty one,
    for a channel may still have the pieces of an earlier text.
    """
    coded = base64_of(text)
    pieces = [coded[at : at + LONGEST_BASE64] for at in range(0, len(coded), LONGEST_BASE64)] or [""]
    pieces.append("")
    return {name if number == 1 else f"{name}_{number}": piece for number, piece in enumerate(pieces, 1)}


def read_text(argument: str) -> str:
    """A text as the dialplan gives it: plain, or `base64:` and its pieces with dots between them.

    Raises ValueError with one sentence where Asterisk has cut it.
    """
    if argument == SWALLOWED_TEXT:
        raise ValueError(SWALLOWED)
    if not argument.startswith(BASE64):
        if was_cut(argument.encode()):
            raise ValueError(CUT)
        return argument
    pieces = argument[len(BASE64) :].split(".")
    try:
        if any(len(piece) == CUT_BASE64 for piece in pieces):
            raise ValueError(CUT)
        return readable(b"".join(base64.b64decode(piece.strip(), validate=True) for piece in pieces))
    except (binascii.Error, ValueError):
        raise ValueError(CUT) from None


def has_swallowed(argument: str) -> bool:
    """Whether what stands behind a comma here may have been further arguments: Asterisk takes no comma for the end of
    an argument after a bracket that is not closed, not even behind quotes.
    """
    if argument.startswith(BASE64) or "," not in argument:
        return False
    return any(
        depth > 0 and "," in argument[first:]
        for depth, first in (_never_closed(argument, pair) for pair in ("()", "[]"))
    )


def _never_closed(text: str, pair: str) -> tuple[int, int]:
    """How many brackets of that kind are open at the end, and where the first of them is."""
    depth, first = 0, 0
    for at, letter in enumerate(text):
        if letter == pair[0]:
            first = first if depth else at
            depth += 1
        elif letter == pair[1] and depth:
            depth -= 1
    return depth, first


def was_cut(octets: bytes) -> bool:
    """Whether a plain argument is as long as one that Asterisk has cut: QUOTE takes 4,089 octets and gives 4,095."""
    return 4089 <= len(octets) + octets.count(b'"') + octets.count(b"\\") <= 4095


def readable(octets: bytes) -> str:
    """Octets as text: what is not UTF-8 was written by somebody who has Latin-1; a cut last character goes."""
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        if error.start > 0 and len(octets) - error.start < 4 and error.reason == "unexpected end of data":
            return octets[: error.start].decode()
        return octets.decode("cp1252", "replace")


def read_query(query: str) -> dict[str, str]:
    """`number=600123456&text=Hola%20Ana`, as URIENCODE writes it, as a dict; the first of equals counts.

    What Asterisk has cut becomes a text that `read_text` refuses.
    """
    values: dict[str, str] = {}
    for field_ in query.split("&")[:20]:
        name, _, raw = field_.partition("=")
        values.setdefault(name, CUT_TEXT if 4083 <= len(raw) <= 4095 else readable(unquote_to_bytes(raw)))
    return values


def sip_user(uri: str) -> str:
    """Who a SIP header names: phone1 of `"Pepe, X" <sip:phone1@127.0.0.1:5060>;tag=1`; empty where it names nobody."""
    found = re.search(r"<?sips?:([A-Za-z0-9_.+-]{1,64})@[^<>]*>?[^<>]*$", uri[-512:])
    return found.group(1) if found else ""
