"""What Asterisk is told of incoming SMS and of messages, on every database, with an Asterisk that is a list."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import time

import pytest
from sqlalchemy import event, select, update

from ixxsms import announcements, config, hook_rules, inbox, numbering_plan, requests, sip_routes
from ixxsms.asterisk import mail
from ixxsms.asterisk.ami import Answer, Lost
from ixxsms.events import Received
from ixxsms.models import Incoming, Message
from ixxsms.telling import Refused, Teller


class Asterisk:
    """Keeps what it is told; `fail`: what comes of an action, by its name, instead of a success. `lost`: is called
    when it goes away.
    """

    def __init__(self):
        self.told, self.fail, self.lose_after, self.lost = [], {}, None, lambda: None

    async def act(self, action, headers):
        if self.lose_after is not None:
            self.lose_after -= 1
            if self.lose_after < 0:
                self.lost()
                raise Lost("gone")
        if action in self.fail:
            return Answer(False, self.fail[action])
        self.told.append((headers.get("UserEvent", action), dict(headers)))
        return Answer(True, "fine")

    def events(self, name):
        return [headers for told, headers in self.told if told == name]


@pytest.fixture
def world(database, database_url):
    settings = config.with_database(database_url, {})
    settings = dataclasses.replace(settings, values={**settings.values, "smtp_host": "mail.example.net"})
    return World(database, settings)


class World:
    def __init__(self, database, settings):
        self.database, self.settings, self.asterisk = database, settings, Asterisk()
        self.woken = []

    def receive(self, text, source="34600123456", destination="34900100100", ago=0.0, **part):
        with self.database.write() as session:
            inbox.store(session, 1, [Received(source, destination, text, **part)], time.time() - ago)

    def tell(self, stops_when=None):
        """As a daemon would, until there is nothing more; a new daemon each time.

        `stops_when`: as soon as that is so it ends, whatever it still does in the background.
        """

        async def store(verb, *args, read=False):
            with self.database.read() if read else self.database.write() as session:
                return verb(session, *args)

        async def go():
            tasks = []

            def spawn(coroutine):
                tasks.append(asyncio.create_task(coroutine))

            teller = Teller(self.settings, self.asterisk.act, store, spawn, lambda: self.woken.append(1))
            try:
                for _ in range(2):
                    try:
                        while await teller.tell():
                            pass
                    except Lost:
                        self.asterisk.lose_after = None  # and it comes back
                    except Refused as error:
                        if "shutting down" not in str(error):
                            raise
                        self.asterisk.fail = {}  # and the next one comes up
                while stops_when and not stops_when():
                    await asyncio.sleep(0.01)
                if not stops_when:
                    await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

        asyncio.run(go())

    def texts(self):
        return [decoded(headers) for headers in self.asterisk.events("SMSReceived")]

    def ask(self, asked_id, number="600123456"):
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            reply = requests.take(
                session,
                self.settings,
                plan,
                caller="101",
                number=number,
                text="hola",
                now=time.time(),
                asked_id=asked_id,
            )
            assert reply.id, reply.error
            return reply.id

    def step(self, message_id, state, reason=""):
        with self.database.write() as session:
            session.execute(update(Message).where(Message.id == message_id).values(state=state, reason=reason))

    def states(self):
        return [(headers["Id"], headers["State"]) for headers in self.asterisk.events("SMSStatus")]


def decoded(headers):
    return base64.b64decode(headers["Text64"]).decode()


def test_incoming_sms_are_told_in_their_order_and_once(world):
    texts = [f"número {n}, «así»\r\nAction: Originate" for n in range(50)]
    for text in texts:
        world.receive(text)
    world.tell()
    assert world.texts() == texts
    world.tell()
    assert len(world.texts()) == 50
    headers = world.asterisk.events("SMSReceived")[0]
    assert (headers["From"], headers["To"], headers["Part"], headers["Parts"]) == (
        "34600123456",
        "34900100100",
        "1",
        "1",
    )


def test_a_long_text_is_several_events_below_the_limit_of_a_line(world):
    text = "ñ€😀" * 200
    world.receive(text)
    world.tell()
    events = world.asterisk.events("SMSReceived")
    assert "".join(map(decoded, events)) == text
    assert [(e["Part"], e["Parts"]) for e in events] == [("1", "3"), ("2", "3"), ("3", "3")]
    assert len({e["Id"] for e in events}) == 1
    assert all(len(f"{name}: {value}") < 1000 for e in events for name, value in e.items())


def test_a_long_sms_is_told_when_all_of_its_parts_are_there_in_any_order(world):
    long = {"reference": 7, "parts": 3}
    world.receive("c", part=3, **long)
    world.receive("between")
    world.receive("a", part=1, **long)
    world.receive("a", part=1, **long)  # the SMSC had not got its acknowledgement
    world.receive("other", source="34600999999", part=1, **long)
    world.tell()
    assert world.texts() == ["between"]
    world.receive("b", part=2, **long)
    world.tell()
    assert world.texts() == ["between", "abc"]


def test_what_a_stranger_wrote_is_one_line_or_base64(world):
    world.receive("x", source="A\r\nB: C", destination="9\n0")
    world.tell()
    ((_, headers),) = world.asterisk.told
    assert (headers["From"], headers["To"]) == ("A  B: C", "9 0")


@pytest.mark.parametrize("lost_after", range(7))
def test_a_lost_link_loses_no_event_and_no_piece_to_a_phone_and_doubles_none(world, lost_after):
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        sip_routes.add(session, plan, "900100100", "phone1")
        hook_rules.add(session, plan, "call", "sms", max_segments=10, keyword="long", call_back="Local/{number}@x")
    long = "long " + "ñ" * 400
    for text in ("one", long):
        world.receive(text)
    world.ask("a1")
    world.asterisk.lose_after = lost_after
    world.tell()
    assert "".join(world.texts()) == "one" + long
    assert world.states() == [("a1", "queued")]
    assert len(world.asterisk.events("Originate")) == 1
    sent = world.asterisk.events("MessageSend")
    assert "".join(base64.b64decode(headers["Base64Body"]).decode() for headers in sent) == "one" + long


def test_each_change_of_a_message_that_was_asked_for_is_told_once(world):
    first, second = world.ask("a1"), world.ask("a2\r\nX: y")
    world.ask(None)
    world.tell()
    assert world.states() == [("a1", "queued"), ("a2  X: y", "queued")]
    world.step(second, "accepted")
    world.step(first, "refused", "no\r\nsuch number")
    world.tell()
    world.tell()
    assert world.states()[2:] == [("a1", "refused"), ("a2  X: y", "accepted")]
    assert world.asterisk.events("SMSStatus")[2]["Reason"] == "no  such number"
    assert world.asterisk.events("SMSStatus")[2]["Number"] == "34600123456"
    world.step(second, "delivered")
    world.tell()
    assert world.states()[4:] == [("a2  X: y", "delivered")]
    with world.database.read() as session:
        assert session.scalars(select(Message.asked_id)).all() == [None, None, None]


def test_what_there_is_to_tell_is_found_by_its_index(world):
    if world.database.engine.dialect.name != "sqlite":
        return  # the others choose by what is in the tables
    seen = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    with world.database.read() as session:
        announcements.changes(session, 20)
        announcements.arrived(session, 20)
        queries = [each for each in seen if each[0].startswith("SELECT")]
        plans = [
            [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters)]
            for query, parameters in queries
        ]
    assert ["ix_messages_untold" in plan[0] for plan in plans] == [True, False]
    assert ["ix_inbox_unannounced" in plan[0] for plan in plans] == [False, True]


def test_a_message_without_a_receipt_is_not_waited_for_for_ever(world):
    message = world.ask("a1")
    world.step(message, "accepted")
    with world.database.write() as session:
        session.execute(update(Message).values(accepted_at=100.0, told_state="accepted"))
        announcements.forget_old(session, 99.0)
        assert session.scalar(select(Message.asked_id)) == "a1"
        announcements.forget_old(session, 101.0)
        assert session.scalar(select(Message.asked_id)) is None


def test_where_asterisk_refuses_events_nothing_counts_as_told(world):
    world.receive("hola")
    world.asterisk.fail = {"UserEvent": "Permission denied"}
    with pytest.raises(Refused, match="Permission denied"):
        world.tell()
    world.asterisk.fail = {}
    world.tell()
    assert world.texts() == ["hola"]


@pytest.mark.parametrize("action", ["MessageSend", "Originate"])
def test_an_asterisk_that_shuts_down_says_nothing_of_a_phone_and_the_next_one_is_asked(
    world, action, monkeypatch, caplog
):
    mails = []
    monkeypatch.setattr(mail, "send", lambda *args: mails.append(args))
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        sip_routes.add(session, plan, "900100100", "phone1", "ana@example.net")
        hook_rules.add(session, plan, "call", "sms", max_segments=10, keyword="call", call_back="PJSIP/{number}@t")
    world.receive("call me")
    world.asterisk.fail = {action: "Asterisk is shutting down"}
    world.tell()
    assert world.texts() == ["call me"]
    assert len(world.asterisk.events("MessageSend")) == 1
    assert len(world.asterisk.events("Originate")) == 1
    assert mails == []
    assert "not called back" not in caplog.text


def test_an_sms_to_a_routed_number_goes_to_its_phone_in_pieces(world):
    with world.database.write() as session:
        sip_routes.add(session, numbering_plan.get(session), "900100100", "phone1")
    text = "«línea»\r\n" + "€" * 400
    world.receive(text, source="ACME <x>@y;z")
    world.receive("not for it", destination="34900100199")
    world.tell()
    sent = world.asterisk.events("MessageSend")
    assert "".join(base64.b64decode(headers["Base64Body"]).decode() for headers in sent) == text
    assert {headers["Destination"] for headers in sent} == {"pjsip:phone1"}
    assert {headers["From"] for headers in sent} == {"<sip:ACME%20%3Cx%3E%40y%3Bz@localhost>"}


@pytest.mark.parametrize("error", [OSError("away"), RuntimeError("nobody thought of it")], ids=repr)
def test_a_phone_that_is_away_gets_a_mail_and_what_could_not_be_mailed_is_tried_again(
    world, monkeypatch, caplog, error
):
    mails, waits = [], [error, None]

    def send(*args):
        if (error := waits.pop(0)) is not None:
            raise error
        mails.append(args)

    monkeypatch.setattr(mail, "send", send)
    monkeypatch.setattr("ixxsms.telling.MAIL_WAITS", (0.0, 0.01))
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        sip_routes.add(session, plan, "900100100", "phone1", "ana@example.net")
        sip_routes.add(session, plan, "900100101", "phone2")
    world.asterisk.fail = {"MessageSend": "Message failed to send."}
    world.receive("hola ñ")
    world.receive("nobody to mail", destination="34900100101")
    world.tell()
    assert mails == [
        ("mail.example.net", "ixxsms@localhost", "ana@example.net", "34600123456", "34900100100", "hola ñ")
    ]
    assert world.texts() == ["hola ñ", "nobody to mail"]
    assert "could not be mailed to ana@example.net" in caplog.text
    assert str(error) in caplog.text


def test_a_mail_that_still_waits_when_the_service_stops_is_in_the_log(world, monkeypatch, caplog):
    def send(*_):
        raise OSError("come back later")

    monkeypatch.setattr(mail, "send", send)
    with world.database.write() as session:
        sip_routes.add(session, numbering_plan.get(session), "900100100", "phone1", "ana@example.net")
    world.asterisk.fail = {"MessageSend": "Message failed to send."}
    world.receive("hola")
    world.tell(stops_when=lambda: "come back later" in caplog.text)
    with world.database.read() as session:
        sms = session.scalar(select(Incoming.id))
    assert f"SMS {sms} may not have been mailed to ana@example.net" in caplog.text
    assert "it is in the inbox" in caplog.text


def test_a_keyword_makes_asterisk_call_back_with_the_text_as_base64(world):
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        hook_rules.add(
            session, plan, "call", "sms", max_segments=10, keyword="call", call_back="PJSIP/{number}@t", text="Yes"
        )
    world.receive("CALL me, ${SHELL(id)}\r\n" + "ñ" * 500)
    world.tell()
    world.tell()
    (originate,) = world.asterisk.events("Originate")
    assert (originate["Channel"], originate["Context"], originate["Exten"]) == (
        "PJSIP/34600123456@t",
        "ixxsms-incoming",
        "s",
    )
    variables = dict(variable.split("=", 1) for variable in originate["Variable"])
    assert variables["SMSFROM"] == "34600123456"
    assert base64.b64decode(variables["SMSTEXT64"]).decode().startswith("CALL me, ${SHELL(id)}\r\nñ")
    assert max(len(f"Variable: {variable}") for variable in originate["Variable"]) < 1000
    assert world.woken == [1]
    with world.database.read() as session:
        assert session.scalars(select(Message.text)).all() == ["Yes"]
        assert variables["SMSID"] == str(session.scalar(select(Incoming.id)))


@pytest.mark.parametrize(("away", "calls"), [(1800.0, 1), (3700.0, 0)])
def test_a_call_back_waits_for_an_asterisk_that_is_away_but_no_longer_than_an_hour(
    world, monkeypatch, caplog, away, calls
):
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        hook_rules.add(
            session, plan, "call", "sms", max_segments=10, keyword="call", call_back="PJSIP/{number}@t", every_hours=0
        )
    world.receive("call me")
    world.asterisk.lose_after = 1  # after the announcement
    now = time.time()
    world.asterisk.lost = lambda: monkeypatch.setattr(time, "time", lambda: now + away)
    world.tell()
    assert len(world.asterisk.events("SMSReceived")) == 1
    assert len(world.asterisk.events("Originate")) == calls
    assert ("PJSIP/34600123456@t is not called back: Asterisk was away for too long" in caplog.text) == (not calls)


def test_an_sms_older_than_an_hour_is_announced_and_no_hook_acts_on_it(world):
    with world.database.write() as session:
        plan = numbering_plan.get(session)
        hook_rules.add(
            session, plan, "call", "sms", max_segments=10, keyword="call", call_back="PJSIP/{number}@t", text="Yes"
        )
    agos = {"34600000001": 365 * 24 * 3600.0, "34600000002": 3700.0, "34600000003": 3500.0}
    for source, ago in agos.items():
        world.receive("call me", source=source, ago=ago)
    world.tell()
    world.tell()
    assert [headers["From"] for headers in world.asterisk.events("SMSReceived")] == list(agos)
    assert [headers["Channel"] for headers in world.asterisk.events("Originate")] == ["PJSIP/34600000003@t"]
    with world.database.read() as session:
        assert session.scalars(select(Message.number)).all() == ["34600000003"]
    world.receive("call me", source="34600000001")  # what was let pass does not count for --every-hours
    world.tell()
    assert [headers["Channel"] for headers in world.asterisk.events("Originate")][1:] == ["PJSIP/34600000001@t"]
