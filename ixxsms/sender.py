"""The sender of one trunk: it holds the driver in one hand and the outbox in the other, and nobody else does.

One step: hear what the driver has to say; in one short transaction write that down and claim what goes out next; after
the commit, and not before, give the claimed messages to the driver and acknowledge what was stored.

A fast trunk does not have a transaction for each window: more is claimed than the window has room for, what goes out in
a moment, and the journal says after a crash what of it had left.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from ixxsms import arrivals, campaigns, codes, daemons, numbering_plan, outbox, receipts, trunks, usage
from ixxsms.batching import Batching
from ixxsms.config import Config
from ixxsms.db import ATTEMPTS, Database
from ixxsms.driver_config import driver_config
from ixxsms.drivers.base import Driver, Link, TrunkConfig
from ixxsms.drivers.kinds import open_driver
from ixxsms.errors import Conflict, DatabaseError
from ixxsms.events import (
    Accepted,
    Deferred,
    Event,
    Heard,
    InDoubt,
    Noted,
    Receipt,
    Received,
    Refused,
    Stopped,
    Submission,
    Warned,
)
from ixxsms.held import Held, Lease
from ixxsms.journal import Journal, Life
from ixxsms.models import Trunk
from ixxsms.neighbours import Neighbours, neighbours
from ixxsms.numbering import Plan, digits, national
from ixxsms.pace import Pace

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two looks at the other trunks and at this trunk's own row.
REFRESH = 0.5

#: Seconds for which it is known which campaigns run: claims come by the hundred a second, and look again themselves.
PLACES = 0.1

#: Seconds between two reports of a link that has not changed.
REPORT = 2.0

#: Seconds that a claim waits at most, at random, after others have claimed the same before it.
LONGEST_WAY = 0.1

#: A look that found nothing is not repeated before so many times what it took: much may be queued for others.
LOOK_AGAIN = 10.0

#: Seconds after its claim for which a message may be handed over: later others may have taken this daemon for dead.
HANDED_WITHIN = 1.0

#: A journal that could not be kept, for the disk was full, is begun again at most once in so many seconds.
JOURNAL_AGAIN = 10.0

#: For fewer segments a lease costs more than it saves: it has statements of its own.
LEASE = 20

#: What was queued outside any campaign does not wait for room ahead: so many of them are claimed at once.
QUEUE_ROOM = 25

#: While the database is away incoming SMS and receipts wait so many seconds for it, no more of them than MOST_HELD;
#: then the other side keeps them and brings them again.
REFUSE_AFTER = 5.0
MOST_HELD = 1_000

#: What a transaction may have stored whose commit was not answered is looked for so many seconds.
DOUBTFUL_FOR = 3600.0
MOST_DOUBTFUL = 100

#: A commit whose answer was lost may still be under way: after so many seconds it is found out once more what it did.
FIND_OUT_AGAIN = 60.0


@dataclass
class Identity:
    """Which daemon this process is. It changes when others had taken it for dead and it enters itself anew.

    `journals`: where its senders keep what is on its way, and the life by which it is found; None: they keep none.
    """

    daemon_id: int
    journals: tuple[Path, Life] | None = None


class Sender:
    """Serves one trunk from one thread. `stop()` may be called from any thread.

    `only`: it sends just this message. `alternatives`: the trunks that have their turn after this one, where somebody
    else decides that; None: it asks the database which trunks may take messages now. `accepted`: hears of the messages
    that the SMSC took, before they are recorded; whoever waits for one need not wait for the commit.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        trunk: Trunk,
        identity: Identity,
        *,
        only: int | None = None,
        alternatives: Collection[int] | None = None,
        accepted: Callable[[Sequence[int]], None] | None = None,
        open_driver: Callable[[TrunkConfig], Driver] = open_driver,
    ) -> None:
        self.trunk_id, self.name, self.version = trunk.id, trunk.name, trunk.version
        self.awaiting_receipts = 0
        self.last_accepted = 0.0
        self._database, self._config, self._identity, self._only = database, config, identity, only
        self._trunk = trunk
        self._driver = open_driver(driver_config(trunk, config))
        self._asks_receipts = config.receipts and trunk.kind == "smpp"
        self._pace = Pace(trunk.pace)
        self._limited = usage.has_cap(trunk)
        self._at_cap = ""
        self._retry = outbox.Retry(config.max_attempts, config.retry_seconds)
        self._accepted = accepted
        self._heard = Heard()
        self._brought: list[Receipt | Received] = []  # of what was heard: to be acknowledged, in their order
        self._running: list[outbox.Source] = []
        self._held = Held()
        self._transaction = threading.Lock()  # held by whoever claims for this trunk, from before his transaction on
        self._journal: Journal | None = None
        self._journal_of = 0  # the daemon whose it is
        self._journal_again = 0.0
        self._asks_neighbours = alternatives is None
        self._near = Neighbours(others=frozenset(alternatives or ()))
        self._plan: Plan | None = None
        self._give_way = 0.0
        self._backlog = self._woken = self._stopping = self._store_failed = False
        self._batching = Batching(on_server=database.folder is None)
        self._failing_since: float | None = None
        self._doubtful: list[float] = []
        self._find_out_at = inf
        self._refreshed = self._reported = self._placed = self._look_at = 0.0
        self._told: tuple[Link, str] = (Link.STARTING, "")
        self._told_since = time.time()
        self._sent = 0

    # -- from other threads ----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Claim nothing more; the thread ends when every answer is in, or after the setting stop_seconds."""
        self._stopping = True
        self._driver.wake()

    def wake(self) -> None:
        """Something was queued that should not wait for the next look."""
        self._woken = True
        self._driver.wake()

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def link(self) -> Link:
        return self._driver.link

    @property
    def why(self) -> str:
        return self._driver.why

    @property
    def owed(self) -> int:
        """Messages claimed and not handed over, in the driver's hands, or answered and not recorded yet."""
        return len(self._held.owed)

    def stand_by(self) -> bool:
        """Whether somebody else may claim for this trunk, now: then its own transactions wait for his `go_on`.

        He is not to wait for one of its own, which may be waiting for his: where it has one it claims in that.
        """
        if not self._transaction.acquire(blocking=False):
            return False
        ready = (
            self._claims_ahead()
            and not self._store_failed
            and self._journal_of == self._identity.daemon_id
            and self._held.messages_ahead < QUEUE_ROOM
        )
        if not ready:
            self._transaction.release()
        return ready

    def claim_queued(self, session: Session) -> list[outbox.Claimed]:
        """Claim from the outgoing queue in his transaction."""
        claimed = self._claim(session, QUEUE_ROOM, time.time(), [outbox.Source()])
        if self._journal:
            self._journal.claimed([message.id for message in claimed])
        return claimed

    def go_on(self, claimed: list[outbox.Claimed], began: float, *, committed: bool) -> None:
        """His transaction, in which he may have claimed, has ended."""
        if claimed and committed:
            self._held.give(claimed, began)
        elif claimed:
            self._store_failed = True  # it may have been committed for all that
        self._transaction.release()
        if claimed:
            self._driver.wake()

    # -- the thread ------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve the trunk until it is told to stop or `until` says so, then wait for the answers owed, and leave."""
        try:
            while not self._stopping and not until():
                self.step()
            self._stopping = True
            deadline = time.monotonic() + self._config.stop_seconds
            while (self._held.owed or self._brought) and time.monotonic() < deadline:
                self.step()
            self._hear(self._driver.close())
            self._record_last()
        except BaseException:
            with suppress(Exception):
                self._driver.close()  # its links would stay, and providers count logins
            raise
        finally:
            self._stopping = True
            with self._transaction:
                if self._journal:
                    self._journal.close()

    def step(self) -> None:
        """One turn of the loop; a database that fails is waited for, and what was heard is kept until then."""
        self._hear(self._driver.poll(self._timeout()))
        try:
            self._held.take_given()
            self._hand_over()
            self._refresh()
            if time.monotonic() >= self._find_out_at:
                self._find_out_at, self._store_failed = inf, True
            if self._is_due():
                with self._transaction, self._failing():
                    self._held.take_given()
                    self._exchange()
        except DatabaseError as error:
            if self._failing_since is None:
                log.error("trunk %s: %s", self.name, error)
                self._failing_since = time.monotonic()
            self._store_failed = True
            self._turn_away()  # before the wait: what comes now is tried first, the database may be back
            self._hear(self._driver.poll(1.0))

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Where this fails it is to be found out what was committed, before anybody claims for this trunk again."""
        try:
            yield
        except DatabaseError:
            self._store_failed = True
            raise

    def _is_due(self) -> bool:
        """Whether there is something to write down or to claim, now."""
        if self._store_failed or (self._held.messages_ahead and self._given_up()):
            return True
        if self._heard and (self._stopping or time.monotonic() >= self._batching.due(brought=bool(self._brought))):
            return True
        if self._held.leases and not self._held.owed:
            return True  # the last of them end
        if not self._held.messages_ahead and self._room() >= 1:
            return self._backlog or self._called() or self._look()
        return self._claims_ahead() and self._called()

    def _hear(self, events: list[Event]) -> None:
        if not events:
            return
        heard = Heard(events)
        self._heard.add(heard)
        if bool(heard.of(Receipt)) or bool(heard.of(Received)):
            self._brought += [event for event in events if isinstance(event, Receipt | Received)]
            self._batching.brought(time.monotonic())
        if self._journal:
            self._journal.heard(heard)
        if self._accepted:
            self._accepted([event.message_id for event in heard.of(Accepted)])

    def _turn_away(self) -> None:
        """While nothing can be stored, what the other side can bring again later is left to it, after a while."""
        assert self._failing_since is not None
        kept = MOST_HELD if time.monotonic() - self._failing_since < REFUSE_AFTER else 0
        self._brought, turned_away = self._brought[:kept], self._brought[kept:]
        if turned_away:
            stays = {id(event) for event in self._brought}
            self._heard.put(Receipt, [e for e in self._heard.of(Receipt) if id(e) in stays])
            self._heard.put(Received, [e for e in self._heard.of(Received) if id(e) in stays])
            self._driver.refuse([event.token for event in turned_away])

    def _called(self) -> bool:
        """Whether it was woken, and the message may be for this trunk: then it claims without a look before."""
        return self._woken and not self._near.better

    def _timeout(self) -> float:
        """Seconds to wait for the driver: while there may be more to claim not at all, or until others have claimed."""
        most = float(min(self._config.poll_seconds, self._pace.wait() or self._config.poll_seconds))
        if self._backlog and not self._held.messages_ahead and self._room() >= 1:
            return random.uniform(0, self._give_way)  # noqa: S311 - no secret
        if not self._heard:
            return most
        return min(most, max(0.0, self._batching.due(brought=bool(self._brought)) - time.monotonic()))

    def _room(self) -> float:
        if self._stopping or self._plan is None or self._at_cap:
            return 0
        return min(self._driver.room(), self._pace.allowed(time.monotonic()))

    def _claims_ahead(self) -> bool:
        """Whether it may claim more than there is room for: only with a journal that says what of it has left."""
        return (
            self._journal is not None
            and self._journal.kept
            and self._driver.link is Link.UP
            and not (self._limited or self._stopping or self._at_cap or self._plan is None)
        )

    def _claimable(self) -> float:
        """How many segments to claim now: what there is room for, and what goes out until the next time and again."""
        room = self._room()
        if not self._claims_ahead():
            return room
        free = room + self._batching.ahead - self._held.segments_ahead
        return max(free, QUEUE_ROOM) if self._woken else free

    def _given_up(self) -> bool:
        """Whether what was claimed ahead is not to be handed over any more."""
        late = time.monotonic() - self._held.next_claimed_at > HANDED_WITHIN
        return late or self._stopping or self._driver.link is not Link.UP

    def _hand_over(self) -> None:
        """Give the driver what it has room for."""
        if not self._held.messages_ahead:
            return
        batch = self._held.hand_out(self._room(), time.monotonic() - HANDED_WITHIN)
        if not batch:
            return
        if self._journal:
            self._journal.handed([message.id for message in batch])
        self._driver.submit(self._submissions(batch))
        segments = sum([message.segments for message in batch])
        self._pace.spend(segments)
        self._batching.handed_over(segments)

    def _look(self) -> bool:
        now, began = time.time(), time.monotonic()
        if began < self._look_at:
            return False
        with self._database.read() as session:
            found = outbox.has_work(
                session,
                self.trunk_id,
                self._places(session, now),
                better=self._near.better,
                routes=self._near.routes or {},
                now=now,
                only=self._only,
            )
        ended = time.monotonic()
        self._look_at = ended if found else ended + LOOK_AGAIN * (ended - began)
        return found

    def _places(self, session: Session, now: float) -> list[outbox.Source]:
        """The outgoing queue first; then the campaigns, another one first each second, so that all get on."""
        if self._only is None and not 0 <= now - self._placed < PLACES:
            self._running, self._placed = campaigns.sendable(session, self.trunk_id, now), now
        running = self._running
        turn = int(now) % len(running) if running else 0
        return [outbox.Source(), *running[turn:], *running[:turn]]

    def _exchange(self) -> None:
        """Record what was heard, claim what goes out next, commit; only then write and acknowledge."""
        self._open_journal()
        began = time.monotonic()
        self._batching.begin(began)
        room = self._claimable()
        self._woken = False
        back = self._held.give_back() if self._held.messages_ahead and self._given_up() else []
        try:
            claimed, leases = self._transact(partial(self._record_and_claim, back=back, room=room), attempts=1)
            self._give_way = 0.0
        except Conflict:
            # On a cluster: a daemon on another node claimed the same. What was heard need not wait for the next try.
            claimed, leases = self._transact(partial(self._record_and_claim, back=back, room=0.0))
            self._give_way = min(LONGEST_WAY, max(0.001, 2 * self._give_way))
        self._held.drop(all_of_them=self._store_failed)  # then it had to find out what was committed before
        self._store_failed, self._failing_since = False, None
        heard, self._heard = self._heard, Heard()
        self._settle(heard)
        self._backlog = self._give_way > 0 or (bool(claimed) and sum(message.segments for message in claimed) >= room)
        self._held.take(claimed, began)
        self._held.lease(leases)
        self._hand_over()
        brought, self._brought = self._brought, []
        self._driver.acknowledge([event.token for event in brought])
        if self._journal and (self._journal.full or self._may_keep_again()):
            owed, ahead = list(self._held.owed), set(self._held.ids_ahead())
            self._journal.renew(owed, [message_id for message_id in owed if message_id not in ahead])
        kept = self._journal and self._journal.kept  # otherwise what was heard is in doubt until it is recorded
        self._batching.end(time.monotonic(), kept=bool(kept))

    def _open_journal(self) -> None:
        """Its own life's, which begins anew when others had taken this daemon for dead."""
        if self._identity.journals and self._journal_of != self._identity.daemon_id:
            if self._journal:
                self._journal.end()
            self._journal = Journal(*self._identity.journals, self.trunk_id)
            self._journal_of = self._identity.daemon_id

    def _may_keep_again(self) -> bool:
        """Whether to try once more to keep the journal that it has lost."""
        now = time.monotonic()
        if not self._journal or self._journal.kept or now < self._journal_again:
            return False
        self._journal_again = now + JOURNAL_AGAIN
        return True

    def _record_and_claim(
        self, session: Session, now: float, back: list[int], room: float
    ) -> tuple[list[outbox.Claimed], list[Lease]]:
        daemon_id = self._identity.daemon_id
        if self._store_failed:
            # An earlier commit may have reached the database although its answer did not reach us.
            outbox.give_back(session, self.trunk_id, daemon_id, self._held.owed)
        failed: list[Refused | Deferred] = [*self._heard.of(Refused), *self._heard.of(Deferred)]
        not_taken = [*(event.message_id for event in failed), *back] if self._limited else []
        too_much = usage.held(session, self.trunk_id, daemon_id, not_taken) if not_taken else {}
        self._record(session, now)
        outbox.unclaim(session, self.trunk_id, daemon_id, back, now)
        if too_much:  # after the messages: who locks both locks them in this order
            usage.take_off(session, self.trunk_id, too_much)
        outbox.end(session, daemon_id, self._held.ended())
        claimed, leases = self._claim_or_lease(session, room, now) if room >= 1 else ([], [])
        if self._journal:
            self._journal.claimed([message.id for message in claimed])
        return claimed, leases

    def _claim_or_lease(self, session: Session, room: float, now: float) -> tuple[list[outbox.Claimed], list[Lease]]:
        places = self._places(session, now)
        if not (self._claims_ahead() and room >= LEASE):
            return self._claim(session, room, now, places), []
        claimed = self._claim(session, room, now, places, fresh=False)
        leases = []
        for place in places:
            left = room - sum([message.segments for message in claimed])
            if left < 1:
                break
            found = outbox.lease(
                session,
                self.trunk_id,
                self._identity.daemon_id,
                place,
                room=left,
                better=self._near.better,
                now=now,
            )
            if found:
                leased, messages = found
                claimed += messages
                leases.append(Lease(leased, [message.id for message in reversed(messages)], now))
        return claimed, leases

    def _transact(self, work: Callable[[Session, float], T], attempts: int = ATTEMPTS) -> T:
        """One in which incoming SMS are stored, and its time: by it they are known if the commit's answer is lost."""
        now, committing = 0.0, 0.0

        def timed(session: Session) -> T:
            nonlocal now, committing
            now, committing = time.time(), 0.0
            done = work(session, now)
            committing = time.monotonic()
            return done

        try:
            done = self._database.transact(timed, attempts)
            self._batching.committed(time.monotonic() - committing)
            return done
        except Conflict:
            raise
        except DatabaseError:
            if committing:
                self._doubtful.append(now)
                self._find_out_at = time.monotonic() + FIND_OUT_AGAIN
            raise
        finally:
            self._doubtful = [at for at in self._doubtful if at > time.time() - DOUBTFUL_FOR][-MOST_DOUBTFUL:]

    def _record(self, session: Session, now: float) -> None:
        heard = self._heard
        if not heard:
            return
        outbox.record(
            session,
            self.trunk_id,
            heard,
            now=now,
            retry=self._retry,
            others=self._near.others,
            routes=self._near.routes,
            resend_in_doubt=self._config.resend_in_doubt,
            cdr_due=self._config.cdr_sms,
            daemon_id=self._identity.daemon_id,
            since=self._held.since,
        )

        def next_trunks(_: int) -> outbox.NextTrunks:
            return outbox.NextTrunks(self._near.others, self._near.routes)

        with_ids: list[Accepted | InDoubt] = [*heard.of(Accepted), *heard.of(InDoubt)]
        known = [remote_id for e in with_ids for remote_id in e.remote_ids]
        receipts.match_late(session, self.trunk_id, known, now, next_trunks)
        receipts.store(session, self.trunk_id, heard.of(Receipt), now, next_trunks)
        errors: list[Noted | Refused | Deferred] = [*heard.of(Noted), *heard.of(Refused), *heard.of(Deferred)]
        codes.note(session, self.trunk_id, [(e.code, e.reason) for e in errors if e.code], now)
        if heard.of(Received):
            arrivals.keep(session, self._config, self.trunk_id, heard.of(Received), now, self._doubtful)
        for stopped in heard.of(Stopped):
            trunks.stop(session, self.trunk_id, stopped.reason)

    def _claim(
        self, session: Session, room: float, now: float, places: Sequence[outbox.Source], fresh: bool = True
    ) -> list[outbox.Claimed]:
        cap = None
        if self._limited:
            next_trunks = outbox.NextTrunks(self._near.others, self._near.routes)
            cap = outbox.Cap(usage.left(session, self._trunk, now), next_trunks)
        claimed = outbox.claim(
            session,
            self.trunk_id,
            self._identity.daemon_id,
            places,
            room=room,
            better=self._near.better,
            routes=self._near.routes or {},
            now=now,
            only=self._only,
            fresh=fresh,
            cap=cap,
        )
        if self._limited and claimed:
            usage.spend(session, self.trunk_id, sum(message.segments for message in claimed), now)
        return claimed

    def _settle(self, heard: Heard) -> None:
        """Keep our own account of what was recorded."""
        owed = self._held.owed
        more = sent = 0
        for accepted in heard.of(Accepted):
            segments = len(accepted.remote_ids)
            # The trunk's alphabet may have made more of it than were counted when it was queued.
            more += max(0, segments - owed.pop(accepted.message_id, segments))
            sent += segments or 1
            self.awaiting_receipts += segments if self._asks_receipts else 0
        if sent:
            self._pace.spend(more)
            self._sent += sent
            self.last_accepted = time.monotonic()
        others: list[Refused | Deferred | InDoubt] = [*heard.of(Refused), *heard.of(Deferred), *heard.of(InDoubt)]
        for event in others:
            owed.pop(event.message_id, None)
        self._held.shorten()
        self.awaiting_receipts -= sum(receipt.delivered is not None for receipt in heard.of(Receipt))
        for warned in heard.of(Warned):
            log.warning("trunk %s: %s", self.name, warned.reason)
        for stopped in heard.of(Stopped):
            log.error("trunk %s has stopped: %s", self.name, stopped.reason)
            self._stopping = True

    def _submissions(self, messages: Sequence[outbox.Claimed]) -> list[Submission]:
        assert self._plan is not None
        without, own = not self._trunk.append_country_code, self._trunk.sender_id
        submissions = []
        for message_id, number, text, sender_id, segments, _, _ in messages:
            plain = digits(number)
            local = national(self._plan, number) if without else plain
            submissions.append(Submission(message_id, local, text, sender_id or own, local != plain, segments))
        return submissions

    # -- the neighbours --------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """See who else may take messages, and let the others see how this link is."""
        now = time.monotonic()
        told = (self._driver.link, self._driver.why)
        if told != self._told or now - self._reported >= REPORT:
            self._report(told, now)
        if now - self._refreshed >= REFRESH:
            self._refreshed = now
            with self._database.read() as session:
                self._plan = numbering_plan.find(session)  # without one nothing is sent; the link stays
                if self._trunk.pace and self._only is None:
                    self._pace.share(
                        daemons.sharers(session, self.trunk_id, time.time(), self._config.heartbeat_seconds)
                    )
                if self._limited:
                    self._see_cap(session)
                if self._asks_neighbours:
                    self._near = neighbours(session, self._trunk, self._config.heartbeat_seconds)

    def _see_cap(self, session: Session) -> None:
        why = usage.reached(session, [self._trunk], time.time()).get(self.trunk_id, "")
        if why != self._at_cap:
            log.warning("trunk %s: %s", self.name, why or "it is below its cap again")
        self._at_cap = why

    def _report(self, told: tuple[Link, str], now: float) -> None:
        if told != self._told:
            self._told_since = time.time()
            log.info("trunk %s is %s%s", self.name, told[0], f": {told[1]}" if told[1] else "")
        rate = self._sent / (now - self._reported) if self._reported else 0.0
        report = partial(
            daemons.report_link,
            daemon_id=self._identity.daemon_id,
            trunk_id=self.trunk_id,
            link=told[0],
            why=told[1],
            since=self._told_since,
            rate=rate,
            in_flight=len(self._held.owed),
        )
        self._database.transact(report)
        self._told, self._reported, self._sent = told, now, 0

    def _record_last(self) -> None:
        """What the driver said when its link ended must not be lost: try for as long as a stop may take."""
        deadline = time.monotonic() + self._config.stop_seconds
        while True:
            try:
                with self._transaction, self._failing():
                    self._held.take_given()
                    back = self._held.give_back()
                    self._transact(partial(self._record_and_claim, back=back, room=0.0))
                    self._held.drop(all_of_them=self._store_failed)
                self._settle(self._heard)
                self._heard = Heard()
                if self._journal and not self._held.owed:
                    self._journal.end()
                return
            except DatabaseError as error:
                if time.monotonic() > deadline:
                    log.error("trunk %s: %d answers could not be recorded: %s", self.name, len(self._held.owed), error)
                    return
                time.sleep(0.2)
