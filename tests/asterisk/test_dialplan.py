"""The subroutines and FastAGI, called by a real Asterisk, up to the SMSC."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack

import asterisks
import pytest
from dialplans import ROOT, Site, wait_for_port
from servers import free_port
from sip_agent import SipAgent
from sqlalchemy import select
from systems import eventually

from ixxsms import hook_rules, inbox, lists, numbering_plan
from ixxsms.events import Received
from ixxsms.models import TrunkLink

DIALPLAN = """
[t]
exten => send,1,Set(TEXT=Hola, "qué" tal: ñ\\;)
 same => n,Gosub(sub-ixxsms-send,s,1(${NUMBER},TEXT,${TRUNK},${SENDER}))
 same => n,Set(EXTRA=${GOSUB_RETVAL})
 same => n,Goto(done,s,1)
exten => queue,1,Set(TEXT=Hola)
 same => n,Gosub(sub-ixxsms-queue,s,1(${NUMBER},TEXT))
 same => n,Goto(done,s,1)
exten => missed,1,Set(TEXT=You called)
 same => n,Set(DIALSTATUS=${DIALED})
 same => n,Gosub(sub-ixxsms-missed-call,s,1(,TEXT))
 same => n,Goto(done,s,1)
exten => voicemail,1,Set(TEXT=Voicemail)
 same => n,Set(VMSTATUS=${LEFT})
 same => n,Gosub(sub-ixxsms-voicemail,s,1(${NUMBER},TEXT))
 same => n,Goto(done,s,1)
exten => url,1,AGI(${IXXSMS_AGI}/send?number=${NUMBER}&text=${URIENCODE(Hola, "ñ" & más)})
 same => n,Goto(done,s,1)
exten => list,1,AGI(${IXXSMS_AGI}/list,${DO},${LIST},${NUMBER})
 same => n,Set(EXTRA=${LISTSTATUS} ${LISTERROR})
 same => n,Goto(done,s,1)
exten => inbox,1,AGI(${IXXSMS_AGI}/inbox,${ID})
 same => n,Set(EXTRA=${SMSFROM} ${SMSTO} ${BASE64_DECODE(${SMSTEXT64})})
 same => n,Goto(done,s,1)
exten => again,1,AGI(${IXXSMS_AGI}/inbox,${FIRST})
 same => n,AGI(${IXXSMS_AGI}/inbox,${ID})
 same => n,Set(EXTRA=${SMSSTATUS} ${SMSID} ${SMSFROM} ${SMSTO} ${SMSTEXT64}.)
 same => n,Goto(done,s,1)
exten => nowhere,1,AGI(${IXXSMS_AGI}/nowhere)
 same => n,Goto(done,s,1)
exten => otp,1,NoOp(RUN${RUN}!)
 same => n,Answer()
 same => n,Set(TEXT=Your code is {code}, Ana)
 same => n,Set(IXXSMS_OTP_SECONDS=8)
 same => n,Gosub(sub-ixxsms-otp,s,1(${NUMBER},TEXT))
 same => n,Set(EXTRA=${GOSUB_RETVAL} ${OTPSTATUS})
 same => n,Goto(done,s,1)
exten => way,1,Goto(ways,${WAY},1)
exten => h,1,NoOp(HUNG UP)

; What may become of a call; what comes of that is told when it has ended.
[ways]
exten => dialled,1,Dial(Local/nobody@phones,1)
exten => answered,1,Dial(Local/somebody@phones,5)
exten => announcement,1,Answer()
 same => n,Wait(1)
exten => agent,1,Queue(agents)
exten => one-of-two,1,Queue(both)
exten => agent-and-on,1,Queue(agents,c)
 same => n,Dial(Local/nobody@phones,1)
exten => phone-then-agent,1,Dial(Local/nobody@phones,1)
 same => n,Queue(both)
exten => queue-then-agent,1,Queue(nobody,,,,1)
 same => n,Queue(both)
exten => queue-then-phone,1,Queue(nobody,,,,1)
 same => n,Dial(Local/somebody@phones,5)
exten => timed-out,1,Queue(nobody,,,,1)
exten => given-up,1,Set(TIMEOUT(absolute)=1)
 same => n,Queue(nobody)
