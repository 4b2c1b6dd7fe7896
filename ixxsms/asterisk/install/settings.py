"""The administrator's configuration file of ixxsms, as a text: values are filled in where there is none yet."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEADER = "[ixxsms]"


def value(text: str, name: str) -> str | None:
    """What the file says; None where it leaves the default."""
    found = [*re.finditer(rf"^{name}[ \t]*[=:](.*)$", text, re.M | re.I)]
    return found[-1][1].strip() if found else None


def fill(text: str, values: Mapping[str, str]) -> str:
    """With those of the values that the file does not have, each where its commented default stands or at the end."""
    if _HEADER not in text:
        text = f"{_HEADER}\n{text}"
    for name, new in values.items():
        if value(text, name) is not None:
            continue
        line = f"{name} = {new}"
        text, replaced = re.subn(rf"^#[ \t]*{name}[ \t]*=.*$", lambda _, line=line: line, text, count=1, flags=re.M)  # type: ignore[misc]
        if not replaced:
            text = f"{text.rstrip()}\n\n{line}\n"
    return text


def hint(text: str, name: str, comment: str) -> str:
    """With a comment above a setting, once."""
    if comment in text:
        return text
    return re.sub(rf"^(#[ \t]*)?{name}[ \t]*=", lambda found: f"# {comment}\n{found[0]}", text, count=1, flags=re.M)
