"""Error codes on every database: what they mean on a trunk, and how often they came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ixxsms import codes, trunks
from ixxsms.errors import BadInput, NotFound
from ixxsms.models import CodeCount

NOW = 1_800_000_000.0
HOSTILE = "a\0b\ud800c" * 200


@pytest.fixture
def trunk_id(database):
    with database.write() as session:
        return trunks.add(session, "one", "smpp", script_dir="", host="127.0.0.1").id


def note(database, trunk_id, *seen, now=NOW):
    with database.write() as session:
        codes.note(session, trunk_id, seen, now)


def table(database, name="one"):
    with database.read() as session:
        return {view.code: view for view in codes.table(session, name)}


def test_every_error_is_counted_with_its_last_time_and_reason(database, trunk_id):
    note(database, trunk_id, ("0x58", "too fast"), ("0x58", "too fast"), ("0x14", "full"))
    note(database, trunk_id, ("0x58", "too fast again"), now=NOW + 5)
    note(database, trunk_id)
    found = table(database)
    assert (found["0x58"].count, found["0x58"].last_at) == (3, NOW + 5)
    assert (found["0x14"].count, found["0x14"].last_at) == (1, NOW)
    assert found["0x0B"].count == 0
    with database.read() as session:
        assert session.get(CodeCount, (trunk_id, "0x58")).last_reason == "too fast again"


def test_senders_that_count_at_the_same_time_lose_nothing(database, trunk_id):
    both = [("0x58", "too fast"), ("0x14", "full")]

    def count(seen):
        for _ in range(20):
            note(database, trunk_id, *seen)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, [both, both[::-1], both, both[::-1]]))
    assert [table(database)[code].count for code in ("0x58", "0x14")] == [80, 80]


def test_a_code_that_only_came_is_in_the_table_too(database, trunk_id):
    note(database, trunk_id, ("0x0499", "an error that only the provider knows (0x0499)"), (HOSTILE, HOSTILE))
    view = table(database)["0x0499"]
    assert (view.klass, view.origin, view.count) == ("next", "", 1)


def test_a_class_is_changed_and_reset_and_the_provider_stands_between(database, trunk_id):
    with database.write() as session:
        codes.change(session, "one", {"0x14": "throttle", "1025": "next"}, script_dir="", provider="hollatags")
    found = table(database)
    assert [(found[code].klass, found[code].origin) for code in ("0x14", "0x0401", "0x0402", "0x0B")] == [
        ("throttle", "trunk"),
        ("next", "trunk"),
        ("stop", "hollatags"),
        ("permanent", "default"),
    ]
    with database.write() as session:
        codes.change(session, "one", {"0x45": "retry"}, script_dir="")  # the others stay
    assert table(database)["0x14"].origin == "trunk"
    with database.write() as session:
        assert codes.reset(session, "one", script_dir="").version == 4
    found = table(database)
    assert (found["0x14"].klass, found["0x0401"].origin) == ("retry", "hollatags")


def test_what_cannot_be_changed_is_refused(database, trunk_id):
    for classes in ({"0x14": "never"}, {"x": "stop"}, {"": ""}):
        with pytest.raises(BadInput, match="0x14=throttle"), database.write() as session:
            codes.change(session, "one", classes, script_dir="")
    with pytest.raises(NotFound), database.write() as session:
        codes.change(session, "two", {"0x14": "stop"}, script_dir="")


def test_a_trunk_without_a_table_shows_what_came(database, tmp_path):
    script = tmp_path / "s.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with database.write() as session:
        trunk_id = trunks.add(session, "modem", "script", script_dir=str(tmp_path), script="s.sh").id
    note(database, trunk_id, ("7", "no credit"))
    view = table(database, "modem")["7"]
    assert (view.klass, view.meaning, view.count) == ("", "no credit", 1)
    with pytest.raises(BadInput, match="only SMPP trunks have a table"), database.write() as session:
        codes.reset(session, "modem", script_dir=str(tmp_path))


def test_the_counts_go_with_their_trunk(database, trunk_id):
    note(database, trunk_id, ("0x58", "too fast"))
    with database.write() as session:
        trunks.remove(session, "one")
        assert session.query(CodeCount).count() == 0
