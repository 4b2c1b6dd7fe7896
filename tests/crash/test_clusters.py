"""The database is on several servers: one of them and one of the daemons are killed in the middle of a campaign."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial

import clusters
import pytest
from conftest import new_database, skipped_where_missing
from crashing import campaign, daemon, each_once, finished
from sqlalchemy import delete, select
from systems import System, eventually

from ixxsms import campaigns, lists, numbering_plan, outbox, schema
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.errors import Conflict, DatabaseError
from ixxsms.models import Message, UnmatchedReceipt
from ixxsms.numbering import digits
from ixxsms.testing import FakeSMSC

NUMBERS = 3000
WINDOW = 20

pytestmark = pytest.mark.timeout(300)


def killed_in_the_middle(system, urls, kill_server):
    """A campaign that a daemon on each URL sends; the first daemon is killed, and a server. Returns its end."""
    system.environ |= {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_LOG_LEVEL": "warning"}
    system.ixxsms("init")
    system.ixxsms("numbering", "set", "--country", "ES")
    with FakeSMSC(accounts={"user": "secret"}, receipts=False, latency=0.05) as smsc, ExitStack() as stack:
        campaign(system, smsc, NUMBERS, "--window", str(WINDOW))
        first, *others = [stack.enter_context(daemon(system, IXXSMS_DATABASE_URL=url)) for url in urls]
        smsc.wait_until(lambda: smsc.submits >= NUMBERS // 4, 60, "messages through all")
        first.kill()
        first.wait()
        smsc.wait_until(lambda: smsc.submits >= NUMBERS // 2, 60, "messages through the others")
        kill_server()
        assert smsc.submits < NUMBERS, "the campaign was over before the server was killed"
        ended = finished(system)
        assert all(process.poll() is None for process in others)
        # What is in doubt was on its way when the daemon died.
        assert ended["in_doubt"] <= WINDOW
        assert ended["accepted"] + ended["in_doubt"] == NUMBERS
        each_once(smsc)
        assert accepted(system) <= {message.destination for message in smsc.received}
    return ended


def accepted(system):
    """The numbers that took their SMS, as the SMSC writes them."""
    with closing(Database(system.database_url)) as database, database.read() as session:
        numbers = session.scalars(select(Message.number).where(Message.state == "accepted"))
        return {digits(number) for number in numbers}


def test_a_node_of_a_galera_cluster_and_a_daemon_are_killed(tmp_path):
    with skipped_where_missing(), clusters.galera() as nodes, ExitStack() as stack:
        new_database(nodes[0].server_url, "ixxsms")
        # Each daemon works on a node of its own, and goes to the next where that one dies.
        orders = [[*nodes[at:], *nodes[:at]] for at in range(3)]
        urls = ["mysql://root@/ixxsms?" + "&".join(f"host=127.0.0.1:{node.port}" for node in order) for order in orders]
        system = System(tmp_path, urls[0], stack)
        ended = killed_in_the_middle(system, urls, nodes[1].kill)
        assert nodes[0].status("wsrep_cluster_size") == "2"
        # It comes back, and knows what came to pass without it.
        nodes[1].start(nodes[0])
        system.database_url = system.environ["IXXSMS_DATABASE_URL"] = f"{nodes[1].server_url}/ixxsms"
        assert finished(system) == ended
        # A node that cannot be written to is left although it answers: cut off from the others, or made read-only.
        with closing(Database(urls[2])) as database:
            assert used(database) == nodes[2].port
            nodes[2].set_global("wsrep_provider_options = 'gmcast.isolate=1'")
            eventually(lambda: used(database) == nodes[0].port, 60)
        nodes[0].set_global("read_only = 1")
        with closing(Database(urls[0])) as database:
            assert used(database) == nodes[1].port


def test_two_nodes_of_a_galera_cluster_do_not_give_out_the_same_messages():
    with skipped_where_missing(), clusters.galera() as nodes, ExitStack() as stack:
        new_database(nodes[0].server_url, "ixxsms")
        one, other = (stack.enter_context(closing(Database(f"{node.server_url}/ixxsms"))) for node in nodes[:2])
        schema.upgrade(one)
        with one.write() as session:
            numbering_plan.change(session, country="ES")
            plan = numbering_plan.get(session)
            lists.create(session, "clients")
            lists.import_rows(session, plan, "clients", [Row(n, f"6000000{n:02}", None) for n in range(30)])
            named = {"max_segments": 1, "list_name": "clients", "run": True}
            campaign_id = campaigns.create(session, plan, "spring", "hola", now=1.0, **named).campaign.id
        place = outbox.Source(campaign_id)

        def lease(session):
            return outbox.lease(session, 1, 1, place, room=10, better=(), now=2.0)

        def claim(session):
            return outbox.claim(session, 1, 2, [place], room=5, better=(), now=2.0)

        for beside in (claim, partial(outbox.hold, campaign_ids=[campaign_id])):
            with pytest.raises(Conflict), one.write() as session:
                assert lease(session)
                with other.write() as meanwhile:
                    beside(meanwhile)
        assert len(one.transact(lease)[1]) == 10


def used(database):
    """The port of the node that a database is used through; None while it cannot be used."""
    try:
        with database.write() as session:
            session.execute(delete(UnmatchedReceipt))
        return database.one_host().port
    except DatabaseError:
        return None


def test_a_postgresql_whose_standby_is_promoted_and_a_daemon_are_killed(tmp_path):
    with skipped_where_missing(), clusters.postgresql_pair() as pair, ExitStack() as stack:
        new_database(pair.primary.url, "ixxsms")
        hosts = "&".join(f"host={server.url.rpartition('@')[2]}" for server in pair)
        url = f"postgresql://postgres@/ixxsms?{hosts}"
        system = System(tmp_path, url, stack)

        def kill_primary():
            pair.primary.process.kill()
            pair.promote()

        killed_in_the_middle(system, [url, url], kill_primary)
