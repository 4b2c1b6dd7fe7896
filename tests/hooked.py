"""A PBX for tests of hooks: a real Asterisk, our service in a thread with its AMI link, a fake SMSC, a listener."""

from __future__ import annotations

import base64
import dataclasses
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import asterisks
from asterisks import Asterisk, wait_until
from sqlalchemy import select

from ixxsms import config, hook_rules, numbering_plan, outbox, sip_routes, trunks
from ixxsms.db import Database
from ixxsms.models import Daemon
from ixxsms.service import Service
from ixxsms.testing import FakeSMSC

#: A user with no more rights than the daemon needs.
MANAGER_USER = """[ixxsms]
secret = hooks
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,user,cdr,agent
write = user,originate,message
eventfilter = Event: UserEvent
eventfilter = Event: Cdr
eventfilter = Event: Hangup
eventfilter = Event: QueueCallerAbandon
eventfilter = Event: MessageWaiting
eventfilter = Event: FullyBooted
writetimeout = 1000
"""

NO_LIMITS = {f"request_per_{what}": 0 for what in ("caller_hour", "caller_day", "day")}


class Hooked:
    """What the tests do with it. `listener`: another AMI client, which hears what any other would."""

    def __init__(self, database: Database, settings: config.Config, asterisk: Asterisk, smsc: FakeSMSC) -> None:
        self.database, self.settings, self.asterisk, self.smsc = database, settings, asterisk, smsc
        self.listener = Listener(asterisk.ami_port)
        with database.write() as session:
            account = {"host": "127.0.0.1", "port": smsc.port, "user": "user", "password": "secret"}
            trunks.add(session, "provider", "smpp", script_dir="/nowhere", **account)

    @contextmanager
    def serving(self, **settings: object) -> Iterator[Service]:
        """A daemon, in a thread; `settings`: what it has otherwise than the others."""
        service = Service(self.database, changed(self.settings, **settings))
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            yield service
        finally:
            service.stop()
            thread.join(30)
            assert not thread.is_alive()

    def links(self) -> list[tuple[str, str]]:
        """(link, why) of each daemon, the oldest first."""
        with self.database.read() as session:
            return [(each.ami_link, each.ami_why) for each in session.scalars(select(Daemon).order_by(Daemon.id))]

    def link(self) -> tuple[str, str]:
        """(link, why) of the first daemon."""
        return (self.links() or [("", "")])[0]

    def wait_up(self, count: int = 1, seconds: float = 15) -> None:
        """Until so many daemons hear, and tell."""
        wait_until(lambda: [link for link, _ in self.links()] == ["up"] * count, seconds, lambda: str(self.links()))
        time.sleep(0.2)  # after the row the daemon itself goes on

    def hook(self, name: str, event: str, **fields: object) -> None:
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            hook_rules.add(session, plan, name, event, max_segments=10, **fields)  # type: ignore[arg-type]

    def unhook(self, name: str) -> None:
        with self.database.write() as session:
            hook_rules.remove(session, name)

    def route(self, did: str, endpoint: str, email: str = "") -> None:
        with self.database.write() as session:
            sip_routes.add(session, numbering_plan.get(session), did, endpoint, email)

    def queue(self, number: str, text: str) -> int:
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            return outbox.enqueue(session, plan, number, text, now=time.time(), max_segments=10).id

    def user_event(self, name: str, **headers: str) -> None:
        """As a program on the PBX would send one."""
        lines = [f"{key}: {value}" for key, value in headers.items()]
        answer = self.asterisk.ami("UserEvent", f"UserEvent: {name}", *lines)
        assert "Response: Success" in answer, answer

    def globals(self, **values: str) -> None:
        """Global variables of the dialplan."""
        for name, value in values.items():
            assert "Success" in self.asterisk.ami("Setvar", f"Variable: {name}", f"Value: {value}")

    def texts_to(self, number: str) -> list[str]:
        return [text for to, text in self.smsc.texts() if to == number]

    def wait_text(self, number: str, seconds: float = 10) -> str:
        """The first text to a number."""
        wait_until(
            lambda: self.texts_to(number), seconds, lambda: f"{self.smsc.texts()}\n{self.asterisk.log()[-3000:]}"
        )
        return self.texts_to(number)[0]


class Listener:
    """Another AMI client: it keeps every event that it hears, and comes back at once where Asterisk goes."""

    def __init__(self, port: int) -> None:
        self.events: list[dict[str, str]] = []
        self._port, self._stopping, self.logins = port, False, 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(10)

    def of(self, name: str, **headers: str) -> list[dict[str, str]]:
        """The UserEvents of a name that have these headers."""
        wanted = {"UserEvent": name, **headers}
        return [each for each in list(self.events) if all(each.get(key) == value for key, value in wanted.items())]

    def wait(self, name: str, seconds: float = 10, times: int = 1, **headers: str) -> dict[str, str]:
        """The last of so many of such events."""
        wait_until(lambda: len(self.of(name, **headers)) >= times, seconds, lambda: str(self.events[-20:]))
        return self.of(name, **headers)[-1]

    def _run(self) -> None:
        while not self._stopping:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as connection:
                login = f"Username: {asterisks.AMI_USER}\r\nSecret: {asterisks.AMI_SECRET}\r\nEvents: user\r\n"
                connection.sendall(f"Action: Login\r\n{login}\r\n".encode())
                connection.settimeout(0.2)
                self.logins += 1
                self._read(connection)
            time.sleep(0.01)

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        while not self._stopping:
            with suppress(TimeoutError):
                data = connection.recv(65536)
                if not data:
                    return
                *packets, rest = (rest + data).split(b"\r\n\r\n")
                for packet in packets:
                    lines = packet.decode("utf-8", "replace").split("\r\n")
                    self.events.append(dict(line.split(": ", 1) for line in lines if ": " in line))


@contextmanager
def hooked(
    root: Path,
    template_url: str,
    folder: Path,
    extensions: str,
    *,
    modules: str = "",
    confs: dict[str, str] | None = None,
    **settings: object,
) -> Iterator[Hooked]:
    """All of it, but for the daemons. `template_url`: an SQLite database to copy."""
    file = folder / "ixxsms.db"
    shutil.copy(template_url.removeprefix("sqlite:///"), file)
    with ExitStack() as stack:
        asterisk = Asterisk(root, extensions, modules=modules, confs=confs, manager_users=MANAGER_USER)
        stack.enter_context(asterisk)
        smsc = stack.enter_context(FakeSMSC(accounts={"user": "secret"}))
        database = Database(f"sqlite:///{file}")
        stack.callback(database.close)
        made = config.with_database(f"sqlite:///{file}", {})
        link = {"ami_host": "127.0.0.1", "ami_port": asterisk.ami_port, "ami_secret": "hooks"}
        common = {"fastagi_port": 0, "poll_seconds": 0.02, "heartbeat_seconds": 0.5, **link, **NO_LIMITS}
        pbx = Hooked(database, changed(made, **{**common, **settings}), asterisk, smsc)
        stack.callback(pbx.listener.stop)
        yield pbx


def changed(settings: config.Config, **values: object) -> config.Config:
    return dataclasses.replace(settings, values={**settings.values, **values})


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def text_of(event: dict[str, str]) -> str:
    return base64.b64decode(event["Text64"]).decode()


def never(condition: Callable[[], object], seconds: float = 1.0) -> None:
    """It does not become so, for as long as one may wait."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not condition()
        time.sleep(0.05)
