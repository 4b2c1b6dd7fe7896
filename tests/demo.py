"""The main job, as an administrator does it: call records, a list, two campaigns, the service, what became of each.

Everything happens in a folder of its own, with the installed programs as processes: a fresh SQLite database, call
records with realistic rows, the public fake SMSC on loopback, an SMPP trunk and a script trunk. It ends by itself, and
its exit code is 0 only if every outcome is right. `python tests/demo.py --quiet` shows nothing but the result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

BIN = Path(sys.executable).parent
GSM = "Su pedido esta listo. Horario: 9-20 h. Precio: 25 €"
UNICODE = "¡Gracias por su visita! ☕ Le esperamos mañana a las 10."

#: Call records as a PBX has them: (src, dst, disposition, billsec).
CALLS = [
    ("600100001", "912345678", "ANSWERED", 61),
    ("+34600100001", "912345678", "ANSWERED", 12),  # the same caller in four spellings
    ("0034600100001", "912345678", "NO ANSWER", 0),
    ("34600100001", "912345678", "BUSY", 0),
    ("600100002", "912345678", "NO ANSWER", 0),
    ("712100003", "912345678", "ANSWERED", 340),
    ("600 10 00 04", "912345678", "ANSWERED", 5),
    ("101", "600100005", "ANSWERED", 44),  # an outgoing call to a mobile
    ("600100006", "912345678", "ANSWERED", 9),  # will be excluded
    ("913334455", "912345678", "ANSWERED", 120),  # a landline
    ("+447911123456", "912345678", "ANSWERED", 70),  # another country
    ("anonymous", "912345678", "NO ANSWER", 0),
    ("", "912345678", "NO ANSWER", 0),
    ("101", "102", "ANSWERED", 30),
    ("600100001", "112", "ANSWERED", 20),
]
HARVESTED = ["34600100001", "34600100002", "34600100004", "34600100005", "34600100006", "34712100003"]
EXCLUDED = "34600100006"
CSV = 'móvil;texto\n600200001;\n600200002;"Hola Ana, su cita es mañana: ✔"\n+34 600 200 003;Hola Luis\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="show nothing but the result")
    console = Console(quiet=parser.parse_args().quiet)
    with tempfile.TemporaryDirectory(prefix="ixxsms-demo-") as name, contextlib.ExitStack() as stack:
        wrong = Demo(Path(name), console, stack).run()
    for sentence in wrong:
        print(f"WRONG: {sentence}", file=sys.stderr)
    print("The demo went as it should." if not wrong else f"{len(wrong)} outcomes are wrong.")
    return 1 if wrong else 0


class Demo:
    def __init__(self, folder: Path, console: Console, stack: contextlib.ExitStack) -> None:
        self.folder, self.console, self.stack = folder, console, stack
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IXXSMS_")},
            "IXXSMS_CONFIG": str(folder / "ixxsms.conf"),
            "IXXSMS_DATABASE_URL": f"sqlite:///{folder / 'ixxsms.db'}",
            "IXXSMS_CDR_URL": f"sqlite:///{folder / 'cdr.db'}",
            "IXXSMS_SCRIPT_DIR": str(folder / "scripts"),
        }

    def run(self) -> list[str]:
        self.ixxsms("init")
        write_call_records(self.folder / "cdr.db")
        port, record = self.start_smsc()
        self.add_trunks(port)
        self.fill_list()
        self.create_campaigns()
        self.run_service()
        return self.check(record)

    # -- the steps -------------------------------------------------------------------------------------------------

    def add_trunks(self, port: int) -> None:
        self.ixxsms("numbering", "set", "--country", "ES")
        password = self.folder / "password"
        password.write_text("secret\n")
        self.ixxsms(
            *("trunk", "add", "provider", "--kind", "smpp", "--host", "127.0.0.1", "--port", str(port)),
            *("--user", "demo", "--password-file", str(password), "--window", "10", "--sender-id", "DEMO"),
        )
        script = self.folder / "scripts" / "note"
        script.write_text(
            '#!/bin/sh\n# sender destination text unicode\nprintf "%s|%s|%s|%s\\n" "$@" >> "${0%/*}/../note.txt"\n'
            'echo "0;written down;0;0"\n'
        )
        script.chmod(0o755)
        self.ixxsms("trunk", "add", "notebook", "--kind", "script", "--script", "note", "--priority", "2")
        self.ixxsms("trunk", "list")

    def fill_list(self) -> None:
        self.ixxsms("harvest", "callers")
        self.ixxsms("list", "exclude", "callers", "600100006")
        self.ixxsms("list", "show", "callers")

    def create_campaigns(self) -> None:
        (self.folder / "visitors.csv").write_text(CSV, encoding="utf-8")
        self.ixxsms("campaign", "create", "orders", "--text", GSM, "--list", "callers")
        self.ixxsms("campaign", "create", "visits", "--text", UNICODE, "--csv", str(self.folder / "visitors.csv"))
        self.ixxsms("campaign", "create", "notes", "--text", GSM, "--list", "callers", "--trunk", "notebook", "--run")
        for name in ("orders", "visits"):
            self.ixxsms("campaign", "resume", name)

    def run_service(self) -> None:
        """The daemon as a process of its own, until every message has its last word."""
        daemon = self.stack.enter_context(self.process("ixxmassivesms", stderr=subprocess.DEVNULL))
        total = sum(self.shown(name)["total"] for name in ("orders", "visits", "notes"))
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task("", total=total)
            deadline = time.monotonic() + 40
            while time.monotonic() < deadline and daemon.poll() is None:
                states = [self.shown(name)["states"] for name in ("orders", "visits", "notes")]
                waiting = sum(s["queued"] + s["submitted"] for s in states)
                progress.update(bar, completed=total - waiting)
                if not waiting and not any(s["accepted"] for s in states[:2]):
                    break
                time.sleep(0.2)
        self.ixxsms("status")
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)

    def check(self, record: Path) -> list[str]:
        """The table of outcomes, and every sentence that should not have to be said."""
        wrong = []
        table = Table("campaign", "number", "state", "trunk", "reason", box=None)
        outcomes = {name: self.outcomes(name) for name in ("orders", "visits", "notes")}
        for name, rows in outcomes.items():
            for row in rows:
                table.add_row(name, row["number"], row["state"], row["trunk"], row["reason"])
        self.console.print(table)
        for name, state in (("orders", "delivered"), ("visits", "delivered"), ("notes", "accepted")):
            expected = {n: "excluded" if n == EXCLUDED else state for n in HARVESTED}
            if name == "visits":
                expected = dict.fromkeys(["34600200001", "34600200002", "34600200003"], state)
            found = {row["number"]: row["state"] for row in outcomes[name]}
            if found != expected:
                wrong.append(f"campaign {name}: {found} instead of {expected}")
            if self.shown(name)["state"] != "finished":
                wrong.append(f"campaign {name} is not finished")
        return wrong + check_smsc(record) + check_notes(self.folder / "note.txt")

    # -- processes -------------------------------------------------------------------------------------------------

    def ixxsms(self, *arguments: str) -> None:
        """Run one command and show it with what it says."""
        self.console.print(f"[bold]$ ixxsms {' '.join(arguments)}[/bold]", highlight=False, soft_wrap=True)
        self.console.print(self.output(*arguments), markup=False, highlight=False, soft_wrap=True, end="")

    def output(self, *arguments: str) -> str:
        done = subprocess.run([BIN / "ixxsms", *arguments], env=self.environ, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"ixxsms {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def shown(self, campaign: str) -> dict[str, Any]:
        return dict(json.loads(self.output("campaign", "show", campaign, "--json")))

    def outcomes(self, campaign: str) -> list[dict[str, Any]]:
        answer = json.loads(self.output("campaign", "numbers", campaign, "--json"))
        return answer if isinstance(answer, list) else answer["numbers"]

    def start_smsc(self) -> tuple[int, Path]:
        record = self.folder / "received.jsonl"
        smsc = self.stack.enter_context(
            self.process(
                *("ixxsms", "fake-smsc", "--port", "0", "--latency-ms", "5", "--receipts", "--record", str(record)),
                stdout=subprocess.PIPE,
            )
        )
        assert smsc.stdout is not None
        return int(smsc.stdout.readline().rsplit(b":", 1)[1]), record

    @contextlib.contextmanager
    def process(self, program: str, *arguments: str, **kwargs: Any) -> Iterator[subprocess.Popen[bytes]]:
        started = subprocess.Popen([BIN / program, *arguments], env=self.environ, **kwargs)
        try:
            yield started
        finally:
            started.terminate()
            started.wait(20)


def write_call_records(file: Path) -> None:
    """A cdr table with FreePBX's columns, as cdr_sqlite3_custom writes them: every value is text."""
    columns = "calldate, clid, src, dst, dcontext, channel, duration, billsec, disposition, uniqueid, did"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, {columns})")
        for n, (src, dst, disposition, billsec) in enumerate(CALLS):
            connection.execute(
                f"INSERT INTO cdr ({columns}) VALUES (?, ?, ?, ?, 'from-trunk', 'SIP/t-1', ?, ?, ?, ?, '912345678')",
                (
                    f"2026-11-0{1 + n % 9} 10:{n:02}:00",
                    f'"" <{src}>',
                    src,
                    dst,
                    billsec + 3,
                    billsec,
                    disposition,
                    str(n),
                ),
            )


