"""The whole way of a campaign: rows in the database, claimed, sent, answered, recorded, every step durable.

    python benchmarks/campaign.py                       all databases, three rounds
    python benchmarks/campaign.py --quick               one short round, to see that it works
    python benchmarks/campaign.py --database sqlite --count 200000 --rounds 5
    python benchmarks/campaign.py --window 10 --json    also into benchmarks/results/campaign.json, with a plot

The daemon is the installed program, its SMSC a sink in C that never limits. Beside it, in the same rounds: Kannel and
Jasmin, which too take messages, keep them and pass them on to such a sink (smpp_peers/gateways.py), and senders that
keep nothing at all, node-smpp's bare loop and smpplib's. All databases commit to the disk before they answer. Then the
same with each commit 10 ms slower, and single sends while a campaign runs. Only ratios of one round say something: on a
busy machine all rates fall together. CPU is that of the daemon, of a gateway with all its servers, or of the sender;
"with server" adds what our database server used. What is not installed is left out: make bench installs it.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import processes
import report
import smpp
from smpp_peers import gateways

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import servers  # noqa: E402
from servers import free_port  # noqa: E402
from sqlalchemy import create_engine, func, insert, select, text  # noqa: E402

from ixxsms import campaigns, lists, numbering_plan, outbox, schema, trunks  # noqa: E402
from ixxsms.db import Database  # noqa: E402
from ixxsms.models import Member, Message  # noqa: E402
from ixxsms.smpp.smsc import Submitted  # noqa: E402
from ixxsms.testing import FakeSMSC  # noqa: E402

BIN = Path(sys.executable).parent
DATABASES = ["sqlite", "mariadb", "postgresql"]
SLOWER_MS = 10
SLOWER = f"commits {SLOWER_MS} ms slower"
NODE = "node-smpp"
BARE = [NODE, "smpplib"]
NOTHING_KEPT = "no database"
#: At least so many times node-smpp's bare loop.
WANTED = {"sqlite": 3.0, "postgresql": 1.5, "mariadb": 1.2}
#: At least so many times a gateway.
GATEWAYS_WANTED = {"Kannel": 10.0, "Jasmin": 100.0}
CPU_WANTED_US = 15.0  #: of the daemon a message, on SQLite
SINGLE_WANTED_MS = 50.0
SINGLES = 200
BESIDE = 200_000  #: numbers of the campaign that runs meanwhile, so many that on another trunk it outlasts them
#: How a single message is asked for: by a call over FastAGI, or as a row that another program puts into the database.
CALL = "call"
WAYS = (CALL, "row")
UNLIMITED = {f"request_per_{what}": "0" for what in ("caller_hour", "caller_day", "day")}

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
        before = processes.children()
        self.url = self._database_url(stack, kind)
        self._arrived: dict[str, float] = {}  # at the SMSC of the trunk "other"
        self._servers = processes.children() - before
        self.database = stack.enter_context(closing(Database(self.url)))
        schema.upgrade(self.database)
        with self.database.write() as session:
            numbering_plan.change(session, country="ES")
            other = stack.enter_context(FakeSMSC(on_message=self._heard))
            for name, port in (("bulk", smpp.start_sink(stack, sink, 0)), ("other", other.port)):
                account = {"host": "127.0.0.1", "port": port, "user": "u", "password": "p", "window": window}
                trunks.add(session, name, "smpp", script_dir="", **account)
        self._campaigns = 0
        self._idle_cpu = 0.0
        self._lists: set[int] = set()  # how many numbers each list has that there is

    def _database_url(self, stack: ExitStack, kind: str) -> str:
        return database_url(stack, kind, self.folder, self._slow)

    def _heard(self, message: Submitted) -> None:
        self._arrived[message.destination] = time.time()

    def campaign(self, count: int) -> str:
        """Make a campaign to so many numbers, running."""
        self._campaigns += 1
        name = f"c{self._campaigns}"
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            list_name = f"l{count}"
            if count not in self._lists:
                made = lists.create(session, list_name, now=0.0)
                row = {"list_id": made.id, "excluded": False, "source": "csv", "added_at": 0.0}
                for at in range(0, count, 10_000):
                    numbers = range(at, min(count, at + 10_000))
                    rows = [{**row, "number": f"34{600000000 + n}"} for n in numbers]
                    session.connection().execute(insert(Member.__table__), rows)  # type: ignore[arg-type]
            fields = {"list_name": list_name, "trunk": "bulk", "run": True}
            campaigns.create(session, plan, name, smpp.TEXT, now=time.time(), max_segments=1, **fields)
        self._lists.add(count)
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
        ended, peak = 0, 0.0
        while not ended:  # what wait4 tells of the memory is at least that of this process, from which it was forked
            peak = max(peak, report.peak_mb(process.pid))
            time.sleep(0.05)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime, peak

    def whole_way(self, count: int) -> Figures:
        """Messages a second from the first claim to the last answer recorded; CPU without that of an idle start."""
        if not self._idle_cpu:
            self._idle_cpu, _ = self.drained()
        name = self.campaign(count)
        servers_cpu = processes.cpu_seconds(self._servers)
        cpu, memory = self.drained()
        servers_cpu = processes.cpu_seconds(self._servers) - servers_cpu
        with self.database.read() as session:
            campaign = campaigns.get(session, name)
            accepted, first, last = session.execute(
                select(func.count(), func.min(Message.submitted_at), func.max(Message.accepted_at)).where(
                    Message.campaign_id == campaign.id, Message.state == "accepted"
                )
            ).one()
        assert accepted == count, f"{accepted} of {count} were accepted"
        cpu_us = 1e6 * max(0.0, cpu - self._idle_cpu) / count
        return {
            "per_second": count / (last - first),
            "cpu_us": cpu_us,
            "with_server_us": cpu_us + 1e6 * servers_cpu / count,
            "memory_mb": memory,
        }

    def singles(self, trunk: str, way: str, count: int, campaign: int) -> Figures:
        """Milliseconds from the wish to send a message to its arrival, while a campaign runs on the trunk "bulk".

        `way`: how it is asked for, see WAYS. It arrives on the trunk "other" when its SMSC has it, on "bulk" when its
        acceptance is being recorded.
        """
        self.campaign(campaign)
        self._fastagi = free_port()
        before, process = self._sent(), self.daemon(fastagi_port=str(self._fastagi), **UNLIMITED)
        wished: dict[str, float] = {}
        found = []
        try:
            self._wait(lambda: self._sent() > before + 1000)
            for each in range(count):
                number = f"6{self._campaigns % 100:02}{each:06}"
                wished["34" + number] = time.time()
                found.append(self._ask(number, trunk) if way == CALL else self._queue(number, trunk))
                time.sleep(0.02)
            still = self._queued()
            self._wait(lambda: self._accepted_at(found[-1]) is not None)
        finally:
            process.terminate()
            process.wait()
        with self.database.read() as session:
            rows = session.execute(select(Message.number, Message.accepted_at).where(Message.id.in_(found))).all()
        arrived = {number.removeprefix("+"): at for number, at in rows} | self._arrived
        waits = sorted(1000 * (arrived[number] - at) for number, at in wished.items())
        with self.database.write() as session:
            session.execute(text("UPDATE messages SET state = 'cancelled' WHERE state = 'queued'"))
            session.execute(text("UPDATE campaigns SET state = 'finished'"))
        return {
            "p50_ms": waits[len(waits) // 2],
            "p99_ms": waits[math.ceil(len(waits) * 0.99) - 1],  # the nearest rank
            "queued_behind": float(still),
        }

    def _queue(self, number: str, trunk: str) -> int:
        """As another program does that has the library."""
        with self.database.write() as session:
            plan, now = numbering_plan.get(session), time.time()
            trunk_id, urgent = trunks.get(session, trunk).id, outbox.NOW
            return outbox.enqueue(
                session, plan, number, "now", now=now, max_segments=1, trunk_id=trunk_id, urgency=urgent
            ).id

    def _ask(self, number: str, trunk: str) -> int:
        """As a call does whose dialplan waits for the answer."""
        asked = f"agi_network_script: send\nagi_arg_1: {number}\nagi_arg_2: now\nagi_arg_3: {trunk}\n\n"
        with socket.create_connection(("127.0.0.1", self._fastagi), 30) as call, call.makefile("rb") as commands:
            call.sendall(asked.encode())
            answer = commands.readline().decode()
            call.sendall(b"200 result=1\n")
        found = re.search(r"SMSID=(\d+)", answer)
        assert found, answer
        return int(found[1])

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


def run(stack: ExitStack, kinds: list[str], count: int, rounds: int, window: int, seconds: float) -> dict[str, Any]:
    """`count`: of a campaign; `seconds`: of each peer in each round."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    sink, slow = folder / "sink", folder / "slow.so"
    subprocess.run(["cc", "-O2", "-o", str(sink), str(smpp.PEERS / "sink.c")], check=True)
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-o", str(slow), str(ROOT / "benchmarks/slow_commit.c")], check=True
    )
    commands = smpp.senders(window)
    bare = {name: commands[name] for name in BARE if name in commands}
    left_out = [f"{name} is not installed" for name in BARE if name not in commands]
    port = smpp.start_sink(stack, sink, 0)
    benches = {kind: Bench(stack, kind, sink, None, window) for kind in kinds}
    slower = {kind: Bench(stack, kind, sink, slow, window) for kind in kinds}
    found: dict[str, list[Figures]] = {}
    with ExitStack() as during_rounds:  # what the single sends are not to wait for
        peers: dict[str, gateways.Gateway] = {}
        for name in GATEWAYS_WANTED:
            own_sink = smpp.start_sink(during_rounds, sink, 0)
            try:
                peers[name] = gateways.start(during_rounds, name, own_sink, window, smpp.TEXT)
            except gateways.Missing as missing:
                left_out.append(str(missing))
        for number in range(rounds):
            for kind in kinds:
                found.setdefault(kind, []).append(benches[kind].whole_way(count))
            for name, gateway in peers.items():
                found.setdefault(name, []).append(gateway.measure(seconds))
            for name, command in bare.items():
                figures = smpp.measure(command, port, window, seconds / 3)
                without_memory = {key: figures[key] for key in ("per_second", "cpu_us")}
                found.setdefault(f"{name}, {NOTHING_KEPT}", []).append(without_memory)
            for kind in kinds:
                figures = slower[kind].whole_way(count)
                # So few messages cost less than one start differs from the next.
                without_cpu = {name: figures[name] for name in ("per_second", "memory_mb")}
                found.setdefault(f"{kind}, {SLOWER}", []).append(without_cpu)
            if sys.stderr.isatty():
                print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    waits = {
        kind: {
            trunk: {way: benches[kind].singles(trunk, way, SINGLES, BESIDE) for way in WAYS}
            for trunk in ("other", "bulk")
        }
        for kind in kinds
    }
    return {
        "window": window,
        "ways": {name: medians(each) for name, each in found.items()},
        "rounds": found,
        "singles": waits,
        "left_out": left_out,
    }


