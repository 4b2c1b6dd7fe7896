"""What a trunk, a list or a campaign may be called."""

from __future__ import annotations

from ixxsms.errors import BadInput


def check_name(name: str, thing: str) -> str:
    """The name without outer blanks. Raises BadInput: empty, over 64 characters, or not printable."""
    name = name.strip()
    if not name:
        raise BadInput(f"The name of a {thing} must not be empty.")
    if len(name) > 64:
        raise BadInput(f"The name of a {thing} can have 64 characters at most.")
    if not name.isprintable():
        raise BadInput(f"The name of a {thing} must be printable.")
    return name
