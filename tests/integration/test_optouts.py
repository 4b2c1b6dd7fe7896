"""Who has opted out is not written to, by no way, on every database."""

from __future__ import annotations

import dataclasses
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, select

import ixxsms
from ixxsms import (
    arrivals,
    campaigns,
    config,
    hook_rules,
    hooks,
    inbox,
    lists,
    numbering_plan,
    optouts,
    outbox,
    pbx,
    requests,
    trunks,
)
from ixxsms.asterisk.happenings import Happening
from ixxsms.asterisk.variables import Asked
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.dialplan import answers
from ixxsms.errors import BadFile, BadInput, NotFound
from ixxsms.events import Received
from ixxsms.models import Incoming, Message, OptOut, Request
from ixxsms.service import Service
from ixxsms.smpp import smsc_pdus
from ixxsms.smpp.address import Plan as Addresses
from ixxsms.testing import FakeSMSC

NOW = 1_800_000_000.0
MOBILE, NORMAL = "600 123 456", "34600123456"
REFUSED = f"The number {NORMAL} has opted out: it must not be written to."


@pytest.fixture
def world(database, database_url):
    return World(database, config.with_database(database_url, {}))


class World:
    def __init__(self, database, settings):
        self.database, self.settings = database, settings

    def set(self, **values):
        self.settings = dataclasses.replace(self.settings, values={**self.settings.values, **values})

    @contextmanager
    def write(self):
        with self.database.write() as session:
            yield session, numbering_plan.get(session)

    def out(self, number=MOBILE, **fields):
        with self.write() as (session, plan):
            return optouts.add(session, plan, number, now=NOW, **fields)

    def hear(self, text, source=NORMAL, now=NOW, **part):
        with self.database.write() as session:
            arrivals.keep(session, self.settings, 1, [Received(source, "34900123123", text, **part)], now)

    def who(self):
        with self.database.read() as session:
            return sorted(row.number for row in optouts.show(session).rows)

    def queue(self, text="hola", number=MOBILE):
        with self.write() as (session, plan):
            return outbox.enqueue(session, plan, number, text, now=NOW, max_segments=10).id

    def queued(self):
        with self.database.read() as session:
            rows = session.execute(select(Message.number, Message.text).where(Message.state == "queued"))
            return sorted(tuple(row) for row in rows)

    def claim(self, place=None, room=100):
        with self.database.write() as session:
            trunk_id = next(iter(trunks.all_trunks(session))).id
            found = outbox.claim(
                session, trunk_id, 1, [place or outbox.Source()], room=room, better=(), now=time.time() + 1e9
            )
            return [message.number for message in found]

    def trunk(self):
        with self.database.write() as session:
            return trunks.add(
                session, "one", "smpp", script_dir="", host="127.0.0.1", port=1, user="u", password="p"
            ).id

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def campaign(self, numbers, **kwargs):
        rows = [Row(line, number, None) for line, number in enumerate(numbers, 1)]
        with self.write() as (session, plan):
            given = {"now": NOW, "max_segments": 10, "rows": rows, "run": True, **kwargs}
            campaigns.create(session, plan, "promo", "Hola", **given)

    def states(self):
        with self.database.read() as session:
            return {state: count for state, count in campaigns.show(session, "promo").states.items() if count}


# -- the table -----------------------------------------------------------------------------------------------------


def test_a_number_opts_out_once_and_comes_back(world):
    assert world.out(note="by telephone") == optouts.Added(NORMAL, True)
    assert world.out("+34 600123456", note="again") == optouts.Added(NORMAL, False)
    with world.write() as (session, plan):
        assert optouts.check(session, plan, MOBILE) == (NORMAL, NOW, "hand", "by telephone")
        assert optouts.check(session, plan, "600123457") is None
        assert optouts.remove(session, plan, MOBILE) == NORMAL
        assert optouts.check(session, plan, MOBILE) is None
        with pytest.raises(NotFound, match="has not opted out"):
            optouts.remove(session, plan, MOBILE)
        with pytest.raises(BadInput, match="cannot opt out: too short"):
            optouts.add(session, plan, "12", now=NOW)
        with pytest.raises(BadInput, match="is no number"):
            optouts.check(session, plan, "abc")


def test_a_note_is_made_to_fit(world):
    world.out(note="a\0b\ud800c" * 200)
    with world.database.read() as session:
        (row,) = optouts.show(session).rows
    assert row.note == ("a\ufffdb?c" * 200)[:120]


