"""The journal of what is on its way: after a crash it says what has left, or nothing."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ixxsms import journal
from ixxsms.errors import Error
from ixxsms.events import Accepted, Deferred, Heard, InDoubt, Refused, Warned
from ixxsms.journal import Journal, Life

LIFE = Life(4711, 1790000000.25)


@pytest.fixture
def kept(tmp_path):
    return Journal(tmp_path, LIFE, 3)


def said(folder, life=LIFE, trunk_id=None):
    """What is known when the process is dead: its files are there, its locks are not."""
    dead = folder.with_name("dead")
    shutil.rmtree(dead, ignore_errors=True)
    if folder.exists():
        shutil.copytree(folder, dead)
    return journal.known(dead, life, trunk_id)


@contextmanager
def no_file_may_grow_beyond(octets):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_claimed_and_not_handed_over_has_not_left(kept, tmp_path):
    kept.claimed([1, 2])
    kept.handed([1])
    assert said(tmp_path) == {(3, 2): Deferred(2, "", counted=False)}


def test_the_journal_of_one_that_lives_says_nothing(kept, tmp_path):
    kept.claimed([1, 2])
    assert journal.known(tmp_path, LIFE) == {}
    kept.renew([1], [])
    assert journal.known(tmp_path, LIFE) == {}
    kept.close()
    assert set(journal.known(tmp_path, LIFE)) == {(3, 1)}


def test_a_journal_that_is_written_anew_while_it_is_read_says_nothing(kept, tmp_path, monkeypatch):
    kept.claimed([1])
    locks = fcntl.flock

    def meanwhile(file, how):
        monkeypatch.undo()
        kept.renew([1], [])  # the file that was opened is locked by nobody now
        locks(file, how)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    assert journal.known(tmp_path, LIFE) == {}


def test_the_journal_of_another_process_says_nothing_before_it_has_ended(tmp_path):
    script = """
import sys
from pathlib import Path
from ixxsms.journal import Journal, Life
journal = Journal(Path(sys.argv[1]), Life(4711, 1790000000.25), 3)
journal.claimed([1])
print("claimed", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"claimed\n"
        assert journal.known(tmp_path, LIFE) == {}
        process.kill()
        process.wait()
        assert set(journal.known(tmp_path, LIFE)) == {(3, 1)}


def test_an_answer_is_known_word_for_word(kept, tmp_path):
    kept.claimed([1, 2, 3, 4])
    kept.handed([1, 2, 3, 4])
    answers = [Accepted(1, ("a", "ü\n")), Refused(2, "no such number", "0x0b"), Deferred(3, "busy", elsewhere=True)]
    kept.heard(Heard([*answers, Warned("of no message"), InDoubt(4, "silence")]))
    assert said(tmp_path) == {(3, 1): answers[0], (3, 2): answers[1], (3, 3): Deferred(3, "", counted=False)}


def test_a_message_that_is_claimed_again_is_what_it_became_last(kept, tmp_path):
    kept.claimed([1])
    kept.handed([1])
    kept.heard(Heard([Accepted(1, ("old",))]))
    kept.claimed([1])
    assert said(tmp_path) == {(3, 1): Deferred(1, "", counted=False)}
    kept.handed([1])
    assert said(tmp_path) == {}


def test_after_a_reboot_nothing_is_known(kept, tmp_path):
    kept.claimed([1])
    path = LIFE.file(tmp_path, 3)
    boot, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(boot.replace(b"-", b"0") + b"\n" + rest)
    assert said(tmp_path) == {}


def test_a_line_that_was_not_written_whole_was_not_acted_upon(kept, tmp_path):
    kept.claimed([1, 2])
    with LIFE.file(tmp_path, 3).open("ab") as file:
        file.write(b'["handed", [1')
    assert set(said(tmp_path)) == {(3, 1), (3, 2)}


@pytest.mark.parametrize("octets", [b"", b"\n", b"null\n", b"[]\n", b"\xff\xfe\n", b'{"a"\n'])
def test_a_file_of_something_else_says_nothing(tmp_path, octets):
    LIFE.file(tmp_path, 3).write_bytes(octets)
    assert said(tmp_path) == {}


def test_trunks_and_lives_are_kept_apart(tmp_path):
    for life, trunk_id, message_id in ((LIFE, 1, 10), (LIFE, 2, 20), (Life(4711, 1790000001.25), 1, 30)):
        Journal(tmp_path, life, trunk_id).claimed([message_id])
    assert set(said(tmp_path)) == {(1, 10), (2, 20)}
    assert set(said(tmp_path, trunk_id=2)) == {(2, 20)}
    journal.forget(tmp_path, LIFE, 2)
    assert set(said(tmp_path)) == {(1, 10)}
    journal.forget(tmp_path, LIFE)
    assert [path.name for path in tmp_path.iterdir()] == ["4711-1790000001.250000-1.journal"]


def test_only_its_user_may_read_it_and_it_goes_when_all_is_recorded(kept, tmp_path):
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    kept.end()
    assert not list(tmp_path.iterdir())


def test_it_is_written_anew_with_only_what_is_on_its_way(kept, tmp_path):
    while not kept.full:
        kept.claimed(list(range(100_000)))
        kept.handed(list(range(100_000)))
    kept.renew([7, 8], [8])
    assert not kept.full
    kept.claimed([9])
    assert set(said(tmp_path)) == {(3, 7), (3, 9)}
    assert len(list(tmp_path.iterdir())) == 1


def test_where_the_disk_is_full_there_is_none(kept, tmp_path, caplog):
    kept.claimed([1, 2])
    with no_file_may_grow_beyond(100):
        kept.handed(list(range(1000)))
    assert not kept.kept
    assert "after a crash it is in doubt" in caplog.text
    assert said(tmp_path) == {}
    kept.heard(Heard([Accepted(1)]))  # and nothing else goes wrong
    assert not list(tmp_path.iterdir())


def test_when_the_disk_has_room_again_it_begins_again_with_what_is_on_its_way(kept, tmp_path, caplog):
    caplog.set_level("INFO")
    kept.claimed([1, 2])
    with no_file_may_grow_beyond(100):
        kept.handed(list(range(1000)))
        kept.renew(list(range(1000)), [])
    assert not kept.kept
    assert not list(tmp_path.iterdir())
    kept.renew([1, 2, 3], [1])
    assert kept.kept
    kept.handed([2])
    assert set(said(tmp_path)) == {(3, 3)}
    assert journal.known(tmp_path, LIFE) == {}  # it is locked as before
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_renewal_that_does_not_fit_leaves_none(kept, tmp_path):
    kept.claimed([1])
    with no_file_may_grow_beyond(100):
        kept.renew(list(range(1000)), [])
    assert not kept.kept
    assert not list(tmp_path.iterdir())


def test_a_renewal_that_finds_no_folder_any_more_leaves_none_and_closes_only_its_own(kept, tmp_path):
    shutil.rmtree(tmp_path)
    closed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "close", closed.append)
        kept.renew([1], [])
    assert not kept.kept
    assert len(closed) == 1
    os.close(closed[0])


def test_without_a_folder_there_is_none_and_nothing_is_known(tmp_path):
    absent = tmp_path / "absent"
    assert not Journal(absent, LIFE, 3).kept
    assert said(absent) == journal.known(None, LIFE) == journal.known(tmp_path, None) == {}
    journal.forget(None, LIFE)


def test_one_that_can_be_neither_written_nor_removed_stops_the_sending(tmp_path):
    LIFE.file(tmp_path, 3).mkdir()
    with pytest.raises(Error, match="neither written nor removed"):
        Journal(tmp_path, LIFE, 3)
