"""How many there are, on every database: what is kept of large campaigns and of lists agrees with the rows."""

from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select, text, update

from ixxsms import campaigns, lists, numbering_plan, outbox, status
from ixxsms.csvfile import Row
from ixxsms.errors import NotFound
from ixxsms.events import Accepted, Heard
from ixxsms.models import Campaign, ListSize, Member, Message, NumberList, Trunk
from ixxsms.outbox import tallies
from ixxsms.tallier import Tallier

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 24 * 3600.0
NUMBERS = [f"34600000{n:03}" for n in range(12)]


@pytest.fixture
def plan(database):
    with database.read() as session:
        return numbering_plan.get(session)


@pytest.fixture(autouse=True)
def ten_is_large(monkeypatch):
    monkeypatch.setattr(tallies, "LARGE", 10)


@pytest.fixture
def trunk_id(database):
    with database.write() as session:
        trunk = Trunk(name="t", kind="smpp", options={})
        session.add(trunk)
        session.flush()
        return trunk.id


@pytest.fixture
def clients(database, plan):
    with database.write() as session:
        lists.create(session, "clients")
        lists.import_rows(session, plan, "clients", [Row(1, number, None) for number in NUMBERS])


def create(database, plan, name="spring", **kwargs):
    with database.write() as session:
        options = {"now": NOW, "max_segments": 10, "run": True} | kwargs
        return campaigns.create(session, plan, name, "Hola", list_name="clients", **options).campaign.id


def send(database, trunk_id, campaign_id, room=100):
    with database.write() as session:
        place = outbox.Source(campaign_id)
        claimed = outbox.claim(session, trunk_id, 1, [place], room=room, better=(), now=NOW)
    with database.write() as session:
        retry = outbox.Retry(max_attempts=3, first_wait=30.0)
        outcomes = [Accepted(message.id, (f"r{message.id}",)) for message in claimed]
        outbox.record(session, trunk_id, Heard(outcomes), now=NOW, retry=retry)


def show(database, name="spring"):
    with database.read() as session:
        return campaigns.show(session, name)


def shown(database, name="spring"):
    """The states that any message is in."""
    return {state: count for state, count in show(database, name).states.items() if count}


def test_a_large_campaign_is_shown_as_it_was_counted_last_and_a_daemon_counts_it_again(
    database, plan, clients, trunk_id
):
    campaign_id = create(database, plan)
    assert show(database).counted_at == NOW
    send(database, trunk_id, campaign_id, room=5)
    assert shown(database) == {"queued": 12}
    Tallier(database).turn()
    view = show(database)
    assert shown(database) == {"queued": 7, "accepted": 5}
    assert (view.done, view.total, view.segments_to_send) == (5, 12, 7)
    with database.read() as session:
        assert campaigns.all_campaigns(session, "running") == [view]
        assert outbox.counts(session, campaign_id) == view.states


def test_a_small_campaign_is_counted_for_whoever_looks(database, plan, clients, trunk_id, monkeypatch):
    monkeypatch.setattr(tallies, "LARGE", 13)
    campaign_id = create(database, plan)
    send(database, trunk_id, campaign_id, room=5)
    assert shown(database) == {"queued": 7, "accepted": 5}
    assert show(database).counted_at is None


def test_a_campaign_that_is_finished_shows_all_as_done_at_once(database, plan, clients, trunk_id):
    send(database, trunk_id, create(database, plan))
    with database.write() as session:
        campaigns.finish(session, NOW)
    view = show(database)
    assert (view.state, view.done, view.segments_to_send, view.counted_at) == ("finished", 12, 0, None)


def test_what_a_person_changes_is_shown_at_once(database, plan, clients):
    create(database, plan, run=False)
    with database.write() as session:
        marked = lists.exclude(session, plan, "clients", NUMBERS[0])
        outbox.exclude(session, marked.list_id, marked.number, NOW)
    assert shown(database) == {"queued": 11, "excluded": 1}
    Tallier(database).turn()
    with database.write() as session:
        campaigns.edit(session, "spring", max_segments=10, text="x" * 200)
    assert show(database).segments_to_send == 22


def test_a_new_campaign_has_nothing_of_a_deleted_one(database, plan, clients):
    create(database, plan, run=False)
    Tallier(database).turn()
    with database.write() as session:
        campaigns.delete_campaign(session, "spring")
        lists.delete(session, "clients")
        lists.create(session, "clients")
        lists.add(session, plan, "clients", "600 000 001")
    create(database, plan, "autumn")
    assert shown(database, "autumn") == {"queued": 1}


def test_a_large_outgoing_queue_is_counted_by_a_daemon_too(database, plan):
    def put(count):
        with database.write() as session:
            for number in NUMBERS[:count]:
                outbox.enqueue(session, plan, number, "Hola", now=NOW, max_segments=10)

    tallier = Tallier(database)
    put(9)
    tallier.turn()
    assert show(database, "outgoing queue").counted_at is None
    put(1)
    tallier = Tallier(database)
    tallier.turn()
    put(1)
    assert show(database, "outgoing queue").total == 10
    with database.read() as session:
        assert status.snapshot(session, NOW, 5.0).outgoing_queue == 11  # what waits is never out of date
    tallier.turn(ending=True)
    assert show(database, "outgoing queue").total == 11


