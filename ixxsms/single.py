"""Send one message now and wait for its outcome: through the daemon when one is alive, else by binds of our own."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ixxsms import daemons, outbox, routes, trunks, usage
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.drivers.base import Link
from ixxsms.errors import BadInput, DatabaseError
from ixxsms.models import Message, Trunk
from ixxsms.neighbours import may_send
from ixxsms.numbering import Plan
from ixxsms.sender import Identity, Sender
from ixxsms.states import OPEN, MessageState

#: Seconds between two looks at the message that the daemon has.
_LOOK = 0.02

#: Why a message is not sent that nobody even tries.
NO_TRUNK = "no trunk that it may go through is active"

#: After so many seconds a daemon has entered every trunk that it serves.
_DAEMON_START = 2.0


@dataclass(frozen=True)
class Sent:
    """What became of one message. `state` is a message state; `trunk` the one it went through, or ""."""

    id: int
    number: str
    state: str
    segments: int
    trunk: str = ""
    remote_id: str = ""
    reason: str = ""

    @property
    def accepted(self) -> bool:
        return self.state in (MessageState.ACCEPTED, MessageState.DELIVERED, MessageState.UNDELIVERED)


def send_and_wait(
    database: Database,
    config: Config,
    plan: Plan,
    number: str,
    text: str,
    *,
    trunk: str | None = None,
    sender_id: str = "",
) -> Sent:
    """Send one message. What no trunk takes within the setting send_seconds is cancelled, and nothing stays behind.

    Raises BadInput and NotFound for a bad number, text, sender id or trunk.
    """

    def queue(session: Session) -> tuple[int, Trunk | None, bool]:
        wanted = trunks.get(session, trunk) if trunk else None
        _check_any_active(session, wanted)
        message_id = outbox.enqueue(
            session,
            plan,
            number,
            text,
            now=time.time(),
            max_segments=config.max_segments,
            trunk_id=wanted.id if wanted else None,
            sender_id=sender_id,
            urgency=outbox.NOW,
        ).id
        return message_id, wanted, bool(daemons.alive(session, time.time(), config.heartbeat_seconds))

    message_id, wanted, served = database.transact(queue)
    try:
        (_wait_for_daemon if served else _send_ourselves)(database, config, message_id, wanted)
    except BaseException:
        # Whoever breaks off will send again: what still waits must not go too.
        with suppress(DatabaseError):
            _cancel(database, message_id, "the sending was broken off")
        raise
    return _result(database, message_id)


def _check_any_active(session: Session, wanted: Trunk | None) -> None:
    if wanted is not None and not wanted.active:
        raise BadInput(f'The trunk "{wanted.name}" is disabled.')
    known = trunks.all_trunks(session)
    if not any(trunk.active for trunk in known):
        way = f"enable {shlex.quote(known[0].name)}" if known else "add"
        raise BadInput(f"There is no active trunk; run: ixxsms trunk {way}")


def _wait_for_daemon(database: Database, config: Config, message_id: int, wanted: Trunk | None) -> None:
    begun = time.monotonic()
    while True:
        waited = time.monotonic() - begun
        with database.read() as session:
            state = outbox.get(session, message_id).state
            if state not in OPEN:
                return
            hopeless = _why_none(session, config, message_id, wanted) if waited > _DAEMON_START else ""
        given_up = waited > config.send_seconds
        if state == MessageState.QUEUED and (hopeless or given_up):
            reason = hopeless or f"no trunk took it within {config.send_seconds:g} seconds"
            if _cancel(database, message_id, reason):
                return
        elif given_up and waited > config.send_seconds + config.response_timeout:
            return
        time.sleep(_LOOK)


def _cancel(database: Database, message_id: int, reason: str) -> bool:
    return database.transact(lambda session: outbox.cancel(session, message_id, reason, time.time()))


def _trunks_of(session: Session, message_id: int, wanted: Trunk | None) -> list[Trunk]:
    """The trunks that the message may go through, in their order."""
    if wanted:
        return [wanted]
    route_id = outbox.get(session, message_id).route_id
    return routes.in_turn(session, route_id, message_id) if route_id else trunks.all_trunks(session)


def _why_none(session: Session, config: Config, message_id: int, wanted: Trunk | None) -> str:
    """Why no trunk can take it: each one's reason; empty while one may."""
    living = [daemon.id for daemon in daemons.alive(session, time.time(), config.heartbeat_seconds)]
    views = {view.trunk_id: view for view in daemons.links(session, living)}
    found = _trunks_of(session, message_id, wanted)
    capped = usage.reached(session, found, time.time())
    told = []
    for trunk in found:
        view = views.get(trunk.id)
        if view and view.link in (Link.UP, Link.STARTING) and trunk.id not in capped:
            return ""
        why = capped.get(trunk.id) or (view.why if view else "") or trunk.stopped_reason or "not active"
        told.append(f"{trunk.name}: {why}")
    return "; ".join(told)


