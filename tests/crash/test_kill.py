"""The daemon is killed over and over in the middle of a campaign: the SMSC's own count says what came of it."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import and_, func, or_, select

from ixxsms.db import Database
from ixxsms.models import Lease, Message
from ixxsms.testing import FakeSMSC

NUMBERS = 20_000
KILLS = 20
WINDOW = 20

pytestmark = pytest.mark.timeout(600)


def killed_campaign(system, smsc, kills=KILLS, numbers=NUMBERS, seed=11):
    """A campaign whose daemon is killed that often, at moments that nobody chose, and which is then left to end."""
    file = system.folder / "numbers.csv"
    file.write_text("".join(f"600{n:06}\n" for n in range(numbers)))
    system.smpp("provider", smsc.port, "--window", str(WINDOW))
    system.ixxsms("campaign", "create", "promo", "--text", "Hola", "--csv", str(file), "--run")
    chance = random.Random(seed)
    for _ in range(kills):
        before = smsc.submits
        with system.process("ixxmassivesms", stderr=subprocess.DEVNULL) as daemon:
            wanted = before + chance.randint(1, int(numbers / kills * 0.9))
            smsc.wait_until(lambda wanted=wanted: smsc.submits >= wanted, 60, "the next messages")
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
    assert smsc.submits < numbers, "the last kill came after the end"
    done = subprocess.run(
        [*system.program("ixxmassivesms"), "--drain"], env=system.environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return system.json("campaign", "show", "promo")["states"]


def test_no_number_is_lost_and_none_is_sent_twice(any_system):
    with FakeSMSC(accounts={"user": "secret"}, receipts=False) as smsc:
        states = killed_campaign(any_system, smsc)
        sent = Counter(message.destination for message in smsc.received)
    assert max(sent.values()) == 1, "a number was sent to twice"
    # What is in doubt was on its way when the daemon died: a window's worth each time, and no more.
    assert states["in_doubt"] <= KILLS * WINDOW
    assert states["accepted"] + states["in_doubt"] == NUMBERS
    assert states["accepted"] <= len(sent) <= NUMBERS


def claimed_now(session):
    """How many messages are claimed, one by one or by a lease, and have no outcome yet."""
    leases = session.scalars(select(Lease)).all()
    leased = [and_(Message.state == "queued", Message.id.between(each.first_id, each.last_id)) for each in leases]
    return session.scalar(select(func.count()).where(or_(Message.state == "submitted", *leased)))


def test_what_was_claimed_and_not_handed_over_is_sent_by_the_next_daemon(any_system):
    with FakeSMSC(accounts={"user": "secret"}, receipts=False) as smsc:
        any_system.smpp("provider", smsc.port, "--window", str(WINDOW))
        file = any_system.folder / "numbers.csv"
        file.write_text("".join(f"600{n:06}\n" for n in range(NUMBERS)))
        any_system.ixxsms("campaign", "create", "promo", "--text", "Hola", "--csv", str(file), "--run")
        ours = Database(any_system.database_url)
        with closing(ours), any_system.process("ixxmassivesms", stderr=subprocess.DEVNULL) as daemon:
            claimed = 0
            while claimed <= WINDOW:  # until it is held at a moment at which it has claimed ahead
                before = smsc.submits
                smsc.wait_until(lambda before=before: smsc.submits > before + WINDOW, 60, "the next messages")
                daemon.send_signal(signal.SIGSTOP)
                with ours.read() as session:
                    claimed = claimed_now(session)
                if claimed <= WINDOW:
                    daemon.send_signal(signal.SIGCONT)
            daemon.kill()
            daemon.wait()
        done = subprocess.run(
            [*any_system.program("ixxmassivesms"), "--drain"], env=any_system.environ, capture_output=True, timeout=300
        )
        assert done.returncode == 0
        sent = Counter(message.destination for message in smsc.received)
        states = any_system.json("campaign", "show", "promo")["states"]
    assert max(sent.values()) == 1, "a number was sent to twice"
    assert states.get("in_doubt", 0) <= WINDOW
    assert states["accepted"] + states.get("in_doubt", 0) == NUMBERS
    assert not list((any_system.folder / "journals").iterdir())


def test_receipts_settle_what_was_in_doubt(any_system):
    any_system.environ["IXXSMS_DRAIN_RECEIPT_SECONDS"] = "30"
    with FakeSMSC(accounts={"user": "secret"}) as smsc:
        states = killed_campaign(any_system, smsc, kills=8, numbers=4_000)
        sent = Counter(message.destination for message in smsc.received)
        numbers = any_system.numbers("promo")
    assert max(sent.values()) == 1, "a number was sent to twice"
    arrived = {number for number, row in numbers.items() if row["state"] == "delivered"}
    # In doubt stays only what the SMSC never got.
    assert arrived == set(sent)
    assert states["in_doubt"] == 4_000 - len(sent)


def test_what_is_in_doubt_is_sent_again_where_the_setting_says_so(any_system):
    any_system.environ["IXXSMS_RESEND_IN_DOUBT"] = "yes"
    with FakeSMSC(accounts={"user": "secret"}, receipts=False) as smsc:
        states = killed_campaign(any_system, smsc, kills=8, numbers=4_000)
        sent = Counter(message.destination for message in smsc.received)
    assert len(sent) == states["accepted"] == 4_000
    assert sum(sent.values()) - len(sent) <= 8 * WINDOW
