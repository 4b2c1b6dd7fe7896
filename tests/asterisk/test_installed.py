"""What `ixxsms asterisk install` writes is read by a real Asterisk: dialplan, manager user, AGI folder."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from asterisks import Asterisk

ROOT = Path(__file__).parents[2]


def install(folder: Path, kind: str, port: int) -> Path:
    """Install into a root of that kind; returns its /etc/asterisk."""
    etc = folder / "etc" / "asterisk"
    etc.mkdir(parents=True)
    (etc / "asterisk.conf").write_text("[directories]\nastagidir => /agi-bin\n")
    custom = "#include manager_custom.conf\n" if kind == "freepbx" else ""
    (etc / "manager.conf").write_text(f"[general]\nenabled=yes\nbindaddr=127.0.0.1\nport={port}\n{custom}")
    (etc / "manager_custom.conf").write_text("")
    (etc / "extensions.conf").write_text(
        "[default]\nexten => 1,1,NoOp()\n" + ("#include extensions_custom.conf\n" if kind == "freepbx" else "")
    )
    (etc / "extensions_custom.conf").write_text("")
    command = [sys.executable, "-m", "ixxsms", "asterisk", "install", "--root", folder, f"--{kind}"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return etc


@pytest.mark.parametrize("kind", ["plain", "freepbx"])
def test_asterisk_takes_the_dialplan_and_lets_the_manager_user_in(asterisk_root, tmp_path, kind):
    asterisk = Asterisk(asterisk_root)
    etc = install(tmp_path, kind, asterisk.ami_port)
    for file in etc.glob("*.conf"):
        if file.name != "asterisk.conf":
            (asterisk.home / "etc" / file.name).write_bytes(file.read_bytes())
    with asterisk:
        assert "ixxsms" in asterisk.rx("dialplan show sub-ixxsms-send")
        user = asterisk.rx("manager show user ixxsms")
        assert re.search(r"write perm: +user,originate,message", user), user
        settings = (tmp_path / "etc/ixxsms/ixxsms.conf").read_text()
        secret = re.search(r"^ami_secret = (.*)$", settings, re.M)[1]
        port = int(re.search(r"^ami_port = (.*)$", settings, re.M)[1])
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            login = f"Action: Login\r\nUsername: ixxsms\r\nSecret: {secret}\r\n\r\n"
            command = "Action: Command\r\nCommand: core show version\r\n\r\nAction: Logoff\r\n\r\n"
            connection.sendall((login + command).encode())
            answer = connection.makefile("rb").read().decode()
    assert "Authentication accepted" in answer
    assert "Permission denied" in answer
