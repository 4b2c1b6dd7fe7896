"""The calls of an API to us: what they tell, who made them, and garbage."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.drivers import http_presets
from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.http import check_options, read_webhook, signed
from ixxsms.drivers.webhook import Call, address, token
from ixxsms.errors import BadInput
from ixxsms.events import Receipt, Received

MAPPING = {
    "receipt_id": "field:id\njson:id",
    "receipt_status": "field:status\njson:status",
    "receipt_code": "field:err",
    "receipt_number": "field:to",
    "statuses": "1=delivered, 2=undelivered, 4=pending",
    "incoming_id": "field:id",
    "incoming_from": "field:from",
    "incoming_to": "field:to",
    "incoming_text": "field:text",
    "incoming_hex": "field:hex",
    "incoming_coding": "field:coding",
}


def trunk(password="secret", **options):
    return TrunkConfig("t", "http", check_options({"url": "http://x/", **MAPPING, **options}), password)


def call(query=None, form=None, body=b"", url="http://me/hook/t", headers=None, method="POST"):
    return Call(method, url, headers or {}, body, query or {}, form or {})


@pytest.mark.parametrize(
    ("word", "delivered"),
    [
        ("1", True), ("2", False), ("4", None), ("delivered", True), ("DELIVRD", True), ("Failed", False),
        ("UNDELIV", False), ("expired", False), ("queued", None), ("whatever", None), ("", None),
    ],
)  # fmt: skip
def test_a_receipt_says_what_became_of_a_message(word, delivered):
    heard = read_webhook(trunk(), call({"id": "a-1", "status": word, "err": "27", "to": "+34600"}))
    assert heard == [Receipt("a-1", delivered, word, "27", "34600")]


def test_one_call_may_tell_of_several_messages():
    body = b'{"results": [{"id": "a", "status": "delivered"}, {"id": "b", "status": "failed"}]}'
    options = {"receipt_id": "json:results[*].id", "receipt_status": "json:results[*].status"}
    heard = read_webhook(trunk(**options), call(body=body))
    assert heard == [Receipt("a", True, "delivered"), Receipt("b", False, "failed")]
    with pytest.raises(BadInput, match="one status for each id"):
        read_webhook(trunk(**options), call(body=b'{"results": [{"id": "a", "status": "x"}, {"id": "b"}]}'))


def test_an_incoming_sms_has_who_wrote_what_to_whom():
    heard = read_webhook(trunk(), call(form={"from": "+34600 1", "to": "+34911", "text": "hi\0 😀", "id": "m1"}))
    assert heard == [Received("+34600 1", "+34911", "hi 😀")]
    assert heard[0].token == "m1"
    assert read_webhook(trunk(), call(form={"from": "34600", "text": ""})) == [Received("34600", "", "")]


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [("04360061", "8", "жa"), ("4869", "0", "Hi"), ("00", "", "@"), ("e9", "3", "é"), ("41", "256", "A")],
)
def test_octets_are_decoded_as_their_data_coding_says(octets, coding, text):
    fields = {"from": "34600", "hex": octets, "coding": coding, "text": "not this"}
    assert read_webhook(trunk(), call(form=fields))[0].text == text


@pytest.mark.parametrize(
    "asked",
    [
        call(),
        call({"id": "a"}),
        call({"status": "1"}),
        call({"from": "34600"}),
        call({"text": "x"}),
        call({"id": "\x00\x1f", "status": "1"}),
        call({"from": "\n", "text": "x"}),
        call({"from": "1", "hex": "zz"}),
        call({"from": "1", "hex": "00", "coding": "x"}),
        call(body=b"\xff\xfe{"),
        call(body=b"[" * 50_000),
    ],
)
def test_garbage_is_refused_in_one_sentence(asked):
    with pytest.raises(BadInput):
        read_webhook(trunk(), asked)


@given(
    st.dictionaries(st.sampled_from(["id", "status", "from", "to", "text", "hex", "coding"]), st.text()), st.binary()
)
def test_no_call_makes_it_fail(fields, body):
    try:
        heard = read_webhook(trunk(), call(fields, body=body))
    except BadInput:
        return
    assert heard


BODY = b'{"a": 1}'


def digest(algorithm, data=BODY, key=b"secret"):
    return hmac.new(key, data, algorithm).digest()


@pytest.mark.parametrize(
    ("how", "shown", "right"),
    [
        ("hmac-sha256", digest("sha256").hex(), True),
        ("hmac-sha256", digest("sha256").hex().upper(), True),
        ("hmac-sha256", f"sha256={digest('sha256').hex()}", True),
        ("hmac-sha256", base64.b64encode(digest("sha256")).decode(), True),
        ("hmac-sha1", digest("sha1").hex(), True),
        ("hmac-sha256", digest("sha1").hex(), False),
        ("hmac-sha256", digest("sha256", key=b"other").hex(), False),
        ("hmac-sha256", digest("sha256", BODY + b" ").hex(), False),
        ("hmac-sha256", digest("sha256").hex()[:-1], False),
        ("hmac-sha256", "", False),
        ("hmac-sha256", "ñ", False),
    ],
)
def test_a_signed_body_shows_who_wrote_it(how, shown, right):
    config = trunk(webhook_auth=how, webhook_signature="X-Sign")
    assert signed(config, call(body=BODY, headers={"x-sign": shown})) is right
    assert signed(config, call(body=BODY)) is False


def test_a_trunk_without_a_password_believes_no_signature():
    config = trunk("", webhook_auth="hmac-sha256", webhook_signature="X-Sign")
    assert signed(config, call(body=BODY, headers={"x-sign": digest("sha256", key=b"").hex()})) is False


def test_without_a_signature_the_token_is_asked_for():
    assert signed(trunk(), call(headers={"x-sign": digest("sha256").hex()})) is None


def test_twilio_signs_the_url_and_the_sorted_fields():
    # The example of Twilio's own documents: key 12345.
    config = trunk("12345", webhook_auth="twilio")
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030"}
    form["To"] = "+18005551212"
    shown = base64.b64encode(hmac.new(b"12345", _twilio(url, form), hashlib.sha1).digest()).decode()
    assert signed(config, call(form=form, url=url, headers={"x-twilio-signature": shown})) is True
    assert (
        signed(config, call(form={**form, "Digits": "1235"}, url=url, headers={"x-twilio-signature": shown})) is False
    )
    assert signed(config, call(form=form, url=url + "3", headers={"x-twilio-signature": shown})) is False


def _twilio(url, form):
    return (url + "".join(name + form[name] for name in sorted(form))).encode()


def test_the_token_follows_from_the_password_and_the_name():
    assert len(token("t", "secret")) == 32
    assert token("t", "secret") == token("t", "secret")
    assert len({token("t", "secret"), token("u", "secret"), token("t", "other")}) == 3
    assert address("http://h:1/", "a b/c", "secret") == f"http://h:1/hook/a%20b%2Fc/{token('a b/c', 'secret')}"
    assert address("", "t", "secret") == "" == address("http://h:1", "t", "")


@pytest.mark.parametrize("name", http_presets.names())
def test_every_preset_can_be_used_and_says_where_it_was_read(name):
    checked = check_options({"preset": name})
    assert http_presets.source(name)
    assert checked["url"].startswith(("https://", "http://localhost", "http://127.0.0.1"))
    assert set(http_presets.fields(name)) <= set(checked)
