"""A real Asterisk for tests, 16 or 22, from a Debian root that tests/unpack-asterisk has unpacked.

The root's own loader starts the root's own program, as whoever runs the tests: no root, no chroot, nothing installed,
and AGI scripts run with this machine's interpreter. Everything is on the loopback and under one folder in /tmp.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from servers import Missing, free_port

MODULES = """
    pbx_config res_agi res_speech res_timing_timerfd res_clioriginate bridge_simple
    app_dial app_stack app_userevent app_verbose app_exec app_while app_originate
    func_callerid func_channel func_cdr func_strings func_logic func_base64 func_uri func_cut func_global
    func_hangupcause cdr_csv cdr_manager"""
#: SIP MESSAGE in both directions.
PJSIP = """
    res_pjproject res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjsip res_pjsip_session
    res_pjsip_messaging res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_ip
    res_pjsip_authenticator_digest res_pjsip_registrar"""
#: And calls.
PJSIP_CALLS = f"{PJSIP} res_pjsip_pubsub res_pjsip_sdp_rtp res_pjsip_caller_id res_rtp_asterisk codec_ulaw chan_pjsip"

AMI_USER, AMI_SECRET = "tests", "s3cret"

_FOLDERS = "etc run log/cdr-csv log/cdr-custom varlib db keys agi-bin cache spool/outgoing spool/tmp"
_QUIET = "cel.conf features.conf indications.conf ccss.conf udptl.conf pjproject.conf rtp.conf"  # it misses them aloud
_CONFS = {
    "logger.conf": "[general]\ndateformat=%F %T.%3q\n[logfiles]\nfull => notice,warning,error,verbose(3)\n",
    "cdr.conf": "[general]\nenable=yes\nunanswered=no\n[csv]\nloguniqueid=yes\nloguserfield=yes\n",
    "cdr_manager.conf": "[general]\nenabled=yes\n",
    **dict.fromkeys(_QUIET.split(), "[general]\n"),
}


def wait_until(condition: Callable[[], object], seconds: float = 10, what: Callable[[], str] = str) -> None:
    """Wait until something is so; what() says in the error what there was instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() or "it did not become so"
        time.sleep(0.02)