def test_a_file_of_numbers_is_imported_with_its_notes_and_exported(world):
    world.out(note="stays")
    rows = [
        Row(1, "600123456", "not this one"),
        Row(2, "600 000 001", "Ana ñ"),
        Row(3, "+34600000001", None),
        Row(4, "abc", None),
        Row(5, "+447911123456", None),
    ]
    with world.write() as (session, plan):
        report = optouts.import_rows(session, plan, rows, now=NOW + 1)
        assert (report.read, report.added, report.already, report.duplicates, report.refused_total) == (5, 2, 1, 1, 1)
        exported = [tuple(row) for row in optouts.export_rows(session)]
    assert exported == [
        ("+447911123456", NOW + 1, "csv", ""),
        ("34600000001", NOW + 1, "csv", "Ana ñ"),
        (NORMAL, NOW, "hand", "stays"),
    ]
    with pytest.raises(BadFile, match="Nothing was imported"), world.write() as (session, plan):
        optouts.import_rows(session, plan, [Row(1, "600000009", None), Row(2, "abc", None)], now=NOW, strict=True)
    with world.database.read() as session:
        assert optouts.show(session).total == 3
        assert [row.number for row in optouts.show(session, limit=1).rows] == ["+447911123456"], "the latest first"
        assert [row.number for row in optouts.show(session, "ANA").rows] == ["34600000001"]
        assert [row.number for row in optouts.show(session, "600 123").rows] == [NORMAL]


def test_its_verbs_are_on_the_object_for_programs(database_url):
    with ixxsms.open(database_url) as opened:
        assert opened.optouts.add(MOBILE).added
        assert opened.optouts.check(MOBILE).source == "hand"
        assert opened.optouts.show().total == 1
        assert [row.number for row in opened.optouts.export_rows()] == [NORMAL]
        for way in (opened.enqueue, opened.send):
            with pytest.raises(BadInput) as refused:
                way("600123456", "hola")
            assert str(refused.value) == REFUSED or "trunk" in str(refused.value)
        assert opened.optouts.remove(MOBILE) == NORMAL
        assert opened.enqueue(MOBILE, "hola")


# -- every way of sending --------------------------------------------------------------------------------------------


def test_nothing_is_queued_for_it_and_sent_at_once(world, database_url):
    world.trunk()
    world.out()
    with pytest.raises(BadInput) as refused:
        world.queue()
    assert str(refused.value) == REFUSED
    settings = dataclasses.replace(world.settings, values={**world.settings.values, "send_seconds": 1.0})
    opened = pbx.Pbx(settings)
    with opened, pytest.raises(BadInput) as refused:
        opened.send(MOBILE, "hola")
    assert str(refused.value) == REFUSED
    assert world.queued() == []


def test_asterisk_is_refused_with_the_reason_and_its_callers_are_not_counted(world):
    world.out()
    asks = [requests.Ask("101", number, "hola", urgent=urgent) for number in (MOBILE, "600123457") for urgent in (0, 1)]
    with world.write() as (session, plan):
        replies = requests.take_all(session, world.settings, plan, asks, NOW)
        assert session.scalar(select(func.count()).select_from(Request)) == 2
    assert [reply.status for reply in replies] == ["REFUSED", "REFUSED", "QUEUED", "QUEUED"]
    assert [(reply.error, reply.limited) for reply in replies[:2]] == [(REFUSED, False)] * 2
    assert answers.of_reply(replies[0])["SMSERROR"] == REFUSED
    assert {number for number, _ in world.queued()} == {"34600123457"}


def test_a_one_time_code_is_no_exception_and_is_spoken_to_who_calls_himself(world):
    world.out()
    with world.write() as (session, plan):
        sent = answers.send_code(session, world.settings, plan, Asked("600123456", ("600123456", "")), NOW)
        assert (sent.reply.status, sent.reply.error, sent.spoken) == ("REFUSED", REFUSED, True)
        other = answers.send_code(session, world.settings, plan, Asked("600000001", ("600123456", "")), NOW)
        assert (other.reply.error, other.spoken) == (REFUSED, False)
    assert world.queued() == []


