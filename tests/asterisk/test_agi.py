"""The AGI scripts, started by a real Asterisk: with the daemon, without it, and with one that misbehaves."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from dialplans import Site
from sqlalchemy import select

from ixxsms import inbox, lists
from ixxsms.events import Received
from ixxsms.models import Request

DIALPLAN = """
[t]
exten => send,1,Set(TEXT=Hola, "qué" tal)
 same => n,AGI(ixxsms-send.agi,${NUMBER},${QUOTE(${TEXT})},${TRUNK},${SENDER})
 same => n,Set(EXTRA=${AGISTATUS})
 same => n,Goto(done,s,1)
exten => latin1,1,Set(CALLERID(name)=${BASE64_DECODE(UGVw6SDR)})
 same => n,Goto(send,1)
exten => spoof,1,Gosub(text,s,1)
 same => n,Set(CALLERID(name)=${TEXT})
 same => n,AGI(ixxsms-send.agi,${NUMBER},${QUOTE(${TEXT})})
 same => n,Goto(done,s,1)
exten => list,1,AGI(ixxsms-list.agi,${DO},news,${NUMBER})
 same => n,Set(EXTRA=${LISTSTATUS} ${LISTERROR})
 same => n,Goto(done,s,1)
exten => inbox,1,AGI(ixxsms-inbox.agi,${ID})
 same => n,Set(EXTRA=${SMSFROM} ${SMSTO} ${BASE64_DECODE(${SMSTEXT64})})
 same => n,Goto(done,s,1)
