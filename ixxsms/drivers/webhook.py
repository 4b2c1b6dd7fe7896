"""What a driver may hear over HTTP: one call of the webhook, and the secret that opens it. Values, no sockets.

A driver of a kind with webhooks has two more names: read_webhook(config, call), which gives the receipts and incoming
SMS of a call or raises BadInput, and, where calls can be signed, signed(config, call): True, False, or None where
the trunk's calls show the token instead.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

#: The path of a trunk's webhook is this, its name and, where the caller cannot send a header, its token.
PATH = "/hook/"


@dataclass(frozen=True)
class Call:
    """One request to the webhook. `url` is as the caller knows it. No repr shows it: it holds the token."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)  #: by name in small letters
    body: bytes = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)


def token(name: str, password: str) -> str:
    """The secret of a trunk's webhook: 32 hexadecimal digits that follow from its password, and not the reverse."""
    return hmac.new(password.encode(), f"webhook of the trunk {name}".encode(), hashlib.sha256).hexdigest()[:32]


def address(base: str, name: str, password: str) -> str:
    """Where a trunk's receipts and incoming SMS go; empty without a webhook, or without a password to guard it."""
    if not base or not password:
        return ""
    return f"{base.rstrip('/')}{PATH}{quote(name, safe='')}/{token(name, password)}"
