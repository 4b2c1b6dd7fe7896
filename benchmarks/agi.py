"""What an SMS from the dialplan costs on a real Asterisk: FastAGI and the script, each against one that does nothing.

    python benchmarks/agi.py [--asterisk 22] [--asterisk 16] [--seconds 3] [--channels 10] [--json]

Asterisk, the daemon with its SQLite file, the SMSC and the empty handler are processes of their own. All ways are taken
in turns, in one run: on a busy machine only the ratios say something. Needs what tests/unpack-asterisk unpacks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import report  # noqa: E402
import servers  # noqa: E402
from asterisks import Asterisk  # noqa: E402
from dialplans import install_scripts, wait_for_port  # noqa: E402
from panoramisk import fast_agi  # noqa: E402
from servers import free_port  # noqa: E402

from ixxsms import numbering_plan, schema, trunks  # noqa: E402
from ixxsms.asterisk.fastagi import Call, Server  # noqa: E402
from ixxsms.db import Database  # noqa: E402

SUITES = {"22": "sid", "16": "bullseye"}
ROUNDS = 3
SCRIPT_CALLS = 25

EMPTY_SCRIPT = """#!{python}
import os
from asterisk.agi import AGI
AGI(stderr=open(os.devnull, "w")).set_variable("SMSSTATUS", "SENT")
"""

# Each channel asks over and over, so that no call has to be set up meanwhile.
DIALPLAN = """[globals]
[b]
exten => loop,1,Set(I=0)
 same => n(again),Set(I=$[${{I}} + 1])
 same => n,AGI(${{URL}},600123456,base64:${{BASE64_ENCODE(${{STRFTIME(,,%s.%6q)}})}})
 same => n,GotoIf($[${{I}} < ${{N}}]?again)
 same => n,AGI(agi://127.0.0.1:{port}/end)
 same => n,Hangup()
"""


class Counter:
    """Hears from the dialplan that a channel is done; in a thread, for Asterisk must not wait for us."""

    def __init__(self, port: int) -> None:
        self.port, self.ended = port, threading.Semaphore(0)
        threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True).start()
        wait_for_port(port)

    async def _serve(self) -> None:
        async def end(_call: object) -> None:
            self.ended.release()

        await (await Server({}, end, 1000).listen("127.0.0.1", self.port)).serve_forever()


def serve_nothing(port: int, peer_port: int, file: str) -> None:
    """The empty handler hears the call, sets one variable, and closes. `row` keeps one row before, in a plain SQLite
    file and in one commit with the calls that wait meanwhile: less no handler can do that must not lose what it took.
    At the other port is panoramisk's server with an empty handler, what a PBX has that writes its own.
    """

    async def run() -> None:
        rows = Rows(file)

        async def empty(call: Call) -> None:
            await call.set_variable("SMSSTATUS", "SENT")

        async def row(call: Call) -> None:
            await rows.keep(call.asked.argument(0, "number"), call.asked.argument(1, "text"))
            await call.set_variable("SMSSTATUS", "SENT")

        async def peer(request: fast_agi.Request) -> None:
            await request.send_command('SET VARIABLE "SMSSTATUS" "SENT"')

        application = fast_agi.Application(loop=asyncio.get_running_loop())
        application.add_route("peer", peer)
        peers = await asyncio.start_server(application.handler, "127.0.0.1", peer_port, backlog=1024)
        ours = await Server({"row": row}, empty, 1000).listen("127.0.0.1", port)
        await asyncio.gather(peers.serve_forever(), ours.serve_forever())

    asyncio.run(run())


class Rows:
    """Durable rows: what comes while one commit is under way is in the next."""

    def __init__(self, file: str) -> None:
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE rows (number, text)")
        self._waiting: list[tuple[tuple[str, str], asyncio.Future[None]]] = []
        self._busy = False

    async def keep(self, *row: str) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(((row[0], row[1]), future))
        if not self._busy:
            self._busy = True
            asyncio.create_task(self._keep_all())  # noqa: RUF006 - its end is awaited by the futures
        await future

    async def _keep_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.get_running_loop().run_in_executor(None, self._commit, [row for row, _ in batch])
            for _, future in batch:
                future.set_result(None)
        self._busy = False

    def _commit(self, rows: list[tuple[str, str]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO rows VALUES (?, ?)", rows)
        self._database.execute("COMMIT")


class Bench:
    """Everything that is measured, running."""

    def __init__(self, version: str, stack: ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ixxsms-bench"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.smsc_port, self.empty_port, self.peer_port, self.daemon_port, end_port = (free_port() for _ in range(5))
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("IXXSMS_")} | {
            "IXXSMS_DATABASE_URL": f"sqlite:///{self.folder / 'ixxsms.db'}",
            "IXXSMS_FASTAGI_PORT": str(self.daemon_port),
            "IXXSMS_LOG_LEVEL": "warning",
            **{f"IXXSMS_REQUEST_PER_{what}": "0" for what in ("CALLER_HOUR", "CALLER_DAY", "DAY")},
        }
        self._database()
        self.record = self.folder / "smsc.jsonl"
        programs = Path(sys.executable).parent
        self._start(stack, programs / "ixxsms", "fake-smsc", "--port", self.smsc_port, "--record", self.record)
        wait_for_port(self.smsc_port)
        rows = self.folder / "rows.db"
        self._start(
            stack, sys.executable, __file__, "--empty", self.empty_port, "--peer", self.peer_port, "--rows", rows
        )
        self.daemon = self._start(stack, programs / "ixxmassivesms")
        self.ends = Counter(end_port)
        root = Path(os.environ.get("IXXSMS_ASTERISK_CACHE") or ROOT / ".cache/asterisk") / SUITES[version] / "root"
        self.asterisk = Asterisk(
            root,
            DIALPLAN.format(port=end_port),
            confs={"logger.conf": "[general]\n[logfiles]\nfull => error\n"},
            environ={name: value for name, value in self.environ.items() if name.startswith("IXXSMS_")},
        )
        scripts = self.asterisk.home / "agi-bin"
        install_scripts(scripts)
        (scripts / "empty.agi").write_text(EMPTY_SCRIPT.format(python=sys.executable))
        (scripts / "empty.agi").chmod(0o755)
        stack.enter_context(self.asterisk)
        for port in (self.empty_port, self.daemon_port):
            wait_for_port(port)
        self.url = {
            "empty": f"agi://127.0.0.1:{self.empty_port}/empty",
            "panoramisk": f"agi://127.0.0.1:{self.peer_port}/peer",
            "row": f"agi://127.0.0.1:{self.empty_port}/row",
            "queue": f"agi://127.0.0.1:{self.daemon_port}/queue",
            "send": f"agi://127.0.0.1:{self.daemon_port}/send",
            "empty script": "empty.agi",
            "send script": "ixxsms-send.agi",
        }

    def _start(self, stack: ExitStack, *command: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([str(part) for part in command], env=self.environ, stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        return process

    def _database(self) -> None:
        with closing(Database(self.environ["IXXSMS_DATABASE_URL"])) as database:
            schema.upgrade(database)
            with database.write() as session:
                numbering_plan.change(session, country="ES")
                account = {"host": "127.0.0.1", "port": self.smsc_port, "user": "u", "password": "p"}
                trunks.add(session, "provider", "smpp", script_dir="", **account)

    def calls(self, way: str, channels: int, each: int) -> float:
        """Seconds that so many channels take for so many calls each."""
        begun = time.perf_counter()
        for _ in range(channels):
            self.asterisk.ami(
                "Originate",
                "Channel: Local/loop@b",
                *("Application: Wait", "Data: 60", "Timeout: 60000", "Async: true"),
                *(f"Variable: URL={self.url[way]}", f"Variable: N={each}"),
            )
        for _ in range(channels):
            assert self.ends.ended.acquire(timeout=60), f"{way}: a channel did not end"
        return time.perf_counter() - begun

    def latencies(self, first: int) -> list[float]:
        """Milliseconds from the dialplan to the SMSC, of the messages that it got after the first so many."""
        time.sleep(0.3)
        rows = [json.loads(line) for line in self.record.read_text().splitlines()[first:]]
        texts = ((row["at"], bytes.fromhex(row["short_message"]).decode("ascii")) for row in rows)
        return sorted(1000 * (at - float(text)) for at, text in texts)

    def sent(self) -> int:
        time.sleep(0.5)
        return len(self.record.read_text().splitlines()) if self.record.exists() else 0


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def per_call(bench: Bench, ways: list[str], channels: int, each: int, rounds: int) -> dict[str, float]:
    """Calls a second of each way: the median of some rounds, taken in turns."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            rates[way].append(channels * each / bench.calls(way, channels, each))
    return {way: statistics.median(found) for way, found in rates.items()}


def fast(bench: Bench, channels: int, seconds: float) -> dict[str, object]:
    ways = ["empty", "panoramisk", "row", "queue", "send"]
    for way in ways:
        bench.calls(way, 2, 20)  # warm
    probe = {way: 200 / bench.calls(way, channels, 200 // channels) for way in ways}
    each = max(10, int(min(probe.values()) * seconds / ROUNDS / channels))
    rates = per_call(bench, ways, channels, each, ROUNDS)
    return {
        way: {
            "per_second": rate,
            "ms": 1000 * channels / rate,
            "of_empty": rate / rates["empty"],
            "of_panoramisk": rate / rates["panoramisk"],
            "of_row": rate / rates["row"],
        }
        for way, rate in rates.items()
    }


def latency(bench: Bench, channels: int, each: int) -> dict[str, float]:
    first = bench.sent()
    bench.calls("send", channels, each)
    found = bench.latencies(first)
    return {"p50_ms": found[len(found) // 2], "p99_ms": found[int(len(found) * 0.99)], "messages": len(found)}


def scripts(bench: Bench) -> dict[str, float]:
    ways = ["empty script", "send script"]
    per_call(bench, ways, 1, 3, 1)  # warm
    rates = per_call(bench, ways, 1, SCRIPT_CALLS, ROUNDS)
    found = {f"{way} ms": 1000 / rate for way, rate in rates.items()}
    return {**found, "of_empty": found["send script ms"] / found["empty script ms"]}


def measure(version: str, seconds: float, channels: int) -> dict[str, object]:
    with ExitStack() as stack:
        bench = Bench(version, stack)
        time.sleep(1.0)  # the trunk binds
        return {
            "asterisk": version,
            f"fastagi, {channels} channels": fast(bench, channels, seconds),
            f"fastagi, {6 * channels} channels": fast(bench, 6 * channels, seconds),
            "fastagi, 1 channel": fast(bench, 1, seconds),
            "scripts, 1 channel": scripts(bench),
            "dialplan to SMSC, 1 channel": latency(bench, 1, 150),
            f"dialplan to SMSC, {channels} channels": latency(bench, channels, 60),
            "daemon MB": memory(bench.daemon.pid),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asterisk", choices=SUITES, action="append")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each way through FastAGI")
    parser.add_argument("--channels", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/agi.json")
    parser.add_argument("--empty", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rows", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.empty:
        serve_nothing(options.empty, options.peer, options.rows)
    try:
        results = [measure(version, options.seconds, options.channels) for version in options.asterisk or ["22"]]
    except servers.Missing as missing:
        sys.exit(str(missing))
    for result in results:
        for name, value in result.items():
            shown = value if isinstance(value, dict) else {"": value}
            for key, number in shown.items():
                parts = number if isinstance(number, dict) else {"": number}
                told = "  ".join(f"{k} {v:9.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in parts.items())
                print(f"{name:34} {key:16} {told}")
    if options.json:
        report.save("agi", results)
        draw(results)


def draw(results: list[dict[str, Any]]) -> None:
    """Calls a second of each handler, one plot for each number of channels."""
    ways = [name for name in results[0] if name.startswith("fastagi")]

    def axes(all_axes: list[Any]) -> None:
        for axis, way in zip(all_axes, ways, strict=True):
            for number, result in enumerate(results):
                rates = {name: figures["per_second"] for name, figures in result[way].items()}
                places = [place + 0.4 * number for place in range(len(rates))]
                axis.barh(places, list(rates.values()), 0.38, label=f"Asterisk {result['asterisk']}")
                axis.set_yticks(places, list(rates))
            axis.invert_yaxis()
            axis.set_title(way)
            axis.set_xlabel("calls a second")
            axis.legend()

    report.plot("agi", len(ways), axes)


if __name__ == "__main__":
    main()
