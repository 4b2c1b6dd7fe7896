"""What an API's answer means, row by row; and where things stand in an answer."""

from __future__ import annotations

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.drivers.http import check_options
from ixxsms.drivers.http_answer import Answer, Class, Judge
from ixxsms.drivers.http_finder import Document, Finder
from ixxsms.errors import BadInput


def judge(status, body="", complete=True, retry_after="", secrets=(), **options):
    checked = check_options({"url": "http://x/", **options})
    return Judge(checked).judge(Answer(status, body.encode(), retry_after, complete), list(secrets))


@pytest.mark.parametrize(
    ("status", "klass"),
    [
        (200, "accepted"), (201, "accepted"), (202, "accepted"), (204, "accepted"), (301, "next"), (302, "next"),
        (307, "next"), (400, "next"), (401, "stop"), (402, "stop"), (403, "stop"), (404, "next"), (407, "stop"),
        (408, "retry"), (413, "next"), (422, "next"), (429, "throttle"), (500, "doubt"), (501, "next"), (502, "doubt"),
        (503, "doubt"), (504, "doubt"), (505, "next"), (101, "doubt"), (600, "doubt"), (999, "doubt"),
    ],
)  # fmt: skip
def test_an_http_status_has_a_class(status, klass):
    judged = judge(status)
    assert judged.klass == klass
    assert judged.code == str(status)


def test_the_options_give_a_status_another_class():
    assert judge(503, http_status="503=retry").klass is Class.RETRY
    assert judge(500, http_status="5xx=next, 503=retry").klass is Class.NEXT
    assert judge(403, http_status="403=permanent").klass is Class.PERMANENT


PARTS = {
    "error": "json:parts[*].status",
    "remote_id": "json:parts[*].id",
    "errors": "0=accepted, 1=throttle, 4=stop, *=next",
}


@pytest.mark.parametrize(
    ("status", "body", "klass", "remote_ids"),
    [
        (200, '{"parts": [{"status": "0", "id": "a"}]}', "accepted", ("a",)),
        (200, '{"parts": [{"status": 0, "id": 17}, {"status": "0", "id": "b"}]}', "accepted", ("17", "b")),
        (200, '{"parts": [{"status": "0", "id": "a"}, {"status": "1"}]}', "doubt", ("a",)),
        (200, '{"parts": [{"status": "1"}, {"status": "0", "id": "a"}]}', "doubt", ("a",)),
        (200, '{"parts": [{"status": "1"}]}', "throttle", ()),
        (200, '{"parts": [{"status": "4", "id": "a"}]}', "stop", ()),
        (200, '{"parts": [{"status": "77"}]}', "next", ()),
        (400, '{"parts": [{"status": "4"}]}', "stop", ()),
        (200, "<html>Welcome to the hotel</html>", "doubt", ()),
        (200, "", "doubt", ()),
        (200, '{"parts": []}', "doubt", ()),
        (200, '{"parts": {"status": "0"}}', "doubt", ()),
        (401, "<html>", "stop", ()),
        (500, "<html>", "doubt", ()),
    ],
)
def test_an_error_value_goes_before_the_status(status, body, klass, remote_ids):
    judged = judge(status, body, **PARTS)
    assert (judged.klass, judged.remote_ids) == (klass, remote_ids)


def test_a_success_that_says_what_nobody_knows_is_in_doubt():
    judged = judge(200, '{"code": 17}', error="json:code", errors="1=stop")
    assert judged.klass is Class.DOUBT
    assert "17" in judged.reason
    assert judge(400, '{"code": 17}', error="json:code", errors="1=stop").klass is Class.NEXT


