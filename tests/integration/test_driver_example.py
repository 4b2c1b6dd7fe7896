"""The driver of docs/drivers.md, installed beside ixxsms as any package would be, sends through the real programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)  # each test runs some ten programs

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.S)
    assert found
    return found.group(1)


@pytest.fixture
def run(tmp_path: Path):
    """Runs a program of ours where the example's package is installed; gives what it printed."""
    site = tmp_path / "site"
    package = tomllib.loads(block("toml"))
    info = site / "ixxsms_file-1.0.dist-info"
    info.mkdir(parents=True)
    project = package["project"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "\n".join(f"{kind} = {value}" for kind, value in project["entry-points"]["ixxsms.drivers"].items())
    (info / "entry_points.txt").write_text(f"[ixxsms.drivers]\n{points}\n")
    (site / "ixxsms_file.py").write_text(block("python"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IXXSMS_")}
    environ |= {"PYTHONPATH": str(site), "IXXSMS_CONFIG": str(tmp_path / "ixxsms.conf"), "IXXSMS_FASTAGI_PORT": "0"}
    environ |= {
        "IXXSMS_DATABASE_URL": f"sqlite:///{tmp_path / 'sms.db'}",
        "IXXSMS_SCRIPT_DIR": str(tmp_path / "scripts"),
    }

    def program(*words: str, code: int = 0) -> str:
        module = "ixxsms.daemon" if words[0] == "ixxmassivesms" else "ixxsms"
        done = subprocess.run(
            [sys.executable, "-m", module, *words[1:]],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    program.site = site
    program("ixxsms", "init")
    program("ixxsms", "numbering", "set", "--country", "ES")
    return program


def commands() -> list[list[str]]:
    import shlex

    lines = re.search(r"```\n(pip install.*?)```", DOCUMENT, re.S)
    assert lines
    return [shlex.split(line) for line in lines.group(1).splitlines()[1:]]


def test_the_example_sends_with_the_commands_of_the_document(run, tmp_path):
    file = tmp_path / "messages.jsonl"
    said = [run(*(word.replace("/tmp/messages.jsonl", str(file)) for word in words)) for words in commands()]
    assert "The file that messages are appended to." in said[0]
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"to": "34600123456", "from": "", "text": "A first message"}
    ]
    assert "accepted" in run("ixxsms", "outbox")
    assert "file" in run("ixxsms", "trunk", "kinds").split()
    assert str(file) in run("ixxsms", "trunk", "show", "spool")
    # A single send without a daemon goes the same way.
    assert "accepted" in run("ixxsms", "send", "600123457", "now").lower()
    assert len(file.read_text().splitlines()) == 2


def test_a_package_that_breaks_later_stops_its_own_trunk_only(run, tmp_path):
    run("ixxsms", "trunk", "add", "spool", "--kind", "file", "--option", f"file={tmp_path / 'a'}")
    (run.site / "ixxsms_file.py").write_text("raise RuntimeError('broken on purpose')")
    script = tmp_path / "scripts" / "ok"
    script.write_text("#!/bin/sh\necho '0;ok;0;0'\n")
    script.chmod(0o755)
    run("ixxsms", "trunk", "add", "modem", "--kind", "script", "--script", "ok", "--priority", "2")
    run("ixxsms", "send", "600123456", "x", "--queue")
    run("ixxmassivesms", "--drain")
    assert "accepted" in run("ixxsms", "outbox")
    shown = json.loads(run("ixxsms", "trunk", "show", "spool", "--json"))["stopped_reason"]
    assert shown.startswith(
        'The driver for the kind "file" (ixxsms_file of ixxsms-file) cannot be loaded: RuntimeError'
    )
    assert "has no option" in run("ixxsms", "trunk", "edit", "modem", "--option", "colour=red", code=1)
