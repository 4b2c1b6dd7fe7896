"""The webhook in a running service, on every database: receipts and incoming SMS, and everybody who should not call."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import http.client
import json
import logging
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit

import pytest
from http_api import Api, Said, free_port
from sqlalchemy import func, select

from ixxsms import config, inbox, numbering_plan, outbox, repeats, trunks
from ixxsms.drivers.webhook import address, token
from ixxsms.errors import DatabaseError
from ixxsms.models import IncomingId, UnmatchedReceipt
from ixxsms.service import Service
from ixxsms.webhook import server

OPTIONS = {
    "content": "json",
    "body": '{"to": "{number}", "text": "{text}", "report": "{webhook}"}',
    "remote_id": "json:id",
    "receipt_id": "field:id\njson:id",
    "receipt_status": "field:status\njson:status",
    "incoming_id": "field:id",
    "incoming_from": "field:from",
    "incoming_to": "field:to",
    "incoming_text": "field:text",
    "webhook_answer": "ACK",
}


@pytest.fixture
def settings(database_url):
    port = free_port()
    made = config.with_database(database_url, {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_WEBHOOK_PORT": str(port)})
    return dataclasses.replace(made, values={**made.values, "poll_seconds": 0.02, "retry_seconds": 0.2})


class Pbx:
    def __init__(self, database, settings):
        self.database, self.settings = database, settings

    def http(self, url="http://127.0.0.1:9/", name="api", password="secret", **fields):
        with self.database.write() as session:
            given = {**OPTIONS, "url": url, "password": password, **fields}
            return trunks.add(session, name, "http", script_dir="/nowhere", **given).id

    def queue(self, text="hola", number="600000001"):
        with self.database.write() as session:
            plan = numbering_plan.get(session)
            return outbox.enqueue(session, plan, number, text, now=time.time(), max_segments=10).id

    def message(self, message_id):
        with self.database.read() as session:
            return outbox.get(session, message_id)

    def inbox(self):
        with self.database.read() as session:
            return [(row.source, row.destination, row.text) for row in inbox.latest(session)]

    def unmatched(self):
        with self.database.read() as session:
            return list(session.scalars(select(UnmatchedReceipt.remote_id)))

    @contextmanager
    def serve(self):
        service = Service(self.database, self.settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            eventually(lambda: answers(self.settings.webhook_port))
            yield service
        finally:
            service.stop()
            thread.join(30)
            assert not thread.is_alive()

    def path(self, name="api", password="secret"):
        return f"/hook/{name}/{token(name, password)}"

    def call(self, path=None, fields=None, body=None, method="POST", **headers):
        """The status and the text of the answer to one call."""
        path = self.path() if path is None else path
        if fields and method == "GET":
            path = f"{path}?{urlencode(fields)}"
        elif fields:
            body = urlencode(fields)
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.webhook_port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def pbx(database, settings):
    return Pbx(database, settings)


def eventually(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
    return value


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def test_a_message_goes_out_over_http_and_its_receipt_comes_by_the_webhook(pbx):
    def answer(asked):
        return Said(200, json.dumps({"id": f"r{len(api.asked)}"}))

    with Api(answer) as api:
        pbx.http(api.url)
        delivered, undelivered = pbx.queue("one"), pbx.queue("two", "600000002")
        with pbx.serve():
            eventually(lambda: {pbx.message(m).state for m in (delivered, undelivered)} == {"accepted"})
            by_text = {json.loads(asked.body)["text"]: number for number, asked in enumerate(api.asked, 1)}
            # The API calls where the request told it to.
            report = urlsplit(json.loads(api.asked[0].body)["report"])
            assert (report.port, report.path) == (pbx.settings.webhook_port, pbx.path())
            assert pbx.call(report.path, {"id": f"r{by_text['one']}", "status": "queued"}) == (200, "ACK")
            assert pbx.message(delivered).state == "accepted"
            assert pbx.call(report.path, {"id": f"r{by_text['one']}", "status": "delivered"}) == (200, "ACK")
            assert pbx.call(report.path, {"id": f"r{by_text['two']}", "status": "failed"}, method="GET") == (200, "ACK")
            assert pbx.message(delivered).state == "delivered"
            assert pbx.message(undelivered).state == "undelivered"
            # Nothing goes back from a final state.
            assert pbx.call(report.path, {"id": f"r{by_text['one']}", "status": "failed"})[0] == 200
            assert pbx.message(delivered).state == "delivered"


def test_a_receipt_that_is_faster_than_the_answer_waits_for_it(pbx):
    def answer(asked):
        assert pbx.call(fields={"id": "r1", "status": "delivered"})[0] == 200
        return Said(200, '{"id": "r1"}')

    with Api(answer) as api:
        pbx.http(api.url)
        message = pbx.queue()
        with pbx.serve():
            eventually(lambda: pbx.message(message).state == "delivered")
            assert pbx.unmatched() == []


def test_a_receipt_settles_a_message_in_doubt_by_our_own_reference(pbx):
    with Api(lambda asked: Said(500)) as api:
        pbx.http(api.url, remote_id="{ref}", body='{"text": "{text}", "ref": "{ref}"}')
        message = pbx.queue()
        with pbx.serve():
            eventually(lambda: pbx.message(message).state == "in_doubt")
            reference = json.loads(api.asked[0].body)["ref"]
            assert pbx.call(fields={"id": reference, "status": "delivered"})[0] == 200
            assert pbx.message(message).state == "delivered"


def test_a_receipt_that_nobody_waits_for_is_kept(pbx):
    pbx.http()
    with pbx.serve():
        assert pbx.call(fields={"id": "unknown", "status": "delivered"}) == (200, "ACK")
        assert pbx.unmatched() == ["unknown"]


def test_an_incoming_sms_is_stored_once_however_often_it_is_told(pbx):
    pbx.http()
    with pbx.serve():
        sms = {"from": "+34600111222", "to": "34911", "text": "Hola & \U0001f600 'x'; --", "id": "in-1"}
        assert pbx.call(fields=sms) == (200, "ACK")
        assert pbx.call(fields=sms) == (200, "ACK")
        assert pbx.inbox() == [("34600111222", "34911", "Hola & \U0001f600 'x'; --")]
        assert pbx.call(fields={**sms, "id": "in-2"}) == (200, "ACK")
        raw = "from=34600111222&to=34911&text=ñ €&id=in-3".encode()  # some forget to encode
        assert pbx.call(body=raw, Content_Type="application/x-www-form-urlencoded; charset=utf-8") == (200, "ACK")
        assert pbx.inbox()[0][2] == "ñ €"
        del sms["id"]  # without an id the same words are a new message
        assert pbx.call(fields=sms) == (200, "ACK")
        assert len(pbx.inbox()) == 4


def test_ids_of_incoming_sms_are_forgotten_after_a_while(pbx):
    trunk = pbx.http()
    with pbx.database.write() as session:
        assert repeats.is_new(session, trunk, "a" * 3000, 100.0)
        assert repeats.is_new(session, trunk + 1, "a" * 3000, 100.0)
        assert not repeats.is_new(session, trunk, "a" * 3000, 101.0)
        repeats.forget_old(session, 100.5)
        assert session.scalar(select(func.count()).select_from(IncomingId)) == 0
        assert repeats.is_new(session, trunk, "a" * 3000, 102.0)


SMS = {"from": "34600", "to": "1", "text": "x"}


def test_who_does_not_show_the_token_is_refused_and_learns_nothing(pbx, caplog):
    pbx.http()
    pbx.http(name="open", password="")
    with pbx.database.write() as session:
        port = {"host": "127.0.0.1", "port": "9", "user": "u", "password": "secret", "active": False}
        trunks.add(session, "smpp", "smpp", script_dir="/nowhere", **port)
    right = token("api", "secret")
    with pbx.serve():
        refusals = {
            pbx.call(path, SMS)
            for path in (
                "/hook/api",
                "/hook/api/",
                f"/hook/api/{right[:-1]}",
                f"/hook/api/{right}0",
                f"/hook/api/{right}/",
                f"/hook/api/{right.upper()}x",
                f"/hook/api/{token('api', 'other')}",
                f"/hook/API/{right}x",
                f"/hook/nobody/{right}",
                f"/hook/open/{token('open', '')}",
                f"/hook/smpp/{token('smpp', 'secret')}",
                "/hook/%00/%ff",
                "/hook//",
            )
        }
        assert len(refusals) == 1
        assert refusals.pop()[0] == 403
        assert pbx.call("/hook/api", SMS, Authorization=f"Bearer {right}x")[0] == 403
        assert pbx.call("/hook/api", SMS, Authorization=f"Basic {right}")[0] == 403
        assert pbx.inbox() == []
        assert pbx.call("/hook/api", SMS, Authorization=f"Bearer {right}") == (200, "ACK")
        assert len(pbx.inbox()) == 1
    assert right not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("GET", "/hook", None, 404),
        ("GET", "/../hook/api", None, 404),
        ("DELETE", None, None, 405),
        ("PUT", None, "x", 405),
        ("POST", None, None, 400),
        ("POST", None, "garbage", 400),
        ("POST", None, '{"id": "a"', 400),
        ("POST", None, "[" * 100_000, 400),
        ("POST", None, b"\xff" * 1000, 400),
        ("POST", None, "x" * (server.BODY_OCTETS + 100_000), 413),
    ],
)
def test_what_can_never_be_understood_is_told_so(pbx, method, path, body, status):
    pbx.http()
    with pbx.serve():
        try:
            assert pbx.call(path, body=body, method=method)[0] == status
        except (ConnectionResetError, BrokenPipeError):
            assert status == 413  # it does not listen to the end
        many = "&".join(f"a{n}=1" for n in range(2000))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert pbx.call(body=many, **form)[0] == 400
        assert pbx.call(fields=SMS) == (200, "ACK")


def test_a_signed_webhook_takes_what_is_signed_and_nothing_else(pbx):
    pbx.http(webhook_auth="hmac-sha256", webhook_signature="X-Signature")
    body = urlencode({**SMS, "id": "7"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    right = hmac.new(b"secret", body.encode(), hashlib.sha256).hexdigest()
    with pbx.serve():
        assert pbx.call("/hook/api", body=body, X_Signature=right, **form) == (200, "ACK")
        assert pbx.call("/hook/api", body=body, X_Signature=right, **form) == (200, "ACK")  # a replay changes nothing
        assert pbx.call("/hook/api", body=body + "8", X_Signature=right, **form)[0] == 403
        assert pbx.call("/hook/api", body=body, X_Signature=right[::-1], **form)[0] == 403
        assert pbx.call(body=body, **form)[0] == 403  # the token alone does not do
        assert len(pbx.inbox()) == 1


def test_twilio_signs_the_address_that_it_was_given(pbx, settings):
    public = "https://sms.example.net"
    pbx.settings = dataclasses.replace(settings, values={**settings.values, "webhook_url": public})
    pbx.http(preset="twilio", password="authtoken", user="AC1", incoming_from="field:From", incoming_text="field:Body")
    fields = {"From": "+34600", "To": "+34911", "Body": "hi", "MessageSid": "SM1"}
    url = address(public, "api", "authtoken")
    text = url + "".join(name + fields[name] for name in sorted(fields))
    right = base64.b64encode(hmac.new(b"authtoken", text.encode(), hashlib.sha1).digest()).decode()
    with pbx.serve():
        assert pbx.call(urlsplit(url).path, fields, X_Twilio_Signature=right)[0] == 200
        assert pbx.call(urlsplit(url).path + "?x=1", fields, X_Twilio_Signature=right)[0] == 403
        assert pbx.call(urlsplit(url).path, fields)[0] == 403
        assert len(pbx.inbox()) == 1


def test_while_the_database_is_away_callers_are_told_to_come_again(pbx, monkeypatch):
    pbx.http()
    with pbx.serve() as service:
        assert pbx.call(fields=SMS)[0] == 200
        write = service._database.write

        @contextmanager
        def broken():
            with write() as session:
                yield session
                raise DatabaseError("The database is away.")

        monkeypatch.setattr(service._database, "write", broken)
        assert pbx.call(fields=SMS)[0] == 503
        monkeypatch.setattr(service._database, "write", write)
        assert len(pbx.inbox()) == 1
        monkeypatch.setattr(service._database, "read", broken)
        time.sleep(1.1)  # the trunks that it has read are good for a second
        assert pbx.call(fields=SMS)[0] == 503
        monkeypatch.undo()
        eventually(lambda: pbx.call(fields=SMS)[0] == 200)


def test_many_calls_at_once_are_all_stored(pbx):
    pbx.http()
    with pbx.serve():
        statuses = []

        def several(first):
            statuses.extend(pbx.call(fields={**SMS, "text": str(n)})[0] for n in range(first, first + 10))

        threads = [threading.Thread(target=several, args=(10 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 80
        with pbx.database.read() as session:
            assert sorted(int(row.text) for row in inbox.latest(session, 200)) == list(range(80))


def test_a_taken_port_disturbs_nothing_and_is_taken_over_when_it_is_free(pbx, caplog):
    caplog.set_level(logging.INFO)
    pbx.http()
    with socket.create_server(("127.0.0.1", pbx.settings.webhook_port)):
        service = Service(pbx.database, pbx.settings)
        thread = threading.Thread(target=service.run)
        thread.start()
        eventually(lambda: "cannot listen" in caplog.text)
    try:
        eventually(lambda: answers(pbx.settings.webhook_port))
        assert pbx.call(fields=SMS)[0] == 200
    finally:
        service.stop()
        thread.join(30)