def ratio(found: dict[str, Any], one: str, other: str) -> float | None:
    """The median of the rounds' ratios; None where the other one was left out."""
    pairs = zip(found["rounds"][one], found["rounds"].get(other, []), strict=False)
    ratios = [a["per_second"] / b["per_second"] for a, b in pairs]
    return statistics.median(ratios) if ratios else None


def show(found: dict[str, Any]) -> None:
    print(f"{'':32} {'messages':>10} {'times':>8} {'times':>8} {'times':>10} {'CPU µs a':>9} {'with':>8} {'peak':>6}")
    head = f"window {found['window']}"
    print(f"{head:32} {'a second':>10} {'Kannel':>8} {'Jasmin':>8} {NODE:>10} {'message':>9} {'server':>8} {'MB':>6}")
    for name, figures in found["ways"].items():
        times = [ratio(found, name, other) for other in (*GATEWAYS_WANTED, f"{NODE}, {NOTHING_KEPT}")]
        kannel, jasmin, node = (f"{each:.2f}" if each else "" for each in times)
        cpu = f"{figures['cpu_us']:,.1f}" if "cpu_us" in figures else ""
        with_server = f"{figures['with_server_us']:,.1f}" if "with_server_us" in figures else cpu
        memory = f"{figures['memory_mb']:.0f}" if "memory_mb" in figures else ""
        print(
            f"{name:32} {figures['per_second']:10,.0f} {kannel:>8} {jasmin:>8} {node:>10}"
            f" {cpu:>9} {with_server:>8} {memory:>6}"
        )
    for line in found["left_out"]:
        print(f"left out: {line}")
    for kind, waits in found["singles"].items():
        for trunk, ways in waits.items():
            where = "the campaign's own trunk" if trunk == "bulk" else "another trunk"
            for way, figures in ways.items():
                print(
                    f"single sends, {kind}, {where}, by a {way}: p50 {figures['p50_ms']:.0f} ms,"
                    f" p99 {figures['p99_ms']:.0f} ms, with {figures['queued_behind']:,.0f} numbers still queued"
                )
    for what, reached, wanted, at_least in targets(found):
        met = reached >= wanted if at_least else reached <= wanted
        print(f"{'ok  ' if met else 'MISS'} {what}: {reached:.2f}, wanted {'' if at_least else 'at most '}{wanted:g}")


