"""Accepted messages as call records, where the setting cdr_sms asks for them.

Each is marked in the transaction that records its acceptance, and written from the mark: a call record may come late,
or after a crash a second time, but none is lost, and a call record that cannot be written holds no message back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, literal_column, select, update
from sqlalchemy.orm import Session

from ixxsms.asterisk.cdr import Sms
from ixxsms.models import Campaign, Message, Trunk
from ixxsms.numbering import digits

__all__ = ["due", "written"]

_AT_ONCE = 500

# A literal: SQLite and PostgreSQL use the partial index only if they see its condition.
_DUE: ColumnElement[bool] = literal_column("messages.cdr_due")


def due(session: Session) -> dict[int, Sms]:
    """The call records that are to be written, by message; some hundreds at most."""
    sender = Message.sender_id, Campaign.sender_id.label("of_campaign"), Trunk.sender_id.label("of_trunk")
    rows = session.execute(
        select(Message.id, Message.number, Message.accepted_at, *sender)
        .outerjoin(Campaign, Campaign.id == Message.campaign_id)
        .outerjoin(Trunk, Trunk.id == Message.via_trunk_id)
        .where(_DUE)
        .order_by(Message.id)
        .limit(_AT_ONCE)
    )
    return {
        row.id: Sms(
            row.sender_id or row.of_campaign or row.of_trunk or "",
            digits(row.number),
            datetime.fromtimestamp(row.accepted_at or 0.0),
        )
        for row in rows
    }


def written(session: Session, message_ids: Iterable[int]) -> None:
    """The call records of these messages are there."""
    session.execute(update(Message).where(Message.id.in_(list(message_ids))).values(cdr_due=False))
