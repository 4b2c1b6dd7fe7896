"""Hooks and SIP routes on every database: what a rule may hold, and what follows from it."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from sqlalchemy import select

from ixxsms import config, daemons, hook_rules, hooks, lists, manager, numbering_plan, optouts, outbox, sip_routes
from ixxsms.asterisk import happenings
from ixxsms.asterisk.happenings import Asked, Happening
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput, Duplicate, NotFound
from ixxsms.models import HookRun
from ixxsms.requests import Status

NOON = time.mktime((2026, 11, 10, 12, 0, 0, 0, 0, -1))
CALLER = "+34 600 12 34 56"
HOUR = 3600.0


@pytest.fixture
def rules(database, database_url):
    return Rules(database, config.with_database(database_url, {}))


class Rules:
    """What the tests do, each a transaction of its own."""

    def __init__(self, database, settings):
        self.database, self.settings = database, settings

    def add(self, name="missed", event="missed_call", **fields):
        given = {"text": "You called {did}"} if event in ("missed_call", "queue_abandon") else {}
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            return hook_rules.add(session, plan, name, event, max_segments=10, **{**given, **fields})

    def act(self, event=happenings.MISSED_CALL, number=CALLER, now=NOON, **fields):
        with self.database.write() as session:
            happening = Happening(event, number, **{"did": "900100100", "context": "in", **fields})
            return hooks.act(session, self.settings, numbering_plan.get(session), happening, now)

    def incoming(self, text, source=CALLER, destination="34900100100", now=NOON):
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            return hooks.incoming(session, self.settings, plan, 7, source, destination, text, now)

    def sent(self):
        with self.database.read() as session:
            return [(message.number, message.text) for message in outbox.rows(session, None)]

    def list(self, name, *numbers, excluded=()):
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            lists.create(session, name)
            lists.import_rows(session, plan, name, [Row(n, number, None) for n, number in enumerate(numbers)])
            for number in excluded:
                lists.exclude(session, plan, name, number)

    def members(self, name):
        with self.database.read() as session:
            return {member.number: member.source for member in lists.members(session, name)}


def test_a_missed_call_is_answered_once_and_again_after_its_hours(rules):
    rules.add(text="You called {did} at {time}, {number}: {queue}!")
    assert rules.act()
    assert not rules.act(number="600123456", now=NOON + 1)
    assert not rules.act(number="0034600123456", now=NOON + 24 * HOUR - 1)
    assert rules.sent() == [("34600123456", "You called 900100100 at 12:00, 34600123456: !")]
    assert rules.act(now=NOON + 24 * HOUR)
    assert rules.act(number="600123457")
    assert len(rules.sent()) == 3


def test_whoever_cannot_or_must_not_be_written_to_is_not(rules):
    rules.list("clients", "600123456", "600123457", excluded=["600123456"])
    rules.add(list_name="clients")
    for number in (CALLER, "912345678", "anonymous", "", "101", "600\r\nAction: x", "600123456,600123457", "9" * 500):
        assert not rules.act(number=number), number
    assert rules.act(number="600123457")
    assert rules.act(number="600999999")  # not on the list, but nobody excluded it


@pytest.mark.parametrize(
    ("fields", "happening", "passes"),
    [
        ({"context": "in"}, {}, True),
        ({"context": "other"}, {}, False),
        ({"did": "+34 900 100 100"}, {}, True),
        ({"did": "900100101"}, {}, False),
        ({"prefix": "+346"}, {}, True),
        ({"prefix": "347"}, {}, False),
        ({"hours": ("09:00", "13:00")}, {}, True),
        ({"hours": ("12:01", "13:00")}, {}, False),
        ({"hours": ("22:00", "02:00")}, {}, False),
        ({"hours": ("22:00", "02:00")}, {"now": NOON + 13 * HOUR}, True),
        ({}, {"event": "queue_abandon"}, False),
    ],
)
def test_the_filters_of_a_hook(rules, fields, happening, passes):
    rules.add(**fields)
    assert rules.act(**happening) is passes


def test_a_disabled_hook_rests_and_a_removed_one_forgets(rules):
    rules.add()
    with rules.database.write() as session:
        assert not hook_rules.set_active(session, "missed", False).active
    assert not rules.act()
    with rules.database.write() as session:
        hook_rules.set_active(session, "missed", True)
        assert hooks.wanted(session) == {"missed_call"}
    assert rules.act()
    with rules.database.write() as session:
        hook_rules.remove(session, "missed")
    with rules.database.read() as session:
        assert session.scalars(select(HookRun)).all() == []
        with pytest.raises(NotFound, match='no hook "missed"'):
            hook_rules.get(session, "missed")
    rules.add()
    assert rules.act()


def test_a_value_with_braces_is_text_and_a_long_one_is_cut(rules):
    rules.add("queue", "queue_abandon", text="{queue}|{did}")
    assert rules.act("queue_abandon", did="{number} {0.__class__}", queue="{queue}" + "x" * 500)
    ((_, text),) = rules.sent()
    assert text == ("{queue}" + "x" * 33) + "|{number} {0.__class__}"


def test_each_voicemail_is_told_to_the_owner_of_its_box(rules):
    rules.add("box", "voicemail", text="Voicemail from {number} in {did}", notify="600777777", did="100")
    assert rules.act("voicemail", number="912345678", did="100", context="default")
    assert rules.act("voicemail", number="anonymous", did="100", context="default")
    assert not rules.act("voicemail", did="101")
    assert rules.sent() == [
        ("34600777777", "Voicemail from 34912345678 in 100"),
        ("34600777777", "Voicemail from anonymous in 100"),
    ]


def test_callers_are_harvested_live_and_only_mobiles(rules):
    rules.list("callers", "600000001", excluded=["600000001"])
    rules.add("harvest", "cdr", list_name="callers", context="in")
    for number in (CALLER, CALLER, "912345678", "101", "600000001"):
        rules.act("cdr", number=number)
    rules.act("cdr", number="600000002", context="out")
    assert rules.members("callers") == {"34600123456": "cdr", "34600000001": "csv"}
    assert rules.sent() == []


def test_a_keyword_calls_back_and_answers_once(rules):
    rules.add("call", "sms", keyword="LLÁMAME", call_back="PJSIP/{number}@trunk", text="We call you")
    queued, calls = rules.incoming("llámame por favor")
    assert queued
    (call,) = calls
    assert (call.channel, call.sms_id, call.number) == ("PJSIP/34600123456@trunk", 7, "34600123456")
    assert rules.incoming("LLÁMAME") == (False, [])
    for text in ("", "  ", "no llámame", "LLÁMAMEYA"):
        assert rules.incoming(text, source="600123457") == (False, []), text
    for source in ("ACME", "912345678", "600123457@evil/x", "600123457&Local/1@admin"):
        assert rules.incoming("llámame", source=source) == (False, []), source
    assert rules.sent() == [("34600123456", "We call you")]


def test_only_digits_get_into_the_name_of_a_channel(rules):
    rules.add("call", "sms", keyword="call", call_back="Local/{number}@out/n", every_hours=0)
    assert rules.incoming("call", source="+447911123456") == (False, [])  # mobile only where the plan says so
    with rules.database.write() as session:
        numbering_plan.change(session, mobile_prefixes="6,7,+447")
    assert [call.channel for call in rules.incoming("call", source="+447911123456")[1]] == ["Local/447911123456@out/n"]


def test_a_mobile_of_another_country_is_known_as_smscs_write_it_without_a_plus(rules):
    with rules.database.write() as session:
        numbering_plan.change(session, mobile_prefixes="6,7,+447")
    rules.settings = dataclasses.replace(rules.settings, values={**rules.settings.values, "request_prefixes": "34,44"})
    rules.add("call", "sms", keyword="call", call_back="PJSIP/{number}@trunk", text="We call you", prefix="+44")
    queued, calls = rules.incoming("call", source="447911123456")
    assert (queued, [call.channel for call in calls]) == (True, ["PJSIP/447911123456@trunk"])
    assert rules.incoming("call", source="+447911123456") == (False, [])  # the same number, so it has its answer
    assert rules.incoming("call", source="442079460001") == (False, [])  # no mobile
    assert rules.sent() == [("+447911123456", "We call you")]


def test_what_a_limit_refuses_does_not_count_as_written_to(rules):
    rules.add()
    rules.settings = dataclasses.replace(rules.settings, values={**rules.settings.values, "request_per_day": 1})
    assert rules.act(number="600000001")
    assert not rules.act()
    assert rules.act(now=NOON + 25 * HOUR)


def test_who_is_refused_the_text_of_a_hook_is_still_called_back_once_in_its_hours(rules):
    rules.add("call", "sms", keyword="call", call_back="PJSIP/{number}@trunk", text="We call you")
    rules.settings = dataclasses.replace(rules.settings, values={**rules.settings.values, "request_per_day": 1})
    assert rules.incoming("call", source="600000001")[0]
    called = [rules.incoming("call", now=NOON + n) for n in range(3)]
    assert [(queued, len(calls)) for queued, calls in called] == [(False, 1), (False, 0), (False, 0)]
    queued, calls = rules.incoming("call", now=NOON + 25 * HOUR)
    assert (queued, len(calls)) == (True, 1)


def test_who_has_opted_out_is_neither_written_to_nor_called(rules):
    rules.add("both", "sms", keyword="call", call_back="PJSIP/{number}@trunk", text="We call you")
    rules.add("only", "sms", keyword="call", call_back="Local/{number}@out", every_hours=0)
    with rules.database.write() as session:
        plan = numbering_plan.get(session)
        optouts.add(session, plan, CALLER, now=NOON)
    assert rules.incoming("call") == (False, [])
    assert rules.sent() == []
    with rules.database.write() as session:
        optouts.remove(session, plan, CALLER)
    queued, calls = rules.incoming("call")
    assert (queued, len(calls)) == (True, 2)


def test_of_two_daemons_at_the_same_moment_one_acts(rules):
    rules.add()
    start = threading.Barrier(4)
    acted = []

    def daemon():
        start.wait()
        acted.append(rules.act())

    threads = [threading.Thread(target=daemon) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(acted) == [False, False, False, True]
    assert len(rules.sent()) == 1


def test_a_request_for_an_sms_is_queued_or_refused_with_its_reason(rules):
    def ask(**fields):
        asked = Asked(**{"number": "600123456", "text": "hola", "trunk": "", "sender_id": "", "id": "", **fields})
        with rules.database.write() as session:
            return hooks.send(session, rules.settings, numbering_plan.get(session), asked, NOON)

    assert ask(caller="101").status is Status.QUEUED
    assert "Text64" in ask(caller="101", text=None).error
    assert "cannot be written to" in ask(caller="101", number="12").error
    assert "no trunk" in ask(caller="101", trunk="nowhere").error
    assert "request_prefixes" in ask(caller="101", number="+447911123456").error
    assert len(rules.sent()) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"event": "nothing"}, "is no event of a hook"),
        ({"name": " "}, "must not be empty"),
        ({"text": ""}, "needs --text"),
        ({"text": "Hi {name}"}, r"has \{name\}, which is not known"),
        ({"text": "Hi {number!r}"}, "not known"),
        ({"text": "x" * 2000}, "segments"),
        ({"prefix": "6"}, "begins with a country code"),
        ({"prefix": "+"}, "begins with a country code"),
        ({"hours": ("09:00", "9")}, "no time of the day"),
        ({"keyword": "x"}, "--keyword is for hooks of the event sms"),
        ({"sender_id": "far too long a name"}, "sender id"),
        ({"event": "voicemail", "text": "x"}, "needs --notify"),
        ({"event": "voicemail", "text": "x", "notify": "912345678"}, "no mobile number"),
        ({"event": "cdr", "text": ""}, "needs --list or --text"),
        ({"event": "sms", "text": "x"}, "needs --keyword"),
        ({"event": "sms", "keyword": "x", "text": ""}, "needs --call-back or --text"),
        ({"event": "sms", "keyword": "two words", "text": "x"}, "one word"),
        ({"event": "sms", "keyword": "x", "call_back": "PJSIP/100"}, "looks like"),
        ({"event": "sms", "keyword": "x", "call_back": "Local/{number}@x,s,1"}, "looks like"),
        ({"event": "sms", "keyword": "x", "call_back": "Local/{number}@x\r\nApplication: System"}, "looks like"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_added(rules, fields, sentence):
    with pytest.raises(BadInput, match=sentence):
        rules.add(**fields)


def test_names_are_taken_once_and_what_is_named_must_be_there(rules):
    rules.add()
    with pytest.raises(Duplicate):
        rules.add()
    for fields in ({"trunk": "nowhere"}, {"list_name": "nowhere"}):
        with pytest.raises(NotFound, match="nowhere"):
            rules.add("other", **fields)


def test_a_route_is_found_by_any_spelling_of_its_number(rules):
    with rules.database.write() as session:
        plan = numbering_plan.get(session)
        sip_routes.add(session, plan, "+34 900 100 100", "phone1", "ana@example.net")
        sip_routes.add(session, plan, "5551", "phone2")
        sip_routes.add(session, plan, "+44 20 7946 0001", "phone4")
        with pytest.raises(Duplicate):
            sip_routes.add(session, plan, "900100100", "phone3")
    with rules.database.read() as session:
        assert sip_routes.find(session, plan, "34900100100").endpoint == "phone1"
        assert sip_routes.find(session, plan, "5551").endpoint == "phone2"
        for did in ("+442079460001", "442079460001", sip_routes.sender_id(session, "phone4")):
            assert sip_routes.find(session, plan, did).endpoint == "phone4"
        assert sip_routes.find(session, plan, "900100101") is None
        assert {route.did for route in sip_routes.all_routes(session)} == {"34900100100", "5551", "+442079460001"}
    with rules.database.write() as session:
        sip_routes.remove(session, plan, "900100100")
        with pytest.raises(NotFound):
            sip_routes.remove(session, plan, "900100100")


def test_a_phone_writes_from_the_first_of_its_numbers_that_can_be_a_sender_id(rules):
    with rules.database.write() as session:
        plan = numbering_plan.get(session)
        for did in ("0" * 16, "900 100 102", "900 100 101"):
            sip_routes.add(session, plan, did, "phone1")
        sip_routes.add(session, plan, "+44 20 7946 0001", "abroad")
        sip_routes.add(session, plan, "900100100", "phone2")
        assert sip_routes.sender_id(session, "phone2") == "34900100100"
        assert sip_routes.sender_id(session, "phone3") == ""
        assert sip_routes.sender_id(session, "phone1") == "34900100101"
        assert sip_routes.sender_id(session, "abroad") == "442079460001"


@pytest.mark.parametrize(
    ("did", "endpoint", "email"),
    [
        ("nobody", "phone1", ""),
        ("900100100", "phone1/sip:x@y", ""),
        ("900100100", "", ""),
        ("900100100", "a\r\nb", ""),
        ("900100100", "phone1", "nobody"),
        ("900100100", "phone1", "a@b\r\nBcc: c@d"),
        ("900100100", "phone1", "a@b, c@d"),
    ],
)
def test_a_route_that_leads_elsewhere_is_refused(rules, did, endpoint, email):
    with rules.database.write() as session, pytest.raises(BadInput):
        sip_routes.add(session, numbering_plan.get(session), did, endpoint, email)


def test_of_several_daemons_the_first_whose_link_is_up_acts(rules):
    now = time.time()
    with rules.database.write() as session:
        first, second, third = (daemons.register(session, [], now) for _ in range(3))
        for daemon in (second, third):
            assert manager.report_link(session, daemon, "up", "")
        assert not manager.report_link(session, third + 1, "up", "")

        def chiefs():
            return [each for each in (first, second, third) if manager.is_chief(session, each, now, 5.0)]

        # The first asks only while its own link is up, and its row says so a moment later.
        assert chiefs() == [first, second]
        manager.report_link(session, first, "up", "")
        session.expire_all()
        assert chiefs() == [first]
        manager.report_link(session, first, "down", "x" * 999)
        daemons.forget(session, second)
        session.expire_all()
        assert chiefs() == [first, third]
        assert not manager.is_chief(session, second, now, 5.0)
