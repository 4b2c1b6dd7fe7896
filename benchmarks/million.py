"""A list and campaigns of a million numbers: how long every command takes, and the memory it needs.

    python benchmarks/million.py [--database sqlite]... [--numbers 1000000] [--sent 50000] [--json]

The commands are the installed programs, each a process of its own. Of those that look, the time inside of the library
is told, without the start of a program: nobody should wait for a database that counts. They look while a daemon sends,
to a sink in C. All databases commit to the disk before they answer; MariaDB has a buffer pool of 64 MB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import campaign
import report
import servers
import smpp
from sqlalchemy import func, select

import ixxsms
from ixxsms import numbering_plan, outbox, schema, trunks
from ixxsms.db import Database
from ixxsms.models import Message

BIN = Path(sys.executable).parent
LOOK_WANTED_MS = 50.0  #: of every look, on a machine that does nothing else
MEMORY_WANTED_MB = 150.0  #: of every command and of the daemon
LOOKS = 9

Figures = dict[str, float]


def write_numbers(file: Path, count: int) -> None:
    """So many mobile numbers, each once, in no order that a database could use."""
    with file.open("w") as output:
        output.writelines(f"{600_000_000 + n * 61_803_399 % 100_000_000}\n" for n in range(count))


class Bench:
    """The programs on one database."""

    def __init__(self, stack: ExitStack, kind: str, folder: Path, sink: Path) -> None:
        self.database_url = campaign.database_url(stack, kind, folder / kind)
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("IXXSMS_")} | {
            "IXXSMS_DATABASE_URL": self.database_url,
            "IXXSMS_CONFIG": str(folder / "ixxsms.conf"),
            "IXXSMS_LOG_LEVEL": "warning",
            "IXXSMS_RECEIPTS": "no",
            "IXXSMS_FASTAGI_PORT": "0",
        }
        self.figures: dict[str, Figures] = {}
        with closing(Database(self.database_url)) as database:
            schema.upgrade(database)
            with database.write() as session:
                numbering_plan.change(session, country="ES")
                port = smpp.start_sink(stack, sink, 0)
                account = {"host": "127.0.0.1", "port": port, "user": "u", "password": "p", "window": 100}
                trunks.add(session, "t", "smpp", script_dir="", **account)

    def command(self, *arguments: str, rows: int = 0) -> None:
        """Run `ixxsms` with these arguments; `rows`: how many it reads or writes."""
        start = time.perf_counter()
        process = subprocess.Popen([BIN / "ixxsms", *arguments], env=self.environ, stdout=subprocess.DEVNULL)
        options = next((at for at, word in enumerate(arguments) if word.startswith("--") or "/" in word), None)
        self._ended(process, " ".join(arguments[:options]), start, rows)

    def _ended(self, process: subprocess.Popen[bytes], name: str, start: float, rows: int) -> None:
        # Not ru_maxrss, in which a process begins with what the one that started it had.
        peak, ended = 0.0, 0
        while not ended:
            peak = max(peak, report.peak_mb(process.pid))
            time.sleep(0.01)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        taken = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{name} failed with exit code {process.returncode}.")
        cpu = usage.ru_utime + usage.ru_stime
        self.figures[name] = {"seconds": taken, "cpu_s": cpu, "peak_mb": peak}
        if rows:
            self.figures[name]["per_second"] = rows / taken

    def daemon(self, sent: int, meanwhile: Callable[[], None]) -> None:
        """Let a daemon send so many messages at least, and look `meanwhile`."""
        start = time.perf_counter()
        process = subprocess.Popen([BIN / "ixxmassivesms"], env=self.environ)
        try:
            self._wait_for(1)
            meanwhile()
            count = self._wait_for(sent)
        finally:
            process.terminate()
            self._ended(process, "ixxmassivesms", start, 0)
        self.figures["ixxmassivesms"]["messages"] = count

    def _wait_for(self, count: int) -> int:
        with closing(Database(self.database_url)) as database:
            while True:
                with database.read() as session:
                    accepted = select(func.count()).where(Message.campaign_id == 1, Message.state == "accepted")
                    if (found := session.scalar(accepted) or 0) >= count:
                        return found
                time.sleep(0.2)

    def looks(self) -> dict[str, float]:
        """Milliseconds inside of the library, medians."""
        with ixxsms.open(self.database_url) as pbx:

            def exact() -> None:
                with pbx.database.read() as session:
                    outbox.count(session, 1)

            ways: dict[str, Callable[[], Any]] = {
                "campaign show": lambda: pbx.campaigns.show("spring"),
                "campaign list": lambda: pbx.campaigns.all_campaigns(),
                "campaign numbers, a page": lambda: all_of(pbx.campaigns.numbers("spring", limit=100)),
                "campaign numbers, in one state": lambda: all_of(
                    pbx.campaigns.numbers("spring", state="accepted", limit=100)
                ),
                "list show, the first page": lambda: pbx.lists.show("clients", limit=100),
                "list show, a late page": lambda: pbx.lists.show("clients", limit=100, after="34690000000"),
                "list list": lambda: pbx.lists.all_lists(),
                "outbox": lambda: all_of(pbx.outbox.rows(None, limit=50, newest_first=True)),
                "status": lambda: pbx.status(),
                "(to count the campaign)": exact,
            }
            return {name: statistics.median(timed(way) for _ in range(LOOKS)) for name, way in ways.items()}


def all_of(rows: Iterable[Any]) -> None:
    for _ in rows:
        pass


def timed(way: Callable[[], Any]) -> float:
    start = time.perf_counter()
    way()
    return 1000 * (time.perf_counter() - start)


def measure(kind: str, folder: Path, sink: Path, file: Path, count: int, sent: int) -> dict[str, Any]:
    looks: dict[str, float] = {}
    with ExitStack() as stack:
        bench = Bench(stack, kind, folder, sink)
        bench.command("numbering", "show")
        bench.command("list", "create", "clients")
        bench.command("list", "import", "clients", str(file), rows=count)
        bench.command("campaign", "create", "spring", "--text", "Hola", "--list", "clients", "--run", rows=count)
        bench.command("campaign", "create", "bills", "--text", "Hola", "--csv", str(file), rows=count)
        bench.command("list", "export", "clients", rows=count)
        bench.command("campaign", "numbers", "bills", "--csv", rows=count)
        bench.daemon(sent, lambda: looks.update(bench.looks()))
        for look in (["campaign", "show", "spring"], ["campaign", "list"], ["campaign", "numbers", "spring"]):
            bench.command(*look)
        for look in (["list", "show", "clients"], ["status"]):
            bench.command(*look)
        bench.command("campaign", "delete", "bills", rows=count)
    return {"commands": bench.figures, "looks_ms": looks}


def asked_for(looks: dict[str, float]) -> dict[str, float]:
    """Without what only the daemon does."""
    return {name: taken for name, taken in looks.items() if not name.startswith("(")}


def show(results: dict[str, Any], count: int) -> None:
    kinds = list(results)
    print(f"{count:,} numbers: seconds, rows a second, peak MB of the process")
    print(f"{'':36}" + "".join(f"{kind:>30}" for kind in kinds))
    for name in results[kinds[0]]["commands"]:
        cells = []
        for kind in kinds:
            figures = results[kind]["commands"][name]
            rate = f"{figures['per_second']:,.0f}/s" if "per_second" in figures else ""
            cells.append(f"{figures['seconds']:.1f} s {rate:>12} {figures['peak_mb']:5.0f} MB")
        print(f"{name:36}" + "".join(f"{cell:>30}" for cell in cells))
    print("\nmilliseconds of a look while the daemon sends, without the program's start")
    for name in results[kinds[0]]["looks_ms"]:
        print(f"{name:36}" + "".join(f"{results[kind]['looks_ms'][name]:>27.1f} ms" for kind in kinds))
    print()
    for kind in kinds:
        looks = asked_for(results[kind]["looks_ms"])
        slowest = max(looks, key=looks.__getitem__)
        met = looks[slowest] <= LOOK_WANTED_MS
        limit = f"wanted at most {LOOK_WANTED_MS:g}"
        print(f"{'ok  ' if met else 'MISS'} {kind}: the slowest look, {slowest}: {looks[slowest]:.1f} ms, {limit}")
        peaks = {name: figures["peak_mb"] for name, figures in results[kind]["commands"].items()}
        largest = max(peaks, key=peaks.__getitem__)
        met, limit = peaks[largest] <= MEMORY_WANTED_MB, f"wanted at most {MEMORY_WANTED_MB:g}"
        print(f"{'ok  ' if met else 'MISS'} {kind}: the largest process, {largest}: {peaks[largest]:.0f} MB, {limit}")


def draw(results: dict[str, Any]) -> None:
    memory = {
        kind: {name: figures["peak_mb"] for name, figures in found["commands"].items()}
        for kind, found in results.items()
    }
    looks = {kind: asked_for(found["looks_ms"]) for kind, found in results.items()}

    def axes(all_axes: list[Any]) -> None:
        report.bars(all_axes[0], "peak memory of a command, MB", memory)
        report.bars(all_axes[1], "a look while the daemon sends, ms", looks)

    report.plot("million", 2, axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = campaign.DATABASES
    parser.add_argument("--database", choices=kinds, action="append", help="instead of all; may be repeated")
    parser.add_argument("--numbers", type=int, default=1_000_000)
    parser.add_argument("--sent", type=int, default=50_000, help="messages that the daemon sends at least")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/million.json, with a plot")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["cc", "-O2", "-o", str(folder / "sink"), str(smpp.PEERS / "sink.c")], check=True)
        write_numbers(folder / "numbers.csv", options.numbers)
        for kind in options.database or kinds:
            try:
                results[kind] = measure(
                    kind, folder, folder / "sink", folder / "numbers.csv", options.numbers, options.sent
                )
            except servers.Missing as missing:
                print(f"{kind} is left out; as root: apt-get install {missing}")
    show(results, options.numbers)
    if options.json:
        report.save("million", {"numbers": options.numbers, **results})
        draw(results)


if __name__ == "__main__":
    main()
