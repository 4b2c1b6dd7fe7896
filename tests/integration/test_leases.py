"""Leases on every database: what a sender has of a campaign by a range of ids is submitted, whoever looks."""

from __future__ import annotations

import json
import os

import pytest
from sqlalchemy import insert, select
from systems import eventually

from ixxsms import campaigns, config, lists, numbering_plan, optouts, outbox, routes, sender
from ixxsms.csvfile import Row
from ixxsms.errors import Busy
from ixxsms.events import Accepted, Deferred, Heard, InDoubt, Refused
from ixxsms.hours import minute_of_day, written
from ixxsms.journal import Life
from ixxsms.models import Campaign, Daemon, Lease, Message, Trunk
from ixxsms.testing import ScriptedDriver

NOW = 1_800_000_000.0
RETRY = outbox.Retry(max_attempts=3, first_wait=30.0)
DAEMON, OTHER = 1, 2


class Leasing:
    """A campaign of 30 numbers, a trunk, and two daemons that lease from it."""

    def __init__(self, database):
        self.database = database
        with database.write() as session:
            plan = numbering_plan.get(session)
            session.add(Trunk(name="t", kind="smpp", options={}))
            for daemon_id in (DAEMON, OTHER):
                session.add(Daemon(id=daemon_id, host="h", pid=1, started_at=NOW, heartbeat_at=NOW))
            lists.create(session, "clients")
            lists.import_rows(session, plan, "clients", [Row(n, f"6000000{n:02}", None) for n in range(30)])
            made = campaigns.create(
                session, plan, "spring", "hola", now=NOW, max_segments=1, list_name="clients", run=True
            )
            session.flush()
            self.trunk_id = session.scalar(select(Trunk.id))
            self.place = outbox.Source(made.campaign.id)
            self.ids = session.scalars(select(Message.id).order_by(Message.id)).all()

    def lease(self, room=10, daemon_id=DAEMON, better=()):
        with self.database.write() as session:
            found = outbox.lease(session, self.trunk_id, daemon_id, self.place, room=room, better=better, now=NOW)
        return [message.id for message in found[1]] if found else []

    def record(self, *outcomes, daemon_id=DAEMON):
        with self.database.write() as session:
            outbox.record(session, self.trunk_id, Heard(outcomes), now=NOW + 2, retry=RETRY, daemon_id=daemon_id)

    def claim(self, room=100):
        with self.database.write() as session:
            claimed = outbox.claim(session, self.trunk_id, OTHER, [self.place], room=room, better=(), now=NOW + 100)
        return [message.id for message in claimed]

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def states(self):
        with self.database.read() as session:
            return {state: n for state, n in outbox.counts(session, self.place.campaign_id).items() if n}

    def leases(self):
        with self.database.read() as session:
            return [(row.first_id, row.last_id) for row in session.scalars(select(Lease).order_by(Lease.first_id))]


@pytest.fixture
def leasing(database):
    return Leasing(database)


def test_each_message_is_leased_once_and_what_is_leased_is_nobody_elses(leasing):
    first, second = leasing.lease(10), leasing.lease(10, OTHER)
    assert first == leasing.ids[:10]
    assert second == leasing.ids[10:20]
    assert leasing.claim() == leasing.ids[20:]
    assert leasing.lease() == leasing.claim() == []


def test_who_claims_one_by_one_goes_on_where_the_last_lease_ended_and_leases_where_he_ended(leasing):
    assert leasing.lease(2) == leasing.ids[:2]
    assert leasing.claim(3) == leasing.ids[2:5]
    with leasing.database.read() as session:
        assert session.get(Campaign, leasing.place.campaign_id).leased_to == leasing.ids[4]
    assert leasing.lease(2, OTHER) == leasing.ids[5:7]
    leasing.record(Deferred(leasing.ids[0], "", counted=False))
    assert leasing.claim(1) == leasing.ids[:1]  # that is not fresh any more, and moves nothing
    assert leasing.lease(2) == leasing.ids[7:9]


def test_an_answer_takes_a_leased_message_to_accepted_with_all_that_a_claim_would_have_written(leasing):
    one, two = leasing.lease(2)
    leasing.record(Accepted(two, ("b2",)), Accepted(one, ("00A1",)))  # not in their order
    message = leasing.message(one)
    assert (message.state, message.remote_id, message.remote_key) == ("accepted", "00A1", "a1")
    assert (message.attempts, message.via_trunk_id, message.daemon_id) == (1, leasing.trunk_id, None)
    assert message.accepted_at == NOW + 2
    assert leasing.message(two).remote_id == "b2"
    leasing.record(Accepted(one, ("other",)))
    assert (leasing.message(one).remote_id, leasing.message(one).attempts) == ("00A1", 1)


