"""A harvest over the CDRs of every back end, with rows as Asterisk writes them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from conftest import KINDS, new_database
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, DateTime, Integer, MetaData, String, create_engine, select, text
from sqlalchemy import Table as SqlTable
from sqlalchemy.engine import Engine

from ixxsms import lists
from ixxsms.asterisk.cdr import Filters, Sms, open_cdr, write_sms
from ixxsms.asterisk.cdr.missed import Leg, MissedCalls
from ixxsms.db import Database
from ixxsms.errors import BadInput, ConfigError, DatabaseError, NotFound
from ixxsms.harvest import harvest, never_mobile
from ixxsms.models import HarvestMark, Member, NumberList
from ixxsms.numbering import checker, make_plan

PLAN = make_plan("ES")
NOW = datetime(2026, 11, 22, 12, 0).timestamp()
SCHEMAS = Path(__file__).parents[2] / "cdr"

ELASTIX = "calldate clid src dst dcontext channel dstchannel lastapp lastdata duration billsec disposition uniqueid"
#: What the table has; "own": what the file in cdr/ creates for that database; "freepbx": what FreePBX does.
LAYOUTS = {"own": "", "freepbx": "", "elastix": ELASTIX, "plain": ELASTIX.replace("calldate", "start")}
FILES = {"sqlite": "sqlite/cdr.sql", "mysql": "mariadb/cdr.sql", "postgresql": "postgresql/cdr.sql"}
EVERY = [(kind, layout) for kind in KINDS for layout in LAYOUTS if kind == "mariadb" or layout != "freepbx"]


@dataclass
class Cdr:
    """A table of CDRs, and Asterisk's pen."""

    url: str
    engine: Engine
    names: set[str]

    def write(self, src="600123456", calldate="2026-11-20 10:00:00", **columns) -> None:
        row = {"dst": "912000000", "dcontext": "from-trunk", "disposition": "ANSWERED", "billsec": 7, "uniqueid": "1.1"}
        row |= {"src": src, "calldate" if "calldate" in self.names else "start": calldate, **columns}
        if self.engine.name == "sqlite":
            row = {name: str(value) for name, value in row.items()}  # cdr_sqlite3_custom writes nothing but text
        row = {name: value for name, value in row.items() if name in self.names}
        places = ", ".join(f":{name}" for name in row)
        with self.engine.begin() as connection:
            connection.execute(text(f"INSERT INTO cdr ({', '.join(row)}) VALUES ({places})"), row)

    def write_what_asterisk_writes(self) -> None:
        for src in ["600123456", "+34600123456", "0034600123456", "600 12 34 56", "34600123457", "anonymous", ""]:
            self.write(src)
        self.write("912345678", clid='"Ventas, S.L." <912345678>')
        self.write("", clid='"tel:+34600123456" <>')
        self.write("+447911123456")
        self.write("201", dst="711222333", dcontext="from-internal")
        self.write("622333444", disposition="NO ANSWER", billsec=0, lastapp="Dial")
        self.write("622333444", disposition="FAILED", billsec=0, lastapp="Hangup")


def create_table(engine: Engine, layout: str) -> None:
    if columns := LAYOUTS[layout]:
        kinds = {"calldate": "TIMESTAMP", "start": "TIMESTAMP", "billsec": "INTEGER", "duration": "INTEGER"}
        if engine.name == "mysql":
            kinds |= {"calldate": "DATETIME", "start": "DATETIME"}
        default = "" if engine.name == "sqlite" else " DEFAULT ''"
        each = [f"{name} {kinds.get(name, 'VARCHAR(80)' + default)}" for name in columns.split()]
        statements = f"CREATE TABLE cdr ({', '.join(each)})" + (" ENGINE=MyISAM" if engine.name == "mysql" else "")
    else:
        file = "mysql-freepbx.sql" if layout == "freepbx" else FILES[engine.name]
        lines = (SCHEMAS / file).read_text().splitlines()
        statements = "\n".join(line for line in lines if not line.startswith("--"))
    with engine.begin() as connection:
        for statement in map(str.strip, statements.split(";")):
            if statement.startswith(("CREATE TABLE", "CREATE INDEX", "PRAGMA")):
                connection.exec_driver_sql(statement)


