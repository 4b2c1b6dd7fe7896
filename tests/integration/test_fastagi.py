"""The FastAGI server against peers that are no Asterisk, or a bad one: raw sockets, and what it costs."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import threading
import time

import pytest

from ixxsms.asterisk import fastagi
from ixxsms.asterisk.fastagi import Server
from ixxsms.edge import new_loop

ENV = b"agi_network_script: echo\nagi_callerid: 600111222\nagi_channel: PJSIP/phone1-0001\n"


@pytest.fixture(params=[asyncio.new_event_loop, new_loop], ids=["asyncio", "uvloop"])
def serve(request, monkeypatch):
    """serve(connections): the port of a server with an echo and a slow route, with short time-outs."""
    monkeypatch.setattr(fastagi, "SECONDS", 0.4)
    loop = request.param()
    stopped = asyncio.Event()
    threads = []

    async def echo(call):
        await call.set_variable("ARGS", "|".join(call.asked.args))
        await call.set_variable("CALLER", call.asked.caller)

    async def slow(call):
        for _ in range(200):
            if call.hung_up:
                return
            await asyncio.sleep(0.01)
        await call.set_variable("SLOW", "yes")

    async def broken(call):
        raise RuntimeError("broken on purpose")

    async def unknown(call):
        await call.set_variable("UNKNOWN", call.route)

    def start(connections=10):
        server = Server({"echo": echo, "slow": slow, "broken": broken}, unknown, connections)
        ports = []
        listening = threading.Event()

        async def run():
            listener = await server.listen("127.0.0.1", 0)
            ports.append(listener.sockets[0].getsockname()[1])
            listening.set()
            await stopped.wait()
            listener.close()
            await server.close()

        threads.append(threading.Thread(target=lambda: loop.run_until_complete(run())))
        threads[0].start()
        assert listening.wait(5)
        return ports[0]

    yield start
    loop.call_soon_threadsafe(stopped.set)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    loop.close()


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), 5)
    connection.settimeout(5)
    return connection


def dialogue(port, env, answer=b"200 result=1\n"):
    """All the commands of one call, each answered so."""
    commands = []
    with connect(port) as connection, connection.makefile("rb") as lines:
        connection.sendall(env)
        while line := lines.readline():
            commands.append(line.decode().rstrip("\n"))
            connection.sendall(answer)
    return commands


def is_closed(connection):
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def works(port):
    return dialogue(port, ENV + b"agi_arg_1: a\nagi_arg_2: b\n\n") == [
        'SET VARIABLE "ARGS" "a|b"',
        'SET VARIABLE "CALLER" "600111222"',
    ]


def test_a_call_is_served_and_closed(serve):
    assert works(serve())


def test_the_query_and_an_unknown_route_are_understood(serve):
    port = serve()
    assert dialogue(port, b"agi_network_script: nix?a=b\n\n") == ['SET VARIABLE "UNKNOWN" "nix"']


def test_a_value_is_one_line_whatever_is_in_it(serve):
    port = serve()
    sent = b'say "no" \\ a\rb'
    assert dialogue(port, ENV + b"agi_arg_1: " + sent + b"\n\n")[0] == 'SET VARIABLE "ARGS" "say \\"no\\" \\\\ a b"'
    long = dialogue(port, ENV + b"agi_arg_1: " + b'\\"' * 3000 + b"\n\n")[0]
    assert len(long) <= 2000
    assert long.endswith('"')
    assert (len(long[:-1]) - len(long[:-1].rstrip("\\"))) % 2 == 0  # the last quote is not an escaped one


@pytest.mark.parametrize(
    "sent", [b"", b"a", b"agi_", ENV, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\n\n", b"\xff\xfe"]
)
def test_a_port_probe_costs_nothing_and_is_not_logged(serve, caplog, sent):
    caplog.set_level(logging.DEBUG, "ixxsms")
    port = serve(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(50):
        with connect(port) as probe:
            probe.sendall(sent)
    assert works(port)
    time.sleep(0.3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 0.25  # a loop at the end of a stream took 0.3
    assert [record for record in caplog.records if record.name.startswith("ixxsms")] == []


def test_a_peer_that_says_nothing_is_let_go(serve):
    port = serve()
    with connect(port) as mute, connect(port) as half:
        half.sendall(ENV)
        begun = time.monotonic()
        assert is_closed(mute)
        assert is_closed(half)
        assert time.monotonic() - begun < 2


def test_mute_peers_give_way_to_a_call(serve):
    port = serve(5)
    mute = [connect(port) for _ in range(20)]
    assert works(port)
    for peer in mute:
        peer.close()


def test_a_peer_that_says_too_much_is_let_go(serve):
    port = serve()
    with connect(port) as chatter, pytest.raises(OSError):
        for _ in range(100):
            chatter.sendall(b"agi_x" * 20_000)
            time.sleep(0.001)
    assert works(port)


def test_calls_over_the_limit_are_turned_away_and_the_log_says_so_once(serve, caplog):
    port = serve(2)
    with connect(port) as one, connect(port) as two:
        for call in (one, two):
            call.sendall(b"agi_network_script: slow\n\n")
        time.sleep(0.1)
        for _ in range(5):
            with connect(port) as third:
                assert is_closed(third)
    assert [record.message for record in caplog.records if "fastagi_connections" in record.message] == [
        "a FastAGI call was turned away: there are too many at a time (setting fastagi_connections)"
    ]
    time.sleep(0.1)
    assert works(port)


def test_a_hang_up_is_heard_while_the_route_waits(serve):
    port = serve()
    with connect(port) as call:
        call.sendall(b"agi_network_script: slow\n\n")
        time.sleep(0.1)
        begun = time.monotonic()
        call.sendall(b"HANGUP\n")
        assert is_closed(call)
        assert time.monotonic() - begun < 0.5


def test_a_hang_up_between_an_answer_and_the_next_does_not_shift_them(serve):
    commands = dialogue(serve(), ENV + b"agi_arg_1: a\n\n", b"HANGUP\n100 Trying...\n520-Usage\n200 result=1\n")
    assert len(commands) == 2


def test_a_peer_that_does_not_answer_a_command_is_let_go(serve):
    port = serve()
    with connect(port) as call, call.makefile("rb") as lines:
        call.sendall(ENV + b"\n")
        assert lines.readline().startswith(b"SET VARIABLE")
        begun = time.monotonic()
        assert lines.read() == b""
        assert 0.2 < time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "argument",
    [
        b"x\nagi_callerid: 1",  # would be another caller, for the limits
        b"x\n\n200 result=1\n",  # would be the answer to our command
        b"x\nrubbish",
        b"x\nagi_arg_2: y",
    ],
)
def test_a_line_break_in_an_argument_ends_the_call(serve, caplog, argument):
    assert dialogue(serve(), ENV + b"agi_arg_1: " + argument + b"\nagi_arg_2: z\n\n") == []
    assert "has a line break" in caplog.text


def test_an_answer_that_nobody_asked_for_ends_the_call(serve):
    port = serve()
    with connect(port) as call:
        call.sendall(b"agi_network_script: slow\n\n")
        time.sleep(0.1)
        call.sendall(b"200 result=1\n")
        assert is_closed(call)


def test_a_route_that_fails_is_logged_and_the_call_goes_on(serve, caplog):
    port = serve()
    assert dialogue(port, b"agi_network_script: broken\n\n") == []
    assert "broken on purpose" in caplog.text
    assert works(port)


def test_a_caller_without_a_number_is_known_by_his_channel(serve):
    env = ENV.replace(b"600111222", b"unknown") + b"\n"
    assert dialogue(serve(), env)[1] == 'SET VARIABLE "CALLER" "PJSIP/phone1"'


def test_a_port_that_another_daemon_took_between_bind_and_listen_is_let_go(monkeypatch):
    async def taken(_server):
        raise OSError(98, "Address already in use")

    async def listen(port):
        server = Server({}, None, 1)
        with pytest.raises(OSError, match="already in use"):
            await server.listen("127.0.0.1", port)

    monkeypatch.setattr(asyncio.base_events.Server, "start_serving", taken)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    asyncio.run(listen(port))
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))  # without SO_REUSEADDR: nobody has it
        again.listen()
