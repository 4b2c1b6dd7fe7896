"""The kinds of trunk: which driver serves each, and which options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ixxsms.drivers.base import Driver, TrunkConfig
from ixxsms.drivers.script import ScriptDriver
from ixxsms.drivers.script import check_options as check_script_options
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.drivers.smpp import check_options as check_smpp_options
from ixxsms.errors import BadInput

KINDS = ("smpp", "script")


def check_options(kind: str, options: Mapping[str, Any], script_dir: str | Path) -> dict[str, Any]:
    """The options of a trunk of this kind, complete with defaults. Raises BadInput with one sentence."""
    if kind == "smpp":
        return check_smpp_options(options)
    if kind == "script":
        return check_script_options(options, Path(script_dir))
    raise BadInput(f'"{kind}" is no kind of trunk; there are {" and ".join(KINDS)}.')


def open_driver(config: TrunkConfig) -> Driver:
    """A driver for this trunk; its link is not up yet."""
    if config.kind == "smpp":
        return SmppDriver(config)
    return ScriptDriver(config)
