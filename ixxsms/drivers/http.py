"""The trunk that is an HTTP API: one request for each message, built from templates, its answer read by rules.

Knows which options there are and what each answer does to the link. An API has no link of its own: it is up when a
connection can be made, and is looked for again when none can. Must never send a message twice by itself.
"""

from __future__ import annotations

import random
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ixxsms.drivers.base import Bell, Driver, Link, TrunkConfig
from ixxsms.drivers.http_answer import Class, Judge, Judged
from ixxsms.drivers.http_client import Answered, Client, Failed, Heard, Probed
from ixxsms.drivers.http_presets import fields as preset
from ixxsms.drivers.http_template import CONTENTS, METHODS, Account, Template, Unsendable, reference
from ixxsms.drivers.http_webhook import SIGNATURES, read_webhook, signed
from ixxsms.drivers.http_webhook import check as check_webhook
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Outcome, Refused, Stopped, Submission
from ixxsms.smpp.backoff import Backoff

__all__ = ["OPTIONS", "HttpDriver", "check_options", "open_driver", "preset", "read_webhook", "signed"]

LONGEST = 4000  #: characters of one option


class Option(NamedTuple):
    default: Any
    check: Callable[[str, Any], Any]  #: (name, value given) -> the value to keep; raises BadInput
    help: str


def _text(name: str, value: Any) -> str:
    text = str(value).strip()
    if len(text) > LONGEST:
        raise BadInput(f"The {name} of an http trunk can have {LONGEST} characters at most.")
    return text


def _one_of(words: Sequence[str], change: Callable[[str], str]) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        word = change(str(value).strip())
        if word not in words:
            raise BadInput(f"The {name} of an http trunk must be one of {', '.join(words)}.")
        return word

    return check