def targets(found: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """(what, reached, wanted, whether more is better) of every target that was measured."""
    rows = []
    for kind in found["singles"]:
        for peer, wanted in GATEWAYS_WANTED.items():
            rows.append((f"{kind} to {peer}", ratio(found, kind, peer), wanted, True))
        node = ratio(found, kind, f"{NODE}, {NOTHING_KEPT}")
        rows.append((f"{kind} to node-smpp's bare loop", node, WANTED[kind], True))
        rows.append((f"{kind}: kept with {SLOWER}", ratio(found, f"{kind}, {SLOWER}", kind), 0.8, True))
        for way, figures in found["singles"][kind]["other"].items():
            what = f"{kind}: p99 of single sends on another trunk, by a {way}, ms"
            rows.append((what, figures["p99_ms"], SINGLE_WANTED_MS, False))
    if "sqlite" in found["ways"]:
        rows.append(("sqlite: CPU µs a message", found["ways"]["sqlite"]["cpu_us"], CPU_WANTED_US, False))
    return [(what, reached, wanted, more) for what, reached, wanted, more in rows if reached is not None]


def draw(found: dict[str, Any]) -> None:
    """Fastest first, on a logarithmic scale: between Jasmin and ours are two powers of ten."""
    colours = {"ours": "tab:blue", "ours, " + SLOWER: "lightsteelblue", "gateways": "tab:orange", "no store": "grey"}

    def sort(name: str) -> str:
        if name in GATEWAYS_WANTED:
            return "gateways"
        if name.endswith(NOTHING_KEPT):
            return "no store"
        return "ours, " + SLOWER if name.endswith(SLOWER) else "ours"

    def axes(all_axes: list[Any]) -> None:
        (axis,) = all_axes
        ways = sorted(found["ways"].items(), key=lambda way: -way[1]["per_second"])
        rates = [figures["per_second"] for _, figures in ways]
        axis.figure.set_size_inches(9, 1.6 + 0.36 * len(ways))
        for name, colour in colours.items():
            places = [place for place, (way, _) in enumerate(ways) if sort(way) == name]
            axis.barh(places, [rates[place] for place in places], color=colour, label=name)
        for place, rate in enumerate(rates):
            axis.text(rate * 1.06, place, f"{rate:,.0f}", va="center", fontsize=9)
        axis.set_yticks(range(len(ways)), [way for way, _ in ways])
        axis.set(
            xscale="log", xlim=(min(rates) / 3, max(rates) * 3), xlabel=f"messages a second, window {found['window']}"
        )
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
        axis.figure.legend(loc="outside upper center", ncols=len(colours), frameon=False)

    report.plot("campaign", 1, axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="instead of all; may be repeated")
    parser.add_argument("--count", type=int, default=60_000, help="numbers of a campaign (60000)")
    parser.add_argument("--rounds", type=int, default=3, help="in each of which all take their turns (3)")
    parser.add_argument("--window", type=int, default=100, help="segments unanswered at most, of us and of them (100)")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/campaign.json, with a plot")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.count = 1, 10_000
    with ExitStack() as stack:
        kinds, seconds = options.database or DATABASES, 1.0 if options.quick else 3.0
        found = run(stack, kinds, options.count, options.rounds, options.window, seconds)
    show(found)
    if options.json:
        report.save("campaign", found)
        draw(found)


if __name__ == "__main__":
    main()
