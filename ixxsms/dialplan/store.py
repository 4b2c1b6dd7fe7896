"""The database as calls use it: what waits together is written in one transaction, and read in one query.

Knows asyncio and transactions, and that messages may be claimed in the one that queues them. Must never know what the
work is: it may be done twice, the first time rolled back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from ixxsms import numbering_plan
from ixxsms.at_once import Claiming
from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.models import Message
from ixxsms.numbering import Plan
from ixxsms.states import OPEN, MessageState

T = TypeVar("T")

#: What a call wants of the database: it gets the session, the numbering plan and the time.
Work = Callable[[Session, Plan, float], T]
#: The same for several calls at once: it gets what each of them has, too, and gives a result for each.
Batch = Callable[[Session, Plan, float, Sequence[Any]], Sequence[Any]]

#: Seconds that a call waits for a transaction, for the caller hears silence meanwhile. An import may hold the database
#: longer. An AGI script must be willing to wait longer for us (`DONE`), or it would have to guess.
BUSY = 10.0

_BUSY_SENTENCE = "The database is busy; what was asked for may still be done, and an SMS still be queued."

#: Seconds between two looks at the messages that calls wait for. Of those that this daemon sends itself, nearly all,
#: the senders tell at once.
LOOK = 0.03

#: After a transaction of so many calls the next one waits as long as that one took, but never longer than so many
#: seconds: under load the calls wait for each other anyway, and one more in a transaction costs little.
MANY, GATHER_MOST = 4, 0.01

#: Seconds for which a numbering plan that was read is good.
PLAN_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of a message: its state, and why."""

    state: str
    reason: str


@dataclass(frozen=True)
class _Job:
    batch: Batch
    item: Any
    wake: bool


def _each(session: Session, plan: Plan, now: float, works: Sequence[Work[Any]]) -> list[Any]:
    return [work(session, plan, now) for work in works]


def _all_of(session: Session, plan: Plan, jobs: Sequence[_Job]) -> list[Any]:
    """The results of the jobs, in their order; those of one kind are done together."""
    now = time.time()
    results: dict[int, Any] = {}
    for batch in {job.batch: None for job in jobs}:
        mine = [at for at, job in enumerate(jobs) if job.batch == batch]
        results |= dict(zip(mine, batch(session, plan, now, [jobs[at].item for at in mine]), strict=True))
    return [results[at] for at in range(len(jobs))]


@dataclass
class _Waiter:
    gone: Callable[[], bool]
    future: asyncio.Future[Outcome | None]


