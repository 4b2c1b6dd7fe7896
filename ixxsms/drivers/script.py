"""The trunk that is a program: one run of a script for each message, its last line the outcome.

The script is called as `script sender destination text unicode`, where unicode is 1 if the GSM alphabet cannot carry
the text and else 0. On its standard output the last line that is not empty has to be
`ret_code;ret_message;stop_trunk;stop_message`: 0 for a message that was taken, any other number for one that was
not; then stop_trunk 1 takes the trunk out of service and stop_message 1 gives the message up.

Knows which scripts may run and how many at a time. Must never run one that others could have changed.
"""

from __future__ import annotations

import os
import selectors
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ixxsms.drivers.base import Bell, Driver, Link, TrunkConfig
from ixxsms.drivers.said import clean
from ixxsms.drivers.script_run import Run, outcome_of
from ixxsms.errors import BadInput
from ixxsms.events import Deferred, Event, InDoubt, Outcome, Stopped, Submission

#: name -> (default, help)
OPTIONS: dict[str, tuple[Any, str]] = {
    "script": ("", "The name of the script's file in the script directory."),
    "window": (4, "How many runs of the script there may be at a time."),
}

#: Without a descriptor that reports the end of a process its state is asked for at this interval, in seconds.
_GLANCE = 0.05


def check_script(name: str, script_dir: Path) -> Path:
    """The script of that file name. Raises BadInput, saying what is wrong with it, in one sentence."""
    if not name:
        raise BadInput("A script trunk needs the name of its script.")
    if "/" in name or "\0" in name or name.startswith("."):
        raise BadInput(f'The script "{clean(name)}" must be the name of a file in {script_dir}, not a path.')
    path = script_dir / name
    try:
        home = script_dir.resolve(strict=True)
        real = path.resolve(strict=True)
        of_home, of_file = home.stat(), real.stat()
    except (OSError, RuntimeError):
        raise BadInput(f'There is no script "{name}" in {script_dir}.') from None
    if not real.is_relative_to(home):
        raise BadInput(f'The script "{name}" is a link to a file outside {script_dir}.')
    if not stat.S_ISREG(of_file.st_mode):
        raise BadInput(f'The script "{name}" in {script_dir} is not a regular file.')
    if of_home.st_mode & stat.S_IWOTH:
        raise BadInput(f"Every user may write into the script directory {script_dir}: chmod o-w {script_dir}.")
    if of_file.st_mode & stat.S_IWOTH:
        raise BadInput(f'Every user may change the script "{name}": chmod o-w {path}.')
    if not os.access(real, os.X_OK):
        raise BadInput(f'The script "{name}" cannot be executed: chmod +x {path}.')
    return real


def check_options(options: Mapping[str, Any], script_dir: Path) -> dict[str, Any]:
    """The options of a script trunk, complete with defaults. Raises BadInput with one sentence."""
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise BadInput(f'A script trunk has no option "{unknown[0]}"; it has {", ".join(OPTIONS)}.')
    checked = {name: options.get(name, default) for name, (default, _) in OPTIONS.items()}
    check_script(str(checked["script"]), script_dir)
    try:
        checked["window"] = int(checked["window"])
    except (TypeError, ValueError):
        raise BadInput("The window of a script trunk must be a number.") from None
    if not 1 <= checked["window"] <= 100:
        raise BadInput("The window of a script trunk must be from 1 to 100.")
    return checked


