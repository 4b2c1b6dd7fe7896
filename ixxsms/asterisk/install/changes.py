"""The changes to a system, each of which is made once, named, and written into the manifest.

A file of ours that somebody has changed stays as it is, and the new one is put beside it. In other people's files only
our own lines are touched. Knows nothing of what is installed.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from ixxsms.asterisk.install import lines, manifest
from ixxsms.asterisk.install.lines import Line
from ixxsms.asterisk.install.manifest import digest
from ixxsms.asterisk.install.root import OF_ROOT, Owner, Root, is_plain_file, kept, set_owner, write_whole

CREATED, UPDATED, UNCHANGED, KEPT, REMOVED = "created", "updated", "unchanged", "kept", "removed"

_FOLDER = 0o755


class Action(NamedTuple):
    """What became of a path."""

    what: str
    path: str
    note: str = ""


class Changes:
    """Makes the changes, or with `dry_run` only names them in `actions`."""

    def __init__(self, root: Root, dry_run: bool) -> None:
        self.root, self.dry_run = root, dry_run
        self.manifest = manifest.parse(root.read(manifest.PATH))
        self.actions: list[Action] = []

    def _at(self, path: str, *, follow: bool = True) -> Path:
        return self.root.at(path, follow=follow, wary=True)

    def note(self, what: str, path: str, note: str = "") -> str:
        self.actions.append(Action(what, path, note))
        return what

    def save(self) -> None:
        """Write the manifest, or remove it where nothing is left of us."""
        if self.dry_run:
            return
        if not self.manifest:
            self._at(manifest.PATH, follow=False).unlink(missing_ok=True)
            return
        missing = self._missing(PurePath(manifest.PATH).parent)
        path, data = self._at(manifest.PATH, follow=False), self.manifest.dump()
        if not is_plain_file(path) or path.read_bytes() != data:
            self._make(missing)
            write_whole(path, data, manifest.MODE, self.root.ids(OF_ROOT))

    def _announce(self, path: str) -> None:
        """Before a file is written: say so in the manifest, and make the folder that it is to lie in."""
        missing = self._missing(PurePath(path).parent)
        self.save()
        self._make(missing)

    def _missing(self, folder: PurePath) -> list[str]:
        found = [str(path) for path in (folder, *folder.parents) if not self.root.is_folder(path)]
        for path in found:
            _once(self.manifest.folders, path)
        return found[::-1]

    def _make(self, folders: Sequence[str]) -> None:
        for path in folders:
            self._at(path).mkdir(mode=_FOLDER, parents=True, exist_ok=True)

    # -- what is ours -----------------------------------------------------------------------------------------------

    def folder(self, path: str, mode: int, owner: Owner) -> str:
        """One that exists stays as it is, unless it is still root's."""
        real = self._at(path)
        if real.is_dir():
            return self._given(path, real, mode, owner)
        _once(self.manifest.folders, path)
        if not self.dry_run:
            self._announce(path)
            real.mkdir(mode=mode, exist_ok=True)
            set_owner(real, mode, self.root.ids(owner))
        return self.note(CREATED, path)

    def give(self, path: str, mode: int, owner: Owner) -> None:
        """Give away a file that root has made, where there is one: with `ixxsms init`, for example."""
        real = self._at(path, follow=False)
        if is_plain_file(real):
            self._given(path, real, mode, owner)

    def file(self, path: str, data: bytes, mode: int, owner: Owner, *, beside: str = ".new") -> str:
        """A file of ours. `beside`: what the new one is called where an administrator has changed the old one."""
        real = self._at(path, follow=False)
        if not real.is_symlink() and not real.exists():
            what = CREATED
        elif not is_plain_file(real):
            return self._beside(path, data, mode, owner, beside, "is no plain file")
        elif (old := real.read_bytes()) == data:
            self.manifest.files[path] = digest(data)
            self.manifest.earlier.pop(path, None)
            return self._same(path, real, mode, owner)
        elif self.manifest.is_ours(path, old):
            self.manifest.earlier[path] = digest(old)
            what = UPDATED
        else:
            return self._beside(path, data, mode, owner, beside, "was changed here")
        self._write(path, real, data, mode, owner)
        return self.note(what, path)

    def _same(self, path: str, real: Path, mode: int, owner: Owner) -> str:
        found, ids = real.stat(), self.root.ids(owner)
        if stat.S_IMODE(found.st_mode) == mode and ids in (None, (found.st_uid, found.st_gid)):
            return self.note(UNCHANGED, path)
        if not self.dry_run:
            set_owner(real, mode, self.root.ids(owner))
        return self.note(UPDATED, path, "mode and owner")

    def _given(self, path: str, real: Path, mode: int, owner: Owner) -> str:
        """An administrator may have given it to others; what belongs to root, nobody has."""
        found, ids = real.stat(), self.root.ids(owner)
        if ids is None or (found.st_uid, found.st_gid) != (0, 0) or ids == (0, 0):
            return self.note(UNCHANGED, path)
        if not self.dry_run:
            set_owner(real, mode, self.root.ids(owner))
        return self.note(UPDATED, path, "mode and owner")

    def _beside(self, path: str, data: bytes, mode: int, owner: Owner, beside: str, why: str) -> str:
        real = self._at(path + beside, follow=False)
        if not is_plain_file(real) or real.read_bytes() != data:
            self._write(path + beside, real, data, mode, owner)
        return self.note(KEPT, path, f"it {why}; the new one is {path}{beside}")

    def _write(self, path: str, real: Path, data: bytes, mode: int, owner: Owner) -> None:
        self.manifest.files[path] = digest(data)
        if not self.dry_run:
            self._announce(path)
            write_whole(real, data, mode, self.root.ids(owner))
        self.manifest.earlier.pop(path, None)

    # -- what is others' --------------------------------------------------------------------------------------------

    def lines(self, path: str, wanted: Sequence[Line], owner: Owner, mode: int = 0o640) -> str:
        """Lines that the file is to have once. A line that was commented out stays so."""
        old = text = self.root.read(path, wary=True)
        off = [line.text for line in wanted if lines.is_commented_out(old, line)]
        for line in wanted:
            if line.text in off:
                continue
            if not lines.has(text, line):
                text = lines.add(text, line)
            elif line.text not in text.splitlines():
                continue
            _once(self.manifest.lines.setdefault(path, []), line.text)
        if text == old:
            return self.note(KEPT, path, f"{off[0]} was commented out here") if off else self.note(UNCHANGED, path)
        return self._rewrite(path, text, owner, mode)

    def block(self, path: str, content: str, owner: Owner, mode: int = 0o640) -> str:
        """Our block in the file. One that was changed stays as it is."""
        text = self.root.read(path, wary=True)
        old = lines.block(text)
        if old == content:
            self.manifest.blocks[path] = digest(content)
            self.manifest.earlier.pop(path, None)
            return self.note(UNCHANGED, path)
        if old is not None:
            if not self.manifest.is_ours(path, old):
                return self.note(KEPT, path, "the part of ixxsms was changed here")
            self.manifest.earlier[path] = digest(old)
        self.manifest.blocks[path] = digest(content)
        return self._rewrite(path, lines.put_block(text, content), owner, mode)

    def text(self, path: str, text: str, owner: Owner, mode: int) -> str:
        """The whole text of a file that belongs to the administrator and stays when we go."""
        real = self._at(path)
        if not real.exists() or self.root.read(path) != text:
            self._rewrite(path, text, owner, mode, ours=False)
            ids = self.root.ids(owner)
            if not self.dry_run and ids and real.stat().st_uid == 0:
                set_owner(real, mode, self.root.ids(owner))
            return self.actions[-1].what
        return self._given(path, real, mode, owner)

    def _rewrite(self, path: str, text: str, owner: Owner, mode: int, *, ours: bool = True) -> str:
        """Where the file is there already it keeps its owner and mode; one that stays when we go may hold secrets."""
        real = self._at(path)
        what = UPDATED if real.exists() else CREATED
        ids = self.root.ids(owner)
        if what == UPDATED:
            found = real.stat()
            mode = stat.S_IMODE(found.st_mode) & ~(0 if ours else 0o007)
            ids = kept(found)
        elif ours:
            _once(self.manifest.made, path)
        if not self.dry_run:
            self._announce(path)
            write_whole(real, text.encode("utf-8", "surrogateescape"), mode, ids)
        self.manifest.earlier.pop(path, None)
        return self.note(what, path)


def _once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
