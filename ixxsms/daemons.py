"""Running daemons and how each stands with each trunk. A daemon shows that it lives by its heartbeat."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from ixxsms.drivers.base import Link
from ixxsms.models import Daemon, Trunk, TrunkLink

#: A daemon that missed this many heartbeats is dead.
MISSED_HEARTBEATS = 6

#: One that runs on this host may be late for so many seconds: an import may hold an SQLite database for a minute.
STALLED = 150.0

#: What this process has entered. Another row with its process id on this host is of one that runs elsewhere under the
#: same name or, in a container that was begun anew, of its predecessor: that the id runs says nothing of it.
_entered: set[int] = set()

#: A link in one of these states may take a message now or in a moment.
_PROMISING = (Link.STARTING, Link.UP)


@dataclass(frozen=True)
class LinkView:
    daemon_id: int
    trunk_id: int
    link: Link
    why: str
    since: float
    rate: float
    in_flight: int


def register(session: Session, trunk_ids: Iterable[int], now: float) -> int:
    """Enter this process as a daemon, with these trunks about to start; returns its id.

    The trunks are entered before any is started, so that a worse trunk that is up sooner leaves the messages to the
    better one that is still binding.
    """
    daemon = Daemon(host=this_host(), pid=os.getpid(), started_at=now, heartbeat_at=now)
    session.add(daemon)
    session.flush()
    _entered.add(daemon.id)
    for trunk_id in trunk_ids:
        report_link(session, daemon.id, trunk_id, Link.STARTING, "", now)
    return daemon.id


def heartbeat(session: Session, daemon_id: int, now: float) -> bool:
    """Show that the daemon lives. False: another one took it for dead and settled its messages."""
    changed = session.execute(update(Daemon).where(Daemon.id == daemon_id).values(heartbeat_at=now))
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def forget(session: Session, daemon_id: int) -> None:
    """The daemon has ended, and everything that it had submitted is settled."""
    session.execute(delete(TrunkLink).where(TrunkLink.daemon_id == daemon_id))
    session.execute(delete(Daemon).where(Daemon.id == daemon_id))


def alive(session: Session, now: float, heartbeat_seconds: float) -> list[Daemon]:
    ended = {daemon.id for daemon in dead(session, now, heartbeat_seconds)}
    return [daemon for daemon in session.scalars(select(Daemon).order_by(Daemon.id)) if daemon.id not in ended]


def is_oldest(session: Session, daemon_id: int, now: float, heartbeat_seconds: float) -> bool:
    """Whether this daemon is the one that does what is to be done once for all of them."""
    return [daemon.id for daemon in alive(session, now, heartbeat_seconds)][:1] == [daemon_id]


def dead(session: Session, now: float, heartbeat_seconds: float) -> list[Daemon]:
    """Daemons whose heartbeat stopped, and those of this host whose process is gone."""
    limit = now - MISSED_HEARTBEATS * heartbeat_seconds
    host = this_host()
    return [
        daemon
        for daemon in session.scalars(select(Daemon))
        if (daemon.heartbeat_at < (min(limit, now - STALLED) if _may_stall(daemon, host) else limit))
        or (daemon.host == host and not _runs(daemon.pid))
    ]


def _may_stall(daemon: Daemon, host: str) -> bool:
    return daemon.host == host and (daemon.pid != os.getpid() or daemon.id in _entered)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def report_link(
    session: Session,
    daemon_id: int,
    trunk_id: int,
    link: Link,
    why: str,
    since: float,
    rate: float = 0.0,
    in_flight: int = 0,
) -> None:
    """Write down how the daemon stands with the trunk now."""
    values = {"link": str(link), "why": why[:255], "since": since, "rate": rate, "in_flight": in_flight}
    key = (TrunkLink.daemon_id == daemon_id) & (TrunkLink.trunk_id == trunk_id)
    if session.scalar(select(func.count()).select_from(TrunkLink).where(key)):
        session.execute(update(TrunkLink).where(key).values(**values))
    else:
        session.execute(insert(TrunkLink).values(daemon_id=daemon_id, trunk_id=trunk_id, **values))


def remove_link(session: Session, daemon_id: int, trunk_id: int) -> None:
    """The daemon no longer serves the trunk."""
    session.execute(delete(TrunkLink).where(TrunkLink.daemon_id == daemon_id, TrunkLink.trunk_id == trunk_id))


def links(session: Session, daemon_ids: Iterable[int]) -> list[LinkView]:
    """How these daemons stand with their trunks."""
    rows = session.scalars(select(TrunkLink).where(TrunkLink.daemon_id.in_(list(daemon_ids))))
    return [
        LinkView(row.daemon_id, row.trunk_id, Link(row.link), row.why, row.since, row.rate, row.in_flight)
        for row in rows
    ]


def sharers(session: Session, trunk_id: int, now: float, heartbeat_seconds: float) -> int:
    """How many living daemons send through a trunk now, or will in a moment: its pace is for all of them together."""
    living = [daemon.id for daemon in alive(session, now, heartbeat_seconds)]
    return sum(view.trunk_id == trunk_id and view.link in _PROMISING for view in links(session, living))


def serving(trunk: Trunk, living: Sequence[Daemon]) -> list[int]:
    """The daemons that are to serve a trunk: those on its hosts, the oldest first, only so many as it allows."""
    able = [daemon.id for daemon in living if may_run_on(trunk, daemon.host)]
    return able[: trunk.most_daemons] if trunk.most_daemons else able


def may_run_on(trunk: Trunk, host: str) -> bool:
    """Whether a daemon of this host may serve the trunk."""
    return not trunk.hosts or host in trunk.hosts.split(",")


def this_host() -> str:
    """The name by which daemons and trunks know this host."""
    return socket.gethostname()[:64]


def promising(views: Iterable[LinkView]) -> frozenset[int]:
    """The trunks that may take a message now or in a moment, through any daemon."""
    return frozenset(view.trunk_id for view in views if view.link in _PROMISING)
