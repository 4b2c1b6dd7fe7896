"""The files of cdr/, each as an administrator would copy it, on real Asterisks: what these write can be harvested."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import time

import pytest
from asterisks import PJSIP_CALLS, Asterisk, wait_until
from servers import free_port
from sqlalchemy import create_engine, text

from ixxsms import lists, numbering_plan
from ixxsms.asterisk.cdr import Filters, Sms, Start, open_cdr, write_sms
from ixxsms.db import Database
from ixxsms.harvest import HarvestReport, harvest

CDR = Path(__file__).parents[2] / "cdr"
LOGIN = {"user": "asterisk", "password": "amp109"}

DIALPLAN = """[default]
exten => 900,1,Set(CDR(did)=912000000)
 same => n,Answer(0)
 same => n,Wait(0.2)
exten => 901,1,Dial(Local/ring@phones,1)
[phones]
exten => ring,1,Wait(30)
"""

#: Callers, and the mobile numbers that they are. Once answered, each leg of a Local channel is a row.
ANSWERED = {
    '"Pepe Ñ" <600123456>': "34600123456",
    "+34600123457": "34600123457",
    "0034600123458": "34600123458",
    '"Juan \'O" <600 12 34 59>': "34600123459",
    '"Emoji 😀" <600123460>': "34600123460",
    '"Ventas, S.L." <912345678>': None,
    '"Anonymous" <anonymous>': None,
    "": None,
}
UNANSWERED = {'"Ana" <600123461>': "34600123461", "anonymous": None}
MOBILES = sorted(filter(None, [*ANSWERED.values(), *UNANSWERED.values()]))
ROWS = 2 * len(ANSWERED) + len(UNANSWERED)


@dataclass
class Backend:
    """What Asterisk needs to write there, and where `ixxsms` finds it, once Asterisk has its folder."""

    modules: str
    confs: dict[str, str]
    where: Callable[[Asterisk], str]
    environ: dict[str, str] = field(default_factory=dict)


def filled(file: str, **values: object) -> str:
    """A file of cdr/ with its placeholders replaced."""
    written = (CDR / file).read_text(encoding="utf-8")
    for name, value in values.items():
        written = written.replace(f"@{name.upper()}@", str(value))
    assert not re.search(r"@[A-Z]+@", written), f"{file} has more placeholders"
    return written


def run_sql(url: str, script: str) -> None:
    """As the server's own client would."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in re.sub(r"^--.*$", "", script, flags=re.M).split(";"):
            if statement.strip():
                connection.execute(text(statement))
    engine.dispose()


def mariadb(server_url: str, root: Path, folder: Path) -> Backend:
    host, port = server_url.rpartition("@")[2].split(":")
    run_sql(f"{server_url}/mysql", "DROP DATABASE IF EXISTS asteriskcdrdb; CREATE DATABASE asteriskcdrdb")
    run_sql(f"{server_url}/asteriskcdrdb", filled("mariadb/cdr.sql", **LOGIN))
    driver = next(root.rglob("libmaodbc.so"))
    (folder / "odbcinst.ini").write_text(filled("mariadb/odbcinst.ini", driver=driver))
    (folder / "odbc.ini").write_text(filled("mariadb/odbc.ini", host=host, port=port, database="asteriskcdrdb"))
    return Backend(
        "res_odbc_transaction res_odbc cdr_adaptive_odbc",
        {
            "res_odbc.conf": filled("mariadb/res_odbc.conf", **LOGIN),
            "cdr_adaptive_odbc.conf": filled("mariadb/cdr_adaptive_odbc.conf"),
        },
        lambda _: f"mysql://{LOGIN['user']}:{LOGIN['password']}@{host}:{port}/asteriskcdrdb",
        {"ODBCSYSINI": str(folder), "ODBCINI": str(folder / "odbc.ini")},
    )


