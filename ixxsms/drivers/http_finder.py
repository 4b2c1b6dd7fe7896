"""Where something stands in what the other side said: a place in its JSON, a field, or a pattern in its text.

A place is written `json:messages[0].id`, `field:MessageSid` or `regex:Success "([^"]+)"`; of several, one a line, the
first that finds something counts. What is searched is hostile: nothing here raises once the place is understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ixxsms.errors import BadInput

_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,6}|\*)\]")
_PATH = re.compile(r"(?:[^.\[\]]+|\[(?:\d{1,6}|\*)\])(?:\.[^.\[\]]+|\[(?:\d{1,6}|\*)\])*")
MOST = 100  #: values that one place can give


@dataclass
class Document:
    """What is searched: a text, and the fields of a query or a form, by name."""

    text: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def json(self) -> Any:
        """The text as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None


class Finder:
    """The places where one thing may stand. Raises BadInput where one cannot be understood."""

    def __init__(self, name: str, places: str) -> None:
        self._look = [_looking(name, place.strip()) for place in places.splitlines() if place.strip()]

    def __bool__(self) -> bool:
        return bool(self._look)

    def all(self, document: Document) -> list[str]:
        """Every value at the first place that has any: several only where a path has [*] in it."""
        return next((found for look in self._look if (found := look(document))), [])

    def first(self, document: Document) -> str:
        """The value, empty where there is none."""
        return next(iter(self.all(document)), "")


def _looking(name: str, place: str) -> Callable[[Document], list[str]]:
    kind, _, rest = place.partition(":")
    if kind == "json" and _PATH.fullmatch(rest):
        steps = [_step(found) for found in _STEP.finditer(rest)]
        return lambda document: _in_json(document.json, steps)
    if kind == "field" and rest:
        return lambda document: [document.fields[rest]] if rest in document.fields else []
    if kind == "regex" and rest:
        try:
            pattern = re.compile(rest)
        except re.error as error:
            raise BadInput(f"The {name} has a pattern that cannot be used: {error}.") from None
        return lambda document: _in_text(document.text, pattern)
    raise BadInput(
        f'The {name} must say where it stands: json:a.b[0].c, field:name or regex:pattern, not "{place[:60]}".'
    )


def _step(found: re.Match[str]) -> str | int | None:
    """The name of a member, the number of an element, or None for every element."""
    if found[1]:
        return found[1]
    return None if found[2] == "*" else int(found[2])


def _in_json(value: Any, steps: list[str | int | None]) -> list[str]:
    values = [value]
    for step in steps:
        reached: list[Any] = []
        for inner in values:
            if isinstance(step, str):
                reached += [inner[step]] if isinstance(inner, dict) and step in inner else []
            elif isinstance(inner, list):
                reached += inner if step is None else inner[step : step + 1]
        values = reached[:MOST]
    return [text for inner in values if (text := _text_of(inner)) is not None]


def _text_of(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        try:
            return json.dumps(value)
        except ValueError:  # too many digits
            return None
    return None


def _in_text(text: str, pattern: re.Pattern[str]) -> list[str]:
    match = pattern.search(text)
    if match is None:
        return []
    return [match[1] or ""] if pattern.groups else [match[0]]
