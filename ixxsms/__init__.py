"""The SMS side of an Asterisk PBX.

    import ixxsms

    pbx = ixxsms.open()                    # the configuration of this machine, or a database URL
    pbx.send("600123456", "Your order is ready")

Importing this package is cheap; the database and the rest come with `open`.
"""

from __future__ import annotations

from ixxsms.errors import BadFile, BadInput, Busy, ConfigError, DatabaseError, Duplicate, Error, NotFound

TYPE_CHECKING = False  # not from typing: an AGI script would pay for its import, and for pathlib's, with each call
if TYPE_CHECKING:
    from pathlib import Path

    from ixxsms.pbx import Pbx

__version__ = "0.1.0"
__all__ = [
    "BadFile",
    "BadInput",
    "Busy",
    "ConfigError",
    "DatabaseError",
    "Duplicate",
    "Error",
    "NotFound",
    "open",
]


def open(source: str | Path | None = None) -> Pbx:
    """Open the SMS side of a PBX: by a database URL, by a configuration file, or that of this machine.

    Raises ConfigError and DatabaseError, each with one sentence.
    """
    from ixxsms.pbx import open_pbx

    return open_pbx(source)
