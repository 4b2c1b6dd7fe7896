"""The schema: what the migrations make is what the models say, on every database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import KINDS, new_database
from users import as_nobody, closed_folder, needs_root

import ixxsms
from ixxsms import pbx, schema
from ixxsms.db import Database
from ixxsms.errors import ConfigError, DatabaseError
from ixxsms.models import Base


@pytest.fixture(params=KINDS)
def empty(request, server, tmp_path):
    kind = request.param
    url = f"sqlite:///{tmp_path / 'empty.db'}" if kind == "sqlite" else new_database(server(kind), "ixxsms_empty")
    database = Database(url)
    yield database
    database.close()


def check_url(url):
    schema.check(Database(url))


def test_the_migrations_make_what_the_models_say(empty):
    assert schema.upgrade(empty)
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert not schema.upgrade(empty)
    schema.check(empty)


def test_a_server_that_is_too_old_is_refused_before_anything_is_made(empty, monkeypatch):
    kind = empty.url.get_backend_name()
    with empty.engine.connect() as connection:
        found = connection.dialect.server_version_info
    monkeypatch.setattr(empty.engine.dialect, "server_version_info", (10, 5, 21))
    if kind == "sqlite":
        assert schema.upgrade(empty)
        return
    for attempt in (schema.upgrade, schema.check):
        with pytest.raises(DatabaseError, match=r"^The database server is \w+ 10.5.21; 1[01][.\d]* is the oldest that"):
            attempt(empty)
    monkeypatch.setattr(empty.engine.dialect, "server_version_info", found)
    assert schema.upgrade(empty)


def test_the_newest_revision_is_the_one_that_the_program_asks_for():
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_current_head() == schema.HEAD


def test_a_database_without_our_tables_is_refused(tmp_path):
    file = tmp_path / "other.db"
    sqlite3.connect(file).close()
    file.touch()
    with pytest.raises(DatabaseError, match="has not been set up; run: ixxsms init"):
        schema.check(Database(f"sqlite:///{file}"))


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path):
    file = tmp_path / "nowhere.db"
    with pytest.raises(DatabaseError, match="There is no database"):
        schema.check(Database(f"sqlite:///{file}"))
    assert not file.exists()


@needs_root
@pytest.mark.parametrize("use", [check_url, pbx.open_pbx])
def test_a_database_in_a_folder_that_a_user_may_not_enter_is_one_sentence(tmp_path, use):
    file = closed_folder(tmp_path) / "ixxsms.db"
    ixxsms.open(f"sqlite:///{file}").close()
    with pytest.raises(DatabaseError, match=rf"^The database {file} cannot be used: Permission denied\.$"):
        as_nobody(use, f"sqlite:///{file}")


def test_the_database_file_is_not_for_everybody(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'sub' / 'ixxsms.db'}")
    schema.upgrade(database)
    assert (tmp_path / "sub" / "ixxsms.db").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "cannot be read"),
        ("oracle5://user:hidden@host/x", "unknown kind of database"),
        ("sqlite://", "in memory cannot be shared"),
        ("mysql://user:hidden@127.0.0.1:1/x", "cannot be used"),
        ("postgresql://user:hidden@127.0.0.1:1/x", "cannot be used"),
        ("sqlite:////nowhere/at/all.db", "cannot be used"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_sentence_without_its_password(url, sentence):
    with pytest.raises((ConfigError, DatabaseError), match=sentence) as caught:
        Database(url).is_empty()
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