exten => phone-then-given-up,1,Dial(Local/nobody@phones,1)
 same => n,Set(TIMEOUT(absolute)=1)
 same => n,Queue(nobody)
exten => no-agents,1,Queue(empty)
exten => left-a-message,1,Answer()
 same => n,Set(TIMEOUT(absolute)=2)
 same => n,VoiceMail(100@default,s)
exten => left-none,1,Answer()
 same => n,VoiceMail(101@default,s)
exten => h,1,Set(TEXT=You called)
 same => n,GotoIf($["${NUMBER}" != ""]?voicemail)
 same => n,Gosub(sub-ixxsms-missed-call,s,1(,TEXT))
 same => n,Goto(done,s,1)
 same => n(voicemail),Gosub(sub-ixxsms-voicemail,s,1(${NUMBER},TEXT))
 same => n,Goto(done,s,1)
[phones]
exten => nobody,1,Wait(30)
exten => somebody,1,Answer()
 same => n,Wait(0.2)
[tone]
exten => s,1,Answer()
 same => n,Milliwatt()

; Where a call back is taken.
[called-back]
exten => _X.,1,Answer()
 same => n,Wait(10)

; A caller who types what the test gives to him in a global variable.
[typist]
exten => s,1,NoOp()
 same => n(wait),Wait(0.1)
 same => n,GotoIf($["${GLOBAL(TYPED${RUN})}" = ""]?wait)
 same => n,Set(TYPED=${GLOBAL(TYPED${RUN})})
 same => n,Set(GLOBAL(TYPED${RUN})=)
 same => n,SendDTMF(${TYPED},40,60)
 same => n,Goto(wait)
