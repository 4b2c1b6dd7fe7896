"""What surrounds the daemon goes wrong in a campaign: nothing is lost, nothing doubled, and it goes on by itself."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import namespaces
import pytest
import servers
from conftest import new_database, skipped_where_missing
from crashing import campaign, daemon, each_once, finished, states
from systems import System, eventually

from ixxsms.testing import FakeSMSC

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["mariadb", "postgresql"])
def on_its_own_server(request, tmp_path):
    """A system, and the database server that nobody else uses."""
    with skipped_where_missing(), ExitStack() as stack:
        server = stack.enter_context(servers.KINDS[request.param]())
        system = System(tmp_path, new_database(server.url, "ixxsms"), stack)
        system.environ |= {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_LOG_LEVEL": "warning"}
        system.ixxsms("init")
        system.ixxsms("numbering", "set", "--country", "ES")
        yield system, server.process


def test_the_database_server_is_killed_and_comes_back(on_its_own_server):
    system, server = on_its_own_server
    with FakeSMSC(accounts={"user": "secret"}, latency=0.005) as smsc:
        campaign(system, smsc, 1500)
        with daemon(system) as process:
            for count in (300, 800):
                smsc.wait_until(lambda count=count: smsc.submits >= count, 60, "messages")
                server.kill()
                assert "cannot be used" in system.refused("status")
                server.start()
                eventually(lambda: system.run("ixxsms", "status").returncode == 0)  # it may recover for a while
            ended = finished(system)
            assert process.poll() is None
        assert each_once(smsc) == 1500
    # Answers that could not be recorded at once were kept: nothing is in doubt.
    assert ended["accepted"] + ended["delivered"] == 1500
    assert "cannot be used" in (system.folder / "daemon.log").read_text()


def test_the_smsc_is_away_for_a_while(any_system):
    with FakeSMSC(accounts={"user": "secret"}, latency=0.005) as smsc:
        campaign(any_system, smsc, 800)
        with daemon(any_system):
            smsc.wait_until(lambda: smsc.submits >= 400, 60, "messages")
            smsc.stop()
            link = eventually(lambda: next(t for t in any_system.json("status")["trunks"] if t["link"] == "down"))
            assert link["why"]
            smsc.start()
            ended = finished(any_system)
        assert each_once(smsc) >= 800 - 20
    assert ended["in_doubt"] <= 20
    assert ended["accepted"] + ended["delivered"] + ended["in_doubt"] == 800


def test_sigterm_under_load_leaves_nothing_in_doubt(any_system):
    with FakeSMSC(accounts={"user": "secret"}, latency=0.02) as smsc:
        campaign(any_system, smsc, 900)
        for count in (200, 500):
            with daemon(any_system) as process:
                smsc.wait_until(lambda count=count: smsc.submits >= count, 60, "messages")
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            now = states(any_system)
            assert now["submitted"] == now["in_doubt"] == 0
            assert now["accepted"] + now["delivered"] == smsc.submits
        with daemon(any_system):
            finished(any_system)
        assert each_once(smsc) == 900


def test_two_daemons_started_by_mistake_share_the_work(any_system):
    with FakeSMSC(accounts={"user": "secret"}, latency=0.005) as smsc:
        campaign(any_system, smsc, 800)
        with daemon(any_system), daemon(any_system):
            finished(any_system)
        assert each_once(smsc) == 800


def clock(file: Path, seconds: int) -> dict[str, str]:
    """The environment of a program whose wall clock is off by what is written into the file, at any time."""
    file.write_text(f"{seconds:+}")
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        pytest.fail("not installed; as root: apt-get install libfaketime")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forward", "back"])
def test_the_clock_jumps_an_hour(any_system, seconds):
    jumping = any_system.folder / "clock"
    with FakeSMSC(accounts={"user": "secret"}, latency=0.005) as smsc:
        campaign(any_system, smsc, 800)
        with daemon(any_system, **clock(jumping, 0)), daemon(any_system):
            smsc.wait_until(lambda: smsc.submits >= 400, 60, "messages")
            jumping.write_text(f"{seconds:+}")
            finished(any_system)
        assert each_once(smsc) == 800


#: What a lease covers is submitted.
STILL_QUEUED = """
    SELECT number FROM messages m WHERE state = 'queued' AND NOT EXISTS (
        SELECT * FROM leases l WHERE l.campaign_id = m.campaign_id AND m.id BETWEEN l.first_id AND l.last_id
        AND m.not_before = 1e12
    )
"""


def test_a_power_cut_leaves_a_database_that_knows_all_that_had_left(tmp_path):
    """The files are copied while the daemon is stopped in the middle of its work: so they are after a power cut."""
    with ExitStack() as stack:
        system = System(tmp_path, f"sqlite:///{tmp_path / 'ixxsms.db'}", stack)
        system.environ |= {"IXXSMS_FASTAGI_PORT": "0"}
        system.ixxsms("init")
        system.ixxsms("numbering", "set", "--country", "ES")
        smsc = stack.enter_context(FakeSMSC(accounts={"user": "secret"}))
        campaign(system, smsc, 6000)
        with daemon(system) as process:
            for cut in range(10):
                smsc.wait_until(lambda wanted=(cut + 1) * 450: smsc.submits >= wanted, 60, "messages")
                process.send_signal(signal.SIGSTOP)
                copied = tmp_path / f"cut{cut}"
                copied.mkdir()
                for file in tmp_path.glob("ixxsms.db*"):
                    if not file.name.endswith("-shm"):  # shared memory does not outlive the power
                        shutil.copy(file, copied)
                left = {message.destination for message in list(smsc.received)}
                process.send_signal(signal.SIGCONT)
                with closing(sqlite3.connect(copied / "ixxsms.db")) as database:
                    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    queued = {row[0] for row in database.execute(STILL_QUEUED)}
                assert not queued & left, "what had left would be sent again"
            finished(system)
        assert each_once(smsc) == 6000


def test_a_full_disk_is_waited_for(tmp_path):
    namespaces.need_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    with ExitStack() as stack:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=True)
        stack.callback(subprocess.run, ["umount", "--lazy", disk], check=True)
        system = System(tmp_path, f"sqlite:///{disk / 'ixxsms.db'}", stack)
        system.environ |= {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_LOG_LEVEL": "warning"}
        system.ixxsms("init")
        system.ixxsms("numbering", "set", "--country", "ES")
        smsc = stack.enter_context(FakeSMSC(accounts={"user": "secret"}, latency=0.01))
        campaign(system, smsc, 3000)
        with daemon(system) as process:
            smsc.wait_until(lambda: smsc.submits >= 500, 60, "messages")
            fill(disk / "filler")
            eventually(lambda: "full" in (tmp_path / "daemon.log").read_text())
            (disk / "filler").unlink()
            ended = finished(system)
            assert process.poll() is None
        assert each_once(smsc) == 3000
    assert ended["accepted"] + ended["delivered"] == 3000


def fill(file):
    """Every octet that is left."""
    with file.open("wb", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError:
                continue
