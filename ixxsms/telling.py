"""Tells Asterisk what came in and what became of the messages that it asked for: events, SIP messages, calls back.

Whatever waited for Asterisk is told, however old it is; hooks act on what is recent.

A fact is marked as told when Asterisk has answered, so a lost link or a restart loses none. Where the link is lost
within one SMS, what of it was told already is remembered and not told again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session

from ixxsms import announcements, hooks, numbering_plan, sip_routes
from ixxsms.announcements import Arrived, Change
from ixxsms.asterisk import mail
from ixxsms.asterisk.ami import Answer, Value
from ixxsms.asterisk.pieces import base64_of, one_line, pieces
from ixxsms.config import Config
from ixxsms.errors import Error
from ixxsms.hooks import CallBack
from ixxsms.models import SipRoute

log = logging.getLogger(__name__)

#: So many facts are read, told and marked in one go.
BATCH = 20

#: Seconds before each attempt to send a mail.
MAIL_WAITS = (0.0, 10.0, 60.0, 300.0)

#: A receipt that has not come within a week is not waited for; looked after once an hour.
FORGET_AFTER, FORGET_EVERY = 7 * 24 * 3600.0, 3600.0

#: Hooks act on an SMS for so many seconds after it came. What waited for Asterisk longer, all of the inbox where there
#: was none before, is announced only: nobody wants an answer or a call because of what he wrote days ago.
RECENT = 3600.0

#: Milliseconds that a called back phone may ring.
RINGING = 45_000

#: In what Asterisk answers to everything once it has been told to stop, though its calls go on for a while.
SHUTTING_DOWN = "shutting down"

Act = Callable[[str, Mapping[str, Value]], Awaitable[Answer]]
#: Run a verb in a transaction, in another thread, until the database takes it.
Store = Callable[..., Coroutine[Any, Any, Any]]


class Refused(Error):
    """Asterisk does not let us tell it anything: the rights of our user are not enough, or it shuts down."""


class Teller:
    """`act`: ami.Ami.act. `store`: runs a verb. `spawn`: what is left to run by itself. `wake`: a message is queued."""

    def __init__(
        self,
        config: Config,
        act: Act,
        store: Store,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        wake: Callable[[], None],
    ) -> None:
        self._config, self._act, self._store, self._spawn, self._wake = config, act, store, spawn, wake
        #: So many events, and so many pieces to its phone, have left of an SMS that is not announced yet.
        self._told_of: dict[int, int] = {}
        self._phoned_of: dict[int, int] = {}
        self._calls: list[tuple[CallBack, float]] = []  # each with when its SMS came
        self._forgot = 0.0

    async def tell(self) -> bool:
        """Tell a batch of what there is to tell; True where there may be more. Raises Lost and Refused."""
        await self._call_back()
        if time.monotonic() - self._forgot > FORGET_EVERY or not self._forgot:
            self._forgot = time.monotonic()
            await self._store(announcements.forget_old, time.time() - FORGET_AFTER)
        changes, arrived = await self._store(_look, read=True)
        await self._changes(changes)
        for sms, route in arrived:
            await self._arrived(sms, route)
        return len(changes) == BATCH or len(arrived) == BATCH

    async def status(self, asked_id: str, number: str, state: str, reason: str) -> None:
        """Tell who asked for a message how it stands. Raises Lost and Refused."""
        headers = {"Id": one_line(asked_id, 64), "Number": one_line(number, 40), "State": state}
        await self._event("SMSStatus", {**headers, "Reason": one_line(reason, 200)})

    async def _changes(self, changes: list[Change]) -> None:
        told = []
        try:
            for change in changes:
                await self.status(change.asked_id, change.number, change.state, change.reason)
                told.append(change)
        finally:
            if told:
                await self._store(announcements.mark_told, told)

    async def _arrived(self, sms: Arrived, route: SipRoute | None) -> None:
        for count, headers in enumerate(_events(sms), 1):
            if count > self._told_of.get(sms.id, 0):
                await self._event("SMSReceived", headers)
                self._told_of[sms.id] = count
        if route is not None:
            await self._to_phone(sms, route)
        queued, calls = await self._store(_settle, self._config, sms, time.time())
        self._told_of.pop(sms.id, None)
        self._phoned_of.pop(sms.id, None)
        if queued:
            self._wake()
        self._calls += [(call, sms.received_at) for call in calls]
        await self._call_back()

    async def _event(self, name: str, headers: Mapping[str, str]) -> None:
        answer = await self._act("UserEvent", {"UserEvent": name, **headers})
        if not answer.ok:
            raise Refused(f"Asterisk refuses UserEvent: {one_line(answer.message, 150)}.")

    async def _try(self, action: str, headers: Mapping[str, Value]) -> Answer:
        """An action that may fail. Where it is because Asterisk shuts down, that says nothing of the phone."""
        answer = await self._act(action, headers)
        if not answer.ok and SHUTTING_DOWN in answer.message:
            raise Refused(f"Asterisk refuses {action}: {one_line(answer.message, 150)}.")
        return answer

    async def _to_phone(self, sms: Arrived, route: SipRoute) -> None:
        """As SIP MESSAGE; where the phone is away (Asterisk says no more than that it failed), as a mail."""
        who = f"<sip:{quote(sms.source, safe='+')}@{self._config.sip_domain}>"
        for count, text in enumerate(pieces(sms.text), 1):
            if count <= self._phoned_of.get(sms.id, 0):
                continue
            headers = {"Destination": f"pjsip:{route.endpoint}", "From": who, "Base64Body": base64_of(text)}
            answer = await self._try("MessageSend", headers)
            if not answer.ok:
                log.info("SMS %d is not delivered to %s: %s", sms.id, route.endpoint, answer.message)
                if route.email and self._config.smtp_host:
                    self._spawn(self._mail(sms, route.email))
                return
            self._phoned_of[sms.id] = count

    async def _mail(self, sms: Arrived, to: str) -> None:
        """In the background: a mail server that is slow or away holds nothing up, not even the end of the service."""
        host, sender = self._config.smtp_host, self._config.smtp_from
        try:
            for wait in MAIL_WAITS:
                await asyncio.sleep(wait)
                try:
                    await asyncio.to_thread(mail.send, host, sender, to, sms.source, sms.destination, sms.text)
                    return
                except (OSError, ValueError) as error:
                    log.warning("SMS %d could not be mailed to %s: %s", sms.id, to, error)
                except Exception:  # one mail that nobody thought of must not end all
                    log.exception("SMS %d could not be mailed to %s", sms.id, to)
        except asyncio.CancelledError:
            log.error("SMS %d may not have been mailed to %s, for the service stops; it is in the inbox", sms.id, to)
            raise
        log.error("SMS %d was not mailed; it is in the inbox", sms.id)

    async def _call_back(self) -> None:
        while self._calls:
            call, received_at = self._calls[0]
            why = "Asterisk was away for too long"
            if time.time() - received_at <= RECENT:
                answer = await self._try("Originate", _originate(call, self._config.incoming_context))
                why = "" if answer.ok else answer.message
            self._calls.pop(0)
            if why:
                log.warning("%s is not called back: %s", call.channel, why)


def _look(session: Session) -> tuple[list[Change], list[tuple[Arrived, SipRoute | None]]]:
    """What there is to tell, each SMS with where it goes."""
    changes = announcements.changes(session, BATCH)
    arrived = announcements.arrived(session, BATCH)
    plan = numbering_plan.find(session) if arrived else None
    return changes, [(sms, sip_routes.find(session, plan, sms.destination) if plan else None) for sms in arrived]


def _settle(session: Session, config: Config, sms: Arrived, now: float) -> tuple[bool, list[CallBack]]:
    """It is announced: in the same transaction the hooks act on it if it is recent, so that they do so once."""
    announcements.mark_announced(session, sms.id, now)
    if now - sms.received_at > RECENT:
        return False, []
    plan = numbering_plan.find(session)
    if plan is None:
        return False, []
    return hooks.incoming(session, config, plan, sms.id, sms.source, sms.destination, sms.text, now)


def _events(sms: Arrived) -> list[dict[str, str]]:
    """The headers of each SMSReceived: a long text needs several, for a line of AMI is short."""
    same = {"Id": str(sms.id), "From": one_line(sms.source, 40), "To": one_line(sms.destination, 40)}
    same["Trunk"] = one_line(sms.trunk, 64)
    texts = pieces(sms.text)
    return [
        {**same, "Text64": base64_of(text), "Part": str(part), "Parts": str(len(texts))}
        for part, text in enumerate(texts, 1)
    ]


def _originate(call: CallBack, context: str) -> dict[str, Value]:
    """The text goes as base64, and as much of it as a line has room for; the inbox has all of it."""
    text = base64_of(pieces(call.text)[0])
    return {
        "Channel": call.channel,
        "Context": context,
        "Exten": "s",
        "Priority": "1",
        "Timeout": str(RINGING),
        "Async": "true",
        "Variable": [f"SMSID={call.sms_id}", f"SMSFROM={call.number}", f"SMSTEXT64={text}"],
    }
