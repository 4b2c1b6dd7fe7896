"""Accepted messages as call records."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
import time
import types
from contextlib import closing

import pytest
from sqlalchemy import select, update

from ixxsms import callrecord_writer, callrecords, config, daemons, harvest, numbering_plan, outbox, trunks
from ixxsms.asterisk import cdr
from ixxsms.db import Database
from ixxsms.models import Daemon, Message
from ixxsms.service import Service
from ixxsms.testing import FakeSMSC

NOW = 1_800_000_000.0


@pytest.fixture
def call_records(tmp_path):
    file = tmp_path / "cdr.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE cdr (calldate, src, dst, dstchannel, disposition, billsec, uniqueid)")
    return file


def rows(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT src, dst, dstchannel, disposition FROM cdr ORDER BY dst").fetchall()


@pytest.fixture
def sent(database_url, call_records):
    """sent(**settings): two messages are sent; the database that they were in."""

    def send(**settings):
        made = config.with_database(database_url, {})
        values = {**made.values, "cdr_url": f"sqlite:///{call_records}", "poll_seconds": 0.02, **settings}
        database = Database(database_url)
        with FakeSMSC() as smsc:
            with database.write() as session:
                plan = numbering_plan.get(session)
                fields = {"host": "127.0.0.1", "port": smsc.port, "user": "u", "password": "p", "sender_id": "ACME"}
                trunks.add(session, "one", "smpp", script_dir="", **fields)
                for number in ("600000001", "600000002"):
                    outbox.enqueue(session, plan, number, "hola", now=NOW * 2, max_segments=10)
            Service(database, dataclasses.replace(made, values=values)).run(drain=True)
        with database.read() as session:
            assert outbox.counts(session, None)["delivered"] == 2
        return database

    return send


def test_each_accepted_message_is_one_call_record_where_the_setting_says_so(sent, call_records):
    database = sent(cdr_sms=True)
    assert rows(call_records) == [
        ("ACME", "34600000001", "SMS", "ANSWERED"),
        ("ACME", "34600000002", "SMS", "ANSWERED"),
    ]
    with database.read() as session:
        assert callrecords.due(session) == {}
    database.close()


def test_none_is_written_where_the_setting_is_off(sent, call_records):
    sent().close()
    assert rows(call_records) == []


def test_what_cannot_be_written_holds_no_message_back_and_stays_due(sent, call_records):
    call_records.unlink()
    database = sent(cdr_sms=True)
    with database.read() as session:
        assert [record.number for record in callrecords.due(session).values()] == ["34600000001", "34600000002"]
    database.close()


def test_an_sms_is_never_harvested_as_a_call(sent, call_records):
    database = sent(cdr_sms=True)
    source = cdr.open_cdr(f"sqlite:///{call_records}")
    with database.write() as session:
        plan = numbering_plan.get(session)
        report = harvest.harvest(session, plan, "callers", source, cdr.Filters(direction="both"), now=NOW)
    assert (report.read, report.new) == (0, 0)
    database.close()


def test_a_locked_table_of_call_records_holds_up_no_sign_of_life(database, database_url, call_records):
    values = {"cdr_sms": True, "cdr_url": f"sqlite:///{call_records}", "poll_seconds": 0.02, "fastagi_port": 0}
    made = config.with_database(database_url, {})
    settings = dataclasses.replace(made, values={**made.values, **values, "heartbeat_seconds": 0.1})
    with FakeSMSC() as smsc, closing(sqlite3.connect(call_records, isolation_level=None)) as locker:
        with database.write() as session:
            fields = {"host": "127.0.0.1", "port": smsc.port, "user": "u", "password": "p", "sender_id": "ACME"}
            trunks.add(session, "one", "smpp", script_dir="", **fields)
            plan = numbering_plan.get(session)
            outbox.enqueue(session, plan, "600000001", "hola", now=time.time(), max_segments=10)
        locker.execute("BEGIN EXCLUSIVE")
        service = Service(database, settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            wait_until(lambda: records_due(database) == 1)
            first = last_sign_of_life(database)
            # Longer than one try to write takes: the lock is waited for over and over meanwhile.
            wait_until(lambda: last_sign_of_life(database) > first + 3.0)
        finally:
            locker.execute("ROLLBACK")
            service.stop()
            thread.join()
    assert [row[1] for row in rows(call_records)] == ["34600000001"]


def test_of_two_daemons_one_writes_however_slow_that_is(database, database_url, call_records):
    values = {"cdr_sms": True, "cdr_url": f"sqlite:///{call_records}", "poll_seconds": 0.02, "fastagi_port": 0}
    made = config.with_database(database_url, {})
    settings = dataclasses.replace(made, values={**made.values, **values, "heartbeat_seconds": 0.5})
    numbers = [f"3460000000{n}" for n in range(5)]
    with FakeSMSC() as smsc, closing(sqlite3.connect(call_records, isolation_level=None)) as locker:
        with database.write() as session:
            fields = {"host": "127.0.0.1", "port": smsc.port, "user": "u", "password": "p", "sender_id": "ACME"}
            trunks.add(session, "one", "smpp", script_dir="", **fields)
            plan = numbering_plan.get(session)
            for number in numbers:
                outbox.enqueue(session, plan, number, "hola", now=time.time(), max_segments=10)
        locker.execute("BEGIN EXCLUSIVE")
        services = [Service(Database(database_url), settings) for _ in range(2)]
        threads = [threading.Thread(target=service.run) for service in services]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: records_due(database) == 5)
            time.sleep(2.5)  # both have looked at what is due by now
            locker.execute("ROLLBACK")
            wait_until(lambda: records_due(database) == 0)
        finally:
            for service, thread in zip(services, threads, strict=True):
                service.stop()
                thread.join()
                service._database.close()
    assert [row[1] for row in rows(call_records)] == numbers


def test_whatever_a_driver_raises_the_next_look_writes(database, database_url, call_records, monkeypatch):
    raised = []

    def write(*arguments):
        if not raised:
            raised.append(1)
            raise RuntimeError("broken on purpose")
        cdr.write_sms(*arguments)

    monkeypatch.setattr(callrecord_writer, "cdr", types.SimpleNamespace(write_sms=write))
    monkeypatch.setattr(callrecord_writer, "EVERY", 0.05)
    made = config.with_database(database_url, {})
    settings = dataclasses.replace(
        made, values={**made.values, "cdr_sms": True, "cdr_url": f"sqlite:///{call_records}", "cdr_table": "cdr"}
    )
    with database.write() as session:
        plan, me = numbering_plan.get(session), daemons.register(session, [], time.time())
        message = outbox.enqueue(session, plan, "600000001", "hola", now=NOW, max_segments=10)
        session.execute(update(Message).where(Message.id == message.id).values(state="accepted", cdr_due=True))
    writer = callrecord_writer.CallRecordWriter(database, settings, lambda: me)
    writer.start()
    wait_until(lambda: records_due(database) == 0)
    writer.stop()
    assert (raised, [row[1] for row in rows(call_records)]) == ([1], ["34600000001"])


def records_due(database):
    with database.read() as session:
        return len(callrecords.due(session))


def last_sign_of_life(database):
    with database.read() as session:
        return max((daemon.heartbeat_at for daemon in session.scalars(select(Daemon))), default=0.0)


def wait_until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
