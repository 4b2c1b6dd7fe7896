"""ixxmassivesms: the service in the foreground. Signals set flags; one loop acts.

SIGTERM, SIGINT: finish what is in the windows, then stop. SIGHUP: read the settings again and start the senders anew.
"""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
from types import FrameType

from ixxsms import __version__, config, schema
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
  SIGHUP                     read the configuration again
exit codes: 0 done, 1 the configuration or the database cannot be used, 2 usage"""


class _Signals:
    """What was asked for since the last look. The handler does nothing but set a flag."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        self.service: Service | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True
        if self.service is not None:
            self.service.stop()


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
    while not signals.stop:
        signals.reload = False
        settings = config.load()
        logging.basicConfig(
            stream=sys.stderr,
            level=_level(settings.log_level),
            format="%(asctime)s %(levelname)s %(message)s",
            force=True,
        )
        database = Database(settings.database_url)
        schema.check(database)
        if database.folder is None:
            sys.setswitchinterval(GIVE_WAY)
        signals.service = Service(database, settings)
        if signals.stop or signals.reload:
            continue
        gc.freeze()  # what is there now stays: to walk it in each full collection would hold up all threads for 50 ms
        log.info("ixxmassivesms %s has started", __version__)
        signals.service.run(drain)
        database.close()
        if not signals.reload:
            break
        log.info("the configuration is read again")
    log.info("ixxmassivesms has stopped")


def _level(name: str) -> int:
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise Error(f'The setting log_level must be debug, info, warning or error, not "{name}".')
    return level


if __name__ == "__main__":
    main()
