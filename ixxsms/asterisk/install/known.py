"""What an installation can have written, by place and name.

The list of what was installed lies where the daemon's user may write: it must not make root remove anything else.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from ixxsms.asterisk.install import layout as layouts
from ixxsms.asterisk.install import manager
from ixxsms.asterisk.install.installing import CONFIG, DAEMON, DIALPLAN, INIT_SCRIPT, LOG, STATE, UNIT_FOLDERS, UNITS
from ixxsms.asterisk.install.layout import Flavour, Layout
from ixxsms.asterisk.install.root import Root

_SCRIPT = r"ixxsms-[a-z]+\.agi"
_BESIDE = r"(?:\.new(?:\.disabled)?)?"


class Known:
    def __init__(self, root: Root, layout: Layout) -> None:
        self._etc = {layout.etc, layouts.ETC}
        self._agi = {layout.agi, *layouts.AGI}
        users = PurePath(manager.place(root, layout._replace(flavour=Flavour.PLAIN)).path)
        self._names = {
            **dict.fromkeys(self._agi, _SCRIPT),
            **{f"{folder}/manager.d": r"ixxsms\.conf" for folder in self._etc},
            str(users.parent): re.escape(users.name),
            **{folder: "|".join(map(re.escape, (DIALPLAN, manager.FILE))) for folder in self._etc},
            **dict.fromkeys(UNIT_FOLDERS, "|".join(map(re.escape, UNITS))),
            **dict.fromkeys(("/etc/default", "/etc/sysconfig", str(PurePath(INIT_SCRIPT).parent)), "ixxmassivesms"),
            "/etc/logrotate.d": "ixxsms",
            f"{STATE}/scripts": "sample",
        }

    def is_file(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folder in self._names and re.fullmatch(f"(?:{self._names[folder]}){_BESIDE}", name) is not None

    def is_block(self, path: str) -> bool:
        return path in {f"{folder}/manager_custom.conf" for folder in self._etc}

    def is_line(self, path: str, line: str) -> bool:
        """Our line may have been moved to any file of Asterisk's."""
        inside = any(PurePath(path).is_relative_to(folder) for folder in self._etc) and ".." not in PurePath(path).parts
        agi = "|".join(map(re.escape, self._agi))
        include = "|".join(re.escape(f"#include {name}") for name in (DIALPLAN, manager.FILE))
        return (
            inside and re.fullmatch(rf"{include}|file = (?:{agi})/{_SCRIPT},0755,{DAEMON},{DAEMON}", line) is not None
        )

    def is_folder(self, path: str) -> bool:
        ours = (*self._names, str(PurePath(CONFIG).parent), LOG)
        return any(PurePath(path) in (PurePath(folder), *PurePath(folder).parents) for folder in ours)
