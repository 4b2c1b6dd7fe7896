"""The http trunk against real HTTP servers: good ones, slow ones, and those that break off."""

from __future__ import annotations

import logging
import socket
import threading
import time

import pytest
from http_api import Api, RawApi, Said, certificate, free_port

from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.http import HttpDriver
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, InDoubt, Refused, Stopped, Submission

JSON = {
    "content": "json",
    "body": '{"to": "{number}", "text": "{text}"}',
    "headers": "Authorization: Bearer {password}",
    "remote_id": "json:id",
    "error": "json:error",
    "errors": "20=permanent, 21=retry",
}


@pytest.fixture
def driver():
    """Makes a driver for that URL and waits until it knows whether it is up."""
    made = []

    def make(url, seconds=20.0, known=True, password="s3cret", retry=(0.05, 0.2), **options):
        config = TrunkConfig("t", "http", {"url": url, **JSON, **options}, password, response_timeout=seconds)
        made.append(HttpDriver(config, retry=retry))
        until(made[-1], lambda: made[-1].link is not Link.STARTING or not known)
        return made[-1]

    yield make
    for opened in made:
        opened.close()


def until(driver, condition, seconds=30.0):
    """Poll until it is so; the events that came meanwhile."""
    events = []
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        events += driver.poll(0.2)
    return events


def message(message_id=1, text="hello"):
    return Submission(message_id, "34600000001", text, "ACME")


def send(driver, *messages):
    driver.submit(messages or [message()])
    return until(driver, lambda: not driver.in_flight()) + driver.poll(0)


def said(status=200, body='{"id": "r1"}', **headers):
    return lambda asked: Said(status, body, headers)


def test_a_message_goes_as_the_templates_say_and_is_accepted_with_its_id(driver):
    with Api(said()) as api:
        ours = driver(api.url + "/v1/sms")
        assert (ours.link, ours.why, ours.room()) == (Link.UP, "", 4)
        assert send(ours, message(text='a "b"\n{password}')) == [Accepted(1, ("r1",))]
        asked = api.asked[0]
        assert (asked.method, asked.path) == ("POST", "/v1/sms")
        assert asked.body == b'{"to": "34600000001", "text": "a \\"b\\"\\n{password}"}'
        assert asked.headers["Authorization"] == "Bearer s3cret"
        assert asked.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, '{"error": 20}', Refused(1, "HTTP 200, 20", "20")),
        (200, '{"error": 21}', Deferred(1, "HTTP 200, 21", "21")),
        (400, "{}", Deferred(1, "HTTP 400", "400", elsewhere=True)),
        (408, "", Deferred(1, "HTTP 408", "408")),
        (500, "oops", InDoubt(1, "HTTP 500")),
        (200, "hello", InDoubt(1, "HTTP 200 (the answer has no id)")),
        (302, "", Deferred(1, "HTTP 302", "302", elsewhere=True)),
    ],
)
def test_an_answer_becomes_its_outcome(driver, status, body, outcome):
    with Api(said(status, body, Location="http://127.0.0.1:1/")) as api:
        ours = driver(api.url)
        assert send(ours) == [outcome]
        assert ours.link is Link.UP
        assert len(api.asked) == 1  # no redirect is followed, and nothing is sent again


def test_a_refused_account_stops_the_trunk(driver):
    with Api(said(401, '{"error": "bad key s3cret"}')) as api:
        ours = driver(api.url, reason="json:error")
        deferred, stopped = send(ours)
        assert isinstance(deferred, Deferred)
        assert (deferred.elsewhere, deferred.counted) == (True, False)
        assert isinstance(stopped, Stopped)
        assert "s3cret" not in deferred.reason + stopped.reason
        assert "bad key ***" in stopped.reason
        assert (ours.link, ours.room()) == (Link.STOPPED, 0)
        assert isinstance(send(ours, message(2))[0], Deferred)
        assert len(api.asked) == 1


def test_a_throttle_pauses_the_trunk_for_as_long_as_the_api_asks(driver):
    answers = [Said(429, "", {"Retry-After": "1"}), Said(200, '{"id": "r1"}')]
    with Api(lambda asked: answers[len(api.asked) - 1]) as api:
        ours = driver(api.url)
        begun = time.monotonic()
        assert send(ours) == [Deferred(1, "HTTP 429", "429", counted=False)]
        assert ours.room() == 0
        until(ours, lambda: ours.room() > 0)
        assert time.monotonic() - begun >= 1.0
        assert send(ours) == [Accepted(1, ("r1",))]


