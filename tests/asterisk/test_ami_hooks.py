"""Hooks on real Asterisks: calls and events go in, texts reach a fake SMSC, and answers come back as events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hooked
import pytest
from asterisks import wait_until
from dialplans import ROOT
from hooked import Hooked, b64, never, text_of

from ixxsms import lists
from ixxsms.asterisk import happenings

DIALPLAN = r"""[default]
; what the SMS of a test is, comes as base64 in a global variable
exten => _77X.,1,Set(TEXT=${BASE64_DECODE(${GLOBAL(T64)})})
 same => n,UserEvent(SendSMS,Number: ${EXTEN:2},Text64: ${BASE64_ENCODE(${TEXT})},Id: ${GLOBAL(ID)})
exten => evil,1,Set(EVIL=${BASE64_DECODE(${GLOBAL(T64)})})
 same => n,UserEvent(SendSMS,Number: ${EVIL},Text64: aG9sYQ==,Id: evil)
exten => spoof,1,UserEvent(SendSMS,calleridnum: 600000666,event: Cdr,Number: 600100031,Text64: aG9sYQ==)
exten => 900,1,Goto(in,900,1)
exten => 901,1,Set(CDR(did)=900100100)
 same => n,Goto(in,901,1)
exten => other,1,Set(CDR(did)=900100101)
 same => n,Goto(in,901,1)
exten => queue,1,Goto(queues,900,1)
exten => late,1,Goto(queues,901,1)
exten => vm,1,Goto(boxes,100,1)

[in]
exten => 900,1,Dial(Local/ring@phones,1)
exten => 901,1,Dial(Local/answer@phones,5)
exten => h,1,UserEvent(MissedCall,Number: ${CALLERID(num)},Did: 900100100,Status: ${DIALSTATUS})

[queues]
exten => 900,1,Answer(0)
 same => n,Queue(sales)
exten => 901,1,Answer(0)
 same => n,Queue(sales,,,,1)
 same => n,Wait(3)

[boxes]
exten => 100,1,Answer(0)
 same => n,VoiceMail(100@default,s)

[phones]
exten => ring,1,Wait(30)
exten => answer,1,Answer(0)
 same => n,Wait(0.2)
exten => tone,1,Answer(0)
 same => n,Milliwatt()

[out]
exten => _X.,1,NoOp(DIALLED ${EXTEN})
 same => n,Answer(0)
 same => n,Wait(3)

[ixxsms-incoming]
exten => s,1,NoOp(CALLED BACK ${SMSFROM}: ${BASE64_DECODE(${SMSTEXT64})} ${SMSID})