def test_hooks_write_to_nobody_who_has_opted_out(world):
    with world.write() as (session, plan):
        hook_rules.add(session, plan, "missed", "missed_call", max_segments=10, text="we call back")
        hook_rules.add(session, plan, "info", "sms", max_segments=10, keyword="info", text="Our hours are …")
        hook_rules.add(session, plan, "mail", "voicemail", max_segments=10, text="voicemail", notify=MOBILE)
    world.out()
    with world.write() as (session, plan):
        for said in ("missed_call", "voicemail"):
            happening = Happening(said, NORMAL, "", "", "")
            assert not hooks.act(session, world.settings, plan, happening, NOW)
        assert hooks.incoming(session, world.settings, plan, 1, NORMAL, "911", "info", NOW) == (False, [])
        assert hooks.act(session, world.settings, plan, Happening("missed_call", "34600123457", "", "", ""), NOW)
    assert [number for number, _ in world.queued()] == ["34600123457"]


def test_who_writes_the_word_by_which_one_opts_out_starts_no_hook(world):
    with world.write() as (session, plan):
        with pytest.raises(BadInput, match='Who writes "Baja!" opts out'):
            hook_rules.add(session, plan, "x", "sms", max_segments=10, keyword="Baja!", text="no")
        with pytest.raises(BadInput, match="opts out"):
            hook_rules.add(
                session, plan, "x", "sms", max_segments=10, keyword="fuera", text="no", optout_keywords="FUERA"
            )
        # One that was there before the setting.
        hook_rules.add(session, plan, "old", "sms", max_segments=10, keyword="fuera", call_back="Local/{number}@x")
        hook_rules.add(session, plan, "off", "sms", max_segments=10, keyword="stop", text="no", optout=False)
        world.set(optout_keywords="fuera")
        for text in ("FUERA", "stop"):
            assert hooks.incoming(session, world.settings, plan, 1, NORMAL, "911", text, NOW) == (False, [])
        world.set(optout_keywords="", optout=False)
        assert hooks.incoming(session, world.settings, plan, 1, NORMAL, "911", "fuera", NOW)[1]


def test_a_campaign_leaves_out_who_has_opted_out(world):
    with world.write() as (session, plan):
        lists.create(session, "clients")
        for number in ("600000001", "600000002", "600000003"):
            lists.add(session, plan, "clients", number)
        lists.exclude(session, plan, "clients", "600000003")
    world.out("600000002")
    world.campaign([], rows=None, list_name="clients")
    assert world.states() == {"queued": 1, "excluded": 2}
    with world.database.read() as session:
        reasons = dict(session.execute(select(Message.number, Message.reason)).all())
    assert reasons == {"34600000001": "", "34600000002": "the number has opted out", "34600000003": ""}


def test_a_campaign_of_a_file_leaves_them_out_too(world):
    world.out("600000002")
    world.campaign(["600000001", "600000002"])
    assert world.states() == {"queued": 1, "excluded": 1}


def test_who_opts_out_while_a_campaign_runs_is_excluded_in_his_turn(world):
    trunk_id = world.trunk()
    numbers = [f"600000{n:03}" for n in range(20)]
    world.campaign(numbers)
    with world.database.read() as session:
        (place,) = campaigns.sendable(session, trunk_id, NOW + 1e9)
    assert len(world.claim(place, room=5)) == 5
    world.hear("BAJA", source="34600000003")  # sent already
    world.hear("STOP", source="34600000007")
    world.hear("STOP", source="34600000008")
    world.hear("START", source="34600000008")
    rest = world.claim(place)
    assert rest == [f"34600000{n:03}" for n in range(5, 20) if n != 7]
    assert world.states() == {"submitted": 19, "excluded": 1}
    with world.database.write() as session:
        for message in session.scalars(select(Message).where(Message.state == "submitted")):
            message.state = "accepted"
        campaigns.finish(session, NOW)
        assert campaigns.show(session, "promo").state == "finished"


def test_what_was_queued_before_is_excluded_and_whoever_asked_for_it_can_be_told(world):
    world.trunk()
    message_id, other = world.queue(), world.queue(number="600000001")
    world.hear("stop")
    assert world.claim() == ["34600000001"]
    assert (world.message(message_id).state, world.message(message_id).reason) == ("excluded", outbox.OPTED_OUT)
    assert world.message(message_id).settled_at
    assert world.message(other).state == "submitted"


def test_a_claim_looks_into_the_table_by_its_key(world):
    if world.database.engine.dialect.name != "sqlite":
        return  # the others choose by what is in the tables
    world.trunk()
    seen = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    world.claim()
    (query, parameters) = next(each for each in seen if "opt_outs" in each[0])
    with world.database.read() as session:
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)]
    assert any("opt_outs USING" in step and "number=?" in step for step in plan), plan


