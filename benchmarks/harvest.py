"""A harvest over Asterisk's CDRs against the bare SELECT DISTINCT that finds the same numbers.

    python benchmarks/harvest.py [--rows 2000000] [--index] [--spellings 0.03] [--json]

Builds an SQLite CDR file as cdr_sqlite3_custom writes it, then times both in turns, in one run: on a busy machine
only the ratio says something. The harvest normalises the numbers and stores them in a new list, committed.
"""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import report

from ixxsms.asterisk.cdr import Filters, open_cdr
from ixxsms.db import Database
from ixxsms.harvest import harvest
from ixxsms.models import Base
from ixxsms.numbering import make_plan

COLUMNS = (
    "calldate, clid, src, dst, dcontext, channel, dstchannel, lastapp, lastdata, duration, billsec, disposition,"
    " amaflags, accountcode, uniqueid, userfield, linkedid, sequence"
)
SPELLED = ("+34%s", "0034%s", "34%s")
BARE = """
SELECT DISTINCT src FROM cdr
WHERE ((src LIKE '6%' OR src LIKE '7%') AND length(src) = 9)
   OR ((src LIKE '+346%' OR src LIKE '+347%') AND length(src) = 12)
   OR ((src LIKE '00346%' OR src LIKE '00347%') AND length(src) = 13)
   OR ((src LIKE '346%' OR src LIKE '347%') AND length(src) = 11)
"""
BARE_PLAIN = "SELECT DISTINCT src FROM cdr WHERE (src LIKE '6%' OR src LIKE '7%') AND length(src) = 9"


def sources(count: int, spellings: float) -> Iterator[str]:
    """Callers of a PBX: a quarter mobiles, the others extensions, landlines, and who hides the number."""
    chance = random.Random(7)
    mobiles = [f"{chance.choice(['60', '65', '68', '71', '74'])}{chance.randrange(10**7):07d}" for _ in range(91_000)]
    landlines = [f"9{chance.randrange(10**8):08d}" for _ in range(60_000)]
    for _ in range(count):
        kind = chance.random()
        if kind < 0.238:
            number = chance.choice(mobiles)
            yield chance.choice(SPELLED) % number if chance.random() < spellings else number
        elif kind < 0.60:
            yield str(chance.randrange(100, 400))
        elif kind < 0.96:
            yield chance.choice(landlines)
        else:
            yield chance.choice(["", "anonymous", "unknown"])


def build(path: Path, count: int, spellings: float, index: bool) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, {COLUMNS})")
    rows = (
        (f"2026-{1 + n * 12 // count:02d}-{1 + n % 28:02d} 10:{n % 60:02d}:00", f'"" <{src}>', src, "200", "from-trunk")
        + (f"PJSIP/trunk-{n:08x}", "PJSIP/200-0001", "Dial", "PJSIP/200,20", "12", "7" if n % 3 else "0")
        + ("ANSWERED" if n % 3 else "NO ANSWER", "DOCUMENTATION", "", f"17000{n}.{n}", "", f"17000{n}.{n}", str(n))
        for n, src in enumerate(sources(count, spellings))
    )
    places = ", ".join("?" * 18)
    connection.executemany(f"INSERT INTO cdr VALUES (NULL, {places})", rows)
    if index:
        connection.execute("CREATE INDEX cdr_src ON cdr (src)")
    connection.commit()
    connection.close()


def timed_bare(path: Path, statement: str) -> tuple[float, int]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    start = time.perf_counter()
    found = len(connection.execute(statement).fetchall())
    taken = time.perf_counter() - start
    connection.close()
    return taken, found


def timed_harvest(path: Path, database: Database, name: str, dry_run: bool = False) -> tuple[float, int]:
    plan = make_plan("ES")
    start = time.perf_counter()
    with database.write() as session:
        report = harvest(
            session, plan, name, open_cdr(f"sqlite:///{path}"), Filters(), dry_run=dry_run, now=time.time()
        )
    return time.perf_counter() - start, report.new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spellings", type=float, default=0.03, help="share of mobiles not written in nine digits")
    parser.add_argument("--index", action="store_true", help="an index on src, which no back end makes by itself")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/harvest.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "master.db"
        build(path, options.rows, options.spellings, options.index)
        database = Database(f"sqlite:///{folder}/ixxsms.db")
        Base.metadata.create_all(database.engine)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        statement = BARE if options.spellings else BARE_PLAIN
        bare, own, dry = [], [], []
        for number in range(options.rounds):
            bare.append(timed_bare(path, statement))
            dry.append(timed_harvest(path, database, f"list {number}", dry_run=True))
            own.append(timed_harvest(path, database, f"list {number}"))
        database.close()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    bare_time, dry_time, own_time = (statistics.median(taken for taken, _ in each) for each in (bare, dry, own))
    print(f"rows {options.rows}, spellings found {bare[0][1]}, distinct mobiles {own[0][1]}")
    print(f"bare SELECT DISTINCT  {bare_time:.2f} s")
    print(f"harvest, dry run      {dry_time:.2f} s   ratio {dry_time / bare_time:.2f}")
    print(f"harvest, stored       {own_time:.2f} s   ratio {own_time / bare_time:.2f}   peak memory +{peak:.0f} MB")
    if options.json:
        seconds = {"bare_s": bare_time, "dry_run_s": dry_time, "stored_s": own_time}
        report.save("harvest", {"rows": options.rows, "numbers": own[0][1], "memory_mb": peak, **seconds})


if __name__ == "__main__":
    main()
