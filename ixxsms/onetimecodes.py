"""One-time codes: made here, kept as salted digests, right once. Verbs take an open session and never commit.

A number has one code at a time. Must never know how a code reaches its person.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import StrEnum

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from ixxsms.models import OneTimeCode

__all__ = ["Verdict", "issue", "new_code", "verify"]

FEWEST_DIGITS, MOST_DIGITS = 4, 12


class Verdict(StrEnum):
    """What a person's answer was."""

    OK = "OK"
    WRONG = "WRONG"  #: he may try again
    EXPIRED = "EXPIRED"  #: it was too late, or there is no code
    TRIES = "TRIES"  #: wrong, and it was the last try


def new_code(digits: int) -> str:
    """A code of so many digits, from 4 to 12."""
    digits = max(FEWEST_DIGITS, min(MOST_DIGITS, digits))
    return f"{secrets.randbelow(10**digits):0{digits}}"


def issue(session: Session, number: str, code: str, *, seconds: float, tries: int, now: float) -> None:
    """Keep a code for a number in normal form; one that it had holds no more."""
    salt = secrets.token_hex(16)
    session.merge(
        OneTimeCode(
            number=number, salt=salt, digest=_digest(salt, code), expires_at=now + seconds, tries_left=max(1, tries)
        )
    )
    session.flush()


def verify(session: Session, number: str, code: str, now: float) -> Verdict:
    """Whether this is the number's code. A right one holds no more; a wrong one costs a try."""
    this = OneTimeCode.number == number
    # The try is taken before the look: two answers at the same time are two tries.
    taken = session.execute(
        update(OneTimeCode).where(this, OneTimeCode.tries_left > 0).values(tries_left=OneTimeCode.tries_left - 1)
    )
    row = session.get(OneTimeCode, number, populate_existing=True)
    if row is None:
        return Verdict.EXPIRED
    if not taken.rowcount:  # type: ignore[attr-defined]
        return Verdict.TRIES
    if row.expires_at < now:
        session.execute(delete(OneTimeCode).where(this))
        return Verdict.EXPIRED
    if hmac.compare_digest(row.digest, _digest(row.salt, code)):
        session.execute(delete(OneTimeCode).where(this))
        return Verdict.OK
    return Verdict.WRONG if row.tries_left else Verdict.TRIES


def _digest(salt: str, code: str) -> str:
    return hashlib.sha256(f"{salt}:{code}".encode()).hexdigest()
