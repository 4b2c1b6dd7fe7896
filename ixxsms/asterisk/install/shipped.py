"""The files that come with the package and go to a PBX, made fit for the place where this package is installed."""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import ixxsms
from ixxsms.asterisk.install.root import Root
from ixxsms.errors import Error

_MARK = Path("initscripts") / "ixxmassivesms"


def folder() -> Path:
    """Where the shipped files lie: in share/ixxsms of the installation, or in the checkout that is being worked in."""
    checkout = Path(ixxsms.__file__).resolve().parent.parent
    places = [checkout, Path(sysconfig.get_path("data"), "share", "ixxsms"), Path(sys.prefix, "share", "ixxsms")]
    for place in places:
        if (place / _MARK).is_file():
            return place
    raise Error("This installation of ixxsms lacks the files for a PBX; install it again from its wheel.")


def python(root: Root) -> str:
    """The interpreter of this installation, as the system in `root` calls it."""
    return root.path_of(Path(sys.executable).absolute())


def program(root: Root, name: str) -> str:
    """A command of this installation, as the system in `root` calls it."""
    return root.path_of(Path(sysconfig.get_path("scripts")).absolute() / name)


def with_python(script: bytes, interpreter: str) -> bytes:
    """The AGI script, run by that interpreter instead of the one in its first line.

    Asterisk's SIGHUP, when the caller hangs up, ends an interpreter that is just starting, and his SMS with it. A shell
    that says "ignore it" is there in a millisecond. To Python its lines are a text; and a path may be long in them.
    """
    _, _, rest = script.partition(b"\n")
    return f"#!/bin/sh\n''':'\ntrap '' HUP\nexec \"{interpreter}\" \"$0\" \"$@\"\n'''\n".encode() + rest


def with_program(text: str, path: str) -> str:
    """A unit or a defaults file, starting that program."""
    return re.sub(r"^(ExecStart=|DAEMON=)\S+", lambda found: found[1] + _quoted(path, found[1]), text, flags=re.M)


def _quoted(path: str, for_name: str) -> str:
    if " " not in path:
        return path
    return f'"{path}"' if for_name == "DAEMON=" else path.replace(" ", "\\x20")
