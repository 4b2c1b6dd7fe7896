"""The SMPP trunk: one bind or several, each with a link and a window of its own, waited for together.

Knows the clock and which message goes over which bind, nothing of PDUs and sockets. Must never hold the caller longer
than `poll` was given; only the resolution of the SMSC's name may.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable, Sequence

from ixxsms.drivers.base import Bell, Driver, Link, TrunkConfig
from ixxsms.drivers.smpp_link import Place, SmppLink
from ixxsms.events import Event, Received, Submission
from ixxsms.smpp import coding, pdu
from ixxsms.smpp.address import Plan
from ixxsms.smpp.options import OPTIONS, SECRETS, VERSIONS, check_options, receipt_rules
from ixxsms.smpp.presets import fields as preset
from ixxsms.smpp.session import Account, Session, Settings, State, Token
from ixxsms.smpp.status import errors
from ixxsms.smpp.throttle import Throttle

__all__ = ["OPTIONS", "SECRETS", "SmppDriver", "check_options", "open_driver", "preset"]

CLOSE_SECONDS = 1.0
#: Seconds without a `poll` after which what the SMSC has said meanwhile is heard before the time may act.
STALL_SECONDS = 1.0
STALL_READS = 100  #: the most that are made of each link for that

_BOUND = State.BOUND  # looked at often, and slow to look up in its class


class SmppDriver:
    """The driver of an SMPP trunk. The password comes from the TrunkConfig alone."""

    def __init__(
        self,
        config: TrunkConfig,
        *,
        reconnect: tuple[float, float] = (1.0, 60.0),
        login_retry: tuple[float, float] = (30.0, 60.0),
    ) -> None:
        options = check_options(config.options)
        pdu.check_field("password", config.password)
        self.link, self.why = Link.STARTING, "The trunk is being connected."
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._selector.register(self._bell.socket, selectors.EVENT_READ)
        self._rung = False
        self._events: list[Event] = []
        self._polled = time.monotonic()
        self._throttle = Throttle()
        self._accounts: dict[tuple[str, str], Account] = {}
        self._options, self._config, self._times = options, config, (reconnect, login_retry)
        sends = "tx" if options["bind"] == "tx+rx" else options["bind"]
        self._links: list[SmppLink] = []
        for _ in range(options["binds"]):
            self._add(sends, options["host"], options["port"], options["user"], config.password)
        #: the links that the trunk is there for: those that send, if any do
        self._senders = list(self._links)
        if options["bind"] == "tx+rx":
            self._add(
                "rx",
                options["rx_host"] or options["host"],
                options["rx_port"] or options["port"],
                options["rx_user"] or options["user"],
                options["rx_password"] or config.password,
            )

    def _add(self, bind: str, host: str, port: int, user: str, password: str) -> None:
        options, config = self._options, self._config
        reconnect, login_retry = self._times
        account = self._accounts.setdefault((user, password), Account(login_retry))
        settings = Settings(
            user=user,
            password=password,
            system_type=options["system_type"],
            bind=bind,
            version=VERSIONS[options["interface_version"]],
            addresses=(options["address_ton"], options["address_npi"], options["address_range"]),
            window=options["window"],
            response_timeout=config.response_timeout,
            coding=coding.of_options(options, config.receipts),
            enquire_link=options["enquire_link"],
            plan=Plan(*(options[name] for name in ("source_ton", "source_npi", "dest_ton", "dest_npi"))),
            errors=errors(options["provider"], options["errors"]),
            receipt_rules=receipt_rules(options),
            reconnect=reconnect,
        )
        session = Session(settings, account, self._throttle, len(self._links))
        place = Place(host, port, options["tls"], options["tls_ca"], options["tls_verify"])
        first = all(link.place != place or link.session.account is not account for link in self._links)
        self._links.append(SmppLink(session, place, self._selector, self._events, first))

    def room(self) -> int:
        room = sum([link.session.room() for link in self._senders])
        if room and self._throttle.limited:
            waiting = sum(link.session.waiting() for link in self._senders)
            room = max(0, min(room, self._throttle.ahead - waiting))
        return room

    def in_flight(self) -> int:
        return sum([link.session.in_flight() for link in self._senders])

    def submit(self, batch: Sequence[Submission]) -> None:
        now, at = time.monotonic(), time.time()
        if len(self._senders) == 1:
            self._senders[0].submit(batch, now, at)
            return
        rooms = [link.session.room() for link in self._senders]
        batches: list[list[Submission]] = [[] for _ in rooms]
        for submission in batch:
            widest = rooms.index(max(rooms))
            rooms[widest] -= submission.segments
            batches[widest].append(submission)
        for link, part in zip(self._senders, batches, strict=True):
            if part:
                link.submit(part, now, at)

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        for link, its in self._by_link(tokens):
            link.session.acknowledge(its)

    def refuse(self, tokens: Iterable[Token]) -> None:
        for link, its in self._by_link(tokens):
            link.session.refuse(its)

    def _by_link(self, tokens: Iterable[Token]) -> list[tuple[SmppLink, list[Token]]]:
        """Only the link that something came on can take the answer."""
        its: dict[int, list[Token]] = {}
        for token in tokens:
            its.setdefault(token.bind, []).append(token)
        return [(self._links[bind], tokens_of_it) for bind, tokens_of_it in its.items()]

    def poll(self, timeout: float) -> list[Event]:
        """Connect, write and read; returns as soon as there is an event or the link changed, else after `timeout`."""
        now = self._hear_first()
        until, link, self._rung = now + timeout, self.link, False
        self._advance(now)
        while True:
            news = bool(self._events) or self.link is not link
            now = self._wait(0.0 if news else max(0.0, min(until, self._next_deadline()) - now))
            self._advance(now)
            if self._events or self.link is not link or self._rung or now >= until:
                self._polled = now
                return self._take()

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> list[Event]:
        """Unbind politely, a second at most. An SMS from outside is left: it comes again, for it can no longer be
        acknowledged.
        """
        now = self._hear_first()
        until = now + CLOSE_SECONDS
        for link in self._links:
            link.session.leave("The trunk was closed.", now, CLOSE_SECONDS * 0.7)
        while True:
            # Not `poll`: a link that falls while it is closed must not be made again.
            self._advance(now, connect=False)
            closing = [link for link in self._links if link.closing()]
            if not closing or now >= until:
                break
            now = self._wait(max(0.0, min(until, *(link.next_deadline() for link in closing)) - now))
        for link in self._links:
            link.lose("The trunk was closed.", now)
        self._look(now)
        self._polled = float("inf")
        self._selector.close()
        self._bell.close()
        return [event for event in self._take() if not isinstance(event, Received)]

    def _take(self) -> list[Event]:
        events = self._events[:]
        self._events.clear()
        return events

    def _hear_first(self) -> float:
        """The time; after a stall of the caller, not before what lies in the sockets was read.

        The answers in there came in time: by the clock alone their messages would now be in doubt.
        """
        if time.monotonic() - self._polled > STALL_SECONDS:
            for _ in range(STALL_READS):
                ready = [(key.data, mask) for key, mask in self._selector.select(0) if key.data is not None]
                for link, mask in ready:
                    link.ready(mask, time.monotonic())
                if not any(mask & selectors.EVENT_READ for _, mask in ready):
                    break
        return time.monotonic()

    def _wait(self, seconds: float) -> float:
        """Wait for a link or the bell, and hear what came; the time is then the one returned."""
        ready = self._selector.select(seconds)
        now = time.monotonic()
        for key, mask in ready:
            if key.data is None:
                self._bell.silence()
                self._rung = True
            else:
                key.data.ready(mask, now)
        return now

    def _advance(self, now: float, connect: bool = True) -> None:
        for link in self._links:
            link.advance(now, connect)
        self._look(now)

    def _next_deadline(self) -> float:
        return min([link.next_deadline() for link in self._links])

    def _look(self, now: float) -> None:
        """What the link of the trunk is now."""
        missing = [link for link in self._links if link.session.state is not _BOUND or link.session.stopped]
        if not missing:
            self.link, self.why = Link.UP, ""
            return
        stopped = next((link.session.stopped for link in missing if link.session.stopped), "")
        if stopped:
            self.link, self.why = Link.STOPPED, stopped
            for link in self._links:
                link.session.halt(stopped, now)
        elif any(link.session.state is _BOUND for link in self._senders):
            self.link, self.why = Link.UP, self._partly(missing)
        elif self._senders[0].tried:
            first = self._senders[0].session
            self.link, self.why = Link.DOWN, first.why or "The trunk is being connected again."

    def _partly(self, missing: list[SmppLink]) -> str:
        bound, whole = len(self._links) - len(missing), len(self._links)
        what = "The receiver is not bound" if missing == self._links[len(self._senders) :] else ""
        reason = next((link.session.why for link in missing if link.session.why), "")
        return f"{what or f'{bound} of {whole} binds are up'}{': ' if reason else '.'}{reason}"


open_driver: Callable[[TrunkConfig], Driver] = SmppDriver
