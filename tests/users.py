"""Another user than the one of the tests, who are root in CI."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def as_nobody(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns or raises in a process of nobody's. It must have been imported: he may not read packages."""
    with ProcessPoolExecutor(1, get_context("fork"), _become_nobody) as pool:
        return pool.submit(work, *arguments).result()


def closed_folder(parent: Path) -> Path:
    """A folder like /etc/ixxsms: nobody may not even look what is there."""
    folder = parent / "closed"
    folder.mkdir(mode=0o750)
    return folder
