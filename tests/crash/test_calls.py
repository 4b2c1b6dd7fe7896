"""The daemon is killed while calls queue messages: what they were told holds, and nothing is sent twice."""

from __future__ import annotations

import itertools
import random
import re
import signal
import socket
import subprocess
import threading
from collections import Counter

import pytest
from crashing import states
from servers import free_port

from ixxsms.testing import FakeSMSC

CALLERS = 6
KILLS = 6
WINDOW = 10

pytestmark = pytest.mark.timeout(300)


class Callers:
    """Channels that ask for one SMS after another, each to a number of its own; who is hung up on tries the next."""

    def __init__(self, port):
        self.port, self.told = port, {}
        self._numbers, self._ended = itertools.count(), threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(route,)) for route in ("queue", "send") * (CALLERS // 2)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self, route):
        while not self._ended.is_set():
            number = f"6{next(self._numbers):08}"
            try:
                variables = self._dialogue(route, number)
            except OSError:
                self._ended.wait(0.05)  # the daemon is down
                continue
            if "SMSSTATUS" in variables:
                self.told[number] = variables["SMSSTATUS"]

    def _dialogue(self, route, number):
        variables = {}
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection, connection.makefile("rb") as lines:
            connection.sendall(f"agi_network_script: {route}\nagi_arg_1: {number}\nagi_arg_2: Hola\n\n".encode())
            for line in lines:
                if line.endswith(b"\n"):
                    variables |= dict(re.findall(r"(SMS\w+)=([^,\"]*)", line.decode()))
                connection.sendall(b"200 result=1\n")
        return variables


def test_what_a_call_was_told_holds_and_nothing_is_sent_twice(any_system):
    port = free_port()
    any_system.environ |= {"IXXSMS_FASTAGI_PORT": str(port)}
    any_system.environ |= {f"IXXSMS_REQUEST_PER_{what}": "0" for what in ("CALLER_HOUR", "CALLER_DAY", "DAY")}
    chance = random.Random(7)
    with FakeSMSC(accounts={"user": "secret"}, receipts=False) as smsc:
        any_system.smpp("provider", smsc.port, "--window", str(WINDOW))
        with Callers(port) as callers:
            for _ in range(KILLS):
                before = smsc.submits
                with any_system.process("ixxmassivesms", stderr=subprocess.DEVNULL) as daemon:
                    wanted = before + chance.randint(20, 150)
                    smsc.wait_until(lambda wanted=wanted: smsc.submits >= wanted, 60, "the next messages")
                    daemon.send_signal(signal.SIGKILL)
                    daemon.wait()
        any_system.drain()
        sent = Counter(message.destination.removeprefix("34") for message in smsc.received)
    ended, told = states(any_system), callers.told
    assert max(sent.values()) == 1, "a number was sent to twice"
    assert ended["accepted"] + ended["in_doubt"] == sum(ended.values())
    assert ended["in_doubt"] <= KILLS * WINDOW
    assert set(told.values()) == {"QUEUED", "SENT"}
    assert {number for number, status in told.items() if status == "SENT"} <= set(sent)
    # Whoever was told QUEUED is in the database: accepted, or in doubt.
    assert len(told) <= sum(ended.values())
    assert len(set(told) - set(sent)) <= ended["in_doubt"]