def postgresql(server_url: str) -> Backend:
    host, port = server_url.rpartition("@")[2].split(":")
    run_sql(f"{server_url}/postgres", f"DROP DATABASE IF EXISTS cdrs; DROP ROLE IF EXISTS {LOGIN['user']}")
    run_sql(f"{server_url}/postgres", "CREATE DATABASE cdrs")
    run_sql(f"{server_url}/cdrs", filled("postgresql/cdr.sql", **LOGIN))
    conf = filled("postgresql/cdr_pgsql.conf", host=host, port=port, database="cdrs", **LOGIN)
    url = f"postgresql://{LOGIN['user']}:{LOGIN['password']}@{host}:{port}/cdrs"
    return Backend("cdr_pgsql", {"cdr_pgsql.conf": conf}, lambda _: url)


def sqlite() -> Backend:
    conf = filled("sqlite/cdr_sqlite3_custom.conf")
    return Backend("cdr_sqlite3_custom", {"cdr_sqlite3_custom.conf": conf}, lambda a: str(a.home / "log/master.db"))


def sqlite_in_wal_mode() -> Backend:
    made = sqlite()

    def where(asterisk: Asterisk) -> str:
        file = made.where(asterisk)
        if not Path(file).exists():
            with closing(sqlite3.connect(file)) as connection:
                connection.executescript(filled("sqlite/cdr.sql"))
        return file

    return Backend(made.modules, made.confs, where)


def csv() -> Backend:
    return Backend("", {}, lambda asterisk: str(asterisk.home / "log/cdr-csv/Master.csv"))


@pytest.fixture
def make_backend(server, asterisk_root: Path, tmp_path: Path) -> Callable[[str], Backend]:
    makers: dict[str, Callable[[], Backend]] = {
        "mariadb": lambda: mariadb(server("mariadb"), asterisk_root, tmp_path),
        "postgresql": lambda: postgresql(server("postgresql")),
        "sqlite": sqlite,
        "sqlite in WAL mode": sqlite_in_wal_mode,
        "csv": csv,
    }
    return lambda name: makers[name]()


@pytest.fixture(params=["mariadb", "postgresql", "sqlite", "sqlite in WAL mode", "csv"])
def backend(request: pytest.FixtureRequest, make_backend: Callable[[str], Backend]) -> Backend:
    return make_backend(request.param)


def asterisk_with(backend: Backend, root: Path, dialplan: str = DIALPLAN) -> Asterisk:
    confs = {"cdr.conf": filled("csv/cdr.conf"), **backend.confs}
    return Asterisk(root, dialplan, modules=backend.modules, confs=confs, environ=backend.environ)


@pytest.fixture
def own(set_up, tmp_path: Path) -> Iterator[Database]:
    """Our own database; of which kind says nothing about Asterisk's."""
    shutil.copy(set_up("sqlite").removeprefix("sqlite:///"), tmp_path / "ixxsms.db")
    database = Database(f"sqlite:///{tmp_path / 'ixxsms.db'}")
    yield database
    database.close()


def run_harvest(own: Database, where: str, filters: Filters | None = None, name: str = "callers") -> HarvestReport:
    with own.write() as session:
        plan = numbering_plan.get(session)
        return harvest(session, plan, name, open_cdr(where), filters, now=time())


def harvested(own: Database, name: str = "callers") -> list[str]:
    with own.read() as session:
        return sorted(member.number for member in lists.members(session, name))


def rows(where: str, filters: Filters | None = None) -> int:
    batches = open_cdr(where).read(filters or Filters(), Start(datetime.now()))
    return sum(batch.rows for batch in batches) if "://" in where or Path(where).exists() else 0


def test_every_caller_with_a_mobile_is_harvested_and_nobody_else(
    backend: Backend, asterisk_root: Path, own: Database
) -> None:
    asterisk = asterisk_with(backend, asterisk_root)
    where = backend.where(asterisk)
    with asterisk:
        for extension, callers in (("900", ANSWERED), ("901", UNANSWERED)):
            for caller in callers:
                asterisk.call(extension, caller=caller, seconds=5)
        wait_until(lambda: rows(where) >= ROWS, 20, lambda: f"{rows(where)} rows\n{asterisk.log()[-5000:]}")
        asterisk.wait_idle()
        report = run_harvest(own, where)
        assert harvested(own) == MOBILES
        assert (report.mobiles, report.new) == (len(MOBILES), len(MOBILES))
        assert rows(where) == ROWS

        asterisk.call("900", caller="600999999")
        wait_until(lambda: rows(where) == ROWS + 2)
        assert run_harvest(own, where).new == 1
        assert harvested(own) == sorted([*MOBILES, "34600999999"])


