"""Writes the call records of SMS that are due, in a thread of its own.

Asterisk's database may be slow, locked or away: neither the sending nor the daemon's signs of life may wait for it.
"""

from __future__ import annotations

import logging
import threading

from ixxsms import callrecords
from ixxsms.asterisk import cdr
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import Error

log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY = 1.0


class CallRecordWriter:
    """Runs from `start()` until `stop()`, where the settings ask for call records of SMS at all."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database, self._config = database, config
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
        while not self._stopping.wait(EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        try:
            with self._database.read() as session:
                records = callrecords.due(session)
            if records:
                cdr.write_sms(self._config.cdr_url, self._config.cdr_table, list(records.values()))
                self._database.transact(lambda session: callrecords.written(session, records))
            self._failed = False
        except Error as error:
            if not self._failed:
                log.error("no call records of SMS are written: %s", error)
            self._failed = True
