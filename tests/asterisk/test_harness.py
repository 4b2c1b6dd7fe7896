"""The harness itself: each way into and out of Asterisk that the other tests build on."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from pathlib import Path

import asterisks
import pytest
from asterisks import Asterisk
from panoramisk import Manager
from servers import free_port
from sip_agent import SipAgent

AGI = """#!{python}
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
import os, sys
from asterisk.agi import AGI
agi = AGI(stderr=open(os.devnull, "w"))
with open({out!r}, "w") as out:
    out.write(sys.argv[1] + " " + agi.get_full_variable("${{TEXT}}"))
agi.set_variable("SMSSTATUS", "SENT")
"""


def test_an_agi_script_runs_with_our_interpreter_and_libraries(asterisk_root: Path, tmp_path: Path) -> None:
    dialplan = """[default]
exten => t,1,Set(TEXT=Hola, "qué" ñ€)
 same => n,AGI(t.agi,600123456)
 same => n,NoOp(DONE ${AGISTATUS} ${SMSSTATUS})
"""
    asterisk = Asterisk(asterisk_root, dialplan)
    script = asterisk.home / "agi-bin/t.agi"
    script.write_text(AGI.format(python=sys.executable, out=str(tmp_path / "out")))
    script.chmod(0o755)
    with asterisk:
        asterisk.call("t")
        asterisk.wait_log("DONE SUCCESS SENT")
    assert (tmp_path / "out").read_text() == '600123456 Hola, "qué" ñ€'


def test_a_fastagi_server_hears_the_call_and_sets_a_variable(asterisk_root: Path) -> None:
    heard: list[str] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as lines:
            while line := lines.readline().strip():
                heard.append(line.decode())
            lines.write(b'SET VARIABLE SMSSTATUS "SENT"\n')
            lines.flush()
            heard.append(lines.readline().decode().strip())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"agi://127.0.0.1:{listener.getsockname()[1]}/send"
        dialplan = f"[default]\nexten => t,1,AGI({url},600123456)\n same => n,NoOp(${{AGISTATUS}} ${{SMSSTATUS}})\n"
        with Asterisk(asterisk_root, dialplan) as asterisk:
            asterisk.call("t")
            asterisk.wait_log("SUCCESS SENT")
        thread.join()
    assert "agi_arg_1: 600123456" in heard
    assert heard[-1] == "200 result=1"


def test_a_userevent_of_the_dialplan_reaches_a_manager(asterisk_root: Path) -> None:
    async def listen(asterisk: Asterisk) -> tuple[str, str]:
        loop = asyncio.get_running_loop()
        login = {"username": asterisks.AMI_USER, "secret": asterisks.AMI_SECRET}
        manager = Manager(loop=loop, host="127.0.0.1", port=asterisk.ami_port, **login)
        event = loop.create_future()
        manager.register_event("UserEvent", lambda _, e: event.done() or event.set_result((e.userevent, e.text)))
        await manager.connect()
        await manager.send_action({"Action": "Ping"})
        await asyncio.to_thread(asterisk.call, "t")
        heard = await asyncio.wait_for(event, 10)
        manager.close()
        return heard

    with Asterisk(asterisk_root, "[default]\nexten => t,1,UserEvent(SmsSend,Text: hola ñ)\n") as asterisk:
        assert asyncio.run(listen(asterisk)) == ("SmsSend", "hola ñ")


def pjsip_conf(port: int) -> str:
    return f"""[udp]
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
"""


def test_a_sip_message_goes_into_the_dialplan_and_another_comes_back(asterisk_root: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    dialplan = """[sms]
exten => _X.,1,Set(MESSAGE(body)=GOT ${MESSAGE(body)})
 same => n,MessageSend(pjsip:phone1,sip:${EXTEN}@127.0.0.1)
"""
    confs = {"pjsip.conf": pjsip_conf(port)}
    with (
        Asterisk(asterisk_root, dialplan, modules=asterisks.PJSIP, confs=confs),
        SipAgent("phone1", port, "pw1") as phone,
        SipAgent("phone1", port, "wrong") as stranger,
    ):
        assert stranger.register() == 401
        assert phone.register() == 200
        assert phone.message("600123456", 'hola, "ñ"\nadiós') == 202
        answer = phone.next_message()
    assert answer.text == 'GOT hola, "ñ"\nadiós'
    assert "600123456" in answer.headers["from"]


def test_it_restarts_where_it_was_and_leaves_nothing_behind(asterisk_root: Path) -> None:
    with Asterisk(asterisk_root, "[default]\nexten => t,1,NoOp(HERE)\n") as asterisk:
        asterisk.restart()
        asterisk.call("t")
        asterisk.wait_log("HERE")
        asterisk.kill()
        asterisk.start()
        assert asterisk._process is not None
        pid = asterisk._process.pid
    assert not asterisk.home.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
