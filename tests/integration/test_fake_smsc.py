"""The fake SMSC itself, driven by smpplib's own client: it must be an SMSC for others too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.exceptions

from ixxsms import text
from ixxsms.testing import FakeSMSC


@contextmanager
def client(smsc: FakeSMSC, user: str = "user", password: str = "secret", kind: str = "transceiver") -> Iterator[Any]:
    opened = smpplib.client.Client("127.0.0.1", smsc.port, allow_unknown_opt_params=True)
    opened.connect()
    try:
        getattr(opened, f"bind_{kind}")(system_id=user, password=password)
        yield opened
    finally:
        opened.state = 1
        opened.disconnect()


def send(opened: Any, destination: str = "34600000001", body: bytes = b"hello", **fields: Any) -> Any:
    opened.send_message(
        source_addr_ton=5, source_addr_npi=0, source_addr="acme", dest_addr_ton=1, dest_addr_npi=1,
        destination_addr=destination, short_message=body, registered_delivery=1, **fields,
    )  # fmt: skip
    return opened.read_pdu()


def test_a_message_is_taken_recorded_answered_and_reported(tmp_path: Path) -> None:
    record = tmp_path / "messages"
    with FakeSMSC(record=record, receipt_stat={"34698": "UNDELIV"}) as smsc, client(smsc) as opened:
        answer = send(opened)
        assert (answer.command, answer.status) == ("submit_sm_resp", 0)
        receipt = opened.read_pdu()
        assert receipt.esm_class == 4
        assert receipt.short_message.startswith(b"id:" + answer.message_id + b" sub:001 dlvrd:001 submit date:")
        assert b" stat:DELIVRD err:000 text:hello" in receipt.short_message
        send(opened, "34698000001")
        assert b"stat:UNDELIV err:001" in opened.read_pdu().short_message
        taken = smsc.wait_for(2)[0]
        assert (taken.source_addr, taken.source_ton, taken.destination, taken.dest_npi) == ("acme", 5, "34600000001", 1)
        assert (taken.short_message, taken.registered_delivery) == (b"hello", 1)
        assert taken.message_id.encode() == answer.message_id
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["destination"] for line in lines] == ["34600000001", "34698000001"]
    assert bytes.fromhex(lines[0]["short_message"]) == b"hello"


def test_the_ids_may_be_hexadecimal_in_the_answer_and_decimal_in_the_receipt() -> None:
    with FakeSMSC(hex_ids=True) as smsc, client(smsc) as opened:
        answer = send(opened)
        reported = opened.read_pdu().short_message.split()[0].removeprefix(b"id:")
        assert int(answer.message_id, 16) == int(reported)
        assert answer.message_id != reported


def test_segments_are_put_together() -> None:
    long = "ñandú 😀 " * 30
    with FakeSMSC(receipts=False) as smsc, client(smsc) as opened:
        for segment in reversed(text.build(long, 7)):
            send(opened, body=segment.body, esm_class=0x40, data_coding=segment.data_coding)
        send(opened, body=b"short \x1be")
        smsc.wait_for(len(text.build(long, 7)) + 1)
        assert smsc.texts() == [("34600000001", long), ("34600000001", "short €")]


@pytest.mark.parametrize(("user", "password", "status"), [("nobody", "secret", 0x0F), ("user", "wrong", 0x0E)])
def test_a_login_is_checked(user: str, password: str, status: int) -> None:
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        with client(smsc):
            pass
        with pytest.raises(smpplib.exceptions.PDUError) as caught, client(smsc, user, password):
            pass
        assert caught.value.args[1] == status
        assert [login.status for login in smsc.logins] == [0, status]


def test_errors_come_by_prefix_and_throttling_by_count() -> None:
    with FakeSMSC(errors={"34699": 0x0B}, throttle_every=3, receipts=False) as smsc, client(smsc) as opened:
        statuses = [send(opened, number).status for number in ("34699000001", "346", "346", "346")]
        assert statuses == [0x0B, 0, 0x58, 0]
        smsc.wait_until(lambda: smsc.refused == 2)
        assert len(smsc.received) == 2


def test_a_receiver_may_not_submit() -> None:
    with FakeSMSC() as smsc, client(smsc, kind="receiver") as opened:
        opened.state = 4
        assert send(opened).status == 0x04


def test_an_sms_from_outside_is_delivered_in_parts() -> None:
    with FakeSMSC() as smsc, client(smsc) as opened:
        assert smsc.deliver("34600000001", "2345", "é" * 200) == 2
        parts = [opened.read_pdu() for _ in range(2)]
        assert [part.esm_class for part in parts] == [0x40, 0x40]
        assert b"".join(text.split_udh(part.short_message)[1] for part in parts) == b"\x05" * 200


def test_the_delays_are_kept() -> None:
    with FakeSMSC(latency=0.1, receipt_delay=0.1) as smsc, client(smsc) as opened:
        started = time.monotonic()
        send(opened)
        assert 0.09 < time.monotonic() - started < 5
        opened.read_pdu()
        assert 0.19 < time.monotonic() - started < 5


def test_a_mute_smsc_takes_and_says_nothing() -> None:
    with FakeSMSC(mute=True) as smsc, client(smsc) as opened:
        opened._socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            send(opened)
        assert len(smsc.wait_for(1)) == 1


def test_waiting_for_what_does_not_come_ends() -> None:
    with FakeSMSC() as smsc, pytest.raises(TimeoutError, match="3 messages"):
        smsc.wait_for(3, timeout=0.05)


def test_it_runs_in_the_foreground_until_it_is_told_to_end(tmp_path: Path) -> None:
    code = (
        "from ixxsms.testing import serve; serve(port=0, record='log', on_ready=lambda port: print(port, flush=True))"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0
            process.send_signal(number)
            assert process.wait(10) == 0
