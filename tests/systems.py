"""An installed system in a folder of its own: the programs run as processes, as an administrator runs them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent


class System:
    """The programs, in one folder with one configuration."""

    def __init__(self, folder: Path, database_url: str, stack: ExitStack) -> None:
        self.folder, self.database_url, self._stack = folder, database_url, stack
        self.cdr = folder / "cdr.db"
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("IXXSMS_")} | {
            "HOME": str(folder),
            "IXXSMS_CONFIG": str(folder / "etc" / "ixxsms.conf"),
            "IXXSMS_DATABASE_URL": database_url,
            "IXXSMS_CDR_URL": f"sqlite:///{self.cdr}",
            "IXXSMS_STATE_DIR": str(folder),
            "IXXSMS_SCRIPT_DIR": str(folder / "scripts"),
            "IXXSMS_POLL_SECONDS": "0.02",
        }

    def program(self, name: str) -> list[str]:
        """The command of an installed program."""
        return [str(BIN / name)]

    def run(self, *arguments: str, **kwargs) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code."""
        program, *rest = arguments
        return subprocess.run(
            [BIN / program, *rest], env=self.environ, capture_output=True, text=True, timeout=60, **kwargs
        )

    def ixxsms(self, *arguments: str) -> str:
        """Run one command that must succeed; returns what it printed."""
        done = self.run("ixxsms", *arguments)
        assert done.returncode == 0, f"ixxsms {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str):
        return json.loads(self.ixxsms(*arguments, "--json"))

    def refused(self, *arguments: str) -> str:
        """Run one command that must be refused; returns its one sentence."""
        done = self.run("ixxsms", *arguments)
        assert done.returncode == 1, f"ixxsms {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        assert done.stderr.startswith("ixxsms: "), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr

    @contextmanager
    def process(self, *arguments: str, **kwargs):
        """A program in the background, terminated at the end of the block unless it has ended."""
        program, *rest = arguments
        process = subprocess.Popen([BIN / program, *rest], env=self.environ, **kwargs)
        try:
            yield process
        finally:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a test may have stopped it
            process.wait(30)
            if process.stdout:
                process.stdout.close()

    def start(self, *arguments: str, **kwargs):
        """A program in the background until the test ends."""
        return self._stack.enter_context(self.process(*arguments, **kwargs))

    def drain(self) -> None:
        done = self.run("ixxmassivesms", "--drain")
        assert done.returncode == 0, done.stderr

    def calls(self, *rows: tuple[str, str]) -> None:
        """Call records (src, dst), as cdr_sqlite3_custom writes them."""
        columns = "calldate, clid, src, dst, dcontext, duration, billsec, disposition, uniqueid, did"
        with closing(sqlite3.connect(self.cdr)) as connection, connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS cdr (AcctId INTEGER PRIMARY KEY, {columns})")
            for n, (src, dst) in enumerate(rows):
                connection.execute(
                    f"INSERT INTO cdr ({columns}) VALUES (?, '', ?, ?, 'in', '20', '10', 'ANSWERED', ?, '')",
                    (f"2026-11-10 10:00:{n % 60:02}", src, dst, f"u{n}"),
                )

    def numbers(self, campaign: str) -> dict[str, dict]:
        answer = self.json("campaign", "numbers", campaign)
        return {row["number"]: row for row in (answer if isinstance(answer, list) else answer["numbers"])}

    def smpp(self, name: str, port: int, *more: str) -> None:
        self.ixxsms(
            *("trunk", "add", name, "--kind", "smpp", "--host", "127.0.0.1", "--port", str(port)),
            *("--user", "user", "--password", "secret", *more),
        )


def eventually(condition, seconds: float = 30.0):
    """Wait until it is so: other processes tell nobody when they are done."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
    return value