def test_what_is_refused_deferred_or_in_doubt_leaves_the_lease_alone(leasing):
    refused, deferred, doubtful, rest = leasing.lease(4)
    leasing.record(Refused(refused, "no such number"), Deferred(deferred, "later"), InDoubt(doubtful, "lost"))
    assert leasing.message(refused).state == "refused"
    assert leasing.message(doubtful).state == "in_doubt"
    again = leasing.message(deferred)
    assert (again.state, again.attempts, again.not_before) == ("queued", 1, NOW + 2 + RETRY.first_wait)
    assert leasing.claim() == [deferred, *leasing.ids[4:]]  # and never the rest, which is leased
    leasing.record(Accepted(rest, ("d",)))
    assert leasing.message(rest).state == "accepted"


def test_what_was_not_handed_over_is_given_back_and_is_no_attempt(leasing):
    first, second = leasing.lease(2)
    with leasing.database.write() as session:
        outbox.unclaim(session, leasing.trunk_id, DAEMON, [second], NOW)
    assert (leasing.message(second).state, leasing.message(second).attempts) == ("queued", 0)
    assert second in leasing.claim()
    leasing.record(Accepted(first, ("a",)))
    assert leasing.message(first).state == "accepted"


def test_of_a_dead_daemons_lease_is_queued_what_had_not_left_and_in_doubt_what_may_have(leasing):
    answered, unknown, unsent = leasing.lease(3)
    leasing.lease(3, OTHER)
    known = {
        (leasing.trunk_id, answered): Accepted(answered, ("a",)),
        (leasing.trunk_id, unsent): Deferred(unsent, "", counted=False),
    }
    with leasing.database.write() as session:
        assert outbox.holds(session, DAEMON)
        assert outbox.settle_dead(session, [DAEMON], NOW + 5, False, known=known) == 1
        assert not outbox.holds(session, DAEMON)
        assert outbox.holds(session, OTHER)
    assert [leasing.message(each).state for each in (answered, unknown, unsent)] == ["accepted", "in_doubt", "queued"]
    assert leasing.message(unknown).submitted_at == NOW
    assert leasing.leases() == [(leasing.ids[3], leasing.ids[5])]
    leasing.record(Accepted(unknown, ("late",)))
    assert leasing.message(unknown).state == "accepted"


def test_the_lease_of_a_daemon_that_is_entered_no_more_is_in_doubt(leasing):
    leased = leasing.lease(2, daemon_id=99)
    with leasing.database.write() as session:
        outbox.settle_orphans(session, NOW, False)
    assert {leasing.message(each).state for each in leased} == {"in_doubt"}
    assert leasing.leases() == []


def test_a_sender_that_does_not_know_what_was_committed_gives_back_what_it_never_got(leasing):
    got, never_got = leasing.lease(2)
    with leasing.database.write() as session:
        outbox.give_back(session, leasing.trunk_id, DAEMON, [got])
    assert (leasing.message(got).state, leasing.message(never_got).state) == ("submitted", "queued")
    assert leasing.leases() == []
    leasing.record(Accepted(got, ("a",)))
    assert leasing.message(got).attempts == 1


def test_a_lease_that_ends_is_gone(leasing):
    leasing.lease(10)
    with leasing.database.write() as session:
        outbox.end(session, DAEMON, [outbox.Leased(leasing.place.campaign_id, leasing.ids[0], leasing.ids[9])])
    assert leasing.leases() == []


def test_while_a_better_trunk_may_send_only_a_bound_campaign_is_leased(leasing):
    assert leasing.lease(better=(77,)) == []
    leasing.place = outbox.Source(leasing.place.campaign_id, named=True)
    assert leasing.lease(better=(77,)) == leasing.ids[:10]


def test_a_number_that_has_opted_out_is_left_out_of_a_lease(leasing):
    with leasing.database.write() as session:
        optouts.add(session, numbering_plan.get(session), "600000001", now=NOW)
    assert leasing.lease(3) == [leasing.ids[0], leasing.ids[2]]
    assert leasing.message(leasing.ids[1]).state == "excluded"


def test_what_is_leased_can_be_neither_cancelled_nor_excluded_any_more(leasing):
    leasing.lease(1)
    with leasing.database.write() as session:
        assert not outbox.cancel(session, leasing.ids[0], "by hand", NOW)
        assert outbox.cancel(session, leasing.ids[1], "by hand", NOW)
        outbox.exclude(session, *lists.exclude(session, numbering_plan.get(session), "clients", "600000000"), NOW)
        outbox.exclude(session, *lists.exclude(session, numbering_plan.get(session), "clients", "600000002"), NOW)
    assert [leasing.message(each).state for each in leasing.ids[:3]] == ["submitted", "cancelled", "excluded"]


def test_what_is_taken_after_an_edit_has_the_new_text_by_lease_and_one_by_one(leasing):
    with leasing.database.write() as session:
        campaigns.stop(session, "spring")
        campaigns.edit(session, "spring", text="adiós", max_segments=1)
        campaigns.resume(session, "spring")
    given = {"room": 2, "better": (), "now": NOW}
    with leasing.database.write() as session:
        leased = outbox.lease(session, leasing.trunk_id, DAEMON, leasing.place, **given)[1]
        claimed = outbox.claim(session, leasing.trunk_id, DAEMON, [leasing.place], **given)
    assert [message.text for message in leased + claimed] == ["adiós"] * 4