class Store:
    """One for each event loop. `wake`: called when somebody waits for what was written and no sender has it yet."""

    def __init__(self, database: Database, wake: Callable[[], None], claiming: Claiming) -> None:
        self._database, self._wake, self._claiming = database, wake, claiming
        # Reading has a thread of its own: a writer may wait long for another program's transaction.
        self._writer, self._reader = ThreadPoolExecutor(1, "edge writes"), ThreadPoolExecutor(1, "edge reads")
        self._pending: list[tuple[_Job, asyncio.Future[Any]]] = []
        self._waiting: dict[int, _Waiter] = {}
        # Messages that senders have before their calls know of them, and what is known of these already.
        self._claimed: frozenset[int] = frozenset()
        self._early: dict[int, Outcome | None] = {}
        self._plan: tuple[Plan, float] | None = None
        self._writing = self._ending = False
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def write(self, work: Work[T], *, wake: bool = False) -> T:
        """Do the work in a transaction, together with that of other calls. Raises what it raises, and DatabaseError.

        Where it takes longer than a call may wait, that is raised too, and the work is done all the same.
        `wake`: somebody waits for what the senders make of it.
        """
        result: T = await self._write(_Job(_each, work, wake))
        return result

    async def queue(self, batch: Batch, item: Any, *, wake: bool) -> Any:
        """As `write`, for what queues messages, where the work of several calls costs little more than that of one."""
        return await self._write(_Job(batch, item, wake))

    async def _write(self, job: _Job) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending.append((job, future))
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self._begin)  # with all that comes in this turn of the loop
        try:
            return await asyncio.wait_for(future, BUSY)
        except TimeoutError:
            raise DatabaseError(_BUSY_SENTENCE) from None

    async def outcome(self, message_id: int, seconds: float, gone: Callable[[], bool]) -> Outcome | None:
        """Wait until the message is settled; None where `seconds` are over or nobody waits for it any more."""
        if message_id in self._early:
            return self._early.pop(message_id)
        if self._ending:
            return None
        future: asyncio.Future[Outcome | None] = self._loop.create_future()
        self._waiting[message_id] = _Waiter(gone, future)
        if self._watching is None or self._watching.done():
            self._watching = self._loop.create_task(self._watch())
        try:
            return await asyncio.wait_for(future, seconds)  # not only between two looks: one may take long
        except TimeoutError:
            self._waiting.pop(message_id, None)
            return None

    def accepted(self, message_ids: Sequence[int]) -> None:
        """An SMSC has taken these messages, though it may not be recorded yet. From any thread."""
        claimed = self._claimed
        mine = [message_id for message_id in message_ids if message_id in self._waiting or message_id in claimed]
        if mine:
            self._loop.call_soon_threadsafe(self._answer, dict.fromkeys(mine, Outcome(MessageState.ACCEPTED, "")))

    def _answer(self, outcomes: Mapping[int, Outcome | None]) -> None:
        for message_id, outcome in outcomes.items():
            waiter = self._waiting.pop(message_id, None)
            if waiter and not waiter.future.done():
                waiter.future.set_result(outcome)
            if not waiter and message_id in self._claimed:
                self._early[message_id] = outcome

    def give_up(self) -> None:
        """Nobody waits for an outcome any more: the daemon ends, and what is queued goes out after that."""
        self._ending = True
        self._answer(dict.fromkeys(list(self._waiting)))

    def close(self) -> None:
        for _, future in self._pending:
            future.cancel()
        self._pending = []
        if self._watching:
            self._watching.cancel()
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    # -- writing ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """While one transaction is under way the next ones' work gathers."""
        jobs, self._pending = self._pending, []
        self._writing = bool(jobs)
        if jobs:
            self._writer.submit(self._transaction, jobs)

    def _transaction(self, jobs: Sequence[tuple[_Job, asyncio.Future[Any]]]) -> None:
        began = time.monotonic()
        results = self._together([job for job, _ in jobs])
        took = time.monotonic() - began
        with suppress(RuntimeError):  # the loop has ended, and with it all who would hear of it
            self._loop.call_soon_threadsafe(self._written, jobs, results, took)

    def _written(self, jobs: Sequence[tuple[_Job, asyncio.Future[Any]]], results: Sequence[Any], took: float) -> None:
        self._early = {message_id: self._early[message_id] for message_id in self._claimed & self._early.keys()}
        for (_, future), result in zip(jobs, results, strict=True):
            if future.done():  # its call was given up
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        # Both behind the calls whose results were just set: they must be waiting before a sender can be done.
        if sum(job.wake for job, _ in jobs) > len(self._claimed):
            self._loop.call_soon(self._wake)
        if len(jobs) >= MANY:
            self._loop.call_later(min(GATHER_MOST, took), self._begin)
        else:
            self._loop.call_soon(self._begin)

    def _together(self, jobs: Sequence[_Job]) -> list[Any]:
        """The results; where a job raises, each has a transaction of its own.

        Not where the commit does: it may have reached the database, and what is in it must not be asked for twice.
        """
        committing = False

        def work(session: Session) -> list[Any]:
            nonlocal committing
            committing = False
            done = _all_of(session, self._plan_of(session), jobs)
            session.flush()
            # What nobody waits for its sender claims itself, soon and much at a time: that is cheaper.
            self._claimed = frozenset(claim(session)) if any(job.wake for job in jobs) else frozenset()
            committing = True
            return done

        try:
            with self._claiming() as claim:
                return self._database.transact(work)
        except Exception as error:
            if len(jobs) == 1 or committing:
                return [error] * len(jobs)
        results: list[Any] = []
        for job in jobs:
            broken = [result for result in results if isinstance(result, DatabaseError)]
            # One job may be to blame for its error; of two it is the database.
            results += [broken[-1]] if len(broken) >= 2 else self._together([job])
        return results

    def _plan_of(self, session: Session) -> Plan:
        """The numbering plan, read again now and then: nearly every call would read the same."""
        now = time.monotonic()
        if self._plan is None or now >= self._plan[1]:
            self._plan = numbering_plan.get(session), now + PLAN_SECONDS
        return self._plan[0]

    # -- waiting for outcomes --------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """One query for all that wait, as long as somebody does."""
        while self._waiting:
            await asyncio.sleep(LOOK)
            try:
                found = await self._loop.run_in_executor(self._reader, self._settled, list(self._waiting))
            except DatabaseError:
                found = {}
            given_up = {i: None for i, waiter in self._waiting.items() if waiter.gone()}
            self._answer({**given_up, **found})

    def _settled(self, ids: list[int]) -> dict[int, Outcome]:
        these = select(Message.id, Message.state, Message.reason).where(Message.id.in_(ids))
        with self._database.read() as session:
            return {row.id: Outcome(row.state, row.reason) for row in session.execute(these) if row.state not in OPEN}