@pytest.fixture
def make_cdr(server, tmp_path):
    """make_cdr(kind, layout): an empty table of CDRs."""
    engines = []

    def make(kind: str, layout: str = "own") -> Cdr:
        url = f"sqlite:///{tmp_path}/master.db" if kind == "sqlite" else new_database(server(kind), "asteriskcdrdb")
        engine = create_engine(url)
        engines.append(engine)
        create_table(engine, layout)
        with engine.connect() as connection:
            names = set(connection.exec_driver_sql("SELECT * FROM cdr").keys())
        return Cdr(url, engine, names)

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture(params=EVERY, ids="-".join)
def cdr(request, make_cdr) -> Cdr:
    """CDRs in each database and each layout in turn."""
    return make_cdr(*request.param)


@pytest.fixture(params=KINDS)
def any_cdr(request, make_cdr) -> Cdr:
    """CDRs in each database in turn."""
    return make_cdr(request.param)


@pytest.fixture
def own(set_up, tmp_path):
    """A database of our own; which kind it is does not matter here."""
    (tmp_path / "ixxsms.db").write_bytes(Path(set_up("sqlite").removeprefix("sqlite:///")).read_bytes())
    database = Database(f"sqlite:///{tmp_path}/ixxsms.db")
    yield database
    database.close()


def take(own, cdr, filters: Filters | None = None, *, name="callers", plan=PLAN, **options):
    with own.write() as session:
        return harvest(session, plan, name, open_cdr(cdr.url), filters, **{"now": NOW} | options)


def members(own, name="callers") -> list[str]:
    with own.read() as session:
        return [number for number, _, _ in lists.export_rows(session, name)]


def test_the_mobiles_of_the_callers_are_taken_once_each(own, cdr):
    cdr.write_what_asterisk_writes()
    report = take(own, cdr)
    assert members(own) == ["34600123456", "34600123457", "34622333444"]
    assert (report.read, report.mobiles, report.new, report.already_there, report.created) == (13, 3, 3, 0, True)
    assert report.refused == {"not a mobile": 3, "withheld": 1, "empty": 2}
    with own.read() as session:
        assert set(session.scalars(select(Member.source))) == {"cdr"}


CHOSEN = [
    (Filters(direction="out"), ["34711222333"]),
    (Filters(direction="both", context="from-internal"), ["34711222333"]),
    (Filters(disposition="no answer"), ["34622333444"]),
    (Filters(disposition="ANSWERED"), ["34600123456", "34600123457"]),
    (Filters(min_billsec=8), []),
    (Filters(min_billsec=7, until=datetime(2026, 11, 20, 10, 0, 1)), ["34600123456", "34600123457"]),
    (Filters(since=datetime(2026, 11, 20, 10, 0, 1)), ["34633333333"]),
    (Filters(since=datetime(2026, 11, 21), until=datetime(2026, 11, 22)), []),
]


