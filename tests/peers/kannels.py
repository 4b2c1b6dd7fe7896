"""Kannel as an HTTP peer: its smsbox takes our requests, its bearerbox passes the messages on over SMPP.

with kannels.kannel(folder, far.port, webhook) as kannel: send to kannel.url as ACCOUNT, and look at what the SMSC at
far.port gets. What comes from there goes to `webhook`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import servers
from peers import Account, need

BEARERBOX, SMSBOX = "/usr/sbin/bearerbox", "/usr/sbin/smsbox"
ACCOUNT: Account = ("user", "secret")

#: The part of the user and of the service is that of docs/http.md.
CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {admin}
smsbox-port = {inner}
smsbox-interface = 127.0.0.1
store-type = file
store-location = {folder}/store
log-file = {folder}/bearerbox.log
log-level = {log_level}

group = smsc
smsc = smpp
smsc-id = far
host = 127.0.0.1
port = {far}
smsc-username = kannel
smsc-password = far
system-type = ""
transceiver-mode = true
reconnect-delay = 1
max-pending-submits = {window}
source-addr-autodetect = true
dest-addr-ton = 1
dest-addr-npi = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {inner}
sendsms-port = {outer}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = {log_level}
access-log = {folder}/access.log
mo-recode = true

group = sendsms-user
username = {user}
password = {password}
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{webhook}?from=%p&to=%P&text=%b&id=%I"
"""


class Kannel:
    """A running Kannel. It may be stopped and started again."""

    def __init__(self, folder: Path, far: int, webhook: str, window: int, log_level: int) -> None:
        self._folder = folder
        self._inner, self._outer = servers.free_port(), servers.free_port()
        self.url = f"http://127.0.0.1:{self._outer}/cgi-bin/sendsms"
        self._configuration = folder / "kannel.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                admin=servers.free_port(),
                inner=self._inner,
                outer=self._outer,
                folder=folder,
                far=far,
                user=ACCOUNT[0],
                password=ACCOUNT[1],
                webhook=webhook,
                window=window,
                log_level=log_level,
            )
        )
        self._boxes: list[servers.Running] = []

    def start(self) -> None:
        for program, port in ((BEARERBOX, self._inner), (SMSBOX, self._outer)):
            log = self._folder / f"{Path(program).name}.out"
            self._boxes.append(servers.Running([program, str(self._configuration)], log, port))

    def stop(self) -> None:
        """At once: asked to go, it takes ten seconds."""
        while self._boxes:
            self._boxes.pop().kill()

    def taken(self) -> list[str]:
        """The number of every request that it took."""
        log = self._folder / "access.log"
        return re.findall(r"target:(\d+) request", log.read_text()) if log.exists() else []


@contextmanager
def kannel(folder: Path, far: int, webhook: str, *, window: int = 10, log_level: int = 0) -> Iterator[Kannel]:
    """A Kannel until the end of the block. `window`: of its link to the SMSC; `log_level`: 0 (all) to 4, as its own."""
    need(Path(BEARERBOX).exists(), "Kannel", "apt-get install -y kannel")
    made = Kannel(folder, far, webhook, window, log_level)
    try:
        made.start()
        yield made
    finally:
        made.stop()