[admin]
exten => _X.,1,NoOp(INJECTED)
exten => s,1,NoOp(INJECTED)
"""

MODULES = """
    app_queue app_voicemail app_milliwatt app_record app_playback res_musiconhold
    format_wav format_pcm codec_ulaw codec_alaw codec_gsm func_math"""
CONFS = {
    "queues.conf": "[general]\n[sales]\nstrategy=ringall\njoinempty=yes\nringinuse=yes\nmember => Local/ring@phones\n",
    "voicemail.conf": "[general]\nformat=wav\nmaxsecs=2\nminsecs=0\n[default]\n100 => 1234,Ana\n",
    "musiconhold.conf": "[general]\n",
    "cdr_manager.conf": (ROOT / "cdr/manager/cdr_manager.conf").read_text(encoding="utf-8"),
}

TEXTS = [
    "hola",
    "quotes \" and ' and «these»",
    "commas, semicolons; pipes | ampersands & equals = (brackets) [more] {and} \\ back",
    "line one\nline two\r\nline three",
    "ñandú €uro Привет 😀",
    "${SHELL(id)} $[1+1] ${EXTEN} %s %n",
    "x\r\n\r\nAction: Originate\r\nChannel: Local/1@admin\r\nApplication: NoOp\r\n\r\n",
    "blanks at  the   end   ",
    "ñ" * 350,
]


@pytest.fixture(scope="module")
def pbx(asterisk_root: Path, set_up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooked]:
    folder = tmp_path_factory.mktemp("hooks")
    with (
        hooked.hooked(asterisk_root, set_up("sqlite"), folder, DIALPLAN, modules=MODULES, confs=CONFS) as made,
        made.serving(),
        made.serving(),  # two daemons, all the time: nothing may happen twice
    ):
        made.wait_up(2)
        yield made


def test_every_text_arrives_as_it_is_and_its_asker_hears_what_becomes_of_it(pbx):
    for n, text in enumerate(TEXTS):
        pbx.user_event("SendSMS", Number=f"60010000{n}", Text64=b64(text), Id=f"text-{n}")
    for n, text in enumerate(TEXTS):
        assert pbx.wait_text(f"3460010000{n}") == text
        assert pbx.listener.wait("SMSStatus", Id=f"text-{n}", State="delivered")["Number"] == f"3460010000{n}"
        states = [event["State"] for event in pbx.listener.of("SMSStatus", Id=f"text-{n}")]
        assert len(states) == len(set(states)), states
        assert len(pbx.texts_to(f"3460010000{n}")) == 1


@pytest.mark.parametrize("text", [TEXTS[1], TEXTS[3], TEXTS[4], TEXTS[6]])
def test_the_dialplan_asks_with_an_event_too(pbx, text):
    number = f"6001001{TEXTS.index(text)}0"
    pbx.globals(T64=b64(text), ID=f"plan-{number}")
    pbx.asterisk.call(f"77{number}", caller='"Ana" <101>')
    assert pbx.wait_text(f"34{number}") == text
    assert pbx.listener.wait("SMSStatus", Id=f"plan-{number}", State="delivered")


def test_what_is_refused_is_said_at_once(pbx):
    before = len(pbx.smsc.received)
    for asked_id, number, text64, why in (
        ("short", "12", b64("x"), "cannot be written to"),
        ("base64", "600100020", "***", "Text64"),
        ("utf8", "600100020", b64(b"\xff\xfe"), "Text64"),
        ("empty", "600100020", "", "empty"),
        ("abroad", "+447911123456", b64("x"), "request_prefixes"),
    ):
        pbx.user_event("SendSMS", Number=number, Text64=text64, Id=asked_id)
        event = pbx.listener.wait("SMSStatus", Id=asked_id)
        assert event["State"] == "refused"
        assert why in event["Reason"]
    assert len(pbx.smsc.received) == before


def test_what_a_caller_wrote_becomes_no_event_and_no_action_of_its_own(pbx):
    pbx.globals(T64=b64("600100030\r\nNumber: 600100032\r\nId: other\nX: y"))
    pbx.asterisk.call("evil")
    assert pbx.wait_text("34600100030") == "hola"
    pbx.asterisk.call("spoof", caller="<102>")
    assert pbx.wait_text("34600100031") == "hola"
    assert pbx.texts_to("34600100032") == []
    assert "INJECTED" not in pbx.asterisk.log()


def test_a_missed_call_is_answered_once(pbx):
    pbx.hook("missed", "missed_call", text="You called {did}", context="in")
    pbx.asterisk.call("900", caller='"Ana" <600200001>')
    pbx.asterisk.call("900", caller="<+34600200001>")
    pbx.asterisk.call("900", caller="<912345678>")
    pbx.asterisk.call("900", caller='"600200002" <anonymous>')
    pbx.asterisk.call("901", caller="<600200003>")
    assert pbx.wait_text("34600200001") == "You called 900100100"
    pbx.asterisk.wait_idle()
    never(lambda: len(pbx.texts_to("34600200001")) > 1 or pbx.texts_to("34600200003"))
    assert len(pbx.listener.of("MissedCall")) == 5
    pbx.unhook("missed")


def test_who_gives_up_in_a_queue_is_written_to_and_who_goes_on_is_not(pbx, monkeypatch):
    monkeypatch.setattr(happenings, "AT_ONCE", 1.5)
    pbx.hook("abandon", "queue_abandon", text="Sorry, {queue}", context="queues")
    pbx.asterisk.call("late", caller="<600300002>", seconds=30)
    pbx.asterisk.call("queue", caller="<600300001>", seconds=1)
    assert pbx.wait_text("34600300001") == "Sorry, sales"
    pbx.asterisk.wait_idle()
    assert len(pbx.texts_to("34600300001")) == 1
    assert pbx.texts_to("34600300002") == []
    pbx.unhook("abandon")


def test_a_voicemail_is_told_to_the_owner_of_the_box(pbx):
    pbx.hook("box", "voicemail", text="Voicemail from {number} in {did}", notify="600400009", context="default")
    talking = ("Context: phones", "Exten: tone", "Priority: 1", "Async: true")
    pbx.asterisk.ami("Originate", "Channel: Local/vm@default", "CallerID: <600400001>", *talking)
    assert pbx.wait_text("34600400009", 20) == "Voicemail from 34600400001 in 100"
    never(lambda: len(pbx.texts_to("34600400009")) > 1)
    pbx.unhook("box")


def test_callers_get_onto_a_list_as_they_call(pbx):
    with pbx.database.write() as session:
        lists.create(session, "callers")
    pbx.hook("live", "cdr", list_name="callers", did="900100100")
    for caller in ("<600500001>", '"Ñ" <+34600500002>', "<912345678>", "<anonymous>", "<600500001>"):
        pbx.asterisk.call("901", caller=caller)
    pbx.asterisk.call("other", caller="<600500003>")

    def members():
        with pbx.database.read() as session:
            return {member.number for member in lists.members(session, "callers")}

    wait_until(lambda: len(members()) >= 2, 10, lambda: str(members()))
    pbx.asterisk.wait_idle()
    assert members() == {"34600500001", "34600500002"}
    pbx.unhook("live")


@pytest.mark.parametrize("text", TEXTS)
def test_an_incoming_sms_is_heard_by_whoever_listens(pbx, text):
    source = f"3460060000{TEXTS.index(text)}"
    pbx.smsc.deliver(source, "34900100100", text)
    first = pbx.listener.wait("SMSReceived", From=source)
    wait_until(lambda: len(pbx.listener.of("SMSReceived", From=source)) == int(first["Parts"]))
    events = pbx.listener.of("SMSReceived", From=source)
    assert "".join(map(text_of, events)) == text
    assert (first["To"], first["Trunk"]) == ("34900100100", "provider")
    assert [event["Part"] for event in events] == [str(n + 1) for n in range(len(events))]
    never(lambda: len(pbx.listener.of("SMSReceived", From=source)) > len(events), 0.3)


def test_a_keyword_calls_back_into_the_dialplan(pbx):
    pbx.hook("callme", "sms", keyword="callme", call_back="Local/{number}@out")
    for text in ("no callme", 'CALLME "now", ${SHELL(id)}; ñ', "callme again"):
        pbx.smsc.deliver("34600700001", "34900100100", text)
    line = pbx.asterisk.wait_log("CALLED BACK")
    assert 'CALLED BACK 34600700001: CALLME "now", ${SHELL(id)}; ñ ' in line
    assert "DIALLED 34600700001" in pbx.asterisk.log()
    never(lambda: pbx.asterisk.log().count("DIALLED 34600700001") > 2, 0.5)  # the log has each line twice
    assert "INJECTED" not in pbx.asterisk.log()
    pbx.unhook("callme")
