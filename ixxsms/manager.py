"""Asterisk's manager interface in the daemon: what it says goes to the hooks, what we have to say goes to it.

Several daemons may be connected to one Asterisk, and each hears every event. The one that acts is the living one of
the lowest id whose link is up; the others stay connected and take over when its row says that it is down or dead. A
daemon whose link comes up hears nothing before its row says so, and tells nothing for a moment after: the one that
stood in for it has seen the row by then, so no event is acted on twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from ixxsms import daemons, hooks, numbering_plan
from ixxsms.asterisk import happenings
from ixxsms.asterisk.ami import Ami, Headers, Lost
from ixxsms.asterisk.happenings import Abandoned, Asked, Happening, HungUp
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import DatabaseError, NotFound
from ixxsms.models import Daemon
from ixxsms.numbering import Plan
from ixxsms.requests import Status
from ixxsms.states import MessageState
from ixxsms.telling import Refused, Teller

log = logging.getLogger(__name__)

#: Seconds between two looks for something to tell, between two at our own row, and after a refusal of Asterisk or an
#: error.
LOOK, REPORT, AGAIN = 0.2, 1.0, 10.0

#: Seconds after the link came up in which nothing is told: other listeners, too, come back after a restart.
SETTLE = 1.0

#: Seconds before the database is asked again when it could not be used.
DATABASE_AGAIN = 1.0

#: Events that wait to be acted on; a database that is away must not fill the memory.
MOST_EVENTS, BATCH = 10_000, 100

_T = TypeVar("_T")


async def serve(database: Database, config: Config, daemon_id: Callable[[], int], wake: Callable[[], None]) -> None:
    """Serve the manager interface until cancelled. `daemon_id`: which daemon this is now; `wake`: one is queued."""
    await _Switchboard(database, config, daemon_id, wake).run()


def report_link(session: Session, daemon_id: int, link: str, why: str) -> bool:
    """Write down how a daemon stands with Asterisk. False: the daemon is not entered."""
    row = update(Daemon).where(Daemon.id == daemon_id).values(ami_link=link, ami_why=why[:255])
    return bool(session.execute(row).rowcount)  # type: ignore[attr-defined]


def is_chief(session: Session, daemon_id: int, now: float, heartbeat_seconds: float) -> bool:
    """Whether this daemon, whose link is up, is the one that acts."""
    for daemon in daemons.alive(session, now, heartbeat_seconds):
        if daemon.id == daemon_id:
            return True
        if daemon.ami_link == "up":
            return False
    return False


class _Switchboard:
    def __init__(
        self, database: Database, config: Config, daemon_id: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._database, self._config, self._daemon_id, self._wake = database, config, daemon_id, wake
        self._changed = asyncio.Event()
        #: Our link is up, and the row of this daemon says so.
        self._listens = False
        self._up_since = 0.0
        #: Why Asterisk lets us tell nothing, and since when.
        self._refusal, self._refused_at = "", 0.0
        self._events: asyncio.Queue[Happening | Asked] = asyncio.Queue(MOST_EVENTS)
        self._abandoned = Abandoned()
        self._ami = Ami(
            config.ami_host,
            config.ami_port,
            config.ami_user,
            config.ami_secret,
            on_event=self._heard,
            on_change=self._link_changed,
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._teller = Teller(self._config, self._ami.act, self._store, group.create_task, self._wake)
            group.create_task(self._ami.run())
            group.create_task(self._report())
            group.create_task(self._hear())
            group.create_task(self._tell())

    async def _store(self, verb: Callable[..., _T], *args: Any, read: bool = False) -> _T:
        """Run a verb in a transaction of its own, in another thread; a database that is away is waited for."""

        def transaction() -> _T:
            if not read:
                return self._database.transact(lambda session: verb(session, *args))
            with self._database.read() as session:
                return verb(session, *args)

        while True:
            try:
                return await asyncio.to_thread(transaction)
            except DatabaseError as error:
                log.error("%s", error)
                await asyncio.sleep(DATABASE_AGAIN)

    # -- the link --------------------------------------------------------------------------------------------------

    def _link_changed(self) -> None:
        self._listens = False
        self._refusal = ""  # an Asterisk that shuts down refuses everything; the one that comes up does not
        self._changed.set()

    async def _report(self) -> None:
        """Keep our row in the table of daemons true; it may be another row after we were taken for dead."""
        told: tuple[int, str, str] | None = None
        while True:
            self._changed.clear()
            now = (self._daemon_id(), "up" if self._ami.up else "down", self._ami.why or self._refusal)
            if now != told:
                told = now if await self._store(report_link, *now) else None
            if told == now and self._ami.up and not self._changed.is_set() and not self._listens:
                self._listens, self._up_since = True, time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), REPORT)

    # -- in --------------------------------------------------------------------------------------------------------

    def _heard(self, headers: Headers) -> None:
        if not self._listens:
            return
        found = happenings.read(headers)
        if isinstance(found, HungUp):
            found = self._abandoned.hung_up(found.uniqueid, time.monotonic())
        elif isinstance(found, Happening) and found.event == happenings.QUEUE_ABANDON:
            self._abandoned.left(found, time.monotonic())
            return
        if found is not None:
            try:
                self._events.put_nowait(found)
            except asyncio.QueueFull:
                log.error("too many events of Asterisk wait; one is lost: %s", found)

    async def _hear(self) -> None:
        while True:
            batch = [await self._events.get()]
            while not self._events.empty() and len(batch) < BATCH:
                batch.append(self._events.get_nowait())
            prepared = await self._store(self._prepare, read=True)
            if prepared is None:
                continue
            plan, wanted = prepared
            for each in batch:
                try:
                    if isinstance(each, Asked):
                        await self._send(plan, each)
                    elif each.event in wanted and await self._store(hooks.act, self._config, plan, each, time.time()):
                        self._wake()
                except (Lost, Refused) as error:
                    log.warning("%s", error)
                except Exception:  # one event that nobody thought of must not end all
                    log.exception("an event of Asterisk could not be acted on")

    def _prepare(self, session: Session) -> tuple[Plan, set[str]] | None:
        """What a batch of events needs to be acted on; None where it is not ours to act."""
        if not is_chief(session, self._daemon_id(), time.time(), self._config.heartbeat_seconds):
            return None
        try:
            return numbering_plan.get(session), hooks.wanted(session)
        except NotFound as error:
            log.error("%s", error)
            return None

    async def _send(self, plan: Plan, asked: Asked) -> None:
        reply = await self._store(hooks.send, self._config, plan, asked, time.time())
        if reply.status is Status.REFUSED:
            await self._teller.status(asked.id, asked.number, MessageState.REFUSED, reply.error)
        else:
            self._wake()

    # -- out -------------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                while self._may_tell() and await self._store(self._is_chief, read=True):
                    more = await self._teller.tell()
                    self._refused("")
                    if not more:
                        break
            except Lost:
                pass  # the link says why
            except Refused as error:
                self._refused(str(error))
            except Exception:  # one SMS that nobody thought of must not end all, nor fill the log
                log.exception("Asterisk could not be told")
                await asyncio.sleep(AGAIN)

    def _may_tell(self) -> bool:
        now = time.monotonic()
        refused = self._refusal and now - self._refused_at < AGAIN
        return self._listens and not refused and now - self._up_since >= SETTLE

    def _is_chief(self, session: Session) -> bool:
        return is_chief(session, self._daemon_id(), time.time(), self._config.heartbeat_seconds)

    def _refused(self, why: str) -> None:
        self._refused_at = time.monotonic()
        if why != self._refusal:
            self._refusal = why
            self._changed.set()
            if why:
                log.error("%s", why)