def test_several_requests_are_under_way_at_once_on_connections_that_are_kept(driver):
    together = threading.Barrier(3, timeout=30)
    lock, at_once = threading.Lock(), []

    def answer(asked):
        with lock:
            at_once.append(1)
        if len(api.asked) <= 3:
            together.wait()
        return Said(200, '{"id": "r1"}')

    with Api(answer) as api:
        ours = driver(api.url, window="3")
        assert ours.room() == 3
        ours.submit([message(n) for n in range(3)])
        assert ours.room() == 0
        until(ours, lambda: not ours.in_flight())
        for n in range(10):
            assert len(send(ours, message(n))) == 1
        assert len(api.asked) == 13
        assert len(api._connections) <= 6  # one of them only looked whether the API is there


def test_an_api_that_is_not_there_makes_the_trunk_down_until_it_comes(driver):
    port = free_port()
    ours = driver(f"http://127.0.0.1:{port}")
    assert (ours.link, ours.room()) == (Link.DOWN, 0)
    assert ours.why == f"The API cannot be reached at 127.0.0.1:{port}: Connection refused."
    assert send(ours) == [Deferred(1, ours.why, elsewhere=True, counted=False)]
    with Api(said(), port=port):
        until(ours, lambda: ours.link is Link.UP)
        assert send(ours) == [Accepted(1, ("r1",))]


def test_an_api_that_goes_away_leaves_nothing_in_doubt_that_was_not_written(driver):
    with Api(said()) as api:
        ours = driver(api.url)
    outcome = send(ours)[0]
    assert isinstance(outcome, Deferred)
    assert (outcome.elsewhere, outcome.counted) == (True, False)
    assert "was not sent: Connection refused" in outcome.reason
    assert ours.link is Link.DOWN


def test_requests_that_fail_together_make_no_longer_wait_than_one(driver):
    with Api(said()) as api:
        ours = driver(api.url, retry=(0.1, 1000.0), window=20)
        port = api.port
    assert len(send(ours, *[message(n) for n in range(20)])) == 20
    assert ours.link is Link.DOWN
    with Api(said(), port=port):
        until(ours, lambda: ours.link is Link.UP)


def test_requests_that_are_throttled_together_make_no_longer_pause_than_one(driver):
    with Api(said(429)) as api:
        ours = driver(api.url, retry=(0.1, 1000.0), window=20)
        assert len(send(ours, *[message(n) for n in range(20)])) == 20
        until(ours, lambda: ours.room() == 20)


def test_a_host_that_nobody_knows_is_told(driver):
    ours = driver("http://no-such-host.invalid/")
    assert ours.link is Link.DOWN
    assert "no-such-host.invalid:80" in ours.why


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        # Reset, where it closes before it has read all of the request.
        (lambda c: None, "Server disconnected without sending a response|reset by peer"),
        (lambda c: c.sendall(b"HTTP/1.1 200 O"), "peer closed connection|Server disconnected|reset by peer"),
        (lambda c: c.sendall(b"\x00\x01 garbage\r\n\r\n"), "illegal status line"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000), "too long|exceeds|buffer"),
    ],
)
def test_a_link_that_breaks_before_the_answer_leaves_the_message_in_doubt(driver, act, reason):
    import re

    with RawApi(act) as api:
        ours = driver(api.url)
        (outcome,) = send(ours)
        assert isinstance(outcome, InDoubt)
        assert re.search(reason, outcome.reason), outcome.reason
        assert api.requests == 1


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b'{"id": "r1"'),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10\r\nabc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\nabc"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b'{"id": "r1", "x": "' + b"y" * 200_000 + b'"}'),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"y" * 200_000),
    ],
)
def test_half_an_answer_and_a_huge_one_leave_the_message_in_doubt(driver, head, body):
    with RawApi(lambda connection: connection.sendall(head + body)) as api:
        (outcome,) = send(driver(api.url))
        assert outcome == InDoubt(1, "HTTP 200 (the answer broke off or is too long)")


