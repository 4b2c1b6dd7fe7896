"""Incoming SMS. What came is committed before the SMSC gets its acknowledgement.

The parts of a long SMS are kept until they are all there: then it is one SMS in the inbox, in the same transaction.
What is said twice, because an answer was lost on its way, is kept once.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, cast

from sqlalchemy import ColumnElement, Table, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from ixxsms.bulk import insert_and_lock
from ixxsms.events import Received
from ixxsms.models import Incoming, IncomingPart
from ixxsms.smpp.incoming import decode_as

__all__ = ["get", "give_up", "latest", "store"]

#: What stands in the text of an SMS where parts of it never came.
GAP = "[…]"

#: Seconds that parts wait for the others. References come round again, so not for ever.
PATIENCE = 24 * 3600.0

#: The most parts that wait: of more, which only somebody sends who means harm, the oldest wait no longer.
MOST_PARTS = 10_000

#: No part that a phone makes is longer, in octets.
_LONGEST_PART = 4096

#: So many seconds after an SMS became whole a part of it may come again: it was not acknowledged in time.
SAID_AGAIN = 600.0

#: What may have been stored before is looked for among so many ids at the end: the inbox may be long. On a
#: Galera cluster ids come in steps.
_LAST = 5_000

_AT_ONCE = 500
_DIGEST = 8

_PARTS = cast(Table, IncomingPart.__table__)


class _Key(NamedTuple):
    """What the parts of one SMS have in common."""

    trunk_id: int
    source: str
    destination: str
    reference: int
    parts: int

    def condition(self) -> ColumnElement[bool]:
        return and_(*[getattr(IncomingPart, name) == value for name, value in self._asdict().items()])


class _Part(NamedTuple):
    octets: bytes
    coding: str


class _Head(NamedTuple):
    """What is kept of the SMS itself: the digests of its parts, once it was whole, and when the latest came."""

    said: bytes
    at: float


def store(
    session: Session, trunk_id: int, received: Iterable[Received], now: float, doubtful: Collection[float] = ()
) -> list[Incoming]:
    """Keep what came in through a trunk; returns the SMS that are whole now.

    `doubtful`: the times of transactions of which nobody knows whether they were committed: what they stored is not
    stored again.
    """
    received = list(received)
    singles = [sms for sms in received if sms.parts <= 1]
    whole = [
        Incoming(trunk_id=trunk_id, source=sms.source, destination=sms.destination, text=sms.text, received_at=now)
        for sms in _not_stored(session, trunk_id, singles, doubtful)
    ]
    by_key: dict[_Key, list[Received]] = {}
    for sms in received:
        if sms.parts > 1:
            by_key.setdefault(_key(trunk_id, sms), []).append(sms)
    for key in sorted(by_key):  # in one order, or two receivers lock each other out
        whole += _gather(session, key, by_key[key], now, doubtful)
    session.add_all(whole)
    session.flush()
    return whole


def give_up(session: Session, now: float) -> list[Incoming]:
    """SMS whose other parts have not come for a day go into the inbox as they are; returns them.

    So do the oldest of too many. Some hundreds in one go. What is remembered of SMS that became whole is forgotten.
    """
    waits = IncomingPart.octets == b""
    heads = select(*[getattr(IncomingPart, name) for name in _Key._fields]).where(IncomingPart.part == 0)
    heads = heads.order_by(IncomingPart.received_at).with_for_update(skip_locked=True)
    done = heads.where(~waits, IncomingPart.received_at < now - SAID_AGAIN).limit(_AT_ONCE)
    for key in [_Key(*row) for row in session.execute(done)]:
        session.execute(delete(IncomingPart).where(key.condition()))
    parts = select(func.count()).select_from(IncomingPart).where(IncomingPart.part > 0)
    too_many = (session.scalar(parts) or 0) - MOST_PARTS
    if too_many > 0:
        late = heads.where(waits).limit(min(_AT_ONCE, too_many))
    else:
        late = heads.where(waits, IncomingPart.received_at < now - PATIENCE).limit(_AT_ONCE)
    given_up = []
    for key in [_Key(*row) for row in session.execute(late)]:
        given_up.append(_whole(key, _stored(session, key)[1], now))
        session.execute(delete(IncomingPart).where(key.condition()))
    session.add_all(given_up)
    session.flush()
    return given_up


def latest(session: Session, limit: int = 50) -> list[Incoming]:
    """The newest incoming SMS first."""
    return list(session.scalars(select(Incoming).order_by(Incoming.id.desc()).limit(limit)))


def get(session: Session, sms_id: int) -> Incoming | None:
    """One incoming SMS."""
    return session.get(Incoming, sms_id)


def _not_stored(
    session: Session, trunk_id: int, singles: list[Received], doubtful: Collection[float]
) -> Iterable[Received]:
    """Those that no doubtful transaction has stored; somebody may well send the same twice."""
    if not (singles and doubtful):
        return singles
    newest = select(func.max(Incoming.id)).scalar_subquery()
    rows = select(Incoming.source, Incoming.destination, Incoming.text).where(
        Incoming.id > newest - _LAST,
        Incoming.trunk_id == trunk_id,
        Incoming.received_at.in_(doubtful),
        Incoming.parts == 1,
    )
    stored = Counter(tuple(row) for row in session.execute(rows))
    left = []
    for sms in singles:
        said = (sms.source[:24], sms.destination[:24], sms.text)
        if stored[said]:
            stored[said] -= 1
        else:
            left.append(sms)
    return left


# -- long ones ------------------------------------------------------------------------------------------------------


def _key(trunk_id: int, sms: Received) -> _Key:
    return _Key(trunk_id, sms.source[:24], sms.destination[:24], sms.reference, sms.parts)


def _gather(
    session: Session, key: _Key, arrived: list[Received], now: float, doubtful: Collection[float]
) -> list[Incoming]:
    """Put these parts to those that are there; the SMS that this makes whole."""
    # First of all the lock: two receivers that have a part each would both find the other's missing.
    insert_and_lock(session, _PARTS, {**key._asdict(), "part": 0, "octets": b"", "coding": "", "received_at": now})
    head, stored = _stored(session, key)
    kept = dict(stored)
    said = head.said if head.at > now - SAID_AGAIN or head.at in doubtful else b""
    whole: list[Incoming] = []
    for sms in arrived:
        part = _part(sms)
        if not kept and said and _digest(part) == _digest_of(said, sms.part):
            continue  # the SMSC never saw our acknowledgement
        if kept.get(sms.part, part) != part:  # the reference came round again: this is the next SMS
            whole.append(_whole(key, kept, now))
            kept = {}
        kept[sms.part], said = part, b""
        if len(kept) == key.parts:
            whole.append(_whole(key, kept, now))
            said = b"".join(_digest(kept[number]) for number in range(1, key.parts + 1))
            kept = {}
    _write_back(session, key, said, kept, stored, now if kept or whole else head.at)
    return whole


def _stored(session: Session, key: _Key) -> tuple[_Head, dict[int, _Part]]:
    """What stands for the SMS, and the parts that are there."""
    columns = (IncomingPart.part, IncomingPart.octets, IncomingPart.coding, IncomingPart.received_at)
    rows = session.execute(select(*columns).where(key.condition()).order_by(IncomingPart.part)).all()
    return _Head(rows[0].octets, rows[0].received_at), {row.part: _Part(row.octets, row.coding) for row in rows[1:]}


def _write_back(
    session: Session, key: _Key, said: bytes, kept: dict[int, _Part], stored: dict[int, _Part], at: float
) -> None:
    this = key.condition()
    if any(kept.get(number) != part for number, part in stored.items()):
        session.execute(delete(IncomingPart).where(this, IncomingPart.part > 0))
        stored = {}
    new = [
        {**key._asdict(), "part": number, **part._asdict(), "received_at": at}
        for number, part in kept.items()
        if number not in stored
    ]
    if new:
        session.execute(insert(IncomingPart), new)
    session.execute(update(IncomingPart).where(this, IncomingPart.part == 0).values(octets=said, received_at=at))


def _part(sms: Received) -> _Part:
    if sms.coding:
        return _Part(sms.octets[:_LONGEST_PART], sms.coding)
    return _Part(sms.text.encode("utf-16-be", "surrogatepass")[:_LONGEST_PART], "ucs2")


def _digest(part: _Part) -> bytes:
    return hashlib.blake2b(part.coding.encode() + b" " + part.octets, digest_size=_DIGEST).digest()


def _digest_of(said: bytes, number: int) -> bytes:
    return said[(number - 1) * _DIGEST : number * _DIGEST]


def _whole(key: _Key, kept: Mapping[int, _Part], now: float) -> Incoming:
    return Incoming(
        trunk_id=key.trunk_id,
        source=key.source,
        destination=key.destination,
        text=_text(key.parts, kept),
        reference=key.reference,
        part=len(kept),
        parts=key.parts,
        received_at=now,
    )


def _text(parts: int, kept: Mapping[int, _Part]) -> str:
    """The text of the parts; neighbours that are coded alike are read as one, for a character may be cut in two."""

    def coding(number: int) -> str | None:
        return kept[number].coding if number in kept else None

    runs: list[str] = []
    for how, numbers in itertools.groupby(range(1, parts + 1), coding):
        runs.append(GAP if how is None else decode_as(b"".join(kept[n].octets for n in numbers), how))
    return "".join(runs)
