"""SMSCs that were written by others, as processes of the test.

with peers.node_smsc(("user", "secret")) as smsc: connect to smsc.port, then look at smsc.messages().

Each prints "PORT n" and then a line of JSON for whatever happens: bind, submit_sm, refused, deliver_sm_resp (to a
receipt), taken (the answer to an SMS from outside), enquire_link, enquire_link_resp, unbind, unbind_resp. Each reads
what it shall do from its standard input, at whose end it ends. What it does with a message its number decides:
34691 gets a receipt that says UNDELIV, 34692 is refused, 34693 is throttled once and then taken.
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

from ixxsms import text

HERE = Path(__file__).parent
Account = tuple[str, str]


class Peer:
    """A running SMSC. `events` are the lines of JSON that it printed; `port` is where it listens on 127.0.0.1."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._command, self._environment = command, environment
        self._changed = threading.Condition()
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self._listening, self._ended = False, False
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, **self._environment, "PEER_PORT": str(self.port)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_until(lambda: self._listening, 30.0, "its port")

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session: itself and its children, nothing else
        self._process.wait(10)
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def messages(self) -> list[dict[str, Any]]:
        """One for each submit_sm: source_addr, source_ton, source_npi, destination, dest_ton, dest_npi, data_coding,
        esm_class, registered_delivery, short_message (octets in hexadecimal, or those of the message_payload), sar
        (reference, number and total, or nothing), id."""
        return self.of("submit_sm")

    def texts(self) -> list[tuple[str, str, str]]:
        """(source, destination, text) of every whole message, in the order in which they got whole."""
        return whole_texts(self.messages())

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [entry for entry in list(self.events) if entry["event"] == event]

    def tell(self, do: str, **fields: str) -> None:
        """Have it send something on its link: deliver (source, destination, text), enquire, unbind."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._process.stdin.flush()

    def wait_for(self, count: int, event: str = "submit_sm", timeout: float = 10.0) -> list[dict[str, Any]]:
        """Wait until there are `count` events of that kind. Raises TimeoutError."""
        self.wait_until(lambda: len(self.of(event)) >= count, timeout, f"{count} {event}")
        return self.of(event)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0, what: str = "it") -> None:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, timeout)
            if not condition():
                raise TimeoutError(f"The SMSC was waited for {what}; it said {self.events[-5:]}.")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                if line.startswith("PORT "):
                    self.port, self._listening = int(line.split()[1]), True
                elif line.endswith("\n"):  # one that was killed may have begun a line
                    self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def whole_texts(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(source, destination, text) of the messages that Peer.messages gives, long ones put together."""
    whole: list[tuple[str, str, str]] = []
    parts: dict[tuple[str, str, int], dict[int, bytes]] = {}
    for message in messages:
        source, destination = message["source_addr"], message["destination"]
        octets, place = bytes.fromhex(message["short_message"]), message["sar"]
        if message["esm_class"] & 0x40:
            concat, octets = text.split_udh(octets)
            assert concat is not None
            place = [concat.reference, concat.number, concat.total]
        if place:
            reference, number, total = place
            heap = parts.setdefault((source, destination, reference), {})
            heap[number] = octets
            if len(heap) < total:
                continue
            octets = b"".join(heap[number] for number in sorted(heap))
        decode = text.decode_ucs2 if message["data_coding"] == 8 else text.decode_gsm
        whole.append((source, destination, decode(octets)))
    return whole


@contextmanager
def node_smsc(account: Account = ("user", "secret")) -> Iterator[Peer]:
    """An SMSC made of the npm package `smpp`, which is looked for under the folder IXXSMS_TEST_NODE."""
    default = Path(__file__).resolve().parents[2] / ".cache" / "node"
    folder = Path(os.environ.get("IXXSMS_TEST_NODE") or default)
    node = shutil.which("node")
    need(node is not None, "node", "apt-get install -y nodejs npm")
    need(
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
    need(there.returncode == 0, "Net::SMPP", "apt-get install -y libnet-smpp-perl")
    yield from _running([perl, str(HERE / "perl_smsc.pl")], account, {})


def _running(command: list[str], account: Account, environment: Mapping[str, str]) -> Iterator[Peer]:
    peer = Peer(command, {**environment, "PEER_USER": account[0], "PEER_PASSWORD": account[1]})
    try:
        yield peer
    finally:
        peer.stop()


def need(there: bool, what: str, line: str) -> None:
    """Skip the test where something is not installed; in CI that is a failure."""
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed: {line}")
    pytest.skip(f"{what} is not installed: {line}")
