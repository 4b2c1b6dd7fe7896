"""From call records to receipts, with the installed programs as processes and SMSCs of three makers."""

from __future__ import annotations

import random
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from systems import eventually

from ixxsms.testing import FakeSMSC

GSM = "Hola, ¿qué tal? {25 €}"
UNICODE = "Привет 😀, mañana"


@pytest.mark.timeout(300)
def test_the_demo_goes_as_it_should():
    demo = Path(__file__).parent.parent / "demo.py"
    done = subprocess.run([sys.executable, demo, "--quiet"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


def test_from_call_records_to_receipts(any_system):
    system = any_system
    system.calls(
        ("600100001", "912345678"),
        ("+34600100001", "912345678"),
        ("0034 600 100 001", "912345678"),
        ("34600100002", "912345678"),
        ("anonymous", "912345678"),
        ("913334455", "912345678"),
        ("101", "600100003"),
    )
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        system.smpp("provider", smsc.port, "--sender-id", "ACME")
        report = system.json("harvest", "callers")
        assert (report["rows_read"], report["new"]) == (7, 3)
        system.ixxsms("list", "exclude", "callers", "600100002")
        created = system.json("campaign", "create", "promo", "--text", GSM, "--list", "callers", "--run")
        assert created["segments"] == 2
        system.drain()
        assert sorted(smsc.texts()) == [("34600100001", GSM), ("34600100003", GSM)]
        pdu = smsc.received[0]
        assert pdu.short_message == GSM.translate({ord("¿"): "\x60", ord("é"): "\x05", ord("€"): "\x1be"}).replace(
            "{", "\x1b("
        ).replace("}", "\x1b)").encode("latin-1")
        assert (pdu.data_coding, pdu.esm_class, pdu.dest_ton, pdu.dest_npi, pdu.source_ton) == (0, 0, 1, 1, 5)
        shown = system.json("campaign", "show", "promo")
        assert (shown["state"], shown["total"]) == ("finished", 3)
        assert (shown["states"]["delivered"], shown["states"]["excluded"]) == (2, 1)
        outcome = system.numbers("promo")["34600100001"]
        assert (outcome["state"], outcome["trunk"]) == ("delivered", "provider")
        assert outcome["remote_id"]
        # A second run sends nothing, and a second harvest finds nothing new.
        system.drain()
        assert len(smsc.received) == 2
        assert system.json("harvest", "callers")["new"] == 0


@pytest.mark.parametrize("maker", ["node", "perl"])
def test_the_same_with_an_smsc_of_another_maker(system, maker):
    import peers

    start = {"node": peers.node_smsc, "perl": peers.perl_smsc}[maker]
    file = system.folder / "visitors.csv"
    file.write_text(f"phone;text\n600200001;\n600200002;{UNICODE}\n600200003;{'largo ñ ' * 40}\n", encoding="utf-8")
    with start(account=("user", "secret")) as smsc:
        system.smpp("provider", smsc.port, "--sender-id", "ACME")
        system.ixxsms("campaign", "create", "promo", "--text", GSM, "--csv", str(file), "--run")
        system.drain()
        received = {}
        for message in smsc.messages():
            received.setdefault(message["destination"], []).append(message)
        assert {number: len(parts) for number, parts in received.items()} == {
            "34600200001": 1,
            "34600200002": 1,
            "34600200003": 3,
        }
        assert bytes.fromhex(received["34600200002"][0]["short_message"]) == UNICODE.encode("utf-16-be")
        assert received["34600200002"][0]["data_coding"] == 8
        assert [bytes.fromhex(part["short_message"])[4:6] for part in received["34600200003"]] == [
            b"\x03\x01",
            b"\x03\x02",
            b"\x03\x03",
        ]
        assert {row["state"] for row in system.numbers("promo").values()} == {"delivered"}
        system.drain()
        assert sum(len(parts) for parts in received.values()) == len(smsc.messages())


def test_a_killed_daemon_leaves_at_most_its_window_in_doubt_and_sends_nothing_twice(any_system):
    system = any_system
    numbers = system.folder / "numbers.csv"
    numbers.write_text("".join(f"600{n:06}\n" for n in range(1500)))
    with FakeSMSC(accounts={"user": "secret"}, latency=0.002) as smsc:
        system.smpp("provider", smsc.port, "--window", "10")
        system.ixxsms("campaign", "create", "promo", "--text", "Hola", "--csv", str(numbers), "--run")
        chance = random.Random(7)
        for _ in range(4):
            before = len(smsc.received)
            with system.process("ixxmassivesms", stderr=subprocess.DEVNULL) as daemon:
                smsc.wait_for(before + chance.randint(30, 150), 30)
                daemon.send_signal(signal.SIGKILL)
                daemon.wait()
        system.drain()
        sent = [number for number, _ in smsc.texts()]
        assert len(sent) == len(set(sent)), "a number was sent to twice"
        states = system.json("campaign", "show", "promo")["states"]
        assert states["queued"] == states["submitted"] == 0
        assert states["in_doubt"] <= 4 * 10
        assert states["in_doubt"] + states["accepted"] + states["delivered"] == 1500
        assert len(sent) >= 1500 - states["in_doubt"]


def test_two_daemons_as_processes_share_a_campaign(any_system):
    system = any_system
    numbers = system.folder / "numbers.csv"
    numbers.write_text("".join(f"600{n:06}\n" for n in range(400)))
    with FakeSMSC(accounts={"user": "secret"}, latency=0.01) as smsc:
        system.smpp("provider", smsc.port, "--window", "5")
        for _ in range(2):
            system.start("ixxmassivesms", stderr=subprocess.DEVNULL)
        eventually(lambda: len(system.json("status")["daemons"]) == 2)
        eventually(lambda: len(smsc.logins) == 2)
        system.ixxsms("campaign", "create", "promo", "--text", "Hola", "--csv", str(numbers), "--run")
        eventually(lambda: system.json("campaign", "show", "promo")["state"] == "finished")
        sent = [number for number, _ in smsc.texts()]
        assert sorted(sent) == sorted(f"34600{n:06}" for n in range(400))


def test_sigterm_ends_the_daemon_in_order_and_sighup_reads_the_settings_again(system):
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        system.smpp("provider", smsc.port)
        log = system.folder / "log"
        with log.open("wb") as output, system.process("ixxmassivesms", stderr=output) as daemon:
            eventually(lambda: len(smsc.logins) == 1)
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: len(smsc.logins) == 2)
            assert daemon.poll() is None
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0
        assert "secret" not in log.read_text()
        assert "has stopped" in log.read_text()
        assert system.json("status")["daemons"] == []


def test_a_mistake_in_the_settings_does_not_end_the_service_at_sighup_and_once_mended_they_count(system):
    written = Path(system.environ["IXXSMS_CONFIG"])
    right = written.read_text()
    kept = system.folder / "kept.conf"
    kept.write_text(right)
    log = system.folder / "log"
    wrong = {
        "unknown setting, nonsense": f"{right}\nnonsense = 1\n",
        "fastagi_port must be a number": f"{right}\nfastagi_port = many\n",
        "log_level must be": f"{right}\nlog_level = loud\n",
        "unknown kind of database": right.replace("sqlite://", "sqlit://"),
        "run: ixxsms init": right.replace("ixxsms.db", "elsewhere.db"),
        "not in the form": "nonsense",
    }
    del system.environ["IXXSMS_DATABASE_URL"]  # that of the file counts
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        system.smpp("provider", smsc.port)
        with log.open("wb") as output, system.process("ixxmassivesms", stderr=output) as daemon:
            system.environ["IXXSMS_CONFIG"] = str(kept)  # for all other programs
            eventually(lambda: len(smsc.logins) == 1)
            for why, text in wrong.items():
                written.write_text(text)
                daemon.send_signal(signal.SIGHUP)
                said = re.compile(f"ERROR the configuration is not read again: .*{why}")
                eventually(lambda said=said: said.search(log.read_text()))
            system.ixxsms("send", "600123456", "aun", "--queue")
            smsc.wait_for(1)
            assert len(smsc.logins) == 1, "the senders were started anew"

            written.write_text(f"{right}\nreceipts = no\n")
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: len(smsc.logins) == 2)
            system.ixxsms("send", "600123457", "ya", "--queue")
            smsc.wait_for(2)
            assert [pdu.registered_delivery for pdu in smsc.received] == [1, 0]
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0


