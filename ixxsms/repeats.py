"""Incoming SMS that come again: an API that did not hear our answer calls once more with the same id."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ixxsms.models import IncomingId

__all__ = ["forget_old", "is_new"]


def is_new(session: Session, trunk_id: int, id: str | None, now: float) -> bool:
    """Whether an incoming SMS with this id of the API comes for the first time; one without an id always does."""
    if not id:
        return True
    # An id is of any length, and only compared.
    digest = hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()
    if session.get(IncomingId, (trunk_id, digest)) is not None:
        return False
    session.add(IncomingId(trunk_id=trunk_id, digest=digest, received_at=now))
    session.flush()
    return True


def forget_old(session: Session, before: float) -> None:
    """Ids that nobody will repeat any more."""
    session.execute(delete(IncomingId).where(IncomingId.received_at < before))
