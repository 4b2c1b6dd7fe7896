"""The asterisk trunk on real Asterisks: each SMS is a SIP MESSAGE to a SIP trunk, which here is a little phone."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import asterisks
import pytest
from asterisks import Asterisk
from servers import free_port
from sip_agent import SipAgent

from ixxsms.drivers import kinds
from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.events import Accepted, Deferred, Stopped, Submission

#: A SIP trunk without registration.
PJSIP_CONF = """[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[provider]
type=endpoint
disallow=all
allow=alaw
aors=provider
[provider]
type=aor
contact=sip:127.0.0.1:{provider}
"""

#: As `ixxsms asterisk install` makes it, and one that may not send messages.
USERS = """[ixxsms]
secret = s3cret
read = system,call,user,cdr,agent
write = user,originate,message
eventfilter = Event: UserEvent
eventfilter = Event: FullyBooted
[nobody]
secret = s3cret
read = system
write = user
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[SipAgent]:
    with SipAgent("provider", 9) as agent:
        yield agent


@pytest.fixture(scope="module")
def pbx(asterisk_root: Path, provider: SipAgent) -> Iterator[Asterisk]:
    conf = PJSIP_CONF.format(port=free_port(socket.SOCK_DGRAM), provider=provider.port)
    asterisk = Asterisk(asterisk_root, modules=asterisks.PJSIP, confs={"pjsip.conf": conf}, manager_users=USERS)
    with asterisk:
        yield asterisk


class Trunk:
    def __init__(self, pbx: Asterisk, provider: SipAgent, **options: str) -> None:
        to = f"pjsip:provider/sip:+{{number}}@127.0.0.1:{provider.port}"
        given = {"host": "127.0.0.1", "port": pbx.ami_port, "to": to, **options}
        checked = kinds.check_options("asterisk", given, "")
        self.driver = kinds.open_driver(TrunkConfig("sip", "asterisk", checked, "s3cret"))

    def __enter__(self) -> Trunk:
        self.until(lambda: self.driver.link is Link.UP)
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.close()

    def until(self, condition, seconds: float = 40.0) -> list[object]:
        events: list[object] = []
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.driver.link, self.driver.why, events)
            events += self.driver.poll(0.05)
        return events

    def send(self, text: str, sender: str = "") -> list[object]:
        self.driver.submit([Submission(1, "34600123456", text, sender)])
        return self.until(lambda: not self.driver.in_flight())


@pytest.mark.parametrize("text", ["hola", 'ñ € 😀 "quoted", <sip:x@y>;z\r\n\r\nAction: Originate'])
def test_an_sms_is_a_sip_message_to_the_trunk(pbx, provider, text):
    with Trunk(pbx, provider) as trunk:
        assert trunk.send(text, "34911222333") == [Accepted(1)]
    message = provider.next_message(10)
    assert message.text == text
    assert message.start == f"MESSAGE sip:+34600123456@127.0.0.1:{provider.port} SIP/2.0"
    assert "sip:34911222333@" in message.headers["from"]


def test_a_long_text_goes_in_several_messages_and_none_of_it_is_lost(pbx, provider):
    text = "ñandú " * 200
    with Trunk(pbx, provider) as trunk:
        assert trunk.send(text) == [Accepted(1)]
    parts = [provider.next_message(10).text]
    while len("".join(parts)) < len(text):
        parts.append(provider.next_message(10).text)
    assert "".join(parts) == text


def test_what_asterisk_cannot_send_the_next_trunk_gets(pbx, provider):
    with Trunk(pbx, provider, to="pjsip:unknown/sip:{number}@127.0.0.1") as trunk:
        assert trunk.send("hola") == [Deferred(1, "Asterisk: Message failed to send.", elsewhere=True)]
    assert provider.messages.empty()


def test_a_user_that_may_not_send_messages_stops_the_trunk(pbx, provider):
    with Trunk(pbx, provider, user="nobody") as trunk:
        stopped, outcome = trunk.send("hola")
    assert stopped == Stopped("Asterisk refuses what the trunk needs: Permission denied.")
    assert isinstance(outcome, Deferred)


def test_a_trunk_comes_back_after_asterisk(pbx, provider):
    with Trunk(pbx, provider) as trunk:
        pbx.stop()
        trunk.until(lambda: trunk.driver.link is not Link.UP)
        pbx.start()
        trunk.until(lambda: trunk.driver.link is Link.UP, 60)
        assert trunk.send("again") == [Accepted(1)]
    assert provider.next_message(10).text == "again"


def test_without_the_device_s_module_the_trunk_stops_and_says_so(pbx, provider):
    with Trunk(pbx, provider, via="dongle", device="dongle0", user=asterisks.AMI_USER) as trunk:
        stopped, _ = trunk.send("hola")
    assert isinstance(stopped, Stopped)
    assert "Invalid/unknown command" in stopped.reason