def test_what_is_left_of_the_service_before_a_sighup_does_not_pile_up_in_memory(system):
    with socket.create_server(("127.0.0.1", 0)) as free:
        system.environ["IXXSMS_FASTAGI_PORT"] = str(free.getsockname()[1])
    log = system.folder / "log"

    def kilobytes(pid):
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])

    with log.open("wb") as output, system.process("ixxmassivesms", stderr=output) as daemon:
        sizes = []
        for turn in range(1, 13):
            eventually(lambda turn=turn: log.read_text().count("FastAGI listens") == turn)  # it has started all it has
            sizes.append(kilobytes(daemon.pid))
            daemon.send_signal(signal.SIGHUP)
        assert sizes[-1] - sizes[1] < 3_000, "each of ten services has left 300 kB and more"


def test_a_single_send_goes_with_and_without_the_service(system):
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        system.smpp("provider", smsc.port)
        assert system.json("send", "600123456", "sin servicio")["state"] in ("accepted", "delivered")
        system.start("ixxmassivesms", stderr=subprocess.DEVNULL)
        eventually(lambda: len(smsc.logins) == 2)
        assert system.json("send", "600123457", "con servicio")["state"] in ("accepted", "delivered")
        queued = system.json("send", "600123458", "en cola", "--queue")
        smsc.wait_for(3)
        assert [text for _, text in smsc.texts()] == ["sin servicio", "con servicio", "en cola"]
        eventually(lambda: system.json("campaign", "show", "outgoing queue")["states"]["delivered"] == 3)
        assert queued["id"]
        assert len(smsc.logins) == 2


