"""How many messages of a campaign are in each state.

To count a million takes a second on a slow server, so a daemon counts the large campaigns now and then, and whoever
looks reads what it found. The small ones are counted for whoever looks. Nothing is counted along while messages are
sent: a number in a row that every sender changes would make them wait for one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.orm import Session

from ixxsms.bulk import insert_and_lock
from ixxsms.models import Campaign, Message, Tally
from ixxsms.outbox.steps import words
from ixxsms.states import OPEN, CampaignState, MessageState

#: A campaign with fewer messages is counted for whoever looks, in a few milliseconds.
LARGE = 10_000

_QUEUE = 0  #: the outgoing queue, where campaigns have their ids

# Seconds between two counts: at least this, and so many times what one takes; at most these, of what sends and of
# what does not; and how long ago the last change may be of what is counted before the daemon ends.
_OFTEN, _SHARE = 2.0, 20
_MOVING, _RESTING = 60.0, 24 * 3600.0
_STILL_MOVING = 3600.0


class Counted(NamedTuple):
    """`states`: every one is named. `segments_to_send`: of the messages that are queued or submitted. `counted_at`:
    None where it was just now."""

    states: dict[str, int]
    segments_to_send: int
    counted_at: float | None = None

    @property
    def total(self) -> int:
        return sum(self.states.values())


def count(session: Session, campaign_id: int | None) -> Counted:
    """Count the messages of a campaign (None: of the outgoing queue)."""
    mine = Message.campaign_id.is_(None) if campaign_id is None else Message.campaign_id == campaign_id
    found = session.execute(
        select(Message.state, func.count(), func.sum(Message.segments)).where(mine).group_by(Message.state)
    ).all()
    segments = sum(int(segments) for state, _, segments in found if state in words(OPEN))
    return Counted(_named({state: number for state, number, _ in found}), segments)


def counts(session: Session, campaign_id: int | None) -> dict[str, int]:
    """How many messages of a campaign (None: of the outgoing queue) are in each state, now; every state is named."""
    return count(session, campaign_id).states


def counted(session: Session, campaign_ids: Iterable[int | None]) -> dict[int | None, Counted]:
    """What is known of each of these campaigns: as a daemon has counted it, otherwise counted now."""
    wanted = {_QUEUE if campaign_id is None else campaign_id: campaign_id for campaign_id in campaign_ids}
    kept = session.scalars(select(Tally).where(Tally.campaign_id.in_(wanted)))
    found = {wanted[t.campaign_id]: Counted(_named(t.states), t.segments_to_send, t.counted_at) for t in kept}
    return {each: found[each] if each in found else count(session, each) for each in wanted.values()}


def due(session: Session, took: Mapping[int | None, float], now: float, *, ending: bool = False) -> list[int | None]:
    """The large campaigns that a daemon is to count now. `took`: how long that took the last time, in seconds.

    Where nothing changes any more, less and less often. `ending`: nobody will count for a while, so this is the time.
    """
    large = session.execute(
        select(Campaign.id, Campaign.state, Tally.counted_at, Tally.changed_at)
        .outerjoin(Tally, Tally.campaign_id == Campaign.id)
        .where(Campaign.total >= LARGE)
    ).all()
    queue = session.execute(select(Tally.counted_at, Tally.changed_at).where(Tally.campaign_id == _QUEUE)).one_or_none()
    found: list[int | None] = [
        campaign_id
        for campaign_id, state, counted_at, changed_at in large
        if _is_due(state == CampaignState.RUNNING, took.get(campaign_id, 0.0), counted_at, changed_at, now, ending)
    ]
    if queue and _is_due(True, took.get(None, 0.0), queue.counted_at, queue.changed_at, now, ending):
        found.append(None)
    return found


def _is_due(
    moving: bool, took: float, counted_at: float | None, changed_at: float | None, now: float, ending: bool
) -> bool:
    if counted_at is None or changed_at is None:
        return True
    quiet = now - changed_at
    if ending:
        return moving or quiet < _STILL_MOVING
    wait = max(_OFTEN, _SHARE * took, min(quiet / 10, _MOVING if moving else _RESTING))
    return not 0 <= now - counted_at < wait  # a clock may have been set back


def queue_is_large(session: Session) -> bool:
    """Whether a daemon is to count the outgoing queue."""
    mine = select(Message.id).where(Message.campaign_id.is_(None))
    return session.scalar(mine.offset(LARGE - 1).limit(1)) is not None


def keep(session: Session, campaign_id: int | None, found: Counted, began: float) -> None:
    """Keep what was counted for those who look, if it is much. `began`: when the counting did, seconds since 1970."""
    key = campaign_id or _QUEUE
    if found.total < LARGE:
        forget(session, [campaign_id])  # SQLite gives the id of a deleted campaign again
        return
    row = {"campaign_id": key, "states": {}, "segments_to_send": 0, "counted_at": 0.0, "changed_at": began}
    insert_and_lock(session, cast(Table, Tally.__table__), row)
    before = session.scalar(select(Tally.states).where(Tally.campaign_id == key))
    new = {"states": found.states, "segments_to_send": found.segments_to_send, "counted_at": began}
    if before != found.states:
        new["changed_at"] = began
    session.execute(
        update(Tally).where(Tally.campaign_id == key).values(new), execution_options={"synchronize_session": False}
    )


def forget(session: Session, campaign_ids: Iterable[int | None]) -> None:
    """What was counted is not true any more."""
    keys = [campaign_id or _QUEUE for campaign_id in campaign_ids]
    session.execute(delete(Tally).where(Tally.campaign_id.in_(keys)), execution_options={"synchronize_session": False})


def _named(states: dict[str, int]) -> dict[str, int]:
    return {str(state): 0 for state in MessageState} | states
