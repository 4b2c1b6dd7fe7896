"""Every test here runs on both Asterisks, where tests/unpack-asterisk has unpacked them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SUITES = {"22": "sid", "16": "bullseye"}
CACHE = Path(os.environ.get("IXXSMS_ASTERISK_CACHE") or Path(__file__).parents[2] / ".cache/asterisk")


@pytest.fixture(scope="session", params=SUITES)
def asterisk_root(request: pytest.FixtureRequest) -> Path:
    """The folder that Asterisk was unpacked into; absent, it is skipped at home, and fails in CI."""
    root = CACHE / SUITES[request.param] / "root"
    if not root.exists():
        missing = f"Asterisk {request.param} is not in {root}; run tests/unpack-asterisk"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return root
