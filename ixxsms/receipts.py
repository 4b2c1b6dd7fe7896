"""Receipts find their messages: by the remote id's normal forms, on the trunk that the message went through.

A message in doubt, whose id never came, is found by its number instead. Verbs take an open session and never commit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.orm import Session

from ixxsms import numbering_plan, outbox
from ixxsms.errors import NotFound
from ixxsms.events import Receipt
from ixxsms.models import Message, Segment, Trunk, UnmatchedReceipt
from ixxsms.numbering import Check, checker
from ixxsms.smpp.causes import cause
from ixxsms.smpp.coding import Long
from ixxsms.smpp.receipt import Base, Parts, remote_id_keys

__all__ = ["unmatched"]

_AT_ONCE = 200

#: Trunk -> the other trunks that may take its messages now; asked only where a message is to go on to one.
NextTrunks = Callable[[int], outbox.NextTrunks]


def _nobody(trunk_id: int) -> outbox.NextTrunks:
    return outbox.NextTrunks()


# Built once: they are run for every few receipts.
_ANY_UNMATCHED = select(UnmatchedReceipt.id).limit(1)
_TRUNK = select(Trunk.kind, Trunk.options, Trunk.receipt_failover).where(Trunk.id == bindparam("id"))
_KEYS: BindParameter[list[str]] = bindparam("keys", expanding=True)
_MESSAGES = select(Message.remote_key, Message.id, Message.remote_id, Message.number).where(
    Message.remote_key.in_(_KEYS), Message.remote_key.is_not(None), Message.via_trunk_id == bindparam("trunk")
)
_SEGMENTS = (
    select(Segment.remote_key, Segment.message_id, Segment.part, Segment.remote_id, Message.number)
    .join(Message, Message.id == Segment.message_id)
    .where(Segment.remote_key.in_(_KEYS), Message.via_trunk_id == bindparam("trunk"))
)

#: A receipt without a known id is that of a message in doubt if it comes within so many seconds.
DOUBT_WINDOW = 3 * 24 * 3600.0

#: So many of the receipts that were kept are looked through for those of messages that became in doubt.
_LOOKED_THROUGH = 1000

#: An id of fewer characters may by chance be that of another message in the other base: the number must agree.
_SHORT_ID = 8

_NO_DIGIT = re.compile("[^0-9]")


class _Heard(NamedTuple):
    """A receipt, and when it came, in seconds since 1970."""

    receipt: Receipt
    at: float


class _Known(NamedTuple):
    """A remote id that a message has, or one segment of a long one (`part` from 1; 0 the whole)."""

    message_id: int
    part: int
    remote_id: str
    number: str


class _Place(NamedTuple):
    """What a receipt belongs to: a message, or some of its segments: an SMSC may give several the same id."""

    message_id: int
    parts: tuple[int, ...] = ()


def store(
    session: Session, trunk_id: int, receipts: Sequence[Receipt], now: float, next_trunks: NextTrunks = _nobody
) -> None:
    """Settle the messages that these receipts speak of; a receipt without a message is kept for later.

    `next_trunks`: for what is to go on to another trunk, since its receipt says that it will not arrive.
    """
    for at in range(0, len(receipts), _AT_ONCE):
        heard = [_Heard(receipt, now) for receipt in receipts[at : at + _AT_ONCE]]
        unknown = _apply(session, trunk_id, heard, now, next_trunks)
        if unknown:
            session.execute(insert(UnmatchedReceipt), [_row(trunk_id, receipt, now) for receipt in unknown])


def match_late(
    session: Session, trunk_id: int, remote_ids: Sequence[str], now: float, next_trunks: NextTrunks = _nobody
) -> None:
    """These remote ids have just become known: receipts that were faster than the answer wait for them."""
    if not remote_ids or session.connection().scalar(_ANY_UNMATCHED) is None:
        return
    keys = {key for remote_id in remote_ids for key in remote_id_keys(remote_id)}
    waiting = session.scalars(
        select(UnmatchedReceipt)
        .where(UnmatchedReceipt.trunk_id == trunk_id, UnmatchedReceipt.remote_key.in_(keys))
        .order_by(UnmatchedReceipt.id)
    )
    _apply_kept(session, trunk_id, waiting.all(), now, next_trunks)


def match_again(session: Session, after: float, now: float, next_trunks: NextTrunks = _nobody) -> None:
    """Try once more what came after that time, and what may be of a message that became in doubt after it.

    Two daemons may miss each other: one looks for the message before the other has committed its acceptance, and
    keeps the receipt after the other has looked for it. And who waits for an answer in vain may have had the receipt.
    """
    kept: dict[int, dict[int, UnmatchedReceipt]] = defaultdict(dict)
    newest = select(UnmatchedReceipt).order_by(UnmatchedReceipt.id.desc())
    for row in session.scalars(newest.where(UnmatchedReceipt.received_at > after).limit(_AT_ONCE)):
        kept[row.trunk_id][row.id] = row
    for trunk_id, since in _became_doubtful(session, after):
        of_trunk = newest.where(UnmatchedReceipt.trunk_id == trunk_id, UnmatchedReceipt.received_at >= since)
        kept[trunk_id] |= {row.id: row for row in session.scalars(of_trunk.limit(_LOOKED_THROUGH))}
    for trunk_id, rows in kept.items():
        _apply_kept(session, trunk_id, [rows[row_id] for row_id in sorted(rows)], now, next_trunks)


def _became_doubtful(session: Session, after: float) -> list[tuple[int, float]]:
    """The trunks with messages that became in doubt after that time, and when the first of these was submitted."""
    rows = session.execute(
        select(Message.via_trunk_id, func.min(Message.submitted_at))
        .where(literal_column("messages.doubt_number IS NOT NULL"), Message.settled_at > after)
        .group_by(Message.via_trunk_id)
    )
    return [(trunk_id, since or 0.0) for trunk_id, since in rows if trunk_id is not None]


def _apply_kept(
    session: Session,
    trunk_id: int,
    rows: Sequence[UnmatchedReceipt],
    now: float,
    next_trunks: NextTrunks = _nobody,
) -> None:
    """Apply receipts that were kept; those whose message is known now are kept no longer."""
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        heard = [
            _Heard(Receipt(r.remote_id, r.delivered, r.stat, r.code, r.number, token=r.id), r.received_at) for r in some
        ]
        still = {receipt.token for receipt in _apply(session, trunk_id, heard, now, next_trunks)}
        matched = [row.id for row in some if row.id not in still]
        if matched:
            session.execute(
                delete(UnmatchedReceipt).where(UnmatchedReceipt.id.in_(matched)),
                execution_options={"synchronize_session": False},
            )


def forget_old(session: Session, before: float) -> None:
    """Receipts that nobody waited for."""
    session.execute(
        delete(UnmatchedReceipt).where(UnmatchedReceipt.received_at < before),
        execution_options={"synchronize_session": False},
    )


def unmatched(session: Session, *, trunk_id: int | None = None, limit: int = 100) -> list[UnmatchedReceipt]:
    """The receipts whose message is not known, the newest first."""
    statement = select(UnmatchedReceipt).order_by(UnmatchedReceipt.id.desc()).limit(limit)
    if trunk_id is not None:
        statement = statement.where(UnmatchedReceipt.trunk_id == trunk_id)
    return list(session.scalars(statement))


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


# -- which message ---------------------------------------------------------------------------------------------------


class _Manner:
    """What is particular about a trunk's receipts, and how its numbers are compared."""

    def __init__(self, session: Session, trunk_id: int) -> None:
        trunk = session.connection().execute(_TRUNK, {"id": trunk_id}).first()
        options = trunk.options if trunk else {}
        self.base = Base(options.get("receipt_id_base", Base.AUTO))
        self.parts = Parts(options.get("parts_receipt", Parts.ALL))
        #: one id for a message of any length
        self.whole = trunk is None or trunk.kind != "smpp" or options.get("long") == Long.PAYLOAD
        self.fails_over = bool(trunk and trunk.receipt_failover)
        self._session = session

    def numbers(self, written: str) -> set[str]:
        """The numbers in normal form that a receipt may mean: it may write them national, with +, 00 or nothing."""
        plain = _NO_DIGIT.sub("", written)[:24]
        if not plain:
            return set()
        of_plan = {self._check(form).number for form in (plain, f"+{plain}")} if self._check else set()
        return {plain, f"+{plain}", *of_plan} - {""}

    @cached_property
    def _check(self) -> Callable[[str], Check] | None:
        try:
            return checker(numbering_plan.get(self._session))
        except NotFound:
            return None