@pytest.mark.parametrize("change", ["stopped", "too early", "outside its hours"])
def test_from_a_campaign_that_may_not_send_any_more_nothing_is_taken(leasing, change):
    deferred, *_ = leasing.lease(1)
    leasing.record(Deferred(deferred, "later"))
    with leasing.database.write() as session:
        campaigns.stop(session, "spring")
        minute = minute_of_day(NOW)
        hours = written((minute + 60) % 1440, (minute + 120) % 1440).split("-")
        if change == "too early":
            campaigns.edit(session, "spring", start="2100-01-01", max_segments=1)
        elif change == "outside its hours":
            campaigns.edit(session, "spring", hours=hours, max_segments=1)
        if change != "stopped":
            campaigns.resume(session, "spring")
    assert leasing.lease() == leasing.claim() == []
    assert leasing.states() == {"queued": 30}


def test_a_sender_that_knew_of_a_campaign_sends_no_old_text_after_an_edit(leasing, database_url, monkeypatch):
    monkeypatch.setattr(sender, "PLACES", 3600.0)
    driver = ScriptedDriver(window=10)
    with leasing.database.read() as session:
        trunk = session.get(Trunk, leasing.trunk_id)
        identity = sender.Identity(session.scalar(select(Daemon.id).limit(1)))
    sending = sender.Sender(
        leasing.database,
        config.with_database(database_url, {}),
        trunk,
        identity,
        open_driver=lambda _: driver,
    )
    eventually(lambda: sending.step() or len(driver.submitted) >= 10)
    before = len(driver.submitted)
    with leasing.database.write() as session:
        campaigns.stop(session, "spring")
        campaigns.edit(session, "spring", text="adiós", max_segments=1)
        campaigns.resume(session, "spring")
    eventually(lambda: sending.step() or len(driver.submitted) == 30)
    assert before < 30
    assert [message.text for message in driver.submitted] == ["hola"] * before + ["adiós"] * (30 - before)


def test_a_journal_that_is_begun_again_under_way_has_all_that_is_owed(leasing, database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sender, "JOURNAL_AGAIN", 0.0)
    folder, life = tmp_path / "state", Life(os.getpid(), 1.0)
    driver = ScriptedDriver(window=10, hold=True)
    with leasing.database.read() as session:
        trunk = session.get(Trunk, leasing.trunk_id)
        identity = sender.Identity(session.scalar(select(Daemon.id).limit(1)), (folder, life))
    sending = sender.Sender(
        leasing.database, config.with_database(database_url, {}), trunk, identity, open_driver=lambda _: driver
    )
    eventually(lambda: sending.step() or len(driver.submitted) == 10)
    assert sending.owed == 10
    folder.mkdir()
    driver.release()  # all are answered, recorded, and the next ten are on their way when the journal begins
    eventually(lambda: sending.step() or len(driver.submitted) == 20)
    (path,) = folder.iterdir()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    on_their_way = {message.message_id for message in driver.submitted[10:]}
    assert [(name, set(ids)) for name, ids in entries[1:]] == [("claimed", on_their_way), ("handed", on_their_way)]


def test_a_campaign_of_which_something_is_leased_cannot_be_deleted(leasing):
    leasing.lease(1)
    with leasing.database.write() as session:
        campaigns.stop(session, "spring")
    with pytest.raises(Busy, match="on their way"), leasing.database.write() as session:
        campaigns.delete_campaign(session, "spring")


def test_a_new_route_takes_what_is_not_leased_yet(leasing):
    leasing.lease(10)
    with leasing.database.write() as session:
        routes.add(session, "mobiles", [("t", 1)], prefixes=["346"])
    assert leasing.lease() == []
    assert leasing.states() == {"queued": 20, "submitted": 10}
    leasing.record(Accepted(leasing.ids[0], ("a",)))
    assert leasing.message(leasing.ids[0]).state == "accepted"
    turn = outbox.Turn()
    with leasing.database.write() as session:
        route_id = leasing.message(leasing.ids[20]).route_id
        claimed = outbox.claim(
            session, leasing.trunk_id, OTHER, [leasing.place], room=99, better=(), routes={route_id: turn}, now=NOW
        )
    assert [message.id for message in claimed] == leasing.ids[10:]


def test_a_number_that_is_leased_is_on_its_way(leasing):
    leasing.lease(1)
    with leasing.database.read() as session:
        found = outbox.on_their_way(session, leasing.trunk_id, ["34600000000", "34600000001"])
    assert found == {"34600000000"}


def test_messages_of_other_campaigns_between_them_are_not_leased(leasing):
    with leasing.database.write() as session:
        row = {"number": "34600000099", "text": "x", "state": "queued", "created_at": NOW}
        session.execute(insert(Message), [row])
    assert leasing.lease(99) == leasing.ids