class Asterisk:
    """One Asterisk with its own folder `home`; started by start() or by `with`, which also removes the folder.

    `modules`: names, apart by blanks, besides MODULES. `confs`: {file name: text}, instead of what would be there.
    `manager_users`: more sections for manager.conf. `environ`: more variables.
    """

    def __init__(
        self,
        root: Path,
        extensions: str = "",
        *,
        modules: str = "",
        confs: Mapping[str, str] | None = None,
        manager_users: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        root = root.resolve()
        if not root.is_dir():
            raise Missing(f"There is no Asterisk in {root}; run: tests/unpack-asterisk")
        self.home = Path(tempfile.mkdtemp(prefix="ast", dir="/tmp"))  # the control socket's path must be short
        self.ami_port = free_port()
        self.environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._calls = 0
        libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu", root / "usr/lib"]
        path = ":".join(map(str, libraries))
        self._command = [
            *(str(_loader(libraries)), "--library-path", path),
            *(str(root / "usr/sbin/asterisk"), "-C", str(self.home / "etc/asterisk.conf")),
        ]
        module_folder = next(found for each in libraries if (found := each / "asterisk/modules").is_dir())
        for folder in _FOLDERS.split():
            (self.home / folder).mkdir(parents=True)
        self._write("asterisk.conf", _asterisk_conf(self.home, root, module_folder))
        self._write("modules.conf", _modules_conf(f"{modules} {MODULES}".split(), module_folder))
        self._write("manager.conf", _manager_conf(self.ami_port, manager_users))
        self._write("extensions.conf", extensions)
        for name, text in {**_CONFS, **(confs or {})}.items():
            self._write(name, text)

    def _write(self, name: str, text: str) -> None:
        (self.home / "etc" / name).write_text(text, encoding="utf-8")

    def __enter__(self) -> Asterisk:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()  # a second faster than stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> Asterisk:
        self._calls = 0
        with (self.home / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                # It must not outlive the tests, not even when these are killed.
                ["setpriv", "--pdeathsig", "KILL", *self._command, "-f", "-n"],
                cwd=self.home,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            wait_until(self._booted, 30, self.log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _booted(self) -> bool:
        assert self._process is not None and self._process.poll() is None, f"Asterisk has died:\n{self.log()}"
        return "fully booted" in self.rx("core waitfullybooted")

    def stop(self) -> None:
        """As an administrator would; its folder stays, for a later start()."""
        if self._process is not None and self._process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.rx("core stop now")
                self._process.wait(10)
        self.kill()

    def kill(self) -> None:
        """As a crash would end it, and the AGI scripts that it has started too; its folder stays."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def rx(self, command: str) -> str:
        """What a command of its console prints."""
        done = subprocess.run(
            [*self._command, "-rx", command], capture_output=True, text=True, errors="replace", timeout=30
        )
        return done.stdout + done.stderr

    def ami(self, action: str, *headers: str) -> str:
        """The response to one action; headers as in `Channel: Local/1@default`."""
        login = f"Action: Login\r\nUsername: {AMI_USER}\r\nSecret: {AMI_SECRET}\r\nEvents: off\r\n\r\n"
        asked = "".join(f"{line}\r\n" for line in (f"Action: {action}", *headers, "ActionID: asked"))
        with socket.create_connection(("127.0.0.1", self.ami_port), 10) as connection:
            connection.sendall(f"{login}{asked}\r\nAction: Logoff\r\n\r\n".encode())
            with connection.makefile("rb") as answers:
                packets = answers.read().decode("utf-8", "replace").split("\r\n\r\n")
        return next((packet for packet in packets if "ActionID: asked" in packet), "\n".join(packets))

    def call(
        self, extension: str, context: str = "default", *, caller: str = "", rings: float = 30, seconds: float = 30
    ) -> None:
        """One call into the dialplan, without any phone.

        `caller`: as in `"Ana" <600123456>`. `rings`: seconds until the caller gives up if nobody answers; `seconds`:
        until he hangs up if somebody does, or else the dialplan. Returns at once.
        """
        answer = self.ami(
            "Originate",
            f"Channel: Local/{extension}@{context}",
            *("Application: Wait", f"Data: {seconds}", f"Timeout: {int(rings * 1000)}", "Async: true"),
            *([f"CallerID: {caller}"] if caller else []),
        )
        assert "Response: Success" in answer, answer
        self._calls += 1

    def wait_idle(self, seconds: float = 30) -> None:
        """Wait until every call() has been in the dialplan and no call is left. Call records come a little later; with
        stop() they are all written."""

        def idle() -> bool:
            count = {
                name: int(number) for number, name in re.findall(r"(\d+) (active channel|call)s?\b", self.counts())
            }
            return count["active channel"] == 0 and count["call"] >= self._calls

        wait_until(idle, seconds, lambda: f"{self.counts()}\n{self.log()[-4000:]}")

    def counts(self) -> str:
        return self.rx("core show channels count")

    def log(self) -> str:
        """The console's output, then the log."""
        files = [self.home / "console.log", self.home / "log/full"]
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files if file.exists())

    def wait_log(self, text: str, seconds: float = 10, times: int = 1) -> str:
        """Wait for a text in the log; returns the last line that has it."""
        wait_until(
            lambda: self.log().count(text) >= times, seconds, lambda: f"{text!r} is not in:\n{self.log()[-4000:]}"
        )
        return [line for line in self.log().splitlines() if text.splitlines()[0] in line][-1]


def _loader(libraries: Iterable[Path]) -> Path:
    # Bullseye's ld-linux is an absolute link, which leads out of the root.
    names = ("ld-2*.so", "ld-linux-x86-64.so.2")
    return next(file for folder in libraries for name in names for file in folder.glob(name) if file.is_file())


def _asterisk_conf(home: Path, root: Path, module_folder: Path) -> str:
    folders = {
        "astetcdir": home / "etc",
        "astmoddir": module_folder,
        "astvarlibdir": home / "varlib",
        "astdbdir": home / "db",
        "astkeydir": home / "keys",
        "astdatadir": root / "usr/share/asterisk",  # without the documentation there, some modules do not load
        "astagidir": home / "agi-bin",
        "astspooldir": home / "spool",
        "astrundir": home / "run",
        "astlogdir": home / "log",
        "astcachedir": home / "cache",
        "astsbindir": root / "usr/sbin",
    }
    options = "nocolor=yes\ndontwarn=yes\nhideconnect=yes\nlive_dangerously=no\nverbose=3\n"
    return "[directories]\n" + "".join(f"{k} => {v}\n" for k, v in folders.items()) + f"[options]\n{options}"


def _modules_conf(modules: list[str], folder: Path) -> str:
    """Only what is named: no module opens a port that nobody asked for."""
    if any("custom" in name for name in modules) and (folder / "res_cdrel_custom.so").exists():
        modules = ["res_cdrel_custom", *modules]  # since 22.10 the custom CDR back ends need it
    return "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in dict.fromkeys(modules))


def _manager_conf(port: int, users: str) -> str:
    return (
        f"[general]\nenabled=yes\nwebenabled=no\nbindaddr=127.0.0.1\nport={port}\ndisplayconnects=no\n"
        f"[{AMI_USER}]\nsecret={AMI_SECRET}\ndeny=0.0.0.0/0.0.0.0\npermit=127.0.0.1/255.255.255.255\n"
        f"read=all\nwrite=all\nwritetimeout=1000\n{users}"
    )
