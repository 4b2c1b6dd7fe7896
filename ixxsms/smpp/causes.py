"""What the error code of a receipt means where the provider uses GSM's own numbers (3GPP TS 29.002), as many do.

Many others number their causes as they like, so the words are only ever shown beside the code, as GSM's: nothing is
decided by them.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources


@cache
def _table() -> dict[int, str]:
    text = resources.files("ixxsms").joinpath("data/gsm_causes.csv").read_text("utf-8")
    return {int(row["code"]): row["meaning"] for row in csv.DictReader(text.splitlines())}


def cause(err: str) -> str:
    """GSM's words for the err of a receipt; empty for what GSM does not have."""
    return _table().get(int(err), "") if err.isascii() and err.isdigit() and len(err) <= 4 else ""
