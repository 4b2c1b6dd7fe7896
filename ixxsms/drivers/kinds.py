"""The kinds of trunk: which driver serves each, and which options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ixxsms.drivers import script, smpp
from ixxsms.drivers.base import Driver, TrunkConfig
from ixxsms.errors import BadInput

KINDS = ("smpp", "script")


def check_options(kind: str, options: Mapping[str, Any], script_dir: str | Path) -> dict[str, Any]:
    """The options of a trunk of this kind, complete with defaults. Raises BadInput with one sentence."""
    if kind == "smpp":
        return smpp.check_options(options)
    if kind == "script":
        return script.check_options(options, Path(script_dir))
    raise BadInput(f'"{kind}" is no kind of trunk; there are {" and ".join(KINDS)}.')


def open_driver(config: TrunkConfig) -> Driver:
    """A driver for this trunk; its link is not up yet."""
    if config.kind == "smpp":
        return smpp.SmppDriver(config)
    return script.ScriptDriver(config)
