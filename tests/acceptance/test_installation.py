"""What `pip install .` puts on a machine is whole: it runs without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from what git tracks, so that a file that nobody committed is missed."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source"]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ixxsms/")}
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "ixxsms").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".mako"
    }
    assert expected - held == set()


def test_an_installed_copy_runs_without_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(site),
        "IXXSMS_CONFIG": str(tmp_path / "ixxsms.conf"),
        "IXXSMS_DATABASE_URL": f"sqlite:///{tmp_path / 'ixxsms.db'}",
        "IXXSMS_SCRIPT_DIR": str(tmp_path / "scripts"),
    }
    for arguments in (["init"], ["numbering", "set", "--country", "ES"], ["status"]):
        done = subprocess.run(
            [sys.executable, "-m", "ixxsms", *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "scripts" / "sample").stat().st_mode & 0o111
