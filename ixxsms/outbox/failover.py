"""Failover after a receipt: what one trunk took and could not deliver goes once more, through the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from ixxsms.models import Campaign, Message, OptOut, Segment
from ixxsms.outbox.outcomes import bound
from ixxsms.outbox.routing import reroute
from ixxsms.outbox.steps import MOST_TRIED, chunks, listed, step_each, tried_by
from ixxsms.outbox.turns import NextTrunks
from ixxsms.states import CampaignState, MessageState

#: So often a message goes on to another trunk because of a receipt: each time it is paid for once more.
MOST_FAILOVERS = 2

_FROM = frozenset({MessageState.ACCEPTED, MessageState.IN_DOUBT})


def fail_over(
    session: Session, trunk_id: int, failed: Mapping[int, str], next_trunks: NextTrunks, now: float
) -> set[int]:
    """Queue these messages again, which this trunk has failed to deliver; `failed`: id -> reason.

    Returns those that go on. The rest stays as it is: bound to a trunk, tried by all, failed over too often, opted
    out, its campaign cancelled, or a part of it delivered.
    """
    going: list[dict[str, Any]] = []
    delivered = select(Segment.message_id).where(Segment.message_id == Message.id, Segment.delivered.is_(True))
    for ids in chunks(sorted(failed)):
        reroute(session, ids)
        rows = session.execute(
            select(Message.id, Message.tried, Message.failovers, Message.route_id, bound())
            .outerjoin(Campaign, Campaign.id == Message.campaign_id)
            .where(
                Message.id.in_(ids),
                Message.via_trunk_id == trunk_id,
                Message.state.in_([str(state) for state in _FROM]),
                Message.failovers < MOST_FAILOVERS,
                Message.number.not_in(select(OptOut.number)),
                or_(Campaign.id.is_(None), Campaign.state != str(CampaignState.CANCELLED)),
                ~delivered.exists(),
            )
            # Its receipt may come twice, through two daemons: the second must see that it goes on already.
            .with_for_update(of=Message)
        )
        for row in rows:
            tried = tried_by(row.tried) | {trunk_id}
            if not row.bound and next_trunks.of(row.route_id) - tried and len(tried) < MOST_TRIED:
                going.append(
                    {"id": row.id, "tried": listed(tried), "failovers": row.failovers + 1, "not_before": now}
                    | {"reason": failed[row.id][:255], "code": "", "settled_at": None, **NO_REMOTE_IDS}
                )
    step_each(session, MessageState.QUEUED, going, only_from=_FROM)
    gone = {int(change["id"]) for change in going}
    forget_segments(session, gone)
    return gone


#: What a message has while it waits for a new attempt: an older receipt must not settle that one.
NO_REMOTE_IDS: dict[str, Any] = {"remote_id": None, "remote_key": None}


def forget_segments(session: Session, message_ids: Collection[int]) -> None:
    """The segments of earlier attempts."""
    for ids in chunks(sorted(message_ids)):
        session.execute(
            delete(Segment).where(Segment.message_id.in_(ids)), execution_options={"synchronize_session": False}
        )
