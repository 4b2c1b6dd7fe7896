"""What a daemon does, without its signals: a sender for each active trunk, signs of life, housekeeping."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.orm import Session

from ixxsms import arrivals, campaigns, daemons, journal, outbox, receipts, repeats, requests, trunks, usage
from ixxsms.at_once import Claim, claiming_at_once
from ixxsms.callrecord_writer import CallRecordWriter
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.drivers.base import Link
from ixxsms.edge import Edge, Listener
from ixxsms.errors import DatabaseError, Error
from ixxsms.journal import Life
from ixxsms.models import Daemon, Trunk
from ixxsms.neighbours import may_send, neighbours, next_trunks
from ixxsms.sender import Identity, Sender
from ixxsms.tallier import Tallier

log = logging.getLogger(__name__)

#: Seconds between two turns of the daemon's own loop, and between two rounds of housekeeping.
TURN = 0.1
HOUSEKEEPING = 1.0

#: Seconds between two looks at the trunks: new ones, edited ones, and senders that have ended.
MATCH = 0.3

#: Seconds between two looks for messages whose route is gone: it reads through all that is queued.
GONE_ROUTES = 60.0

#: A receipt without a message is looked at again for so many seconds.
MATCH_AGAIN = 60.0

#: Where journals are kept if neither a setting nor an SQLite database says where.
SYSTEM_STATE = Path("/var/lib/ixxsms")

#: Receipts without a message are kept for a week: some SMSCs send them days later.
KEEP_RECEIPTS = 7 * 24 * 3600.0


class Service:
    """Serves the outbox from this process. `stop()` may be called from a signal handler: it only sets a flag."""

    def __init__(self, database: Database, config: Config) -> None:
        self.config = config
        self._database = database
        self._identity = Identity(0)
        self._journals = _journals(database, config)
        self._senders: dict[int, tuple[Sender, threading.Thread]] = {}
        self._stopping = False
        self._beat = self._kept = self._matched = 0.0
        self._gone_routes_at = 0.0
        self._call_records = CallRecordWriter(database, config, lambda: self._identity.daemon_id)
        self._tallier = Tallier(database)
        #: Called with the ids of messages that an SMSC has just taken, from the senders' threads.
        self._listeners: list[Listener] = []

    def stop(self) -> None:
        self._stopping = True

    def wake(self) -> None:
        """Somebody waits for a message that was queued just now. From any thread."""
        for sender, _ in list(self._senders.values()):
            sender.wake()

    def _claiming(self) -> AbstractContextManager[Claim]:
        return claiming_at_once([sender for sender, _ in list(self._senders.values())])

    def _tell(self, message_ids: Sequence[int]) -> None:
        for listener in list(self._listeners):
            listener(message_ids)

    def run(self, drain: bool = False, end: Callable[[], bool] = lambda: False) -> None:
        """Serve until told to stop; with `drain`, until nothing can be sent now and the receipts are in.

        `end` is asked in each turn whether to stop. Asterisk is listened to only without `drain`.
        """
        self._enter()
        edge = None if drain else self._edge()
        quiet = 0
        try:
            self._call_records.start()
            if edge:
                edge.start()
            while not (self._stopping or end()):
                try:
                    self._turn()
                    # Twice: a message may be in no queue while it goes from one trunk to the next.
                    quiet = quiet + 1 if drain and self._drained() else 0
                    if quiet == 1:
                        self._housekeeping()  # a receipt may have queued a message of a finished campaign again
                    if quiet == 2:
                        break
                except DatabaseError as error:
                    log.error("%s", error)
                    time.sleep(1.0)
                time.sleep(TURN)
        finally:
            if edge:
                edge.stop()  # before the senders: what it takes in, they can still send
            self._leave()

    def _edge(self) -> Edge:
        daemon_id = lambda: self._identity.daemon_id  # noqa: E731
        return Edge(self._database, self.config, daemon_id, self.wake, self._claiming, self._listeners)

    def _enter(self) -> None:
        def enter(session: Session) -> tuple[int, Life]:
            unlimited = [trunk for trunk in trunks.all_trunks(session) if not trunk.hosts and not trunk.most_daemons]
            return self._register(session, [trunk.id for trunk in unlimited if _usable(trunk)])

        self._live(*self._database.transact(enter))
        self._housekeeping()

    def _turn(self) -> None:
        now = time.monotonic()
        if now - self._beat >= self.config.heartbeat_seconds:
            self._beat = now
            self._heartbeat()
        if now - self._matched >= MATCH:
            self._matched = now
            self._match_trunks()
        if now - self._kept >= HOUSEKEEPING:
            self._kept = now
            self._housekeeping()

    def _heartbeat(self) -> None:
        def show(session: Session) -> tuple[int, Life] | None:
            lives = daemons.heartbeat(session, self._identity.daemon_id, time.time())
            return None if lives else self._register(session, list(self._senders))

        entered = self._database.transact(show)
        if entered:
            log.warning("another daemon took this one for dead; it has entered itself anew")
            self._live(*entered)

    def _register(self, session: Session, trunk_ids: Iterable[int]) -> tuple[int, Life]:
        now = time.time()
        return daemons.register(session, trunk_ids, now), Life(os.getpid(), now)

    def _live(self, daemon_id: int, life: Life) -> None:
        """Be that daemon from now on. The journals first: by the id the senders see that there are new ones."""
        if self._journals:
            self._identity.journals = (self._journals, life)
        self._identity.daemon_id = daemon_id

    def _match_trunks(self) -> None:
        """Start a sender for each active trunk that has none; end those whose trunk changed, stopped or went."""
        with self._database.read() as session:
            wanted = {trunk.id: trunk for trunk in trunks.all_trunks(session) if _usable(trunk)}
            limited = [trunk for trunk in wanted.values() if trunk.hosts or trunk.most_daemons]
            living = daemons.alive(session, time.time(), self.config.heartbeat_seconds) if limited else []
        for trunk in limited:
            if self._identity.daemon_id not in daemons.serving(trunk, living):
                del wanted[trunk.id]
        for trunk_id, (sender, thread) in list(self._senders.items()):
            if not thread.is_alive():
                # Settled before it is forgotten: no successor may begin while it is not known what this one held.
                self._settle_sender(trunk_id)
                del self._senders[trunk_id]
            elif trunk_id not in wanted or wanted[trunk_id].version != sender.version:
                sender.stop()
        for trunk_id, trunk in wanted.items():
            if trunk_id not in self._senders:
                self._start(trunk)

    def _settle_sender(self, trunk_id: int) -> None:
        """A sender has ended. What it still held, if it did not end in order, is in doubt."""
        daemon_id = self._identity.daemon_id

        def settle(session: Session) -> None:
            self._settle(session, daemon_id, self._own_life(), trunk_id)
            daemons.remove_link(session, daemon_id, trunk_id)

        self._database.transact(settle)
        journal.forget(self._journals, self._own_life(), trunk_id)

    def _settle(self, session: Session, daemon_id: int, life: Life | None, trunk_id: int | None = None) -> int:
        """What a daemon or its sender of one trunk still held: recorded as far as its journal knows, else in doubt."""
        return outbox.settle_dead(
            session,
            [daemon_id],
            time.time(),
            self.config.resend_in_doubt,
            trunk_id,
            known=journal.known(self._journals, life, trunk_id),
            cdr_due=self.config.cdr_sms,
        )

    def _own_life(self) -> Life | None:
        return self._identity.journals[1] if self._identity.journals else None

    def _start(self, trunk: Trunk) -> None:
        try:
            sender = Sender(self._database, self.config, trunk, self._identity, accepted=self._tell)
        except Error as error:  # what was right when the trunk was added may have gone: its driver, for example
            why = str(error)

            def stop(session: Session) -> None:
                trunks.stop(session, trunk.id, why)
                daemons.remove_link(session, self._identity.daemon_id, trunk.id)

            self._database.transact(stop)
            log.error("trunk %s has stopped: %s", trunk.name, why)
            return
        thread = threading.Thread(target=_guarded, args=(sender,), name=f"trunk {trunk.name}", daemon=True)
        self._senders[trunk.id] = (sender, thread)
        thread.start()

    def _housekeeping(self) -> None:
        self._database.transact(lambda session: arrivals.give_up(session, self.config, time.time()))
        for daemon_id, (life, count) in self._database.transact(self._keep_house).items():
            log.warning("daemon %d ended without a word; %d messages are in doubt", daemon_id, count)
            journal.forget(self._journals, life)
        if time.monotonic() >= self._gone_routes_at:
            self._gone_routes_at = time.monotonic() + GONE_ROUTES
            with self._database.read() as session:
                left = outbox.with_gone_route(session)
            if left:
                self._database.transact(lambda session: outbox.reroute(session, left))
        self._tallier.turn()

    def _keep_house(self, session: Session) -> dict[int, tuple[Life | None, int]]:
        """Returns the daemons that had died, each with its life and how many of its messages are in doubt now."""
        now, gone = time.time(), {}
        for daemon in daemons.dead(session, now, self.config.heartbeat_seconds):
            if daemon.id != self._identity.daemon_id:
                life = _life(daemon)
                gone[daemon.id] = life, self._settle(session, daemon.id, life)
                daemons.forget(session, daemon.id)
        outbox.settle_orphans(session, now, self.config.resend_in_doubt)
        outbox.new_rounds(session, now)
        if self.config.message_lifetime_hours:
            outbox.expire(session, now - self.config.message_lifetime_hours * 3600, now)
        campaigns.take_back(session, now)
        campaigns.reopen(session)
        campaigns.finish(session, now)
        receipts.match_again(session, now - MATCH_AGAIN, now, next_trunks(session, self.config.heartbeat_seconds))
        receipts.forget_old(session, now - KEEP_RECEIPTS)
        repeats.forget_old(session, now - KEEP_RECEIPTS)
        requests.forget_old(session, now)
        return gone

    def _drained(self) -> bool:
        """Nothing is in a driver's hands, every link is known to the others, and no trunk that is up has work."""
        senders = [sender for sender, _ in self._senders.values()]
        if any(sender.owed or sender.link is Link.STARTING or sender.stopping for sender in senders):
            return False
        # What is due in a moment is work too: a message may have been passed on since this clock was read.
        soon = time.time() + 1.0
        with self._database.read() as session:
            views = daemons.links(session, [self._identity.daemon_id])
            if {view.trunk_id: view.link for view in views} != {sender.trunk_id: sender.link for sender in senders}:
                return False
            by_id = {trunk.id: trunk for trunk in trunks.all_trunks(session)}
            up = [by_id[s.trunk_id] for s in senders if s.trunk_id in by_id and s.link is Link.UP]
            capped = usage.reached(session, up, time.time())
            up = [trunk for trunk in up if may_send(trunk) and trunk.id not in capped]
            if any(self._has_work(session, trunk, soon) for trunk in up):
                return False
            # What a sender has just claimed is not in its own account before the commit has returned.
            if outbox.holds(session, self._identity.daemon_id):
                return False
        return not any(self._waits_for_receipts(sender) for sender in senders)

    def _has_work(self, session: Session, trunk: Trunk, at: float) -> bool:
        near = neighbours(session, trunk, self.config.heartbeat_seconds)
        places = [outbox.Source(), *campaigns.sendable(session, trunk.id, at)]
        return outbox.has_work(session, trunk.id, places, better=near.better, routes=near.routes or {}, now=at)

    def _waits_for_receipts(self, sender: Sender) -> bool:
        patience = self.config.drain_receipt_seconds
        return sender.awaiting_receipts > 0 and time.monotonic() - sender.last_accepted < patience

    def _leave(self) -> None:
        """End the senders, each with the answers that it is owed, and strike this daemon off."""
        for sender, _ in self._senders.values():
            sender.stop()
        for _, thread in self._senders.values():
            thread.join(2 * self.config.stop_seconds + 5)
        try:
            self._housekeeping()
            self._tallier.turn(ending=True)
            self._call_records.stop()
            self._database.transact(self._strike_off)
            journal.forget(self._journals, self._own_life())
        except DatabaseError as error:
            log.error("%s", error)

    def _strike_off(self, session: Session) -> None:
        self._settle(session, self._identity.daemon_id, self._own_life())
        daemons.forget(session, self._identity.daemon_id)


def _journals(database: Database, config: Config) -> Path | None:
    """Where the senders keep their journals; None where nothing can be written."""
    state = Path(config.state_dir) if config.state_dir else database.folder or SYSTEM_STATE
    folder = state / "journals"
    try:
        new = not folder.exists()
        folder.mkdir(mode=0o750, exist_ok=True)
        if new and os.geteuid() == 0:  # the service, which runs as another user, needs it too
            os.chown(folder, state.stat().st_uid, state.stat().st_gid)
    except OSError as error:
        log.warning("what is on its way is not kept in %s (%s): after a crash it is in doubt", folder, error.strerror)
        return None
    return folder


def _life(daemon: Daemon) -> Life | None:
    """By which this host's journals of a daemon are found; None: it ran elsewhere."""
    return Life(daemon.pid, daemon.started_at) if daemon.host == daemons.this_host() else None


def _usable(trunk: Trunk) -> bool:
    return trunk.active and not trunk.stopped_reason


def _guarded(sender: Sender) -> None:
    try:
        sender.run()
    except Exception:
        log.exception("trunk %s: the sender failed and is started again", sender.name)
        time.sleep(1.0)
