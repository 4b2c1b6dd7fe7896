"""The manager user: where it goes, what it may do, and the secret that it has already."""

from __future__ import annotations

import re
import secrets
from pathlib import PurePath
from typing import NamedTuple

from ixxsms.asterisk.install import conf, lines
from ixxsms.asterisk.install.layout import Layout
from ixxsms.asterisk.install.root import Root

USER = "ixxsms"
PORT = "5038"
FILE = "manager_ixxsms.conf"

#: It can neither run commands, nor read or write variables and settings, and it logs in from this machine only.
_SECTION = """\
[{user}]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,user,cdr,agent
write = user,originate,message
{filters}
writetimeout = 1000
"""
_EVENTS = ("UserEvent", "Cdr", "Hangup", "DialEnd", "QueueCallerAbandon", "MessageWaiting", "OriginateResponse")
_FILTERS = "\n".join(f"eventfilter = Event: {name}" for name in (*_EVENTS, "FullyBooted"))


class Place(NamedTuple):
    """The file that gets the user: as a block in a file of the administrator, or as a file of ours."""

    path: str
    is_block: bool
    included_by: str = ""  # the file that needs a line to include ours


class Found(NamedTuple):
    """What Asterisk's own files say already."""

    secret: str
    elsewhere: str  # the file that has a user of this name which is not ours
    enabled: bool
    port: str


def place(root: Root, layout: Layout) -> Place:
    if layout.custom:
        return Place(f"{layout.etc}/manager_custom.conf", is_block=True)
    for include in conf.includes(root.read(f"{layout.etc}/manager.conf")):
        if re.search(r"(^|/)manager\.d/\*\.conf$", include.name):
            folder = PurePath(layout.etc) / PurePath(include.name).parent
            if ".." in folder.parts:
                folder = PurePath(root.path_of(root.at(folder)))
            return Place(f"{folder}/ixxsms.conf", is_block=False)
    return Place(f"{layout.etc}/{FILE}", is_block=False, included_by=f"{layout.etc}/manager.conf")


def find(root: Root, layout: Layout, own: Place) -> Found:
    """Look through manager.conf with all that it includes, and the file that is ours to be."""
    texts = {**dict(conf.with_includes(root, layout.etc, "manager.conf")), own.path: root.read(own.path)}
    secret = elsewhere = ""
    for path, text in texts.items():
        is_own = root.at(path) == root.at(own.path)
        others = lines.remove_block(text) if is_own and own.is_block else text
        secret = conf.value(text, USER, "secret") or secret
        if any(entry.section == USER for entry in conf.entries(others)) and (not is_own or own.is_block):
            elsewhere = path
    general = "\n".join(texts.values())
    enabled = conf.value(general, "general", "enabled").lower() in ("yes", "true", "on", "1", "y", "t")
    return Found(secret, elsewhere, enabled, conf.value(general, "general", "port") or PORT)


def section(secret: str) -> str:
    return _SECTION.format(user=USER, secret=secret.replace(";", "\\;"), filters=_FILTERS)


def new_secret() -> str:
    return secrets.token_urlsafe(32)
