"""A system's own root folder: its paths as the system itself would follow them, its users, files written whole.

Links are followed as if the system ran from there, so that an absolute link in an image never leads to this machine's
files. Knows nothing of Asterisk.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from ixxsms.errors import Error

_LINKS = 40


class Owner(NamedTuple):
    """The names that a file is to belong to."""

    user: str
    group: str


OF_ROOT = Owner("root", "root")


class Root:
    """The folder that is "/" to the system in it."""

    def __init__(self, top: Path) -> None:
        self.top = top.resolve()
        self.is_this_machine = self.top == Path("/")
        self._users = self._ids("etc/passwd")
        self._groups = self._ids("etc/group")
        self._instead = (0, 0)

    def at(self, path: str | PurePath, *, follow: bool = True, wary: bool = False) -> Path:
        """Where a path of the system lies here, without any link in it. `follow`: also what its last name links to.

        `wary`: for what is to be changed there. Raises Error where a link on the way leads out of its owner's own.
        """
        todo = [part for part in reversed(PurePath(path).parts) if part != "/"]
        found, links = self.top, 0
        while todo:
            part = todo.pop()
            if part == "..":
                found = found if found == self.top else found.parent
                continue
            found = found / part
            if not found.is_symlink() or (not todo and not follow):
                continue
            links += 1
            if links > _LINKS:
                raise Error(f"{path} cannot be used: its links lead in a circle.")
            if wary:
                self._mistrust(found)
            target = Path(os.readlink(found))
            found = self.top if target.is_absolute() else found.parent
            todo += [part for part in reversed(target.parts) if part != "/"]
        return found

    def _mistrust(self, link: Path) -> None:
        """The folders of Asterisk belong to its user: a link that he has made must not take root to what is not his."""
        owner, path = link.lstat().st_uid, self.path_of(link)
        target = self.at(path)
        if owner not in (0, os.geteuid()) and not (target.exists() and target.stat().st_uid == owner):
            raise Error(
                f"{path} is not followed: it is a link of user {owner}, and what it leads to is missing or not his;"
                f" remove the link, or give it to root: chown -h root {path}"
            )

    def path_of(self, real: Path) -> str:
        """What the system itself calls a file that lies here."""
        return "/" + str(real.relative_to(self.top)) if real.is_relative_to(self.top) else str(real)

    def exists(self, path: str | PurePath) -> bool:
        return self.at(path).exists()

    def is_folder(self, path: str | PurePath) -> bool:
        return self.at(path).is_dir()

    def read(self, path: str | PurePath, *, wary: bool = False) -> str:
        """The text of a file, "" where there is none. Whatever its encoding, its bytes come back when it is written.

        `wary`: as for `at`. For what is written back: a secret must not go where a link led only while it was read.
        """
        found = self.at(path, wary=wary)
        if not found.is_file():
            return ""
        with open(found, "rb", opener=_open_itself) as file:
            return file.read().decode("utf-8", "surrogateescape")

    def has_user(self, name: str) -> bool:
        return name in self._users

    def has_group(self, name: str) -> bool:
        return name in self._groups

    def stand_in(self, owner: Owner, folder: str) -> None:
        """Who stands for names that the system does not have: this owner, or the folder's where he is unknown too."""
        about = self.at(folder).stat()
        self._instead = self._users.get(owner.user, about.st_uid), self._groups.get(owner.group, about.st_gid)

    def ids(self, owner: Owner) -> tuple[int, int] | None:
        """The numbers of an owner; None where this process may not give files away."""
        if os.geteuid() != 0:
            return None
        return self._users.get(owner.user, self._instead[0]), self._groups.get(owner.group, self._instead[1])

    def _ids(self, file: str) -> dict[str, int]:
        found = {"root": 0}
        for line in self.read(file).splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[2].isdigit():
                found[fields[0]] = int(fields[2])
        return found


def write_whole(path: Path, data: bytes, mode: int, ids: tuple[int, int] | None) -> None:
    """Put a file in place in one step, with mode and owner: nobody ever sees half of it, or reads a secret early."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if ids is not None:
                os.fchown(file.fileno(), *ids)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def set_owner(path: Path, mode: int, ids: tuple[int, int] | None) -> None:
    """Give a file or folder its mode and owner; no link that has come in its place."""
    handle = _open_itself(path, os.O_RDONLY)
    try:
        if ids is not None:
            os.fchown(handle, *ids)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _open_itself(path: str | Path, flags: int) -> int:
    """Open what was no link when it was looked at. Raises Error where it is one now."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Error(f"{path} has become a link meanwhile; look who makes it, and try again.") from error


def kept(found: os.stat_result) -> tuple[int, int] | None:
    """The owner that a file keeps when it is written anew; None where this process may not give files away."""
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 else None


def is_plain_file(path: Path) -> bool:
    """Whether the name itself is a file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
