"""Asterisk goes and comes back while SMS come in and go out; a wrong password; two daemons of which one goes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hooked
import pytest
from asterisks import wait_until
from hooked import Hooked, b64, text_of

from ixxsms import edge, manager
from ixxsms.asterisk import ami
from ixxsms.telling import Teller

DIALPLAN = """[default]
exten => 900,1,UserEvent(MissedCall,Number: ${CALLERID(num)},Did: 900,Status: NOANSWER)
exten => 901,1,Answer()
same => n,Wait(60)
"""


@pytest.fixture
def pbx(asterisk_root: Path, set_up, tmp_path: Path) -> Iterator[Hooked]:
    with hooked.hooked(asterisk_root, set_up("sqlite"), tmp_path, DIALPLAN) as made:
        yield made


def heard(pbx: Hooked) -> Counter[str]:
    return Counter(text_of(event) for event in pbx.listener.of("SMSReceived"))


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_restart_under_load_loses_no_event_and_doubles_none(pbx, how):
    texts = [f"sms {n}" for n in range(150)]

    def load():
        for n, text in enumerate(texts):
            pbx.smsc.deliver("34600123456", "34900100100", text)
            if n % 3 == 0:
                pbx.queue(f"600{n:06}", text)
            time.sleep(0.03)

    with pbx.serving():
        pbx.wait_up()
        loading = threading.Thread(target=load)
        loading.start()
        wait_until(lambda: len(heard(pbx)) > 20)
        getattr(pbx.asterisk, how)()
        wait_until(lambda: pbx.link()[0] == "down")
        time.sleep(0.5)
        sent = len(pbx.smsc.received)
        time.sleep(0.5)
        assert len(pbx.smsc.received) > sent, "the sending waits for Asterisk"
        pbx.asterisk.start()
        loading.join()
        wait_until(lambda: len(heard(pbx)) == len(texts), 30, lambda: str(sorted(set(texts) - set(heard(pbx)))))
        time.sleep(1.0)
        assert heard(pbx) == Counter(texts)
        assert len(pbx.smsc.received) == 50
        in_order = [text_of(event) for event in pbx.listener.of("SMSReceived")]
        assert in_order == texts
        pbx.wait_up()
        pbx.user_event("SendSMS", Number="600999999", Text64=b64("back"), Id="back")
        assert pbx.wait_text("34600999999") == "back"
        pbx.listener.wait("SMSStatus", Id="back", State="delivered")


def test_what_became_of_messages_while_asterisk_was_down_is_told_when_it_is_back(pbx):
    pbx.smsc.latency = 1.0
    with pbx.serving():
        pbx.wait_up()
        pbx.user_event("SendSMS", Number="600123456", Text64=b64("hola"), Id="x")
        wait_until(lambda: pbx.smsc.received)
        pbx.asterisk.kill()
        time.sleep(1.5)
        assert not pbx.listener.of("SMSStatus", Id="x", State="delivered")
        pbx.asterisk.start()
        pbx.listener.wait("SMSStatus", 20, Id="x", State="delivered")


def test_a_wrong_password_is_said_and_messages_still_go(pbx):
    with pbx.serving(ami_secret="wrong"):
        wait_until(lambda: "refuses the login" in pbx.link()[1], 10, lambda: str(pbx.links()))
        assert pbx.link()[0] == "down"
        assert "wrong" not in pbx.link()[1]
        pbx.queue("600123456", "goes all the same")
        assert pbx.wait_text("34600123456") == "goes all the same"
        time.sleep(1.5)
        assert pbx.asterisk.log().count("failed to authenticate as 'ixxsms'") <= 2  # the log has each line twice


def test_an_asterisk_that_is_not_there_yet_is_waited_for(pbx):
    pbx.asterisk.kill()
    with pbx.serving():
        wait_until(lambda: "cannot be reached" in pbx.link()[1], 10, lambda: str(pbx.links()))
        pbx.smsc.wait_until(lambda: bool(pbx.smsc.logins))
        pbx.smsc.deliver("34600123456", "34900100100", "before it was there")
        pbx.asterisk.start()
        assert text_of(pbx.listener.wait("SMSReceived", 30)) == "before it was there"


def test_an_asterisk_that_waits_to_shut_down_refuses_and_the_next_one_is_told_at_once(pbx, monkeypatch):
    monkeypatch.setattr(manager, "AGAIN", 3600.0)
    with pbx.serving():
        pbx.wait_up()
        pbx.asterisk.call("901")
        wait_until(lambda: "1 active call" in pbx.asterisk.rx("core show channels"))
        stopping = threading.Thread(target=pbx.asterisk.rx, args=["core stop gracefully"])
        stopping.start()  # its console waits as well
        pbx.smsc.deliver("34600123456", "34900100100", "while it waited for the call to end")
        wait_until(lambda: "shutting down" in pbx.link()[1], 10, lambda: str(pbx.links()))
        pbx.asterisk.kill()
        stopping.join()
        pbx.asterisk.start()
        assert text_of(pbx.listener.wait("SMSReceived", 20)) == "while it waited for the call to end"
        wait_until(lambda: pbx.link() == ("up", ""), 10, lambda: str(pbx.links()))


def test_an_error_that_nobody_thought_of_is_logged_and_the_link_stays(pbx, monkeypatch, caplog):
    errors, tell = [RuntimeError("nobody thought of it")], Teller.tell

    async def once_wrong(teller):
        if errors:
            raise errors.pop()
        return await tell(teller)

    monkeypatch.setattr(manager, "AGAIN", 0.5)
    monkeypatch.setattr(Teller, "tell", once_wrong)
    with pbx.serving():
        pbx.wait_up()
        wait_until(lambda: not errors)
        pbx.smsc.deliver("34600123456", "34900100100", "after it")
        assert text_of(pbx.listener.wait("SMSReceived")) == "after it"
    assert "nobody thought of it" in caplog.text
    assert not [record for record in caplog.records if record.name == edge.__name__]


def test_when_a_daemon_goes_the_next_one_acts_and_nothing_happens_twice(pbx, monkeypatch):
    monkeypatch.setattr(ami, "FIRST", 0.1)
    pbx.hook("missed", "missed_call", text="You called")
    with pbx.serving():
        with pbx.serving():
            pbx.wait_up(2)
            pbx.asterisk.call("900", caller="<600000001>")
            assert pbx.wait_text("34600000001") == "You called"
        # the second one has gone
        pbx.asterisk.call("900", caller="<600000002>")
        assert pbx.wait_text("34600000002") == "You called"
        with pbx.serving():
            pbx.wait_up(2)
            for n in range(20):
                pbx.smsc.deliver("34600123456", "34900100100", f"sms {n}")
            pbx.asterisk.restart()
            pbx.wait_up(2)
            pbx.asterisk.call("900", caller="<600000003>")
            assert pbx.wait_text("34600000003") == "You called"
            wait_until(lambda: len(heard(pbx)) == 20)
    time.sleep(0.5)
    assert max(heard(pbx).values()) == 1
    assert [pbx.texts_to(f"3460000000{n}") for n in (1, 2, 3)] == [["You called"]] * 3


def test_the_first_daemon_goes_and_the_second_takes_over(pbx):
    with pbx.serving() as first, pbx.serving():
        pbx.wait_up(2)
        first.stop()
        pbx.wait_up(1, 30)
        pbx.user_event("SendSMS", Number="600123456", Text64=b64("hola"), Id="x")
        assert pbx.wait_text("34600123456") == "hola"
        pbx.smsc.deliver("34600123456", "34900100100", "answer")
        assert text_of(pbx.listener.wait("SMSReceived", 20)) == "answer"
