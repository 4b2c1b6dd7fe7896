"""The door for Asterisk's requests, on every database: what it lets through, what it counts, what it says."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from sqlalchemy import func, select
from users import as_nobody, closed_folder, needs_root

from ixxsms import config, numbering_plan, outbox, requests, trunks
from ixxsms.dialplan import without_daemon
from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.script import ScriptDriver
from ixxsms.drivers.smpp import SmppDriver
from ixxsms.models import Message, Request
from ixxsms.service import Service
from ixxsms.testing import FakeSMSC, ScriptedDriver

NOW = 1_800_000_000.0

#: Seconds between two looks of a sender, so long that only a wake explains a message that leaves before.
SELDOM = 20.0


@pytest.fixture
def take(database, database_url):
    """take(text, now=…, caller=…, **settings): one request in a transaction of its own."""
    settings = config.with_database(database_url, {})

    def call(text="hola", *, number="600123456", caller="600111222", now=NOW, limits=None, **kwargs):
        changed = dataclasses.replace(settings, values={**settings.values, **(limits or {})})
        with database.write() as session:
            plan = numbering_plan.get(session)
            return requests.take(session, changed, plan, caller=caller, number=number, text=text, now=now, **kwargs)

    call.database = database
    return call


def counted(take):
    with take.database.read() as session:
        return session.scalar(select(func.count()).select_from(Request))


def test_a_request_becomes_a_message(take):
    reply = take("x" * 161, sender_id="ACME", asked_id="mine-1", urgent=True)
    assert (reply.status, reply.error, reply.segments) == ("QUEUED", "", 2)
    with take.database.read() as session:
        message = outbox.get(session, reply.id)
    assert (message.number, message.state, message.sender_id) == ("34600123456", "queued", "ACME")
    assert (message.asked_id, message.urgency) == ("mine-1", outbox.NOW)
    assert take().id > reply.id
    with take.database.read() as session:
        last = session.scalars(select(Message).order_by(Message.id.desc())).first()
    assert (last.asked_id, last.urgency) == (None, 0)


def test_the_trunk_that_was_named_is_the_one(take):
    with take.database.write() as session:
        trunk = trunks.add(session, "one", "smpp", script_dir="", host="127.0.0.1", port=1, user="u", password="p")
    reply = take(trunk="one")
    with take.database.read() as session:
        assert outbox.get(session, reply.id).trunk_id == trunk.id


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"number": ""}, "empty"),
        ({"number": "abc"}, "not a number"),
        ({"number": "6" * 5000}, "too long"),
        ({"text": ""}, "must not be empty"),
        ({"text": "x" * 2000}, "max_segments"),
        ({"text": "a\0b"}, "no message can carry"),
        ({"text": "a\udcffb"}, "not valid UTF-8"),
        ({"trunk": "nix"}, 'There is no trunk "nix".'),
        ({"sender_id": "a very long sender id"}, "too long"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence_and_not_counted(take, given, why):
    reply = take(**given)
    assert (reply.status, reply.id, reply.limited) == ("REFUSED", 0, False)
    assert why in reply.error
    assert counted(take) == 0


def test_only_the_own_country_is_written_to_unless_prefixes_are_set(take, caplog):
    assert take(number="+447911123456").limited
    assert "no SMS from 600111222 to +447911123456" in caplog.text
    only = {"request_prefixes": "+346, 0044 ,3471"}
    assert take(number="600123456", limits=only).status == "QUEUED"
    assert take(number="+447911123456", limits=only).status == "QUEUED"
    assert take(number="710123456", limits=only).status == "QUEUED"
    assert "request_prefixes" in take(number="720123456", limits=only).error


def test_a_caller_has_so_many_an_hour_and_others_have_theirs(take, caplog):
    limits = {"request_per_caller_hour": 2}
    assert [take(limits=limits).status for _ in range(3)] == ["QUEUED", "QUEUED", "REFUSED"]
    assert counted(take) == 2
    assert "no SMS from 600111222 to 34600123456" in caplog.text
    assert take(limits=limits, caller="600111223").status == "QUEUED"
    assert take(limits=limits, now=NOW + 3599).status == "REFUSED"
    assert take(limits=limits, now=NOW + 3601).status == "QUEUED"


def test_a_caller_has_so_many_a_day(take):
    limits = {"request_per_caller_hour": 0, "request_per_caller_day": 2}
    results = [take(limits=limits, now=NOW + hour * 7200).status for hour in range(3)]
    assert results == ["QUEUED", "QUEUED", "REFUSED"]
    assert take(limits=limits, now=NOW + 24 * 3600 + 1).status == "QUEUED"


def test_all_callers_together_have_so_many_a_day(take):
    limits = {"request_per_day": 3}
    results = [take(limits=limits, caller=f"60011122{n}") for n in range(4)]
    assert [reply.status for reply in results] == ["QUEUED", "QUEUED", "QUEUED", "REFUSED"]
    assert "request_per_day" in results[3].error


def test_zero_is_no_limit(take):
    limits = {"request_per_caller_hour": 0, "request_per_caller_day": 0, "request_per_day": 0}
    assert {take(limits=limits).status for _ in range(40)} == {"QUEUED"}


def test_a_hostile_caller_is_one_short_line_everywhere(take, caplog):
    caller = "6\r\nEvil: yes\x1b[31m\u202e" + "x" * 500
    limits = {"request_per_caller_hour": 1}
    assert take(caller=caller, limits=limits).status == "QUEUED"
    assert take(caller=caller, limits=limits).status == "REFUSED"
    with take.database.read() as session:
        (kept,) = session.scalars(select(Request.caller))
    assert len(kept) == 80
    assert kept.isprintable()
    assert "\n" not in caplog.records[-1].getMessage()


def test_a_caller_without_a_name_is_counted_too(take):
    limits = {"request_per_caller_hour": 1}
    assert take(caller="", limits=limits).status == "QUEUED"
    assert take(caller=" \n", limits=limits).status == "REFUSED"


def test_only_requests_that_no_limit_counts_any_more_are_forgotten(take):
    for hours in range(30):
        take(limits={"request_per_caller_hour": 0, "request_per_caller_day": 0}, now=NOW + hours * 3600)
    with take.database.write() as session:
        requests.forget_old(session, NOW + 29 * 3600)
    assert counted(take) == 25


@pytest.mark.parametrize("kind", ["smpp", "script"])
def test_a_woken_sender_sends_at_once(take, database_url, tmp_path, kind):
    (tmp_path / "ok.sh").write_text('#!/bin/sh\necho "0;ok;0;0"\n')
    (tmp_path / "ok.sh").chmod(0o755)
    settings = config.with_database(database_url, {})
    changes = {"script_dir": str(tmp_path), "poll_seconds": SELDOM, "fastagi_port": 0}
    settings = dataclasses.replace(settings, values={**settings.values, **changes})
    with FakeSMSC() as smsc:
        options = {"smpp": {"host": "127.0.0.1", "port": smsc.port, "user": "u", "password": "p"}}
        options["script"] = {"script": "ok.sh"}
        with take.database.write() as session:
            trunks.add(session, "one", kind, script_dir=str(tmp_path), **options[kind])
        service = Service(take.database, settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            time.sleep(1.0)  # the link is up, and the sender waits for its next look
            begun = time.monotonic()
            message_id = take(urgent=True, now=time.time()).id
            while time.monotonic() - begun < 5:
                service.wake()
                with take.database.read() as session:
                    if outbox.get(session, message_id).state in ("accepted", "delivered"):
                        break
                time.sleep(0.05)
            assert time.monotonic() - begun < 5
        finally:
            service.stop()
            thread.join(5)
            assert not thread.is_alive()


def test_a_wake_before_the_wait_is_not_lost(tmp_path):
    drivers = [
        ScriptedDriver(),
        ScriptDriver(TrunkConfig("one", "script", {"script": "ok.sh"}, script_dir=tmp_path)),
        SmppDriver(TrunkConfig("one", "smpp", {"host": "127.0.0.1", "port": 1, "user": "u"}, "p")),
    ]
    for driver in drivers:
        driver.poll(0.0)
        driver.wake()
        driver.wake()
        begun = time.monotonic()
        driver.poll(5.0)
        assert time.monotonic() - begun < 1
        begun = time.monotonic()
        assert driver.poll(0.2) == [] and time.monotonic() - begun > 0.15, "one wake, one return"
        driver.close()
        driver.wake()


@needs_root
def test_a_script_of_a_user_who_may_not_read_the_settings_says_so_to_the_dialplan(tmp_path, monkeypatch):
    file, _ = config.create(closed_folder(tmp_path) / "ixxsms.conf", {})
    monkeypatch.setenv("IXXSMS_CONFIG", str(file))
    assert as_nobody(without_daemon, "send", "600111222", ["600123456", "hola"]) == {
        "SMSERROR": f"The configuration file {file} cannot be read: Permission denied.",
        "SMSSTATUS": "FAILED",
    }
