"""Receipts find their messages: by the remote id's normal forms, on the trunk that the message went through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from ixxsms import outbox
from ixxsms.events import Receipt
from ixxsms.models import Message, Segment, UnmatchedReceipt
from ixxsms.smpp.receipt import remote_id_keys

__all__ = ["forget_old", "match_again", "match_late", "store"]

_AT_ONCE = 200
_ANY_UNMATCHED = select(UnmatchedReceipt.id).limit(1)


class _Place(NamedTuple):
    """What a remote id belongs to: a message, or one segment of a long one (`part` from 1; 0 the whole)."""

    message_id: int
    part: int


def store(session: Session, trunk_id: int, receipts: Sequence[Receipt], now: float) -> None:
    """Settle the messages that these receipts speak of; a receipt without a message is kept for later."""
    for at in range(0, len(receipts), _AT_ONCE):
        unmatched = _apply(session, trunk_id, receipts[at : at + _AT_ONCE], now)
        if unmatched:
            session.execute(insert(UnmatchedReceipt), [_row(trunk_id, receipt, now) for receipt in unmatched])


def match_late(session: Session, trunk_id: int, remote_ids: Sequence[str], now: float) -> None:
    """These remote ids have just been accepted: receipts that were faster than the answer wait for them."""
    if not remote_ids or session.connection().scalar(_ANY_UNMATCHED) is None:
        return
    keys = {key for remote_id in remote_ids for key in remote_id_keys(remote_id)}
    waiting = session.scalars(
        select(UnmatchedReceipt)
        .where(UnmatchedReceipt.trunk_id == trunk_id, UnmatchedReceipt.remote_key.in_(keys))
        .order_by(UnmatchedReceipt.id)
    )
    _apply_kept(session, trunk_id, waiting.all(), now)


def match_again(session: Session, after: float, now: float) -> None:
    """Try once more what came after that time, some hundreds at most.

    Two daemons may miss each other: one looks for the message before the other has committed its acceptance, and
    keeps the receipt after the other has looked for it.
    """
    kept = defaultdict(list)
    for row in session.scalars(
        select(UnmatchedReceipt)
        .where(UnmatchedReceipt.received_at > after)
        .order_by(UnmatchedReceipt.id.desc())
        .limit(_AT_ONCE)
    ):
        kept[row.trunk_id].append(row)
    for trunk_id, rows in kept.items():
        _apply_kept(session, trunk_id, rows[::-1], now)


def _apply_kept(session: Session, trunk_id: int, rows: Sequence[UnmatchedReceipt], now: float) -> None:
    """Apply receipts that were kept; those whose message is known now are kept no longer."""
    receipts = [Receipt(r.remote_id, r.delivered, r.stat, r.code, r.number, token=r.id) for r in rows]
    still = {receipt.token for receipt in _apply(session, trunk_id, receipts, now)}
    matched = [row.id for row in rows if row.id not in still]
    if matched:
        session.execute(delete(UnmatchedReceipt).where(UnmatchedReceipt.id.in_(matched)))


def forget_old(session: Session, before: float) -> None:
    """Receipts that nobody waited for."""
    session.execute(delete(UnmatchedReceipt).where(UnmatchedReceipt.received_at < before))


def _row(trunk_id: int, receipt: Receipt, now: float) -> dict[str, object]:
    return {
        "trunk_id": trunk_id,
        "remote_id": receipt.remote_id[:65],
        "remote_key": outbox.remote_key(receipt.remote_id),
        "delivered": receipt.delivered,
        "stat": receipt.stat[:16],
        "code": receipt.code[:16],
        "number": receipt.number[:24],
        "received_at": now,
    }


def _apply(session: Session, trunk_id: int, receipts: Sequence[Receipt], now: float) -> list[Receipt]:
    """Settle what can be; returns the receipts whose message is not known. A word that is not final changes nothing."""
    places = _places(session, trunk_id, {key for r in receipts for key in remote_id_keys(r.remote_id)})
    unmatched: list[Receipt] = []
    settled: dict[int, bool] = {}
    parts: dict[_Place, bool] = {}
    told: dict[int, str] = {}
    for receipt in receipts:
        place = next((places[key] for key in remote_id_keys(receipt.remote_id) if key in places), None)
        if place is None:
            unmatched.append(receipt)
        elif receipt.delivered is not None:
            if not receipt.delivered:
                told.setdefault(place.message_id, f"{receipt.stat} {receipt.code}".strip())
            if place.part:
                parts.setdefault(place, receipt.delivered)
            else:
                settled.setdefault(place.message_id, receipt.delivered)
    settled |= _of_segments(session, parts)
    outbox.settle(session, settled, told, now)
    return unmatched


def _places(session: Session, trunk_id: int, keys: set[str]) -> dict[str, _Place]:
    """Where each known key belongs. The newest message has it: an SMSC may begin its numbers again."""
    whole = session.execute(
        select(Message.remote_key, func.max(Message.id))
        .where(Message.remote_key.in_(keys), Message.remote_key.is_not(None), Message.via_trunk_id == trunk_id)
        .group_by(Message.remote_key)
    )
    places = {str(key): _Place(message_id, 0) for key, message_id in whole}
    segments = session.execute(
        select(Segment.remote_key, Segment.message_id, Segment.part)
        .join(Message, Message.id == Segment.message_id)
        .where(Segment.remote_key.in_(keys), Message.via_trunk_id == trunk_id)
        .order_by(Segment.message_id)
    )
    for key, message_id, part in segments:
        if key not in places or places[key].message_id <= message_id:
            places[key] = _Place(message_id, part)
    return places


def _of_segments(session: Session, parts: dict[_Place, bool]) -> dict[int, bool]:
    """Long messages: delivered when every segment is, undelivered as soon as one is; unnamed while some are silent."""
    if not parts:
        return {}
    ids = sorted({place.message_id for place in parts})
    # One at a time: two transactions would each see the other's segment silent, and neither say delivered.
    session.execute(select(Message.id).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()).all()
    table = Segment.__table__
    session.connection().execute(
        update(table)  # type: ignore[arg-type]
        .where(table.c.message_id == bindparam("b_id"), table.c.part == bindparam("b_part"))
        .values(delivered=bindparam("b_delivered")),
        [{"b_id": place.message_id, "b_part": place.part, "b_delivered": value} for place, value in parts.items()],
    )
    words: dict[int, list[bool | None]] = defaultdict(list)
    for message_id, delivered in session.execute(
        select(Segment.message_id, Segment.delivered).where(Segment.message_id.in_(ids)).with_for_update()
    ):
        words[message_id].append(delivered)
    undelivered = {message_id: False for message_id, said in words.items() if False in said}
    return undelivered | {message_id: True for message_id, said in words.items() if all(said)}