def _number(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise BadInput(f"The {name} of an http trunk must be a number from {low} to {high}.")
        return number

    return check


def _yes_or_no(name: str, value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("yes", "no", "true", "false"):
        raise BadInput(f"The {name} of an http trunk must be yes or no.")
    return word in ("yes", "true")


def _charset(name: str, value: Any) -> str:
    charset = str(value).strip().lower()
    try:
        "a".encode(charset or "ascii")
    except (LookupError, UnicodeError):
        raise BadInput(f"The {name} of an http trunk is not known: {charset[:40]!a}.") from None
    return charset


OPTIONS: dict[str, Option] = {
    "url": Option("", _text, "The API's URL; its path and query may hold placeholders."),
    "method": Option("POST", _one_of(METHODS, str.upper), "GET, POST or PUT."),
    "content": Option("form", _one_of(CONTENTS, str.lower), "What the body is: json, form, text, or query for none."),
    "query": Option("", _text, "Fields of the URL, name={placeholder}&name={placeholder}."),
    "body": Option("", _text, "Fields of the form, as for query; or JSON with placeholders in its strings."),
    "headers": Option("", _text, "One Name: value in a line; {basic} is user and password for Authorization: Basic."),
    "user": Option("", _text, "What {user} stands for."),
    "charset": Option("utf-8", _charset, "In which texts are sent."),
    "unicode_charset": Option("", _charset, "In which texts outside the GSM alphabet are sent, where it is another."),
    "window": Option(4, _number(1, 500), "How many requests may be under way at a time."),
    "tls_verify": Option(True, _yes_or_no, "Whether the API's certificate is checked: yes or no."),
    "tls_ca": Option("", _text, "A file with the certificate of the authority, where it is not a public one."),
    "remote_id": Option("", _text, "Where the answer has the message's id; {ref} where we give it ourselves."),
    "error": Option("", _text, "Where the answer has its error value."),
    "reason": Option("", _text, "Where the answer says why, for people."),
    "errors": Option("", _text, "What an error value means: 0=accepted, 1=throttle, 4=stop, *=next."),
    "http_status": Option("", _text, "What an HTTP status means, where it is not the usual: 503=retry."),
    "receipt_id": Option("", _text, "Webhook: where a receipt has the message's id."),
    "receipt_status": Option("", _text, "Webhook: where a receipt has its status."),
    "receipt_code": Option("", _text, "Webhook: where a receipt has its error code."),
    "receipt_number": Option("", _text, "Webhook: where a receipt has the number that the message went to."),
    "statuses": Option("", _text, "Webhook: what a status means: 1=delivered, 2=undelivered, 4=pending."),
    "incoming_id": Option("", _text, "Webhook: where an incoming SMS has its id; one that comes again is taken once."),
    "incoming_from": Option("", _text, "Webhook: where an incoming SMS has who wrote it."),
    "incoming_to": Option("", _text, "Webhook: where an incoming SMS has the number written to."),
    "incoming_text": Option("", _text, "Webhook: where an incoming SMS has its text."),
    "incoming_hex": Option("", _text, "Webhook: where it has its octets in hexadecimal, instead of a text."),
    "incoming_coding": Option("", _text, "Webhook: where it has the data_coding of these octets."),
    "webhook_auth": Option("token", _one_of(SIGNATURES, str.lower), "How a call of the webhook shows who made it."),
    "webhook_signature": Option("", _text, "The header of the signature, for hmac-sha256 and hmac-sha1."),
    "webhook_answer": Option("", _text, "What the webhook answers, where the API wants more than the status 200."),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an http trunk, complete with defaults. Raises BadInput with one sentence.

    A `preset` among them gives the values that are not given otherwise; it is not kept.
    """
    given = dict(options)
    named = given.pop("preset", None)
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise BadInput(f'An http trunk has no option "{unknown[0][:40]}"; see: ixxsms trunk kinds http')
    given = {**(preset(named) if named else {}), **given}
    checked = {name: option.check(name, given.get(name, option.default)) for name, option in OPTIONS.items()}
    Template(checked)
    Judge(checked)
    check_webhook(checked)
    if checked["webhook_auth"].startswith("hmac") and not checked["webhook_signature"]:
        raise BadInput("A signed webhook needs the name of the header with the signature (webhook_signature).")
    return checked


class HttpDriver:
    """The driver of an http trunk. Everything but the requests themselves happens in the sender's thread."""

    def __init__(self, config: TrunkConfig, *, retry: tuple[float, float] = (1.0, 60.0)) -> None:
        options = check_options(config.options)
        self._template, self._judge = Template(options), Judge(options)
        self._account = Account(options["user"], config.password, config.webhook if config.receipts else "")
        self._secrets = self._account.secrets()
        self._where = f"{self._template.host}:{self._template.port}"
        self._window: int = options["window"]
        tls = _tls(options) if self._template.tls else None
        self._bell = Bell()
        self._heard: deque[Heard] = deque()
        self._events: list[Event] = []
        self._owed: set[int] = set()
        self._retry, self._throttled = Backoff(*retry), Backoff(*retry)
        self._probing, self._probe_at, self._paused_until = True, 0.0, 0.0
        self.link, self.why = Link.STARTING, "The API is looked for."
        self._client = Client(
            self._template.host,
            self._template.port,
            tls,
            window=self._window,
            seconds=config.response_timeout,
            tell=self._hear,
        )
        self._client.probe()

    def room(self) -> int:
        if self.link is not Link.UP or time.monotonic() < self._paused_until:
            return 0
        return max(0, self._window - len(self._owed))

    def in_flight(self) -> int:
        return len(self._owed)

    def submit(self, batch: Sequence[Submission]) -> None:
        for message in batch:
            if self.link is not Link.UP:
                self._events.append(Deferred(message.message_id, self.why, elsewhere=True, counted=False))
                continue
            try:
                request = self._template.request(message, self._account)
            except Unsendable as error:
                self._events.append(Deferred(message.message_id, str(error), elsewhere=True))
                continue
            self._owed.add(message.message_id)
            self._client.send(message.message_id, request)

    def acknowledge(self, tokens: Iterable[Any]) -> None:
        """Receipts come through the webhook, which acknowledges them itself."""

    def refuse(self, tokens: Iterable[Any]) -> None:
        """And refuses them itself."""

    def poll(self, timeout: float) -> list[Event]:
        """Take the answers that came, waiting at most `timeout` seconds for the first."""
        until, link = time.monotonic() + timeout, self.link
        rung = False
        while True:
            self._take()
            now = time.monotonic()
            if self.link is Link.DOWN and not self._probing and now >= self._probe_at:
                self._probing = True
                self._client.probe()
            if self._events or self.link is not link or rung or now >= until:
                events, self._events = self._events, []
                return events
            wait = until - now
            if self.link is Link.DOWN and not self._probing:
                wait = min(wait, self._probe_at - now)
            ready, _, _ = select.select([self._bell.socket], [], [], max(0.0, wait))
            if ready:
                self._bell.silence()
                rung = not self._heard

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> list[Event]:
        """Give requests under way a second, then end them."""
        self._client.close(1.0)
        self._take()
        events, self._events = self._events, []
        # A thread that hangs tells nothing more.
        events += [self._doubt(message_id, "The trunk was closed.") for message_id in sorted(self._owed)]
        self._owed.clear()
        self._bell.close()
        return events

    # -- what the client tells -------------------------------------------------------------------------------------

    def _hear(self, heard: Heard) -> None:
        """From the client's thread."""
        self._heard.append(heard)
        self._bell.ring()

    def _take(self) -> None:
        while self._heard:
            heard = self._heard.popleft()
            if isinstance(heard, Probed):
                self._probing = False
                self._see(heard.why)
                continue
            self._owed.discard(heard.message_id)
            if isinstance(heard, Answered):
                self._see("")
                self._settle(heard.message_id, self._judge.judge(heard.answer, self._secrets))
            else:
                self._fail(heard)

    def _see(self, why: str) -> None:
        """Whether a connection could be made. A trunk that has stopped stays so."""
        if self.link is Link.STOPPED:
            return
        if not why:
            self.link, self.why = Link.UP, ""
            self._retry.reset()
            return
        self.link, self.why = Link.DOWN, f"The API cannot be reached at {self._where}: {why}."
        now = time.monotonic()
        if not self._probing and now >= self._probe_at:  # requests that fail together are one failure
            # Jitter, so that the trunks of many daemons do not come back in the same moment.
            self._probe_at = now + self._retry.next() * random.uniform(0.8, 1.2)  # noqa: S311

    def _fail(self, failed: Failed) -> None:
        if failed.written:
            self._events.append(self._doubt(failed.message_id, f"The request was sent, and {failed.why}."))
            return
        if failed.unreachable:
            self._see(failed.why)
        reason = f"The request was not sent: {failed.why}."
        self._events.append(Deferred(failed.message_id, reason, elsewhere=True, counted=False))

    def _settle(self, message_id: int, judged: Judged) -> None:
        self._events.append(self._outcome(message_id, judged))
        if judged.klass is Class.ACCEPTED:
            self._throttled.reset()
        elif judged.klass is Class.THROTTLE:
            now = time.monotonic()
            if judged.wait is not None:
                self._paused_until = max(self._paused_until, now + judged.wait)
            elif now >= self._paused_until:  # requests that are throttled together are one throttling
                self._paused_until = now + self._throttled.next()
        elif judged.klass is Class.STOP and self.link is not Link.STOPPED:
            self.link, self.why = Link.STOPPED, f"The API refuses us: {judged.reason}."
            self._events.append(Stopped(self.why))

    def _outcome(self, message_id: int, judged: Judged) -> Outcome:
        reason, code = judged.reason, judged.code
        match judged.klass:
            case Class.ACCEPTED:
                return Accepted(message_id, judged.remote_ids or self._own(message_id))
            case Class.PERMANENT:
                return Refused(message_id, reason, code)
            case Class.RETRY:
                return Deferred(message_id, reason, code, retry_after=judged.wait)
            case Class.NEXT:
                return Deferred(message_id, reason, code, elsewhere=True)
            case Class.THROTTLE:
                return Deferred(message_id, reason, code, counted=False)
            case Class.STOP:
                return Deferred(message_id, reason, code, elsewhere=True, counted=False)
        return self._doubt(message_id, reason, judged.remote_ids)

    def _doubt(self, message_id: int, reason: str, remote_ids: tuple[str, ...] = ()) -> InDoubt:
        # With our own reference a late receipt still finds the message.
        return InDoubt(message_id, reason, remote_ids or self._own(message_id))

    def _own(self, message_id: int) -> tuple[str, ...]:
        return (reference(message_id),) if self._judge.own_reference else ()


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options["tls_ca"] or None)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"The file of the option tls_ca cannot be used: {error.strerror or error}.") from None
    if not options["tls_verify"]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


open_driver: Callable[[TrunkConfig], Driver] = HttpDriver
