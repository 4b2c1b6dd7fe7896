"""Who must not be written to: what has opted out is kept out of the queue, and at the latest held back at the claim."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, bindparam, exists, select
from sqlalchemy.orm import Session

from ixxsms.models import OptOut
from ixxsms.outbox.steps import TABLE, chunks

#: Urgency of the answer to an opt-out: it is the one message that may go to a number that has opted out.
FAREWELL = 5

#: The reason of a message that is excluded because its number has opted out.
OPTED_OUT = "the number has opted out"

#: A message must not go, as a claim sees it.
barred: ColumnElement[bool] = and_(
    TABLE.c.urgency != FAREWELL, exists(select(OptOut.number).where(OptOut.number == TABLE.c.number))
)

# Built once: it is run for every call from the dialplan.
_THESE = select(OptOut.number).where(OptOut.number.in_(bindparam("numbers", expanding=True)))


def opted_out(session: Session, numbers: Iterable[str]) -> set[str]:
    """Those of the numbers, in normal form, that have opted out."""
    connection = session.connection()
    found: set[str] = set()
    for some in chunks(sorted(set(numbers))):
        found.update(connection.scalars(_THESE, {"numbers": some}))
    return found


def refusal(number: str) -> str:
    """Why nothing is queued for such a number, in one sentence."""
    return f"The number {number} has opted out: it must not be written to."
