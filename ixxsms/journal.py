"""What a sender has claimed, handed to its link and heard: kept on this host, for the time after a crash.

The database learns of it a batch at a time; the journal, a file that nobody waits for, at once. It outlives the
process but not the machine: after a reboot, or on another host, nothing in it counts, and what is not known to be
unsent or answered is in doubt. Neither does the journal of a process that lives: it may be taken for dead where a clock
is wrong, and hand over in the next moment what its journal says has not left. So it is locked for as long as its
process lives, whatever its id.

Knows ids and outcomes; must never know the database. What it cannot write it gives up as a whole: a journal with a gap
would say of a message that left that it did not. It may begin again with all that is on its way.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ixxsms.errors import Error
from ixxsms.events import Accepted, Deferred, Heard, Outcome, Refused

log = logging.getLogger(__name__)

#: Octets after which a journal is written anew, with only what is still on its way.
MOST_OCTETS = 4 * 1024 * 1024

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: What is known of the messages that a daemon had claimed, by (trunk, message). Deferred: it has not left.
Known = dict[tuple[int, int], Outcome]


class Life(NamedTuple):
    """One run of a daemon on this host, as the database has it too."""

    pid: int
    started_at: float

    def file(self, folder: Path, trunk_id: int) -> Path:
        return folder / f"{self}-{trunk_id}.journal"

    def files(self, folder: Path) -> Iterator[tuple[int, Path]]:
        """Its journals, each with the trunk that it is of."""
        for path in folder.glob(f"{self}-*.journal"):
            yield int(path.stem.rpartition("-")[2]), path

    def __str__(self) -> str:
        return f"{self.pid}-{self.started_at:.6f}"


class Journal:
    """The journal of one sender. Each call is in the file when it returns, or the file is gone.

    Raises Error if it can be neither written nor removed: then nothing may be sent.
    """

    def __init__(self, folder: Path, life: Life, trunk_id: int) -> None:
        self._path = life.file(folder, trunk_id)
        self._file: int | None = None
        self._octets = 0
        self._lost = False
        self._lock = threading.Lock()  # others than its sender claim too
        try:
            self._begin(self._path)
        except OSError as error:
            self._give_up(error)

    @property
    def kept(self) -> bool:
        """Whether there is one."""
        return self._file is not None

    @property
    def full(self) -> bool:
        return self.kept and self._octets > MOST_OCTETS

    def claimed(self, message_ids: Sequence[int]) -> None:
        """About to be claimed: to be called before the claim is committed."""
        if message_ids:
            self._write(["claimed", message_ids])

    def handed(self, message_ids: Sequence[int]) -> None:
        """About to be handed to the link: to be called before that."""
        if message_ids:
            self._write(["handed", message_ids])

    def heard(self, heard: Heard) -> None:
        accepted = [(event.message_id, event.remote_ids) for event in heard.of(Accepted)]
        refused = [(event.message_id, event.reason, event.code) for event in heard.of(Refused)]
        unsent = [event.message_id for event in heard.of(Deferred)]
        for name, entries in (("accepted", accepted), ("refused", refused), ("unsent", unsent)):
            if entries:
                self._write([name, entries])

    def renew(self, claimed: Sequence[int], handed: Sequence[int]) -> None:
        """Begin again, also where there was none, with what is still on its way; everything else is committed."""
        old, new = self._file, self._path.with_suffix(".new")
        try:
            self._begin(new)
            self.claimed(claimed)
            self.handed(handed)
            if self.kept:
                new.rename(self._path)
        except OSError as error:
            self._give_up(error)
        finally:
            if old is not None and self._file != old:
                os.close(old)
        if self.kept and self._lost:
            log.info("what is on its way is kept in %s again", self._path)
            self._lost = False

    def end(self) -> None:
        """Everything is committed: it is needed no more."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """The sender has ended. What it leaves may be read now."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _begin(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._file, self._octets = None, 0  # where it cannot be opened there is none: whoever has the old one closes it
        self._file = os.open(path, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._write([_BOOT_ID.read_text().strip()])

    def _write(self, entry: list[Any]) -> None:
        octets = json.dumps(entry).encode() + b"\n"
        with self._lock:
            if self._file is None:
                return
            try:
                if os.write(self._file, octets) != len(octets):
                    raise OSError(0, "the disk is full")
            except OSError as error:
                self._give_up(error)
            self._octets += len(octets)

    def _give_up(self, error: OSError) -> None:
        if not self._lost:
            log.warning(
                "what is on its way is not kept in %s (%s): after a crash it is in doubt", self._path, error.strerror
            )
        self._lost = True
        try:
            for path in (self._path, self._path.with_suffix(".new")):
                path.unlink(missing_ok=True)
        except OSError as again:
            if self._path.exists():
                raise Error(
                    f"The journal {self._path} can be neither written nor removed: {again.strerror}."
                ) from again
        self.close()


def known(folder: Path | None, life: Life | None, trunk_id: int | None = None) -> Known:
    """What the journals of a daemon that has ended say of its messages; of one trunk, or of all."""
    found: Known = {}
    for its, path in life.files(folder) if folder and life else ():
        if trunk_id in (None, its):
            found.update({(its, message_id): outcome for message_id, outcome in _read(path).items()})
    return found


def forget(folder: Path | None, life: Life | None, trunk_id: int | None = None) -> None:
    """What they say is in the database now."""
    for its, path in list(life.files(folder)) if folder and life else ():
        if trunk_id in (None, its):
            path.unlink(missing_ok=True)
            path.with_suffix(".new").unlink(missing_ok=True)


def _read(path: Path) -> dict[int, Outcome]:
    """The last word on each message; of what was handed over and not answered there is none."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return {}  # it has just been written anew: its process lives
            # What stands behind the end of the last line was not written whole.
            entries = [json.loads(line) for line in file.read().split(b"\n")[:-1]]
        if entries[:1] != [[_BOOT_ID.read_text().strip()]]:
            return {}  # after a reboot the end of the file may be lost, and with it what left last
    except (OSError, ValueError):
        return {}
    return _last_words(entries[1:])


def _last_words(entries: Iterable[tuple[str, list[Any]]]) -> dict[int, Outcome]:
    last: dict[int, Outcome] = {}
    for name, messages in entries:
        if name in ("claimed", "unsent"):
            last.update((message_id, Deferred(message_id, "", counted=False)) for message_id in messages)
        elif name == "handed":
            for message_id in messages:
                last.pop(message_id, None)
        elif name == "accepted":
            last.update((message_id, Accepted(message_id, tuple(ids))) for message_id, ids in messages)
        else:
            last.update((message_id, Refused(message_id, reason, code)) for message_id, reason, code in messages)
    return last