class ScriptDriver:
    """The driver of a script trunk. Runs up to `window` scripts side by side, without threads."""

    def __init__(self, config: TrunkConfig) -> None:
        self._timeout = config.script_timeout
        self._window = int(config.options.get("window", OPTIONS["window"][0]))
        self._waiting: deque[Submission] = deque()
        self._runs: list[Run] = []
        self._events: list[Event] = []
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._selector.register(self._bell.socket, selectors.EVENT_READ)
        self.link, self.why = Link.UP, ""
        try:
            self._script = check_script(str(config.options.get("script", "")), config.script_dir)
        except BadInput as error:
            self.link, self.why = Link.STOPPED, str(error)

    def room(self) -> int:
        if self.link is not Link.UP:
            return 0
        return max(0, self._window - len(self._runs) - len(self._waiting))

    def in_flight(self) -> int:
        return len(self._runs) + len(self._waiting)

    def submit(self, batch: Sequence[Submission]) -> None:
        self._waiting.extend(batch)

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        """A script reports nothing that could be acknowledged."""

    def refuse(self, tokens: Iterable[Any]) -> None:
        """Nor anything that could be refused."""

    def poll(self, timeout: float) -> list[Event]:
        """Start what waits and collect what ended, waiting at most `timeout` seconds for the first event."""
        until = time.monotonic() + timeout
        rung = False
        while True:
            self._start()
            self._collect()
            wait = until - time.monotonic()
            if self._events or rung or wait <= 0:
                events, self._events = self._events, []
                return events
            # Without a run nothing can happen before the next submit, but the caller asked to wait.
            wait = min([wait, *(run.deadline - time.monotonic() for run in self._runs)])
            if any(run.exit_descriptor is None for run in self._runs):
                wait = min(wait, _GLANCE)
            ready = self._selector.select(max(0.0, wait))
            rung = any(key.fileobj is self._bell.socket for key, _ in ready)
            if rung:
                self._bell.silence()

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> list[Event]:
        """Give running scripts a second, then end them; what never started is deferred."""
        while self._waiting:
            waiting = self._waiting.popleft()
            self._events.append(Deferred(waiting.message_id, "The trunk was closed.", counted=False))
        events, self._events = self._events, []
        until = time.monotonic() + 1.0
        while self._runs and time.monotonic() < until:
            events += self.poll(until - time.monotonic())
        for run in list(self._runs):
            run.kill()
            self._forget(run)
            events.append(InDoubt(run.message_id, "The script was ended because the trunk was closed."))
        self._selector.close()
        self._bell.close()
        return events

    def _start(self) -> None:
        while self._waiting and (self.link is not Link.UP or len(self._runs) < self._window):
            message = self._waiting.popleft()
            if self.link is not Link.UP:
                reason = f"The trunk is stopped: {self.why}"
                self._events.append(Deferred(message.message_id, reason, elsewhere=True, counted=False))
                continue
            try:
                run = Run(self._script, message, time.monotonic() + self._timeout)
            except OSError as error:
                reason = f"The script cannot be started: {error.strerror or error}."
                self._events.append(Deferred(message.message_id, reason, elsewhere=True))
                continue
            self._runs.append(run)
            for descriptor in (*run.pipes, run.exit_descriptor):
                if descriptor is not None:
                    self._selector.register(descriptor, selectors.EVENT_READ)

    def _collect(self) -> None:
        now = time.monotonic()
        for run in list(self._runs):
            # First the state, then the output: what was said before the end is all there when the end is seen.
            status = run.process.poll()
            for descriptor in run.drain():  # it would report 'readable' for ever
                self._unregister(descriptor)
            if status is not None:
                self._forget(run)
                self._settle(*outcome_of(run.message_id, status, *run.outputs()))
            elif now >= run.deadline:
                run.kill()
                self._forget(run)
                reason = f"The script did not end within {self._timeout:g} seconds and was ended."
                self._events.append(InDoubt(run.message_id, reason))

    def _settle(self, outcome: Outcome, stopped: Stopped | None) -> None:
        self._events.append(outcome)
        if stopped is not None and self.link is not Link.STOPPED:
            self.link, self.why = Link.STOPPED, stopped.reason
            self._events.append(stopped)

    def _forget(self, run: Run) -> None:
        self._runs.remove(run)
        for descriptor in (*run.pipes, run.exit_descriptor):
            if descriptor is not None:
                self._unregister(descriptor)
        run.close()

    def _unregister(self, descriptor: int) -> None:
        with suppress(KeyError):
            self._selector.unregister(descriptor)


open_driver: Callable[[TrunkConfig], Driver] = ScriptDriver
