"""Whose turn it is to write to an SQLite database: the threads of a process, and the processes of a host, one by one.

SQLite itself lets whoever comes first have its lock, and makes the others look again ever less often: one that writes
over and over would keep them waiting for seconds. Here who waits is next. This is for fairness only; where the file of
the locks cannot be used, SQLite's own lock still keeps writers apart.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from ixxsms.errors import DatabaseError

_LOOK = 0.0005  #: seconds between two looks at a lock
# Octets of the file: who waits for the turn has the first, who writes the second.
_NEXT, _WRITING = 0, 1


class WriteTurn:
    """A lock for one writer at a time, waited for no longer than so many seconds."""

    def __init__(self, database: Path, wait: float) -> None:
        self._lock = threading.Lock()
        self._path, self._wait = database.with_name(database.name + "-turn"), wait
        self._database = database
        self._file: int | None = None

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._wait
        if not self._lock.acquire(timeout=self._wait):
            raise DatabaseError("The database is locked: another thread has been writing for too long.")
        try:
            file = self._open()
            if file is not None:
                self._take(file, _NEXT, deadline)
                try:
                    self._take(file, _WRITING, deadline)
                finally:
                    fcntl.lockf(file, fcntl.LOCK_UN, 1, _NEXT)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _WRITING)
        self._lock.release()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @staticmethod
    def _take(file: int, octet: int, deadline: float) -> None:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, octet)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        "The database is locked: another program has been writing for too long."
                    ) from None
                time.sleep(_LOOK)

    def _open(self) -> int | None:
        """The file of the locks, for whoever may write to the database, as SQLite does with its own."""
        if self._file is None:
            with suppress(OSError):
                whose = self._database.stat()
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with suppress(OSError):  # it is another user's
                    os.fchmod(self._file, whose.st_mode & 0o666)
                    if os.geteuid() == 0:
                        os.fchown(self._file, whose.st_uid, whose.st_gid)
        return self._file
