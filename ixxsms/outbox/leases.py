"""Leases: how a sender takes the next messages of a campaign, by a range of ids, one row for a whole batch.

A message that a campaign was created with is *fresh* until something happens to it alone. A lease covers the fresh
messages from one id to another: they are submitted, by the daemon and through the trunk that the lease names, although
each one's row still says queued. Its answer takes a message from there straight to accepted. Whatever else is to happen
to some of them, `spell_out` first writes into their rows what the lease says, and ends it; anybody may do so at any
time.

All fresh messages of a campaign were committed at once, when it was created, and are leased in the order of their ids.
So what of them has been leased is one id, `campaigns.leased_to`, and who has its lock may lease. They are read in the
order of the table itself, which no index is as fast as. A fresh message has no trunk of its own and no route.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.orm import Session

from ixxsms.bulk import be_in_the_way, update_all
from ixxsms.hours import in_hours, minute_of_day
from ixxsms.models import Campaign, Daemon, Lease, Message
from ixxsms.outbox.barred import barred
from ixxsms.outbox.steps import FRESH, QUEUED, TABLE, chunks
from ixxsms.states import CampaignState, MessageState

#: SQL of our own: that a row is of a fresh message that is queued, or leased.
IS_FRESH = f"messages.state = '{MessageState.QUEUED}' AND messages.not_before = {FRESH!r}"

#: What becomes of the row of each message that is claimed.
CLAIMED = (
    ("attempts", "messages.attempts + 1"),
    ("not_before", f"CASE WHEN messages.not_before = {FRESH!r} THEN 0 ELSE messages.not_before END"),
    ("state", f"'{MessageState.SUBMITTED}'"),
)

_CAMPAIGNS = cast(Table, Campaign.__table__)
_M, _C = TABLE.c, _CAMPAIGNS.c

#: What of a campaign counts for a claim.
SOURCE = (_C.id, _C.state, _C.text, _C.sender_id, _C.start_at, _C.hours_from, _C.hours_to)

_LEASES = cast(Table, Lease.__table__)
_fresh: ColumnElement[bool] = _M.not_before == literal_column(repr(FRESH))

_CURSOR = select(_C.leased_to, _C.fresh_to).where(_C.id == bindparam("campaign"))
_LOCKED = _CURSOR.add_columns(*SOURCE).with_for_update(key_share=True)
_ADVANCE = update(Campaign).where(_C.id == bindparam("campaign")).values(leased_to=bindparam("last"))
# Sums: columns that no database looks for an index by.
_NEXT = (
    select(_M.id, _M.number, _M.text, _M.sender_id, _M.segments, _M.urgency, barred.label("barred"))
    .where(_M.id > bindparam("after"), _M.id <= bindparam("last"))
    .where(_M.campaign_id + 0 == bindparam("campaign"), _M.not_before + 0 == FRESH, QUEUED)
    .order_by(_M.id)
    .limit(bindparam("most"))
)
_BEGIN = insert(_LEASES)
_END = delete(_LEASES).where(
    *(_LEASES.c[name] == bindparam("of_" + name) for name in ("campaign_id", "first_id", "daemon_id"))
)


class Leased(NamedTuple):
    """A lease that was just taken: what `end` needs, and the range that it covers."""

    campaign_id: int
    first_id: int
    last_id: int


def may_send(campaign: Any, now: float) -> bool:
    """Whether a row of `SOURCE` is of a campaign that runs, and whose date and hours have come."""
    hours = in_hours(campaign.hours_from, campaign.hours_to, minute_of_day(now))
    return bool(campaign.state == CampaignState.RUNNING and campaign.start_at <= now and hours)


def prepare_leases(session: Session, campaign_id: int) -> None:
    """A campaign has just got its messages: what of them is fresh can be leased from now on."""
    ends = select(func.min(_M.id) - 1, func.max(_M.id)).where(QUEUED, _M.campaign_id == campaign_id)
    before, last = session.execute(ends).one()
    session.execute(update(Campaign).where(_C.id == campaign_id).values(leased_to=before or 0, fresh_to=last or 0))


def next_fresh(session: Session, campaign_id: int, most: int) -> tuple[Any, Sequence[Any]]:
    """A row of `SOURCE`, None where the campaign is gone, and the next fresh messages of it, in order.

    Until the transaction ends nobody else gets any of it, nor can it be edited.
    """
    connection = session.connection()
    cursor = connection.execute(_LOCKED, {"campaign": campaign_id}).first()
    found = _fresh_after(connection, cursor, campaign_id, most)
    if cursor and not found and cursor.leased_to < cursor.fresh_to:  # nobody need look there again
        connection.execute(_ADVANCE, {"campaign": campaign_id, "last": cursor.fresh_to})
    return cursor, found


def has_fresh(session: Session, campaign_id: int) -> bool:
    """Whether some are left."""
    connection = session.connection()
    cursor = connection.execute(_CURSOR, {"campaign": campaign_id}).first()
    return bool(_fresh_after(connection, cursor, campaign_id, 1))


def _fresh_after(connection: Connection, cursor: Any, campaign_id: int, most: int) -> Sequence[Any]:
    if cursor is None or cursor.leased_to >= cursor.fresh_to:
        return []
    given = {"campaign": campaign_id, "after": cursor.leased_to, "last": cursor.fresh_to, "most": most}
    return connection.execute(_NEXT, given).all()


def advance(session: Session, campaign_id: int, last: int) -> None:
    """The fresh messages of a campaign that `next_fresh` has found in this transaction have gone, up to this id."""
    session.connection().execute(_ADVANCE, {"campaign": campaign_id, "last": last})


def begin(session: Session, leased: Leased, trunk_id: int, daemon_id: int, now: float) -> None:
    """Lease what `next_fresh` has found in this transaction, up to the last id."""
    advance(session, leased.campaign_id, leased.last_id)
    connection = session.connection()
    values = {"daemon_id": daemon_id, "trunk_id": trunk_id, "leased_at": now}
    connection.execute(_BEGIN, {**leased._asdict(), **values})


def end(session: Session, daemon_id: int, leases: Iterable[Leased]) -> None:
    """Everything that these leases of the daemon covered has been recorded."""
    given = [
        {"of_campaign_id": leased.campaign_id, "of_first_id": leased.first_id, "of_daemon_id": daemon_id}
        for leased in leases
    ]
    if given:
        session.connection().execute(_END, given)


def spell_out(session: Session, *conditions: ColumnElement[bool]) -> None:
    """Write into the rows of the messages what those leases say, and end them."""
    for lease in session.execute(select(_LEASES).where(*conditions)).all():
        covered = select(Message.id).where(QUEUED, _fresh, _M.id.between(lease.first_id, lease.last_id))
        ids = session.scalars(covered.where(_M.campaign_id == lease.campaign_id)).all()
        _submit(session, ids, lease.trunk_id, lease.daemon_id, lease.leased_at)
        end(session, lease.daemon_id, [Leased(lease.campaign_id, lease.first_id, lease.last_id)])


def spell_out_of(session: Session, daemon_ids: Collection[int], trunk_id: int | None = None) -> None:
    """Those of daemons, or of their senders of one trunk."""
    of_trunk = [_LEASES.c.trunk_id == trunk_id] if trunk_id is not None else []
    spell_out(session, _LEASES.c.daemon_id.in_(daemon_ids), *of_trunk)


def spell_out_orphans(session: Session) -> None:
    """Those of daemons that are entered no more."""
    spell_out(session, _LEASES.c.daemon_id.not_in(select(Daemon.id)))


def spell_out_some(
    session: Session,
    message_ids: Sequence[int],
    trunk_id: int,
    daemon_id: int,
    since: Mapping[int, float] | None,
    now: float,
) -> None:
    """Of these messages, which this daemon has claimed, those that are leased leave the lease."""
    at = min([since.get(message_id, now) for message_id in message_ids], default=now) if since else now
    _submit(session, message_ids, trunk_id, daemon_id, at)


def hold(session: Session, campaign_ids: Collection[int]) -> None:
    """Until the transaction ends the rows of these campaigns say all, for their leases end and nobody gets new ones."""
    for ids in chunks(sorted(campaign_ids)):
        session.execute(select(_C.id).where(_C.id.in_(ids)).order_by(_C.id).with_for_update(key_share=True)).all()
        be_in_the_way(session, _CAMPAIGNS, ids, "leased_to")
        spell_out(session, _LEASES.c.campaign_id.in_(ids))


def covered_numbers(session: Session, trunk_id: int, numbers: Collection[str]) -> set[str]:
    """Those of the numbers to which a message is leased through the trunk just now."""
    found: set[str] = set()
    for lease in session.execute(select(_LEASES).where(_LEASES.c.trunk_id == trunk_id)).all():
        covered = (QUEUED, _fresh, _M.id.between(lease.first_id, lease.last_id), _M.campaign_id == lease.campaign_id)
        found.update(session.scalars(select(Message.number).where(*covered, Message.number.in_(numbers))))
    return found


def _submit(session: Session, ids: Sequence[int], trunk_id: int, daemon_id: int, since: float) -> None:
    step = {"daemon_id": daemon_id, "via_trunk_id": trunk_id, "submitted_at": since}
    # Guarded: meanwhile its daemon may have recorded the answer.
    update_all(session, TABLE, ids, step, fixed=CLAIMED, guard=IS_FRESH)
