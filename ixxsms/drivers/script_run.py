"""One run of a script: its arguments, its process, and what its end means.

Must never use a shell, and never believe what a script prints.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from ixxsms import text as gsm
from ixxsms.drivers.said import clean
from ixxsms.events import Accepted, Deferred, InDoubt, Outcome, Refused, Stopped, Submission

OUTPUT_KEPT = 64 * 1024  #: octets of each output that are looked at: the last ones
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINE = re.compile(r"\s*(-?\d{1,9})\s*;(.*);\s*([01])\s*;\s*([01])\s*;?\s*", re.ASCII | re.DOTALL)


def outcome_of(message_id: int, status: int, stdout: bytes, stderr: bytes) -> tuple[Outcome, Stopped | None]:
    """What a run that ended means. `status` is its exit status, or minus the number of the signal that ended it."""
    line = next((line for line in reversed(stdout.decode("utf-8", "replace").split("\n")) if line.strip()), "")
    match = _LINE.fullmatch(line)
    if match is None:
        return _without_a_line(message_id, status, stderr), None
    code, told, stop_trunk, stop_message = int(match[1]), clean(match[2]), match[3] == "1", match[4] == "1"
    stopped = Stopped(told or f"The script asked to stop the trunk (code {code}).") if stop_trunk else None
    if code == 0 and status != 0:
        return InDoubt(message_id, f"The script said that the message went, but ended with {_ending(status)}."), stopped
    if code == 0:
        return Accepted(message_id), stopped
    reason = told or f"The script refused the message (code {code})."
    if stopped:
        return Deferred(message_id, reason, str(code), elsewhere=True, counted=False), stopped
    if stop_message:
        return Refused(message_id, reason, str(code)), None
    return Deferred(message_id, reason, str(code), elsewhere=True), None


def _without_a_line(message_id: int, status: int, stderr: bytes) -> Outcome:
    if status == 0:
        return InDoubt(message_id, "The script ended without saying what became of the message.")
    if status < 0:  # it was cut off at an unknown place, perhaps after the sending
        return InDoubt(message_id, f"The script was ended by {_ending(status)} before it said anything.")
    lines = [line for line in stderr.decode("utf-8", "replace").split("\n") if line.strip()]
    said = clean(lines[-1]) if lines else ""
    return Deferred(message_id, f"The script ended with {_ending(status)}{': ' if said else '.'}{said}", elsewhere=True)


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def arguments(script: Path, message: Submission) -> list[bytes]:
    """The argument list for one message. A NUL, which no argument can hold, is left out of the text."""
    unicode = b"1" if gsm.encoding_of(message.text) is gsm.Encoding.UCS2 else b"0"
    fields = (str(script), message.sender_id, message.destination, message.text)
    return [field.replace("\0", "").encode("utf-8", "replace") for field in fields] + [unicode]


class Run:
    """One process and what it has said so far."""

    def __init__(self, script: Path, message: Submission, deadline: float) -> None:
        self.message_id = message.message_id
        self.deadline = deadline
        self.process = subprocess.Popen(  # noqa: S603  an argument list, never a shell
            arguments(script, message),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=script.parent,
            env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": _home()},
            start_new_session=True,
        )
        assert self.process.stdout and self.process.stderr
        self.pipes = {self.process.stdout.fileno(): bytearray(), self.process.stderr.fileno(): bytearray()}
        for descriptor in self.pipes:
            os.set_blocking(descriptor, False)
        self.exit_descriptor = _exit_descriptor(self.process.pid)

    def drain(self) -> list[int]:
        """Read what there is, and keep the end of it. Gives the descriptors that have ended."""
        ended = []
        for descriptor, said in self.pipes.items():
            # A script that never stops talking must not hold the loop: what is left is read next time.
            for _ in range(16):
                try:
                    data = os.read(descriptor, OUTPUT_KEPT)
                except BlockingIOError:
                    break
                if not data:
                    ended.append(descriptor)
                    break
                said += data
                del said[:-OUTPUT_KEPT]
        return ended

    def kill(self) -> None:
        """End it with everything that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)

    def outputs(self) -> tuple[bytes, bytes]:
        out, err = self.pipes.values()
        return bytes(out), bytes(err)

    def close(self) -> None:
        assert self.process.stdout and self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()
        if self.exit_descriptor is not None:
            os.close(self.exit_descriptor)


def _exit_descriptor(pid: int) -> int | None:
    """A descriptor that turns readable when the process ends; kernels before 5.3 have none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
