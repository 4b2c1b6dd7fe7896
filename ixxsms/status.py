"""What is going on: the daemons alive, every trunk's link, the queue, the running campaigns. It only reads."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ixxsms import campaigns, daemons, trunks, usage
from ixxsms.bulk import read_by_index
from ixxsms.campaigns import CampaignView
from ixxsms.drivers.base import Link
from ixxsms.models import Daemon, Message, Trunk
from ixxsms.states import CampaignState, MessageState

__all__ = ["snapshot", "trunk_statuses"]

#: The link of every trunk while no daemon is alive.
NO_DAEMON = "no daemon"
#: That of a trunk whose cap is reached, however its link is.
CAPPED = "capped"

#: A daemon that lives is late when its last sign of life is older than so many heartbeats,
_LATE_HEARTBEATS = 2
#: and so many seconds: with short heartbeats it may only have waited for its turn at an SQLite database.
_LATE = 10.0


@dataclass(frozen=True)
class DaemonStatus:
    """`why`: what is wrong with the daemon, which cannot write to its database for example; else "".

    `ami_link`: up, down, or "" where it does not connect to Asterisk; `ami_why`: what is wrong with it.
    """

    id: int
    host: str
    pid: int
    started_at: float
    heartbeat_at: float
    why: str
    ami_link: str
    ami_why: str


@dataclass(frozen=True)
class TrunkStatus:
    """`link`: up, starting, down, stopped, disabled, capped, or "no daemon". `rate`: segments per second now."""

    name: str
    kind: str
    priority: int
    link: str
    why: str
    since: float | None
    rate: float
    in_flight: int


@dataclass(frozen=True)
class Status:
    daemons: list[DaemonStatus]
    trunks: list[TrunkStatus]
    #: Messages that wait: all of them, and those without a campaign.
    queued: int
    outgoing_queue: int
    in_doubt: int
    campaigns: list[CampaignView]


def snapshot(session: Session, now: float, heartbeat_seconds: float) -> Status:
    """The state of everything, now."""
    read_by_index(session)
    living = daemons.alive(session, now, heartbeat_seconds)
    running = campaigns.all_campaigns(session, CampaignState.RUNNING)
    paused = campaigns.all_campaigns(session, CampaignState.PAUSED)
    alone = _count(session, Message.campaign_id.is_(None), MessageState.QUEUED)
    return Status(
        daemons=[_daemon_status(daemon, now - daemon.heartbeat_at, heartbeat_seconds) for daemon in living],
        trunks=_trunk_statuses(session, living, now),
        queued=alone + sum(view.states[MessageState.QUEUED] for view in running + paused),
        outgoing_queue=alone,
        in_doubt=_count(session, Message.doubt_number.is_not(None), MessageState.IN_DOUBT),
        campaigns=running,
    )


def _daemon_status(daemon: Daemon, age: float, heartbeat_seconds: float) -> DaemonStatus:
    late = age > max(_LATE, _LATE_HEARTBEATS * heartbeat_seconds)
    return DaemonStatus(
        id=daemon.id,
        host=daemon.host,
        pid=daemon.pid,
        started_at=daemon.started_at,
        heartbeat_at=daemon.heartbeat_at,
        why=f"its last sign of life is {age:.0f} s old; see its log" if late else "",
        ami_link=daemon.ami_link,
        ami_why=daemon.ami_why,
    )


def trunk_statuses(session: Session, now: float, heartbeat_seconds: float) -> list[TrunkStatus]:
    """The state of every trunk, the most preferred first."""
    return _trunk_statuses(session, daemons.alive(session, now, heartbeat_seconds), now)


def _trunk_statuses(session: Session, living: list[Daemon], now: float) -> list[TrunkStatus]:
    views = daemons.links(session, [daemon.id for daemon in living])
    known = trunks.all_trunks(session)
    capped = usage.reached(session, known, now)
    return [
        _trunk_status(trunk, [v for v in views if v.trunk_id == trunk.id], bool(living), capped.get(trunk.id, ""))
        for trunk in known
    ]


def _count(session: Session, condition: ColumnElement[bool], state: MessageState) -> int:
    """`condition`: what an index begins with, for none begins with the state."""
    return session.scalar(select(func.count()).where(condition, Message.state == str(state))) or 0


def _trunk_status(trunk: Trunk, views: list[daemons.LinkView], any_daemon: bool, at_cap: str) -> TrunkStatus:
    """The best link that any daemon has; why it is not up, where none is."""
    order = [Link.UP, Link.STARTING, Link.DOWN, Link.STOPPED]
    best = min(views, key=lambda view: order.index(view.link), default=None)
    if not trunk.active:
        link, why = "disabled", ""
    elif trunk.stopped_reason:
        link, why = str(Link.STOPPED), trunk.stopped_reason
    elif at_cap:
        link, why = CAPPED, at_cap
    elif best is None:
        link, why = (str(Link.STARTING), "") if any_daemon else (NO_DAEMON, "ixxmassivesms is not running")
    else:
        link, why = str(best.link), best.why
    return TrunkStatus(
        name=trunk.name,
        kind=trunk.kind,
        priority=trunk.priority,
        link=link,
        why=why,
        since=best.since if best else None,
        rate=sum(view.rate for view in views),
        in_flight=sum(view.in_flight for view in views),
    )
