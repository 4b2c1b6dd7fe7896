"""Reading CDRs: URLs, Master.csv, and an SQLite file that Asterisk writes at the same time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from users import as_nobody, closed_folder, needs_root

from ixxsms.asterisk.cdr import Filters, Skip, Start, open_cdr
from ixxsms.errors import BadInput, ConfigError, DatabaseError, NotFound

NOW = Start(datetime(2026, 11, 22, 12, 0))


def read(where, filters: Filters | None = None, mark: str = "", table: str = "cdr", **options) -> Counter[str]:
    """All numbers, counted, with the last mark in `.mark`, the rows in `.rows`."""
    found = Found()
    start = Start(NOW.now, mark)
    for batch in open_cdr(str(where), table).read(filters or Filters(), start, **options):
        found.update(batch.numbers)
        found.mark, found.rows, found.skipped = batch.mark, found.rows + batch.rows, found.skipped + batch.skipped
    return found


class Found(Counter):
    mark, rows, skipped = "", 0, 0


# --- URLs


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@", "nonsense://u:secret@h/d", "oracle://u:secret@h/d", "://secret", "sqlite://"]
)
def test_an_url_that_cannot_be_read_is_one_sentence_without_the_url(url):
    with pytest.raises(ConfigError) as raised:
        open_cdr(url)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_identity_of_a_source_has_no_password_and_tells_tables_apart():
    one = open_cdr("mysql://asteriskuser:amp109@pbx/asteriskcdrdb")
    assert "amp109" not in one.identity
    assert one.identity == open_cdr("mysql://asteriskuser:other@pbx/asteriskcdrdb").identity
    assert one.identity != open_cdr("mysql://asteriskuser:amp109@pbx/asteriskcdrdb", "old").identity


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_no_piece_of_a_password_with_an_at_sign_is_told(kind):
    with pytest.raises(ConfigError) as raised:
        open_cdr(f"{kind}://asterisk:S3c@ret@127.0.0.1:1/db")
    assert str(raised.value) == "The CDR URL has a second @; write the one in the password as %40."


def test_an_option_that_the_driver_does_not_know_is_one_sentence():
    with pytest.raises(ConfigError, match=r"^The CDR URL has an option that its driver does not know\.$"):
        read("mysql+pymysql://u:secret@127.0.0.1:1/db?nonsense=1")


def test_an_unreachable_server_is_one_sentence_without_the_password():
    source = open_cdr("postgresql://asterisk:secret@127.0.0.1:1/asteriskcdrdb")
    with pytest.raises(DatabaseError, match=r"^The CDRs in asteriskcdrdb on 127\.0\.0\.1 cannot be read: ") as raised:
        list(source.read(Filters(), NOW))
    assert "secret" not in str(raised.value)


def test_a_direction_is_in_out_or_both():
    with pytest.raises(BadInput, match=r'^The direction "up" is none of in, out and both\.$'):
        Filters(direction="up")


# --- Master.csv


def line(src="600123456", dst="912000000", start="2026-11-20 10:00:00", **other) -> str:
    """A row as Asterisk 22 wrote it, with loguniqueid=yes and loguserfield=yes."""
    cell = {"context": "from-trunk", "billsec": "7", "disposition": "ANSWERED", "uniqueid": "1795170000.1"} | other
    return (
        f'"","{src}","{dst}","{cell["context"]}","""Pepe Ñ"" <{src}>","PJSIP/trunk-0","PJSIP/200-1","Dial","PJSIP/200"'
        f',"{start}",,"2026-11-20 10:00:09",9,{cell["billsec"]},"{cell["disposition"]}","DOCUMENTATION"'
        f',"{cell["uniqueid"]}",""\n'
    )


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "Master.csv"
    path.write_text(
        line()
        + line(src="+34600123457", billsec="0", disposition="NO ANSWER", uniqueid="1795170000.2")
        + line(src="", dst="s", start="2026-11-21 10:00:00", context="from-internal", uniqueid="1795170000.3")
    )
    return path


