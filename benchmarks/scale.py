"""How much more several daemons send than one, when they share a database: messages a second, and what the CPU does.

    python benchmarks/scale.py [--database mariadb]... [--count 30000] [--rounds 3] [--quick] [--json]

The daemons, the database and the SMSC, a sink in C that never limits, are all on this machine. So there are two
questions: what comes out where the SMSC answers at once and the machine is the limit, and where it answers late, as
real ones do, and each bind brings its window. On galera all daemons use one node of three, on galera-spread each its
own. Everything but the clusters' nodes commits to the disk. Only ratios of one run say something.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import campaign
import processes
import report
import smpp

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import clusters  # noqa: E402
from conftest import new_database  # noqa: E402
from sqlalchemy import func, select  # noqa: E402

from ixxsms import campaigns, daemons, trunks  # noqa: E402
from ixxsms.drivers.base import Link  # noqa: E402
from ixxsms.models import Message  # noqa: E402

DATABASES = ["mariadb", "postgresql", "galera", "galera-spread"]
DAEMONS = [1, 2, 4]
#: (milliseconds, window): the machine is the limit; or the window, at so many messages a second for each bind.
PROVIDERS = [(0, 100), (50, 50)]

Cell = tuple[str, int, int]  #: database, milliseconds, daemons


class Shared(campaign.Bench):
    """One database that several daemons use."""

    def _database_url(self, stack: ExitStack, kind: str) -> str:
        if not kind.startswith("galera"):
            self.urls = [campaign.database_url(stack, kind, self.folder)]
            return self.urls[0]
        nodes = stack.enter_context(clusters.galera())
        new_database(nodes[0].server_url, "ixxsms")
        used = nodes if kind == "galera-spread" else nodes[:1]
        self.urls = [f"{node.server_url}/ixxsms" for node in used]
        return self.urls[0]

    def together(self, count: int, many: int, port: int, window: int) -> campaign.Figures:
        """So many daemons send one campaign. They are up before it begins, or their starting would be measured."""
        with self.database.write() as session:
            trunks.edit(session, "bulk", script_dir="", port=port, window=window)
        urls = [self.urls[number % len(self.urls)] for number in range(many)]
        running = [self.daemon(database_url=url) for url in urls]
        try:
            self._wait(lambda: self._up() == many)
            before = self._cpu(running)
            name = self.campaign(count)
            self._wait(lambda: self._finished(name))
            after = self._cpu(running)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
        with self.database.read() as session:
            accepted, first, last = session.execute(
                select(func.count(), func.min(Message.submitted_at), func.max(Message.accepted_at)).where(
                    Message.campaign_id == campaigns.get(session, name).id, Message.state == "accepted"
                )
            ).one()
        assert accepted == count, f"{accepted} of {count} were accepted"
        daemon, server = (1e6 * (now - then) / count for now, then in zip(after, before, strict=True))
        return {"per_second": count / (last - first), "daemons_cpu_us": daemon, "servers_cpu_us": server}

    def _cpu(self, running: list[subprocess.Popen[bytes]]) -> tuple[float, float]:
        """The processor seconds of the daemons, and of the database."""
        return processes.cpu_seconds({process.pid for process in running}), processes.cpu_seconds(self._servers)

    def _up(self) -> int:
        """How many daemons have their link of the trunk."""
        with self.database.read() as session:
            trunk = trunks.get(session, "bulk")
            living = daemons.alive(session, time.time(), 5.0)
            views = daemons.links(session, [daemon.id for daemon in living])
        return sum(view.trunk_id == trunk.id and view.link is Link.UP for view in views)

    def _finished(self, name: str) -> bool:
        with self.database.read() as session:
            return campaigns.get(session, name).state == "finished"


def run(stack: ExitStack, kinds: list[str], count: int, rounds: int) -> dict[Cell, list[campaign.Figures]]:
    sink = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sink"
    subprocess.run(["cc", "-O2", "-o", str(sink), str(smpp.PEERS / "sink.c")], check=True)
    ports = {latency: smpp.start_sink(stack, sink, latency) for latency, _ in PROVIDERS}
    found: dict[Cell, list[campaign.Figures]] = {}
    for kind in kinds:
        with ExitStack() as own:  # three nodes that rest are not quite at rest
            shared = Shared(own, kind, sink, None, 100)
            for number in range(rounds):
                for latency, window in PROVIDERS:
                    for many in DAEMONS:
                        few = count if not latency else count // 4
                        figures = shared.together(few, many, ports[latency], window)
                        found.setdefault((kind, latency, many), []).append(figures)
                if sys.stderr.isatty():
                    print(f"\r{kind}: round {number + 1} of {rounds}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return found


def medians(found: dict[Cell, list[campaign.Figures]]) -> list[dict[str, Any]]:
    """One row for each cell; `times`: what one daemon sends in the same round."""
    rows = []
    for (kind, latency, many), rounds in found.items():
        alone = found[kind, latency, DAEMONS[0]]
        times = [each["per_second"] / one["per_second"] for each, one in zip(rounds, alone, strict=True)]
        row = {"database": kind, "latency_ms": latency, "daemons": many, "times": statistics.median(times)}
        rows.append(row | campaign.medians(rounds))
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print("database         answers after   daemons    msgs/s   times one   CPU µs/msg: daemons   database")
    for row in rows:
        print(
            f"{row['database']:16} {row['latency_ms']:10} ms {row['daemons']:9} {row['per_second']:9,.0f}"
            f" {row['times']:11.2f} {row['daemons_cpu_us']:21.0f} {row['servers_cpu_us']:10.0f}"
        )


def draw(rows: list[dict[str, Any]]) -> None:
    def axes(all_axes: list[Any]) -> None:
        for one, (latency, window) in zip(all_axes, PROVIDERS, strict=True):
            for kind in dict.fromkeys(row["database"] for row in rows):
                mine = [row for row in rows if (row["database"], row["latency_ms"]) == (kind, latency)]
                one.plot([r["daemons"] for r in mine], [r["per_second"] for r in mine], marker="o", label=kind)
            one.set_title(f"answers after {latency} ms, window {window}")
            one.set_xlabel("daemons")
            one.set_xticks(DAEMONS)
            one.set_ylim(bottom=0)
            one.grid(alpha=0.3)
        all_axes[0].set_ylabel("messages a second")
        all_axes[-1].legend()

    report.plot("scale", len(PROVIDERS), axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="instead of all; may be repeated")
    parser.add_argument(
        "--count", type=int, default=30_000, help="numbers of a campaign, a quarter where the SMSC is slow"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/scale.json, with a plot")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.count = 1, 12_000
    with ExitStack() as stack:
        rows = medians(run(stack, options.database or DATABASES, options.count, options.rounds))
    show(rows)
    if options.json:
        report.save("scale", rows)
        draw(rows)


if __name__ == "__main__":
    main()
