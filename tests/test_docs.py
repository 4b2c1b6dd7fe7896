"""The documents are held to the code: what exists is documented, what is documented works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ixxsms.config import SETTINGS
from ixxsms.smpp.options import OPTIONS
from ixxsms.states import CampaignState, MessageState

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def every_command() -> list[tuple[str, list[str]]]:
    """("trunk add", its options) of every command that the program has."""
    import typer

    from ixxsms.cli import app

    found = []

    def walk(command, words):
        below = getattr(command, "commands", None)
        if below:
            for name, inner in below.items():
                walk(inner, [*words, name])
        else:
            options = [option for p in command.params for option in p.opts if option.startswith("--")]
            found.append((" ".join(words), options))

    walk(typer.main.get_command(app), [])
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_readme_with_its_help(setting):
    assert re.search(rf"^\| `{setting.name}` \|.*\| {re.escape(setting.help)} \|$", README, re.M)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_an_smpp_trunk_is_in_the_readme_with_its_help(name):
    default = "auto" if OPTIONS[name].default is None else OPTIONS[name].default
    shown = f"`{default}`" if default != "" else ""
    assert f"| `{name}` | {shown} | {OPTIONS[name].help} |" in README


def test_every_command_is_in_the_readme():
    for words, _ in every_command():
        assert re.search(rf"`?(ixxsms )?{words}\b", README), f"ixxsms {words} is not in README.md"


def test_every_command_and_option_has_help():
    import typer

    from ixxsms.cli import app

    def walk(command, words):
        assert command.help, f"{words} has no help"
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{words} {parameter.name} has no help"
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{words} {name}")

    walk(typer.main.get_command(app), "ixxsms")


@pytest.mark.parametrize("state", [*MessageState, *CampaignState])
def test_every_state_is_in_both_documents(state):
    assert f"`{state}`" in README
    assert str(state).replace("_", " ") in ARCHITECTURE


def test_the_python_example_prints_what_the_readme_says(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    expected = re.search(r"prints\n\n```\n(.*?)```", README, re.S).group(1)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("IXXSMS_")} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == expected


def test_every_dependency_has_its_reason():
    setup = (ROOT / "setup.cfg").read_text()
    wanted = re.search(r"install_requires =\n(.*?)\n\n", setup, re.S).group(1)
    wanted += "\nmysqlclient\npsycopg"
    for line in wanted.split("\n"):
        name = re.match(r" *([a-z0-9]+)", line).group(1)
        assert f"**{name}**" in ARCHITECTURE, f"ARCHITECTURE.md does not say why {name} is needed"


def test_everything_of_an_http_trunk_is_in_its_document():
    from ixxsms.drivers import http_presets
    from ixxsms.drivers.http import OPTIONS
    from ixxsms.drivers.http_answer import Class
    from ixxsms.drivers.http_template import PLACEHOLDERS
    from ixxsms.drivers.http_webhook import SIGNATURES

    document = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    words = [*OPTIONS, *http_presets.names(), *Class, *SIGNATURES, *(f"{{{name}}}" for name in PLACEHOLDERS)]
    assert [word for word in words if f"`{word}`" not in document] == []