def test_master_csv_is_read(master):
    found = read(master)
    assert found == {"600123456": 1, "+34600123457": 1, "": 1}
    assert found.rows == 3


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (Filters(direction="out"), ["912000000", "912000000", "s"]),
        (Filters(direction="both", context="from-internal"), ["", "s"]),
        (Filters(disposition="no answer"), ["+34600123457"]),
        (Filters(min_billsec=7), ["", "600123456"]),
        (Filters(since=datetime(2026, 11, 21, 10)), [""]),
        (Filters(until=datetime(2026, 11, 21, 10)), ["+34600123457", "600123456"]),
    ],
)
def test_master_csv_is_filtered(master, filters, numbers):
    assert sorted(read(master, filters).elements()) == numbers


def test_master_csv_has_no_did(master):
    with pytest.raises(BadInput, match=r'^The CDR file has no column "did", which the filter did needs\.$'):
        read(master, Filters(did="912000000"))


def test_master_csv_goes_on_where_it_stopped_even_within_a_line(master):
    complete = line(src="600000001")
    with master.open("a") as file:
        file.write(complete[:40])
    first = read(master)
    assert "600000001" not in first
    with master.open("a") as file:
        file.write(complete[40:])
    assert read(master, mark=first.mark) == {"600000001": 1}


def test_a_line_of_master_csv_that_is_completed_while_it_is_read_is_not_lost(master):
    complete = line(src="600000001")
    with master.open("a") as file:
        file.write(complete[:40])
    batches = open_cdr(str(master)).read(Filters(), NOW)
    first = next(batches)
    with master.open("a") as file:
        file.write(complete[40:] + line(src="600000002"))
    rest = list(batches)
    numbers = [number for batch in (first, *rest) for number in batch.numbers]
    numbers += read(master, mark=(first, *rest)[-1].mark).elements()
    assert sorted(numbers) == ["", "+34600123457", "600000001", "600000002", "600123456"]


def test_a_field_of_master_csv_that_is_too_long_to_be_one_is_one_sentence(master):
    with master.open("a") as file:
        file.write(line(src="6" * 200_000))
    with pytest.raises(DatabaseError, match=r"^The CDRs in .*Master\.csv cannot be read: field larger than"):
        read(master)


def test_a_rotated_master_csv_is_read_from_its_beginning(master):
    mark = read(master).mark
    master.rename(master.with_suffix(".csv.1"))
    master.write_text(line(src="600000002") * 50)
    assert read(master, mark=mark) == {"600000002": 50}


@pytest.mark.parametrize("name", ["Master.csv.1", "Master.csv-20261122", "Master-20261122.csv"])
@pytest.mark.parametrize("missed", [False, True])
def test_what_was_written_before_master_csv_was_rotated_is_read_too(master, name, missed):
    filters = Filters(missed=missed)
    mark = read(master, filters).mark
    with master.open("a") as file:
        file.write(line(src="600000001", disposition="BUSY", uniqueid="1.1"))
    (master.parent / "other.csv").write_text(line(src="600000009"))
    master.rename(master.with_name(name))
    master.with_name("Master.csv.2.gz").write_bytes(b"\x1f\x8b\r\n")
    master.write_text(line(src="600000002", disposition="BUSY", uniqueid="2.1"))
    found = read(master, filters, mark=mark)
    assert found == {"600000001": 1, "600000002": 1}
    assert read(master, filters, mark=found.mark) == {}
    with master.open("a") as file:
        file.write(line(src="600000003", disposition="BUSY", uniqueid="3.1"))
    assert read(master, filters, mark=found.mark) == {"600000003": 1}


def test_a_master_csv_that_was_emptied_is_read_from_its_beginning(master):
    mark = read(master).mark
    master.write_text(line(src="600000003"))
    assert read(master, mark=mark) == {"600000003": 1}


