"""Who calls the daemon, Asterisk and HTTP APIs: FastAGI, the manager interface and the webhook, on one asyncio loop
in a thread of its own.

Sending never waits for it: what fails here is logged, started again, and touches no trunk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from ixxsms import dialplan, manager, webhook
from ixxsms.at_once import Claiming
from ixxsms.config import Config
from ixxsms.db import Database
from ixxsms.errors import Error

log = logging.getLogger(__name__)

#: Hears of messages that an SMSC has taken, in the thread of whoever heard it.
Listener = Callable[[Sequence[int]], None]

#: Seconds before what ended in an error is started again.
AGAIN = 2.0


def new_loop() -> asyncio.AbstractEventLoop:
    """libuv's event loop, on which a call costs a fifth less; where there is none, Python's own does the same."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Edge:
    """Runs until `stop()`. `wake`: called when a message was queued that somebody waits for.

    `claiming`: lets senders claim in the transaction that queues it. `listeners`: who wants to hear of what SMSCs take
    enters itself here.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        daemon_id: Callable[[], int],
        wake: Callable[[], None],
        claiming: Claiming,
        listeners: list[Listener],
    ) -> None:
        self._parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        if config.fastagi_port:
            self._parts["FastAGI"] = lambda: dialplan.serve(database, config, wake, claiming, listeners)
        if config.webhook_port:
            self._parts["webhook"] = lambda: webhook.serve(database, config)
        if config.ami_host:
            self._parts["AMI"] = lambda: manager.serve(database, config, daemon_id, wake)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="edge", daemon=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._parts:
            self._loop = new_loop()
            self._thread.start()

    def stop(self) -> None:
        """End it, waiting a few seconds at most. May be called from any thread, once."""
        if self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(5.0)

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        self._task = loop.create_task(self._all())
        try:
            loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, part in self._parts.items():
                group.create_task(_again_and_again(name, part), name=name)


async def _again_and_again(name: str, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
    traced: set[type[Exception]] = set()
    while True:
        try:
            await part()
        except Exception as error:
            for each in _each(error):
                if isinstance(each, Error | OSError):
                    log.error("%s: %s", name, each)
                else:  # nobody thought of it: its kind and place are needed, but every two seconds they fill the log
                    log.error("%s: %r", name, each, exc_info=None if type(each) in traced else each)
                    traced.add(type(each))
        await asyncio.sleep(AGAIN)


def _each(error: Exception) -> Iterator[Exception]:
    """The errors in a group, which itself says only how many they are."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _each(inner)
    else:
        yield error
