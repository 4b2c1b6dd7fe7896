"""A call of the dialplan while the database is busy: it hears so in its time, and what it asked for is not lost."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from servers import free_port
from sqlalchemy import select
from systems import eventually

from ixxsms import config, lists
from ixxsms.at_once import claiming_at_once
from ixxsms.db import Database
from ixxsms.dialplan import store
from ixxsms.edge import Edge
from ixxsms.models import Message

#: How long a call waits here for the database, and for the outcome of its SMS.
BUSY, OUTCOME = 0.5, 0.7

LOCKS = {"postgresql": "LOCK TABLE lists, messages", "mysql": "LOCK TABLES lists WRITE, messages WRITE"}


@pytest.fixture
def ask(database, monkeypatch):
    """ask(route, *arguments): the variables that a call gets from a daemon on this database, and how long it took."""
    monkeypatch.setattr(store, "BUSY", BUSY)
    port = free_port()
    given = {"IXXSMS_FASTAGI_PORT": str(port), "IXXSMS_REQUEST_WAIT_SECONDS": str(OUTCOME)}
    edge = Edge(
        database,
        config.with_database(str(database.url), given),
        lambda: 1,
        lambda: None,
        lambda: claiming_at_once([]),
        [],
    )

    def call(route, *arguments):
        began = time.monotonic()
        told = "".join(f"agi_arg_{at}: {argument}\n" for at, argument in enumerate(arguments, 1))
        variables = {}
        with socket.create_connection(("127.0.0.1", port), 30) as connection, connection.makefile("rb") as lines:
            connection.sendall(f"agi_network_script: {route}\nagi_callerid: 600111222\n{told}\n".encode())
            for line in lines:
                variables |= dict(re.findall(r"VARIABLE \"(\w+)\" \"([^\"]*)\"", line.decode()))
                variables |= dict(re.findall(r"((?:SMS|LIST|OTP)\w+)=([^,\"]*)", line.decode()))
                connection.sendall(b"200 result=1\n")
        return variables, time.monotonic() - began

    edge.start()
    eventually(lambda: listens(port))
    yield call
    edge.stop()
    # What waited for the database may be at it still: its connection must not outlive the pool.
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("edge ")])


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def busy(database):
    """Somebody else has what calls need."""
    other = Database(str(database.url.render_as_string(hide_password=False)))
    kind = other.url.get_backend_name()
    with other.write() as session:
        connection = session.connection()  # on SQLite that is the lock
        if kind in LOCKS:
            connection.exec_driver_sql(LOCKS[kind])
        try:
            yield
        finally:
            if kind == "mysql":
                connection.exec_driver_sql("UNLOCK TABLES")
    other.close()


def numbers(database):
    with database.read() as session:
        return session.scalars(select(Message.number)).all()


def test_a_call_hears_that_the_database_is_busy_and_its_sms_is_queued_later(database, ask, caplog):
    with busy(database):
        for route in ("queue", "send"):
            variables, took = ask(route, "600123456", "Hola")
            assert variables["SMSSTATUS"] == "FAILED"
            assert "database is busy" in variables["SMSERROR"]
            assert "still be queued" in variables["SMSERROR"]
            assert BUSY <= took < BUSY + 10
        variables, _ = ask("list", "add", "clients", "600123456")
        assert variables["LISTSTATUS"] == "FAILED"
        assert "database is busy" in variables["LISTERROR"]
        variables, _ = ask("otp", "send", "600123456")
        assert variables["SMSSTATUS"] == "FAILED"
        assert "OTPCODE" not in variables
        variables, _ = ask("sip-message", "600123456", "base64:SG9sYQ==", "base64:PHNpcDphbmFAcGJ4Pg==")
        assert variables["SMSREPLY"].startswith("The SMS may not be sent")
    eventually(lambda: len(numbers(database)) == 4)
    with database.write() as session:
        lists.create(session, "clients")
    assert ask("queue", "600123457", "Hola")[0]["SMSSTATUS"] == "QUEUED"
    assert ask("list", "add", "clients", "600123456")[0]["LISTSTATUS"] == "ADDED"
    assert not [record for record in caplog.records if record.exc_info]


def test_a_call_whose_sms_is_queued_hears_so_in_its_time_though_nothing_can_be_read(database, ask):
    heard = []
    calling = threading.Thread(target=lambda: heard.append(ask("send", "600123456", "Hola")))
    calling.start()
    eventually(lambda: numbers(database))
    with busy(database):
        calling.join(OUTCOME + 15)
        ((variables, took),) = heard
    assert (variables["SMSSTATUS"], variables["SMSERROR"]) == ("QUEUED", "")
    assert took < OUTCOME + 10
