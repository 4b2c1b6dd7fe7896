"""SMSCs that were written by others, as processes of the test.

with peers.node_smsc(("user", "secret")) as smsc: connect to smsc.port, then look at smsc.messages().
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
Account = tuple[str, str]


class Peer:
    """A running SMSC. `events` are the lines of JSON that it printed; `port` is where it listens on 127.0.0.1."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_until(lambda: self.port != 0, what="its port")

    def messages(self) -> list[dict[str, Any]]:
        """One for each submit_sm: source_addr, source_ton, source_npi, destination, dest_ton, dest_npi, data_coding,
        esm_class, registered_delivery, short_message (octets in hexadecimal), id."""
        return self.of("submit_sm")

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of one kind: bind, submit_sm, deliver_sm_resp, unbind."""
        return [entry for entry in list(self.events) if entry["event"] == event]

    def wait_for(self, count: int, event: str = "submit_sm", timeout: float = 10.0) -> list[dict[str, Any]]:
        """Wait until there are `count` events of that kind. Raises TimeoutError."""
        self.wait_until(lambda: len(self.of(event)) >= count, timeout, f"{count} {event}")
        return self.of(event)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0, what: str = "it") -> None:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, timeout)
            if not condition():
                raise TimeoutError(f"The SMSC was waited for {what}; it said {self.events[-5:]}.")

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session: itself and its children, nothing else
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                if line.startswith("PORT "):
                    self.port = int(line.split()[1])
                else:
                    self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def node_smsc(account: Account = ("user", "secret")) -> Iterator[Peer]:
    """An SMSC made of the npm package `smpp`, which is looked for under the folder IXXSMS_TEST_NODE."""
    default = Path(__file__).resolve().parents[2] / ".cache" / "node"
    folder = Path(os.environ.get("IXXSMS_TEST_NODE") or default)
    node = shutil.which("node")
    _need(node is not None, "node", "apt-get install -y nodejs npm")
    _need(
        (folder / "node_modules" / "smpp").is_dir(),
        "the npm package smpp",
        f"npm install --prefix {folder} smpp@~0.5.1",
    )
    yield from _running([str(node), str(HERE / "node_smsc.js")], account, {"NODE_PATH": str(folder / "node_modules")})


@contextmanager
def perl_smsc(account: Account = ("user", "secret")) -> Iterator[Peer]:
    """An SMSC made of Net::SMPP, Debian's libnet-smpp-perl. The system's perl is used: others lack its modules."""
    perl = "/usr/bin/perl"
    there = subprocess.run([perl, "-MNet::SMPP", "-MJSON::PP", "-e", "1"], capture_output=True, check=False)
    _need(there.returncode == 0, "Net::SMPP", "apt-get install -y libnet-smpp-perl")
    yield from _running([perl, str(HERE / "perl_smsc.pl")], account, {})


def _running(command: list[str], account: Account, environment: Mapping[str, str]) -> Iterator[Peer]:
    peer = Peer(command, {**environment, "PEER_USER": account[0], "PEER_PASSWORD": account[1]})
    try:
        yield peer
    finally:
        peer.stop()


def _need(there: bool, what: str, line: str) -> None:
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed: {line}")
    pytest.skip(f"{what} is not installed: {line}")
