"""A PBX for tests: a real Asterisk with our dialplan and AGI scripts, the daemon as a process, and a fake SMSC."""

from __future__ import annotations

import base64
import itertools
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from asterisks import Asterisk
from servers import free_port
from systems import BIN, System

from ixxsms import trunks
from ixxsms.asterisk.install import shipped
from ixxsms.db import Database
from ixxsms.testing import FakeSMSC

ROOT = Path(__file__).parent.parent

#: Gosub(text,s,1) puts together the ${TEXT} that the test gave; Goto(done,s,1) ends a call, and what came of it goes
#: into the log, where the test reads it.
DONE = """
[text]
exten => s,1,Set(TEXT=)
 same => n,Set(LOCAL(n)=0)
 same => n(more),GotoIf($[${LEN(${T${n}})} = 0]?end)
 same => n,Set(TEXT=${TEXT}${BASE64_DECODE(${T${n}})})
 same => n,Set(LOCAL(n)=$[${n} + 1])
 same => n,Goto(more)
 same => n(end),Return()
[done]
exten => s,1,NoOp(RESULT=${RUN}|${SMSSTATUS}|${SMSID}|${SMSSEGMENTS}|${SMSERROR}|${EXTRA}|)
 same => n,Hangup()
"""


class Site:
    """Everything of one PBX. `dialplan`: the test's own contexts, each call of which ends with Goto(done,s,1)."""

    def __init__(
        self, folder: Path, root: Path, database_url: str, dialplan: str, stack: ExitStack, *, environ=None, **kwargs
    ) -> None:
        self.smsc = stack.enter_context(FakeSMSC())
        self.port = free_port()
        database = folder / "ixxsms.db"
        shutil.copy(database_url.removeprefix("sqlite:///"), database)
        self.system = System(folder, f"sqlite:///{database}", stack)
        self.system.environ |= {
            "IXXSMS_FASTAGI_PORT": str(self.port),
            "IXXSMS_REQUEST_PER_CALLER_HOUR": "0",
            "IXXSMS_REQUEST_PER_CALLER_DAY": "0",
            "IXXSMS_REQUEST_PER_DAY": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.database = Database(self.system.database_url)
        stack.callback(self.database.close)
        with self.database.write() as session:
            account = {"host": "127.0.0.1", "port": self.smsc.port, "user": "user", "password": "secret"}
            trunks.add(session, "provider", "smpp", script_dir=str(folder), **account)
        ours = (ROOT / "dialplan/extensions_ixxsms.conf").read_text(encoding="utf-8")
        globals_ = f"[globals]\nIXXSMS_AGI=agi://127.0.0.1:{self.port}\n"
        settings = {name: value for name, value in self.system.environ.items() if name.startswith("IXXSMS_")}
        self.asterisk = Asterisk(root, globals_ + dialplan + DONE + ours, environ=settings | (environ or {}), **kwargs)
        install_scripts(self.asterisk.home / "agi-bin")
        make_sounds(self.asterisk.home)
        stack.enter_context(self.asterisk)
        self._runs = itertools.count(1)

    @contextmanager
    def daemon(self, **settings: str):
        """The daemon as a process, with settings of its own; up when the block begins. It may be a second one."""
        environ = self.system.environ | {f"IXXSMS_{name.upper()}": value for name, value in settings.items()}
        logins = len(self.smsc.logins)
        log = self.system.folder / "daemon.log"
        with log.open("ab") as output:
            process = subprocess.Popen([BIN / "ixxmassivesms"], env=environ, stdout=output, stderr=output)
        try:
            self.smsc.wait_until(lambda: len(self.smsc.logins) > logins, 30)
            wait_for_port(int(settings.get("fastagi_port", self.port)))
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def daemon_log(self) -> str:
        return (self.system.folder / "daemon.log").read_text(encoding="utf-8", errors="replace")

    def start(
        self, extension: str, text: str | None = None, *, caller: str = "600111222", by: str = "", **variables: str
    ) -> str:
        """Begin a call into the test's context [t]; returns its number for `result`. `text`: for Gosub(text,s,1).

        `by`: the context, at s, that the caller is in meanwhile; else he waits.
        """
        run = str(next(self._runs))
        if text is not None:
            octets = text.encode()
            for number, at in enumerate(range(0, len(octets), 690)):
                variables[f"T{number}"] = base64.b64encode(octets[at : at + 690]).decode()
        answer = self.asterisk.ami(
            "Originate",
            f"Channel: Local/{extension}@t",
            *([f"Context: {by}", "Exten: s", "Priority: 1"] if by else ["Application: Wait", "Data: 30"]),
            *("Timeout: 60000", "Async: true", f"CallerID: {caller}"),
            *(f"Variable: {name}={value}" for name, value in {"RUN": run, **variables}.items()),
        )
        assert "Response: Success" in answer, answer
        return run

    def result(self, run: str, seconds: float = 20) -> list[str]:
        """SMSSTATUS, SMSID, SMSSEGMENTS, SMSERROR and EXTRA of a call that has ended."""
        line = self.asterisk.wait_log(f'"RESULT={run}|', seconds)
        return line.partition(f'"RESULT={run}|')[2].split("|")[:-1]

    def call(self, extension: str, text: str | None = None, **kwargs: str) -> list[str]:
        return self.result(self.start(extension, text, **kwargs))


def install_scripts(folder: Path, interpreter: str = sys.executable) -> None:
    """As an installation does: the scripts, run by this interpreter."""
    for script in (ROOT / "agi").glob("*.agi"):
        (folder / script.name).write_bytes(shipped.with_python(script.read_bytes(), interpreter))
        (folder / script.name).chmod(0o755)


def make_sounds(home: Path) -> None:
    """A moment of silence for each sound that is played; the Debian package comes without any."""
    conf = home / "etc/asterisk.conf"
    text = conf.read_text(encoding="utf-8")
    theirs = Path(text.partition("astdatadir => ")[2].partition("\n")[0])
    ours = home / "data"
    for name in ("agent-pass", "beep", *(f"digits/{digit}" for digit in range(10))):
        sound = ours / f"sounds/en/{name}.ulaw"
        sound.parent.mkdir(parents=True, exist_ok=True)
        sound.write_bytes(b"\xff" * 160)
    for entry in theirs.iterdir():
        if entry.name != "sounds":
            (ours / entry.name).symlink_to(entry)
    conf.write_text(text.replace(f"astdatadir => {theirs}", f"astdatadir => {ours}"), encoding="utf-8")


def wait_for_port(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, f"nobody listens at {port}"
        time.sleep(0.02)
