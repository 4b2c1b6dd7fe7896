"""AGI scripts on pyst2: a script hands its call on to the daemon's FastAGI, and does the job itself where none answers.

Knows pyst2, Asterisk's signals and pipes, and where the daemon listens. Must never import what is slow to import:
Asterisk starts a script for each call. So no database here; that comes with the callback that a script gives. And
pyst2 itself is imported while the daemon is at work.
"""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import sys
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import takewhile

TYPE_CHECKING = False  # not from typing, which is slow to import too
if TYPE_CHECKING:
    from asterisk.agi import AGI

#: Seconds for the daemon to take a call over; then the script does the job itself.
TAKEN_OVER = 2.0
#: And then to do it: it may wait for the outcome of an SMS (setting request_wait_seconds).
DONE = 120.0

#: All that a daemon may ask of Asterisk here. Any user of this host could listen at its port while it is down.
_NAME = rb"(?:SMS|LIST|OTP)[A-Z0-9_]*"
_SET = _NAME + rb"=[A-Za-z0-9 _.+-]*"
_ALLOWED = rb'SET VARIABLE "%b" "(?:[^"\\]|\\.)*"|EXEC MSet "%b(?:,%b)*"' % (_NAME, _SET, _SET)
#: Octets of a line: Asterisk splits a longer one, and so the daemon writes none.
_LONGEST = 2048
_TAKEN = b"NOOP\n"

#: The caller and the arguments, to the variables that tell what came of it.
Alone = Callable[[str, list[str]], Mapping[str, str]]


def relay(route: str, alone: Alone, *, named: str = "SMS", texts: tuple[int, ...] = ()) -> None:
    """The whole of a script: its call goes to that route of the daemon, and else `alone` does it.

    `named`: what the names of its variables STATUS and ERROR begin with. `texts`: positions of the arguments that may
    hold anything. Deaf to hang-ups: what was begun is brought to its end although nobody listens.
    """
    for stream in (sys.stdin, sys.stdout):
        # With a strict locale one caller whose name is in Latin-1 would end the script.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    arguments = [_argument(argument, at in texts) for at, argument in enumerate(sys.argv[1:])]
    told = "".join(takewhile(str.strip, sys.stdin))
    # The first of equals counts: an argument with a line break comes last, and must not become another caller.
    env = {name: value for name, _, value in (line.partition(": ") for line in reversed(told.split("\n")))}
    connection = _hand_over(_call(route, env, arguments))
    agi = _pyst2(told)
    if connection is None:
        _tell(agi, alone(_caller(env), arguments))
    elif not _obey(agi, connection):
        why = "The daemon took the call over, and then was not heard of: it may be done, or not."
        _tell(agi, {f"{named}ERROR": why, f"{named}STATUS": "FAILED"})


def _pyst2(told: str) -> AGI:
    """pyst2's AGI, given what Asterisk has told already."""
    from asterisk.agi import AGI

    # It would write numbers and texts into Asterisk's own log.
    nowhere = open(os.devnull, "w", errors="replace")  # noqa: SIM115  for as long as the script lives
    agi = AGI(stdin=io.StringIO(f"{told}\n"), stderr=nowhere)
    agi.stdin = sys.stdin
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # pyst2 has put a handler of its own
    agi._got_sighup = False
    return agi


def _argument(argument: str, anything: bool) -> str:
    """An argument as one line; a text becomes base64 in pieces that need no more care."""
    octets = os.fsencode(argument)
    if not anything or octets.startswith(b"base64:"):
        return _one_line(octets.decode("utf-8", "replace"))
    if len(octets) > 2000 or (b"," in octets and (b"(" in octets or b"[" in octets)):
        from ixxsms.asterisk.variables import CUT_TEXT, SWALLOWED_TEXT, has_swallowed, was_cut

        if was_cut(octets):
            return CUT_TEXT
        if has_swallowed(octets.decode("latin-1")):
            return SWALLOWED_TEXT
    return "base64:" + b2a_base64(octets, newline=False).decode()


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


def _caller(env: Mapping[str, str]) -> str:
    from ixxsms.asterisk.variables import caller_of

    return caller_of(env)


def _tell(agi: AGI, values: Mapping[str, str]) -> None:
    from ixxsms.asterisk.variables import set_commands

    for command in set_commands(values):
        _execute(agi, command)


def _execute(agi: AGI, command: bytes) -> None:
    from asterisk.agi import AGIException

    # The call may have gone, or its pipe: the SMS has not.
    with suppress(AGIException, OSError, ValueError):
        agi.execute(command.decode("utf-8", "replace"))


def _call(route: str, env: Mapping[str, str], arguments: list[str]) -> bytes:
    """What Asterisk would tell the daemon of this call."""
    told = {
        "agi_network_script": route,
        "agi_callerid": env.get("agi_callerid", ""),
        "agi_channel": env.get("agi_channel", ""),
        "agi_relayed": "yes",
        **{f"agi_arg_{number}": argument for number, argument in enumerate(arguments, 1)},
    }
    lines = "".join(f"{name}: {_one_line(value)}\n" for name, value in told.items())
    return f"{lines}\n".encode("utf-8", "surrogateescape")


def _hand_over(call: bytes) -> socket.socket | None:
    """The connection to a daemon that has taken the call over; None where none has, and so knows nothing of it."""
    try:
        connection = socket.create_connection(_where(), TAKEN_OVER)
    except (OSError, ValueError):
        return None
    try:
        connection.sendall(call)
        with connection.makefile("rb") as lines:
            taken = lines.readline(len(_TAKEN)) == _TAKEN
        if taken:
            connection.settimeout(DONE)
            connection.sendall(b"200 result=0\n")
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _obey(agi: AGI, connection: socket.socket) -> bool:
    """Be Asterisk for the daemon, and the daemon for Asterisk. Whether it has said what came of the call."""
    said, allowed = False, re.compile(_ALLOWED)  # the daemon is still at work
    with connection, connection.makefile("rb") as lines, suppress(OSError):
        while line := lines.readline(_LONGEST):
            command = line.strip()
            if not allowed.fullmatch(command):
                break
            _execute(agi, command)
            said = said or b"STATUS" in command
            connection.sendall(b"200 result=1\n")
    return said


def _where() -> tuple[str, int]:
    """Host and port of the daemon: IXXSMS_FASTAGI (host:port), else its settings. Raises ValueError."""
    named = os.environ.get("IXXSMS_FASTAGI")
    if named:
        host, _, port = named.rpartition(":")
        return host or "127.0.0.1", int(port)
    values = _settings()
    host = os.environ.get("IXXSMS_FASTAGI_HOST") or values.get("fastagi_host") or "127.0.0.1"
    port = os.environ.get("IXXSMS_FASTAGI_PORT") or values.get("fastagi_port") or "4573"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104  nobody can call these


def _settings() -> dict[str, str]:
    """The two settings, where the file has them. Reading the few lines is faster than importing what reads them all."""
    path = os.environ.get("IXXSMS_CONFIG") or "/etc/ixxsms/ixxsms.conf"
    found: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, equals, value = line.partition("=" if "=" in line else ":")
                if equals and name.strip().lower() in ("fastagi_host", "fastagi_port"):
                    found[name.strip().lower()] = value.strip()
    except OSError:
        pass
    return found