def _by_id(session: Session, trunk_id: int, keys: set[str]) -> dict[str, list[_Known]]:
    """Everything on the trunk that has one of these keys."""
    known: dict[str, list[_Known]] = defaultdict(list)
    connection, asked = session.connection(), {"keys": list(keys), "trunk": trunk_id}
    for key, message_id, remote_id, number in connection.execute(_MESSAGES, asked):
        known[key or ""].append(_Known(message_id, 0, remote_id or "", number))
    for key, message_id, part, remote_id, number in connection.execute(_SEGMENTS, asked):
        known[key].append(_Known(message_id, part, remote_id, number))
    return known


def _place(receipt: Receipt, known: dict[str, list[_Known]], manner: _Manner) -> _Place | None:
    """Where a receipt belongs: first as its id is written, then in another case, then in any of the other forms.

    Where several messages may be meant, the number goes before the other forms of the id. Among equals the newest
    message has it: an SMSC may begin its numbers again.
    """
    forms = []
    for number, key in enumerate(remote_id_keys(receipt.remote_id, manner.base)):
        found = known.get(key, [])
        if found and number and manner.base is Base.AUTO and receipt.number and len(key) < _SHORT_ID:
            meant = manner.numbers(receipt.number)
            found = [each for each in found if each.number in meant]
        if found:
            forms.append(found)
    if not forms:
        return None
    several = len({each.message_id for form in forms for each in form}) > 1
    meant = manner.numbers(receipt.number) if several else set()
    found = next((form for form in forms if any(each.number in meant for each in form)), forms[0])
    best = max(found, key=lambda each: _likeness(each, receipt.remote_id, meant))
    parts = sorted(each.part for each in found if each.message_id == best.message_id and each.part)
    return _Place(best.message_id, tuple(parts))


