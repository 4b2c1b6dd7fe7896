"""The way through each peer to the far end, so that all of them can be tried with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jasmins
import kannels
import peers
import servers
from systems import eventually

from ixxsms.drivers.webhook import address
from ixxsms.smpp.smsc import Submitted
from ixxsms.testing import FakeSMSC

ACCOUNT = ("user", "secret")


class Way:
    """What a test asks of a peer. `trunk` is the trunk that leads to it, `slow` that which it throttles.

    `refused`: what becomes of a message to 34692, and why; `forbidden`: why the trunk with a wrong password is not up.
    """

    trunk: dict[str, Any]
    slow: dict[str, Any]
    refused = ("refused", "RINVDSTADR")
    forbidden = "the password is wrong"

    def texts(self) -> list[tuple[str, str, str]]:
        """(source, destination, text) of every whole message that reached the far end."""
        raise NotImplementedError

    def taken(self) -> list[str]:
        """The destination of every submit_sm that it took from us, in order."""
        raise NotImplementedError

    def throttled(self) -> int:
        """How often it answered that it is too much at a time."""
        raise NotImplementedError

    def reply(self, source: str, destination: str, text: str) -> None:
        """Somebody at the far end sends an SMS."""
        raise NotImplementedError

    def enquiries(self) -> int:
        """How many of our enquire_link it has answered."""
        raise NotImplementedError

    def enquire(self) -> None:
        """Return when it has sent an enquire_link and has our answer."""
        raise NotImplementedError

    def unbind(self) -> None:
        """It ends the link in order."""
        raise NotImplementedError

    def kill(self) -> None:
        """It ends at once."""
        raise NotImplementedError

    def start(self) -> None:
        """And is there again."""
        raise NotImplementedError


class PeerWay(Way):
    """An SMSC that is a process of ours: it is the far end itself."""

    def __init__(self, peer: peers.Peer) -> None:
        self._peer = peer
        self.trunk = self.slow = _smpp(peer.port, ACCOUNT)
        self.texts, self.kill, self.start = peer.texts, peer.stop, peer.start

    def taken(self) -> list[str]:
        return [message["destination"] for message in self._peer.messages()]

    def throttled(self) -> int:
        return sum(entry["status"] == 0x58 for entry in self._peer.of("refused"))

    def reply(self, source: str, destination: str, text: str) -> None:
        self._peer.tell("deliver", source=source, destination=destination, text=text)

    def enquiries(self) -> int:
        return len(self._peer.of("enquire_link"))

    def enquire(self) -> None:
        self._peer.tell("enquire")
        self._peer.wait_for(1, "enquire_link_resp", 30.0)

    def unbind(self) -> None:
        self._peer.tell("unbind")
        self._peer.wait_for(1, "unbind_resp", 30.0)


class JasminWay(Way):
    """Jasmin, which passes on to an SMSC of ours."""

    def __init__(self, jasmin: jasmins.Jasmin, far: FakeSMSC) -> None:
        self._jasmin, self._far = jasmin, far
        self.trunk, self.slow = _smpp(jasmin.port, jasmins.ACCOUNT), _smpp(jasmin.port, jasmins.OTHER)
        self.kill, self.start = jasmin.stop, jasmin.start
        self._before = len(far.received)

    def texts(self) -> list[tuple[str, str, str]]:
        return far_texts(self._far, self._before)

    def taken(self) -> list[str]:
        return re.findall(r"SMS-MT \[uid:\w+\] .* \[to:b'(\d+)'\]", self._jasmin.log.read_text())

    def throttled(self) -> int:
        return self._jasmin.counted("throttling_error_count")

    def reply(self, source: str, destination: str, text: str) -> None:
        self._far.deliver(source, destination, text)

    def enquiries(self) -> int:
        return self._jasmin.counted("elink_count")

    def enquire(self) -> None:
        # It asks by itself where it has heard nothing for a while, and counts no answers.
        eventually(lambda: re.search(r"command: [\w.]*enquire_link_resp", self._jasmin.log.read_text()), 60)

    def unbind(self) -> None:
        assert "Successfully" in self._jasmin.tell(f"user --smpp-unbind {jasmins.ACCOUNT[0]}")


class KannelWay(Way):
    """Kannel, which takes requests over HTTP and passes on to an SMSC of ours."""

    refused = ("undelivered", "16")
    forbidden = "Authorization failed"

    def __init__(self, kannel: kannels.Kannel, far: FakeSMSC) -> None:
        self._far = far
        user, password = kannels.ACCOUNT
        self.trunk = {"kind": "http", "preset": "kannel", "url": kannel.url, "user": user, "password": password}
        self.taken, self.kill, self.start = kannel.taken, kannel.stop, kannel.start

    def texts(self) -> list[tuple[str, str, str]]:
        return far_texts(self._far, 0)

    def reply(self, source: str, destination: str, text: str) -> None:
        self._far.deliver(source, destination, text)


def far_texts(far: FakeSMSC, first: int) -> list[tuple[str, str, str]]:
    """(source, destination, text) of the whole messages among those from the `first` one on."""
    return peers.whole_texts([_as_of_a_peer(message) for message in far.received[first:]])


def _as_of_a_peer(message: Submitted) -> dict[str, Any]:
    """In the form of peers.Peer.messages."""
    sar = [int.from_bytes(message.tlvs[tag], "big") for tag in (0x20C, 0x20F, 0x20E) if tag in message.tlvs]
    return message._asdict() | {"short_message": message.short_message.hex(), "sar": sar}


@contextmanager
def kannel(folder: Path, webhook: str) -> Iterator[Way]:
    """`webhook`: where receipts and incoming SMS go, without the rest that its trunk's name and password give."""
    url = address(webhook, "way", kannels.ACCOUNT[1])
    with (
        FakeSMSC(receipt_stat={"34691": "UNDELIV"}, errors={"34692": 0x0B}) as far,
        kannels.kannel(folder, far.port, url) as running,
    ):
        far.wait_until(lambda: bool(far.logins), 30.0, "Kannel's login")
        yield KannelWay(running, far)


def _smpp(port: int, account: peers.Account) -> dict[str, Any]:
    return {"kind": "smpp", "host": "127.0.0.1", "port": port, "user": account[0], "password": account[1]}


@contextmanager
def node() -> Iterator[Way]:
    with peers.node_smsc(ACCOUNT) as peer:
        yield PeerWay(peer)


@contextmanager
def perl() -> Iterator[Way]:
    with peers.perl_smsc(ACCOUNT) as peer:
        yield PeerWay(peer)


@contextmanager
def jasmin(folder: Path) -> Iterator[tuple[jasmins.Jasmin, FakeSMSC]]:
    """A Jasmin and the SMSC behind it, for all the tests that use it: its servers take seconds to start."""
    jasmins.need_jasmin()
    far = FakeSMSC(receipt_stat={"34691": "UNDELIV"})
    with servers.rabbitmq() as rabbitmq, servers.redis() as redis, far, jasmins.running(folder, rabbitmq, redis) as one:
        jasmins.provision(one, far.port)
        far.wait_until(lambda: bool(far.logins), 30.0, "Jasmin's login")
        yield one, far
