"""Routes on every database: which trunk may take a message, by its number, and what happens when routes change."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import select

from ixxsms import campaigns, daemons, explain, numbering_plan, outbox, requests, routes, trunks
from ixxsms.bulk import orders_by_null
from ixxsms.config import with_database
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.drivers.base import Link
from ixxsms.errors import BadFile, BadInput, Busy, Duplicate, NotFound
from ixxsms.events import Deferred, Heard
from ixxsms.models import Campaign, Message, Trunk
from ixxsms.neighbours import neighbours
from ixxsms.outbox import claims

NOW = 1_800_000_000.0
RETRY = outbox.Retry(max_attempts=3, first_wait=30.0)


@pytest.fixture
def plan(database):
    with database.read() as session:
        return numbering_plan.get(session)


class Exchange:
    """Four trunks with prices, all of them up, and what a sender of each would do."""

    def __init__(self, database, plan):
        self.database, self.plan = database, plan
        with database.write() as session:
            for name, priority, price in (("a", 1, 0.05), ("b", 2, 0.03), ("c", 3, 0.04), ("d", 4, 0.01)):
                session.add(Trunk(name=name, kind="smpp", priority=priority, price=price, options={}))
            session.flush()
            self.ids = {trunk.name: trunk.id for trunk in trunks.all_trunks(session)}
            self.daemon = daemons.register(session, self.ids.values(), time.time())

    def route(self, name, members, prefixes, method="priority"):
        """Members as "a b:3"."""
        split = [(part.partition(":")[0], int(part.partition(":")[2] or 1)) for part in members.split()]
        with self.database.write() as session:
            return routes.add(session, name, split, prefixes=prefixes.split(), method=method).messages

    def queue(self, number="600000001", **kwargs):
        with self.database.write() as session:
            return outbox.enqueue(session, self.plan, number, "hola", now=NOW, max_segments=10, **kwargs).id

    def campaign(self, numbers, name="promo", **kwargs):
        rows = [Row(n, number, None) for n, number in enumerate(numbers, 1)]
        with self.database.write() as session:
            campaigns.create(session, self.plan, name, "Hola", now=NOW, max_segments=10, rows=rows, run=True, **kwargs)

    def link(self, name, link):
        with self.database.write() as session:
            daemons.report_link(session, self.daemon, self.ids[name], link, "it is away", NOW)

    def near(self, name):
        with self.database.read() as session:
            return neighbours(session, trunks.get(session, name), 5.0)

    def claim(self, name, room=1000):
        """The numbers that the trunk takes now, in order."""
        near = self.near(name)
        with self.database.write() as session:
            places = [outbox.Source(), *campaigns.sendable(session, self.ids[name], NOW)]
            given = {"better": near.better, "routes": near.routes, "now": NOW}
            claimed = outbox.claim(session, self.ids[name], self.daemon, places, room=room, **given)
            assert claimed or not outbox.has_work(session, self.ids[name], places, **given)
        self.claimed = [message.id for message in claimed]
        return [message.number for message in claimed]

    def pass_on(self, name, message_id):
        near = self.near(name)
        with self.database.write() as session:
            outcome = Deferred(message_id, "not here", elsewhere=True)
            outbox.record(
                session,
                self.ids[name],
                Heard([outcome]),
                now=NOW,
                retry=RETRY,
                others=near.others,
                routes=near.routes,
                daemon_id=self.daemon,
            )

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)


@pytest.fixture
def exchange(database, plan):
    return Exchange(database, plan)


# -- which route a number has ----------------------------------------------------------------------------------------


def test_the_longest_prefix_decides_and_a_number_without_one_goes_by_priority(exchange):
    exchange.route("spain", "b", "34")
    exchange.route("operator", "c", "34600 34601")
    exchange.route("britain", "d", "44")
    for number in ("600000001", "700000001", "+447911123456", "+33612345678"):
        exchange.queue(number)
    assert exchange.claim("b") == ["34700000001"]
    assert exchange.claim("c") == ["34600000001"]
    assert exchange.claim("d") == ["+447911123456"]
    assert exchange.claim("a") == ["+33612345678"]


def test_a_campaign_and_what_the_dialplan_asks_for_are_routed_too(exchange, database, database_url, plan):
    exchange.route("operator", "c", "34600")
    exchange.route("britain", "d", "44")
    exchange.campaign(["600000001", "700000001", "+447911123456"])
    with database.write() as session:
        settings = with_database(database_url)
        requests.take(session, settings, plan, caller="100", number="600000009", text="hola", now=NOW)
    assert exchange.claim("c") == ["34600000009", "34600000001"]
    assert exchange.claim("d") == ["+447911123456"]
    assert exchange.claim("a") == ["34700000001"]


def test_what_several_calls_ask_for_together_has_each_its_own_route_trunk_and_id(
    exchange, database, database_url, plan
):
    exchange.route("operator", "c", "34600")
    numbers = ("700000001", "600000001", "600000002", "600000003")
    asks = [requests.Ask("100", number, f"to {number}", asked_id=f"my {number}") for number in numbers]
    asks[2] = dataclasses.replace(asks[2], trunk="d", asked_id=None, sender_id="ACME")
    with database.write() as session:
        replies = requests.take_all(session, with_database(database_url), plan, asks, NOW)
    with database.read() as session:
        rows = [outbox.get(session, reply.id) for reply in replies]
    assert [(row.number, row.text) for row in rows] == [(f"34{ask.number}", ask.text) for ask in asks]
    assert [(row.asked_id, row.sender_id) for row in rows] == [(ask.asked_id, ask.sender_id or None) for ask in asks]
    assert [reply.id for reply in replies] == sorted({reply.id for reply in replies})
    assert exchange.claim("d") == ["34600000002"]
    assert exchange.claim("c") == ["34600000001", "34600000003"]
    assert exchange.claim("a") == ["34700000001"]


def test_what_is_bound_to_a_trunk_knows_no_route(exchange):
    exchange.route("operator", "c", "34600")
    exchange.campaign(["600000001"], trunk="d")
    exchange.queue("600000002", trunk_id=exchange.ids["b"])
    assert exchange.claim("a") == exchange.claim("c") == []
    assert exchange.claim("d") == ["34600000001"]
    assert exchange.claim("b") == ["34600000002"]


def test_what_is_bound_on_a_route_or_neither_goes_in_one_order(exchange):
    exchange.route("operator", "a b", "34600")
    exchange.queue("600000001")
    exchange.queue("600000002", trunk_id=exchange.ids["b"])
    exchange.queue("700000003")
    bound = exchange.queue("600000004", trunk_id=exchange.ids["a"])
    exchange.queue("700000005", urgency=outbox.FAREWELL)
    exchange.queue("600000006", urgency=outbox.NOW)
    assert exchange.claim("a", room=3) == ["34600000006", "34700000005", "34600000001"]
    urgent, answer, first = exchange.claimed
    for message_id in (first, answer, urgent):
        exchange.pass_on("a", message_id)
    assert exchange.claim("a") == ["34700000003", "34600000004"]
    exchange.pass_on("a", bound)
    assert exchange.claim("b") == ["34600000006", "34700000005", "34600000002", "34600000001"]


# -- the methods -----------------------------------------------------------------------------------------------------


def test_a_route_by_priority_goes_by_its_own_order_and_never_beyond_its_trunks(exchange):
    exchange.route("operator", "c b", "34600")
    message_id = exchange.queue()
    assert exchange.claim("a") == exchange.claim("b") == exchange.claim("d") == []
    assert exchange.claim("c") == ["34600000001"]
    exchange.pass_on("c", message_id)
    assert exchange.claim("c") == exchange.claim("a") == exchange.claim("d") == []
    assert exchange.claim("b") == ["34600000001"]
    exchange.pass_on("b", message_id)  # the last one: the round is over, although a and d are up
    assert exchange.message(message_id).not_before == NOW + RETRY.first_wait
    assert exchange.message(message_id).tried == ""


def test_the_next_trunk_of_a_route_comes_when_the_first_is_away(exchange):
    exchange.route("operator", "c b", "34600")
    exchange.queue()
    exchange.link("c", Link.DOWN)
    assert exchange.claim("a") == exchange.claim("d") == []
    assert exchange.claim("b") == ["34600000001"]


def test_a_message_waits_while_every_trunk_of_its_route_is_away(exchange):
    exchange.route("operator", "c", "34600")
    exchange.queue()
    exchange.link("c", Link.DOWN)
    assert [exchange.claim(name) for name in "abd"] == [[], [], []]


def test_a_route_by_cost_goes_by_the_price_of_a_segment(exchange, database):
    exchange.route("cheap", "a b c", "34600", "cost")
    exchange.queue()
    assert exchange.claim("a") == exchange.claim("c") == []
    with database.write() as session:
        trunks.get(session, "b").price = 0.9
    assert exchange.claim("a") == exchange.claim("b") == []
    assert exchange.claim("c") == ["34600000001"]


def test_a_route_by_weight_shares_its_messages_and_a_trunk_keeps_to_its_share(exchange):
    exchange.route("shared", "a:3 c:1", "34600", "weight")
    exchange.campaign([f"600{n:06}" for n in range(400)])
    taken = {name: exchange.claim(name) for name in "abcd"}
    assert (taken["b"], taken["d"]) == ([], [])
    assert len(taken["a"]) + len(taken["c"]) == len({*taken["a"], *taken["c"]}) == 400
    assert 290 < len(taken["a"]) < 310
    assert exchange.claim("a") == exchange.claim("c") == []


def test_the_share_of_a_trunk_that_is_away_goes_to_the_others(exchange):
    exchange.route("shared", "a:3 c:1", "34600", "weight")
    exchange.campaign([f"600{n:06}" for n in range(100)])
    exchange.link("a", Link.DOWN)
    assert len(exchange.claim("c")) == 100


def test_what_the_owner_of_a_share_passes_on_is_the_others(exchange):
    exchange.route("shared", "a:1 c:1 d:1", "34600", "weight")
    exchange.campaign([f"600{n:06}" for n in range(90)])
    first = exchange.claim("a")
    for message_id in exchange.claimed:
        exchange.pass_on("a", message_id)
    assert exchange.claim("a") == exchange.claim("b") == []
    assert set(first) < set(exchange.claim("c"))
    assert 25 < len(exchange.claim("d")) < 35


def test_weights_hold_whatever_the_step_between_two_ids():
    ends = {"a": 3 * outbox.SLOTS // 4, "b": outbox.SLOTS}
    for step in (1, 2, 3, 4, 7, 10, 100):
        shares = Counter("a" if outbox.slot(n * step) < ends["a"] else "b" for n in range(1000))
        assert 720 < shares["a"] < 780, step


def test_routed_and_other_messages_of_a_campaign_go_in_their_order(exchange):
    exchange.route("operator", "a", "34600")
    exchange.campaign([f"{600 + n % 2}00000{n}" for n in range(8)])
    assert sorted(exchange.claim("a", room=8)) == exchange.claim("a") + sorted(
        f"34{600 + n % 2}00000{n}" for n in range(8)
    )


# -- when routes change ----------------------------------------------------------------------------------------------


def test_what_is_queued_takes_its_new_route_at_once(exchange, database):
    exchange.campaign(["600000001", "700000001", "+447911123456"])
    bound = exchange.queue("600000002", trunk_id=exchange.ids["d"])
    assert exchange.route("spain", "b", "34") == 2
    assert exchange.route("operator", "c", "34600 44") == 2
    assert exchange.message(bound).route_id == 0
    with database.write() as session:
        assert routes.edit(session, "operator", prefixes=["44"]).messages == 1
    assert exchange.claim("b", room=1) == ["34600000001"]
    with database.write() as session:
        assert routes.remove(session, "spain") == 2  # one of them is on its way, and may come back
    exchange.pass_on("b", exchange.claimed[0])
    assert exchange.claim("c") == ["+447911123456"]
    assert sorted(exchange.claim("a")) == ["34600000001", "34700000001"]


def test_the_operator_table_is_imported_and_read_again(exchange, database):
    exchange.route("one", "b", "34600")
    exchange.route("two", "c", "")
    exchange.queue("601000000")
    with database.write() as session:
        first = routes.import_rows(session, [Row(1, "34600", "one"), Row(2, "+34601", "two"), Row(3, "0034602", "two")])
    assert (first.added, first.moved, first.messages) == (2, 0, 1)
    with database.write() as session:
        again = routes.import_rows(session, [Row(1, "34601", "one"), Row(2, "34602", "two")])
        assert (again.added, again.moved, again.messages) == (0, 1, 1)
        assert routes.get(session, "one").prefixes == ["34600", "34601"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (Row(7, "34601", "three"), 'Line 7: there is no route "three"; nothing was imported.'),
        (Row(7, "34601", None), 'Line 7: there is no route ""; nothing was imported.'),
        (Row(7, "6x", "one"), 'Line 7: The prefix "6x" is not one'),
        (Row(7, "34600", "two"), "Line 7: the prefix 34600 has another route above; nothing was imported."),
        (Row(7, '"346', None, "its quotes do not match"), "Line 7: its quotes do not match; nothing was imported."),
    ],
)
def test_one_wrong_row_and_nothing_of_the_operator_table_is_imported(exchange, database, row, sentence):
    exchange.route("one", "b", "")
    exchange.route("two", "b", "")
    with pytest.raises(BadFile) as refused, database.write() as session:
        routes.import_rows(session, [Row(1, "34600", "one"), row])
    assert str(refused.value).startswith(sentence)
    with database.read() as session:
        assert [route.prefixes for route in routes.all_routes(session)] == [[], []]


@pytest.mark.parametrize(
    ("error", "sentence", "given"),
    [
        (Duplicate, 'There is a route "one" already.', ("one", "b", "")),
        (Duplicate, 'The prefix 34600 is on the route "one" already.', ("two", "b", "34600")),
        (NotFound, 'There is no trunk "x".', ("two", "x", "")),
        (BadInput, "A route needs at least one trunk.", ("two", "", "")),
        (BadInput, "A trunk can be on a route only once.", ("two", "a a", "")),
        (BadInput, 'The weight of the trunk "a" must be from 1 to 1000.', ("two", "a:0", "")),
        (BadInput, '"dear" is no method of a route; there are priority, cost, weight.', ("two", "a", "", "dear")),
        (
            BadInput,
            'The prefix "06" is not one: up to 15 digits are allowed, the country code first.',
            ("two", "a", "06"),
        ),
    ],
)
def test_a_route_that_cannot_be_added_leaves_nothing_behind(exchange, database, error, sentence, given):
    exchange.route("one", "b", "34600")
    with pytest.raises(error) as refused:
        exchange.route(*given)
    assert str(refused.value) == sentence
    with database.read() as session:
        assert [route.name for route in routes.all_routes(session)] == ["one"]


def test_a_trunk_on_a_route_is_not_removed(exchange, database):
    exchange.route("one", "b c", "34600")
    with pytest.raises(Busy, match='The trunk "b" is on the route "one"; change'), database.write() as session:
        trunks.remove(session, "b")
    with database.write() as session:
        routes.edit(session, "one", members=[("c", 1)])
        trunks.remove(session, "b")
        assert [on.trunk for on in routes.get(session, "one").trunks] == ["c"]


# -- why ---------------------------------------------------------------------------------------------------------------


def why(exchange, database, plan, number="600000001"):
    with database.read() as session:
        return explain.explain(session, plan, number, time.time(), 5.0)


def test_explain_names_the_trunks_in_their_order_and_what_is_wrong_with_the_others(exchange, database, plan):
    exchange.route("cheap", "a b c d", "346", "cost")
    for name, link in (("a", Link.UP), ("b", Link.DOWN), ("c", Link.UP), ("d", Link.UP)):
        exchange.link(name, link)
    with database.write() as session:
        trunks.set_active(session, "d", False)
    found = why(exchange, database, plan)
    assert (found.number, found.route, found.prefix, found.method) == ("34600000001", "cheap", "346", "cost")
    assert [(way.turn, way.trunk, way.link) for way in found.ways] == [
        (1, "c", "up"),
        (2, "a", "up"),
        (0, "d", "disabled"),
        (0, "b", "down"),
    ]
    assert found.ways[3].why == "it is away"


def test_explain_tells_the_shares_of_those_that_are_there(exchange, database, plan):
    exchange.route("shared", "a:1 b:1 c:2", "34", "weight")
    exchange.link("b", Link.DOWN)
    assert [(way.trunk, round(way.share)) for way in why(exchange, database, plan).ways] == [
        ("a", 33),
        ("c", 67),
        ("b", 0),
    ]


def test_explain_without_a_route_goes_by_priority(exchange, database, plan):
    found = why(exchange, database, plan, "+447911123456")
    assert (found.route, [way.trunk for way in found.ways]) == ("", ["a", "b", "c", "d"])


# -- what it costs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_sqlite(set_up, tmp_path):
    """The exchange on SQLite alone: it is asked for its plans."""
    shutil.copy(set_up("sqlite").removeprefix("sqlite:///"), tmp_path / "plans.db")
    with closing(Database(f"sqlite:///{tmp_path / 'plans.db'}")) as database:
        with database.read() as session:
            plan = numbering_plan.get(session)
        yield Exchange(database, plan)


@pytest.mark.parametrize("kind", [claims.Kind.QUEUE, claims.Kind.CAMPAIGN])
@pytest.mark.parametrize("method", ["priority", "cost", "weight"])
@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_no_claim_on_sqlite_reads_what_is_not_its_own(on_sqlite, method, name, kind):
    on_sqlite.route("one", "a b c", "34600", method)
    on_sqlite.route("two", "b d", "34601", method)
    near = on_sqlite.near(name)
    turns = tuple(near.routes.items())
    engine = on_sqlite.database.engine
    with engine.connect() as connection:
        for statement in claims._waiting(on_sqlite.ids[name], kind, near.better, turns, False, False, False):
            given = statement.limit(10).params(now=NOW, campaign=1)
            sql = str(given.compile(engine, compile_kwargs={"literal_binds": True}))
            plans = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
            fresh = "ix_messages_queued (trunk_id=? AND campaign_id=? AND state=? AND route_id=? AND not_before<?)"
            passed_on = "ix_messages_passed (campaign_id=? AND state=? AND tried>?)"
            # And each row that is taken is looked up among the opt-outs.
            assert any("opt_outs USING" in step for step in plans), plans
            plans = [step for step in plans if "opt_outs" not in step and "SUBQUERY" not in step]
            assert plans[0].endswith((fresh, passed_on)), plans
            assert plans[0].endswith(passed_on) or len(plans) == 1, f"{plans} sorts"


def plan_of(connection, statement):
    """How a database goes about it, without the look among the opt-outs."""
    sql = str(statement.compile(connection.engine, compile_kwargs={"literal_binds": True}))
    if connection.dialect.name == "postgresql":
        # Of so few rows it would read all and sort them: it must have no need to.
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {sql}") if "opt_outs" not in str(row))


@pytest.mark.parametrize("kind", list(claims.Kind))
def test_no_claim_sorts_all_that_is_queued(exchange, kind):
    exchange.route("one", "a b c", "34600")
    near = exchange.near("a")
    [route_id] = near.routes
    exchange.campaign(["600000001"])
    with exchange.database.write() as session:
        campaign_id = None if kind is claims.Kind.QUEUE else session.scalar(select(Campaign.id))
        ways = [{}, {"route_id": route_id}, {} if campaign_id else {"trunk_id": exchange.ids["a"]}]
        for n in range(3000):
            values = {"number": f"34700{n:06}", "text": "hola", "state": "queued", "created_at": NOW}
            session.add(Message(campaign_id=campaign_id, **values, **ways[n % 3]))
    with exchange.database.write() as session:
        connection, nulls = session.connection(), orders_by_null(session)
        turns = tuple(near.routes.items())
        for statement in claims._waiting(exchange.ids["a"], kind, near.better, turns, False, True, nulls):
            plan = plan_of(connection, statement.params(now=NOW, campaign=campaign_id).limit(10))
            assert "ix_messages_queued" in plan, plan
            assert "sort" not in plan.lower(), plan
            assert "ORDER BY" not in plan, plan


def test_a_message_that_is_sent_alone_is_looked_up_by_its_id(exchange):
    near = exchange.near("b")
    for _ in range(200):
        message_id = exchange.queue()
    with exchange.database.write() as session:
        connection, nulls = session.connection(), orders_by_null(session)
        if connection.dialect.name == "postgresql":  # which takes any index while it knows of no rows
            connection.exec_driver_sql("ANALYZE messages")
        [statement] = claims._waiting(
            exchange.ids["b"], claims.Kind.QUEUE, near.better, tuple(near.routes.items()), True, True, nulls
        )
        plan = plan_of(connection, statement.params(now=NOW, only=message_id).limit(1))
        assert any(key in plan for key in ("INTEGER PRIMARY KEY", "'PRIMARY'", "messages_pkey")), plan