def test_half_an_answer_of_a_refusal_is_still_a_refusal(driver):
    with RawApi(lambda connection: connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 500\r\n\r\nxx")) as api:
        assert send(driver(api.url)) == [Deferred(1, "HTTP 400", "400", elsewhere=True)]


def test_an_answer_that_does_not_come_in_time_leaves_the_message_in_doubt(driver):
    with RawApi(lambda connection: api.wait(60)) as api:
        assert send(driver(api.url, seconds=0.5)) == [
            InDoubt(1, "The request was sent, and there was no answer within 0.5 seconds.")
        ]


def test_an_answer_that_drips_does_not_hold_a_place_for_ever(driver):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(600):
            connection.sendall(b"X: y\r\n")
            api.wait(0.05)

    with RawApi(drip) as api:
        (outcome,) = send(driver(api.url, seconds=1.0))
        assert isinstance(outcome, InDoubt)


def test_our_own_reference_goes_with_a_message_in_doubt(driver):
    with RawApi(lambda connection: None) as api:
        (outcome,) = send(driver(api.url, remote_id="{ref}"))
        assert outcome.remote_ids == ("ixxsms-1",)


def test_a_close_settles_what_is_under_way(driver):
    with RawApi(lambda connection: api.wait(60)) as api:
        ours = driver(api.url, window="2")
        ours.submit([message(1), message(2)])
        until(ours, lambda: api.requests == 2)
        begun = time.monotonic()
        events = ours.close()
        assert time.monotonic() - begun < 15
        assert sorted(events, key=lambda event: event.message_id) == [
            InDoubt(1, "The request was sent, and the trunk was closed."),
            InDoubt(2, "The request was sent, and the trunk was closed."),
        ]
        assert ours.close() == []


def test_a_wake_ends_a_poll(driver):
    with Api(said()) as api:
        ours = driver(api.url)
        ours.poll(0)
        threading.Timer(0.1, ours.wake).start()
        begun = time.monotonic()
        assert ours.poll(60) == []
        assert time.monotonic() - begun < 30


def test_a_text_that_the_charset_lacks_goes_to_the_next_trunk(driver):
    with Api(said()) as api:
        ours = driver(api.url, content="form", body="t={text}", charset="latin-1")
        (outcome,) = send(ours, message(text="ж"))
        assert outcome == Deferred(1, "The charset latin-1 of the trunk cannot carry this text.", elsewhere=True)
        assert api.asked == []


def test_the_certificate_is_checked_unless_somebody_says_no(driver, tmp_path):
    _, wrong = certificate(tmp_path, "other.example")
    with Api(said(), tls=wrong) as api:
        ours = driver(api.url)
        assert ours.link is Link.DOWN
        assert "its certificate is not valid: self-signed certificate" in ours.why
        assert api.asked == []
        assert send(driver(api.url, tls_verify="no")) == [Accepted(1, ("r1",))]
    trusted, right = certificate(tmp_path, "127.0.0.1")
    with Api(said(), tls=right) as api:
        assert driver(api.url).link is Link.DOWN
        assert send(driver(api.url, tls_ca=str(trusted))) == [Accepted(1, ("r1",))]
    with Api(said(), tls=wrong) as api:  # of an authority that is trusted, for another host
        ours = driver(api.url, tls_ca=str(tmp_path / "other.example.pem"))
        assert "its certificate is not valid" in ours.why


def test_a_file_of_an_authority_that_is_not_there_is_told(driver):
    with pytest.raises(BadInput, match="tls_ca"):
        driver("https://127.0.0.1:1/", tls_ca="/nowhere/ca.pem")


def test_no_proxy_of_the_environment_is_used(driver, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Api(said()) as api:
        assert send(driver(api.url)) == [Accepted(1, ("r1",))]


def test_nothing_secret_is_logged_or_shown(driver, caplog):
    caplog.set_level(logging.DEBUG)
    with Api(said(500, "s3cret")) as api:
        ours = driver(api.url, content="query", method="GET", body="", query="p={password}", reason="regex:.*")
        events = send(ours)
        assert api.asked[0].query == "p=s3cret"
        shown = repr(events) + repr(ours) + repr(ours._account) + repr(ours._template) + caplog.text
        assert "s3cret" not in shown


def test_a_server_that_closes_an_idle_connection_costs_no_message(driver):
    """A connection that the other side has closed meanwhile is not used for a request."""

    def once(connection):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"id": "r1"}')
        connection.shutdown(socket.SHUT_WR)

    with RawApi(once) as api:
        ours = driver(api.url)
        for n in range(5):
            assert send(ours, message(n)) == [Accepted(n, ("r1",))]
            time.sleep(0.05)
        assert api.requests == 5
