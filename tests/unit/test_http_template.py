"""The request of a message: every place is filled in its own encoding, and no text can break out of it."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.drivers.http import check_options
from ixxsms.drivers.http_template import Account, Template, Unsendable
from ixxsms.errors import BadInput
from ixxsms.events import Submission

ACCOUNT = Account("me", "p&s=s%\"'", "https://sms.example.net/hook/t/00ff")
AWKWARD = [
    'a"b\\c',
    "line\r\nBcc: x\r\n\r\nbody",
    "a&to=666&text=b",
    "100%20 %d %s",
    '{"text": "{password}"}',
    "{password} {number}",
    "emoji 😀 ñ €",
    "a+b c#d?e/f;g",
    "\0\x1b[31m",
    "",
]


def template(**options):
    given = {"url": "http://api.example/send", **options}
    return Template(check_options(given))


def request(message=None, account=ACCOUNT, **options):
    return template(**options).request(message or Submission(7, "34600123456", "hola", "ACME"), account)


def text(words, **fields):
    return Submission(7, "34600123456", words, **{"sender_id": "ACME", **fields})


def fields(octets):
    return dict(parse_qsl(octets.decode(), keep_blank_values=True))


@pytest.mark.parametrize("words", AWKWARD)
def test_a_text_is_one_value_of_the_query_whatever_is_in_it(words):
    made = request(text(words), method="GET", content="query", query="to={number}&text={text}&p={password}")
    assert fields(made.target.partition(b"?")[2]) == {"to": "34600123456", "text": words, "p": ACCOUNT.password}
    assert b" " not in made.target
    assert made.body == b""


@pytest.mark.parametrize("words", AWKWARD)
def test_a_text_is_one_value_of_the_form_whatever_is_in_it(words):
    made = request(text(words), body="to={number}&text={text}")
    assert fields(made.body) == {"to": "34600123456", "text": words}
    assert (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8") in made.headers
    assert (b"Content-Length", str(len(made.body)).encode()) in made.headers


@pytest.mark.parametrize("words", AWKWARD)
def test_a_text_is_one_string_of_the_json_whatever_is_in_it(words):
    body = '{"messages": [{"to": "+{number}", "body": "{text}", "n": 1, "x": null, "{number}": true}]}'
    made = request(text(words), content="json", body=body)
    message = {"to": "+34600123456", "body": words, "n": 1, "x": None, "{number}": True}
    assert json.loads(made.body) == {"messages": [message]}
    assert (b"Content-Type", b"application/json") in made.headers


@given(st.text())
def test_any_text_comes_out_as_it_went_in(words):
    well_formed = words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    message = text(words)
    assert fields(request(message, body="a=1&text={text}&b=2").body)["text"] == well_formed
    assert json.loads(request(message, content="json", body='["{text}"]').body) == [well_formed]
    assert request(message, content="text").body.decode() == well_formed


def test_the_content_text_is_the_text_and_nothing_else():
    made = request(text("a<b>&c"), content="text", headers="X-To: {number}")
    assert made.body == b"a<b>&c"
    assert (b"Content-Type", b"text/plain; charset=utf-8") in made.headers
    assert (b"X-To", b"34600123456") in made.headers


def test_a_path_is_filled_so_that_no_value_can_leave_its_place():
    made = request(
        account=Account("../a?b#c", "x"), url="https://api.example/v1/{user}/Messages.json?v=2", body="a={id}"
    )
    assert made.target == b"/v1/..%2Fa%3Fb%23c/Messages.json?v=2"
    assert urlsplit(made.target).path.count(b"/") == 3


def test_a_header_carries_no_line_break():
    account = Account("me\r\nX-Evil: 1", "secret\n")
    made = request(account=account, headers="Authorization: Basic {basic}\nX-User: {user}")
    headers = dict(made.headers)
    assert headers[b"X-User"] == b"meX-Evil: 1"
    assert b"\n" not in headers[b"Authorization"]


def test_the_placeholders_stand_for_what_the_documents_say():
    query = "n={number}&s={sender}&e={sender_e164}&r={ref}&i={id}&u={user}&b={basic}&g={gsm?0:8}"
    query += "&w={webhook}?r={ref}%26s=%25d"
    made = fields(request(method="GET", content="query", query=query).target.partition(b"?")[2])
    assert made == {
        "n": "34600123456",
        "s": "ACME",
        "e": "ACME",
        "r": "ixxsms-7",
        "i": "7",
        "u": "me",
        "b": ACCOUNT.basic,
        "g": "0",
        "w": f"{ACCOUNT.webhook}?r=ixxsms-7&s=%d",
    }


@pytest.mark.parametrize(
    ("sender", "shown"),
    [("34911222333", "+34911222333"), ("12345", "12345"), ("ACME", "ACME"), ("3491122233x", "3491122233x")],
)
def test_only_a_whole_phone_number_gets_a_plus_sign(sender, shown):
    assert fields(request(text("x", sender_id=sender), body="from={sender_e164}").body) == {"from": shown}


def test_a_text_outside_the_gsm_alphabet_chooses_the_other_word_and_charset():
    options = {"body": "coding={gsm?0:8}&user={user}&content={text}", "unicode_charset": "utf-16-be"}
    assert request(text("a ñ"), **options).body == b"coding=0&user=me&content=a+%C3%B1"
    made = request(text("жa"), **options).body
    assert made.startswith(b"coding=8&user=me&content=")
    assert unquote_to_bytes(made.rpartition(b"=")[2]) == "жa".encode("utf-16-be")


def test_a_charset_that_cannot_carry_the_text_is_told():
    with pytest.raises(Unsendable, match="iso-8859-1"):
        request(text("ж"), body="t={text}", charset="iso-8859-1")
    assert request(text("ñ"), body="t={text}", charset="iso-8859-1").body == b"t=%F1"


def test_without_a_sender_or_a_webhook_their_fields_are_left_out():
    nobody = Account("me", "x", "")
    message = text("x", sender_id="")
    made = request(message, nobody, body="from={sender}&cb={webhook}?r={ref}&to={number}")
    assert made.body == b"to=34600123456"
    body = '{"from": "{sender}", "to": ["{number}", "{webhook}"]}'
    assert json.loads(request(message, nobody, content="json", body=body).body) == {"to": ["34600123456"]}


def test_a_plus_sign_of_a_template_is_a_plus_sign():
    assert request(body="to=+{number}").body == b"to=%2B34600123456"


def test_no_repr_shows_the_password_or_the_token():
    made = request(body="p={password}&w={webhook}", headers="Authorization: Basic {basic}")
    for shown in (repr(made), repr(ACCOUNT)):
        assert not any(secret in shown for secret in ACCOUNT.secrets())


def test_the_url_gives_host_port_and_scheme():
    ours = template(url="https://api.example/x")
    assert (ours.host, ours.port, ours.tls) == ("api.example", 443, True)
    ours = template(url="http://[::1]:8080/x")
    assert (ours.host, ours.port, ours.tls) == ("::1", 8080, False)
    assert (b"Host", b"[::1]:8080") in ours.request(text("x"), ACCOUNT).headers
    ours = template(url="http://ñandú.example:8080/x")
    assert (b"Host", "ñandú.example:8080".encode("idna")) in ours.request(text("x"), ACCOUNT).headers


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": ""}, "needs the url"),
        ({"url": "ftp://x/"}, "needs the url"),
        ({"url": "http://x:99999/"}, "needs the url"),
        ({"url": "http://x/a b"}, "needs the url"),
        ({"url": "https://ñ..example/"}, "needs the url"),
        ({"url": f"https://{'ñ' * 70}.example/"}, "needs the url"),
        ({"url": "https://\ud800.example/"}, "needs the url"),
        ({"url": "http://me:pw@x/"}, "must not hold a password"),
        ({"url": "http://{user}.x/"}, "stand there as it is"),
        ({"url": "http://x/#a"}, "follow a #"),
        ({"url": "http://x/{what}"}, "no placeholder {what}"),
        ({"body": "a={nothing}"}, "no placeholder {nothing}"),
        ({"body": "{text}=a"}, "name of a field"),
        ({"content": "json", "body": '{"a": {text}}'}, "must be JSON"),
        ({"content": "json", "body": ""}, "must be JSON"),
        ({"content": "json", "body": "[" * 4000}, "must be JSON"),
        ({"content": "text", "body": "<a>{text}</a>"}, "no body is given"),
        ({"content": "query", "method": "GET", "body": "x=1"}, "no body"),
        ({"method": "GET"}, "has no body"),
        ({"method": "DELETE"}, "method"),
        ({"content": "xml"}, "content"),
        ({"headers": "no colon"}, "Name: value"),
        ({"headers": "Content-Length: 5"}, "part of the link"),
        ({"headers": "X-Text: {text}"}, "cannot carry the text"),
        ({"query": "u={webhook}?t={text}"}, "Beside {webhook}"),
        ({"charset": "klingon"}, "charset"),
        ({"window": "0"}, "window"),
        ({"tls_verify": "perhaps"}, "tls_verify"),
        ({"body": "x" * 5000}, "4000 characters"),
        ({"nonsense": "1"}, 'no option "nonsense"'),
        ({"remote_id": "somewhere"}, "where it stands"),
        ({"error": "regex:("}, "pattern"),
        ({"errors": "100=explode"}, "classes are"),
        ({"http_status": "999=stop"}, "503=retry"),
        ({"statuses": "1=perhaps"}, "statuses"),
        ({"webhook_auth": "hmac-sha256"}, "webhook_signature"),
        ({"webhook_auth": "hope"}, "webhook_auth"),
        ({"preset": "nobody"}, "no preset"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(options, sentence):
    with pytest.raises(BadInput) as raised:
        check_options({"url": "http://api.example/send", **options})
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_options_that_were_checked_are_checked_again_unchanged():
    once = check_options({"preset": "jasmin", "user": "u", "window": "9", "tls_verify": "no"})
    assert check_options(once) == once
