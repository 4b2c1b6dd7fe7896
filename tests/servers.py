"""Real database servers for tests: private data directories under /tmp, loopback ports, ended with the test run."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Who PostgreSQL runs as where the tests run as root, which it refuses.
NOBODY = 65534


class Missing(Exception):
    """The server's programs are not installed."""


@contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB of our own; yields a URL of its root user without a database."""
    for program in ("/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"):
        if not Path(program).exists():
            raise Missing("mariadb-server-core")
    with _folder() as folder:
        data, port, sock = folder / "data", _free_port(), folder / "s.sock"
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
            "--innodb-flush-log-at-trx-commit=1",
            "--character-set-server=utf8mb4",
        ]
        with _process(command, folder / "log", port):
            yield f"mysql+mysqldb://root@127.0.0.1:{port}"


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of our own; yields a URL of its superuser without a database."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        raise Missing("postgresql")
    programs = Path(found[-1])
    with _folder() as folder:
        data, port = folder / "data", _free_port()
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        if as_nobody:
            os.chown(folder, NOBODY, NOBODY)
        subprocess.run(
            [*as_nobody, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        command = [
            *as_nobody,
            str(programs / "postgres"),
            *("-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)),
            *("-c", "fsync=off", "-c", "max_connections=60"),
        ]
        with _process(command, folder / "log", port):
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"


@contextmanager
def _folder() -> Iterator[Path]:
    # Not pytest's own: paths of sockets must be short, and another user must be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="ixxsms-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        _wait_for_port(port, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
