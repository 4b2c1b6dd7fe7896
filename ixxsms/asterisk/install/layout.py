"""What kind of PBX a system is, and where its Asterisk keeps what."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import PurePath
from typing import NamedTuple

from ixxsms.asterisk.install import conf
from ixxsms.asterisk.install.root import Owner, Root
from ixxsms.errors import Error

ETC = "/etc/asterisk"
#: Debian's package is built with the first, everybody else's Asterisk with the second.
AGI = ("/usr/share/asterisk/agi-bin", "/var/lib/asterisk/agi-bin")


class Flavour(StrEnum):
    FREEPBX = "freepbx"
    ISSABEL = "issabel"
    PLAIN = "plain"


class Layout(NamedTuple):
    flavour: Flavour
    etc: str
    agi: str
    runs_as: Owner  # as asterisk.conf says; "" where it does not

    @property
    def custom(self) -> bool:
        """Whether a PBX program writes the configuration files, and leaves those named _custom to people."""
        return self.flavour is not Flavour.PLAIN

    @property
    def dialplan(self) -> str:
        """The file that is to include our dialplan."""
        return f"{self.etc}/{'extensions_custom.conf' if self.custom else 'extensions.conf'}"


def detect(root: Root) -> Flavour:
    if root.exists("/etc/issabel.conf") or root.exists("/etc/issabelpbx.conf"):
        return Flavour.ISSABEL
    if "issabel" in root.read("/etc/amportal.conf").lower():
        return Flavour.ISSABEL
    return Flavour.FREEPBX if root.exists("/etc/freepbx.conf") else Flavour.PLAIN


def read(root: Root, flavour: Flavour | None) -> Layout:
    """Raises Error where the system has no Asterisk."""
    layout = told(root, flavour)
    if not root.is_folder(layout.etc):
        raise Error(
            f"There is no Asterisk here: {layout.etc} is missing. Install Asterisk first, or name another --root."
        )
    _disbelieve(root, layout)
    return layout


def _disbelieve(root: Root, layout: Layout) -> None:
    """Where asterisk.conf is Asterisk's own user's to write, it must not take root to a folder that is not his."""
    writers = {root.at(path).stat().st_uid for path in (ETC, f"{ETC}/asterisk.conf") if root.exists(path)}
    for name, folder in (("astetcdir", layout.etc), ("astagidir", layout.agi)):
        there = next(path for path in (PurePath(folder), *PurePath(folder).parents) if root.exists(path))
        strangers = writers - {0, os.geteuid(), root.at(there).stat().st_uid}
        if strangers and folder not in (ETC, *AGI):
            raise Error(
                f"asterisk.conf names {folder} as {name}, which does not belong to user {min(strangers)}, who may write"
                f" that file: give him the folder, or give {ETC} and the file to root."
            )


def told(root: Root, flavour: Flavour | None) -> Layout:
    """What the files of the system say, though its Asterisk may have gone."""
    text = "\n".join(text for _, text in conf.with_includes(root, ETC, "asterisk.conf"))
    etc = conf.value(text, "directories", "astetcdir") or ETC
    agi = conf.value(text, "directories", "astagidir") or _default_agi(root, text)
    runs_as = Owner(conf.value(text, "options", "runuser"), conf.value(text, "options", "rungroup"))
    return Layout(flavour or detect(root), etc.rstrip("/"), agi.rstrip("/"), runs_as)


def _default_agi(root: Root, text: str) -> str:
    """What Asterisk was built with. Packages tell it in a template, which Asterisk itself does not read."""
    named = conf.value(text, "directories!", "astagidir")
    folders = [named, *AGI] if named else [*AGI]
    return next((folder for folder in folders if root.is_folder(folder)), named or AGI[1])
