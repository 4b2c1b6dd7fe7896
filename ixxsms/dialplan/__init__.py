"""Asterisk's dialplan asks, over FastAGI, and gets channel variables: the routes, and the server that they hang on.

Knows which route waits for what. Must never touch a trunk: a message is queued, and the senders are woken.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.orm import Session

from ixxsms import config, numbering_plan, outbox
from ixxsms.asterisk import fastagi
from ixxsms.asterisk.fastagi import Call
from ixxsms.asterisk.variables import Asked
from ixxsms.at_once import Claiming
from ixxsms.db import Database
from ixxsms.dialplan import answers
from ixxsms.dialplan.answers import Variables, of_reply
from ixxsms.dialplan.store import Outcome, Store
from ixxsms.errors import Error
from ixxsms.numbering import Plan
from ixxsms.requests import Reply, Status
from ixxsms.states import MessageState

__all__ = ["serve", "without_daemon"]

log = logging.getLogger(__name__)

#: Seconds before a port that somebody else has is tried again.
PORT_AGAIN = 2.0

_GONE_OUT = (MessageState.ACCEPTED, MessageState.DELIVERED, MessageState.UNDELIVERED)


async def serve(
    database: Database,
    settings: config.Config,
    wake: Callable[[], None],
    claiming: Claiming,
    listeners: list[Callable[[Sequence[int]], None]],
) -> None:
    """Answer FastAGI calls until cancelled.

    `wake`: lets the senders look at the outbox at once. `claiming`: lets them claim in a transaction of ours.
    `listeners`: they are called with what an SMSC has taken.
    """
    store = Store(database, wake, claiming)
    listeners.append(store.accepted)
    routes = Routes(store, settings)
    server = fastagi.Server(routes.table, routes.unknown, settings.fastagi_connections)
    try:
        listener = await _listen(server, settings.fastagi_host, settings.fastagi_port)
        try:
            await asyncio.Event().wait()
        finally:
            listener.close()
            store.give_up()
            await server.close()
    finally:
        listeners.remove(store.accepted)
        store.close()


async def _listen(server: fastagi.Server, host: str, port: int) -> asyncio.Server:
    """Listen, as soon as the port is free: another daemon of this host may have it, and then serves its calls."""
    told = ""
    while True:
        try:
            listener = await server.listen(host, port)
        except OSError as error:
            why = error.strerror or str(error)
            if why != told:
                log.warning("FastAGI cannot listen at %s:%s: %s; sending goes on", host, port, why)
            told = why
            await asyncio.sleep(PORT_AGAIN)
        else:
            log.info("FastAGI listens at %s:%s", host, port)
            return listener


class Routes:
    """What each route does with a call."""

    def __init__(self, store: Store, settings: config.Config) -> None:
        self._store, self._settings = store, settings
        self.table: dict[str, fastagi.Route] = {
            "send": self._answered(self._send),
            "otp": self._answered(self._code),
            "queue": self._answered(self._queue),
            "list": self._answered(self._simply(answers.list_), "LISTSTATUS", "LISTERROR"),
            "inbox": self._answered(self._simply(answers.inbox_)),
            "sip-message": self._answered(self._simply(answers.sip_message), SMSREPLY=answers.NOT_KNOWN),
        }

    async def unknown(self, call: Call) -> None:
        await call.set_variables(of_reply(answers.failed(f'There is no FastAGI route "{call.route[:40]}".')))

    def _answered(
        self,
        answer: Callable[[Call], Awaitable[Variables]],
        status: str = "SMSSTATUS",
        error: str = "SMSERROR",
        **failed: str,
    ) -> fastagi.Route:
        """A route that sets the variables of the answer; where there is none `failed`, and FAILED with its reason."""

        async def route(call: Call) -> None:
            if call.env.get("agi_relayed"):
                # A script that hears nothing in time does the job itself: who does it must be agreed on first.
                await call.command("NOOP")
            try:
                values = await answer(call)
            except Error as problem:
                log.error("the FastAGI route %s: %s", call.route, problem)
                values = {**failed, error: str(problem), status: "FAILED"}
            await call.set_variables(values)

        return route

    def _simply(self, work: Callable[..., Variables]) -> Callable[[Call], Awaitable[Variables]]:
        """Nothing but a transaction."""

        async def answer(call: Call) -> Variables:
            return await self._store.write(
                lambda session, plan, now: work(session, self._settings, plan, call.asked, now)
            )

        return answer

    async def _send(self, call: Call) -> Variables:
        return of_reply(await self._outcome(call, await self._take(call, urgent=True)))

    async def _queue(self, call: Call) -> Variables:
        return of_reply(await self._take(call, urgent=False))

    async def _take(self, call: Call, *, urgent: bool) -> Reply:
        send = answers.Send(call.asked, urgent)
        reply: Reply = await self._store.queue(self._send_all, send, wake=urgent)
        return reply

    def _send_all(self, session: Session, plan: Plan, now: float, sends: Sequence[answers.Send]) -> list[Reply]:
        return answers.send_all(session, self._settings, plan, now, sends)

    async def _outcome(self, call: Call, reply: Reply) -> Reply:
        """What the message came to, within the time that a call may wait."""
        if reply.status is not Status.QUEUED:
            return reply
        outcome = await self._store.outcome(reply.id, self._settings.request_wait_seconds, lambda: call.hung_up)
        return reply if outcome is None else _reply(reply, outcome)

    async def _code(self, call: Call) -> Variables:
        """send,NUMBER[,TEXT[,TRUNK[,SENDER]]] or check,NUMBER,CODE."""
        verb, rest = call.asked.argument(0, "do"), Asked(call.asked.caller, call.asked.args[1:], call.asked.query)
        if verb == "check":
            return await self._store.write(
                lambda session, plan, now: answers.check_code(session, self._settings, plan, rest, now)
            )
        if verb != "send":
            return of_reply(answers.failed("A one-time code is asked to send or to check."))
        sent = await self._store.write(
            lambda session, plan, now: answers.send_code(session, self._settings, plan, rest, now), wake=True
        )
        reply = await self._outcome(call, sent.reply)
        if reply.status is Status.QUEUED and not call.hung_up and await self._take_back(reply.id):
            reply = Reply(Status.FAILED, reply.id, "No trunk took the code in time.", reply.segments)
        lost = reply.status in (Status.REFUSED, Status.FAILED)
        length = str(len(sent.code))
        return {"OTPCODE": sent.code if lost and sent.spoken else "", "OTPDIGITS": length, **of_reply(reply)}

    async def _take_back(self, message_id: int) -> bool:
        cancel = functools.partial(outbox.cancel, message_id=message_id, reason="nobody waits for the code any more")
        return await self._store.write(lambda session, _plan, now: cancel(session, now=now))


def _reply(reply: Reply, outcome: Outcome) -> Reply:
    if outcome.state in _GONE_OUT:
        return Reply(Status.SENT, reply.id, "", reply.segments)
    status = Status.REFUSED if outcome.state == MessageState.REFUSED else Status.FAILED
    return Reply(status, reply.id, outcome.reason or f"The message is {outcome.state}.", reply.segments)


def without_daemon(route: str, caller: str, arguments: Sequence[str]) -> Variables:
    """What an AGI script answers where no daemon does: it opens the database of this machine itself."""
    asked = Asked(caller, tuple(arguments))
    try:
        settings = config.load()
        database = Database(settings.database_url)

        def answer(session: Session) -> Variables:
            plan, now = numbering_plan.get(session), time.time()
            return answers.WITHOUT_DAEMON[route](session, settings, plan, asked, now)

        return database.transact(answer)
    except Error as error:
        named = ("LISTERROR", "LISTSTATUS") if route == "list" else ("SMSERROR", "SMSSTATUS")
        return dict(zip(named, (str(error), "FAILED"), strict=True))