@pytest.mark.parametrize("filters", [Filters(), Filters(missed=True)], ids=["all", "missed"])
def test_a_master_csv_that_was_seen_empty_is_read_from_its_beginning_however_much_came_since(master, filters):
    before = read(master, filters).mark
    master.write_text("")
    seen = read(master, filters, mark=before).mark
    assert seen  # else the harvest would keep the one from before
    master.write_text("".join(line(f"60000{n:04d}", disposition="BUSY", uniqueid=f"{n}.1") for n in range(50)))
    assert len(read(master, filters, mark=seen)) == 50


def test_calls_are_counted_by_their_uniqueid_in_master_csv(master):
    master.write_text(line() * 3 + line(uniqueid="1795170000.9") + line(src="7", uniqueid="pbx-1795170000.10") * 2)
    assert read(master, calls=True) == {"600123456": 2, "7": 1}


def test_without_uniqueid_each_row_of_master_csv_is_a_call(master):
    master.write_text(line().replace(',"1795170000.1",""', "") * 3 + line(uniqueid="a userfield"))
    assert read(master, calls=True) == {"600123456": 4}


def test_broken_lines_of_master_csv_are_no_rows(master):
    master.write_bytes(b"\n" + b'"","600\n' + b"\xff\xfe\n" + line().encode("latin-1"))
    assert read(master).rows <= 1


@pytest.mark.parametrize("name", ["Master.csv", "master.db"])
def test_a_missing_file_is_one_sentence_and_is_not_made(tmp_path, name):
    path = tmp_path / name
    url = f"sqlite:///{path}" if name.endswith("db") else str(path)
    with pytest.raises(NotFound, match=rf"^The CDR file {path} does not exist\.$"):
        read(url)
    assert not path.exists()


# --- SQLite while Asterisk writes

COLUMNS = "calldate, clid, src, dst, dcontext, billsec, disposition, uniqueid"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A file as cdr_sqlite3_custom makes it, with 60,000 rows."""
    path = tmp_path / "master.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, {COLUMNS})")
    connection.executemany(
        f"INSERT INTO cdr ({COLUMNS}) VALUES ('2026-11-20 10:00:00', '', ?, 's', 'x', '1', 'ANSWERED', ?)",
        ((f"6{n:08d}", f"{n}.1") for n in range(60_000)),
    )
    connection.commit()
    connection.close()
    return path


@pytest.fixture(params=["file", "link"])
def named(request, live, tmp_path) -> Path:
    """The path of that file, or of a link to it in another folder."""
    if request.param == "file":
        return live
    link = tmp_path / "elsewhere" / "cdr.db"
    link.parent.mkdir()
    link.symlink_to(live)
    return link


INSERT = "INSERT INTO cdr (calldate, src, dst) VALUES ('2026-11-20 10:00:00', '699999999', 's')"


def test_no_lock_is_held_while_the_reader_takes_its_time(live):
    asterisk = sqlite3.connect(live, timeout=0, isolation_level=None)
    found: Counter[str] = Counter()
    for batch in open_cdr(str(live)).read(Filters(), NOW):
        asterisk.execute(INSERT)
        found.update(batch.numbers)
    assert len(found - Counter(["699999999"])) == 60_000
    assert asterisk.execute("SELECT count(*) FROM cdr WHERE src = '699999999'").fetchone()[0] >= 2
    asterisk.close()


WRITER = f"""
import sqlite3, sys, time
asterisk = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
print("ready", flush=True)
written, until = 0, time.monotonic() + 3
while time.monotonic() < until:
    asterisk.execute({INSERT!r})  # "database is locked" here is a lost CDR
    written += 1
    time.sleep(0.004)