def test_who_has_opted_out_stays_so_under_another_country_code(world):
    """Whatever form his number had where it was queued, listed or looked for."""
    world.trunk()
    spaniard, neighbour = "+34 600123456", "+351 912345678"
    with world.write() as (session, plan):
        lists.create(session, "clients")
        for number in (spaniard, neighbour, "600000001"):
            lists.add(session, plan, "clients", number)
            outbox.enqueue(session, plan, number, "hola", now=NOW, max_segments=10)
        optouts.add(session, plan, spaniard, now=NOW)
        session.add(OptOut(number="+351912345678", at=NOW, source="hand"))  # in one form only
        numbering_plan.change(session, country="PT")
    assert world.who() == ["+34600123456", "351912345678"]
    for number in (spaniard, neighbour, "912345678"):
        with pytest.raises(BadInput, match="has opted out"):
            world.queue(number=number)
    assert world.claim() == ["34600000001"]
    world.hear("STOP", source="34600000001")
    world.campaign([], rows=None, list_name="clients")
    assert world.states() == {"excluded": 3}


def test_who_comes_back_under_another_country_code_is_written_to_under_each(world):
    world.out()
    with world.write() as (session, plan):
        numbering_plan.change(session, country="PT")
    with world.write() as (session, plan):
        assert optouts.check(session, plan, "+34600123456") == ("+34600123456", NOW, "hand", "")
        assert optouts.remove(session, plan, "+34600123456") == "+34600123456"
        numbering_plan.change(session, country="ES")
    assert world.who() == []
    assert world.queue()


# -- the words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["STOP", "¡Baja!", "salir, por favor", "ARRÊT"])
def test_an_sms_with_a_keyword_opts_its_sender_out(world, text):
    world.hear(text)
    with world.write() as (session, plan):
        found = optouts.check(session, plan, MOBILE)
        assert (found.source, found.note, found.at) == ("sms", text, NOW)
        assert session.scalar(select(Incoming.text)) == text, "it is in the inbox all the same"
    assert world.queued() == [], "nothing is answered unless it is configured"


def test_what_only_looks_like_a_keyword_opts_nobody_out(world):
    for text in ("Hola, STOP", "stopping by", "", "START"):
        world.hear(text)
    assert world.who() == []


def test_numbers_of_other_countries_opt_out_although_smscs_write_them_without_a_plus(world):
    world.hear("STOP", source="447911123456")
    world.hear("STOP", source="+491701234567")
    assert world.who() == ["+447911123456", "+491701234567"]
    world.hear("START", source="447911123456")
    assert world.who() == ["+491701234567"]


def test_who_opts_out_from_another_country_is_no_number_of_the_own_one_that_looks_alike(world):
    world.set(optout_text="No more SMS for you.")
    with world.database.write() as session:
        numbering_plan.change(session, country="DE", mobile_prefixes="15,16,17,+336,+659")
    for source in ("33612345678", "+6591234567", "15712345678"):
        world.hear("STOP", source=source)
    assert world.who() == ["+33612345678", "+6591234567", "4915712345678"]
    assert {number for number, _ in world.queued()} == {"+33612345678", "+6591234567", "4915712345678"}


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("+34600123456", "34600123456"),
        ("600123456", "600123456"),
        ("447911123456", "+447911123456"),
        ("+447911123456", "+447911123456"),
        ("2345", "2345"),
        ("ACME", "ACME"),
    ],
)
def test_the_inbox_has_numbers_of_other_countries_in_the_form_in_which_they_can_be_answered(world, source, kept):
    world.hear("Hola", source=source)
    with world.database.read() as session:
        assert [(sms.source, sms.destination) for sms in inbox.latest(session)] == [(kept, "34900123123")]


@pytest.mark.parametrize(
    ("destination", "kept"),
    [("+34900123123", "34900123123"), ("+442079460001", "+442079460001"), ("442079460001", "442079460001")],
)
def test_the_inbox_has_the_plus_of_a_number_of_ours_in_another_country(world, destination, kept):
    with world.database.write() as session:
        arrivals.keep(session, world.settings, 1, [Received(NORMAL, destination, "Hola")], NOW)
        assert [sms.destination for sms in inbox.latest(session)] == [kept]


@pytest.mark.parametrize("source", ["ACME", "1234", "", "stop", "600\r\n"])
def test_names_and_short_codes_neither_opt_out_nor_are_answered(world, source):
    world.set(optout_text="Done.")
    world.hear("STOP", source=source)
    assert world.who() == [] and world.queued() == []


