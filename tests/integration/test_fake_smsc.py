"""The fake SMSC itself, driven by smpplib's own client: it must be an SMSC for others too."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import smpplib.client
import smpplib.exceptions

from ixxsms import text
from ixxsms.smpp import pdu
from ixxsms.smpp.address import Plan
from ixxsms.smpp.faults import Ids
from ixxsms.smpp.receipt import parse_text
from ixxsms.smpp.smsc import FIRST_ID
from ixxsms.testing import FakeSMSC
from ixxsms.testing.certificate import self_signed


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
    with FakeSMSC(ids="hex") as smsc, client(smsc) as opened:
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


class Raw:
    """A client that writes PDUs as they are, many at a time, and shows each piece that comes."""

    def __init__(self, smsc: FakeSMSC | SimpleNamespace, kind: str = "trx", user: str = "user") -> None:
        self.link: socket.socket = socket.create_connection((smsc.host, smsc.port), timeout=20)
        self.frames, self.pieces = pdu.Frames(), []
        self.heard: list[pdu.Frame] = []
        self.link.sendall(pdu.bind(kind, 1000, user, "secret"))

    def submit(self, *sequences: int, destination: str = "34600000001") -> None:
        head, to = pdu.submit_head(b"", Plan().source("acme")), Plan().destination(destination)
        rest = pdu.submit_tail(0, 1, 0) + pdu.short_message(b"hello")
        self.link.sendall(b"".join(pdu.submit_sm(sequence, head + to + rest) for sequence in sequences))

    def hear(self, count: int) -> list[pdu.Frame]:
        """So many more PDUs, after the answer to the bind."""
        while len(self.heard) < count:
            piece = self.link.recv(65536)
            if not piece:
                break
            self.pieces.append(piece)
            self.heard += self.frames.feed(piece)
        heard, self.heard = self.heard[:count], self.heard[count:]
        return heard

    def bound(self) -> Raw:
        assert [frame[1] for frame in self.hear(1)] == [0]
        return self

    def ended(self) -> bool:
        try:
            while self.link.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def nothing_comes(self, seconds: float = 0.2) -> bool:
        self.link.settimeout(seconds)
        try:
            self.heard += self.frames.feed(self.link.recv(65536))
        except TimeoutError:
            return True
        finally:
            self.link.settimeout(20)
        return False


@contextmanager
def raw(smsc: FakeSMSC | SimpleNamespace, kind: str = "trx", user: str = "user") -> Iterator[Raw]:
    opened = Raw(smsc, kind, user)
    with closing(opened.link):
        yield opened


def sequences(frames: list[pdu.Frame], command: int = pdu.SUBMIT_SM_RESP) -> list[int]:
    return [sequence for code, _, sequence, _ in frames if code == command]


@pytest.mark.parametrize("fault", [{"shuffle": True}, {"jitter": 0.05}])
def test_answers_may_come_in_any_order_and_each_comes_once(fault: dict[str, Any]) -> None:
    with FakeSMSC(receipts=False, **fault) as smsc, raw(smsc) as opened:
        opened.bound().submit(*range(1, 51))
        answered = sequences(opened.hear(50))
        assert answered != sorted(answered) == list(range(1, 51))


def test_pdus_may_come_in_fragments() -> None:
    with FakeSMSC(fragment=3) as smsc, raw(smsc) as opened:
        opened.bound().submit(1, 2)
        commands = [frame[0] for frame in opened.hear(4)]
        assert commands == [pdu.SUBMIT_SM_RESP] * 2 + [pdu.DELIVER_SM] * 2
        assert min(map(len, opened.pieces)) <= 3
        assert len(opened.pieces) > 10


def test_pdus_may_come_glued_together() -> None:
    with FakeSMSC(glue=1.0) as smsc, raw(smsc) as opened:
        opened.bound()
        for number in range(1, 6):
            opened.submit(number)
        smsc.wait_for(5)
        assert len(opened.hear(10)) == 10
        assert len(opened.pieces) == 2  # the answer to the bind, and all others


def test_answers_may_be_missing_and_the_receipts_come_all_the_same() -> None:
    with FakeSMSC(missing_every=3) as smsc, raw(smsc) as opened:
        opened.bound().submit(1, 2, 3, 4)
        heard = opened.hear(7)
        assert sequences(heard) == [1, 2, 4]
        assert len(sequences(heard, pdu.DELIVER_SM)) == 4
        assert opened.nothing_comes()


@pytest.mark.parametrize(("unanswered", "answered"), [(False, [1, 2, 3]), (True, [1, 2])])
def test_a_link_is_cut_after_so_many_and_the_receipts_come_on_the_next(unanswered: bool, answered: list[int]) -> None:
    with FakeSMSC(cut_after=3, cut_unanswered=unanswered, receipt_delay=0.2) as smsc:
        with raw(smsc) as opened:
            opened.bound().submit(1, 2, 3, 4, 5)
            assert sequences(opened.hear(len(answered))) == answered
            assert opened.ended()
        assert len(smsc.received) == 3
        with raw(smsc) as again:
            receipts = again.bound().hear(3)
            assert len(sequences(receipts, pdu.DELIVER_SM)) == 3


def test_what_was_not_acknowledged_comes_again_on_the_next_link_and_what_was_not() -> None:
    with FakeSMSC() as smsc:
        with raw(smsc) as opened:
            opened.bound().submit(1, 2, 3, 4)
            first, second, third, _ = sequences(opened.hear(8), pdu.DELIVER_SM)
            opened.link.sendall(
                pdu.answer(pdu.DELIVER_SM, 0, first, b"")
                + pdu.answer(pdu.DELIVER_SM, 0x08, second, b"")  # later, please
                + pdu.answer(pdu.DELIVER_SM, 0x65, third, b"")  # never
            )
            smsc.wait_until(lambda: smsc.acknowledged + smsc.turned_down == 3)
        with raw(smsc) as again:
            assert len(again.bound().hear(2)) == 2
            assert again.nothing_comes()


def test_more_than_a_rate_is_throttled_with_the_code_that_is_asked_for() -> None:
    with FakeSMSC(throttle_rate=10, throttle_status=0x14, receipts=False) as smsc, raw(smsc) as opened:
        opened.bound().submit(*range(30))
        statuses = [frame[1] for frame in opened.hear(30)]
        assert statuses[0] == 0
        assert 20 < statuses.count(0x14) < 30


def test_a_bind_is_refused_by_code_and_by_number() -> None:
    with FakeSMSC(max_binds=2) as smsc:
        with raw(smsc) as first, raw(smsc, "tx") as second, raw(smsc, "rx") as third:
            first.bound(), second.bound()
            assert third.hear(1)[0][1] == 0x05
        smsc.refuse_bind = 0x0D
        with raw(smsc) as refused:
            assert refused.hear(1)[0][1] == 0x0D
        assert [login.status for login in smsc.logins] == [0, 0, 0x05, 0x0D]


def test_a_dead_smsc_takes_the_connection_and_says_nothing() -> None:
    with FakeSMSC(dead=True) as smsc, raw(smsc) as opened:
        assert opened.nothing_comes()


def test_an_smsc_dies_after_so_many_and_another_link_lives() -> None:
    with FakeSMSC(dead_after=2, receipts=False) as smsc, raw(smsc) as opened:
        opened.bound().submit(1, 2, 3)
        assert sequences(opened.hear(2)) == [1, 2]
        opened.link.sendall(pdu.request(pdu.ENQUIRE_LINK, 9))
        assert opened.nothing_comes()
        with raw(smsc) as other:
            other.bound()


def test_enquire_link_may_stay_unanswered_alone() -> None:
    with FakeSMSC(ignore_enquire_link=True, receipts=False) as smsc, raw(smsc) as opened:
        opened.bound().link.sendall(pdu.request(pdu.ENQUIRE_LINK, 9))
        opened.submit(10)
        assert sequences(opened.hear(1)) == [10]
        assert smsc.enquire_links == 1


def test_a_slow_reader_lets_the_writer_wait() -> None:
    with FakeSMSC(read_rate=2000, receipts=False) as smsc, raw(smsc) as opened:
        smsc.wait_until(lambda: len(smsc.logins) == 1)
        opened.link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        asked = pdu.request(pdu.ENQUIRE_LINK, 9) * 100_000
        opened.link.setblocking(False)
        written = opened.link.send(asked)
        assert written < len(asked)
        smsc.read_rate = 0
        opened.link.settimeout(20)
        opened.link.sendall(asked[written:])
        smsc.wait_until(lambda: smsc.enquire_links == 100_000, timeout=30)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tls_with_a_certificate_of_its_own(host: str) -> None:
    with FakeSMSC(host=host, tls=True) as smsc:
        trusting = ssl.create_default_context(cafile=smsc.certificate)
        folder = Path(smsc.certificate).parent
        with (
            socket.create_connection((host, smsc.port), timeout=20) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as link,
        ):
            link.sendall(pdu.bind("trx", 1, "user", "secret"))
            assert next(pdu.Frames().feed(link.recv(1000)))[:2] == (pdu.BINDS["trx"] | pdu.RESPONSE, 0)
            link.sendall(pdu.request(pdu.ENQUIRE_LINK, 2) * 5000)
            frames, heard = pdu.Frames(), 0
            while heard < 5000:
                heard += len(list(frames.feed(link.recv(65536))))
        with raw(smsc) as stranger:  # knows nothing of TLS
            assert stranger.ended()
        smsc.wait_until(lambda: smsc.enquire_links == 5000)
    assert not folder.exists()


def test_tls_with_a_given_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with FakeSMSC(tls=(certificate, key)) as smsc:
        trusting = ssl.create_default_context(cafile=str(certificate))
        with (
            socket.create_connection(("127.0.0.1", smsc.port), timeout=20) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as link,
        ):
            assert link.version() is not None
    assert certificate.exists()


# -- receipts ------------------------------------------------------------------------------------------------------


def receipt_of(destination: str = "34600000001", **faults: Any) -> tuple[str, int, pdu.Message]:
    """(id of the answer, command, message) of a receipt that is written so."""
    with FakeSMSC(**faults) as smsc, raw(smsc) as opened:
        opened.bound().submit(1, destination=destination)
        heard = {frame[0]: frame for frame in opened.hear(2)}
        answer = pdu.parse_id(heard.pop(pdu.SUBMIT_SM_RESP)[3])
        ((command, _, _, body),) = heard.values()
        message = pdu.parse_message(command, body)
        assert message is not None and message.esm_class == 4
        return answer, command, message


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", r"id:%s sub:001 dlvrd:000 submit date:\d{10} done date:\d{10} stat:REJECTD err:001 text:hello"),
        ("lower", r"id:%s sub:001 dlvrd:000 submit date:\d{10} done date:\d{10} stat:rejectd err:001 text:hello"),
        ("bare", r"id:%s stat:REJECTD"),
        ("both", r"id:%s sub:.* stat:REJECTD err:001 text:hello"),
        ("payload", r"id:%s sub:.* stat:REJECTD err:001 text:hello"),
        ("data_sm", r"id:%s sub:.* stat:REJECTD err:001 text:hello"),
        ("csv", r"08,\d{10},\d{10},001,34698000001,acme,%s"),
        ("tlv", ""),
    ],
)
def test_receipts_are_written_in_every_way(form: str, text: str) -> None:
    answer, command, message = receipt_of("34698000001", receipt_format=form, receipt_stat={"34698": "REJECTD"})
    assert command == (pdu.DATA_SM if form == "data_sm" else pdu.DELIVER_SM)
    assert re.fullmatch(text.replace("%s", answer), message.data.decode())
    with_tlvs = form in ("tlv", "both", "data_sm")
    assert (pdu.TLV_MESSAGE_STATE in message.tlvs) is with_tlvs
    assert (pdu.TLV_MESSAGE_PAYLOAD in message.tlvs) is (form in ("payload", "data_sm"))
    if with_tlvs:
        assert message.tlvs[pdu.TLV_RECEIPTED_MESSAGE_ID] == answer.encode() + b"\0"
        assert message.tlvs[pdu.TLV_MESSAGE_STATE] == b"\x08"


@pytest.mark.parametrize(
    ("dates", "digits"), [("minutes", 10), ("seconds", 12), ("century", 12), ("century-seconds", 14)]
)
def test_the_dates_of_receipts_are_short_or_long(dates: str, digits: int) -> None:
    _, _, message = receipt_of(receipt_dates=dates)
    assert re.search(rb" done date:\d{%d} " % digits, message.data)


@pytest.mark.parametrize("ids", list(Ids))
@pytest.mark.parametrize("receipt_ids", list(Ids))
def test_the_ids_of_answer_and_receipt_are_one_number_in_two_ways(ids: str, receipt_ids: str) -> None:
    answer, _, message = receipt_of(ids=ids, receipt_ids=receipt_ids)
    reported = parse_text(message.data.decode())["id"]
    base = {"decimal": 10, "padded": 10}
    assert int(answer, base.get(ids, 16)) == int(reported, base.get(receipt_ids, 16)) == FIRST_ID


def test_receipts_come_before_the_answer_and_twice() -> None:
    with FakeSMSC(receipt_first=True, receipt_twice=True, latency=0.05) as smsc, raw(smsc) as opened:
        opened.bound().submit(1)
        assert [frame[0] for frame in opened.hear(3)] == [pdu.DELIVER_SM, pdu.DELIVER_SM, pdu.SUBMIT_SM_RESP]


def test_receipts_come_on_another_link_of_the_same_user() -> None:
    with FakeSMSC(receipt_elsewhere=True) as smsc, raw(smsc) as opened, raw(smsc, "rx") as other:
        opened.bound(), other.bound()
        with raw(smsc, "rx", user="stranger") as stranger:
            stranger.bound()
            opened.submit(1)
            assert sequences(opened.hear(1)) == [1]
            assert len(sequences(other.hear(1), pdu.DELIVER_SM)) == 1
            assert opened.nothing_comes()


def test_receipts_for_a_transmitter_wait_for_its_receiver() -> None:
    with FakeSMSC() as smsc, raw(smsc, "tx") as sender:
        sender.bound().submit(1)
        assert sequences(sender.hear(1)) == [1]
        with raw(smsc, "rx") as receiver:
            assert len(sequences(receiver.bound().hear(1), pdu.DELIVER_SM)) == 1


# -- from outside --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_data_sm", [False, True])
@pytest.mark.parametrize(("long", "count"), [("udh8", 3), ("udh16", 3), ("sar", 3), ("payload", 1)])
def test_long_sms_from_outside_come_in_every_way(long: str, count: int, as_data_sm: bool) -> None:
    text = "ñandú 😀 " * 20
    with FakeSMSC() as smsc:
        assert smsc.deliver("34600000001", "2345", text, long=long, as_data_sm=as_data_sm) == count
        with raw(smsc) as opened:  # it waited for somebody who receives
            heard = [(command, pdu.parse_message(command, body)) for command, _, _, body in opened.bound().hear(count)]
    assert {command for command, _ in heard} == {pdu.DATA_SM if as_data_sm else pdu.DELIVER_SM}
    messages = [message for _, message in heard if message]
    reads = {"udh8": 6, "udh16": 7}.get(long, 0)
    assert {message.esm_class for message in messages} == {0x40 if reads else 0}
    if long == "sar":
        numbers = [message.tlvs[pdu.TLV_SAR_NUMBER] + message.tlvs[pdu.TLV_SAR_TOTAL] for message in messages]
        assert numbers == [b"\x01\x03", b"\x02\x03", b"\x03\x03"]
    assert b"".join(message.data[reads:] for message in messages).decode("utf-16-be") == text


@pytest.mark.parametrize(
    ("coding", "octets"),
    [(0, b"\x05"), (3, b"\xe9"), (6, None), (8, b"\0\xe9"), (0xF0, b"\x05"), (0xF4, b"\xe9")],
)
def test_an_sms_from_outside_has_the_data_coding_that_is_asked_for(coding: int, octets: bytes | None) -> None:
    text = "Привет" if coding == 6 else "é"
    with FakeSMSC() as smsc, raw(smsc) as opened:
        opened.bound()
        smsc.deliver("34600000001", "2345", text, coding=coding)
        ((command, _, _, body),) = opened.hear(1)
        message = pdu.parse_message(command, body)
        assert message is not None
        assert message.data_coding == coding
        assert message.data == (octets or text.encode("iso8859-5"))


def test_waiting_for_what_does_not_come_ends() -> None:
    with FakeSMSC() as smsc, pytest.raises(TimeoutError, match="3 messages"):
        smsc.wait_for(3, timeout=0.05)


def test_it_runs_in_the_foreground_until_it_is_told_to_end(tmp_path: Path) -> None:
    code = "from ixxsms.testing import serve; serve(0, on_ready=lambda smsc: print(smsc.port, flush=1), record='log')"
    for number in (signal.SIGTERM, signal.SIGINT):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0
            process.send_signal(number)
            assert process.wait(10) == 0


def test_it_ends_even_if_it_is_told_so_before_it_waits_for_that() -> None:
    code = """if True:
        import os, signal
        from ixxsms.testing import serve
        serve(0, on_ready=lambda smsc: os.kill(os.getpid(), signal.SIGTERM))
        print("in order")
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\n", "")