def check_smsc(record: Path) -> list[str]:
    """Every number once, with its text, its encoding and the right type of number."""
    received = [json.loads(line) for line in record.read_text().splitlines()]
    wrong = []
    texts: dict[str, list[str]] = {}
    for pdu in received:
        body = bytes.fromhex(pdu["short_message"])
        text = (
            body.decode("utf-16-be") if pdu["data_coding"] == 8 else body.replace(b"\x1b\x65", b"\xe2\x82\xac").decode()
        )
        texts.setdefault(pdu["destination"], []).append(text)
        if (pdu["dest_ton"], pdu["dest_npi"], pdu["source_ton"]) != (1, 1, 5):
            wrong.append(f"the SMSC got {pdu['destination']} with the wrong type of number")
    expected = {number: [GSM] for number in HARVESTED if number != EXCLUDED}
    expected |= {
        "34600200001": [UNICODE],
        "34600200002": ["Hola Ana, su cita es mañana: ✔"],
        "34600200003": ["Hola Luis"],
    }
    if texts != expected:
        wrong.append(f"the SMSC got {texts} instead of {expected}")
    return wrong


def check_notes(file: Path) -> list[str]:
    """The script trunk was called once for each number, with the four arguments of its contract."""
    lines = sorted(file.read_text().splitlines())
    expected = sorted(f"|{number}|{GSM}|0" for number in HARVESTED if number != EXCLUDED)
    return [] if lines == expected else [f"the script got {lines} instead of {expected}"]


if __name__ == "__main__":
    sys.exit(main())
