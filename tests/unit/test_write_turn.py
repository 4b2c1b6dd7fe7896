"""Writers of an SQLite database take turns, within a process and between processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from ixxsms.errors import DatabaseError
from ixxsms.write_turn import WriteTurn

#: Writes over and over, and counts its turns in a file.
BUSY = """
import sys, time
from pathlib import Path
from ixxsms.write_turn import WriteTurn
turn = WriteTurn(Path(sys.argv[1]), 60.0)
with open(sys.argv[1] + "-count", "ab", buffering=0) as count:
    while True:
        with turn:
            count.write(b"+")
            time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "sms.db"
    path.touch(mode=0o640)
    return path


@contextmanager
def busy_process(database, seconds):
    process = subprocess.Popen([sys.executable, "-c", BUSY, database, str(seconds)])
    try:
        count = database.with_name("sms.db-count")
        while not (count.exists() and count.stat().st_size):
            assert process.poll() is None
        yield count
    finally:
        process.kill()
        process.wait()


def test_who_waits_is_next(database):
    with busy_process(database, 0.002) as count, closing(WriteTurn(database, 60.0)) as turn:
        waited = []
        for _ in range(31):
            before = count.stat().st_size
            with turn:
                waited.append(count.stat().st_size - before)
    assert statistics.median(waited) <= 2


def test_one_writes_at_a_time(database):
    with busy_process(database, 0.0) as count, closing(WriteTurn(database, 60.0)) as turn:
        for _ in range(20):
            with turn:
                sizes = {count.stat().st_size for _ in range(50)}
                assert len(sizes) == 1


def test_whoever_waits_too_long_is_told_so(database):
    with busy_process(database, 60), closing(WriteTurn(database, 0.1)) as turn:
        with pytest.raises(DatabaseError, match="another program has been writing"), turn:
            pass
        with pytest.raises(DatabaseError, match="another program has been writing"), turn:
            pass  # and holds nothing itself


def test_a_killed_writer_keeps_nobody_waiting(database):
    with busy_process(database, 60):
        pass
    with closing(WriteTurn(database, 60.0)) as turn, turn:
        pass


def test_the_file_of_the_locks_is_for_those_who_may_write_to_the_database(database):
    with closing(WriteTurn(database, 1.0)) as turn, turn:
        pass
    file = database.with_name("sms.db-turn")
    assert file.stat().st_mode & 0o777 == 0o640
    assert (file.stat().st_uid, file.stat().st_gid) == (database.stat().st_uid, database.stat().st_gid)


def test_without_a_file_of_locks_sqlites_own_lock_must_do(tmp_path):
    database = tmp_path / "sms.db"
    database.touch()
    database.with_name("sms.db-turn").mkdir()
    with closing(WriteTurn(database, 1.0)) as turn, turn:
        pass