"""


MODULES = """
    app_read app_senddtmf app_playback app_queue app_voicemail app_milliwatt app_record res_musiconhold
    format_pcm format_wav codec_ulaw codec_alaw codec_gsm func_timeout"""
QUEUES = """[general]
[agents]
joinempty=yes
member => Local/somebody@phones/n
[both]
joinempty=yes
member => Local/nobody@phones/n
member => Local/somebody@phones/n
[nobody]
joinempty=yes
member => Local/nobody@phones/n
[empty]
joinempty=no
"""
VOICEMAIL = "[general]\nformat=wav\nmaxsecs=10\nminsecs=0\n[default]\n100 => 1234,Ana\n"

BACK = "Local/{number}@called-back"

#: What a PBX has, for the examples: a call that nobody answers.
FROM_PSTN = """
[from-pstn]
exten => _X.,1,Dial(Local/s@nobody,1)
[nobody]
exten => s,1,Wait(3)
"""


@pytest.fixture(scope="module")
def sip_port():
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture(scope="module")
def site(asterisk_root, set_up, tmp_path_factory, sip_port):
    modules = f"{asterisks.PJSIP} {MODULES}"
    confs = {"pjsip.conf": pjsip_conf(sip_port), "queues.conf": QUEUES, "voicemail.conf": VOICEMAIL}
    confs["musiconhold.conf"] = "[general]\n"
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("site")
        yield Site(folder, asterisk_root, set_up("sqlite"), DIALPLAN, stack, modules=modules, confs=confs)


def pjsip_conf(port):
    return f"""[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[phone-1]
type=endpoint
message_context=ixxsms-sip-messages
disallow=all
allow=alaw
aors=phone-1
auth=phone-1
[phone-1]
type=auth
auth_type=userpass
username=phone-1
password=pw1
[phone-1]
type=aor
max_contacts=1
remove_existing=yes
"""


@pytest.fixture(scope="module")
def served(site):
    with site.daemon():
        yield site


def test_with_the_daemon_down_a_call_is_told_so_at_once(site):
    status, _, _, error, returned = site.call("send", NUMBER="600123456")
    assert (status, returned) == ("FAILED", "FAILED")
    assert error.startswith("ixxmassivesms does not answer at agi://")


def links(site):
    with site.database.read() as session:
        return session.scalars(select(TrunkLink)).all()


def test_a_call_that_waits_while_the_daemon_ends_hears_that_its_sms_is_queued(site):
    with site.daemon() as daemon:
        site.system.ixxsms("trunk", "disable", "provider")
        eventually(lambda: not links(site))
        run = site.start("send", NUMBER="600123470")
        eventually(lambda: "34600123470" in site.system.ixxsms("outbox"))
        daemon.terminate()
        status, message_id, _, error, _ = site.result(run)
    site.system.ixxsms("trunk", "enable", "provider")
    with site.daemon():
        site.smsc.wait_until(lambda: "34600123470" in dict(site.smsc.texts()))
    assert (status, error) == ("QUEUED", "")
    assert int(message_id) > 0
    assert "ERROR" not in site.daemon_log()


def test_with_the_daemon_down_a_sip_phone_is_told_so(site, sip_port):
    with SipAgent("phone-1", sip_port, "pw1") as phone:
        assert phone.register() == 200
        assert phone.message("600200010", "hola") == 202
        assert phone.next_message().text == "No SMS was sent: the service does not answer."


def test_a_call_sends_and_hears_that_it_was_sent(served):
    status, message_id, segments, error, returned = served.call("send", NUMBER="600123456")
    assert (status, segments, error, returned) == ("SENT", "1", "", "SENT")
    assert ("34600123456", 'Hola, "qué" tal: ñ;') in served.smsc.texts()
    assert int(message_id) > 0


def test_number_trunk_and_sender_are_what_the_call_says(served):
    status, *_ = served.call("send", NUMBER="(+34) 600-12 34 57", TRUNK="provider", SENDER="ACME")
    assert status == "SENT"
    (received,) = [message for message in served.smsc.received if message.destination == "34600123457"]
    assert received.source_addr == "ACME"


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"NUMBER": "123"}, "too short"),
        ({"NUMBER": "anonymous"}, "empty"),
        ({"NUMBER": "600123456", "TRUNK": "nix"}, 'There is no trunk "nix".'),
        ({"NUMBER": "600123456", "SENDER": "Ñandú"}, "sender id"),
        ({"NUMBER": "+447911123456"}, "request_prefixes"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(served, variables, why):
    before = len(served.smsc.received)
    status, message_id, _, error, _ = served.call("send", **variables)
    assert (status, message_id) == ("REFUSED", "")
    assert why in error
    assert len(served.smsc.received) == before


def test_what_the_provider_refuses_is_refused(served):
    served.smsc.errors = {"34600999": 0x0B}  # invalid destination address
    status, message_id, _, error, _ = served.call("send", NUMBER="600999001")
    assert status == "REFUSED"
    assert message_id and error


def test_while_no_trunk_takes_it_a_call_hears_that_it_is_queued(served):
    served.smsc.mute = True
    try:
        status, message_id, *_ = served.call("send", NUMBER="600123460")
    finally:
        served.smsc.mute = False
        served.smsc.drop()
        logins = len(served.smsc.logins)
        served.smsc.wait_until(lambda: len(served.smsc.logins) > logins)
    assert status == "QUEUED"
    assert message_id


def test_the_queue_is_not_waited_for(served):
    status, *_ = served.call("queue", NUMBER="600123461")
    assert status == "QUEUED"
    served.smsc.wait_until(lambda: ("34600123461", "Hola") in served.smsc.texts())


def test_who_called_in_vain_is_written_to(served):
    assert served.call("missed", caller='"Ana" <+34600123462>', DIALED="NOANSWER")[0] == "QUEUED"
    served.smsc.wait_until(lambda: ("34600123462", "You called") in served.smsc.texts())
    assert served.call("missed", caller="600123462", DIALED="ANSWER")[0] == ""
    status, _, _, error, _ = served.call("missed", caller="912345678", DIALED="BUSY")
    assert (status, error) == ("REFUSED", "This number is not a mobile one.")
    assert served.call("missed", caller="anonymous", DIALED="CANCEL")[0] == "REFUSED"


IN_VAIN = ["dialled", "timed-out", "given-up", "phone-then-given-up", "no-agents"]
ANSWERED = [
    "answered",
    "agent",
    "one-of-two",
    "agent-and-on",
    "phone-then-agent",
    "queue-then-agent",
    "queue-then-phone",
]


@pytest.mark.parametrize("way", [*IN_VAIN, *ANSWERED, "announcement"])
def test_a_call_is_missed_if_somebody_was_called_and_nobody_answered_by_phone_or_in_a_queue(served, way):
    assert served.call("way", WAY=way, caller="600123462")[0] == ("QUEUED" if way in IN_VAIN else "")


def test_a_voicemail_is_told_to_its_owner_only_if_there_is_one(served):
    assert served.call("voicemail", NUMBER="600123463", LEFT="SUCCESS")[0] == "QUEUED"
    assert served.call("voicemail", NUMBER="600123463", LEFT="USEREXIT")[0] == ""
    assert served.call("way", by="tone", WAY="left-a-message", NUMBER="600123463")[0] == "QUEUED"
    assert served.call("way", WAY="left-none", NUMBER="600123463")[0] == ""


def test_a_url_may_carry_number_and_text(served):
    assert served.call("url", NUMBER="600123464")[0] == "SENT"
    assert ("34600123464", 'Hola, "ñ" & más') in served.smsc.texts()


def test_a_route_that_is_not_there_is_said(served):
    status, _, _, error, _ = served.call("nowhere")
    assert (status, error) == ("FAILED", 'There is no FastAGI route "nowhere".')


def test_callers_put_themselves_on_lists_and_off(served):
    with served.database.write() as session:
        lists.create(session, "offers")

    def ask(do, **variables):
        return served.call("list", LIST="offers", DO=do, **variables)[4].strip()

    assert ask("check") == "ABSENT"
    assert ask("add") == "ADDED"
    assert ask("add") == ask("check") == "MEMBER"
    assert ask("remove") == "REMOVED"
    assert ask("check") == ask("add") == "EXCLUDED"
    assert ask("add", NUMBER="600555444") == "ADDED"
    assert ask("remove", NUMBER="600000000") == "ABSENT"
    assert ask("drop") == "FAILED A list is asked to add, remove or check."
    assert ask("add", NUMBER="12").startswith("FAILED The number")
    assert served.call("list", LIST="none", DO="add")[4] == 'FAILED There is no list "none".'
    with served.database.read() as session:
        members = lists.show(session, "offers").members
    assert [(member.number, member.excluded) for member in members] == [("34600111222", True), ("34600555444", False)]


def test_an_incoming_sms_is_handed_to_the_dialplan(served):
    assert served.call("inbox")[0] == "EMPTY"
    with served.database.write() as session:
        (first,) = inbox.store(session, 1, [Received("34600999888", "34900123123", 'BAJA, "¡ya!" ☕')], 1.0)
        inbox.store(session, 1, [Received("34600999889", "34900123123", "second")], 2.0)
        parts = [Received("34600999890", "34900123123", text, 7, part, 2) for part, text in ((2, "two"), (1, "one"))]
        (long,) = inbox.store(session, 1, parts, 3.0)
    assert served.call("inbox", ID=str(first.id))[:2] == ["RECEIVED", str(first.id)]
    assert served.call("inbox", ID=str(first.id))[4] == '34600999888 34900123123 BAJA, "¡ya!" ☕'
    assert served.call("inbox")[4] == "34600999890 34900123123 onetwo"
    assert served.call("again", FIRST=str(long.id), ID="99999")[4] == "EMPTY    ."
    assert served.call("inbox")[1] == str(long.id)
    assert served.call("inbox", ID="99999")[0] == "EMPTY"
    assert served.call("inbox", ID="x")[0] == "FAILED"


class OneTimeCode:
    """A call that asks for a code, and who types."""

    def __init__(self, site, number, **variables):
        self.site, self.number = site, number
        self.before = len(site.smsc.texts())
        self.run = site.start("otp", by="typist", NUMBER=number, **variables)

    def code(self):
        """The one in the SMS to this number; what an earlier call sent may still arrive before it."""
        self.site.smsc.wait_until(self.texts)
        code = self.texts()[0].removeprefix("Your code is ").removesuffix(", Ana")
        assert (len(code), code.isdigit()) == (6, True)
        return code

    def texts(self):
        return [text for number, text in self.site.smsc.texts()[self.before :] if number == f"34{self.number}"]

    def type(self, digits, reads):
        """Type, once the code was asked for so many times."""
        eventually(lambda: self.asked() >= reads)
        self.site.asterisk.rx(f"dialplan set global TYPED{self.run} {digits}")

    def asked(self):
        channels = [line for line in self.site.asterisk.log().splitlines() if ": Executing" in line and "Read(" in line]
        return sum(f"-{self.serial()};2" in line for line in channels)

    def serial(self):
        begun = next(line for line in self.site.asterisk.log().splitlines() if f"RUN{self.run}!" in line)
        return begun.partition("Local/otp@t-")[2][:8]

    def result(self):
        return self.site.result(self.run)[4]


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06}"


def test_who_types_the_code_from_the_sms_is_let_in(served):
    call = OneTimeCode(served, "600200001")
    call.type(call.code(), 1)
    assert call.result() == "OK OK"
    assert "SayDigits(" not in served.asterisk.log()


def test_after_one_wrong_code_the_right_one_is_still_right(served):
    call = OneTimeCode(served, "600200002")
    code = call.code()
    call.type(wrong(code), 1)
    call.type(code, 2)
    assert call.result() == "OK OK"


def test_three_wrong_codes_are_enough(served):
    call = OneTimeCode(served, "600200003")
    code = call.code()
    for turn in range(1, 4):
        call.type(wrong(code), turn)
    assert call.result() == "TRIES TRIES"


def test_who_is_too_late_is_told_so(served):
    port = str(free_port())
    with served.daemon(fastagi_port=port, otp_seconds="0.2"):
        call = OneTimeCode(served, "600200004", IXXSMS_AGI=f"agi://127.0.0.1:{port}")
        code = call.code()
        time.sleep(0.3)
        call.type(code, 1)
        assert call.result() == "EXPIRED EXPIRED"


def test_where_the_sms_is_refused_the_code_is_spoken_to_the_number_itself(served):
    served.smsc.errors = {"34600200": 0x0B}
    try:
        call = OneTimeCode(served, "600200005", caller="+34600200005")
        spoken = served.asterisk.wait_log("SayDigits(").partition(', "')[2][:6]
        call.type(spoken, 1)
        assert call.result() == "OK OK"
        stranger = OneTimeCode(served, "600200006", caller="600999999")
        assert stranger.result() == "FAILED FAILED"
        assert served.asterisk.log().count("SayDigits(") == 1
    finally:
        served.smsc.errors = {}


def test_over_the_limit_no_code_is_spoken(served):
    port = str(free_port())
    with served.daemon(fastagi_port=port, request_per_caller_hour="1"):
        asked = {"NUMBER": "600200007", "caller": "600200007", "IXXSMS_AGI": f"agi://127.0.0.1:{port}"}
        assert served.call("queue", **asked)[0] == "QUEUED"
        before = served.asterisk.log().count("SayDigits(")
        assert served.call("otp", **asked)[4] == "FAILED FAILED"
        assert served.asterisk.log().count("SayDigits(") == before


def test_a_sip_phone_sends_an_sms_and_hears_what_came_of_it(served, sip_port):
    with SipAgent("phone-1", sip_port, "pw1") as phone:
        assert phone.register() == 200
        assert phone.message("600200010", 'hola, "ñ"\nadiós ${SHELL(id)}') == 202
        assert re.fullmatch(r"SMS \d+ is queued\.", phone.next_message().text)
        served.smsc.wait_until(
            lambda: ("34600200010", 'hola, "ñ"\nadiós ${SHELL(id)}') in served.smsc.texts(), what="the SMS"
        )
        assert phone.message("12345", "hola") == 202
        assert "too short" in phone.next_message().text
        assert phone.message("600200010", "x" * 1100) == 202
        assert phone.next_message().text.endswith("The message was empty, or longer than 1,023 octets.")


def test_a_call_back_on_a_keyword_gets_the_sms_that_asked_for_it(served):
    """All the way: the SMSC, the rule, the manager's Originate, the context for incoming SMS, and FastAGI."""
    with served.database.write() as session:
        plan = numbering_plan.get(session)
        hook_rules.add(session, plan, "callme", "sms", max_segments=1, keyword="callme", call_back=BACK)
    link = {"ami_host": "127.0.0.1", "ami_port": str(served.asterisk.ami_port)}
    port = free_port()
    with served.daemon(
        **link, ami_user=asterisks.AMI_USER, ami_secret=asterisks.AMI_SECRET, fastagi_port=str(port)
    ) as daemon:
        served.smsc.deliver("34600700001", "34900100100", 'CALLME "now", ${SHELL(id)}')
        served.asterisk.wait_log("from 34600700001 to 34900100100: RECEIVED")
        assert daemon.poll() is None
    with served.database.write() as session:
        hook_rules.remove(session, "callme")


def test_a_caller_who_hangs_up_in_the_middle_has_still_sent(served):
    served.smsc.latency = 1.0
    try:
        served.start("send", NUMBER="600123470")
        served.asterisk.wait_log("AGI Script")
        served.asterisk.rx("channel request hangup all")
        served.asterisk.wait_idle(5)
        served.smsc.wait_until(lambda: "34600123470" in [number for number, _ in served.smsc.texts()])
    finally:
        served.smsc.latency = 0.0


def test_many_calls_at_a_time_all_send_once(served):
    runs = [served.start("send", NUMBER=f"6007{n:05}") for n in range(60)]
    results = [served.result(run, 60)[0] for run in runs]
    assert set(results) == {"SENT"}
    sent = [number for number, _ in served.smsc.texts() if number.startswith("346007")]
    assert sorted(sent) == [f"346007{n:05}" for n in range(60)]


def test_limits_hold_for_a_caller_and_are_logged(served):
    port = str(free_port())
    asked = {"NUMBER": "600123480", "caller": "600777001", "IXXSMS_AGI": f"agi://127.0.0.1:{port}"}
    with served.daemon(fastagi_port=port, request_per_caller_hour="2"):
        results = [served.call("queue", **asked) for _ in range(3)]
        assert [result[0] for result in results] == ["QUEUED", "QUEUED", "REFUSED"]
        assert "request_per_caller_hour" in results[2][3]
        assert served.call("queue", **asked | {"caller": "600777002"})[0] == "QUEUED"
    assert "no SMS from 600777001 to 34600123480" in served.daemon_log()


def test_a_second_daemon_waits_for_the_port_and_takes_it_over(served):
    port = str(free_port())
    asked = {"NUMBER": "600123490", "IXXSMS_AGI": f"agi://127.0.0.1:{port}"}
    with served.daemon(fastagi_port=port) as first, served.daemon(fastagi_port=port):
        eventually(lambda: f"FastAGI cannot listen at 127.0.0.1:{port}" in served.daemon_log())
        first.kill()
        first.wait()
        status, _, _, error, _ = served.call("send", **asked)
        assert (status, error.startswith("ixxmassivesms does not answer")) in [("FAILED", True), ("SENT", False)]
        wait_for_port(int(port))
        assert served.call("send", **asked)[0] == "SENT"


def make_list(site, name):
    with site.database.write() as session:
        if name not in [made.name for made in lists.all_lists(session)]:
            lists.create(session, name)


def members(site, name):
    with site.database.read() as session:
        return [member.number for member in lists.members(session, name)]


@pytest.mark.parametrize("name", ["examples-freepbx.conf", "examples-issabel.conf"])
def test_the_examples_for_a_pbx_do_what_they_say(served, name):
    make_list(served, "news")
    asterisk = served.asterisk
    extensions = asterisk.home / "etc/extensions.conf"
    ours = extensions.read_text(encoding="utf-8")
    example = (
        (ROOT / "dialplan" / name).read_text(encoding="utf-8").replace("127.0.0.1:4573", f"127.0.0.1:{served.port}")
    )
    extensions.write_text(ours + example + FROM_PSTN, encoding="utf-8")
    try:
        asterisk.rx("dialplan reload")
        caller = "600300001" if "freepbx" in name else "600300002"
        asterisk.call("912345678", "from-pstn-ixxsms", caller=caller)
        served.smsc.wait_until(lambda: any(number == f"34{caller}" for number, _ in served.smsc.texts()))
        assert [text[:12] for number, text in served.smsc.texts() if number == f"34{caller}"] == ["We are sorry"]
        asterisk.call("*701", "from-internal-custom", caller=caller)
        eventually(lambda: f"34{caller}" in members(served, "news"))
    finally:
        extensions.write_text(ours, encoding="utf-8")
        asterisk.rx("dialplan reload")


def test_nothing_is_left_in_the_log_of_asterisk_that_should_not_be(site):
    log = site.asterisk.log()
    assert "Syntax: BASE64_ENCODE" not in log
    assert "Invalid or unknown command" not in log
    assert not [line for line in log.splitlines() if " WARNING[" in line and "extensions_ixxsms" in line]
