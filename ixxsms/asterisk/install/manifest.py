"""What was installed last time: by it, a file that an administrator has changed is told from one that is ours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ixxsms.errors import Error

#: Where it lies in the system.
PATH = "/var/lib/ixxsms/installed.json"
MODE = 0o644


def digest(data: bytes | str) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data).hexdigest()


@dataclass
class Manifest:
    """Every path is the system's own. A change is here before it is made: whoever is killed leaves nothing unknown.

    files and blocks: path -> SHA-256 of what we wrote. earlier: path -> that of what stood there while it was being
    replaced. lines: path -> the lines that we added. made: files of others that were not there before we wrote into
    them. folders: those that were not there before.
    """

    files: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def is_ours(self, path: str, content: bytes | str) -> bool:
        """Whether the file, or the block in it, is as we wrote it."""
        return digest(content) in (self.files.get(path), self.blocks.get(path), self.earlier.get(path))

    def forget(self) -> None:
        """What is about files, blocks and lines that are ours no more; folders too where none of those is left."""
        self.earlier = {path: old for path, old in self.earlier.items() if path in self.files or path in self.blocks}
        self.made = [path for path in self.made if path in self.lines or path in self.blocks]
        if not (self.files or self.blocks or self.lines):
            self.folders = []

    def dump(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


def parse(text: str) -> Manifest:
    """Raises Error for what is no manifest: to take that for an empty one would overwrite an administrator's files."""
    if not text:
        return Manifest()
    try:
        values: Any = json.loads(text)
        found = Manifest(**values)
        for name, value in asdict(Manifest()).items():
            if type(getattr(found, name)) is not type(value):
                raise TypeError(name)
    except (ValueError, TypeError) as error:
        raise Error(f"The list of what was installed, {PATH}, is damaged; move it away to install anew.") from error
    return found
