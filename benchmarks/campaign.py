"""The whole way of a campaign: rows in the database, claimed, sent, answered, recorded, every step durable.

    python benchmarks/campaign.py [--database sqlite]... [--count 60000] [--rounds 3] [--window 100] [--quick] [--json]

The daemon is the installed program, its SMSC a sink in C that never limits. Beside it, in the same rounds, senders that
have no database at all: node-smpp's bare loop and smpplib's. All databases commit to the disk before they answer. Then
the same with each commit 10 ms slower, and single sends while a campaign runs. Only ratios of one run say something.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import report
import smpp

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import servers  # noqa: E402
from sqlalchemy import create_engine, func, insert, select, text  # noqa: E402

from ixxsms import campaigns, lists, numbering_plan, outbox, schema, trunks  # noqa: E402
from ixxsms.db import Database  # noqa: E402
from ixxsms.models import Member, Message  # noqa: E402

BIN = Path(sys.executable).parent
DATABASES = ["sqlite", "mariadb", "postgresql"]
SLOWER_MS = 10
#: At least so many times node-smpp's bare loop.
WANTED = {"sqlite": 3.0, "postgresql": 1.5, "mariadb": 1.2}
CPU_WANTED_US = 15.0  #: of the daemon a message, on SQLite
SINGLE_WANTED_MS = 50.0

Figures = dict[str, float]


def database_url(stack: ExitStack, kind: str, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """An empty database that keeps what it has committed: SQLite's file is in the folder."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/ixxsms.db"
    start: Any = servers.mariadb if kind == "mariadb" else servers.postgresql
    server = stack.enter_context(start(durable=True, environ=environ))
    entry = "/mysql" if kind == "mariadb" else "/postgres"
    engine = create_engine(server.url + entry, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE ixxsms"))
    engine.dispose()
    return f"{server.url}/ixxsms"


class Bench:
    """One database, a sink, and campaigns that a daemon sends to it."""

    def __init__(self, stack: ExitStack, kind: str, sink: Path, slow: Path | None, window: int) -> None:
        self._slow = {"LD_PRELOAD": str(slow), "SLOW_COMMIT_US": str(1000 * SLOWER_MS)} if slow else {}
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.url = database_url(stack, kind, self.folder, self._slow)
        self.database = stack.enter_context(closing(Database(self.url)))
        schema.upgrade(self.database)
        with self.database.write() as session:
            numbering_plan.change(session, country="ES")
            for name in ("bulk", "other"):
                port = smpp.start_sink(stack, sink, 0)
                account = {"host": "127.0.0.1", "port": port, "user": "u", "password": "p", "window": window}
                trunks.add(session, name, "smpp", script_dir="", **account)
        self._campaigns = 0
        self._idle_cpu = 0.0
        self._list = ("", 0)

    def campaign(self, count: int) -> str:
        """Make a campaign to so many numbers, running."""
        self._campaigns += 1
        name = f"c{self._campaigns}"
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            if self._list[1] != count:
                self._list = (f"l{count}", count)
                made = lists.create(session, self._list[0], now=0.0)
                row = {"list_id": made.id, "excluded": False, "source": "csv", "added_at": 0.0}
                for at in range(0, count, 10_000):
                    numbers = range(at, min(count, at + 10_000))
                    rows = [{**row, "number": f"34{600000000 + n}"} for n in numbers]
                    session.connection().execute(insert(Member.__table__), rows)  # type: ignore[arg-type]
            fields = {"list_name": self._list[0], "trunk": "bulk", "run": True}
            campaigns.create(session, plan, name, smpp.TEXT, now=time.time(), max_segments=1, **fields)
        return name

    def daemon(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IXXSMS_")}
        environ |= {"IXXSMS_DATABASE_URL": self.url, "IXXSMS_RECEIPTS": "no", "IXXSMS_LOG_LEVEL": "warning"}
        environ |= {"IXXSMS_STATE_DIR": str(self.folder), "IXXSMS_FASTAGI_PORT": "0"}
        environ |= {f"IXXSMS_{name.upper()}": value for name, value in settings.items()}
        if self.url.startswith("sqlite"):
            environ |= self._slow
        return subprocess.Popen([BIN / "ixxmassivesms", *arguments], env=environ)

    def drained(self) -> tuple[float, float]:
        """Let a daemon send what there is and end: its CPU seconds and its peak megabytes."""
        process = self.daemon("--drain")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def whole_way(self, count: int) -> Figures:
        """Messages a second from the first claim to the last answer recorded; CPU without that of an idle start."""
        if not self._idle_cpu:
            self._idle_cpu, _ = self.drained()
        name = self.campaign(count)
        cpu, memory = self.drained()
        with self.database.read() as session:
            campaign = campaigns.get(session, name)
            accepted, first, last = session.execute(
                select(func.count(), func.min(Message.submitted_at), func.max(Message.accepted_at)).where(
                    Message.campaign_id == campaign.id, Message.state == "accepted"
                )
            ).one()
        assert accepted == count, f"{accepted} of {count} were accepted"
        return {
            "per_second": count / (last - first),
            "cpu_us": 1e6 * max(0.0, cpu - self._idle_cpu) / count,
            "memory_mb": memory,
        }

    def singles(self, trunk: str, count: int, campaign: int) -> Figures:
        """Milliseconds from a message's queueing to its acceptance, while a campaign runs on the trunk "bulk"."""
        self.campaign(campaign)
        process = self.daemon()
        found = []
        try:
            self._wait(lambda: self._sent() > 1000)
            for _ in range(count):
                with self.database.write() as session:
                    plan, now = numbering_plan.get(session), time.time()
                    trunk_id = trunks.get(session, trunk).id
                    message = outbox.enqueue(
                        session,
                        plan,
                        "600000000",
                        "now",
                        now=now,
                        max_segments=1,
                        trunk_id=trunk_id,
                        urgency=outbox.NOW,
                    )
                time.sleep(0.05)
                found.append(message.id)
            self._wait(lambda: self._accepted_at(found[-1]) is not None)
            still = self._queued()
        finally:
            process.terminate()
            process.wait()
        with self.database.read() as session:
            rows = session.execute(select(Message.created_at, Message.accepted_at).where(Message.id.in_(found))).all()
        waits = sorted(1000 * (accepted - created) for created, accepted in rows)
        with self.database.write() as session:
            session.execute(text("UPDATE messages SET state = 'cancelled' WHERE state = 'queued'"))
            session.execute(text("UPDATE campaigns SET state = 'finished'"))
        return {
            "p50_ms": waits[len(waits) // 2],
            "p99_ms": waits[int(len(waits) * 0.99)],
            "queued_behind": float(still),
        }

    def _sent(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).where(Message.state == "accepted")) or 0

    def _queued(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).where(Message.state == "queued")) or 0

    def _accepted_at(self, message_id: int) -> float | None:
        with self.database.read() as session:
            return session.scalar(select(Message.accepted_at).where(Message.id == message_id))

    def _wait(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def medians(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def run(stack: ExitStack, kinds: list[str], count: int, rounds: int, window: int) -> dict[str, Any]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    sink, slow = folder / "sink", folder / "slow.so"
    subprocess.run(["cc", "-O2", "-o", str(sink), str(smpp.PEERS / "sink.c")], check=True)
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-o", str(slow), str(ROOT / "benchmarks/slow_commit.c")], check=True
    )
    bare = {name: command for name, command in smpp.senders(window).items() if name in ("node-smpp", "smpplib")}
    port = smpp.start_sink(stack, sink, 0)
    benches = {kind: Bench(stack, kind, sink, None, window) for kind in kinds}
    slower = {kind: Bench(stack, kind, sink, slow, window) for kind in kinds}
    found: dict[str, list[Figures]] = {}
    for number in range(rounds):
        for name, command in bare.items():
            found.setdefault(f"{name}, no database", []).append(smpp.measure(command, port, window, 1.0))
        for kind in kinds:
            found.setdefault(kind, []).append(benches[kind].whole_way(count))
            found.setdefault(f"{kind}, commits {SLOWER_MS} ms slower", []).append(
                slower[kind].whole_way(max(1000, count // 10))
            )
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    waits = {kind: {trunk: benches[kind].singles(trunk, 100, 100_000) for trunk in ("other", "bulk")} for kind in kinds}
    return {
        "window": window,
        "ways": {name: medians(each) for name, each in found.items()},
        "rounds": found,
        "singles": waits,
    }


def show(found: dict[str, Any]) -> None:
    ways = found["ways"]
    node = ways.get("node-smpp, no database", {}).get("per_second")
    print(f"window {found['window']}{'':24} msgs/s   to node-smpp   CPU µs/msg   peak MB")
    for name, figures in ways.items():
        ratio = f"{figures['per_second'] / node:.2f}" if node else ""
        memory = f"{figures['memory_mb']:.0f}" if "no database" not in name else ""
        print(f"{name:32} {figures['per_second']:10,.0f} {ratio:>14} {figures['cpu_us']:12.1f} {memory:>9}")
    for kind, waits in found["singles"].items():
        for trunk, figures in waits.items():
            where = "the campaign's own trunk" if trunk == "bulk" else "another trunk"
            print(
                f"single sends, {kind}, {where}: p50 {figures['p50_ms']:.0f} ms, p99 {figures['p99_ms']:.0f} ms,"
                f" with {figures['queued_behind']:,.0f} numbers still queued"
            )
    for what, reached, wanted, at_least in targets(found, node):
        met = reached >= wanted if at_least else reached <= wanted
        print(f"{'ok  ' if met else 'MISS'} {what}: {reached:.2f}, wanted {'' if at_least else 'at most '}{wanted:g}")


def targets(found: dict[str, Any], node: float | None) -> list[tuple[str, float, float, bool]]:
    """(what, reached, wanted, whether more is better)."""
    ways, rows = found["ways"], []
    for kind in found["singles"]:
        if node:
            rows.append((f"{kind} to node-smpp's bare loop", ways[kind]["per_second"] / node, WANTED[kind], True))
        kept = ways[f"{kind}, commits {SLOWER_MS} ms slower"]["per_second"] / ways[kind]["per_second"]
        rows.append((f"{kind}: kept with commits {SLOWER_MS} ms slower", kept, 0.8, True))
        p99 = found["singles"][kind]["other"]["p99_ms"]
        rows.append((f"{kind}: p99 of single sends on another trunk, ms", p99, SINGLE_WANTED_MS, False))
    if "sqlite" in ways:
        rows.append(("sqlite: CPU µs a message", ways["sqlite"]["cpu_us"], CPU_WANTED_US, False))
    return rows


def draw(found: dict[str, Any]) -> None:
    def axes(all_axes: list[Any]) -> None:
        names = list(found["ways"])
        all_axes[0].barh(names, [found["ways"][name]["per_second"] for name in names])
        all_axes[0].invert_yaxis()
        all_axes[0].set_xlabel(f"messages a second, window {found['window']}")
        all_axes[0].grid(axis="x", alpha=0.3)

    report.plot("campaign", 1, axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="instead of all; may be repeated")
    parser.add_argument("--count", type=int, default=60_000, help="numbers of a campaign")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/campaign.json, with a plot")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.count = 1, 10_000
    with ExitStack() as stack:
        found = run(stack, options.database or DATABASES, options.count, options.rounds, options.window)
    show(found)
    if options.json:
        report.save("campaign", found)
        draw(found)


if __name__ == "__main__":
    main()
