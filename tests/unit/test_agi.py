"""What an AGI script lets whoever listens at the daemon's port do: set our variables, in short lines, and no more."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from ixxsms.asterisk import agi
from ixxsms.asterisk.variables import set_commands


class Asterisk:
    """Keeps the commands that it gets."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def execute(self, command: str) -> None:
        self.commands.append(command)


def obeyed(said: bytes) -> tuple[list[str], bool]:
    """The commands that reach Asterisk, and whether the script takes the call for done."""
    ours, theirs = socket.socketpair()
    asterisk = Asterisk()
    with theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        done = agi._obey(asterisk, ours)
    return asterisk.commands, done


def test_every_command_that_sets_our_variables_is_passed_on():
    values = {"SMSTEXT64": 'a "quoted" \\\\ text' * 200, "SMSID": "7", "SMSERROR": "", "SMSSTATUS": "SENT"}
    commands = set_commands(values)
    assert obeyed(b"".join(command + b"\n" for command in commands)) == ([each.decode() for each in commands], True)


@pytest.mark.parametrize(
    "command",
    [
        b'EXEC MSet "SMSSTATUS=SENT,CALLERID(num)=7"',
        b'EXEC MSet "SMSID=7,,SMSSTATUS=SENT"',
        b'EXEC MSet ""',
        b'EXEC System "SMSSTATUS=SENT"',
        b'SET VARIABLE "SMSSTATUS" "SENT" "x"',
        b'SET VARIABLE "SMSSTATUS" "' + b"x" * 5000 + b'"',
    ],
)
def test_anything_else_ends_the_talk(command):
    assert obeyed(command + b'\nSET VARIABLE "SMSID" "7"\n') == ([], False)


def test_a_command_that_is_nearly_right_costs_no_time():
    begun = time.process_time()
    assert obeyed(b'EXEC MSet "' + b"SMSSMS=" * 26 + b'!"\n') == ([], False)
    assert time.process_time() - begun < 1


def test_whoever_talks_without_an_end_has_not_taken_the_call(monkeypatch):
    piece, pieces = bytes(1 << 16), 400
    sent = []

    def flood():
        connection, _ = listener.accept()
        with connection:
            try:
                for _ in range(pieces):
                    connection.sendall(piece)
                    sent.append(len(piece))
            except OSError:
                return  # it was hung up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("IXXSMS_FASTAGI", f"127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=flood)
        thread.start()
        assert agi._hand_over(b"agi_network_script: send\n\n") is None
        thread.join(30)
    assert len(sent) < pieces
