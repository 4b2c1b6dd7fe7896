"""Databases on several servers of our own: a MariaDB Galera cluster, and PostgreSQL with a standby."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import servers
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from systems import eventually

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")


class Node:
    """One server of a Galera cluster."""

    def __init__(self, folder: Path, number: int) -> None:
        (folder / "data").mkdir(parents=True)
        servers.never_as_root(folder / "data")
        self._as_nobody = servers.never_as_root(folder)
        self._folder, self.name = folder, f"node{number}"
        self.port = servers.free_port()
        self.process: servers.Running | None = None
        self.group, self._missed, self._copies = (f"127.0.0.1:{servers.free_port()}" for _ in range(3))
        self._files = ["--no-defaults", f"--datadir={folder / 'data'}", f"--tmpdir={folder}"]

    def install(self) -> None:
        program = ["/usr/bin/mariadb-install-db", *self._files, "--auth-root-authentication-method=normal"]
        subprocess.run([*self._as_nobody, *program, "--skip-test-db"], check=True, capture_output=True)

    def start(self, *others: Node) -> None:
        """Returns when it takes work, for which it fetches what it has missed. Without others it begins a cluster."""
        provider = f"gmcast.listen_addr=tcp://{self.group};ist.recv_addr={self._missed}"
        command = [
            *self._as_nobody,
            "/usr/sbin/mariadbd",
            *self._files,
            f"--socket={self._folder / 's.sock'}",
            f"--port={self.port}",
            f"--pid-file={self._folder / 'pid'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--character-set-server=utf8mb4",
            # What Galera asks for. What the others have too need not be on each disk.
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--innodb-flush-log-at-trx-commit=0",
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            f"--wsrep-provider-options={provider}",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-node-address={self.group}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={self._copies}",
            f"--wsrep-cluster-address=gcomm://{','.join(other.group for other in others)}",
        ]
        self.process = servers.Running(command, self._folder / "log", self.port)
        eventually(lambda: self.status("wsrep_local_state_comment") == "Synced", 100)

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    @property
    def server_url(self) -> str:
        """Of its superuser, without a database."""
        return f"mysql+mysqldb://root@127.0.0.1:{self.port}"

    def status(self, name: str) -> str:
        """What the node says of itself; empty where it does not answer."""
        try:
            return str(_ask(f"{self.server_url}/mysql", f"SHOW GLOBAL STATUS LIKE '{name}'")[1])
        except OperationalError:
            return ""

    def set_global(self, assignment: str) -> None:
        _ask(f"{self.server_url}/mysql", f"SET GLOBAL {assignment}")


@contextmanager
def galera() -> Iterator[list[Node]]:
    """The three nodes of a MariaDB Galera cluster."""
    for program, package in ((PROVIDER, "galera-4"), (Path("/usr/bin/wsrep_sst_rsync"), "mariadb-server")):
        if not program.exists():
            raise servers.Missing(package)
    with servers.private_folder() as folder, ExitStack() as stack:
        nodes = [Node(folder / str(number), number) for number in (1, 2, 3)]
        nodes[0].install()
        for at, node in enumerate(nodes):
            stack.callback(node.kill)  # also where it does not come up
            node.start(*nodes[:at])
        yield nodes


class Pair(NamedTuple):
    """A PostgreSQL and its standby, which has all that was committed."""

    primary: servers.DatabaseServer
    standby: servers.DatabaseServer

    def promote(self) -> None:
        """Let the standby take the place of the primary, which has gone."""
        _ask(f"{self.standby.url}/postgres", "SELECT pg_promote()")


@contextmanager
def postgresql_pair() -> Iterator[Pair]:
    programs = servers.postgresql_programs()
    with servers.postgresql() as primary, servers.private_folder() as folder:
        subprocess.run(
            [
                *servers.never_as_root(folder),
                programs / "pg_basebackup",
                *("--pgdata", folder / "data", "--dbname", primary.url.replace("+psycopg", "")),
                *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        with servers.running_postgresql(folder, servers.free_port()) as standby:
            # Not before the standby was copied: promoted, it must not wait for another one.
            url = f"{primary.url}/postgres"
            _ask(url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            _ask(url, "SELECT pg_reload_conf()")
            eventually(lambda: _ask(url, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")[0])
            yield Pair(primary, standby)


def _ask(url: str, statement: str) -> Sequence[Any]:
    """The first row of what it returns, if it returns any."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            result = connection.execute(text(statement))
            return result.one() if result.returns_rows else ()
    finally:
        engine.dispose()
