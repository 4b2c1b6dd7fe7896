"""The HTTP server of the webhook against peers that are slow, mad or many: raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

import pytest

from ixxsms.edge import new_loop
from ixxsms.webhook import server
from ixxsms.webhook.server import Answer, Server

GET = b"GET /hook/x HTTP/1.1\r\nHost: me\r\n\r\n"


@pytest.fixture(params=[asyncio.new_event_loop, new_loop], ids=["asyncio", "uvloop"])
def serve(request, monkeypatch):
    """serve(): the port of a server that says what it was asked, with short time-outs."""
    monkeypatch.setattr(server, "SECONDS", 1.0)
    loop = request.param()
    stopped = asyncio.Event()
    threads = []

    async def answer(asked):
        if asked.target == "/slow":
            start.at_work.release()
            await asyncio.sleep(60)
        if asked.target == "/held":
            start.at_work.release()
            await asyncio.to_thread(start.go_on.wait, 20)
            asyncio.get_running_loop().call_soon(start.told.release)  # behind the answer, which follows at once
        if asked.target == "/broken":
            raise RuntimeError("broken on purpose")
        return Answer(200, f"{asked.method} {asked.target} {len(asked.body)}")

    def start():
        ports, listening = [], threading.Event()

        async def run():
            ours = Server(answer)
            listener = await ours.listen("127.0.0.1", 0)
            ports.append(listener.sockets[0].getsockname()[1])
            listening.set()
            await stopped.wait()
            listener.close()
            await ours.close()

        threads.append(threading.Thread(target=lambda: loop.run_until_complete(run())))
        threads[0].start()
        assert listening.wait(10)
        return ports[0]

    start.at_work, start.told, start.go_on = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    yield start
    loop.call_soon_threadsafe(stopped.set)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    loop.close()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 20)


def everything(connection):
    heard = b""
    try:
        while data := connection.recv(65536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def ask(port, octets):
    with connect(port) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        return everything(connection)


def test_a_request_is_answered(serve):
    heard = ask(serve(), GET)
    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.endswith(b"GET /hook/x 0")


def test_requests_on_one_connection_are_answered_in_turn(serve):
    post = b"POST /p HTTP/1.1\r\nHost: me\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST /c HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    heard = ask(serve(), GET + post + chunked + GET)
    assert heard.count(b"HTTP/1.1 200") == 4
    assert b"POST /p 3" in heard
    assert b"POST /c 2" in heard


def test_one_that_is_reset_before_its_answer_costs_no_line_in_the_log(serve, caplog):
    port = serve()
    with connect(port) as connection:
        connection.sendall(b"GET /held HTTP/1.1\r\nHost: me\r\n\r\n")
        assert serve.at_work.acquire(timeout=20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(port, GET).startswith(b"HTTP/1.1 200")  # the reset has been heard too
    serve.go_on.set()
    assert serve.told.acquire(timeout=20)
    assert caplog.text == ""


def test_one_that_waits_for_leave_to_send_its_body_gets_it(serve):
    with connect(serve()) as connection:
        connection.sendall(b"POST /p HTTP/1.1\r\nHost: me\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        connection.shutdown(socket.SHUT_WR)
        assert b"POST /p 3" in everything(connection)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # without a Host
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"",
    ],
)
def test_what_is_no_http_gets_an_error_or_nothing(serve, octets):
    port = serve()
    heard = ask(port, octets)
    assert heard == b"" or heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501"))
    assert b"200" in ask(port, GET)


def test_a_body_that_is_too_long_is_refused_before_it_is_all_there(serve):
    port = serve()
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {10**12}\r\n\r\n".encode()
    with connect(port) as connection:
        connection.sendall(head + b"x" * (server.BODY_OCTETS + 1))
        assert everything(connection).startswith(b"HTTP/1.1 413")
    endless = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    )
    with connect(port) as connection:
        connection.sendall(endless + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 16)
        assert everything(connection).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"]
)
def test_one_that_stops_talking_is_closed(serve, said):
    with connect(serve()) as connection:
        connection.sendall(said)
        assert everything(connection) == b""


def test_one_that_drips_is_closed_too(serve):
    with connect(serve()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        over = threading.Event()

        def drip():
            try:
                while not over.wait(0.05):
                    connection.sendall(b"X: y\r\n")
            except OSError:
                pass

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert b"200" not in everything(connection)
        finally:
            over.set()
            thread.join(10)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_loop], ids=["asyncio", "uvloop"])
def test_one_that_says_much_at_once_leaves_the_loop_to_others_in_between(make_loop):
    """The calls of Asterisk are served by the same loop."""
    turns, told = 0, []

    async def answer(asked):
        told.append(turns)
        return Answer(200)

    async def take_turns():
        nonlocal turns
        while len(told) < 502:
            turns += 1
            await asyncio.sleep(0)

    async def run():
        ours = Server(answer)
        listener = await ours.listen("127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        head = b"POST / HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(GET + head + b"1\r\na\r\n" * 1000 + b"0\r\n\r\n" + GET * 500)
        try:
            async with asyncio.timeout(20):
                await take_turns()
        finally:
            writer.close()
            listener.close()
            await ours.close()

    with contextlib.closing(make_loop()) as loop:
        loop.run_until_complete(run())
    assert told[1] - told[0] >= 1000
    assert told[-1] - told[1] >= 500


def test_many_who_say_nothing_keep_nobody_out(serve, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 5)
    monkeypatch.setattr(server, "SECONDS", 60.0)
    port = serve()
    mute = [connect(port) for _ in range(20)]
    try:
        assert b"200" in ask(port, GET)
    finally:
        for connection in mute:
            connection.close()


def test_when_all_places_are_at_work_one_more_is_turned_away(serve, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    port = serve()
    busy = [connect(port) for _ in range(2)]
    try:
        for connection in busy:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all(serve.at_work.acquire(timeout=20) for _ in busy)
        with connect(port) as connection:
            assert everything(connection) == b""
    finally:
        for connection in busy:
            connection.close()


def test_an_answer_that_fails_costs_one_connection(serve, caplog):
    port = serve()
    assert ask(port, b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    assert "failed" in caplog.text
    assert b"200" in ask(port, GET)
