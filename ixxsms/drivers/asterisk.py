"""The trunk that is an Asterisk: over its manager interface, to a SIP trunk or to a GSM device of its own.

Knows which options there are, and is the driver that the sender's thread calls. The link and its actions live in an
asyncio loop in a thread of their own (`asterisk_sending`); events come back through a queue and the bell.
"""

from __future__ import annotations

import queue
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from ixxsms.drivers.asterisk_sending import Sending, Settings
from ixxsms.drivers.base import Bell, Driver, Link, TrunkConfig
from ixxsms.errors import BadInput, Error
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Receipt, Received, Refused, Submission

__all__ = ["OPTIONS", "AsteriskDriver", "check_options", "open_driver"]

VIAS = ("message", "dongle", "quectel")

#: Seconds for the answers that are owed when the trunk is closed.
CLOSE_SECONDS = 1.0

#: Seconds after which an event that could not be stored comes again, and how many are kept for that.
AGAIN, MOST_KEPT = 5.0, 10_000

LONGEST_PASSWORD = 900  #: bytes: with its name before it, it is one line

_DEVICE = re.compile(r"[A-Za-z0-9_.:+-]{1,80}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Option(NamedTuple):
    default: Any
    check: Callable[[str, Any], Any]  #: (name, value given) -> the value to keep; raises BadInput
    help: str


def _text(name: str, value: Any) -> str:
    text = str(value).strip()
    if len(text) > 200 or not text.isprintable():
        raise BadInput(f"The {name} of an asterisk trunk must be one line of 200 characters at most.")
    return text


def _number(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise BadInput(f"The {name} of an asterisk trunk must be a number from {low} to {high}.")
        return number

    return check


def _yes_or_no(name: str, value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("yes", "no", "true", "false"):
        raise BadInput(f"The {name} of an asterisk trunk must be yes or no.")
    return word in ("yes", "true")


def _via(name: str, value: Any) -> str:
    if str(value) not in VIAS:
        raise BadInput(f"The {name} of an asterisk trunk must be one of {', '.join(VIAS)}.")
    return str(value)


def _device(name: str, value: Any) -> str:
    if str(value) and not _DEVICE.fullmatch(str(value)):
        raise BadInput(f"The {name} of an asterisk trunk can have letters, digits and _ . : + - only.")
    return str(value)


def _template(known: str) -> Callable[[str, Any], str]:
    """A text in which {known} may stand, and no other placeholder."""

    def check(name: str, value: Any) -> str:
        text = _text(name, value)
        if set(_PLACEHOLDER.findall(text)) - {known} or "{" in _PLACEHOLDER.sub("", text).replace("}", "{"):
            raise BadInput(f"The {name} of an asterisk trunk knows {{{known}}}, and no other braces.")
        return text

    return check


OPTIONS: dict[str, Option] = {
    "host": Option("127.0.0.1", _text, "Where Asterisk's manager interface listens."),
    "port": Option(5038, _number(1, 65535), "Its port."),
    "user": Option("ixxsms", _text, "The user of the manager interface; the trunk's password is its secret."),
    "via": Option("message", _via, "What sends it: message (SIP MESSAGE), dongle or quectel (GSM devices)."),
    "to": Option("", _template("number"), "message: where to, as pjsip:trunk/sip:+{number}@sip.example.net."),
    "from": Option("{sender}", _template("sender"), "message: who it is from; left out without a sender id."),
    "device": Option("", _device, "dongle, quectel: the device's name in dongle.conf or quectel.conf."),
    "number": Option("", _text, "dongle, quectel: our number, shown as where incoming SMS went; else the device."),
    "reports": Option(False, _yes_or_no, "dongle, quectel: ask the network for receipts; docs/asterisk-trunk.md."),
    "validity": Option(1440, _number(1, 10080), "dongle, quectel: minutes for which the network tries."),
    "window": Option(4, _number(1, 100), "How many messages may be under way at a time."),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an asterisk trunk, complete with defaults. Raises BadInput with one sentence."""
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise BadInput(f'An asterisk trunk has no option "{unknown[0][:40]}"; it has {", ".join(OPTIONS)}.')
    checked = {name: option.check(name, options.get(name, option.default)) for name, option in OPTIONS.items()}
    if not checked["host"]:
        raise BadInput("An asterisk trunk needs the host of the manager interface.")
    if checked["via"] == "message" and "{number}" not in checked["to"]:
        raise BadInput("An asterisk trunk needs to=, such as pjsip:trunk/sip:+{number}@sip.example.net, or via=dongle.")
    if checked["via"] != "message" and not checked["device"]:
        raise BadInput(f"An asterisk trunk via {checked['via']} needs the name of its device.")
    return checked


def _check_password(password: str) -> None:
    """Raises BadInput for what no line of the manager interface can carry; the sentence never shows it."""
    if set(password) & set("\r\n\0") or len(password.encode("utf-8", "replace")) > LONGEST_PASSWORD:
        raise BadInput(f"The password of an asterisk trunk must be one line of {LONGEST_PASSWORD} bytes at most.")


def open_driver(config: TrunkConfig) -> Driver:
    return AsteriskDriver(config)


class AsteriskDriver:
    """The driver of an asterisk trunk: the sender's side of it."""

    def __init__(self, config: TrunkConfig) -> None:
        options = check_options(config.options)
        _check_password(config.password)
        self.link, self.why = Link.STARTING, ""
        self._window = options["window"]
        self._open: set[int] = set()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._refused: deque[tuple[float, Event]] = deque(maxlen=MOST_KEPT)  # each with when it comes again
        self._bell = Bell()
        settings = Settings(
            host=options["host"],
            port=options["port"],
            user=options["user"],
            secret=config.password,
            via=options["via"],
            to=options["to"],
            sender=options["from"],
            device=options["device"],
            number=options["number"] or options["device"],
            reports=options["reports"],
            validity=options["validity"],
            patience=config.response_timeout,
        )
        self._sending = Sending(settings, self._emit, self._linked)
        self._thread = threading.Thread(target=self._sending.run, name=f"asterisk {config.name}", daemon=True)
        self._thread.start()

    # -- from the loop's thread ------------------------------------------------------------------------------------

    def _emit(self, event: Event) -> None:
        self._events.put(event)
        self._bell.ring()

    def _linked(self, link: Link, why: str) -> None:
        self.why = why
        self.link = link
        self._bell.ring()

    # -- from the sender's thread ----------------------------------------------------------------------------------

    def room(self) -> int:
        return max(0, self._window - len(self._open)) if self.link is Link.UP else 0

    def in_flight(self) -> int:
        return len(self._open)

    def submit(self, batch: Sequence[Submission]) -> None:
        self._open.update(submission.message_id for submission in batch)
        self._sending.submit(batch)

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        """Asterisk's events cannot be acknowledged."""

    def refuse(self, tokens: Iterable[Any]) -> None:
        """Nor does Asterisk bring them again: they are kept here."""
        self._refused += [(time.monotonic() + AGAIN, event) for event in tokens]

    def poll(self, timeout: float) -> list[Event]:
        alive = self._thread.is_alive()  # asked first: what it told before it ended is told on
        if self._events.empty() and alive:
            select.select([self._bell.socket], [], [], max(0.0, timeout))
        self._bell.silence()
        events = self._heard()
        if not alive and not events:  # so that the trunk is opened anew
            raise Error("The thread of the link to Asterisk has ended.")
        return events

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> list[Event]:
        self._sending.stop(CLOSE_SECONDS * 0.6)
        self._thread.join(CLOSE_SECONDS)
        events = self._heard() + [_with_token(event) for _, event in self._refused]
        events += [InDoubt(message_id, "The trunk was closed before Asterisk's answer.") for message_id in self._open]
        self._open.clear()
        self._bell.close()
        return events

    def _heard(self) -> list[Event]:
        events: list[Event] = []
        with suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                events.append(_with_token(event))
                if isinstance(event, Accepted | Refused | Deferred | InDoubt):
                    self._open.discard(event.message_id)
        while self._refused and self._refused[0][0] <= time.monotonic():
            events.append(_with_token(self._refused.popleft()[1]))
        return events


def _with_token(event: Event) -> Event:
    """What may be refused, and is then to come again, is its own token."""
    return replace(event, token=event) if isinstance(event, Receipt | Received) else event
