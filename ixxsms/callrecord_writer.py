"""Writes the call records of SMS that are due, in a thread of its own.

Asterisk's database may be slow, locked or away: neither the sending nor the daemon's signs of life may wait for it.
Of several daemons the oldest writes them all: two would each write what the other has not marked as written yet.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from ixxsms import callrecords, daemons
from ixxsms.asterisk import cdr
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import Error

log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY = 1.0


class CallRecordWriter:
    """Runs from `start()` until `stop()`, where the settings ask for call records of SMS at all."""

    def __init__(self, database: Database, config: Config, daemon_id: Callable[[], int]) -> None:
        self._database, self._config, self._daemon_id = database, config, daemon_id
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def start(self) -> None:
        if self._config.cdr_sms and self._config.cdr_url:
            self._thread = threading.Thread(target=self._run, name="call records", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what is due now, too; waits for as long as the setting stop_seconds says, and no longer."""
        self._stopping.set()
        if self._thread:
            self._thread.join(self._config.stop_seconds)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping.wait(EVERY)
            while self._write():
                pass  # there may be more

    def _write(self) -> bool:
        """Write some that are due; whether there were any."""
        try:
            with self._database.read() as session:
                records = callrecords.due(session) if self._is_ours(session) else {}
            if records:
                cdr.write_sms(self._config.cdr_url, self._config.cdr_table, list(records.values()))
                self._database.transact(lambda session: callrecords.written(session, records))
            self._failed = False
            return bool(records)
        except Exception as error:  # whatever a driver raises: what is due stays due
            if not self._failed:
                told = None if isinstance(error, Error) else error
                log.error("no call records of SMS are written: %s", error, exc_info=told)
            self._failed = True
            return False

    def _is_ours(self, session: Session) -> bool:
        return daemons.is_oldest(session, self._daemon_id(), time.time(), self._config.heartbeat_seconds)
