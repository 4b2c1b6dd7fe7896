"""The webhook: receipts and incoming SMS that an API brings over HTTP, /hook/<trunk>/<token>.

A call is stored and committed before it is answered with 200; while the database is away it is told to come again.
Knows trunks and transactions; what a call means is known to the driver of the trunk's kind.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from sqlalchemy.orm import Session

from ixxsms import arrivals, receipts, repeats, trunks
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.driver_config import driver_config
from ixxsms.drivers import kinds
from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.webhook import PATH, Call, token
from ixxsms.errors import BadInput, DatabaseError, Error
from ixxsms.events import Receipt, Received
from ixxsms.neighbours import next_trunks
from ixxsms.webhook.server import Answer, Asked, Server

__all__ = ["serve"]

log = logging.getLogger(__name__)

#: Seconds before a port that somebody else has is tried again.
PORT_AGAIN = 2.0
#: Seconds for which the trunks that were read are good: strangers must not make us read them at every call.
TRUNKS_SECONDS = 1.0
#: Seconds after which a caller should come again while the database is away.
COME_AGAIN = 30
#: Seconds between two lines in the log that calls are refused: whoever floods us must not fill the log too.
COMPLAIN_SECONDS = 60.0

_FIELDS = 1000  #: of a query or a form

_NO = Answer(403, "There is no such webhook, or the call does not show that it may use it.")
_LATER = Answer(503, "The database cannot be used now.", COME_AGAIN)


async def serve(database: Database, config: Config) -> None:
    """Answer calls until cancelled."""
    webhook = Webhook(database, config)
    server = Server(webhook.answer)
    try:
        listener = await _listen(server, config.webhook_host, config.webhook_port)
        try:
            await asyncio.Event().wait()
        finally:
            listener.close()
            await server.close()
    finally:
        webhook.close()


async def _listen(server: Server, host: str, port: int) -> asyncio.Server:
    """Listen, as soon as the port is free: another daemon of this host may have it, and then takes its calls."""
    told = ""
    while True:
        try:
            listener = await server.listen(host, port)
        except OSError as error:
            why = error.strerror or str(error)
            if why != told:
                log.warning("the webhook cannot listen at %s:%s: %s; sending goes on", host, port, why)
            told = why
            await asyncio.sleep(PORT_AGAIN)
        else:
            log.info("the webhook listens at %s:%s", host, port)
            return listener


class _Trunk(NamedTuple):
    id: int
    config: TrunkConfig


class _Told(NamedTuple):
    """What one call told, waiting to be stored."""

    trunk_id: int
    events: list[Receipt | Received]
    done: asyncio.Future[None]


class Webhook:
    """What happens to a call. One thread writes; what comes while it does is written together."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database, self._config = database, config
        self._reader, self._writer = ThreadPoolExecutor(1, "webhook reads"), ThreadPoolExecutor(1, "webhook writes")
        self._trunks: dict[str, _Trunk] = {}
        self._trunks_until = 0.0
        self._reading: asyncio.Future[dict[str, _Trunk]] | None = None
        self._told: list[_Told] = []
        self._writing: asyncio.Task[None] | None = None
        self._complain_at = 0.0

    def close(self) -> None:
        if self._writing:
            self._writing.cancel()
        self._reader.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    async def answer(self, asked: Asked) -> Answer:
        """The answer to one call: 200 once what it told is committed."""
        path, _, query = asked.target.partition("?")
        if not path.startswith(PATH):
            return Answer(404, "There is nothing here.")
        if asked.method not in ("GET", "POST"):
            return Answer(405, "A webhook is called with GET or POST.")
        name, _, shown = path.removeprefix(PATH).partition("/")
        try:
            trunk = (await self._all_trunks()).get(unquote(name))
        except DatabaseError as error:
            self._complain(str(error))
            return _LATER
        try:
            call = _call(self._config, asked, query)
            if trunk is None or not _may(trunk.config, call, shown or _bearer(asked)):
                whose = f"the trunk {trunk.config.name}" if trunk else "any trunk"
                self._complain(f"it does not show the token or the signature of {whose}")
                return _NO
            events = kinds.read_webhook(trunk.config, call)
        except BadInput as error:
            return Answer(400, str(error))
        try:
            await self._store(trunk.id, events)
        except Error as error:
            self._complain(str(error))
            return _LATER
        return Answer(200, str(trunk.config.options.get("webhook_answer", "")))

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_SECONDS
            log.warning("a call of the webhook was refused: %s", why)

    # -- the trunks ------------------------------------------------------------------------------------------------

    async def _all_trunks(self) -> dict[str, _Trunk]:
        """The trunks that have a webhook, by name. Raises DatabaseError."""
        if time.monotonic() >= self._trunks_until:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.get_running_loop().run_in_executor(self._reader, self._read_trunks)
            self._trunks = await asyncio.shield(self._reading)
            self._trunks_until = time.monotonic() + TRUNKS_SECONDS
        return self._trunks

    def _read_trunks(self) -> dict[str, _Trunk]:
        with self._database.read() as session:
            found = trunks.all_trunks(session)
        return {
            trunk.name: _Trunk(trunk.id, driver_config(trunk, self._config))
            for trunk in found
            if trunk.password and _has_webhook(trunk.kind)
        }

    # -- the store -------------------------------------------------------------------------------------------------

    async def _store(self, trunk_id: int, events: list[Receipt | Received]) -> None:
        """Returns when it is committed. Raises what the transaction raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told.append(_Told(trunk_id, events, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_all())
        await done

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._told:
            batch, self._told = self._told, []
            errors = await loop.run_in_executor(self._writer, self._write, batch)
            for told, error in zip(batch, errors, strict=True):
                if told.done.done():  # its connection was given up
                    continue
                if error is None:
                    told.done.set_result(None)
                else:
                    told.done.set_exception(error)

    def _write(self, batch: list[_Told]) -> list[Exception | None]:
        """All in one transaction; where that fails, each in one of its own: one may be to blame for its error."""

        def store(session: Session) -> None:
            now = time.time()
            next_ones = next_trunks(session, self._config.heartbeat_seconds)
            for told in batch:
                heard = [event for event in told.events if isinstance(event, Receipt)]
                receipts.store(session, told.trunk_id, heard, now, next_ones)
                for event in told.events:
                    if isinstance(event, Received) and repeats.is_new(session, told.trunk_id, event.token, now):
                        arrivals.keep(session, self._config, told.trunk_id, [event], now)

        try:
            self._database.transact(store)
            return [None] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [self._write([told])[0] for told in batch]


def _has_webhook(kind: str) -> bool:
    try:
        return kinds.has_webhook(kind)
    except BadInput:  # the package that served it has gone
        return False


def _may(config: TrunkConfig, call: Call, shown: str) -> bool:
    """Whether the call is signed, or shows the token, as the trunk wants it."""
    signed = kinds.signed(config, call)
    if signed is not None:
        return signed
    return hmac.compare_digest(shown.encode(), token(config.name, config.password).encode())


def _bearer(asked: Asked) -> str:
    scheme, _, shown = asked.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


def _call(config: Config, asked: Asked, query: str) -> Call:
    """The request as drivers know it. Raises BadInput."""
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    base = (config.webhook_url or f"http://{asked.headers.get('host', '')}").rstrip("/")
    return Call(
        asked.method,
        f"{base}{asked.target}",
        asked.headers,
        asked.body,
        _pairs(query),
        _pairs(asked.body.decode("utf-8", "replace")) if kind == "application/x-www-form-urlencoded" else {},
    )


def _pairs(encoded: str) -> dict[str, str]:
    """name=value&name=value, in UTF-8; of a name that comes twice the first."""
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError:
        raise BadInput(f"There are more than {_FIELDS} fields.") from None
    return dict(reversed(pairs))