def test_a_success_without_the_id_that_it_must_have_is_in_doubt():
    assert judge(200, '{"id": "x1"}', remote_id="json:id").remote_ids == ("x1",)
    assert judge(200, '{"id": null}', remote_id="json:id").klass is Class.DOUBT
    assert judge(200, "", remote_id="json:id").klass is Class.DOUBT
    # Said in so many words, it is a success without an id.
    judged = judge(200, '{"error": 0}', remote_id="json:id", error="json:error", errors="0=accepted")
    assert (judged.klass, judged.remote_ids) == (Class.ACCEPTED, ())


def test_half_an_answer_is_no_success():
    assert judge(200, "id=123", False, remote_id=r"regex:id=(\d+)").klass is Class.DOUBT
    assert judge(400, "id=123", False, remote_id=r"regex:id=(\d+)").klass is Class.NEXT
    assert judge(200, "whatever", False).klass is Class.ACCEPTED  # nothing is read in it


def test_a_reason_is_one_short_line_without_secrets():
    body = '{"message": "bad key s3cret\\n\\u001b[31m' + "x" * 500 + '", "code": 5}'
    judged = judge(400, body, reason="json:message", error="json:code", secrets=["s3cret"])
    assert judged.reason.startswith("HTTP 400, 5: bad key *** [31mxx")
    assert len(judged.reason) < 260
    assert judged.code == "5"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("7", 7),
        ("0", 0),
        ("99999999", 3600),
        ("-5", None),
        ("soon", None),
        ("9" * 400, None),
        ("1.5", None),
    ],
)
def test_retry_after_in_seconds(header, seconds):
    assert judge(429, retry_after=header).wait == seconds


def test_retry_after_as_a_date():
    assert 50 < judge(429, retry_after=email.utils.formatdate(time.time() + 60, usegmt=True)).wait <= 61
    assert judge(429, retry_after="Fri, 01 Jan 1999 00:00:00 GMT").wait == 0
    assert judge(429, retry_after="Fri, 01 Jan 9999 00:00:00 GMT").wait == 3600


DEEP = {"a": {"b": [{"c": "first"}, {"c": 2}, {"d": 3}]}, "message-id": "m", "t": True, "n": None, "f": 1.5}


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("json:message-id", ["m"]), ("json:a.b[0].c", ["first"]), ("json:a.b[1].c", ["2"]),
        ("json:a.b[*].c", ["first", "2"]),
        ("json:a.b[9].c", []), ("json:a.b", []), ("json:a.x.c", []), ("json:a[0]", []), ("json:t", ["true"]),
        ("json:n", []),
        ("json:f", ["1.5"]), ("json:[0]", []), ('regex:"c": "(\\w+)"', ["first"]), ("regex:fir.t", ["first"]),
        ("regex:(x)|first", [""]), ("regex:nothing", []), ("field:MessageSid", ["SM1"]), ("field:x", []),
        ("json:nothing\njson:message-id", ["m"]), ("field:x\nregex:first\njson:t", ["first"]), ("", []),
    ],
)  # fmt: skip
def test_where_things_stand(place, found):
    import json

    assert Finder("x", place).all(Document(json.dumps(DEEP), {"MessageSid": "SM1"})) == found


@pytest.mark.parametrize(
    "place", ["json:", "json:a..b", "json:a[x]", "json:a[", "json:.a", "field:", "regex:", "regex:[", "a.b", "xml:a"]
)
def test_a_place_that_cannot_be_understood_is_told(place):
    with pytest.raises(BadInput):
        Finder("remote_id", place)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "1" * 10_000, "NaN", '{"a":', "\x00", "null", '"a"', "[[[]]]"])
def test_no_json_makes_a_finder_fail(text):
    assert Finder("x", "json:a[*].b").all(Document(text)) == []


@given(st.text(), st.integers(0, 999), st.booleans(), st.text())
def test_no_answer_makes_the_judge_fail(body, status, complete, header):
    judged = judge(status, body.encode("utf-8", "replace").decode(), complete, header, reason="regex:.*", **PARTS)
    assert judged.klass in list(Class)
    assert len(judged.code) <= 16
