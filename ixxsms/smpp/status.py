"""What a command_status means for the message: its name and its class, from tables that are data.

Providers give their own meaning to codes of the specification and have codes of their own: first comes what the trunk
says itself, then what is known of its provider, then the table of all. Must never know sessions or messages.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
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
    """`in_a_row`: after so many of these answers, and no message accepted, it is the trunk that is wrong; 0: never.

    `origin`: which table says so: default, the provider's name, or trunk.
    """

    code: int
    name: str
    klass: Class
    meaning: str
    in_a_row: int = 0
    origin: str = "default"

    def __str__(self) -> str:
        named = f"{self.name}, {label(self.code)}" if self.name else label(self.code)
        return f"{self.meaning} ({named})"


def label(code: int) -> str:
    """As people and documents write it: 0x0B, 0x04A1."""
    return f"0x{code:02X}" if code < 0x100 else f"0x{code:04X}"


@cache
def default_table() -> dict[int, Status]:
    """Code -> Status (SMPP 3.4 section 5.1.3, and what providers are known to mean)."""
    table = {}
    for row in _rows("smpp_errors.csv"):
        code = int(row["code"], 16)
        table[code] = Status(code, row["name"], Class(row["class"]), row["meaning"], int(row["in_a_row"] or 0))
    return table


@cache
def _provider_tables() -> dict[str, dict[int, Status]]:
    """Provider -> its codes. Those of 0x400 to 0x4FF mean something else with each."""
    tables: dict[str, dict[int, Status]] = {}
    for row in _rows("provider_errors.csv"):
        code = int(row["code"], 16)
        usual = default_table().get(code)
        status = Status(code, usual.name if usual else "", Class(row["class"]), row["meaning"], 0, row["provider"])
        tables.setdefault(row["provider"], {})[code] = status
    return tables


def _rows(file: str) -> Iterator[dict[str, str]]:
    text = resources.files("ixxsms").joinpath("data", file).read_text("utf-8")
    return csv.DictReader(text.splitlines())


def providers() -> list[str]:
    """The providers whose own codes are known."""
    return sorted(_provider_tables())


def errors(provider: str = "", overrides: str = "") -> dict[int, Status]:
    """What goes before the default table: the codes of the provider, and before them `0x14=throttle,0x400=stop`.

    Raises BadInput.
    """
    if provider and provider not in _provider_tables():
        known_ones = ", ".join(providers())
        raise BadInput(f'No error codes of a provider "{provider[:40]}" are known; of {known_ones} they are.')
    known = dict(_provider_tables().get(provider, {}))
    for code, klass in parse_overrides(overrides).items():
        known[code] = look_up(code, known)._replace(klass=klass, in_a_row=0, origin="trunk")
    return known


def look_up(code: int, errors: Mapping[int, Status] | None = None) -> Status:
    """The Status of a code; one that nobody knows leaves the message to the next trunk."""
    status = errors.get(code) if errors else None
    unknown = "an error that only the provider knows"
    return status or default_table().get(code) or Status(code, "", Class.NEXT, unknown, origin="")


def parse_code(text: str) -> int:
    """0x14 or 20 as a command_status. Raises BadInput."""
    try:
        code = int(text, 0)
    except ValueError:
        code = 0
    if not 1 <= code <= 0xFFFFFFFF:
        raise BadInput(f'"{text[:40]}" is no error code; one is written 0x14.')
    return code


def parse_overrides(text: str) -> dict[int, Class]:
    """`0x14=throttle, 0x400=stop` as code -> class. Raises BadInput."""
    overrides = {}
    for entry in filter(None, re.split(r"[,\s]+", text)):
        code, _, klass = entry.partition("=")
        try:
            overrides[parse_code(code)] = Class(klass)
        except (BadInput, ValueError):
            classes = ", ".join(Class)
            raise BadInput(f'"{entry[:40]}" is not like 0x14=throttle; the classes are {classes}.') from None
    return overrides


def write_overrides(overrides: Mapping[int, Class]) -> str:
    """What `parse_overrides` reads."""
    return ",".join(f"{label(code)}={klass}" for code, klass in sorted(overrides.items()))