def test_the_filters_choose_rows(own, cdr):
    cdr.write_what_asterisk_writes()
    cdr.write("633333333", calldate="2026-11-22 00:00:00", disposition="BUSY", billsec=0)
    for nth, (filters, numbers) in enumerate(CHOSEN):
        take(own, cdr, filters, name=f"list {nth}")
        assert members(own, f"list {nth}") == numbers, filters


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_that_was_called_can_be_chosen(own, make_cdr, kind):
    cdr = make_cdr(kind)
    cdr.write(did="912000000")
    cdr.write("633333333", did="912000001")
    take(own, cdr, Filters(did="912000001"))
    assert members(own) == ["34633333333"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_on_a_missing_column_is_one_sentence_and_writes_nothing(own, make_cdr, kind):
    cdr = make_cdr(kind, "elastix")
    with pytest.raises(BadInput, match=r'^The CDR table "cdr" has no column "did", which the filter did needs\.$'):
        take(own, cdr, Filters(did="912000000"))
    with own.read() as session:
        assert lists.all_lists(session) == []


def test_a_missing_table_is_one_sentence(own, any_cdr):
    with pytest.raises(NotFound, match=r'^There is no table "cdrs" in the CDR database\.$'), own.write() as session:
        harvest(session, PLAN, "callers", open_cdr(any_cdr.url, "cdrs"), now=NOW)


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_missing_database_is_one_sentence(own, make_cdr, kind):
    cdr = make_cdr(kind)
    cdr.url = cdr.url.replace("asteriskcdrdb", "nowhere")
    with pytest.raises(
        DatabaseError, match=r"^The CDRs in nowhere on 127\.0\.0\.1 cannot be read: [^\n]*nowhere[^\n]*\.$"
    ):
        take(own, cdr)


def test_a_second_harvest_takes_only_what_is_new_even_if_it_began_earlier(own, cdr):
    cdr.write_what_asterisk_writes()
    take(own, cdr)
    cdr.write("655555555", calldate="2026-11-20 06:30:00")  # a long call: written when it ended
    report = take(own, cdr)
    assert (report.new, report.created) == (1, False)
    assert "34655555555" in members(own)
    assert take(own, cdr).new == 0


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_key_no_row_is_read_twice(own, make_cdr, kind):
    cdr = make_cdr(kind)
    cdr.write_what_asterisk_writes()
    take(own, cdr)
    cdr.write("655555555")
    assert take(own, cdr).read == 1
    assert take(own, cdr).read == 0
    assert take(own, cdr, everything=True).read == 14


@pytest.mark.parametrize("layout", ["freepbx", "elastix", "plain"])
def test_without_a_key_only_the_last_calls_are_read_again(own, make_cdr, layout):
    cdr = make_cdr("mariadb", layout)
    for day in (1, 10, 19, 20):
        cdr.write(f"6000000{day:02d}", calldate=f"2026-11-{day:02d} 10:00:00")
    assert take(own, cdr).read == 4
    assert take(own, cdr).read == 2
    assert take(own, cdr, everything=True).read == 4


def test_a_row_from_the_future_hides_none_that_is_still_to_come(own, cdr):
    cdr.write("600000001", calldate="2031-01-01 00:00:00")
    take(own, cdr)
    cdr.write("600000002", calldate="2026-11-22 11:59:00")
    assert take(own, cdr).new == 1


@pytest.mark.parametrize(("kind", "layout"), [each for each in EVERY if each[0] != "postgresql"])
def test_rows_without_a_date_do_no_harm(own, make_cdr, kind, layout):
    cdr = make_cdr(kind, layout)
    cdr.write("600000001", calldate="0000-00-00 00:00:00")
    assert take(own, cdr).new == 1
    cdr.write("600000002", calldate="0000-00-00 00:00:00")
    assert take(own, cdr).new == 1
    assert take(own, cdr, Filters(since=datetime(2026, 1, 1)), name="others").read == 0


def test_everything_reads_all_again_and_changes_no_member(own, any_cdr):
    any_cdr.write_what_asterisk_writes()
    take(own, any_cdr)
    with own.write() as session:
        lists.exclude(session, PLAN, "callers", "600123456")
    report = take(own, any_cdr, everything=True)
    assert (report.read, report.mobiles, report.new, report.already_there, report.excluded) == (13, 3, 0, 3, 1)
    with own.read() as session:
        assert lists.all_lists(session)[0].excluded == 1


def test_a_dry_run_tells_the_same_and_writes_nothing(own, any_cdr):
    any_cdr.write_what_asterisk_writes()
    with own.read() as session:
        before = harvest(session, PLAN, "callers", open_cdr(any_cdr.url), dry_run=True, now=NOW)
        assert session.scalars(select(NumberList)).all() == []
        assert session.scalars(select(HarvestMark)).all() == []
    assert take(own, any_cdr) == before
    any_cdr.write("655555555")
    with own.read() as session:
        again = harvest(session, PLAN, "callers", open_cdr(any_cdr.url), dry_run=True, everything=True, now=NOW)
    assert (again.new, again.already_there, again.created) == (1, 3, False)
    assert take(own, any_cdr).new == 1


def test_calls_are_counted_not_rows_and_over_all_spellings(own, any_cdr):
    for _ in range(3):
        any_cdr.write("600000001", uniqueid="1.1")  # one call, three rows
    any_cdr.write("600000002", uniqueid="1.2")
    any_cdr.write("+34600000002", uniqueid="1.3")
    report = take(own, any_cdr, Filters(min_calls=2))
    assert members(own) == ["34600000002"]
    assert (report.mobiles, report.too_few) == (1, 1)


def test_calls_are_counted_from_the_first_row_on_each_time(own, any_cdr):
    any_cdr.write("600000001", uniqueid="1.1")
    assert take(own, any_cdr, Filters(min_calls=2)).mobiles == 0
    any_cdr.write("600000001", uniqueid="1.2")
    assert take(own, any_cdr, Filters(min_calls=2)).mobiles == 1


def test_other_filters_another_plan_or_another_list_begin_at_the_beginning(own, any_cdr):
    any_cdr.write_what_asterisk_writes()
    take(own, any_cdr)
    assert take(own, any_cdr, Filters(disposition="ANSWERED")).read == 11
    assert take(own, any_cdr, name="others").read == 13
    assert take(own, any_cdr, plan=make_plan("ES", mobile_prefixes="6, 9")).new == 1
    assert "34912345678" in members(own)


def test_mobiles_of_another_country_are_taken_where_the_plan_says_so(own, any_cdr):
    any_cdr.write("+447911123456")
    any_cdr.write("00447911123457")
    any_cdr.write("912345678")
    take(own, any_cdr, plan=make_plan("ES", mobile_prefixes="6, +447"))
    assert members(own) == ["+447911123456", "+447911123457"]


def test_an_unknown_list_is_refused_where_it_must_not_be_made(own, any_cdr):
    with pytest.raises(NotFound, match=r'^There is no list "callers"\.$'):
        take(own, any_cdr, create=False)
    with pytest.raises(BadInput):
        take(own, any_cdr, name="x" * 65, dry_run=True)


def test_an_empty_table_gives_an_empty_list(own, any_cdr):
    assert take(own, any_cdr).read == 0
    any_cdr.write()
    assert take(own, any_cdr).new == 1


@pytest.mark.parametrize("filters", [Filters(), Filters(missed=True)], ids=["all", "missed"])
def test_a_table_that_was_seen_empty_is_read_from_its_beginning_however_much_came_since(own, any_cdr, filters):
    def write(numbers):
        for number in numbers:
            any_cdr.write(str(number), lastapp="Dial", disposition="NO ANSWER", uniqueid=f"{number}.1")

    write(range(600000001, 600000004))
    assert take(own, any_cdr, filters).new == 3
    with any_cdr.engine.begin() as connection:
        connection.execute(text("DELETE FROM cdr" if any_cdr.engine.name == "sqlite" else "TRUNCATE cdr"))
        if any_cdr.engine.name == "postgresql":
            connection.execute(text("TRUNCATE cdr RESTART IDENTITY"))
    assert take(own, any_cdr, filters).read == 0
    write(range(600000011, 600000016))
    assert take(own, any_cdr, filters).new == 5


def test_every_database_of_our_own_keeps_members_and_marks(database, make_cdr):
    cdr = make_cdr("sqlite")
    cdr.write_what_asterisk_writes()
    assert take(database, cdr).new == 3
    assert take(database, cdr).read == 0
    report = take(database, cdr, everything=True)
    assert (report.new, report.already_there) == (0, 3)
    assert members(database) == ["34600123456", "34600123457", "34622333444"]


def test_a_source_that_fails_midway_leaves_nothing_behind(own, make_cdr):
    class Failing:
        identity = "failing"

        def read(self, *args, **kwargs):
            yield from open_cdr(cdr.url).read(*args, **kwargs)
            raise DatabaseError("The disk is gone.")

    cdr = make_cdr("sqlite")
    cdr.write_what_asterisk_writes()
    with own.write() as session:
        with pytest.raises(DatabaseError, match="The disk is gone"):
            harvest(session, PLAN, "callers", Failing(), now=NOW)
        assert session.scalars(select(NumberList)).all() == []


def test_progress_tells_the_rows_read(own, make_cdr):
    cdr = make_cdr("sqlite", "plain")
    connection = sqlite3.connect(cdr.url.removeprefix("sqlite:///"))
    connection.executemany("INSERT INTO cdr (src) VALUES (?)", ((f"6{n:08d}",) for n in range(70_000)))
    connection.commit()
    connection.close()
    seen: list[int] = []
    assert take(own, cdr, progress=seen.append).new == 70_000
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == 70_000


# --- Missed calls


def write_calls(cdr: Cdr) -> None:
    """Of these, 600000001, -3, -5 and -7 spoke with nobody."""

    def write(
        src: str, disposition: str, uniqueid: str, dstchannel: str = "PJSIP/201-1", lastapp: str = "Dial", **other
    ):
        names = {"lastapp": lastapp, "dstchannel": dstchannel, "channel": "PJSIP/trunk-1", "linkedid": uniqueid} | other
        cdr.write(src, disposition=disposition, uniqueid=uniqueid, **names)

    write("600000001", "NO ANSWER", "1.1")
    write("600000002", "NO ANSWER", "1.2")  # the first phone
    write("600000002", "ANSWERED", "1.2", "PJSIP/202-2")  # the second
    write("600000003", "ANSWERED", "1.3", "", "Queue")  # abandoned there
    write("600000004", "NO ANSWER", "1.6", linkedid="1.4", channel="Local/201@from-queue-1;2")  # to one member
    write("600000004", "ANSWERED", "1.4", "Local/202@from-queue-2;1", "Queue")  # another took it
    write("600000005", "NO ANSWER", "1.9")
    write("600000005", "ANSWERED", "1.9", "", "VoiceMail")
    write("600000006", "ANSWERED", "1.10", "", "Playback")
    write("600000007", "BUSY", "1.11")


def test_a_missed_call_is_one_that_nobody_took(own, cdr):
    write_calls(cdr)
    report = take(own, cdr, Filters(missed=True))
    assert members(own) == ["34600000001", "34600000003", "34600000005", "34600000007"]
    assert (report.read, report.mobiles) == (4, 4)
    assert take(own, cdr, Filters(missed=True)).new == 0


MISSED_AND = [
    (Filters(missed=True, disposition="NO ANSWER"), ["34600000001", "34600000005"]),
    (Filters(missed=True, context="from-internal"), []),
    (Filters(missed=True, since=datetime(2026, 11, 20), until=datetime(2026, 11, 20, 10, 0)), []),
    (Filters(missed=True, min_calls=2), []),
]


def test_other_filters_choose_among_the_missed_calls(own, cdr):
    write_calls(cdr)
    for nth, (filters, numbers) in enumerate(MISSED_AND):
        take(own, cdr, filters, name=f"list {nth}")
        assert members(own, f"list {nth}") == numbers, filters


def test_a_call_that_somebody_took_before_the_filter_begins_was_not_missed(own, cdr):
    row = {
        "uniqueid": "1.1",
        "linkedid": "1.1",
        "lastapp": "Dial",
        "channel": "PJSIP/trunk-1",
        "dstchannel": "PJSIP/1-1",
    }
    cdr.write("600000001", calldate="2026-11-20 09:59:00", disposition="ANSWERED", **row)
    cdr.write("600000001", calldate="2026-11-20 10:01:00", disposition="NO ANSWER", **row)
    assert take(own, cdr, Filters(missed=True, since=datetime(2026, 11, 20, 10, 0))).new == 0


def test_calls_of_a_number_that_were_missed_can_be_counted(own, any_cdr):
    write_calls(any_cdr)
    any_cdr.write("+34600000007", disposition="NO ANSWER", uniqueid="2.1", lastapp="Dial", channel="PJSIP/trunk-1")
    take(own, any_cdr, Filters(missed=True, min_calls=2))
    assert members(own) == ["34600000007"]


def test_only_calls_that_came_in_can_be_missed():
    with pytest.raises(BadInput, match=r"^Only the calls that came in can be missed; leave the direction at in\.$"):
        Filters(missed=True, direction="both")


def leg(number: str, uniqueid: str, disposition: str = "NO ANSWER", linkedid: str = "", channel: str = "SIP/1") -> Leg:
    return Leg(number, uniqueid, linkedid, channel, "SIP/2", disposition, wanted=True)


def test_a_call_whose_rows_are_read_in_two_pieces_is_one():
    calls = MissedCalls()
    assert calls.take([leg("1", "1.1"), leg("2", "1.2")], end=False) == {"1": 1}
    assert calls.take([leg("2", "1.2", "ANSWERED"), leg("3", "1.3")], end=False) == {}
    assert calls.take([], end=True) == {"3": 1}


def test_a_local_channel_is_the_callers_only_where_it_began_the_call():
    began = leg("1", "1.12", linkedid="1.11", channel="Local/901@from-trunk-1;2")
    led_to = leg("2", "1.13", linkedid="1.11", channel="Local/201@from-queue-1;2")
    unknown = leg("3", "1.14", channel="Local/201@from-queue-1;2")
    assert MissedCalls().take([began, led_to, unknown], end=True) == {"1": 1}


def test_legs_of_one_call_are_not_counted_as_calls(own, any_cdr):
    any_cdr.write("600000001", uniqueid="1.1", linkedid="1.1")
    any_cdr.write("600000001", uniqueid="1.2", linkedid="1.1")
    assert take(own, any_cdr, Filters(min_calls=2)).mobiles == 0


# --- SMS among the CDRs

SENT = [
    Sms("201", "600123456", datetime(2026, 11, 20, 10, 0)),
    Sms("Ventas", "o'600 -- 1", datetime(2026, 11, 20, 10, 1)),
]


def rows_of(cdr: Cdr) -> list[dict[str, object]]:
    with cdr.engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql("SELECT * FROM cdr").mappings()]