def test_the_rows_are_what_the_filters_ask_for_and_an_sms_is_none_of_them(
    backend: Backend, asterisk_root: Path
) -> None:
    asterisk = asterisk_with(backend, asterisk_root)
    where = backend.where(asterisk)
    with asterisk:
        asterisk.call("900", caller="600123456", seconds=5)
        asterisk.call("901", caller="600123457")
        wait_until(lambda: rows(where) == 3)
        assert rows(where, Filters(disposition="no answer")) == 1
        assert rows(where, Filters(disposition="ANSWERED")) == 2
        assert rows(where, Filters(context="default")) == 3
        assert rows(where, Filters(context="phones")) == 0
        if not where.endswith(".csv"):
            assert rows(where, Filters(did="912000000")) == 1
            write_sms(where, "cdr", [Sms("201", "600123456", datetime.now())])
            assert rows(where) == 3
            asterisk.call("901", caller="600123457")
            wait_until(lambda: rows(where) == 4)


def test_no_call_record_is_lost_while_harvests_read_what_asterisk_writes(
    backend: Backend, asterisk_root: Path, own: Database
) -> None:
    # Asterisk waits for no lock of a reader of its SQLite file: the record would be lost.
    backend.confs = {name: text.replace("=> 5000", "=> 1") for name, text in backend.confs.items()}
    asterisk = asterisk_with(backend, asterisk_root, "[default]\nexten => 900,1,Answer()\n")
    where = backend.where(asterisk)
    ended = threading.Event()
    found: list[int] = []

    def harvest_again_and_again() -> None:
        while not ended.is_set():
            if new := run_harvest(own, where).new:
                found.append(new)

    with asterisk:
        asterisk.call("900", caller="600000000")
        wait_until(lambda: rows(where) == 2)
        reader = threading.Thread(target=harvest_again_and_again)
        reader.start()
        calls = 1
        while calls < 100 or len(found) < 10:
            assert reader.is_alive()
            asterisk.call("900", caller=f"600{calls:06}")
            calls += 1
        asterisk.wait_idle()
        asterisk.stop()
        ended.set()
        reader.join()
        assert rows(where) == 2 * calls, asterisk.log()[-3000:]
        run_harvest(own, where)
    assert harvested(own) == [f"34600{number:06}" for number in range(calls)]


def test_the_readme_names_every_file_and_no_other() -> None:
    named = set(re.findall(r"[\w/-]+\.(?:conf|ini|sql)\b", (CDR / "README.md").read_text(encoding="utf-8")))
    assert named == {str(file.relative_to(CDR)) for file in CDR.rglob("*.*") if file.name != "README.md"}


# --- Missed calls

