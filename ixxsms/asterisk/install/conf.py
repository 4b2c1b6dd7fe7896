"""The form of Asterisk's configuration files, as far as an installation reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

from ixxsms.asterisk.install.root import Root

_DEPTH = 10
_HEADER = re.compile(r"\[([^\]]*)\]\s*(?:\(([^)]*)\))?")
_INCLUDE = re.compile(r'#(?:try)?include\s+["<]?([^">]+?)[">]?\s*$')


class Entry(NamedTuple):
    section: str
    name: str
    value: str


def entries(text: str) -> Iterator[Entry]:
    """Every "name = value". What stands in a template, [name](!), is not in force: its section is "name!"."""
    section = ""
    for line in _lines(text):
        if header := _HEADER.match(line):
            section = header[1].strip() + ("!" if "!" in (header[2] or "").split(",") else "")
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield Entry(section, name.strip(), value.removeprefix(">").strip().replace("\\;", ";"))


class Include(NamedTuple):
    line: str
    name: str


def includes(text: str) -> Iterator[Include]:
    for line in _lines(text):
        if found := _INCLUDE.match(line):
            yield Include(line, found[1].strip())


def value(text: str, section: str, name: str) -> str:
    """The last value of a name in a section, "" where it has none."""
    return next((e.value for e in reversed([*entries(text)]) if (e.section, e.name) == (section, name)), "")


def with_includes(root: Root, folder: str, file: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Path and text of a file, then of all that it includes."""
    text = root.read(PurePath(folder) / file)
    yield str(PurePath(folder) / file), text
    for include in includes(text) if depth < _DEPTH else ():
        path = PurePath(folder) / include.name
        for found in sorted(root.at(path.parent).glob(path.name)):
            yield from with_includes(root, folder, str(path.parent / found.name), depth + 1)


def _lines(text: str) -> Iterator[str]:
    """The lines without comments: from ; on, unless it is written \\; , and between ;-- and --; ."""
    text = re.sub(r";--(?!-).*?(--;|\Z)", "", text, flags=re.DOTALL)
    for line in text.splitlines():
        yield re.split(r"(?<!\\);", line, maxsplit=1)[0].strip()