PROGRAM = [sys.executable, "-m", "ixxsms", "fake-smsc"]


def test_the_program_has_the_faults_as_options() -> None:
    options = ["--account", "user:secret", "--error", "34666=0x0B", "--error", "34667=69", "--receipt", "34=UNDELIV"]
    options += ["--ids", "upper", "--receipt-format", "tlv", "--cut-after", "3"]
    options += ["--incoming", "34600000009 2345 BAJA ya"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*PROGRAM, "--port", "0", "--host", "::1", *options], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            ready = re.fullmatch(r"listening on \[::1\]:(\d+)\n", process.stdout.readline())
            assert ready is not None
            with raw(SimpleNamespace(host="::1", port=int(ready.group(1)))) as opened:
                ((command, _, _, body),) = opened.bound().hear(1)
                sms = pdu.parse_message(command, body)
                assert sms is not None and sms.data == b"BAJA ya"
                opened.submit(1, destination="34666000001")
                opened.submit(2, destination="34667000001")
                assert [frame[1] for frame in opened.hear(2)] == [0x0B, 69]
                opened.submit(3)
                heard = {frame[0]: frame for frame in opened.hear(2)}
                assert pdu.parse_id(heard[pdu.SUBMIT_SM_RESP][3]) == f"{FIRST_ID:X}"
                told = pdu.parse_message(pdu.DELIVER_SM, heard[pdu.DELIVER_SM][3])
                assert told is not None and told.tlvs[pdu.TLV_MESSAGE_STATE] == b"\x05"
                assert opened.ended()
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--error", "34666"], "="),
        (["--error", "34666=many"], "0x0B"),
        (["--account", "user"], ":"),
        (["--refuse-bind", "-1"], "code"),
        (["--incoming", "34600000009 2345"], "BAJA"),
        (["--incoming", "34600000009 2345 Привет", "--incoming-coding", "3"], "data_coding 3"),
        (["--tls", "--certificate", "/nowhere.pem"], "No such file"),
    ],
)
def test_the_program_says_what_is_wrong_with_an_option(options: list[str], word: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*PROGRAM, "--port", "0", *options], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ixxsms: ")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
