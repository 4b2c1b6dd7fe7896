"""SMS from outside, from an SMSC's socket to the inbox, on every database."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from ixxsms import config, daemons, inbox, trunks
from ixxsms.db import Database
from ixxsms.errors import DatabaseError
from ixxsms.service import Service
from ixxsms.smpp import smsc_pdus
from ixxsms.smpp.address import Plan
from ixxsms.smpp.faults import Long
from ixxsms.testing import FakeSMSC

PHONE, HERE = "34600999888", "34900123123"
TEXT = "¿Señal? 😀 {€} " * 20


class Switched(Database):
    """A database that can be away."""

    away = False

    @contextmanager
    def write(self):
        if self.away:
            raise DatabaseError("The database is away.")
        with super().write() as session:
            yield session

    @contextmanager
    def read(self):
        if self.away:
            raise DatabaseError("The database is away.")
        with super().read() as session:
            yield session


@pytest.fixture
def smsc():
    with FakeSMSC() as started:
        yield started


@pytest.fixture
def site(database_url, smsc):
    database = Switched(database_url)
    with database.write() as session:
        trunks.add(session, "one", "smpp", script_dir="", host="127.0.0.1", port=smsc.port, user="u", password="p")
    made = config.with_database(database_url, {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_POLL_SECONDS": "0.02"})
    yield Site(database, smsc, made)
    database.close()


class Site:
    """A service with one trunk."""

    def __init__(self, database, smsc, settings):
        self.database, self.smsc, self.settings = database, smsc, settings

    @contextmanager
    def serve(self):
        service = Service(self.database, self.settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            self.until(lambda: any(peer.kind for peer in self.smsc._peers))
            yield
        finally:
            service.stop()
            thread.join(60)
            assert not thread.is_alive()

    def until(self, condition):
        deadline = time.monotonic() + 60
        while not (value := condition()):
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.02)
        return value

    def texts(self):
        with self.database.read() as session:
            return [sms.text for sms in reversed(inbox.latest(session))]

    def arrive(self, *pdus):
        """These PDUs come over the link that there is."""
        self.smsc._order(lambda: self.smsc.deliver_to(None, pdus))


def pdus(text, reference=7, **kwargs):
    addresses = Plan().source(PHONE), Plan().destination(HERE)
    return smsc_pdus.sms(range(reference * 100 + 1, reference * 100 + 100), *addresses, text, reference, **kwargs)


def test_long_sms_of_every_form_become_one_each(site):
    forms = [(long, as_data_sm) for long in Long for as_data_sm in (False, True)]
    with site.serve():
        sent = 0
        for number, (long, as_data_sm) in enumerate(forms):
            made = pdus(f"{number} {TEXT}", 500 + number, long=long, as_data_sm=as_data_sm)
            site.arrive(*made)
            sent += len(made)
        site.until(lambda: site.smsc.acknowledged == sent)
        assert sorted(site.texts()) == sorted(f"{number} {TEXT}" for number in range(len(forms)))


def test_parts_that_come_before_and_after_a_restart_become_one(site):
    made = pdus(TEXT)
    assert len(made) > 3
    with site.serve():
        site.arrive(*made[2:], made[0])
        site.until(lambda: site.smsc.acknowledged == len(made) - 1)
    assert site.texts() == []
    with site.serve():
        site.arrive(made[1])
        site.until(lambda: site.texts() == [TEXT])


def test_what_was_not_acknowledged_comes_again_and_is_kept_once(site):
    """The link falls as soon as the SMSC has sent, so its acknowledgements are lost."""
    made = pdus(TEXT)
    with site.serve():
        for _ in range(3):
            site.arrive(*made)
            site.smsc.drop()
            site.until(lambda: len(site.smsc.logins) > 1)
        site.until(lambda: not site.smsc._kept and site.texts() == [TEXT])


def test_while_the_database_is_away_the_smsc_is_asked_to_bring_it_later(site, monkeypatch):
    monkeypatch.setattr("ixxsms.sender.REFUSE_AFTER", 0.5)
    with site.serve():
        site.arrive(*pdus("before", 1))
        site.until(lambda: site.smsc.acknowledged == 1)
        site.database.away = True
        site.arrive(*pdus("away", 2), *pdus(TEXT, 3))
        site.until(lambda: site.smsc.turned_down == 1 + len(pdus(TEXT, 3)))
        site.database.away = False
        assert site.texts() == ["before"]
        site.until(lambda: daemons_alive(site))
        site.arrive(*pdus("away", 4), *pdus(TEXT, 5))
        site.until(lambda: site.texts() == ["before", "away", TEXT])
    assert site.smsc.acknowledged == 2 + len(pdus(TEXT))


def test_what_comes_after_the_database_failed_is_tried_before_it_is_turned_away(site, monkeypatch, caplog):
    monkeypatch.setattr("ixxsms.sender.REFUSE_AFTER", 0.0)
    with site.serve():
        site.database.away = True
        site.until(lambda: any(record.name == "ixxsms.sender" for record in caplog.records))
        site.database.away = False
        site.arrive(*pdus("back"))
        site.until(lambda: site.smsc.acknowledged + site.smsc.turned_down)
    assert (site.texts(), site.smsc.turned_down) == (["back"], 0)


def daemons_alive(site):
    with site.database.read() as session:
        return daemons.alive(session, time.time(), 5.0)


def test_a_trunk_reads_its_own_default_alphabet(site):
    with site.database.write() as session:
        trunks.edit(session, "one", script_dir="", default_alphabet="packed")
    with site.serve():
        packed = bytes.fromhex("e8329bfd4697d9ec37")  # hellohello, as 3GPP TS 23.038 has it
        addresses = Plan().source(PHONE), Plan().destination(HERE)
        site.arrive(smsc_pdus.deliver_sm(1, *addresses, 0, 0, packed))
        site.until(lambda: site.texts() == ["hellohello"])
