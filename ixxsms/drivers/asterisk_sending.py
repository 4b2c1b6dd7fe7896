"""How a message becomes an action of Asterisk's manager interface, and what its answer and its events mean.

It lives in one asyncio loop. Each message ends in exactly one outcome; one that may have been written and of which
nothing was heard is in doubt, never sent again by itself. What the GSM devices say was read in the sources of
chan_dongle and chan_quectel, of which there are two manners:

- the older answers DongleSendSMS with an ID and tells by DongleSMSStatus of that ID whether it was sent;
- the newer (and chan_quectel) takes a Payload and tells by a Report of it: type 0 whether it was sent, 1 what the
  network's receipt says, 2 that none came in time. It tells of a success by type 0 only where no receipt is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from ixxsms.asterisk.ami import BOOTING, Ami, Answer, Headers, Lost, NotSent
from ixxsms.asterisk.pieces import base64_of, one_line, pieces
from ixxsms.drivers.base import Link
from ixxsms.drivers.said import clean
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Outcome, Receipt, Received, Stopped, Submission

log = logging.getLogger(__name__)

#: What the devices' actions and events begin with.
_PREFIX = {"dongle": "Dongle", "quectel": "Quectel"}

#: A status may be heard before the answer that names its id: so many are kept, for so many seconds. No longer, for the
#: ids are used again.
_EARLY, _EARLY_SECONDS = 100, 2.0

#: Asterisk says so where a person has to change something: the user's rights, or a module that is not loaded.
_HOPELESS = re.compile(r"permission denied|invalid/unknown command", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """The options of the trunk. `patience`: seconds that a device may take for one segment."""

    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    via: str
    to: str
    sender: str
    device: str
    number: str
    reports: bool
    validity: int
    patience: float


class _Status(NamedTuple):
    """What a device said of a message."""

    sent: bool
    reason: str = ""


class Sending:
    """The link, and the messages on it. `run` is the thread; the other calls may come from any thread.

    `emit` hears each event, `linked` how the link is and why; both are called in the loop's thread.
    """

    def __init__(self, settings: Settings, emit: Callable[[Event], None], linked: Callable[[Link, str], None]) -> None:
        self._settings, self._emit, self._linked = settings, emit, linked
        self._loop = asyncio.new_event_loop()
        self._ended = threading.Lock()
        self._stop = asyncio.Event()
        self._grace = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._link = Link.STARTING
        self._prefix = _PREFIX.get(settings.via, "")
        #: Of our own messages only: others may send through the same device.
        self._mark = secrets.token_hex(4)
        self._waiting: dict[str, asyncio.Future[_Status]] = {}
        self._early: OrderedDict[str, tuple[float, _Status]] = OrderedDict()
        self._device_free = 0.0
        self._answers_with_id = False
        self._ami = Ami(
            settings.host,
            settings.port,
            settings.user,
            settings.secret,
            on_event=self._heard,
            on_change=self._changed,
            events="system,call" if self._prefix else "system",
        )

    # -- from other threads ----------------------------------------------------------------------------------------

    def submit(self, batch: Sequence[Submission]) -> None:
        for submission in batch:
            self._call(partial(self._spawn, submission))

    def stop(self, grace: float) -> None:
        """End the link; what is owed an answer has so many seconds to get it."""
        self._grace = grace
        self._call(self._stop.set)

    def _call(self, what: Callable[[], Any]) -> None:
        with self._ended:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(what)

    # -- the thread ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            log.exception("the link to Asterisk ended by a mistake")
            self._linked(Link.DOWN, "The link to Asterisk ended by a mistake.")
        finally:
            with self._ended:
                self._loop.close()

    async def _serve(self) -> None:
        link = asyncio.create_task(self._ami.run())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({link, stop}, return_when=asyncio.FIRST_COMPLETED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace)
        for task in [link, stop, *self._tasks]:
            task.cancel()
        await asyncio.gather(link, stop, *self._tasks, return_exceptions=True)
        if not link.cancelled():  # it ends by a mistake only
            link.result()

    def _spawn(self, submission: Submission) -> None:
        task = asyncio.ensure_future(self._outcome(submission))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self) -> None:
        if self._link is Link.STOPPED or (self._link is Link.STARTING and self._ami.why == BOOTING):
            return
        self._link = Link.UP if self._ami.up else Link.DOWN
        if not self._ami.up:
            # The ids of the older manner mean nothing to the next connection; a payload is ours for ever.
            for key, waiter in self._waiting.items():
                if not self._is_ours(key) and not waiter.done():
                    waiter.set_exception(Lost(self._ami.why))
        self._linked(self._link, "" if self._ami.up else clean(self._ami.why))

    # -- a message -------------------------------------------------------------------------------------------------

    async def _outcome(self, submission: Submission) -> None:
        """Send it, and tell what came of it."""
        progress = _Progress()
        message_id = submission.message_id
        send = self._send_message if self._settings.via == "message" else self._send_by_device
        outcome: Outcome
        try:
            outcome = await send(submission, progress)
        except BadInput as error:
            outcome = Deferred(message_id, str(error), elsewhere=True)
        except Lost as error:
            outcome = self._broken_off(message_id, progress, str(error))
        except asyncio.CancelledError:
            outcome = self._broken_off(message_id, progress, "The trunk was closed before Asterisk's answer.")
        except Exception:
            log.exception("message %d could not be given to Asterisk", message_id)
            outcome = self._broken_off(message_id, progress, "It could not be given to Asterisk.")
        self._emit(outcome)

    def _broken_off(self, message_id: int, progress: _Progress, reason: str) -> Outcome:
        if progress.written:
            return InDoubt(message_id, reason)
        return Deferred(message_id, reason, elsewhere=True, counted=False)

    async def _act(self, action: str, headers: Mapping[str, str], progress: _Progress) -> Answer:
        before, progress.written = progress.written, True
        try:
            return await self._ami.act(action, headers)
        except (NotSent, BadInput):
            progress.written = before
            raise

    def _refused(self, message_id: int, answer: Answer, progress: _Progress) -> Outcome:
        """Asterisk did not take the action: nothing of it left."""
        said = clean(answer.message) or "no reason given"
        if progress.taken:
            return InDoubt(message_id, f"Asterisk took a part of the text only: {said}.")
        if _HOPELESS.search(said):
            why = f"Asterisk refuses what the trunk needs: {said}."
            self._link = Link.STOPPED
            self._linked(Link.STOPPED, why)
            self._emit(Stopped(why))
            return Deferred(message_id, why, elsewhere=True, counted=False)
        return Deferred(message_id, f"Asterisk: {said}", elsewhere=True)

    async def _send_message(self, submission: Submission, progress: _Progress) -> Outcome:
        """As SIP MESSAGE, in several where the text is long. That one was taken is all that Asterisk ever says."""
        settings = self._settings
        to = settings.to.replace("{number}", submission.destination)
        sender = settings.sender.replace("{sender}", quote(submission.sender_id, safe="+"))
        for text in pieces(submission.text):
            headers = {"Destination": to, "Base64Body": base64_of(text)}
            if submission.sender_id or "{sender}" not in settings.sender:
                headers["From"] = sender
            answer = await self._act("MessageSend", headers, progress)
            if not answer.ok:
                return self._refused(submission.message_id, answer, progress)
            progress.taken = True
        return Accepted(submission.message_id)

    async def _send_by_device(self, submission: Submission, progress: _Progress) -> Outcome:
        """Queue it at the device, and wait until it says whether it was sent."""
        settings, token = self._settings, f"ixx{submission.message_id}-{self._mark}{secrets.token_hex(2)}"
        waiter: asyncio.Future[_Status] = self._loop.create_future()
        self._waiting[token] = waiter
        keys = [token]
        try:
            headers = {
                "Device": settings.device,
                "Number": submission.destination if submission.national else f"+{submission.destination}",
                "Message": self._one_line(submission.text),
                "Validity": str(settings.validity),
                "Report": "yes" if settings.reports else "no",
                "Payload": token,
            }
            answer = await self._act(f"{self._prefix}SendSMS", headers, progress)
            if not answer.ok:
                return self._refused(submission.message_id, answer, progress)
            progress.taken = True
            their_id = str(answer.headers.get("id", ""))
            self._answers_with_id = bool(their_id)
            if their_id:
                keys.append(their_id)
                self._waiting[their_id] = waiter
                said_at, early = self._early.pop(their_id, (0.0, None))
                if early and self._loop.time() - said_at < _EARLY_SECONDS and not waiter.done():
                    waiter.set_result(early)
            elif settings.reports and not waiter.done():
                # The newer manner says nothing more before the network's receipt, which may take days.
                return Accepted(submission.message_id, (token,))
            return await self._wait(submission, waiter)
        finally:
            for key in keys:
                if self._waiting.get(key) is waiter:
                    del self._waiting[key]

    async def _wait(self, submission: Submission, waiter: asyncio.Future[_Status]) -> Outcome:
        """A device sends one segment after the other: each that is before this one has its time."""
        now = self._loop.time()
        self._device_free = max(now, self._device_free) + self._settings.patience * max(1, submission.segments)
        try:
            async with asyncio.timeout_at(self._device_free):
                status = await waiter
        except TimeoutError:
            return InDoubt(submission.message_id, "The device did not say in time whether it was sent.")
        if not self._waiting_for_others(waiter):
            self._device_free = self._loop.time()
        if status.sent:
            return Accepted(submission.message_id)
        return Deferred(submission.message_id, status.reason or "The device could not send it.", elsewhere=True)

    def _waiting_for_others(self, mine: asyncio.Future[_Status]) -> bool:
        return any(waiter is not mine for waiter in self._waiting.values())

    def _one_line(self, text: str) -> str:
        """The newer manner reads \\n and \\\\ as C does; the older would send them as they stand."""
        if self._answers_with_id:
            return one_line(text, len(text) + 1)
        lines = text.replace("\\", "\\\\").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return "\\n".join(one_line(line, len(line) + 1) for line in lines)

    # -- events ----------------------------------------------------------------------------------------------------

    def _heard(self, headers: Headers) -> None:
        if not self._prefix:
            return
        match headers.get("event", "").removeprefix(self._prefix):
            case "SMSStatus":
                self._settle(headers.get("id", ""), _Status(headers.get("status", "").lower() == "sent"))
            case "Report":
                self._report(headers)
            case "NewSMSBase64" if headers.get("device") == self._settings.device:
                self._received(headers)

    def _settle(self, key: str, status: _Status) -> None:
        waiter = self._waiting.get(key)
        if waiter is None and key:
            self._early[key] = (self._loop.time(), status)
            if len(self._early) > _EARLY:
                self._early.popitem(last=False)
        elif waiter is not None and not waiter.done():
            waiter.set_result(status)

    def _report(self, headers: Headers) -> None:
        """What the newer manner says of a payload of ours."""
        payload, kind, success = headers.get("payload", ""), headers.get("type"), headers.get("success") == "1"
        if not payload.startswith("ixx"):
            return
        if kind == "0" and payload in self._waiting:
            self._settle(payload, _Status(success))
        elif kind == "0" and success and self._is_ours(payload):
            self._emit(Accepted(int(payload[3:].partition("-")[0])))  # at last: it was taken for in doubt
        elif kind in ("0", "1") and self._settings.reports:
            code = clean(headers.get("report", "")).strip(", ")[:16]
            self._emit(Receipt(payload, success, "DELIVRD" if success else "UNDELIV", code))

    def _is_ours(self, key: str) -> bool:
        return bool(re.fullmatch(rf"ixx[0-9]{{1,19}}-{self._mark}[0-9a-f]{{4}}", key))

    def _received(self, headers: Headers) -> None:
        try:
            text = base64.b64decode(headers.get("message", "")).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            log.warning("an SMS from %s cannot be read: it is no base64", clean(headers.get("from", "")))
            return
        self._emit(Received(clean(headers.get("from", "")), self._settings.number, text))


@dataclass
class _Progress:
    """How far a message has come: whether any of it may have been written, and whether Asterisk took any of it."""

    written: bool = False
    taken: bool = False
