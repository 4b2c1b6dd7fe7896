"""Systems for acceptance tests: on SQLite, or on a database of each kind."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from systems import System


@pytest.fixture
def system(tmp_path):
    with ExitStack() as stack:
        made = System(tmp_path, f"sqlite:///{tmp_path / 'ixxsms.db'}", stack)
        made.ixxsms("init")
        made.ixxsms("numbering", "set", "--country", "ES", "--mobile-prefixes", "6,7")
        yield made


@pytest.fixture
def any_system(tmp_path, database_url):
    """As `system`, on a database of each kind in turn."""
    with ExitStack() as stack:
        made = System(tmp_path, database_url, stack)
        made.ixxsms("init")
        yield made