def _send_ourselves(database: Database, config: Config, message_id: int, wanted: Trunk | None) -> None:
    """Bind to one trunk after another, in order of priority, until one takes the message or refuses it for good."""

    def enter(session: Session) -> tuple[int, list[Trunk], list[Trunk], dict[int, str]]:
        found = _trunks_of(session, message_id, wanted)
        capped = usage.reached(session, found, time.time())
        host = daemons.this_host()
        here = found if wanted else [trunk for trunk in found if may_send(trunk) and daemons.may_run_on(trunk, host)]
        candidates = [trunk for trunk in here if trunk.id not in capped]
        return daemons.register(session, [], time.time()), here, candidates, capped

    def leave(session: Session) -> None:
        outbox.settle_dead(session, [identity.daemon_id], time.time(), config.resend_in_doubt)
        daemons.forget(session, identity.daemon_id)

    daemon_id, here, candidates, capped = database.transact(enter)
    identity = Identity(daemon_id)
    told = [f"{trunk.name}: {capped[trunk.id]}" for trunk in here if trunk.id in capped]
    try:
        for turn, trunk in enumerate(candidates, 1):
            left = [other.id for other in candidates[turn:]]
            sender = Sender(database, config, trunk, identity, only=message_id, alternatives=left)
            enough = _Enough(database, config, sender, message_id)
            sender.run(until=enough)
            with database.read() as session:
                message = outbox.get(session, message_id)
            if message.state != MessageState.QUEUED:
                break
            told.append(f"{trunk.name}: {enough.why or message.reason or 'it did not take it in time'}")
        _cancel(database, message_id, "; ".join(told) or NO_TRUNK)
    finally:
        database.transact(leave)


class _Enough:
    """Whether a trunk has had its turn: the message is settled or passed on, or the link does not come up."""

    def __init__(self, database: Database, config: Config, sender: Sender, message_id: int) -> None:
        self._database, self._sender, self._message_id = database, sender, message_id
        self._deadline = time.monotonic() + config.send_seconds
        #: Why the link was not up when the turn ended.
        self.why = ""

    def __call__(self) -> bool:
        if self._sender.link in (Link.DOWN, Link.STOPPED) and not self._sender.owed:
            self.why = self._sender.why.rstrip(".")
            return True
        with self._database.read() as session:
            message = outbox.get(session, self._message_id)
        passed_on = message.state == MessageState.QUEUED and bool(message.reason)
        return message.state not in OPEN or passed_on or time.monotonic() > self._deadline


def _result(database: Database, message_id: int) -> Sent:
    with database.read() as session:
        message: Message = outbox.get(session, message_id)
        via = session.get(Trunk, message.via_trunk_id) if message.via_trunk_id else None
        return Sent(
            id=message.id,
            number=message.number,
            state=message.state,
            segments=message.segments,
            trunk=via.name if via else "",
            remote_id=message.remote_id or "",
            reason=message.reason,
        )