def test_a_keyword_in_a_long_sms_counts_when_it_is_whole(world):
    world.hear("ing is not what I want", reference=1, part=2, parts=2)
    assert world.who() == []
    world.hear("stop", reference=1, part=1, parts=2)
    assert world.who() == [], "it is stopping"
    world.hear("STOP it ", reference=2, part=1, parts=3)
    world.hear("now", reference=2, part=2, parts=3)
    world.hear("STOP", source="34600000001", reference=3, part=2, parts=2)
    assert world.who() == []
    with world.database.write() as session:
        arrivals.give_up(session, world.settings, NOW + 1e6)
    assert world.who() == [NORMAL], "of the other one the first word never came"


def test_the_setting_turns_the_words_off_and_not_the_table(world):
    world.set(optout=False)
    world.hear("STOP")
    assert world.who() == []
    world.out()
    world.hear("START")
    assert world.who() == [NORMAL]
    with pytest.raises(BadInput):
        world.queue()


# -- the answers ---------------------------------------------------------------------------------------------------


def test_an_opt_out_is_answered_where_that_is_configured_although_it_counts(world):
    world.trunk()
    world.set(optout_text="You get no more SMS.", optin_text="Welcome back.")
    world.hear("STOP")
    assert world.queued() == [(NORMAL, "You get no more SMS.")]
    assert world.claim() == [NORMAL]
    world.hear("START", now=NOW + 60)
    assert world.queued() == [(NORMAL, "Welcome back.")]
    assert world.claim() == [NORMAL]


def test_two_robots_do_not_talk_for_ever(world):
    world.set(optout_text="STOP received. Write START to come back.", optin_text="START received.")
    for turn in range(10):
        world.hear("STOP", now=NOW + turn)
        world.hear("STOP", now=NOW + turn)
        world.hear("START", now=NOW + turn)
    assert len(world.queued()) == 2, "one of each in a day"
    world.hear("STOP", now=NOW + 86500)
    assert len(world.queued()) == 3


def test_what_repeats_our_own_answer_is_no_wish(world):
    world.set(optout_text="¡STOP recibido!", optin_text="START: bienvenido")
    world.hear("stop RECIBIDO")
    world.hear("> STOP recibido <")
    assert world.who() == []
    world.out()
    world.hear("Start: Bienvenido :)")
    assert world.who() == [NORMAL]


def test_landlines_opt_out_and_are_not_answered(world):
    world.set(optout_text="Done.")
    world.hear("STOP", source="34911234567")
    assert world.who() == ["34911234567"]
    assert world.queued() == []


def test_an_answer_that_cannot_be_sent_holds_nothing_up(world):
    world.set(optout_text="x" * 5000)
    world.hear("STOP")
    assert world.who() == [NORMAL]
    assert world.queued() == []


# -- the whole way -------------------------------------------------------------------------------------------------


def test_from_the_phone_to_the_campaign_that_leaves_it_out(database, database_url):
    settings = config.with_database(
        database_url,
        {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_POLL_SECONDS": "0.02", "IXXSMS_OPTOUT_TEXT": "No more SMS for you."},
    )
    world = World(database, settings)
    with FakeSMSC(latency=0.05) as smsc:
        with database.write() as session:
            trunks.add(
                session,
                "one",
                "smpp",
                script_dir="",
                host="127.0.0.1",
                port=smsc.port,
                user="u",
                password="p",
                window=2,
            )
        world.campaign([f"600000{n:03}" for n in range(120)])
        service = Service(Database(database_url), settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            smsc.wait_for(5)
            source, here = Addresses().source("34600000119"), Addresses().destination("34900123123")
            smsc._order(
                lambda: smsc.deliver_to(None, [smsc_pdus.deliver_sm(9001, source, here, 0, 0, b"Stop, please")])
            )
            deadline = time.monotonic() + 60
            while world.states().get("queued", 0) + world.states().get("submitted", 0):
                assert time.monotonic() < deadline, world.states()
                time.sleep(0.05)
            smsc.wait_until(lambda: ("34600000119", "No more SMS for you.") in smsc.texts(), 60)
        finally:
            service.stop()
            thread.join(60)
            service._database.close()
        assert not thread.is_alive()
        to_it = [text for number, text in smsc.texts() if number == "34600000119"]
        assert to_it == ["No more SMS for you."]
        assert len(smsc.texts()) == 120
    assert world.states()["excluded"] == 1
