"""A plain Debian for a test: Asterisk as its package leaves it, and packages for pip where there is no network."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path

from namespaces import ROOT, System

#: That of root's shell.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WHEELHOUSES = ROOT / ".cache" / "wheelhouse"

#: The files of the package from where they were unpacked to where they belong, and what its scripts do. The program
#: runs with the libraries that it was built for, which lie where everybody may read them.
INSTALL_ASTERISK = """
set -e
mkdir -p /opt/asterisk
mount --bind {unpacked} /opt/asterisk
for folder in etc usr/lib usr/lib/x86_64-linux-gnu usr/share var/cache var/lib var/log var/spool run; do
    rm -rf /$folder/asterisk
    if [ -d /opt/asterisk/$folder/asterisk ]; then cp -r /opt/asterisk/$folder/asterisk /$folder/; fi
done
cat >/usr/sbin/asterisk <<'END'
#!/bin/sh
for lib in /opt/asterisk/lib /opt/asterisk/usr/lib; do
    own=$lib/x86_64-linux-gnu
    [ ! -e $own/ld-linux-x86-64.so.2 ] || exec $own/ld-linux-x86-64.so.2 \
        --library-path $own:/opt/asterisk/usr/lib/x86_64-linux-gnu:/opt/asterisk/usr/lib \
        /opt/asterisk/usr/sbin/asterisk "$@"
done
END
chmod 755 /usr/sbin/asterisk
id asterisk >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir /var/lib/asterisk --shell /usr/sbin/nologin asterisk
mkdir -p /run/asterisk /var/cache/asterisk
for folder in etc run var/cache var/lib var/log var/spool; do chown -R asterisk:asterisk /$folder/asterisk; done
"""


def install_asterisk(system: System, unpacked: Path) -> None:
    """Install what tests/unpack-asterisk has unpacked, with its own configuration files."""
    system.run("sh", "-c", INSTALL_ASTERISK.format(unpacked=unpacked.resolve()))


def wheelhouse() -> Path:
    """A folder with all that `pip install .` needs with this machine's python3; another one where it needs more."""
    python = shutil.which("python3", path=PATH)
    assert python, f"there is no python3 in {PATH}; as root: apt-get install python3-venv"
    version = _run(python, "-c", "import ensurepip, sys; print(sys.version)")
    wanted = _requirements()
    folder = WHEELHOUSES / hashlib.sha256("\n".join([version, *wanted]).encode()).hexdigest()[:16]
    if not folder.exists():
        WHEELHOUSES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=WHEELHOUSES) as made:
            _run(python, "-m", "venv", f"{made}/venv")
            _run(f"{made}/venv/bin/pip", "wheel", "--quiet", "--wheel-dir", f"{made}/wheels", *wanted)
            with suppress(OSError):  # another process was faster
                os.rename(f"{made}/wheels", folder)
    return folder


def _requirements() -> list[str]:
    """Of building and of running."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    building = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [*building, "wheel", *filter(None, setup["options"]["install_requires"].splitlines())]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
