"""A harvest over Asterisk's CDRs against the bare SELECT DISTINCT that finds the same numbers.

    python benchmarks/harvest.py [--database sqlite]... [--rows 2000000] [--index] [--spellings 0.03] [--json]

Builds a table of CDRs as Asterisk's back end for each database makes it, then times both in turns: on a busy machine
only the ratios of one round say something, so the ratio is the median of the rounds' ratios. The harvest normalises the
numbers and stores them in a new list, committed, in a database of its own on the same server. MariaDB is as it comes:
there SELECT DISTINCT writes a temporary table, and takes a third of the time where tmp_memory_table_size holds it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import servers
from sqlalchemy import create_engine, text

from ixxsms.asterisk.cdr import Filters, open_cdr
from ixxsms.db import Database
from ixxsms.harvest import harvest
from ixxsms.models import Base
from ixxsms.numbering import make_plan

DATABASES = ["sqlite", "mariadb", "postgresql"]
#: Times the bare SELECT DISTINCT. None for PostgreSQL, which scans with both processors: storing alone takes longer.
WANTED = {"sqlite": 1.5, "mariadb": 1.5}
COLUMNS = (
    *("calldate", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration"),
    *("billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "linkedid", "sequence"),
)
TYPES = {"calldate": "TIMESTAMP", "duration": "INTEGER", "billsec": "INTEGER", "sequence": "INTEGER"}
Row = tuple[str | int, ...]
Figures = dict[str, float]

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


def new_database(server_url: str, name: str) -> str:
    entry = "/postgres" if server_url.startswith("postgresql") else "/mysql"
    engine = create_engine(server_url + entry, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server_url}/{name}"


def call_records(count: int, spellings: float) -> Iterator[Row]:
    for n, src in enumerate(sources(count, spellings)):
        answered = "ANSWERED" if n % 3 else "NO ANSWER"
        yield (
            *(f"2026-{1 + n * 12 // count:02d}-{1 + n % 28:02d} 10:{n % 60:02d}:00", f'"" <{src}>', src, "200"),
            *("from-trunk", f"PJSIP/trunk-{n:08x}", "PJSIP/200-0001", "Dial", "PJSIP/200,20", 12, 7 if n % 3 else 0),
            *(answered, "3", "", f"17000{n}.{n}", "", f"17000{n}.{n}", n),
        )


class Place:
    """A table of CDRs on a database, and an own database of ixxsms beside it."""

    def __init__(self, stack: ExitStack, kind: str, folder: Path) -> None:
        if kind == "sqlite":
            self.cdr_url, own_url = f"sqlite:///{folder}/master.db", f"sqlite:///{folder}/ixxsms.db"
        else:
            url = stack.enter_context(servers.KINDS[kind]()).url
            self.cdr_url, own_url = new_database(url, "asteriskcdrdb"), new_database(url, "ixxsms")
        self._cdr = create_engine(self.cdr_url)
        stack.callback(self._cdr.dispose)
        self.database = stack.enter_context(closing(Database(own_url)))
        Base.metadata.create_all(self.database.engine)

    def build(self, rows: Iterator[Row], index: bool) -> None:
        kind = self._cdr.dialect.name
        typed = ", ".join(f"{name} {TYPES.get(name, 'VARCHAR(80)')}" for name in COLUMNS)
        key = {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "SERIAL PRIMARY KEY"}
        with self._cdr.begin() as connection:
            key_type = key.get(kind, "INTEGER AUTO_INCREMENT PRIMARY KEY")
            connection.exec_driver_sql(f"CREATE TABLE cdr (AcctId {key_type}, {typed})")
            if kind == "postgresql":
                driver: Any = connection.connection.driver_connection
                with driver.cursor() as cursor, cursor.copy(f"COPY cdr ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                places = ", ".join(["?" if kind == "sqlite" else "%s"] * len(COLUMNS))
                while some := list(itertools.islice(rows, 10_000)):
                    connection.exec_driver_sql(f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({places})", some)
            if index:
                connection.exec_driver_sql("CREATE INDEX cdr_src ON cdr (src)")
        with self._cdr.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql({"postgresql": "VACUUM ANALYZE cdr"}.get(kind, "SELECT 1"))

    def bare(self, statement: str) -> tuple[float, int]:
        start = time.perf_counter()
        with self._cdr.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(statement)
            found = len(cursor.fetchall())
            cursor.close()
        return time.perf_counter() - start, found

    def harvest(self, name: str, dry_run: bool = False) -> tuple[float, int]:
        plan = make_plan("ES")
        start = time.perf_counter()
        with self.database.write() as session:
            source = open_cdr(self.cdr_url)
            found = harvest(session, plan, name, source, Filters(), dry_run=dry_run, now=time.time())
        return time.perf_counter() - start, found.new


def measure(kind: str, rows: int, rounds: int, spellings: float, index: bool) -> Figures:
    statement = BARE if spellings else BARE_PLAIN
    bare, dry, stored, peaks = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Place(stack, kind, Path(folder))
        place.build(call_records(rows, spellings), index)
        for number in range(rounds):
            bare.append(place.bare(statement))
            dry.append(place.harvest(f"list {number}", dry_run=True))
            report.forget_peak()
            stored.append(place.harvest(f"list {number}"))
            peaks.append(report.peak_mb())

    def ratio(harvests: list[tuple[float, int]]) -> float:
        return statistics.median(own[0] / other[0] for own, other in zip(harvests, bare, strict=True))

    return {
        "spellings": bare[0][1],
        "numbers": stored[0][1],
        "bare_s": statistics.median(taken for taken, _ in bare),
        "dry_run_s": statistics.median(taken for taken, _ in dry),
        "stored_s": statistics.median(taken for taken, _ in stored),
        "dry_run_ratio": ratio(dry),
        "stored_ratio": ratio(stored),
        "peak_mb": max(peaks),
    }


def show(results: dict[str, Figures], rows: int) -> None:
    print(f"{f'{rows:,} call records':34}" + "".join(f"{kind:>12}" for kind in results))
    lines = [
        ("spellings of mobile numbers", "spellings", ",.0f"),
        ("mobile numbers", "numbers", ",.0f"),
        ("bare SELECT DISTINCT, s", "bare_s", ".2f"),
        ("harvest, dry run, s", "dry_run_s", ".2f"),
        ("harvest, stored, s", "stored_s", ".2f"),
        ("dry run to bare", "dry_run_ratio", ".2f"),
        ("stored to bare", "stored_ratio", ".2f"),
        ("peak memory, MB", "peak_mb", ".0f"),
    ]
    for label, name, form in lines:
        print(f"{label:34}" + "".join(f"{figures[name]:>12{form}}" for figures in results.values()))
    for kind, wanted in WANTED.items():
        if kind in results:
            reached = results[kind]["stored_ratio"]
            met = "ok  " if reached <= wanted else "MISS"
            print(f"{met} {kind}: {reached:.2f} times the bare SELECT DISTINCT, wanted at most {wanted:g}")


def draw(results: dict[str, Figures]) -> None:
    names = {"bare SELECT DISTINCT": "bare_s", "harvest, dry run": "dry_run_s", "harvest, stored": "stored_s"}
    groups = {kind: {label: figures[name] for label, name in names.items()} for kind, figures in results.items()}
    report.plot("harvest", 1, lambda axes: report.bars(axes[0], "seconds", groups))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", action="append", choices=DATABASES, help="instead of all; may be repeated")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spellings", type=float, default=0.03, help="share of mobiles not written in nine digits")
    parser.add_argument("--index", action="store_true", help="an index on src, which no back end makes by itself")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/harvest.json, with a plot")
    options = parser.parse_args()
    results = {}
    for kind in options.database or DATABASES:
        try:
            results[kind] = measure(kind, options.rows, options.rounds, options.spellings, options.index)
        except servers.Missing as missing:
            print(f"{kind} is left out; as root: apt-get install {missing}")
    show(results, options.rows)
    if options.json:
        report.save("harvest", {"rows": options.rows, **results})
        draw(results)


if __name__ == "__main__":
    main()
