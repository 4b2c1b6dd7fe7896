"""A whole system for a test: this machine's files seen through an overlay, with processes of its own.

Nothing that is done there reaches this machine's files, and its processes end with the test. Needs root.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from systems import eventually

ROOT = Path(__file__).parent.parent

HOLD = """
set -e
{network}
mount --make-rprivate /
mount -t tmpfs tmpfs {folder}
mkdir {folder}/upper {folder}/work {folder}/root
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root
cd {folder}/root
mount -t proc proc proc
mount --rbind /dev dev
for path in {paths}; do  # what lies on other disks is not in the overlay
    [ -n "$(ls -A ./$path 2>/dev/null)" ] || {{ mkdir -p ./$path; mount --bind $path ./$path; }}
done
rm -rf etc/ixxsms etc/default/ixxmassivesms etc/init.d/ixxmassivesms var/lib/ixxsms var/log/ixxsms opt/ixxsms
mkdir -p run/lock
touch {folder}/root/run/held
exec chroot . sleep 600
"""


def need_root() -> None:
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "this needs root"
        pytest.skip("needs root")


class System:
    """A system of its own without ixxsms, from which nothing comes back. `environ`: what its programs are started with.

    `network`: it has a loopback of its own and nothing else. `paths`: folders of this machine that it needs.
    """

    def __init__(self, folder: Path, stack: ExitStack, *, network: bool = False, paths: Iterable[Path] = ()) -> None:
        seen = " ".join(map(str, (ROOT, sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), *paths)))
        own = ["--mount", "--pid", *(["--net"] if network else [])]
        hold = HOLD.format(folder=folder, paths=seen, network="ip link set lo up" if network else "")
        command = ["unshare", *own, "--fork", "--kill-child", "/bin/sh", "-c", hold]
        holder = subprocess.Popen(command, stderr=subprocess.PIPE)
        stack.callback(holder.stderr.close)
        stack.callback(holder.wait)
        stack.callback(holder.kill)
        self._children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        eventually(lambda: holder.poll() is not None or self._is_held(), 10)
        assert holder.poll() is None, holder.stderr.read().decode()
        first = self._children.read_text().strip()
        self._enter = ["nsenter", "--target", first, *own, "--root", "--wd"]
        self.environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "SYSTEMD_OFFLINE": "1"}

    def _is_held(self) -> bool:
        child = self._children.read_text().strip()
        return bool(child) and Path(f"/proc/{child}/comm").read_text() == "sleep\n"

    def run(self, *command: str, code: int = 0, input: str | None = None) -> str:
        done = subprocess.run(
            [*self._enter, *command], env=self.environ, capture_output=True, text=True, timeout=60, input=input
        )
        assert done.returncode == code, f"{command}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str, mode: str = "644") -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"', "-", path, mode, input=text)
