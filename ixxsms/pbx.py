"""What a PBX tool imports: one object whose calls each are one transaction. The faces use nothing else."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from sqlalchemy.orm import Session

from ixxsms import (
    campaigns,
    codes,
    config,
    explain,
    harvest,
    inbox,
    lists,
    numbering,
    numbering_plan,
    optouts,
    outbox,
    receipts,
    routes,
    schema,
    status,
    trunks,
    usage,
)
from ixxsms.asterisk import cdr
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import BadInput, DatabaseError
from ixxsms.models import Message
from ixxsms.numbering import Check, Plan
from ixxsms.single import Sent, send_and_wait

#: Verbs that only read: they take no lock.
_READING = {
    "all_campaigns",
    "all_lists",
    "all_routes",
    "all_trunks",
    "check",
    "counts",
    "doubtful",
    "export_rows",
    "get",
    "latest",
    "members",
    "numbers",
    "rows",
    "show",
    "snapshot",
    "table",
    "unmatched",
}


class Verbs:
    """The verbs of one module, each call in a transaction of its own: `pbx.lists.create("clients")`.

    A verb is called without its session; `plan`, `now` and the settings that it asks for are filled in unless they
    are given. What yields rows keeps its transaction open until it is exhausted or closed.
    """

    def __init__(self, pbx: Pbx, module: ModuleType) -> None:
        self._pbx, self._module = pbx, module

    def __dir__(self) -> list[str]:
        return list(self._module.__all__)

    def __getattr__(self, name: str) -> Any:
        if name not in self._module.__all__:
            raise AttributeError(f"{self._module.__name__} has no verb {name}")
        verb = getattr(self._module, name)
        if not inspect.isfunction(verb):
            return verb  # a constant that verbs take, or a class that they give

        @functools.wraps(verb)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._pbx._call(verb, name in _READING, args, kwargs)

        return call


class Pbx:
    """The SMS side of one PBX. Safe to share between threads; `close()` it, or use it with `with`."""

    def __init__(self, settings: Config) -> None:
        self.config = settings
        self.database = Database(settings.database_url)
        self.lists = Verbs(self, lists)
        self.campaigns = Verbs(self, campaigns)
        self.trunks = Verbs(self, trunks)
        self.codes = Verbs(self, codes)
        self.routes = Verbs(self, routes)
        self.outbox = Verbs(self, outbox)
        self.receipts = Verbs(self, receipts)
        self.inbox = Verbs(self, inbox)
        self.optouts = Verbs(self, optouts)
        self.numbering = Verbs(self, numbering_plan)

    def __enter__(self) -> Pbx:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    # -- numbers ---------------------------------------------------------------------------------------------------

    def check(self, number: str) -> Check:
        """What the numbering plan says of a number: its normal form, whether it is valid, whether it is a mobile."""
        with self.database.read() as session:
            return numbering.check(numbering_plan.get(session), number)

    def explain(self, number: str) -> explain.Explained:
        """Which trunks a message to this number would go through, in which order and why. Raises BadInput."""
        with self.database.read() as session:
            plan = numbering_plan.get(session)
            return explain.explain(session, plan, number, time.time(), self.config.heartbeat_seconds)

    def used(self, trunk: str) -> usage.Used:
        """How many segments a trunk sent today and in this month, if it has a cap. Raises NotFound."""
        with self.database.read() as session:
            return usage.used(session, trunks.get(session, trunk).id, time.time())

    # -- messages --------------------------------------------------------------------------------------------------

    def send(self, number: str, text: str, *, trunk: str | None = None, sender_id: str = "") -> Sent:
        """Send one message now and wait for its outcome, with or without a daemon.

        Returns what became of it; raises BadInput or NotFound where it cannot even be tried.
        """
        with self.database.read() as session:
            plan = numbering_plan.get(session)
        return send_and_wait(self.database, self.config, plan, number, text, trunk=trunk, sender_id=sender_id)

    def enqueue(self, number: str, text: str, *, trunk: str | None = None, sender_id: str = "") -> int:
        """Put one message into the outgoing queue for the daemon; returns its id at once."""

        def queue(session: Session) -> int:
            trunk_id = trunks.get(session, trunk).id if trunk else None
            return outbox.enqueue(
                session,
                numbering_plan.get(session),
                number,
                text,
                now=time.time(),
                max_segments=self.config.max_segments,
                trunk_id=trunk_id,
                sender_id=sender_id,
            ).id

        return self.database.transact(queue)

    def message(self, message_id: int) -> Message:
        """One message with its state. Raises NotFound."""
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def exclude(self, list_name: str, number: str) -> int:
        """Exclude a member: nothing is written to it any more. Returns how many queued messages that held back."""

        def exclude(session: Session) -> int:
            marked = lists.exclude(session, numbering_plan.get(session), list_name, number)
            return outbox.exclude(session, marked.list_id, marked.number, time.time())

        return self.database.transact(exclude)

    # -- Asterisk --------------------------------------------------------------------------------------------------

    def harvest(
        self,
        list_name: str,
        *,
        cdr_url: str = "",
        filters: cdr.Filters | None = None,
        dry_run: bool = False,
        everything: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> harvest.HarvestReport:
        """Take the mobile numbers of the call records, of both directions unless `filters` says, into a list.

        `cdr_url`: instead of the setting's.
        """
        url = cdr_url or self.config.cdr_url
        if not url:
            raise BadInput("No call records are configured; set cdr_url, or give --cdr-url.")
        source = cdr.open_cdr(url, self.config.cdr_table)
        now = time.time()
        with self.database.read() as session:
            found = harvest.look(
                session,
                numbering_plan.get(session),
                list_name,
                source,
                filters or cdr.Filters(direction="both"),
                everything=everything,
                progress=progress,
                overlap=timedelta(hours=self.config.harvest_overlap_hours),
                now=now,
            )
        if dry_run:
            return found.report
        # Only now: the reading may take long, and no daemon should wait for it.
        return self.database.transact(lambda session: harvest.keep(session, found, now=now))

    # -- state -----------------------------------------------------------------------------------------------------

    def status(self) -> status.Status:
        """The daemons alive, every trunk's link, the queue, the running campaigns."""
        with self.database.read() as session:
            return status.snapshot(session, time.time(), self.config.heartbeat_seconds)

    def _call(self, verb: Callable[..., Any], reading: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def work(session: Session) -> Any:
            return verb(session, *self._plan_first(verb, session, args, kwargs), **self._filled(verb, kwargs))

        if not reading and not any(isinstance(given, Iterator) for given in (*args, *kwargs.values())):
            return self.database.transact(work)
        # What was read from an iterator is gone: no second time.
        stack = ExitStack()
        session = stack.enter_context(self.database.read() if reading else self.database.write())
        with stack:
            result = work(session)
            if isinstance(result, Iterator):
                return _streamed(result, stack.pop_all())
            return result

    def _plan_first(
        self, verb: Callable[..., Any], session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, ...]:
        wants_plan = "plan" in inspect.signature(verb).parameters and "plan" not in kwargs
        if wants_plan and not (args and isinstance(args[0], Plan)):
            return (numbering_plan.get(session), *args)
        return args

    def _filled(self, verb: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        known: dict[str, Callable[[], Any]] = {"now": time.time}
        known |= {s.name: functools.partial(getattr, self.config, s.name) for s in config.SETTINGS}
        wanted = inspect.signature(verb).parameters
        return {name: value() for name, value in known.items() if name in wanted} | kwargs


def _streamed(rows: Iterator[Any], stack: ExitStack) -> Iterator[Any]:
    with stack:
        yield from rows


def open_pbx(source: str | Path | None = None) -> Pbx:
    """Open the SMS side of a PBX.

    `source`: a database URL; the path of a configuration file; None: the configuration of this machine. An SQLite
    file that does not exist, and a database without any table, are set up at once where a URL names them; what a
    configuration names is set up by `ixxsms init`. Raises ConfigError and DatabaseError.
    """
    if source is not None and "://" in str(source):
        pbx = Pbx(config.with_database(str(source)))
        if not schema.is_there(pbx.database) or pbx.database.is_empty():
            schema.upgrade(pbx.database)
    else:
        pbx = Pbx(config.load(Path(source) if source else None))
    try:
        schema.check(pbx.database)
    except DatabaseError:
        pbx.close()
        raise
    return pbx
