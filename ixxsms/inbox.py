"""Incoming SMS. A row is committed before the SMSC gets its acknowledgement."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ixxsms.events import Received
from ixxsms.models import Incoming

__all__ = ["latest", "store"]


def store(session: Session, trunk_id: int, received: Received, now: float) -> Incoming:
    """Keep one incoming SMS, or one part of a long one."""
    row = Incoming(
        trunk_id=trunk_id,
        source=received.source[:24],
        destination=received.destination[:24],
        text=received.text,
        reference=received.reference,
        part=received.part,
        parts=received.parts,
        received_at=now,
    )
    session.add(row)
    return row


def latest(session: Session, limit: int = 50) -> list[Incoming]:
    """The newest incoming SMS first."""
    return list(session.scalars(select(Incoming).order_by(Incoming.id.desc()).limit(limit)))