def test_an_sms_is_a_row_in_whatever_columns_the_table_has(cdr):
    write_sms(cdr.url, "cdr", SENT)
    rows = rows_of(cdr)
    assert [(row["src"], row["dst"]) for row in rows] == [("201", "600123456"), ("Ventas", "o'600 -- 1")]
    assert {(row["dstchannel"], row["disposition"], str(row["billsec"])) for row in rows} == {("SMS", "ANSWERED", "0")}
    assert [str(row.get("calldate", row.get("start")))[:19] for row in rows] == [
        "2026-11-20 10:00:00",
        "2026-11-20 10:01:00",
    ]
    assert {str(row["amaflags"]) for row in rows if "amaflags" in row} <= {"3", "DOCUMENTATION"}


def test_an_sms_is_never_harvested(own, cdr):
    write_sms(cdr.url, "cdr", SENT)
    report = take(own, cdr, Filters(direction="both"))
    assert (report.read, report.mobiles) == (0, 0)
    cdr.write("622333444")
    assert take(own, cdr, Filters(direction="both")).mobiles == 1


@pytest.mark.parametrize("kind", KINDS)
def test_columns_that_must_be_filled_are(make_cdr, kind):
    cdr = make_cdr(kind, "plain")
    with cdr.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE cdr")
        columns = [Column("id", Integer, primary_key=True), Column("tenant", String(9), nullable=False)]
        columns += [Column("cost", Integer, nullable=False), Column("noted", DateTime, nullable=False)]
        columns += [Column(name, String(80)) for name in ("src", "dst", "note")]
        columns += [Column(name, DateTime) for name in ("answer", "end")]
        SqlTable("cdr", MetaData(), *columns).create(connection)
    write_sms(cdr.url, "cdr", SENT)
    for row, sms in zip(rows_of(cdr), SENT, strict=True):
        assert (row["dst"], row["tenant"], row["cost"], row["note"]) == (sms.number, "", 0, None)
        assert {str(row[name])[:19] for name in ("answer", "end", "noted")} == {str(sms.when)}


