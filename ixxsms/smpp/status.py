"""What a command_status means for the message: its name and its class, from a table that is data.

Providers give their own meaning to codes of the specification and have codes of their own: a trunk may override the
class of any. Must never know sessions or messages.
"""

from __future__ import annotations

import csv
import re
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import NamedTuple

from ixxsms.errors import BadInput


class Class(StrEnum):
    THROTTLE = "throttle"  #: the trunk pauses, the segment goes first again, no attempt is counted
    RETRY = "retry"  #: this trunk again, later
    NEXT = "next"  #: the next trunk may try at once
    PERMANENT = "permanent"  #: this number or text will never go
    STOP = "stop"  #: the trunk must not go on before a person looked at it
    REBIND = "rebind"  #: nothing was taken: the link has to be made anew


class Status(NamedTuple):
    code: int
    name: str
    klass: Class
    meaning: str

    def __str__(self) -> str:
        named = f"{self.name}, {label(self.code)}" if self.name else label(self.code)
        return f"{self.meaning} ({named})"


def label(code: int) -> str:
    """As people and documents write it: 0x0B, 0x04A1."""
    return f"0x{code:02X}" if code < 0x100 else f"0x{code:04X}"


@cache
def default_table() -> dict[int, Status]:
    """Code -> Status (SMPP 3.4 section 5.1.3, and what providers are known to mean)."""
    text = resources.files("ixxsms").joinpath("data/smpp_errors.csv").read_text("utf-8")
    table = {}
    for row in csv.DictReader(text.splitlines()):
        code = int(row["code"], 16)
        table[code] = Status(code, row["name"], Class(row["class"]), row["meaning"])
    return table


def look_up(code: int, overrides: dict[int, Class] | None = None) -> Status:
    """The Status of a code; one that nobody knows leaves the message to the next trunk."""
    status = default_table().get(code) or Status(code, "", Class.NEXT, "an error that only the provider knows")
    if overrides and code in overrides:
        return status._replace(klass=overrides[code])
    return status


def parse_overrides(text: str) -> dict[int, Class]:
    """`0x14=throttle, 0x400=stop` as code -> class. Raises BadInput."""
    overrides = {}
    for entry in filter(None, re.split(r"[,\s]+", text)):
        code, _, klass = entry.partition("=")
        try:
            overrides[int(code, 0)] = Class(klass)
        except ValueError:
            classes = ", ".join(Class)
            raise BadInput(f'"{entry[:40]}" is not like 0x14=throttle; the classes are {classes}.') from None
    return overrides