def _likeness(known: _Known, remote_id: str, meant: set[str]) -> tuple[bool, bool, bool, int]:
    said = known.remote_id
    return said == remote_id, said.lower() == remote_id.lower(), known.number in meant, known.message_id


def _by_number(
    session: Session, trunk_id: int, heard: Sequence[_Heard], manner: _Manner, now: float
) -> dict[int, _Place]:
    """Which of these receipts, by their place in the list, are those of messages in doubt, whose ids nobody knows.

    Only where there is no choice: exactly one message to the number is in doubt, it was submitted before the receipt
    came and not long before, and none to the same number waits for its answer just now.
    """
    meant = [manner.numbers(receipt.number) for receipt, _ in heard]
    wanted = set().union(*meant)
    doubts = outbox.doubts_of(session, trunk_id, wanted, min(at for _, at in heard) - DOUBT_WINDOW) if wanted else []
    if not doubts:
        return {}
    busy = outbox.on_their_way(session, trunk_id, {doubt.number for doubt in doubts})
    places: dict[int, _Place] = {}
    given: dict[tuple[int, str], _Place] = {}
    for index, (receipt, at) in enumerate(heard):
        fitting = [d for d in doubts if d.number in meant[index] and at - DOUBT_WINDOW < d.submitted_at <= at]
        if len(fitting) != 1 or fitting[0].number in busy:
            continue
        doubt, key = fitting[0], outbox.remote_key(receipt.remote_id)
        if (doubt.id, key) not in given:
            part = outbox.identify(
                session,
                doubt,
                receipt.remote_id,
                whole=manner.whole,
                from_last=manner.parts is Parts.LAST,
                accepted=receipt.delivered is None,
                now=now,
            )
            if part is None:
                continue
            given[doubt.id, key] = _Place(doubt.id, (part,) if part else ())
        places[index] = given[doubt.id, key]
    return places


# -- what becomes of it ----------------------------------------------------------------------------------------------


