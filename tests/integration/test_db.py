"""The database on servers: several hosts, hosts that are away, and transactions that are in each other's way."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing

import pytest
import servers
from sqlalchemy import select, text, update

from ixxsms import numbering_plan, outbox
from ixxsms.db import ATTEMPTS, Database
from ixxsms.errors import ConfigError, Conflict, DatabaseError
from ixxsms.models import Message

on_servers = pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)


def queued(database, count):
    with database.write() as session:
        plan = numbering_plan.get(session)
        return [outbox.enqueue(session, plan, f"60000000{n}", "x", now=1.0, max_segments=1).id for n in range(count)]


@on_servers
def test_a_transaction_that_another_one_was_in_the_way_of_is_done_anew(database):
    ids = queued(database, 2)
    both, tries = threading.Barrier(2), []

    def crosswise(order):
        def work(session):
            first = not any(tried is order for tried in tries)
            tries.append(order)
            for message_id in order:
                session.execute(update(Message).where(Message.id == message_id).values(attempts=Message.attempts + 1))
                if first and message_id == order[0]:
                    both.wait(60)

        database.transact(work)

    threads = [threading.Thread(target=crosswise, args=(order,)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(tries) >= 3
    with database.read() as session:
        assert session.scalars(select(Message.attempts)).all() == [2, 2]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_compiles_no_statement_however_dear_it_takes_it_for(database):
    def plan(session):
        return str(session.execute(text("EXPLAIN SELECT id FROM messages WHERE segments > 1 ORDER BY text")).all())

    with database.write() as session:
        session.execute(text("SET LOCAL jit_above_cost = 0"))
        assert "JIT" not in plan(session)
        session.execute(text("SET LOCAL jit = on"))
        assert "JIT" in plan(session) or not session.scalar(text("SELECT pg_jit_available()"))
    with database.read() as session:
        assert session.scalar(text("SHOW jit")) == "off"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_transaction_that_never_gets_through_fails_in_the_end(database):
    tries = []

    def work(session):
        tries.append(session)
        raise Conflict

    with pytest.raises(DatabaseError):
        database.transact(work)
    assert len(tries) == ATTEMPTS


def several_hosts(url, *hosts, user=None):
    return f"{url.drivername}://{user or url.username}@/{url.database}?" + "&".join(f"host={host}" for host in hosts)


@on_servers
def test_of_several_hosts_the_one_that_is_there_is_used(database):
    here = f"{database.url.host}:{database.url.port}"
    url = several_hosts(database.url, f"127.0.0.1:{servers.free_port()}", here)
    with closing(Database(url)) as several:
        queued(several, 1)
        assert several.one_host().port == database.url.port
        assert not several.one_host().query.get("host")


@on_servers
def test_when_no_host_is_there_the_error_names_them_all(database):
    hosts = [f"127.0.0.1:{servers.free_port()}" for _ in range(2)]
    url = several_hosts(database.url, *hosts, user="root:secret")
    with (
        closing(Database(url)) as several,
        pytest.raises(DatabaseError, match=f"ixxsms on {hosts[0]}, {hosts[1]}") as raised,
    ):
        several.is_empty()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize("rest", ["one/ixxsms?host=two", "/ixxsms?host=one:port&host=two"])
def test_hosts_that_cannot_be_understood_are_refused(kind, rest):
    with pytest.raises(ConfigError) as raised:
        Database(f"{kind}://user:secret@{rest}").is_empty()
    assert "secret" not in str(raised.value)


@on_servers
def test_a_host_that_falls_silent_is_given_up_before_a_daemon_seems_dead(database):
    with database.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with socket.socket(fileno=os.dup(connection.connection.driver_connection.fileno())) as own:
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle, interval, count = (
                own.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count <= 30
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_no_piece_of_a_password_with_an_at_sign_is_told(kind):
    with pytest.raises(ConfigError, match=r"^The database URL has a second @; write the one in the password as %40\.$"):
        Database(f"{kind}://ixxsms:S3c@ret@127.0.0.1:1/db")


def test_an_option_that_the_driver_does_not_know_is_one_sentence():
    database = Database("mysql+pymysql://u:secret@127.0.0.1:1/db?nonsense=1")
    with (
        pytest.raises(ConfigError, match=r"^The database URL has an option that its driver does not know\.$"),
        database.read() as session,
    ):
        session.connection()
    database.close()
