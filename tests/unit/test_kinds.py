"""The kinds of trunk: our own, and what other packages add by an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ixxsms.drivers import kinds
from ixxsms.drivers.base import TrunkConfig
from ixxsms.errors import BadInput, Error

GOOD = """
OPTIONS = {"colour": ("red", "Which one.")}
def check_options(options): return {"colour": "red", **options}
def open_driver(config): return config.name
def preset(name): return {"colour": name}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a package of that name and code whose driver serves the kind."""
    monkeypatch.syspath_prepend(tmp_path)
    installed: list[str] = []

    def make(kind: str, code: str, package: str = "acme_sms") -> None:
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ixxsms.drivers]\n{kind} = {package}\n")
        installed.append(package)

    yield make
    for package in installed:
        sys.modules.pop(package, None)


def test_every_own_kind_has_what_a_driver_needs():
    for kind in kinds.OWN:
        assert all(option.help.endswith(".") for option in kinds.options(kind))
    assert kinds.kinds()[: len(kinds.OWN)] == list(kinds.OWN)


def test_another_package_adds_a_kind(install):
    install("acme", GOOD)
    assert "acme" in kinds.kinds()
    assert kinds.options("acme") == [("colour", "red", "Which one.")]
    assert kinds.check_options("acme", {"colour": "blue"}, "/nowhere") == {"colour": "blue"}
    assert kinds.preset("acme", "green") == {"colour": "green"}
    assert kinds.open_driver(TrunkConfig("t", "acme", {})) == "t"


def test_an_own_kind_cannot_be_replaced(install):
    install("script", GOOD)
    assert kinds.kinds().count("script") == 1
    assert "colour" not in [option.name for option in kinds.options("script")]


def test_a_kind_that_nobody_serves_is_told_with_those_there_are():
    with pytest.raises(BadInput, match='"pigeon" is no kind of trunk; there are smpp'):
        kinds.check_options("pigeon", {}, "/nowhere")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import nothing_of_this_name", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("raise RuntimeError('two\\nlines')", "cannot be loaded: RuntimeError: two lines."),
        ("def (", "cannot be loaded: SyntaxError"),
        ("OPTIONS = {}", r"\(acme_sms of acme_sms\) has no check_options and no open_driver\."),
    ],
)
def test_a_broken_package_is_told_in_one_sentence_and_breaks_no_other(install, code, sentence):
    install("acme", code)
    with pytest.raises(BadInput, match=sentence) as raised:
        kinds.check_options("acme", {}, "/nowhere")
    assert "\n" not in str(raised.value)
    assert "acme" in kinds.kinds()
    with pytest.raises(BadInput, match="There is no provider preset"):
        kinds.preset("smpp", "nobody")


def test_a_driver_that_fails_in_its_own_way_is_told_in_one_sentence(install):
    install("acme", GOOD + "\ndef open_driver(config): raise KeyError('x')\ndef check_options(options): return 1 / 0\n")
    with pytest.raises(Error, match='The driver for the kind "acme" failed: KeyError'):
        kinds.open_driver(TrunkConfig("t", "acme", {}))
    with pytest.raises(Error, match="ZeroDivisionError"):
        kinds.check_options("acme", {}, "/nowhere")


def test_two_packages_for_one_kind_are_told(install):
    install("acme", GOOD)
    install("acme", GOOD, package="other_sms")
    with pytest.raises(BadInput, match='Several packages have a driver for the kind "acme"'):
        kinds.options("acme")


def test_a_kind_without_presets_says_so():
    with pytest.raises(BadInput, match="no presets for a trunk of the kind script"):
        kinds.preset("script", "x")
