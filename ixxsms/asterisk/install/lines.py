"""Our lines and our block in a text that belongs to somebody else. Text in, text out."""

from __future__ import annotations

import re
from typing import NamedTuple

BEGIN = '; ixxsms: what follows is kept by "ixxsms asterisk install"'
END = "; ixxsms: end"

_BLOCK = re.compile(rf"^{re.escape(BEGIN)}\r?\n(.*?)^{re.escape(END)}(?:\r?\n|\r?\Z)", re.M | re.S)


# One that is open at the end would take in what we add there.
_COMMENT = re.compile(r";--(?!-).*?--;", re.S)


class Line(NamedTuple):
    """A line that a file is to have once. `known`: a pattern of every way in which it could be there already."""

    text: str
    known: str
    section: str = ""


def include(folder: str, file: str) -> Line:
    known = rf'#(?:try)?include\s+["<]?(?:{re.escape(folder.rstrip("/"))}/)?{re.escape(file)}[">]?\s*(?:;.*)?'
    return Line(f"#include {file}", known)


def has(text: str, line: Line) -> bool:
    return re.search(rf"^\s*{line.known}$", _COMMENT.sub("", text), re.M) is not None


def is_commented_out(text: str, line: Line) -> bool:
    """By a semicolon, or between ;-- and --; ."""
    return not has(text, line) and re.search(rf"^[;\s]*{line.known}$", text, re.M) is not None


def add(text: str, line: Line) -> str:
    """With the line at the end, or below the header of its section, which is made where it is missing."""
    if not line.section:
        return f"{_ended(text)}{line.text}\n"
    header = re.search(rf"^\[{re.escape(line.section)}\][^\n]*\n?", text, re.M)
    if header is None:
        return f"{_ended(text)}[{line.section}]\n{line.text}\n"
    return f"{_ended(text[: header.end()])}{line.text}\n{text[header.end() :]}"


def remove(text: str, line: str) -> str:
    """Without the line, as it was written by us."""
    return re.sub(rf"^{re.escape(line)}[ \t]*(?:\r?\n|\r?\Z)", "", text, flags=re.M)


def block(text: str) -> str | None:
    """What stands in our block, whatever ends its lines; None where there is no block."""
    found = _BLOCK.search(text)
    return found[1].replace("\r\n", "\n") if found else None


def put_block(text: str, content: str) -> str:
    """With that in our block, which is made at the end where it is missing."""
    written = f"{BEGIN}\n{content}{END}\n"
    if _BLOCK.search(text):
        return _BLOCK.sub(lambda _: written, text, count=1)
    return f"{_ended(text)}{written}"


def remove_block(text: str) -> str:
    return _BLOCK.sub("", text, count=1)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