def test_what_cannot_be_written_is_one_sentence(make_cdr, tmp_path):
    cdr = make_cdr("sqlite")
    with pytest.raises(NotFound, match=r'^There is no table "sms" in the CDR database\.$'):
        write_sms(cdr.url, "sms", SENT)
    with pytest.raises(DatabaseError, match=r"^The CDRs in .* cannot be written: [^\n]*\.$"):
        write_sms(f"sqlite:///{tmp_path}/absent.db", "cdr", SENT)
    with pytest.raises(ConfigError, match="not to a file like"):
        write_sms(str(tmp_path / "Master.csv"), "cdr", SENT)
    assert not (tmp_path / "absent.db").exists()


PLANS = [make_plan(country) for country in ("ES", "US", "RU", "DE", "HU", "IT", "CL", "MX")] + [
    make_plan("ES", mobile_prefixes="6, +447, +1"),
]


@given(
    st.sampled_from(PLANS),
    st.one_of(
        st.text(alphabet="0123456789+ -()", max_size=20),
        st.from_regex(r"(\+|00)?(34|7|49|36|39|56|52|1|44)?0?[1-9][0-9]{5,11}", fullmatch=True),
    ),
)
def test_no_spelling_of_a_mobile_is_left_in_the_database(plan, raw):
    skip = never_mobile(plan)
    skipped = raw[:1].isdigit() and (raw[0] in skip.digits or len(raw) < skip.shorter_than)
    assert not (skipped and checker(plan)(raw).mobile)


def test_the_digits_no_mobile_begins_with_are_left_in_the_database():
    assert Counter(never_mobile(PLAN).digits) == Counter("124589")