@dataclass
class _Words:
    """What the receipts of one batch say, the first final word of each place, and why."""

    whole: dict[int, bool]
    segments: dict[tuple[int, int], bool]
    reasons: dict[int, str]

    def add(self, place: _Place, receipt: Receipt) -> None:
        if receipt.delivered is None:
            return  # a word that is not final changes nothing
        if not receipt.delivered:
            self.reasons.setdefault(place.message_id, _reason(receipt))
        for part in place.parts:
            self.segments.setdefault((place.message_id, part), receipt.delivered)
        if not place.parts:
            self.whole.setdefault(place.message_id, receipt.delivered)


def _reason(receipt: Receipt) -> str:
    words = cause(receipt.code)
    return f"{receipt.stat} {receipt.code}".strip() + (f" (in GSM: {words})" if words else "")


def _apply(
    session: Session, trunk_id: int, heard: Sequence[_Heard], now: float, next_trunks: NextTrunks
) -> list[Receipt]:
    """Settle what can be; returns the receipts whose message is not known."""
    manner = _Manner(session, trunk_id)
    keys = {key for receipt, _ in heard for key in remote_id_keys(receipt.remote_id, manner.base)}
    known = _by_id(session, trunk_id, keys)
    words, unknown = _Words({}, {}, {}), []
    for each in heard:
        place = _place(each.receipt, known, manner)
        if place is None:
            unknown.append(each)
        else:
            words.add(place, each.receipt)
    by_number = _by_number(session, trunk_id, unknown, manner, now) if unknown else {}
    for index, place in by_number.items():
        words.add(place, unknown[index].receipt)
    settled = words.whole | _of_segments(session, words.segments, manner.parts)
    failed = {message_id: words.reasons.get(message_id, "") for message_id, value in settled.items() if not value}
    gone: set[int] = set()
    if manner.fails_over and failed:
        gone = outbox.fail_over(session, trunk_id, failed, next_trunks(trunk_id), now)
    settled = {message_id: value for message_id, value in settled.items() if message_id not in gone}
    outbox.settle(session, settled, words.reasons, now)
    return [each.receipt for index, each in enumerate(unknown) if index not in by_number]


def _of_segments(session: Session, parts: dict[tuple[int, int], bool], policy: Parts) -> dict[int, bool]:
    """Long messages whose segments have said enough; they are unnamed while that is still to come."""
    if not parts:
        return {}
    ids = sorted({message_id for message_id, _ in parts})
    # One at a time: two transactions would each see the other's segment silent, and neither say delivered.
    session.execute(select(Message.id).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()).all()
    table = Segment.__table__
    session.connection().execute(
        update(table)  # type: ignore[arg-type]
        # The first final word counts: a receipt may come twice, or an older one late.
        .where(
            table.c.message_id == bindparam("b_id"), table.c.part == bindparam("b_part"), table.c.delivered.is_(None)
        )
        .values(delivered=bindparam("b_delivered")),
        [{"b_id": message_id, "b_part": part, "b_delivered": value} for (message_id, part), value in parts.items()],
    )
    words: dict[int, list[bool | None]] = defaultdict(list)
    for message_id, delivered in session.execute(
        select(Segment.message_id, Segment.delivered)
        .where(Segment.message_id.in_(ids))
        .order_by(Segment.message_id, Segment.part)
        .with_for_update()
    ):
        words[message_id].append(delivered)
    verdicts = {message_id: _verdict(said, policy) for message_id, said in words.items()}
    open_ones = {message_id: words[message_id] for message_id, verdict in verdicts.items() if verdict is None}
    # Also for a cluster, where the lock above holds on one node only, but what two nodes change is refused to one.
    outbox.tell_why(
        session,
        {message_id: f"{said.count(True)} of {len(said)} segments delivered" for message_id, said in open_ones.items()},
    )
    return {message_id: verdict for message_id, verdict in verdicts.items() if verdict is not None}


def _verdict(said: list[bool | None], policy: Parts) -> bool | None:
    """What the segments' receipts, in the order of the segments, say of the whole message.

    all: delivered when every segment is, undelivered as soon as one is. first, last: what that one's says. any: the
    first word that comes, for SMSCs that send one receipt and do not say for which segment.
    """
    if policy is Parts.FIRST:
        return said[0]
    if policy is Parts.LAST:
        return said[-1]
    if policy is Parts.ANY:
        return True if True in said else False if False in said else None
    return False if False in said else True if all(said) else None
