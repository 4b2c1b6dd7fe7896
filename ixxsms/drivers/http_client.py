"""HTTP requests side by side, on an event loop in a thread of its own.

Knows connections and the clock. It must say of each request whether anything of it may have reached the other side:
from then on nobody may send the message again on his own. Must never know what an answer means.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore

from ixxsms.drivers.http_answer import Answer
from ixxsms.drivers.http_template import Request

#: It tells of requests and answers at the level debug, headers included.
logging.getLogger("httpcore").setLevel(logging.WARNING)

CONNECT_SECONDS = 10.0
ANSWER_OCTETS = 64 * 1024  #: of an answer that are read
#: A connection that was idle for longer is not used again: a server that closes it in that moment leaves us in doubt.
IDLE_SECONDS = 2.0


@dataclass(frozen=True)
class Answered:
    message_id: int
    answer: Answer


@dataclass(frozen=True)
class Failed:
    """No answer. `written`: the request, or a part of it, may have got there. `unreachable`: there is no connection."""

    message_id: int
    why: str
    written: bool
    unreachable: bool = False


@dataclass(frozen=True)
class Probed:
    """A connection was tried, and nothing was sent. `why` is empty where it works."""

    why: str = ""


Heard = Answered | Failed | Probed


class Client:
    """`tell` is called from the client's thread. `window`: connections at a time; `seconds`: for a whole request."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        window: int,
        seconds: float,
        tell: Callable[[Heard], None],
    ) -> None:
        self._host, self._port, self._tls, self._window = host, port, tls, window
        self._seconds, self._tell = seconds, tell
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def send(self, message_id: int, request: Request) -> None:
        """Exactly one Answered or Failed comes for it, also when the client is closed."""
        self._begin(self._send(message_id, request))

    def probe(self) -> None:
        """Exactly one Probed comes for it, unless the client is closed."""
        self._begin(self._probe())

    def close(self, seconds: float) -> None:
        """Give requests under way so long, then end them."""
        if not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._end(seconds)))
        self._thread.join(seconds + 1.0)

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=self._window, keepalive_expiry=IDLE_SECONDS, retries=0
        )
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        def start() -> None:
            task = self._loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(start)

    async def _end(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=0.5)
        assert self._pool is not None
        with suppress(Exception):
            await self._pool.aclose()
        await asyncio.sleep(0)  # transports close in the loop's next turn
        self._loop.stop()

    async def _send(self, message_id: int, request: Request) -> None:
        exchange = _Exchange(self._host, self._port, self._tls is not None)
        why, unreachable = "the trunk was closed", False
        try:
            assert self._pool is not None
            async with asyncio.timeout(self._seconds):
                await exchange.run(self._pool, request)
        except TimeoutError:
            why = f"there was no answer within {self._seconds:g} seconds"
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            why, unreachable = _words(error), True
        except Exception as error:
            why = _words(error)
        finally:
            # Also where it was cancelled: whoever sent it must hear of it.
            answer = exchange.answer()
            if answer is not None:
                self._tell(Answered(message_id, answer))
            else:
                self._tell(Failed(message_id, why, exchange.written, unreachable))

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls, server_hostname=self._host if self._tls else None
                )
            writer.close()
            with suppress(Exception):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
        except TimeoutError:
            self._tell(Probed("it does not answer"))
        except Exception as error:
            self._tell(Probed(_words(error)))
        else:
            self._tell(Probed())


class _Exchange:
    """One request, and as much of its answer as has come."""

    def __init__(self, host: str, port: int, tls: bool) -> None:
        self._origin = (b"https" if tls else b"http", _octets(host), port)
        self.written = False
        self._status = 0
        self._retry_after = ""
        self._body = bytearray()
        self._complete = False

    def answer(self) -> Answer | None:
        if not self._status:
            return None
        return Answer(self._status, bytes(self._body), self._retry_after, self._complete)

    async def run(self, pool: httpcore.AsyncConnectionPool, request: Request) -> None:
        scheme, host, port = self._origin
        async with pool.stream(
            request.method,
            httpcore.URL(scheme=scheme, host=host, port=port, target=request.target),
            headers=request.headers,
            content=request.body if request.method != b"GET" else None,
            extensions={"trace": self._trace, "timeout": {"connect": CONNECT_SECONDS}},
        ) as response:
            self._status = response.status
            for name, value in response.headers:
                if name.lower() == b"retry-after":
                    self._retry_after = value.decode("latin-1").strip()
            async for piece in response.aiter_stream():
                self._body += piece[: ANSWER_OCTETS - len(self._body) + 1]
                if len(self._body) > ANSWER_OCTETS:
                    del self._body[ANSWER_OCTETS:]
                    return
            self._complete = True

    async def _trace(self, event: str, _info: object) -> None:
        if event.endswith("send_request_headers.started"):
            self.written = True


def _octets(host: str) -> bytes:
    return host.encode("ascii" if host.isascii() else "idna")


def _words(error: BaseException) -> str:
    """Why there was no answer, from the innermost error, in a few words."""
    seen: BaseException | None = error
    said = str(error)
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {seen.verify_message}"
        if isinstance(seen, OSError) and seen.errno and seen.errno > 0 and not isinstance(seen, ssl.SSLError):
            return os.strerror(seen.errno)
        said = getattr(seen, "strerror", None) or str(seen) or said
        inside = seen.exceptions[0] if isinstance(seen, BaseExceptionGroup) else None
        seen = inside or seen.__cause__ or seen.__context__
    return said.strip().rstrip(".") or type(error).__name__
