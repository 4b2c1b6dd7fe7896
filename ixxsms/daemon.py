"""ixxmassivesms: the service in the foreground. Signals set flags; one loop acts.

SIGTERM, SIGINT: finish what is in the windows, then stop. SIGHUP: read the settings again and start the senders anew;
where something is wrong with the settings, say so and go on with the old ones.
"""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
from types import FrameType

from ixxsms import __version__, config, schema
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import Error
from ixxsms.service import Service

log = logging.getLogger("ixxsms.daemon")

#: Seconds after which a thread that computes lets another one on, where the database is a server: a call's transaction
#: waits for some ten answers of it, and after each for whoever sends a campaign meanwhile.
GIVE_WAY = 0.0005

EPILOG = """examples:
  ixxmassivesms              serve until SIGTERM
  ixxmassivesms --drain      send what can be sent now, wait for receipts, and end
signals:
  SIGTERM, SIGINT            finish what is in the windows, then stop
  SIGHUP                     read the configuration again; where it is wrong, go on with the old one
exit codes: 0 done, 1 the configuration or the database cannot be used, 2 usage"""


class _Signals:
    """What was asked for since the last look. The handler does nothing but set a flag."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        #: What the service is to go on with, once it has ended.
        self.next: tuple[Config, Database] | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True

    def end(self) -> bool:
        """Whether the service that runs is to end: for good, or because there are new settings that can be used."""
        if self.reload:
            self.reload = False
            try:
                self.next = _load()
            except Exception as error:  # whatever is wrong with them: a mistake must not end what runs
                log.error("the configuration is not read again: %s", error)
        return self.stop or self.next is not None


def main(argv: list[str] | None = None) -> None:
    """The program. Exits; never returns a value."""
    parser = argparse.ArgumentParser(
        prog="ixxmassivesms",
        description="Sends the campaigns and the outgoing queue over the trunks; stays in the foreground.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--drain", action="store_true", help="end when nothing can be sent now")
    parser.add_argument("--version", action="version", version=f"ixxmassivesms {__version__}")
    arguments = parser.parse_args(argv)
    signals = _Signals()
    try:
        _serve(signals, arguments.drain)
    except Error as error:
        print(f"ixxmassivesms: {error}", file=sys.stderr)
        sys.exit(1)


def _serve(signals: _Signals, drain: bool) -> None:
    signals.next = _load()
    while signals.next and not signals.stop:
        (settings, database), signals.next = signals.next, None
        if database.folder is None:
            sys.setswitchinterval(GIVE_WAY)
        service = Service(database, settings)
        # What is there now stays: to walk it in each full collection would hold up all threads for 50 ms. What is
        # left of the service before a SIGHUP must not stay with it.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        log.info("ixxmassivesms %s has started", __version__)
        service.run(drain, signals.end)
        database.close()
        if signals.next:
            log.info("the configuration is read again")
    log.info("ixxmassivesms has stopped")


def _load() -> tuple[Config, Database]:
    """The settings as they are written now and their database, both checked. Raises Error, with nothing changed."""
    settings = config.load()
    level = _level(settings.log_level)
    database = Database(settings.database_url)
    schema.check(database)
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s", force=True)
    return settings, database


def _level(name: str) -> int:
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise Error(f'The setting log_level must be debug, info, warning or error, not "{name}".')
    return level


if __name__ == "__main__":
    main()
