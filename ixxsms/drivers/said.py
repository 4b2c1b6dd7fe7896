"""What the other side said, made fit for a reason: it is hostile, of any length, and may hold what it should not."""

from __future__ import annotations

import re
from collections.abc import Iterable

KEPT = 200  #: characters that are kept
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd]+")


def clean(said: str, secrets: Iterable[str] = ()) -> str:
    """Bounded, in one line, without what steers a terminal, and without the secrets that it repeats."""
    said = said[: 4 * KEPT]
    for secret in secrets:
        said = said.replace(secret, "***") if secret else said
    return _UNSEEN.sub(" ", said).strip()[:KEPT]