print(written)
"""


def test_a_writer_that_waits_for_no_lock_loses_no_cdr_however_often_is_read(live):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(live)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        readings = 0
        while writer.poll() is None:
            found = read(live)
            assert len(found - Counter(["699999999"])) >= 60_000 - 1
            readings += 1
        written = int(writer.stdout.read())
    assert writer.returncode == 0
    assert readings  # at least one was in the middle of it
    assert read(live)["699999999"] == written


def test_a_file_in_wal_mode_is_read_with_what_is_still_in_the_log(live, named):
    asterisk = sqlite3.connect(live, timeout=0, isolation_level=None)
    asterisk.execute("PRAGMA journal_mode=WAL")
    asterisk.execute(INSERT)
    assert read(named)["699999999"] == 1
    asterisk.close()


def test_a_file_in_wal_mode_that_nobody_has_open_is_read_without_a_trace(live):
    asterisk = sqlite3.connect(live)
    asterisk.execute("PRAGMA journal_mode=WAL")
    asterisk.close()
    before = sorted(live.parent.iterdir())
    assert read(live).rows == 60_000
    assert sorted(live.parent.iterdir()) == before


def test_a_file_left_in_the_middle_of_a_write_is_one_sentence(live, named, monkeypatch):
    Path(f"{live}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(100))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(DatabaseError, match="was left in the middle of a write"):
        read(named)


@pytest.mark.parametrize("kept", [b"", bytes(512)], ids=["truncated", "persistent"])
def test_a_journal_that_is_kept_between_writes_is_no_write(live, kept):
    Path(f"{live}-journal").write_bytes(kept)
    assert read(live).rows == 60_000


def test_a_reading_in_pieces_counts_a_call_across_them_once(tmp_path):
    path = tmp_path / "master.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cdr (src, dst, uniqueid)")
    # The first piece ends after 20,000 rows, in the middle of the call 6666.
    connection.executemany("INSERT INTO cdr VALUES ('600123456', 's', ?)", ((str(n // 3),) for n in range(60_000)))
    connection.commit()
    connection.close()
    assert read(path, calls=True) == {"600123456": 20_000}


def test_rows_far_apart_are_found(tmp_path):
    path = tmp_path / "master.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, src, dst)")
    ids = [-5, 1, 7_000_000_000, 7_000_000_001, 2**62]
    connection.executemany("INSERT INTO cdr VALUES (?, ?, 's')", ((each, str(each)) for each in ids))
    connection.commit()
    connection.close()
    assert set(read(path)) == {str(each) for each in ids if each > 0}


def test_a_table_that_was_emptied_is_read_from_its_beginning(live):
    mark = read(live).mark
    connection = sqlite3.connect(live)
    connection.execute("DELETE FROM cdr")
    connection.execute(INSERT)
    connection.commit()
    connection.close()
    assert read(live, mark=mark) == {"699999999": 1}


def test_what_is_no_database_is_one_sentence(tmp_path):
    path = tmp_path / "master.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(DatabaseError, match=rf"^The CDRs in {path} cannot be read: [^\n]*\.$"):
        read(path)


@needs_root
@pytest.mark.parametrize("url", ["{}", "sqlite:///{}"])
def test_call_records_in_a_folder_that_a_user_may_not_enter_are_one_sentence(tmp_path, url):
    path = closed_folder(tmp_path) / "master.db"
    path.touch()
    with pytest.raises(DatabaseError, match=rf"^The CDRs in {path} cannot be read: Permission denied\.$"):
        as_nobody(read, url.format(path))


def test_numbers_that_are_skipped_are_counted(live):
    connection = sqlite3.connect(live)
    connection.executemany("INSERT INTO cdr (src) VALUES (?)", [("912345678",), ("601",), ("",), ("anon",), (None,)])
    connection.commit()
    connection.close()
    found = read(live, skip=Skip("124589", 9))
    assert (found[""], found["anon"], found["601"], found["912345678"]) == (1, 1, 0, 0)
    assert (found.rows, found.skipped) == (60_005, 3)
