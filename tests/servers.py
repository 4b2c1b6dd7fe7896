"""Real servers for tests: private data directories under /tmp, loopback ports, ended with the test run."""

from __future__ import annotations

import glob
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

#: Who runs what refuses to be run as root, where the tests are.
NOBODY = 65534


class Missing(Exception):
    """The server's programs are not installed."""


@contextmanager
def mariadb(*, durable: bool = True, environ: Mapping[str, str] | None = None) -> Iterator[DatabaseServer]:
    """A MariaDB of our own. `durable`: what it has committed is on the disk."""
    for program in ("/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"):
        if not Path(program).exists():
            raise Missing("mariadb-server-core")
    with private_folder() as folder:
        data, port, sock = folder / "data", free_port(), folder / "s.sock"
        # A server that starts removes what it takes for its own left-over tables: in /tmp it takes another one's.
        (folder / "tmp").mkdir()
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder / 'tmp'}", f"--user={_user()}"]
        subprocess.run(
            ["/usr/bin/mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            capture_output=True,
        )
        command = [
            "/usr/sbin/mariadbd",
            *common,
            f"--socket={sock}",
            f"--port={port}",
            f"--pid-file={folder / 'pid'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=64M",
            f"--innodb-flush-log-at-trx-commit={int(durable)}",
            "--character-set-server=utf8mb4",
        ]
        with running(command, folder / "log", port, environ) as process:
            yield DatabaseServer(f"mysql+mysqldb://root@127.0.0.1:{port}", process)


@contextmanager
def postgresql(*, durable: bool = False, environ: Mapping[str, str] | None = None) -> Iterator[DatabaseServer]:
    """A PostgreSQL of our own. `durable`: what it has committed is on the disk; it outlives a kill in any case."""
    programs = postgresql_programs()
    with private_folder() as folder:
        port = free_port()
        subprocess.run(
            [
                *never_as_root(folder),
                programs / "initdb",
                "-D",
                folder / "data",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        with running_postgresql(folder, port, durable, environ) as server:
            yield server


@contextmanager
def running_postgresql(
    folder: Path, port: int, durable: bool = False, environ: Mapping[str, str] | None = None
) -> Iterator[DatabaseServer]:
    """A PostgreSQL on the data that are in the folder."""
    command = [
        *never_as_root(folder),
        str(postgresql_programs() / "postgres"),
        *("-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)),
        *("-c", f"fsync={'on' if durable else 'off'}", "-c", "max_connections=60"),
    ]
    ready = [str(postgresql_programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    with running(command, folder / "log", port, environ, ready) as process:
        yield DatabaseServer(f"postgresql+psycopg://postgres@127.0.0.1:{port}", process)


def postgresql_programs() -> Path:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        raise Missing("postgresql")
    return Path(found[-1])


#: The servers that our database may be on.
KINDS = {"mariadb": mariadb, "postgresql": postgresql}


@contextmanager
def rabbitmq() -> Iterator[int]:
    """A RabbitMQ of our own, with Erlang's port mapper of its own; yields its AMQP port. The user is guest."""
    programs = Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/usr/bin/epmd")
    if not all(program.exists() for program in programs):
        raise Missing("rabbitmq-server")
    with private_folder() as folder:
        port, mapper_port, nodes_port = free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 10MB\n")
        environ = {
            "HOME": str(folder),  # the cookie by which Erlang's nodes know each other
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_NODENAME": "ixxsms@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(nodes_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/nowhere",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # No turning while it waits: it would take the processors from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server, which is then ours to end
        }
        # Without this one the server starts a mapper that outlives it.
        mapper = [str(programs[1]), "-address", "127.0.0.1", "-port", str(mapper_port)]
        with (
            running(mapper, folder / "epmd.log", mapper_port),
            running([str(programs[0])], folder / "rabbitmq.log", port, environ),
        ):
            yield port


@contextmanager
def redis() -> Iterator[int]:
    """A Redis of our own; yields its port."""
    program = Path("/usr/bin/redis-server")
    if not program.exists():
        raise Missing("redis-server")
    with private_folder() as folder:
        port = free_port()
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        with running(command, folder / "redis.log", port):
            yield port


@contextmanager
def private_folder() -> Iterator[Path]:
    # Not pytest's own: paths of sockets must be short, and another user must be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="ixxsms-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def never_as_root(folder: Path) -> list[str]:
    """What to put before a command that must not be run as root; the folder becomes its user's."""
    if os.geteuid() != 0:
        return []
    os.chown(folder, NOBODY, NOBODY)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


class Running:
    """A server process, which can be killed and come back."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        port: int,
        environ: Mapping[str, str] | None = None,
        ready: list[str] | None = None,
    ) -> None:
        self._command, self._log, self._port, self._environ, self._ready = command, log, port, environ or {}, ready
        self.start()

    def start(self) -> None:
        """Returns when its port answers and, where one is given, the command `ready` succeeds."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                cwd=self._log.parent,
                env={**os.environ, **self._environ},
            )
        _wait_for_port(self._port, self._process, self._log)
        # PostgreSQL's port answers while it still sends everybody away.
        while self._ready and subprocess.run(self._ready, check=False).returncode and self._process.poll() is None:
            time.sleep(0.05)

    def kill(self) -> None:
        """Without a chance to put anything in order."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running(
    command: list[str],
    log: Path,
    port: int,
    environ: Mapping[str, str] | None = None,
    ready: list[str] | None = None,
) -> Iterator[Running]:
    """A server until the end of the block, which begins when it is ready."""
    server = Running(command, log, port, environ, ready)
    try:
        yield server
    finally:
        server.stop()


class DatabaseServer(NamedTuple):
    """`url`: of its superuser, without a database."""

    url: str
    process: Running


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 100
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody has. Not one of those that the system hands out: it would, before the server gets there."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket(socket.AF_INET, kind) as taker, suppress(OSError):
            taker.bind(("127.0.0.1", port))
            return port


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
