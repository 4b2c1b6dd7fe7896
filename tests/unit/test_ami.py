"""The link to AMI against a peer that misbehaves, and what is read from events; tests/asterisk has the real one."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from ixxsms.asterisk import ami, happenings, mail
from ixxsms.asterisk.ami import Ami, Lost
from ixxsms.asterisk.happenings import Abandoned, Asked, Happening, HungUp, read
from ixxsms.asterisk.pieces import one_line, pieces
from ixxsms.errors import BadInput

TEXT = "ñandú €uro 😀 «quote»"


class Peer:
    """A server that speaks as much AMI as a test needs. `answer`: what to say to an action; None: nothing."""

    def __init__(self):
        self.actions, self.writers, self.logins = [], [], 0
        self.password, self.mute, self.boots = "secret", False, True

    async def talk(self, reader, writer):
        self.writers.append(writer)
        writer.write(b"Asterisk Call Manager/7.0.3\r\n")
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while packet := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.split(": ", 1) for line in packet.decode().split("\r\n") if line)
                self.actions.append(headers)
                if not self.mute:
                    self.answer(writer, headers)

    def answer(self, writer, headers):
        login = headers["Action"] == "Login"
        self.logins += login
        ok = not login or headers["Secret"] == self.password
        said = "Success\r\nMessage: fine" if ok else "Error\r\nMessage: Authentication failed"
        writer.write(f"Response: {said}\r\nActionID: {headers['ActionID']}\r\n\r\n".encode())
        if login and ok and self.boots:
            writer.write(b"Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\n")

    async def say(self, data):
        for writer in self.writers:
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def connected(secret="secret", peer=None, on_event=None):
    """A peer, the link to it, and the events that it heard."""
    peer = peer or Peer()
    heard = []
    server = await asyncio.start_server(peer.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Ami("127.0.0.1", port, "ixxsms", secret, on_event=on_event or heard.append)
    task = asyncio.create_task(link.run())
    try:
        yield peer, link, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for writer in peer.writers:
            writer.close()
        server.close()


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def test_an_event_is_whole_however_tcp_cuts_it():
    async def go():
        async with connected() as (peer, link, heard):
            await until(lambda: link.up)
            for byte in f"Event: UserEvent\r\nUserEvent: x\r\nText: {TEXT}\r\n\r\n".encode():
                await peer.say(bytes([byte]))
                await asyncio.sleep(0)
            await until(lambda: heard[1:])
            assert heard[1]["text"] == TEXT

    run(go())


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0b"])
def test_a_line_break_in_a_header_never_leaves(value):
    async def go():
        async with connected() as (peer, link, _):
            await until(lambda: link.up)
            for headers in ({"Text": value}, {value: "text"}, {"Variable": ["A=1", value]}):
                with pytest.raises(BadInput, match="must be one line"):
                    await link.act("UserEvent", {"UserEvent": "x", **headers})
            assert [action["Action"] for action in peer.actions] == ["Login"]

    run(go())


def test_what_asterisk_would_refuse_for_its_length_never_leaves():
    async def go():
        async with connected() as (_, link, _heard):
            await until(lambda: link.up)
            with pytest.raises(BadInput, match="over 1000 bytes"):
                await link.act("UserEvent", {"Text": "ñ" * 500})
            with pytest.raises(BadInput, match="too long"):
                await link.act("UserEvent", {"Variable": ["A=1"] * 120})

    run(go())


def test_a_callback_that_raises_and_a_packet_that_is_none_end_nothing():
    seen = []

    def on_event(headers):
        seen.append(headers["event"])
        raise ValueError("from a callback")

    async def go():
        async with connected(on_event=on_event) as (peer, link, _):
            await until(lambda: link.up)
            await peer.say(b"Event: A\r\n\r\n\r\n\r\nnonsense\r\n\r\n: \r\n\r\n\xff\xfe: x\r\nEvent: B\r\n\r\n")
            await until(lambda: "B" in seen)
            assert (await link.act("Ping")).ok
            assert (link.up, peer.logins) == (True, 1)

    run(go())


def test_of_equal_headers_the_first_counts_for_the_later_are_a_strangers():
    async def go():
        async with connected() as (peer, link, heard):
            await until(lambda: link.up)
            await peer.say(
                b"Event: UserEvent\r\nCallerIDNum: 101\r\nActionID: 1\r\nevent: Cdr\r\nEVENT: Shutdown\r\n"
                b"calleridnum: 999\r\nActionID: 2\r\n\r\n"
            )
            await until(lambda: heard[1:])
            assert (heard[1]["event"], heard[1]["calleridnum"]) == ("UserEvent", "101")
            assert link.up

    run(go())


def test_an_action_without_an_answer_ends_the_link_and_a_mute_asterisk_is_noticed(monkeypatch):
    monkeypatch.setattr(ami, "ANSWER", 0.1)
    monkeypatch.setattr(ami, "PING", 0.1)
    monkeypatch.setattr(ami, "FIRST", 0.05)

    async def go():
        async with connected() as (peer, link, _):
            await until(lambda: link.up)
            peer.mute = True
            with pytest.raises(Lost, match="did not answer"):
                await link.act("UserEvent", {"UserEvent": "x"})
            await until(lambda: not link.up)
            peer.mute = False
            await until(lambda: link.up)
            peer.mute = True  # and now nobody asks but the link itself
            await until(lambda: not link.up)
            assert "did not answer" in link.why
            peer.mute = False
            await until(lambda: link.up)

    run(go())


def test_a_lost_link_fails_what_waits_at_once_and_comes_back(monkeypatch):
    monkeypatch.setattr(ami, "FIRST", 0.05)

    async def go():
        async with connected() as (peer, link, _):
            await until(lambda: link.up)
            peer.mute = True
            waiting = asyncio.create_task(link.act("UserEvent", {"UserEvent": "x"}))
            await until(lambda: peer.actions[-1]["Action"] == "UserEvent")
            peer.writers[-1].close()
            with pytest.raises(Lost):
                await asyncio.wait_for(waiting, 1)
            peer.mute = False
            await until(lambda: link.up)
            assert [action["Action"] for action in peer.actions].count("UserEvent") == 1, "it was sent again"
            ids = [action["ActionID"] for action in peer.actions]
            assert len(set(ids)) == len(ids)

    run(go())


def test_a_wrong_password_is_said_and_not_tried_again_soon(monkeypatch):
    monkeypatch.setattr(ami, "FIRST", 0.01)

    async def go():
        async with connected(secret="wrong") as (peer, link, _):
            await until(lambda: "Authentication failed" in link.why)
            await asyncio.sleep(0.3)
            assert (link.up, peer.logins) == (False, 1)
            assert ami.REFUSED >= 30
            with pytest.raises(Lost, match="not connected"):
                await link.act("Ping")

    run(go())


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
def test_a_host_that_can_be_no_name_is_said_and_ends_nothing(host):
    async def go():
        link = Ami(host, 5038, "ixxsms", "secret", on_event=print)
        task = asyncio.create_task(link.run())
        await until(lambda: link.why != "not connected yet" or task.done())
        assert not task.done()
        assert link.why.startswith("Asterisk cannot be reached: ") and "label" in link.why
        task.cancel()

    run(go())


def test_of_a_host_without_an_address_the_resolvers_own_words_are_told(monkeypatch):
    def resolve(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def go():
        link = Ami("pbx.example", 5038, "ixxsms", "secret", on_event=print)
        task = asyncio.create_task(link.run())
        await until(lambda: link.why != "not connected yet")
        assert link.why == "Asterisk cannot be reached: Name or service not known."
        task.cancel()

    run(go())


def test_it_is_not_up_before_asterisk_is_booted(monkeypatch):
    async def go():
        peer = Peer()
        peer.boots = False
        async with connected(peer=peer) as (_, link, _heard):
            await until(lambda: "booted" in link.why)
            assert not link.up
            await peer.say(b"Event: FullyBooted\r\n\r\n")
            await until(lambda: link.up)
            await peer.say(b"Event: Shutdown\r\n\r\n")
            await until(lambda: not link.up)

    run(go())


def test_a_closed_link_stays_closed(monkeypatch):
    monkeypatch.setattr(ami, "FIRST", 0.01)

    async def go():
        peer = Peer()
        async with connected(peer=peer) as (_, link, _heard):
            await until(lambda: link.up)
        await asyncio.sleep(0.1)
        assert (link.up, peer.logins) == (False, 1)
        assert len(asyncio.all_tasks()) <= 2

    run(go())


# -- what events say


def event(**headers):
    return read({name.lower(): value for name, value in headers.items()})


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_a_request_for_an_sms_says_who_asks():
    asked = event(
        Event="UserEvent", UserEvent="SendSMS", Number="600123456", Text64=b64("a, b\n«c»"), Id="x1", CallerIDNum="101"
    )
    assert asked == Asked("600123456", "a, b\n«c»", "", "", "x1", "101")
    unknown = {"CallerIDNum": "<unknown>", "Channel": "PJSIP/my-phone-0000001f"}
    assert event(Event="UserEvent", UserEvent="SendSMS", **unknown).caller == "PJSIP/my-phone"
    assert event(Event="UserEvent", UserEvent="SendSMS").caller == "ami"
    for wrong in ("%%%", "aG9sYQ", b64("x")[:-1], base64.b64encode(b"\xff\xfe").decode(), "ñ"):
        assert event(Event="UserEvent", UserEvent="SendSMS", Text64=wrong).text is None, wrong
    # BASE64_ENCODE gives no more than so much.
    assert event(Event="UserEvent", UserEvent="SendSMS", Text64=b64("x" * 3069)).text is None
    assert event(Event="UserEvent", UserEvent="SendSMS", Text64=b64("x" * 3066)).text == "x" * 3066
    assert event(Event="UserEvent", UserEvent="SendSMS", Text64="", Id="a\nb\x1b" + "c" * 99).id == "a b " + "c" * 60


def test_an_answered_call_is_not_missed():
    missed = {"Event": "UserEvent", "UserEvent": "MissedCall", "Number": "600123456", "Did": "900", "Context": "in"}
    assert event(**missed, Status="NOANSWER") == Happening(happenings.MISSED_CALL, "600123456", "900", "", "in")
    assert event(**missed) == event(**missed, Status="BUSY") == event(**missed, Status="NOANSWER")
    assert event(**missed, Status="ANSWER") is None
    assert event(**missed, Status="") is None, "nobody was dialled: a menu, or a queue that may have answered"
    assert event(Event="UserEvent", UserEvent="SMSStatus") is None


def test_a_voicemail_is_news_only_when_somebody_left_it():
    left = {"Event": "MessageWaiting", "Mailbox": "100@default", "Waiting": "1", "New": "1", "Old": "0"}
    assert event(**left, CallerIDNum="600") == Happening(happenings.VOICEMAIL, "600", "100", "", "default")
    assert event(**left) is None
    assert event(**{**left, "Waiting": "0", "New": "0"}, CallerIDNum="600") is None


def test_a_call_record_is_about_who_called():
    record = {
        "Event": "Cdr",
        "Source": "600123456",
        "Destination": "900",
        "DestinationContext": "in",
        "UniqueID": "1.1",
    }
    assert event(**record) == Happening(happenings.CDR, "600123456", "900", "", "in", "1.1")


def test_who_left_a_queue_is_lost_when_he_hangs_up_and_not_when_his_time_is_over():
    left = event(
        Event="QueueCallerAbandon", Queue="sales", CallerIDNum="600", Exten="900", Context="in", Uniqueid="1.1"
    )
    assert (left.queue, left.did, left.uniqueid) == ("sales", "900", "1.1")
    assert event(Event="Hangup", Uniqueid="1.1") == HungUp("1.1")
    abandoned = Abandoned()
    abandoned.left(left, 100.0)
    assert abandoned.hung_up("2.2", 100.1) is None
    assert abandoned.hung_up("1.1", 100.1) == left
    assert abandoned.hung_up("1.1", 100.2) is None
    abandoned.left(left, 100.0)
    assert abandoned.hung_up("1.1", 130.0) is None


# -- texts on their way


@pytest.mark.parametrize("text", ["", "a" * 700, "a" * 701, "ñ" * 1000, "😀" * 500, "a" + "€" * 999])
def test_a_long_text_is_cut_between_two_characters(text):
    cut = pieces(text)
    assert "".join(cut) == text
    assert all(len(piece.encode()) <= 700 for piece in cut)
    assert len(cut) == max(1, -(-len(text.encode()) // 697)) or len(cut) == max(1, -(-len(text.encode()) // 700))


def test_nothing_that_a_stranger_wrote_becomes_a_header_of_a_mail():
    written = "600\r\nBcc: all@example.net\r\n\r\nbody"
    composed = mail.compose("sms@pbx", "ana@example.net", written, written, "hola ñ\r\n.\r\nBcc: x@y\0")
    assert composed["Bcc"] is None
    assert composed["To"] == "ana@example.net"
    assert "\n" not in composed["Subject"]
    assert composed.get_content().startswith("hola ñ")
    assert b"\r\nBcc" not in bytes(composed).partition(b"\n\n")[0]
    assert one_line("a\u2028b\x00c", 9) == "a b c"
