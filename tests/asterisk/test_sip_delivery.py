"""SMS to and from SIP phones on real Asterisks, and by mail to whoever's phone is away."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import asterisks
import hooked
import pytest
from asterisks import wait_until
from dialplans import ROOT
from hooked import Hooked, never
from servers import free_port
from sip_agent import SipAgent

DIALPLAN = """[sms]
exten => _X.,1,UserEvent(SendSMS,Number: ${EXTEN},Text64: ${BASE64_ENCODE(${MESSAGE(body)})},Id: from-phone)
"""

PJSIP_CONF = """[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[phone1]
type=endpoint
message_context=sms
disallow=all
allow=alaw
aors=phone1
auth=phone1
[phone1]
type=auth
auth_type=userpass
username=phone1
password=pw1
[phone1]
type=aor
max_contacts=1
[phone2]
type=endpoint
message_context=ixxsms-sip-messages
disallow=all
allow=alaw
aors=phone2
auth=phone2
[phone2]
type=auth
auth_type=userpass
username=phone2
password=pw2
[phone2]
type=aor
max_contacts=1
[phone3]
type=endpoint
message_context=ixxsms-sip-messages
disallow=all
allow=alaw
aors=phone3
auth=phone3
[phone3]
type=auth
auth_type=userpass
username=phone3
password=pw3
[phone3]
type=aor
max_contacts=1
[away]
type=endpoint
disallow=all
allow=alaw
aors=away
[away]
type=aor
max_contacts=1
"""

OURS, AWAY, NOWHERE, SECOND = "34900100100", "34900100101", "34900100102", "34900100103"


class MailServer:
    """Takes mails on a loopback port. `refuse`: how many of the next ones it does not take."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self.refuse = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._talk, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = ""
        writer.write(b"220 tests\r\n")
        while line := await reader.readline():
            word = line.decode().strip()
            if word.upper().startswith("RCPT"):
                to += word.partition(":")[2]
            if word.upper() == "DATA" and not self.refuse:
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append((to, data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")))
            elif word.upper() == "DATA":
                self.refuse -= 1
                writer.write(b"451 later\r\n")
                continue
            writer.write(b"221 bye\r\n" if word.upper() == "QUIT" else b"250 ok\r\n")
        writer.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        self._loop.close()


@pytest.fixture(scope="module")
def mails(asterisk_root: Path) -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def sip_port() -> int:
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture(scope="module")
def pbx(
    asterisk_root: Path, set_up, tmp_path_factory: pytest.TempPathFactory, mails: MailServer, sip_port: int
) -> Iterator[Hooked]:
    folder, confs = tmp_path_factory.mktemp("sip"), {"pjsip.conf": PJSIP_CONF.format(port=sip_port)}
    fastagi_port = free_port()
    settings = {"smtp_host": f"127.0.0.1:{mails.port}", "sip_domain": "pbx.example.net", "fastagi_port": fastagi_port}
    ours = (ROOT / "dialplan/extensions_ixxsms.conf").read_text(encoding="utf-8")
    dialplan = f"[globals]\nIXXSMS_AGI=agi://127.0.0.1:{fastagi_port}\n{DIALPLAN}{ours}"
    with hooked.hooked(
        asterisk_root, set_up("sqlite"), folder, dialplan, modules=asterisks.PJSIP, confs=confs, **settings
    ) as made:
        made.route(OURS, "phone1", "ana@example.net")
        made.route(AWAY, "away", "berta@example.net")
        made.route(NOWHERE, "nobody-has-this")
        made.route(SECOND, "phone2")
        made.route("900100104", "phone2")  # of several numbers the first
        with made.serving():
            made.wait_up()
            yield made


@pytest.fixture
def phone(pbx: Hooked, sip_port: int) -> Iterator[SipAgent]:
    with SipAgent("phone1", sip_port, "pw1") as agent:
        assert agent.register() == 200
        yield agent
        assert agent.register(0) == 200


def test_an_sms_to_the_number_of_a_phone_arrives_as_message(pbx, phone, mails):
    for text in ("hola", 'ñ € 😀 "quoted", <sip:x@y>;z\r\n\r\nAction: Originate', "ñandú " * 120):
        pbx.smsc.deliver("34600123456", OURS, text)
        received = phone.next_message(10).text
        if len(text.encode()) > 700:
            received += phone.next_message().text
        assert received == text
    pbx.smsc.deliver("34600123456", "34900999999", "not for this phone")
    pbx.listener.wait("SMSReceived", To="34900999999")
    assert phone.messages.empty()
    assert mails.mails == []


def test_the_message_comes_from_the_number_so_that_the_phone_can_answer(pbx, phone):
    pbx.smsc.deliver("34600123456", OURS, "who are you?")
    message = phone.next_message(10)
    assert "<sip:34600123456@" in message.headers["from"]
    before = len(pbx.texts_to("34600123456"))
    assert phone.message("600123456", 'It is me, "Ana"\nñ €') == 202
    wait_until(lambda: len(pbx.texts_to("34600123456")) > before)
    assert pbx.texts_to("34600123456")[-1] == 'It is me, "Ana"\nñ €'
    pbx.listener.wait("SMSStatus", Id="from-phone", State="delivered")


def test_what_a_phone_writes_leaves_under_its_number_and_the_answer_comes_back_to_it(pbx, phone, sip_port):
    with SipAgent("phone2", sip_port, "pw2") as second:
        assert second.register() == 200
        assert second.message("600123450", "call me") == 202
        assert second.next_message(10).text.endswith("is queued.")
        wait_until(lambda: pbx.texts_to("34600123450"))
        (sent,) = [each for each in pbx.smsc.received if each.destination == "34600123450"]
        assert sent.source_addr == SECOND
        pbx.smsc.deliver("34600123450", sent.source_addr, "at five")
        assert second.next_message(10).text == "at five"
        assert second.register(0) == 200
    assert phone.messages.empty()


def test_what_a_phone_without_a_number_writes_leaves_under_the_sender_id_of_the_trunk(pbx, sip_port):
    with SipAgent("phone3", sip_port, "pw3") as third:
        assert third.register() == 200
        assert third.message("600123451", "hola") == 202
        assert third.next_message(10).text.endswith("is queued.")
        assert third.register(0) == 200
    wait_until(lambda: pbx.texts_to("34600123451"))
    (sent,) = [each for each in pbx.smsc.received if each.destination == "34600123451"]
    assert sent.source_addr == ""


def test_what_a_phone_that_is_away_would_have_got_is_mailed_once(pbx, mails):
    text = "hola ñ\n.\r\nBcc: x@example.net " + "largo " * 200
    pbx.smsc.deliver("34600123456", AWAY, text)
    wait_until(lambda: mails.mails, 10)
    (to, data), *more = mails.mails
    assert (to, more) == ("<berta@example.net>", [])
    mail = message_from_bytes(data, policy=policy.default)
    assert mail["Subject"] == "SMS from 34600123456 to 34900100101"
    assert (mail["From"], mail["To"], mail["Bcc"]) == ("ixxsms@localhost", "berta@example.net", None)
    assert mail.get_content().replace("\r\n", "\n").strip() == text.replace("\r\n", "\n").strip()
    assert len(pbx.listener.of("SMSReceived", To=AWAY, Part="1")) == 1


def test_a_mail_server_that_says_later_is_asked_again_and_holds_nothing_up(pbx, mails, monkeypatch):
    monkeypatch.setattr("ixxsms.telling.MAIL_WAITS", (0.0, 0.5))
    mails.refuse, before = 1, len(mails.mails)
    pbx.smsc.deliver("34600123457", AWAY, "again")
    pbx.smsc.deliver("34600123458", NOWHERE, "for nobody")
    pbx.listener.wait("SMSReceived", From="34600123458")
    wait_until(lambda: len(mails.mails) > before, 10)
    never(lambda: len(mails.mails) > before + 1, 0.7)