@pytest.mark.parametrize(
    ("state", "quiet", "age", "took", "is_due"),
    [
        ("running", 1.0, 1.9, 0.0, False),
        ("running", 1.0, 2.1, 0.0, True),
        ("running", 1.0, 5.0, 1.0, False),  # what takes a second is done in one of twenty
        ("running", DAY, 59.0, 0.0, False),
        ("running", DAY, 61.0, 0.0, True),
        ("finished", 10.0, 2.1, 0.0, True),
        ("finished", HOUR, 300.0, 0.0, False),
        ("finished", HOUR, 400.0, 0.0, True),
        ("finished", 365 * DAY, 23 * HOUR, 0.0, False),
        ("finished", 365 * DAY, 25 * HOUR, 0.0, True),
        ("finished", 1.0, -HOUR, 0.0, True),  # the clock was set back
    ],
)
def test_what_has_stood_still_for_long_is_counted_less_often(database, plan, clients, state, quiet, age, took, is_due):
    campaign_id = create(database, plan)
    with database.write() as session:
        session.execute(update(Campaign).values(state=state))
        session.execute(update(tallies.Tally).values(counted_at=NOW - age, changed_at=NOW - quiet))
        assert outbox.due(session, {campaign_id: took}, NOW) == ([campaign_id] if is_due else [])


def test_the_size_of_a_list_agrees_with_its_members_after_every_verb(database, plan, clients):
    def agrees(session, name="clients"):
        chosen = lists.get(session, name)
        counted = session.execute(
            select(func.count(), func.sum(Member.excluded.cast(ListSize.total.type))).where(Member.list_id == chosen.id)
        ).one()
        summary = next(each for each in lists.all_lists(session) if each.name == name)
        assert (summary.total, summary.excluded) == (counted[0], int(counted[1] or 0))
        assert lists.show(session, name).total == summary.total
        return summary.total

    with database.write() as session:
        assert agrees(session) == 12
        again = [Row(n, number, None) for n, number in enumerate([NUMBERS[0], "600999999", "600999999", "nonsense"])]
        report = lists.import_rows(session, plan, "clients", again)
        assert (report.added, report.already, report.duplicates, report.refused_total) == (1, 1, 1, 1)
        assert agrees(session) == 13
        assert not lists.add(session, plan, "clients", NUMBERS[1]).added
        assert lists.add(session, plan, "clients", "600888888").added
        assert agrees(session) == 14
        for verb in (lists.exclude, lists.exclude, lists.include, lists.include, lists.exclude):
            verb(session, plan, "clients", NUMBERS[1])
            assert agrees(session) == 14
        with pytest.raises(NotFound):
            lists.exclude(session, plan, "clients", "600777777")
        assert agrees(session) == 14
        lists.delete(session, "clients")
        assert session.scalar(select(func.count()).select_from(ListSize)) == 0


def test_members_are_not_added_to_a_list_that_is_gone(database, clients):
    with database.read() as session:
        list_id = session.scalars(select(NumberList.id)).one()
    with database.write() as session:
        lists.delete(session, "clients")
    with pytest.raises(Exception, match=r"deleted meanwhile|FOREIGN KEY|foreign key"), database.write() as session:
        lists.add_many(session, list_id, [{"34600000001": None}], "csv", NOW)


def test_a_page_of_messages_is_in_order_whatever_their_states(database, plan, clients, trunk_id):
    campaign_id = create(database, plan)
    send(database, trunk_id, campaign_id, room=5)
    with database.write() as session:
        outbox.enqueue(session, plan, NUMBERS[0], "Hola", now=NOW, max_segments=10)
        session.execute(update(Message).where(Message.number == NUMBERS[7]).values(state="refused"))
    with database.read() as session:
        every = [message.number for message in campaigns.numbers(session, "spring")]
        assert every == NUMBERS
        assert [message.number for message in campaigns.numbers(session, "spring", limit=9)] == NUMBERS[:9]
        accepted = campaigns.numbers(session, "spring", state="accepted", limit=3)
        assert [message.number for message in accepted] == NUMBERS[:3]
        assert [m.number for m in campaigns.numbers(session, "spring", state="queued")] == NUMBERS[5:7] + NUMBERS[8:]
        newest = outbox.rows(session, campaign_id, limit=2, newest_first=True)
        assert [message.number for message in newest] == NUMBERS[:-3:-1]
        assert len(list(campaigns.numbers(session, "outgoing queue"))) == 1
        assert list(campaigns.numbers(session, "outgoing queue", state="accepted")) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_status_reads_no_campaign_through_whatever_postgresql_counted_before(database):
    """It has counted while there was nothing, and believes that to read the table is as cheap as any index."""
    with database.write() as session:
        session.execute(text("ANALYZE messages"))
    row = {"state": "accepted", "created_at": NOW}
    with database.write() as session:
        sent = [{**row, "number": f"346{n:08}"} for n in range(30_000)]
        session.connection().execute(insert(Message.__table__), sent)
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'messages'"
    with database.read() as session:
        assert status.snapshot(session, NOW, 5.0).in_doubt == 0
        assert session.scalar(text(read)) < 1_000