#: The PBX is its own provider: what [callers] dials goes out through the trunk and comes in again, as a real call does.
INCOMING = """[callers]
exten => _X.,1,Set(CDR_PROP(disable)=1)
 same => n,Dial(PJSIP/${EXTEN}@trunk)
[from-trunk]
exten => 901,1,Dial(Local/nobody@phones,1)
exten => 902,1,Dial(Local/busy@phones)
exten => 903,1,Dial(Local/nobody@phones)
exten => 904,1,Answer()
 same => n,Queue(nobody)
exten => 905,1,Answer()
 same => n,Queue(nobody,,,,1)
exten => 906,1,Dial(Local/nobody@phones,1)
 same => n,Answer()
 same => n,Wait(0.5)
exten => 907,1,Dial(Local/unplugged@phones)
exten => 911,1,Dial(Local/somebody@phones)
exten => 912,1,Dial(Local/nobody@phones&Local/somebody@phones)
exten => 913,1,Dial(Local/nobody@phones,1)
 same => n,Dial(Local/somebody@phones)
exten => 914,1,Answer()
 same => n,Queue(members)
exten => 915,1,Answer()
 same => n,Wait(0.5)
[phones]
exten => nobody,1,Ringing()
 same => n,Wait(30)
exten => busy,1,Busy(1)
exten => somebody,1,Answer()
 same => n,Wait(0.5)
exten => first,1,Dial(Local/nobody@phones,1)
exten => second,1,Wait(1.2)
 same => n,Dial(Local/somebody@phones)
"""
QUEUES = """[general]
[nobody]
member => Local/nobody@phones
[members]
member => Local/first@phones/n
member => Local/second@phones/n
"""
#: Extensions, and how many seconds the caller waits for an answer, and then stays.
MISSED = {
    "901": (9, 0),  # nobody answers
    "902": (9, 0),  # busy
    "903": (1, 0),  # the caller gives up
    "904": (9, 1),  # he gives up in a queue
    "905": (9, 9),  # the queue gives up
    "906": (9, 9),  # nobody answers, then something like voicemail does
}
TAKEN = {
    "911": (9, 9),
    "912": (9, 9),  # two phones ring
    "913": (9, 9),  # one after the other
    "914": (9, 9),  # one member of a queue does not answer, another does
    "915": (9, 9),  # by the PBX itself: nobody was to be reached
}
UNREACHABLE = {"907": (9, 0)}  # FAILED: written only with unanswered=yes


def pjsip_conf(port: int) -> str:
    return f"""[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[trunk]
type=endpoint
context=from-trunk
disallow=all
allow=ulaw
aors=trunk
[trunk]
type=aor
contact=sip:127.0.0.1:{port}
[trunk]
type=identify
endpoint=trunk
match=127.0.0.1
"""


@pytest.fixture
def every_backend(make_backend: Callable[[str], Backend]) -> dict[str, Backend]:
    return {name: make_backend(name) for name in ("mariadb", "postgresql", "sqlite", "csv")}


@pytest.mark.parametrize("unanswered", ["no", "yes"])
@pytest.mark.parametrize("new_columns", ["yes", "no"])
def test_a_missed_call_is_one_that_rang_and_that_nobody_took(
    asterisk_root: Path, own: Database, every_backend: dict[str, Backend], unanswered: str, new_columns: str
) -> None:
    written = filled("csv/cdr.conf").replace("unanswered=no", f"unanswered={unanswered}")
    confs = {
        "pjsip.conf": pjsip_conf(free_port(socket.SOCK_DGRAM)),
        "queues.conf": QUEUES,
        "musiconhold.conf": "[general]\n",
    }
    for backend in every_backend.values():
        confs |= backend.confs
    confs["cdr.conf"] = written.replace("newcdrcolumns=yes", f"newcdrcolumns={new_columns}")
    modules = f"{PJSIP_CALLS} app_queue res_musiconhold "
    modules += " ".join(backend.modules for backend in every_backend.values())
    asterisk = Asterisk(asterisk_root, INCOMING, modules=modules, confs=confs, environ=every_backend["mariadb"].environ)
    calls = MISSED | TAKEN | UNREACHABLE
    expected = sorted(f"34600000{extension}" for extension in MISSED | (UNREACHABLE if unanswered == "yes" else {}))
    with asterisk:
        for extension, (rings, seconds) in calls.items():
            asterisk.call(extension, "callers", caller=f"600000{extension}", rings=rings, seconds=seconds)
        asterisk.wait_idle()
        asterisk.stop()
        for name, backend in every_backend.items():
            where = backend.where(asterisk)
            assert missed(own, where, name) == expected, name
            assert rows(where, Filters(missed=True)) == len(expected), name


def missed(own: Database, where: str, name: str) -> list[str]:
    run_harvest(own, where, Filters(missed=True), name=name)
    return harvested(own, name)
