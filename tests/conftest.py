"""What every test may ask for: a database of each kind, a plan, processes that end with the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import servers
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text

from ixxsms import numbering_plan, schema
from ixxsms.db import Database
from ixxsms.models import Base

KINDS = ("sqlite", "mariadb", "postgresql")

# The same examples every time, and no clock: a busy machine must not fail a test. `make fuzz` looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """All tests with Jasmin in one process, for its servers take seconds to start; others where there is room."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "jasmin" if "[jasmin" in nodeid else nodeid

    return Scheduling(config, log)


@contextmanager
def skipped_where_missing() -> Iterator[None]:
    """At home a test is skipped whose server is not installed; in CI it fails."""
    try:
        yield
    except servers.Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not installed; as root: apt-get install {missing}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Starts each server once, when a test first asks for it: server("mariadb") is a URL without a database."""
    started: dict[str, str] = {}
    with ExitStack() as stack:

        def start(kind: str) -> str:
            if kind not in started:
                started[kind] = stack.enter_context(servers.KINDS[kind]()).url
            return started[kind]

        def start_or_skip(kind: str) -> str:
            with skipped_where_missing():
                return start(kind)

        yield start_or_skip


@pytest.fixture(scope="session")
def set_up(server, tmp_path_factory: pytest.TempPathFactory) -> object:
    """set_up(kind): the URL of a database with our schema, made once; an SQLite one is a file to be copied."""
    made: dict[str, str] = {}

    def make(kind: str) -> str:
        if kind not in made:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('template') / 'ixxsms.db'}"
            else:
                url = new_database(server(kind), "ixxsms")
            database = Database(url)
            schema.upgrade(database)
            with database.write() as session:
                numbering_plan.change(session, country="ES")
            database.close()
            made[kind] = url
        return made[kind]

    return make


def new_database(server_url: str, name: str) -> str:
    """Create an empty database on a server; returns its URL."""
    entry = "/postgres" if server_url.startswith("postgresql") else "/mysql"
    engine = create_engine(server_url + entry, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server_url}/{name}"


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, set_up, tmp_path: Path) -> str:
    """An empty database with our schema and a Spanish numbering plan, of each kind in turn."""
    url = set_up(request.param)
    if request.param == "sqlite":
        file = tmp_path / "ixxsms.db"
        shutil.copy(url.removeprefix("sqlite:///"), file)
        return f"sqlite:///{file}"
    database = Database(url)
    with database.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        numbering_plan.change(session, country="ES")
    database.close()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()