exten => late,1,AGI(ixxsms-send.agi,${NUMBER},Hola)
exten => h,1,NoOp(HUNG UP ${RUN} ${SMSSTATUS})
"""


@pytest.fixture(scope="module")
def site(asterisk_root, set_up, tmp_path_factory):
    with ExitStack() as stack:
        # The locale in which a caller's name in Latin-1 ended a script that reads strictly.
        yield Site(
            tmp_path_factory.mktemp("site"),
            asterisk_root,
            set_up("sqlite"),
            DIALPLAN,
            stack,
            environ={"LANG": "es_ES.UTF-8"},
        )


@pytest.fixture(scope="module")
def served(site):
    with site.daemon():
        yield site


def states(site):
    rows = site.system.json("outbox")
    return {row["number"]: row["state"] for row in (rows if isinstance(rows, list) else rows["messages"])}


def test_without_a_daemon_the_script_queues_and_the_next_daemon_sends(site):
    with site.database.write() as session:
        lists.create(session, "news")
    status, message_id, segments, error, agi = site.call("send", NUMBER="600123401")
    assert (status, segments, error, agi) == ("QUEUED", "1", "", "SUCCESS")
    assert message_id
    assert site.call("send", NUMBER="12")[:1] == ["REFUSED"]
    assert site.call("list", DO="add")[4].strip() == "ADDED"
    assert site.call("list", DO="check")[4].strip() == "MEMBER"
    assert site.call("inbox")[0] == "EMPTY"
    with site.daemon():
        site.smsc.wait_until(lambda: ("34600123401", 'Hola, "qué" tal') in site.smsc.texts())


@contextmanager
def impostor(site, *says):
    """Somebody else at the daemon's port, for one connection: hears the call, says this, and hears each answer."""
    heard = []

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            while lines.readline().strip():
                pass
            for line in says:
                connection.sendall(line)
                heard.append(lines.readline())

    with socket.create_server(("127.0.0.1", site.port)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(30)
    assert not thread.is_alive()


def test_a_daemon_that_closes_the_call_has_not_taken_it(site):
    with impostor(site):
        assert site.call("send", NUMBER="600123411")[0] == "QUEUED"
    assert states(site)["34600123411"] == "queued"


def test_a_daemon_that_hangs_has_not_taken_the_call_either(site):
    with impostor(site, b"NO") as heard:
        begun = time.monotonic()
        assert site.call("send", NUMBER="600123412")[0] == "QUEUED"
        assert 1.5 < time.monotonic() - begun < 6
    assert heard == [b""]
    assert states(site)["34600123412"] == "queued"


def test_where_a_daemon_dies_with_the_call_nobody_sends_it_a_second_time(site):
    with impostor(site, b"NOOP\n"):
        status, message_id, _, error, agi = site.call("send", NUMBER="600123413")
    assert (status, message_id, agi) == ("FAILED", "", "SUCCESS")
    assert "it may be done, or not" in error
    assert "34600123413" not in states(site)


def test_nobody_at_the_port_can_do_more_than_set_our_variables(site):
    with impostor(site, b"NOOP\n", b'SET VARIABLE "SMSID" "7"\n', b'EXEC System "touch /tmp/x"\n') as heard:
        status, message_id, *_ = site.call("send", NUMBER="600123414")
    assert (status, message_id) == ("FAILED", "7")
    assert heard == [b"200 result=0\n", b"200 result=1\n", b""]
    with impostor(site, b"NOOP\n", b'SET VARIABLE "CALLERID(num)" "7"\n') as heard:
        site.call("send", NUMBER="600123414")
    assert heard[1] == b""


def test_with_the_daemon_the_script_hears_that_it_was_sent(served):
    status, message_id, segments, error, agi = served.call("send", NUMBER="600123402", SENDER="ACME")
    assert (status, segments, error, agi) == ("SENT", "1", "", "SUCCESS")
    assert message_id
    assert ("34600123402", 'Hola, "qué" tal') in served.smsc.texts()
    (received,) = [message for message in served.smsc.received if message.destination == "34600123402"]
    assert received.source_addr == "ACME"


def test_what_cannot_be_sent_is_refused_with_the_reason(served):
    assert served.call("send", NUMBER="600123456", TRUNK="nix")[3] == 'There is no trunk "nix".'
    status, _, _, error, _ = served.call("send", NUMBER='"60012')
    assert (status, "600" in error or "too short" in error) == ("REFUSED", True)


def test_a_caller_whose_name_is_in_latin_1_can_send(served):
    assert served.call("latin1", NUMBER="600123403")[0] == "SENT"


@pytest.mark.parametrize("break_", ["\n", "\u2028", "\x85", "\r\n"])
def test_no_name_and_no_text_makes_a_caller_somebody_else(served, break_):
    text = f"x{break_}agi_callerid: 600666666{break_}agi_channel: x"
    assert served.call("spoof", text, NUMBER="600123405", caller="600111999")[0] == "SENT"
    with served.database.read() as session:
        assert session.scalars(select(Request.caller).order_by(Request.id.desc())).first() == "600111999"


def test_lists_and_inbox(served):
    with served.database.write() as session:
        if "news" not in [made.name for made in lists.all_lists(session)]:
            lists.create(session, "news")
    assert served.call("list", DO="add")[4].strip() in ("ADDED", "MEMBER")
    assert served.call("list", DO="remove", NUMBER="600111222")[4].strip() == "REMOVED"
    assert served.call("list", DO="check")[4].strip() == "EXCLUDED"
    with served.database.write() as session:
        (row,) = inbox.store(session, 1, [Received("34600999888", "34900123123", 'BAJA, "¡ya!" ☕')], 1.0)
    assert served.call("inbox", ID=str(row.id))[4] == '34600999888 34900123123 BAJA, "¡ya!" ☕'


def test_a_caller_who_hangs_up_in_the_middle_has_still_sent(served):
    served.smsc.latency = 1.0
    try:
        run = served.start("late", NUMBER="600123404")
        served.asterisk.wait_log("ixxsms-send.agi,600123404")
        # As soon as the script has begun, for Asterisk's SIGHUP is to come at its worst moments.
        time.sleep(0.15)
        served.asterisk.rx("channel request hangup all")
        served.asterisk.wait_log(f"HUNG UP {run}")
        served.smsc.wait_until(lambda: "34600123404" in [number for number, _ in served.smsc.texts()])
    finally:
        served.smsc.latency = 0.0


def test_many_scripts_at_a_time_all_send_once(served):
    runs = [served.start("send", NUMBER=f"6008{n:05}") for n in range(20)]
    assert {served.result(run, 60)[0] for run in runs} == {"SENT"}
    sent = [number for number, _ in served.smsc.texts() if number.startswith("346008")]
    assert sorted(sent) == [f"346008{n:05}" for n in range(20)]
