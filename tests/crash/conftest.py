"""Systems of real processes on a database of each kind, to be killed."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from systems import System


@pytest.fixture
def any_system(tmp_path, database_url):
    """The programs in a folder of their own, on a database of each kind in turn."""
    with ExitStack() as stack:
        made = System(tmp_path, database_url, stack)
        made.environ |= {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_LOG_LEVEL": "warning", "PYTHONDONTWRITEBYTECODE": "1"}
        made.ixxsms("init")
        yield made
