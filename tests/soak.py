"""Mixed work for a long time: campaigns, single sends, incoming SMS, receipts, lost links. Memory and files stay flat.

    python tests/soak.py [--minutes 30] [--database URL] [--every 5]

Prints a line each so many seconds and says at the end what grew. Exit code 1 where memory or open files of the daemon
grew, where a number was sent to twice, or where a message was lost.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sqlalchemy import func, select
from systems import System, eventually

from ixxsms import campaigns, numbering_plan, outbox
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.models import Message
from ixxsms.states import OPEN
from ixxsms.testing import FakeSMSC

#: What may be more at the end than after the first fifth: memory by so much of itself, open files by so many.
GROWTH, FILES = 0.10, 5
CAMPAIGN = 200  #: numbers of each campaign


class Soak:
    """The system, and what it is made to do."""

    def __init__(self, stack: ExitStack, database_url: str | None) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = database_url or f"sqlite:///{self.folder / 'ixxsms.db'}"
        system = System(self.folder, url, stack)
        system.environ |= {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_LOG_LEVEL": "warning"}
        system.ixxsms("init")
        system.ixxsms("numbering", "set", "--country", "ES")
        self.smsc = stack.enter_context(FakeSMSC(accounts={"user": "secret"}, jitter=0.01))
        system.smpp("provider", self.smsc.port, "--window", "20")
        self.database = Database(url)
        stack.callback(self.database.close)
        self.daemon = system.start("ixxmassivesms", stderr=subprocess.DEVNULL)
        eventually(lambda: self.smsc.logins)
        self._chance = random.Random(1)
        self._numbers = self._campaigns = 0
        self.sent = Counter[str]()

    def work(self) -> None:
        """One thing of the mix."""
        [what] = self._chance.choices(
            [self._campaign, self._single, self._incoming, self._drop], weights=[2, 30, 20, 1]
        )
        what()
        self._count()

    def _next(self) -> str:
        self._numbers += 1
        return f"6{self._numbers:08}"

    def _campaign(self) -> None:
        self._campaigns += 1
        rows = [Row(line, self._next(), None) for line in range(CAMPAIGN)]
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            campaigns.create(
                session, plan, f"c{self._campaigns}", "Hola ñ", now=time.time(), max_segments=10, rows=rows, run=True
            )

    def _single(self) -> None:
        text = "a long text, " * self._chance.choice([1, 1, 30])
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            outbox.enqueue(session, plan, self._next(), text, now=time.time(), max_segments=10)

    def _incoming(self) -> None:
        self.smsc.deliver("34600999999", "34900100100", "an answer " * self._chance.choice([1, 1, 40]))

    def _drop(self) -> None:
        self.smsc.drop()

    def _count(self) -> None:
        """What the SMSC got, taken out of its memory: it is ours that is watched."""
        got, self.smsc.received[:] = list(self.smsc.received), []
        self.sent.update(
            message.destination for message in got if not message.esm_class & 0x40 or message.short_message[5] == 1
        )

    def states(self) -> Counter[str]:
        with self.database.read() as session:
            return Counter(dict(session.execute(select(Message.state, func.count()).group_by(Message.state)).all()))

    def finish(self) -> list[str]:
        """Let it come to rest; what went wrong."""
        eventually(lambda: not any(self.states()[state] for state in OPEN), 120)
        self._count()
        wrong = [f"{number} was sent to {count} times" for number, count in self.sent.items() if count > 1]
        lost = self._numbers - len(self.sent) - self.states()["in_doubt"]
        return wrong[:5] + ([f"{lost} messages were lost"] if lost > 0 else [])


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--database", metavar="URL", help="an empty database; default: SQLite in a folder of its own")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two readings")
    options = parser.parse_args()
    memory: list[float] = []
    files: list[int] = []
    with ExitStack() as stack:
        soak = Soak(stack, options.database)
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < 60 * options.minutes:
            soak.work()
            time.sleep(0.05)
            if passed >= options.every * len(memory):
                memory.append(resident_mb(soak.daemon.pid))
                files.append(open_files(soak.daemon.pid))
                print(
                    f"{passed:6.0f} s  {memory[-1]:7.1f} MB  {files[-1]:3} files  {len(soak.sent):7} sent", flush=True
                )
        wrong = soak.finish()
    fifth = max(1, len(memory) // 5)
    early, late = statistics.median(memory[fifth : 2 * fifth] or memory), statistics.median(memory[-fifth:])
    seen = f"files {max(files[: 2 * fifth])} early, {max(files[-fifth:])} late"
    print(f"memory {early:.1f} MB early, {late:.1f} MB late; {seen}")
    if late > early * (1 + GROWTH):
        wrong.append("the memory grew")
    if max(files[-fifth:]) > max(files[: 2 * fifth]) + FILES:
        wrong.append("the open files grew")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
