"""Each preset against a server that answers as the API's documents say: the request to the letter, and each answer."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl

import pytest
from http_api import Api, Said

from ixxsms.drivers import http_presets
from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.http import HttpDriver, check_options, read_webhook
from ixxsms.drivers.webhook import Call
from ixxsms.events import Accepted, Deferred, InDoubt, Receipt, Received, Stopped, Submission

BASIC = {"Authorization": "Basic " + base64.b64encode(b"me:pw").decode()}
HOOK = "http://127.0.0.1:8443/hook/t/0f"

#: preset -> path, method, the fields of a GSM text, what differs for any other text, headers
REQUESTS = {
    "kannel": (
        "/cgi-bin/sendsms",
        "GET",
        {
            "username": "me", "password": "pw", "from": "ACME", "to": "34600000001", "coding": "0", "charset": "UTF-8",
            "text": "hi & bye", "dlr-mask": "19", "dlr-url": f"{HOOK}?ref=ixxsms-5&status=%d",
        },
        {"coding": "2", "text": "ж & я"},
        {},
    ),
    "jasmin": (
        "/send",
        "POST",
        {
            "username": "me", "password": "pw", "from": "ACME", "to": "34600000001", "coding": "0", "dlr": "yes",
            "dlr-level": "2", "dlr-method": "POST", "content": "hi & bye", "dlr-url": HOOK,
        },
        {"coding": "8", "content": "ж & я".encode("utf-16-be").decode("latin-1")},
        {},
    ),
    "playsms": (
        "/index.php",
        "GET",
        {
            "app": "ws", "op": "pv", "u": "me", "h": "pw", "to": "34600000001", "from": "ACME", "unicode": "0",
            "msg": "hi & bye",
        },
        {"unicode": "1", "msg": "ж & я"},
        {},
    ),
    "twilio": (
        "/2010-04-01/Accounts/me/Messages.json",
        "POST",
        {"To": "+34600000001", "From": "ACME", "Body": "hi & bye", "StatusCallback": HOOK},
        {"Body": "ж & я"},
        BASIC,
    ),
    "vonage": (
        "/sms/json",
        "POST",
        {"from": "ACME", "to": "34600000001", "text": "hi & bye", "type": "text", "callback": HOOK},
        {"text": "ж & я", "type": "unicode"},
        BASIC,
    ),
    "46elks": (
        "/a1/sms",
        "POST",
        {"from": "ACME", "to": "+34600000001", "message": "hi & bye", "whendelivered": HOOK},
        {"message": "ж & я"},
        BASIC,
    ),
}  # fmt: skip

ANSWERS = [
    ("kannel", 202, "0: Accepted for delivery", Accepted(5, ("ixxsms-5",))),
    ("kannel", 202, "3: Queued for later delivery", Accepted(5, ("ixxsms-5",))),
    ("kannel", 202, "something else", InDoubt(5, "", ("ixxsms-5",))),
    ("kannel", 403, "Authorization failed for sendsms", Stopped("")),
    ("kannel", 400, "Empty receiver number not allowed, rejected", Deferred(5, "", "400", elsewhere=True)),
    ("kannel", 503, "Temporal failure, try again later.", Deferred(5, "", "503")),
    (
        "jasmin",
        200,
        'Success "07033084-5cfd-4812-90a4-e4d24ffb6e3d"',
        Accepted(5, ("07033084-5cfd-4812-90a4-e4d24ffb6e3d",)),
    ),
    ("jasmin", 412, 'Error "No route found"', Deferred(5, "", "No route found", elsewhere=True)),
    ("jasmin", 403, 'Error "Authentication failure for username:me"', Stopped("")),
    ("jasmin", 403, 'Error "User throughput exceeded"', Deferred(5, "", "User throughput ", counted=False)),
    ("jasmin", 400, 'Error "Mandatory argument to is not found."', Deferred(5, "", "Mandatory argume", elsewhere=True)),
    ("jasmin", 500, 'Error "Cannot send submit_sm, check SMPPClientManagerPB log file for details"', InDoubt(5, "")),
    (
        "playsms",
        200,
        '{"data":[{"status":"OK","error":"0","smslog_id":"30","queue":"afb5f3","to":"1"}],"error_string":null}',
        Accepted(5, ("30",)),
    ),
    ("playsms", 200, '{"status":"ERR","error":"100","error_string":"authentication failed"}', Stopped("")),
    ("playsms", 200, '{"status":"ERR","error":"200"}', Deferred(5, "", "200", elsewhere=True)),
    ("playsms", 200, "<html>playSMS</html>", InDoubt(5, "")),
    ("twilio", 201, '{"sid": "SM1", "status": "queued", "error_code": null}', Accepted(5, ("SM1",))),
    (
        "twilio",
        400,
        '{"code": 21211, "message": "The To number is not valid.", "more_info": "", "status": 400}',
        Deferred(5, "", "21211", elsewhere=True),
    ),
    ("twilio", 401, '{"code": 20003, "message": "Authenticate", "status": 401}', Stopped("")),
    ("twilio", 429, '{"code": 20429, "message": "Too Many Requests"}', Deferred(5, "", "20429", counted=False)),
    (
        "vonage",
        200,
        '{"message-count": "1", "messages": [{"to": "1", "message-id": "0C000000217B7F02", "status": "0"}]}',
        Accepted(5, ("0C000000217B7F02",)),
    ),
    (
        "vonage",
        200,
        '{"messages": [{"message-id": "0C01", "status": "0"}, {"message-id": "0C02", "status": "0"}]}',
        Accepted(5, ("0C01", "0C02")),
    ),
    ("vonage", 200, '{"messages": [{"status": "1", "error-text": "Throttled"}]}', Deferred(5, "", "1", counted=False)),
    ("vonage", 200, '{"messages": [{"status": "4", "error-text": "Bad Credentials"}]}', Stopped("")),
    ("vonage", 200, '{"messages": [{"status": "6"}]}', Deferred(5, "", "6", elsewhere=True)),
    ("vonage", 200, '{"messages": [{"message-id": "A", "status": "0"}, {"status": "6"}]}', InDoubt(5, "", ("A",))),
    ("46elks", 200, '{"id": "s70df59406a1b4643b", "status": "created"}', Accepted(5, ("s70df59406a1b4643b",))),
    ("46elks", 403, "Not enough credits", Stopped("")),
]  # fmt: skip

#: preset, query, form, JSON of a call of the webhook, and what it tells
CALLS = [
    ("kannel", {"ref": "ixxsms-5", "status": "1"}, {}, b"", Receipt("ixxsms-5", True, "1")),
    ("kannel", {"ref": "ixxsms-5", "status": "2"}, {}, b"", Receipt("ixxsms-5", False, "2")),
    ("kannel", {"ref": "ixxsms-5", "status": "16"}, {}, b"", Receipt("ixxsms-5", False, "16")),
    ("kannel", {"ref": "ixxsms-5", "status": "8"}, {}, b"", Receipt("ixxsms-5", None, "8")),
    ("kannel", {"from": "+34600", "to": "911", "text": "hi", "id": "u"}, {}, b"", Received("+34600", "911", "hi")),
    (
        "jasmin",
        {},
        {"id": "07033084-5cfd", "message_status": "DELIVRD", "level": "2", "err": "000"},
        b"",
        Receipt("07033084-5cfd", True, "DELIVRD", "000"),
    ),
    (
        "jasmin",
        {},
        {"id": "16fd", "from": "34600", "to": "911", "coding": "8", "content": "?", "binary": "0436044F"},
        b"",
        Received("34600", "911", "жя"),
    ),
    (
        "twilio",
        {},
        {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003", "To": "+34600", "From": "ACME"},
        b"",
        Receipt("SM1", False, "undelivered", "30003", "34600"),
    ),
    (
        "twilio",
        {},
        {"MessageSid": "SM2", "SmsStatus": "received", "From": "+34600", "To": "+34911", "Body": "hi"},
        b"",
        Received("+34600", "+34911", "hi"),
    ),
    (
        "vonage",
        {"msisdn": "34600", "to": "ACME", "messageId": "0C01", "status": "delivered", "err-code": "0"},
        {},
        b"",
        Receipt("0C01", True, "delivered", "0", "34600"),
    ),
    (
        "vonage",
        {},
        {},
        b'{"err-code": "1", "messageId": "0B01", "msisdn": "447547", "status": "expired", "to": "Acme"}',
        Receipt("0B01", False, "expired", "1", "447547"),
    ),
    (
        "vonage",
        {},
        {},
        b'{"msisdn": "447700900001", "to": "447700900000", "messageId": "0A", "text": "Hello", "type": "text"}',
        Received("447700900001", "447700900000", "Hello"),
    ),
    ("46elks", {}, {"id": "s1", "status": "delivered", "delivered": "2018"}, b"", Receipt("s1", True, "delivered")),
    ("46elks", {}, {"id": "s1", "status": "failed"}, b"", Receipt("s1", False, "failed")),
    ("46elks", {}, {"id": "s1", "status": "sent"}, b"", Receipt("s1", None, "sent")),
    (
        "46elks",
        {},
        {"direction": "incoming", "id": "sf8", "from": "+46706861004", "to": "+46706860000", "message": "How are you?"},
        b"",
        Received("+46706861004", "+46706860000", "How are you?"),
    ),
]


def test_every_preset_is_tried():
    assert list(REQUESTS) == http_presets.names() == list(dict.fromkeys(name for name, *_ in ANSWERS))


def trunk(preset, url="", webhook=HOOK):
    path = REQUESTS[preset][0].replace("/me/", "/{user}/")
    options = {"preset": preset, "user": "me"} | ({"url": url + path} if url else {})
    return TrunkConfig("t", "http", check_options(options), "pw", webhook=webhook)


def outcome_of(config, message):
    driver = HttpDriver(config)
    try:
        while driver.link is Link.STARTING:
            driver.poll(1.0)
        driver.submit([message])
        events = []
        while driver.in_flight():
            events += driver.poll(1.0)
        return events + driver.poll(0)
    finally:
        driver.close()


@pytest.mark.parametrize("preset", REQUESTS)
def test_the_request_is_what_the_documents_ask_for(preset):
    path, method, fields, other_fields, headers = REQUESTS[preset]
    assert http_presets.fields(preset)["url"].endswith(path.replace("/me/", "/{user}/"))
    with Api() as api:
        for text, expected in (("hi & bye", fields), ("ж & я", {**fields, **other_fields})):
            outcome_of(trunk(preset, api.url), Submission(5, "34600000001", text, "ACME"))
            asked = api.asked[-1]
            sent = asked.query if method == "GET" else asked.body.decode()
            encoding = "latin-1" if "content" in other_fields and text == "ж & я" else "utf-8"
            assert dict(parse_qsl(sent, keep_blank_values=True, encoding=encoding)) == expected
            assert (asked.method, asked.path) == (method, path)
            assert {name: asked.headers.get(name) for name in headers} == headers


@pytest.mark.parametrize("preset", REQUESTS)
def test_without_a_webhook_and_a_sender_their_fields_are_not_there(preset):
    with Api() as api:
        outcome_of(trunk(preset, api.url, webhook=""), Submission(5, "34600000001", "hi", ""))
        names = {name.lower() for name, _ in api.asked[0].fields}
        assert not names & {"from", "dlr-url", "statuscallback", "callback", "whendelivered"}


@pytest.mark.parametrize(("preset", "status", "body", "expected"), ANSWERS)
def test_an_answer_means_what_the_documents_say(preset, status, body, expected):
    with Api(lambda asked: Said(status, body)) as api:
        events = outcome_of(trunk(preset, api.url), Submission(5, "34600000001", "hi", "ACME"))
    event = next(e for e in events if isinstance(e, Stopped)) if isinstance(expected, Stopped) else events[0]
    assert type(event) is type(expected)
    for name in ("remote_ids", "code", "elsewhere", "counted"):
        assert getattr(event, name, None) == getattr(expected, name, None)


@pytest.mark.parametrize(("preset", "query", "form", "body", "expected"), CALLS)
def test_a_call_of_the_webhook_tells_what_the_documents_say(preset, query, form, body, expected):
    assert read_webhook(trunk(preset), Call("POST", HOOK, {}, body, query, form)) == [expected]
