"""One SMPP 3.4 session of an ESME, over one link after the other: bytes and the time in, events and bytes out.

Whoever holds the socket tells it what happened (`connected`, `receive`, `sent`, `lost`, `tick`), writes what stands in
`out`, and closes the link once `over` says why. The sessions of one trunk share its Throttle, and those that log in
with the same user its Account. Must never know sockets, clocks or the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from smpplib import consts

from ixxsms.errors import ProtocolError
from ixxsms.events import Event, Noted, Stopped, Submission
from ixxsms.smpp import incoming, pdu
from ixxsms.smpp.address import Plan
from ixxsms.smpp.backoff import Backoff
from ixxsms.smpp.coding import Coding
from ixxsms.smpp.outgoing import Outgoing
from ixxsms.smpp.receipt import Rules
from ixxsms.smpp.status import Class, Status, label, look_up
from ixxsms.smpp.throttle import Throttle
from ixxsms.smpp.timers import Due, Timers

#: bind answers after which trying on would only lock the account
LOGIN_ERRORS = {consts.SMPP_ESME_RINVPASWD, consts.SMPP_ESME_RINVSYSID, consts.SMPP_ESME_RINVSYSTYP}
LOGIN_TRIES = 3
LOGIN_REST = 3600.0  #: seconds before a bind is tried again that is refused while another of its account is bound
FAILED_REST = (
    600.0  #: the most seconds between two tries of an account whose binds have all failed, for whatever reason
)
LEAVE_WITHIN = 5.0  #: seconds that a trunk which must end waits for the answers that it is owed
_BIND_ANSWERS = {command | pdu.RESPONSE for command in pdu.BINDS.values()}
_OVERDUE = {
    Due.LINK_DEAD: "The SMSC does not answer any more: its enquire_link is overdue.",
    Due.BIND_OVERDUE: "The SMSC did not answer the login in time.",
    Due.UNBIND_OVERDUE: "The SMSC did not answer the unbind in time.",
}


class State(Enum):
    CLOSED = "closed"
    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"


_BOUND = State.BOUND  # looked at often, and slow to look up in its class


@dataclass(frozen=True)
class Settings:
    """What a session is built from. Times in seconds; `bind`, `version` and `addresses` as in pdu.bind."""

    user: str
    password: str = field(default="", repr=False)
    system_type: str = ""
    bind: str = "trx"
    version: int = 0x34
    addresses: tuple[int, int, str] = (0, 0, "")
    window: int = 10
    response_timeout: float = 30.0
    coding: Coding = field(default_factory=Coding)
    enquire_link: float = 30.0
    answer_timeout: float = 10.0
    plan: Plan = field(default_factory=Plan)
    errors: dict[int, Status] = field(default_factory=dict)
    receipt_rules: Rules = field(default_factory=Rules)
    reconnect: tuple[float, float] = (1.0, 60.0)


@dataclass(frozen=True, slots=True)
class Token:
    """What a receipt or an incoming message is acknowledged by: only the link that it came on can take the answer.

    `bind`: the number of the session; `link`: of its links, counted from 1.
    """

    bind: int
    link: int
    command: int
    sequence: int


class Account:
    """What the binds of one user know together, so that a wrong password is not tried by each of them."""

    def __init__(self, retry: tuple[float, float] = (30.0, 60.0)) -> None:
        self.bound = 0  #: how many of its binds are bound
        self.ever_bound = False
        self.refusals = 0  #: logins in a row that were refused while none was bound
        self.backoff = Backoff(*retry)
        self.failing = Backoff(retry[0], FAILED_REST)

    @property
    def proven(self) -> bool:
        """Whether the last login was no wrong one; else only one bind should try."""
        return self.ever_bound and not self.refusals


class Session:
    """`number`: which of its trunk's binds it is."""

    def __init__(
        self,
        settings: Settings,
        account: Account | None = None,
        throttle: Throttle | None = None,
        number: int = 0,
    ) -> None:
        self.state = State.CLOSED
        self.out = bytearray()  #: to be written; `sent` takes away what was
        self.over = ""  #: why the link has to be closed, once it has
        self.why = ""  #: why the session is not bound
        self.stopped = ""  #: why it must not be opened again
        self.retry_in = 0.0  #: seconds to wait before the next link
        self.account = account or Account()
        self._settings, self._number = settings, number
        self._frames = pdu.Frames()
        self._timers = Timers(settings.enquire_link, settings.answer_timeout)
        self._outgoing = Outgoing(
            settings.window,
            settings.response_timeout,
            coding=settings.coding,
            plan=settings.plan,
            errors=settings.errors,
            throttle=throttle,
        )
        self._backoff = Backoff(*settings.reconnect)
        self._flushed = 0  # octets of this link that were written
        self._link = 0
        self._bound_at: float | None = None
        self._login_wait: float | None = None
        self._leaving = ""
        self._leave_by = float("inf")

    # What the owner asks

    def room(self) -> int:
        """How many segments it takes now."""
        open_to = self.state is _BOUND and not self._leaving and self._settings.bind != "rx"
        return self._outgoing.room() if open_to else 0

    def waiting(self) -> int:
        """How many segments it took that wait for their turn."""
        return self._outgoing.waiting()

    def in_flight(self) -> int:
        """How many messages owe their outcome."""
        return self._outgoing.owed

    def next_deadline(self) -> float:
        """When `tick` has something to do; infinity if never."""
        outgoing = self._outgoing.next_deadline(sending=self.state is _BOUND)
        return min(self._timers.next(), outgoing, self._leave_by)

    # What the owner does

    def connected(self, now: float) -> None:
        """There is a link: log in on it."""
        self._link += 1
        self._flushed, self.over, self._frames = 0, "", pdu.Frames()
        self.out.clear()
        self._login_wait, self._bound_at = None, None
        self.state = State.BINDING
        settings, sequence = self._settings, self._outgoing.next_sequence()
        self.out += pdu.bind(
            settings.bind,
            sequence,
            settings.user,
            settings.password,
            settings.system_type,
            version=settings.version,
            addresses=settings.addresses,
        )
        self._timers.bind_sent(now)

    def submit(self, batch: Sequence[Submission], now: float, at: float = 0.0) -> None:
        """Take messages; each gets its outcome, at the latest when the link is lost. `at`: the same in Unix time."""
        self._outgoing.submit(batch, at)
        if self.state is not _BOUND or self._leaving or self._settings.bind == "rx":
            self._outgoing.drop_unbegun(self._leaving or self.why or "The trunk is not logged in.")
        self._pump(now)

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """These came and are kept. Those of an earlier link are left: the SMSC sends them again."""
        self._answer_deliveries(tokens, 0)

    def refuse(self, tokens: Iterable[Token]) -> None:
        """These came and cannot be kept now: a temporary error, after which the SMSC sends them again later."""
        self._answer_deliveries(tokens, consts.SMPP_ESME_RX_T_APPN)

    def _answer_deliveries(self, tokens: Iterable[Token], status: int) -> None:
        if self.state in (State.BOUND, State.UNBINDING):
            for token in tokens:
                if token.link == self._link:
                    self.out += pdu.answer(token.command, status, token.sequence, b"")

    def sent(self, count: int) -> None:
        """The first `count` octets of `out` were written."""
        self._flushed += count
        del self.out[:count]

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came, in pieces of any size. Never raises: a broken stream sets `over`."""
        answered = self._outgoing.answered
        try:
            for command, status, sequence, body in self._frames.feed(data):
                if command == pdu.SUBMIT_SM_RESP:
                    answered(sequence, status, body, now)
                else:
                    self._handle(command, status, sequence, body, now)
        except ProtocolError as error:
            self.over = str(error)
        self._timers.heard(now)
        self._look_at_trouble(now)
        self._pump(now)
        return self._take()

    def tick(self, now: float) -> list[Event]:
        """Do what the time asks for."""
        due = self._timers.tick(now)
        if due is Due.ENQUIRE:
            self.out += pdu.request(pdu.ENQUIRE_LINK, self._outgoing.next_sequence())
        elif due is not None:
            self.over = self.over or _OVERDUE[due]
        self._outgoing.expire(now)
        self._pump(now)
        return self._take()

    def leave(self, why: str, now: float, within: float = LEAVE_WITHIN) -> None:
        """Unbind once what was begun is answered, or after `within` seconds. Takes nothing more."""
        if self.state is State.BOUND and not self._leaving:
            self._leaving, self._leave_by = why, now + within
            self._outgoing.drop_unbegun(why)
            self._pump(now)
        elif self.state is State.BINDING:
            self.over = why

    def halt(self, why: str, now: float) -> None:
        """Another bind says that the trunk must not go on: end this one as well."""
        if not self.stopped:
            self.stopped = why
            self.leave(why, now)

    def lost(self, why: str, now: float) -> list[Event]:
        """The link is gone, or could not be made. Everything that is unanswered gets its outcome."""
        self.why = self.stopped or self.over or why
        self.state, self.over = State.CLOSED, ""
        self._leaving, self._leave_by = "", float("inf")
        self._timers.stop()
        self.out.clear()
        self._outgoing.lost(self._flushed, self.why)
        if self._bound_at is not None:
            if now - self._bound_at > self._settings.reconnect[0]:
                self._backoff.reset()  # a link that falls at once again must not be tried every second
            self.account.bound -= 1
        self.retry_in = self._backoff.next() if self._login_wait is None else self._login_wait
        self._bound_at, self._login_wait = None, None
        return self._take()

    # What the other side does

    def _handle(self, command: int, status: int, sequence: int, body: bytes, now: float) -> None:
        if command in (pdu.DELIVER_SM, pdu.DATA_SM):
            self._deliver(command, sequence, body)
        elif command == pdu.ENQUIRE_LINK:
            self.out += pdu.answer(command, 0, sequence)
        elif command in _BIND_ANSWERS or (command == pdu.GENERIC_NACK and self.state is State.BINDING):
            self._bind_answered(status if command != pdu.GENERIC_NACK else status or 0xFF, now)
        elif command == pdu.GENERIC_NACK:
            self._outgoing.answered(sequence, status or 0xFF, b"", now)
        elif command == pdu.UNBIND:
            self.out += pdu.answer(command, 0, sequence)
            self.over = "The SMSC ended the session (unbind)."
        elif command == pdu.UNBIND_RESP:
            self.over = self._leaving or "The SMSC ended the session."
        elif not command & pdu.RESPONSE and command not in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND):
            self.out += pdu.answer(pdu.GENERIC_NACK, consts.SMPP_ESME_RINVCMDID, sequence)

    def _deliver(self, command: int, sequence: int, body: bytes) -> None:
        if self.state not in (State.BOUND, State.UNBINDING):
            self.out += pdu.answer(command, consts.SMPP_ESME_RINVBNDSTS, sequence, b"")
            return
        message = pdu.parse_message(command, body)
        if message is None:
            # Nobody will ever read it: a temporary error would bring it again and again.
            self.out += pdu.answer(command, consts.SMPP_ESME_RX_P_APPN, sequence, b"")
            return
        token = Token(self._number, self._link, command, sequence)
        settings = self._settings
        self._outgoing.events.append(incoming.event(message, token, settings.coding, settings.receipt_rules))

    def _bind_answered(self, code: int, now: float) -> None:
        if self.state is not State.BINDING or self.over:
            return
        account = self.account
        if code == 0:
            self.state, self.why, self._bound_at = State.BOUND, "", now
            account.bound += 1
            account.ever_bound, account.refusals = True, 0
            account.backoff.reset()
            self._timers.bound(now)
            return
        status = look_up(code, self._settings.errors)
        self._outgoing.events.append(Noted(label(code), str(status)))
        self.over = f"The SMSC refuses the login: {status}."
        if code not in LOGIN_ERRORS:
            # Some SMSCs say 'bind failed' to a wrong password, others to one bind too many: that of another daemon, or
            # an old one that lives on. A stop would take the trunk from the others too: it is tried ever less often, as
            # a wrong password must not lock the account.
            if code == consts.SMPP_ESME_RBINDFAIL and not account.ever_bound:
                self._login_wait = account.failing.next()
            return
        if account.bound:
            self._login_wait = LOGIN_REST  # the user and the password are right: it is one bind too many
            return
        self._login_wait = account.backoff.next()
        account.refusals += 1
        if account.refusals >= LOGIN_TRIES:
            whose = "the receiver's" if self._settings.bind == "rx" else "the"
            self._stop(f"the SMSC refuses {whose} login: {status}")

    def _look_at_trouble(self, now: float) -> None:
        status: Status | None = self._outgoing.trouble
        if status is None or self._leaving or self.over:
            return
        if status.klass is Class.STOP:
            self._stop(f"the SMSC refuses every message: {status}")
        self.leave(f"The SMSC refuses to go on: {status}.", now)

    def _stop(self, reason: str) -> None:
        if not self.stopped:
            self.stopped = reason
            self._outgoing.events.append(Stopped(reason))

    def _pump(self, now: float) -> None:
        if self.state is not _BOUND or self.over:
            return
        self._outgoing.pump(now, self.out, self._flushed)
        if self._leaving and (self._outgoing.idle() or now >= self._leave_by):
            self.state, self._leave_by = State.UNBINDING, float("inf")
            self.out += pdu.request(pdu.UNBIND, self._outgoing.next_sequence())
            self._timers.unbind_sent(now)

    def _take(self) -> list[Event]:
        events = self._outgoing.events
        if not events:
            return []
        self._outgoing.events = []
        return events
