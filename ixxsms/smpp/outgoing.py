"""Messages on their way out: cut, queued, put into the window, and settled with exactly one outcome each.

The segments of a message stay together: it is accepted when all are, and where one is refused the others' answers are
waited for before the outcome is told. Must never know the link: it is told what was written and what came back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache

from smpplib import consts

from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Noted, Refused, Submission, Warned
from ixxsms.smpp import pdu
from ixxsms.smpp.address import Plan, digits
from ixxsms.smpp.coding import Coding
from ixxsms.smpp.status import Class, Status, label, look_up
from ixxsms.smpp.throttle import Throttle
from ixxsms.smpp.window import Window

RETRY_AFTER = 30.0  #: seconds before a trunk tries again what it could not take

MOST_LATE = 10_000  #: so many overdue answers are waited for at most, the last ones, while the link lives

#: answers to a time field that the SMSC does not like
_TIMES_REFUSED = {consts.SMPP_ESME_RINVSCHED, consts.SMPP_ESME_RINVEXPIRY}
_NONE: frozenset[int] = frozenset()


class _Message:
    """A message that owes its outcome and has something to remember until then.

    `open`: segments whose answer is still to come, written or not. `overdue`: those given up. `timed`: it was
    made with a validity period.
    """

    __slots__ = (
        "begun", "bodies", "cleared", "doubt", "failed", "failure", "ids", "message_id", "open", "order", "overdue",
        "submission", "taken", "timed",
    )  # fmt: skip

    def __init__(self, submission: Submission, order: int, bodies: list[bytes], timed: bool = False) -> None:
        self.message_id = submission.message_id
        self.submission = submission
        self.order = order
        self.bodies = bodies
        self.timed = timed
        self.open = len(bodies)
        self.ids = [""] * self.open
        self.taken = self.overdue = 0
        self.cleared: frozenset[int] = _NONE  # segments that went again without their validity period
        self.begun = False
        self.failure: Status | None = None
        self.failed = 0  # which segment it was, from 0
        self.doubt = ""

    def is_known(self) -> bool:
        """Whether there is nothing to doubt: all of it was taken, or it was refused with no answer owed."""
        return not self.overdue and (self.taken == len(self.bodies) or self.failure is not None)


#: as in coding.Template
_Pieces = tuple[tuple[bytes, bytes], ...]
#: A segment that waits for its turn: the order of its message, which segment, the message, the body of the submit_sm.
#: Of a message with one segment and no validity period there is nothing to remember until it is answered, so that it is
#: the Submission itself; the bodies of any other are in the _Message.
_Piece = tuple[int, int, Submission | _Message, bytes]
#: a segment in flight: when it is overdue, since when it is in the window, where its last octet stands in the stream
_Flight = tuple[float, float, int, _Piece]


def _message_of(piece: _Piece) -> _Message:
    order, _, message, body = piece
    return message if isinstance(message, _Message) else _Message(message, order, [body])


class Outgoing:
    """`window` segments at most are unanswered; each is in doubt `response_timeout` seconds after it was written.

    An SMSC that is only slow answers after that, and its answer still settles the message: the one case of a second
    outcome, for an InDoubt.
    """

    def __init__(
        self,
        window: int,
        response_timeout: float,
        *,
        coding: Coding | None = None,
        plan: Plan | None = None,
        errors: Mapping[int, Status] | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.trouble: Status | None = None  #: an answer that concerns the whole trunk (stop, rebind)
        self.owed = 0
        self._size = self._limit = window
        self._timeout = response_timeout
        self._coding = coding or Coding()
        self._validity = self._coding.validity
        # Campaigns send one text to many.
        self._template = lru_cache(maxsize=512)(self._make_template)
        self._head = lru_cache(maxsize=1000)(self._make_head)
        self._plan = plan or Plan()
        self._errors = errors or {}
        self._flights: Window[_Flight] = Window()
        self._pending: deque[_Piece] = deque()
        self._again: list[_Piece] = []
        self._late: dict[int, tuple[int, _Message]] = {}  # which segment of which, by sequence number
        self._throttle = throttle or Throttle()
        self._sequence = 0
        self._order = 0
        self._misfits = 0  # answers in a row that say that the trunk itself is set up wrongly

    def next_sequence(self) -> int:
        self._sequence = self._sequence % pdu.MAX_SEQUENCE + 1
        return self._sequence

    def room(self) -> int:
        if self._throttle.paused:
            return 0
        return max(0, self._limit - len(self._flights) - len(self._pending) - len(self._again))

    def idle(self) -> bool:
        return not (self._flights or self._pending or self._again)

    def waiting(self) -> int:
        """How many segments wait for their turn."""
        return len(self._pending) + len(self._again)

    def next_deadline(self, sending: bool) -> float:
        """When `expire` has something to do, or `pump` where it may send; infinity if never."""
        overdue, throttle = self._flights.next_deadline(), self._throttle
        if sending and throttle.limited and (throttle.paused or (self._pending and len(self._flights) < self._limit)):
            return min(overdue, throttle.next_at)
        return overdue

    def submit(self, batch: Sequence[Submission], at: float = 0.0) -> None:
        """Queue messages. One that can never be put into a PDU is refused. `at`: the Unix time, for validities."""
        period = self._validity.period(at) if self._validity else b""
        template, pending = self._template, self._pending
        first = self._order + 1
        self._order += len(batch)
        self.owed += len(batch)
        for order, submission in enumerate(batch, first):
            try:
                head, pieces, _ = template(submission.sender_id, submission.national, submission.text, period)
                number = digits(submission.destination)
            except BadInput as error:
                self._outcome(Refused(submission.message_id, str(error)))
                continue
            if len(pieces) == 1 and not period:
                pending.append((order, 0, submission, head + number + pieces[0][0]))
            else:
                message = _Message(submission, order, self._bodies(submission, period), bool(period))
                pending.extend((order, index, message, b"") for index in range(message.open))

    def _bodies(self, submission: Submission, period: bytes) -> list[bytes]:
        """The bodies of its submit_sm."""
        head, pieces, octets = self._template(submission.sender_id, submission.national, submission.text, period)
        head += digits(submission.destination)
        # Of the message's own number: senders that begin anew, or share the work, must not repeat one another's.
        reference = (submission.message_id % 256**octets).to_bytes(octets, "big")
        return [head + before + reference + after for before, after in pieces]

    def _make_template(self, sender_id: str, national: bool, text: str, period: bytes) -> tuple[bytes, _Pieces, int]:
        """What stands before the digits of the number, and the pieces and the reference of a coding.Template for what
        comes after them. What needs no reference is in the first half of its piece.
        """
        head = self._head(sender_id) + self._plan.destination_types(national)
        pieces, reference = self._coding.template(text, period)
        if not reference:
            return head, tuple((b"\0" + before + after, b"") for before, after in pieces), 0
        return head, tuple((b"\0" + before, after) for before, after in pieces), reference

    def _make_head(self, sender_id: str) -> bytes:
        return pdu.submit_head(self._coding.service_type, self._plan.source(sender_id))

    def pump(self, now: float, out: bytearray, flushed: int) -> None:
        """Put what the window has room for into `out`, before which `flushed` octets have left."""
        throttle = self._throttle
        if not (self._pending or self._again or throttle.limited):
            return
        if now >= throttle.measure_at:
            throttle.measure(now)
        room: float = self._limit - len(self._flights)
        if throttle.limited:
            room = min(room, throttle.allowed(now))
        if self._again and not throttle.paused:
            self._requeue()
        pending = self._pending
        if not pending or room < 1:
            return
        deadline, end, sequence, made = now + self._timeout, flushed + len(out), self._sequence, []
        flights: dict[int, _Flight] = {}
        for _ in range(min(len(pending), int(room))):
            piece = pending.popleft()
            _, index, message, body = piece
            if isinstance(message, _Message):
                message.begun = True
                body = message.bodies[index]
            sequence = sequence % pdu.MAX_SEQUENCE + 1
            octets = pdu.submit_sm(sequence, body)
            end += len(octets)
            flights[sequence] = (deadline, now, end, piece)
            made.append(octets)
        self._sequence = sequence
        self._flights.register(flights)
        out += b"".join(made)
        if throttle.limited:
            throttle.spend(len(made))

    def answered(self, sequence: int, status: int, body: bytes, now: float) -> None:
        """A submit_sm_resp or a generic_nack came."""
        flight = self._flights.complete(sequence)
        if flight is None:
            self._answered_late(sequence, status, body)
            return
        _, since, _, piece = flight
        _, index, message, _ = piece
        self._limit = self._size
        if status == 0:
            self._misfits = 0
            self._throttle.taken += 1
            if self._throttle.limited:
                self._throttle.accepted(since)
            if not isinstance(message, _Message):
                self._outcome(Accepted(message.message_id, (pdu.parse_id(body),)))
                return
            message.ids[index] = pdu.parse_id(body)
            message.taken += 1
        else:
            message = _message_of(piece)
            if not self._failed(message, index, look_up(status, self._errors), since, now):
                return
        message.open -= 1
        if not message.open:
            self._settle(message)

    def _answered_late(self, sequence: int, status: int, body: bytes) -> None:
        """The answer to what is in doubt for the want of it. Of a refusal only a final one tells anything new: whether
        the message is to be tried again is no longer decided here.
        """
        index, message = self._late.pop(sequence, (0, None))
        if message is None:
            return
        message.overdue -= 1
        if status == 0:
            message.ids[index] = pdu.parse_id(body)
            message.taken += 1
        elif message.failure is None:
            message.failure, message.failed = look_up(status, self._errors), index
        if message.open or not message.is_known():
            return
        if message.failure is None:
            self.events.append(Accepted(message.message_id, tuple(message.ids)))
            return
        refusal = self._refusal(message, message.failure)
        final = isinstance(refusal, Refused)
        self.events.append(refusal if final else Noted(refusal.code, refusal.reason))

    def _failed(self, message: _Message, index: int, status: Status, since: float, now: float) -> bool:
        """Note a refusal. False if the segment goes again, so that its answer is still to come."""
        if status.code in _TIMES_REFUSED and self._clear_validity(message, index, status):
            self._note(status)
            return False
        if status.in_a_row:
            self._misfits += 1
            if self._misfits >= status.in_a_row and self.trouble is None:
                self.trouble = status._replace(klass=Class.STOP)
        if status.klass is Class.THROTTLE:
            self._throttle.refused(since, now)
            if not message.failure and not message.doubt:
                self._note(status)
                message.begun = len(message.bodies) > 1
                self._again.append((message.order, index, message, b""))
                return False
        if status.klass in (Class.STOP, Class.REBIND) and self.trouble is None:
            self.trouble = status
        if message.failure is None:
            message.failure, message.failed = status, index
            self._drop_rest(message)
        else:
            self._note(status)
        return True

    def _clear_validity(self, message: _Message, index: int, status: Status) -> bool:
        """Send a segment once more without its validity period, and all that follow too: the SMSC wants none."""
        if not message.timed or message.failure or message.doubt or index in message.cleared:
            return False
        if self._validity is not None:
            self._validity = None
            self.events.append(Warned(f"the SMSC refuses the validity period, so messages go without one: {status}"))
        message.bodies = self._bodies(message.submission, b"")
        message.cleared = message.cleared | {index}
        message.begun = len(message.bodies) > 1
        self._again.append((message.order, index, message, b""))
        return True

    def _note(self, status: Status) -> None:
        self.events.append(Noted(label(status.code), str(status)))

    def _requeue(self) -> None:
        """What goes again goes first, in its old order."""
        self._again.sort(key=lambda piece: piece[:2])
        self._pending.extendleft(reversed(self._again))
        self._again.clear()

    def _drop_rest(self, message: _Message) -> None:
        """Take the segments that wait out of the queues: the message will not be whole."""
        if len(message.bodies) == 1:
            return
        before = len(self._pending) + len(self._again)
        self._pending = deque(piece for piece in self._pending if piece[2] is not message)
        self._again = [piece for piece in self._again if piece[2] is not message]
        message.open -= before - len(self._pending) - len(self._again)

    def expire(self, now: float) -> None:
        """What is unanswered for too long is in doubt, and then one segment at a time goes until an answer comes."""
        for sequence, (_, _, _, piece) in self._flights.expire(now).items():
            self._limit, message = 1, _message_of(piece)
            self._late[sequence] = piece[1], message
            message.overdue += 1
            message.doubt = f"The SMSC did not answer within {self._timeout:g} seconds."
            self._drop_rest(message)
            message.open -= 1
            if not message.open:
                self._settle(message)
        while len(self._late) > MOST_LATE:
            del self._late[next(iter(self._late))]

    def drop_unbegun(self, reason: str) -> None:
        """The trunk takes no more: hand back what has not begun. The rest of a long message may still follow."""
        keep: deque[_Piece] = deque()
        waiting = [*self._again, *self._pending]
        self._again = []
        for piece in waiting:
            _, index, message, _ = piece
            if isinstance(message, _Message) and message.begun:
                keep.append(piece)
            elif index == 0:
                self._outcome(Deferred(message.message_id, reason, elsewhere=True, counted=False))
        self._pending = keep

    def lost(self, written: int, reason: str) -> None:
        """The link is gone; `written` octets of the stream had left. Settle everything."""
        messages: dict[int, _Message] = {}
        for _, _, end, piece in self._flights.drain():
            message = messages[piece[0]] = _message_of(piece)
            if end <= written:
                message.overdue += 1
                message.doubt = message.doubt or reason
        messages.update((piece[0], _message_of(piece)) for piece in (*self._again, *self._pending))
        self._pending.clear()
        self._again.clear()
        self._late.clear()
        for message in sorted(messages.values(), key=lambda message: message.order):
            if message.taken and not message.failure:
                message.doubt = message.doubt or reason
            self._settle(message, reason)
        self.trouble, self._limit = None, self._size

    def _settle(self, message: _Message, lost: str = "") -> None:
        failure, count = message.failure, len(message.bodies)
        if message.doubt and not message.is_known():
            ids = tuple(message.ids) if count > 1 else ()
            if failure is not None:
                self._note(failure)
            where = f" ({message.taken} of {count} segments were accepted)" if count > 1 else ""
            self._outcome(InDoubt(message.message_id, message.doubt + where, ids))
        elif failure is not None:
            self._outcome(self._refusal(message, failure))
        elif lost:
            self._outcome(Deferred(message.message_id, lost, elsewhere=True, counted=False))
        else:
            self._outcome(Accepted(message.message_id, tuple(message.ids)))

    def _refusal(self, message: _Message, status: Status) -> Refused | Deferred:
        code, reason, klass = label(status.code), str(status), status.klass
        count = len(message.bodies)
        if count > 1:
            reason = f"segment {message.failed + 1} of {count} refused: {reason}"
        if klass is Class.PERMANENT or message.taken:
            # A part of it is on its way: sending the whole again would send that part twice.
            return Refused(message.message_id, reason, code)
        if klass is Class.RETRY:
            return Deferred(message.message_id, reason, code, retry_after=RETRY_AFTER)
        counted = klass is Class.NEXT
        return Deferred(message.message_id, reason, code, elsewhere=True, counted=counted)

    def _outcome(self, event: Accepted | Refused | Deferred | InDoubt) -> None:
        self.owed -= 1
        self.events.append(event)
