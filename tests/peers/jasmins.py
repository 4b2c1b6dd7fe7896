"""Jasmin as an SMSC: its SMPP server takes our messages, RabbitMQ carries them, its own SMPP client passes them on.

with jasmins.jasmin(far.port) as jasmin: connect to jasmin.port as ACCOUNT, and look at what the SMSC at far.port gets.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers import Account, need

HERE = Path(__file__).parent
ACCOUNT: Account = ("user", "secret")
OTHER: Account = ("narrow", "secret")  #: takes two messages a second

#: A Python with Jasmin in it, as the Makefile makes it.
FOLDER = Path(os.environ.get("IXXSMS_TEST_JASMIN") or HERE.parents[1] / ".cache" / "jasmin")

CONFIGURATION = """
[smpp-server]
bind = 127.0.0.1
port = {port}
billing_feature = False
enquireLinkTimerSecs = 6
log_level = {log_level}
log_file = {folder}/smpp.log
[jcli]
bind = 127.0.0.1
port = 0
authentication = False
[router]
bind = 127.0.0.1
port = 0
authentication = False
[client-management]
bind = 127.0.0.1
port = 0
authentication = False
[smpp-server-pb]
bind = 127.0.0.1
port = 0
authentication = False
[amqp-broker]
port = {rabbitmq}
spec = {spec}
[redis-client]
port = {redis}
[sm-listener]
submit_retrial_delay_smppc_not_ready = 1
[dlr]
dlr_lookup_retry_delay = 1
[dlr-thrower]
retry_delay = 1
max_retries = 60
[deliversm-thrower]
retry_delay = 1
max_retries = 60
"""

#: What an administrator types at its console. A number that begins with 34692 has no route.
PROVISION = """
group -a
gid clients
ok
user -a
uid {user}
gid clients
username {user}
password {password}
ok
user -a
uid {other}
gid clients
username {other}
password {other_password}
mt_messaging_cred quota smpps_throughput 2
ok
smppccm -a
cid far
host 127.0.0.1
port {far}
username jasmin
password far
con_fail_delay 1
con_loss_delay 1
requeue_delay 1
submit_throughput 0
ok
smppccm -1 far
filter -a
type DestinationAddrFilter
fid known
destination_addr ^34(?!692)
ok
filter -a
type TransparentFilter
fid any
ok
mtrouter -a
type StaticMTRoute
order 10
connector smppc(far)
filters known
rate 0
ok
morouter -a
type DefaultRoute
connector smpps({user})
ok
persist
"""


class Jasmin:
    """A running Jasmin; `port` is where its SMPP server listens. It may be stopped and started again."""

    def __init__(self, folder: Path, rabbitmq: int, redis: int, log_level: str) -> None:
        self.port = 0
        self._folder, self._rabbitmq, self._redis, self._log_level = folder, rabbitmq, redis, log_level
        self.log = folder / "smpp.log"
        self._process: subprocess.Popen[str] | None = None
        for name in ("log", "store"):
            (folder / name).mkdir()

    def start(self) -> None:
        """On the port that it had before, and with what it was told then."""
        again = ["--username", "jcliadmin", "--password", "jclipwd"] if self.port else []  # whose profile it reads
        (spec,) = FOLDER.glob("lib/python*/site-packages/txamqp/specs/standard/amqp0-9-1.stripped.xml")
        configuration = self._folder / "jasmin.cfg"
        configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                port=self.port,
                rabbitmq=self._rabbitmq,
                redis=self._redis,
                spec=spec,
                log_level=self._log_level,
            )
        )
        environ = {"CONFIG_PATH": str(self._folder), "LOG_PATH": str(self._folder / "log")}
        with (self._folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(
                [FOLDER / "bin" / "python", HERE / "jasmin_daemon.py", configuration, *again],
                env={**os.environ, **environ},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if line.startswith("PORTS "):
                self.port, self._console = map(int, line.split()[1:])
                return
        raise RuntimeError(f"Jasmin did not start: {said} {(self._folder / 'errors').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def counted(self, what: str) -> int:
        """One of the counters of its SMPP server."""
        found = re.search(rf"#{what}\s+(\d+)", self.tell("stats --smppsapi"))
        assert found, what
        return int(found[1])

    def tell(self, *lines: str) -> str:
        """Type these lines at its console; what it answered, one line after the other."""
        said = ""
        with socket.create_connection(("127.0.0.1", self._console), 10) as console:
            for line in lines:
                console.sendall(line.encode() + b"\r\n")
                said += _until_prompt(console)
        return said


@contextmanager
def running(folder: Path, rabbitmq: int, redis: int, *, log_level: str = "DEBUG") -> Iterator[Jasmin]:
    """A Jasmin until the end of the block, on brokers at these ports. `log_level`: of its SMPP server."""
    jasmin = Jasmin(folder, rabbitmq, redis, log_level)
    try:
        jasmin.start()
        yield jasmin
    finally:
        jasmin.stop()


def need_jasmin() -> None:
    """Skip the test where Jasmin is not installed; in CI too, where the installation failed and said why."""
    failed = FOLDER / "failed"
    if failed.exists():
        pytest.skip(f"Jasmin could not be installed: {failed.read_text().strip().splitlines()[-1]}")
    need((FOLDER / ".installed").exists(), "Jasmin", "make .cache/jasmin/.installed")
    need(Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(), "RabbitMQ", "apt-get install -y rabbitmq-server")
    need(Path("/usr/bin/redis-server").exists(), "Redis", "apt-get install -y redis-server")


def _until_prompt(console: socket.socket) -> str:
    said = b""
    while not re.search(rb"\n(jcli : |> )$", said):
        piece = console.recv(4096)
        assert piece, f"Jasmin's console ended: {said!r}"
        said += piece
    return said.decode("latin-1")


def provision(jasmin: Jasmin, far: int) -> None:
    """Users, a link to the SMSC at port `far`, and the routes between them, all kept for its next start."""
    lines = PROVISION.format(
        user=ACCOUNT[0], password=ACCOUNT[1], other=OTHER[0], other_password=OTHER[1], far=far
    ).split("\n")
    said = jasmin.tell(*filter(None, lines))
    assert said.count("Successfully") == 9, said
