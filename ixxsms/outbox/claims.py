"""Claims: which messages a trunk may take now, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, literal_column, or_, select
from sqlalchemy.orm import Session

from ixxsms.bulk import update_each
from ixxsms.models import Message
from ixxsms.outbox.steps import QUEUED, TABLE
from ixxsms.states import MessageState

#: So many messages are claimed in one transaction at most.
MOST_AT_ONCE = 1000

_M = Message.__table__.c
_SUBMITTED = (("state", f"'{MessageState.SUBMITTED}'"), ("attempts", "messages.attempts + 1"))


class Kind(Enum):
    """What a place is, as far as the statement of a claim depends on it."""

    QUEUE = "the outgoing queue"
    CAMPAIGN = "a campaign"
    NAMED = "a campaign that is bound to this trunk"


@dataclass(frozen=True)
class Source:
    """Where a trunk may claim from: a campaign, or the outgoing queue where `campaign_id` is None.

    `named`: the campaign is bound to this trunk, so no other trunk's turn comes before.
    """

    campaign_id: int | None = None
    text: str = ""
    sender_id: str = ""
    named: bool = False

    @property
    def kind(self) -> Kind:
        if self.campaign_id is None:
            return Kind.QUEUE
        return Kind.NAMED if self.named else Kind.CAMPAIGN


class Claimed(NamedTuple):
    """A message that is now submitted, with the text and the sender id that count (the trunk's may still follow)."""

    id: int
    number: str
    text: str
    sender_id: str
    segments: int


def claim(
    session: Session,
    trunk_id: int,
    daemon_id: int,
    places: Sequence[Source],
    *,
    room: float,
    better: Collection[int],
    now: float,
    only: int | None = None,
) -> list[Claimed]:
    """Take messages for this trunk: queued becomes submitted. The caller commits before it writes one byte of them.

    `room`: segments that the trunk takes now; the last message may overrun it. `better`: the trunks of higher
    priority that may take messages now; what is not bound to a trunk is theirs until they have passed it on.
    `only`: consider just this message.
    """
    claimed: list[Claimed] = []
    connection = session.connection()
    for place in places:
        if room < 1:
            break
        for message_id, number, text, sender_id, segments in connection.execute(
            _waiting(trunk_id, place.kind, frozenset(better), only is not None, True),
            {"now": now, "campaign": place.campaign_id, "only": only, "most": int(min(room, MOST_AT_ONCE))},
        ):
            whole = place.text if text is None else text
            claimed.append(Claimed(message_id, number, whole, sender_id or place.sender_id, segments))
            room -= segments
            if room < 1:
                break
    step = {"daemon_id": daemon_id, "via_trunk_id": trunk_id, "submitted_at": now}
    update_each(session, TABLE, [{"id": message.id, **step} for message in claimed], fixed=_SUBMITTED)
    return claimed


def has_work(
    session: Session,
    trunk_id: int,
    places: Sequence[Source],
    *,
    better: Collection[int],
    now: float,
    only: int | None = None,
) -> bool:
    """Whether a claim would find something."""
    connection = session.connection()
    return any(
        connection.execute(
            _waiting(trunk_id, place.kind, frozenset(better), only is not None, False),
            {"now": now, "campaign": place.campaign_id, "only": only, "most": 1},
        ).first()
        is not None
        for place in places
    )


# Statements are kept: to build one takes longer than SQLite does to run it. There are few: the better trunks change
# when a link does.
@lru_cache(maxsize=1000)
def _waiting(trunk_id: int, kind: Kind, better: frozenset[int], only: bool, lock: bool) -> Select[Any]:
    """The queued messages of one place that this trunk may take, in their order.

    Parameters: now, campaign (where the place is one), only (where it is asked for), most.
    """
    columns = (_M.id, _M.number, _M.text, _M.sender_id, _M.segments)
    statement = select(*columns).where(QUEUED, _M.not_before <= bindparam("now"))
    if kind is Kind.QUEUE:
        statement = statement.where(
            _M.campaign_id.is_(None),
            or_(_M.trunk_id == trunk_id, and_(_M.trunk_id.is_(None), _turn(trunk_id, better))),
        ).order_by(_M.urgency.desc(), _M.not_before, _M.id)
    else:
        statement = statement.where(_M.campaign_id == bindparam("campaign"))
        if kind is Kind.CAMPAIGN:
            statement = statement.where(_turn(trunk_id, better))
        statement = statement.order_by(_M.not_before, _M.id)
    if only:
        statement = statement.where(_M.id == bindparam("only"))
    statement = statement.limit(bindparam("most"))
    return statement.with_for_update(skip_locked=True) if lock else statement


def _turn(trunk_id: int, better: Collection[int]) -> ColumnElement[bool]:
    """It is this trunk's turn: it has not passed the message on, and every better trunk has."""
    conditions: list[ColumnElement[bool]] = [_M.tried.not_like(f"%,{trunk_id},%")]
    if better:
        # The literal lets SQLite and PostgreSQL use the index of the few messages that were passed on.
        conditions.append(_M.tried != literal_column("''"))
        conditions += [_M.tried.like(f"%,{other},%") for other in sorted(better)]
    return and_(*conditions)