def test_a_single_send_that_no_trunk_takes_says_why_and_leaves_nothing_behind(system):
    system.smpp("closed", 1)
    assert "closed" in system.refused("send", "600123456", "hola")
    with FakeSMSC(accounts={"user": "other"}) as smsc:
        system.ixxsms("trunk", "edit", "closed", "--port", str(smsc.port))
        assert "password" in system.refused("send", "600123456", "hola").lower()
    system.ixxsms("trunk", "disable", "closed")
    assert "no active trunk" in system.refused("send", "600123456", "hola")
    states = system.json("campaign", "show", "outgoing queue")["states"]
    assert states["queued"] == states["submitted"] == 0


def test_a_single_send_without_the_service_goes_through_the_next_trunk(system):
    scripts = system.folder / "scripts"
    note = scripts / "note"
    note.write_text('#!/bin/sh\nprintf "%s" "$3" > "$0.txt"\necho "0;ok;0;0"\n')
    note.chmod(0o755)
    system.smpp("closed", 1)
    system.ixxsms("trunk", "add", "script", "--kind", "script", "--script", "note", "--priority", "2")
    text = "quotes \" ' and $(id) `id` \\ ; | & \n and ñ 😀"
    sent = system.json("send", "600123456", text)
    assert (sent["state"], sent["trunk"]) == ("accepted", "script")
    assert (scripts / "note.txt").read_text() == text


def test_the_public_fake_smsc_shows_what_it_gets(system):
    smsc = system.start("ixxsms", "fake-smsc", "--port", "0", stdout=subprocess.PIPE, text=True)
    port = smsc.stdout.readline().strip().rsplit(":", 1)[1]
    system.smpp("fake", int(port))
    system.ixxsms("trunk", "test", "fake")
    system.ixxsms("send", "600123456", "hola ñ")
    assert "34600123456" in smsc.stdout.readline()
