"""The request of one message, from the templates of a trunk's options.

A template is taken apart once, when the options are checked: a query and a form into fields, a JSON body into its
strings, a path into its literal pieces. What belongs to a message is put into the pieces and only then encoded, so no
text, name or password can ever become anything but a value. Must never know what an answer means.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_from_bytes, quote_plus, unquote, urlsplit

from ixxsms import text as gsm
from ixxsms.errors import BadInput
from ixxsms.events import Submission

#: name -> what stands in its place
PLACEHOLDERS = {
    "number": "the destination, digits only",
    "text": "the text",
    "sender": "the sender id; a field with it is left out where there is none",
    "sender_e164": "the sender id, with a plus sign where it is a whole phone number",
    "ref": "our own reference of the message, ixxsms-123",
    "id": "the number of the message",
    "user": "the option user",
    "password": "the trunk's password",
    "basic": "user:password in base64, for an Authorization header",
    "webhook": "where receipts go; a field with it is left out where there is no webhook",
}

#: {name}, or {gsm?this:that}: this where the GSM alphabet carries the text, else that.
_HOLE = re.compile(r"\{(?:([a-z0-9_]+)|gsm\?([^:{}]*):([^:{}]*))\}")
_LEFT_OUT = {"sender", "sender_e164", "webhook"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_THE_LINK = {"content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded", "text": "text/plain"}
_SHORTEST_NUMBER = 8  #: digits of a whole phone number; a sender id of fewer is a short code

CONTENTS = ("json", "form", "query", "text")
METHODS = ("GET", "POST", "PUT")


class Unsendable(Exception):
    """The trunk's charset cannot carry this text."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, all in octets. No repr shows it: it holds the password."""

    method: bytes
    target: bytes = field(repr=False)
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Account:
    """What a trunk's own placeholders stand for."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def secrets(self) -> list[str]:
        """In every form in which an answer might repeat them, the longest first."""
        found = {self.basic} if self.password else set()
        for secret in (self.password, self.webhook, self.webhook.rpartition("/")[2]):
            found |= {secret, quote(secret, safe=""), quote_plus(secret)} if secret else set()
        return sorted(found, key=len, reverse=True)


def reference(message_id: int) -> str:
    """Our own reference of a message. No digits alone: those might be taken for a hexadecimal id of another."""
    return f"ixxsms-{message_id}"


class Template:
    """The templates of one trunk. Raises BadInput, with one sentence, for what cannot be used."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        parts = _split(str(options["url"]))
        assert parts.hostname is not None
        self.host, self.tls = parts.hostname, parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 80)
        self._named_host = _named_host(parts.netloc)
        self._path = _checked("url", parts.path or "/")
        self._method = str(options["method"]).encode()
        self._content = str(options["content"])
        self._charset, self._unicode_charset = str(options["charset"]), str(options["unicode_charset"])
        self._unicode_charset = self._unicode_charset or self._charset
        self._query = _fields("url", parts.query) + _fields("query", str(options["query"]))
        self._headers = _headers(str(options["headers"]))
        self._form: list[tuple[str, str]] = []
        self._json: Any = None
        self._take_body(str(options["body"]))

    def _take_body(self, body: str) -> None:
        if self._content == "form":
            self._form = _fields("body", body)
        elif self._content == "json":
            try:
                self._json = json.loads(body)
            except (ValueError, RecursionError):
                raise BadInput(
                    "The body of an http trunk must be JSON, with placeholders inside its strings."
                ) from None
            _each_string(self._json, lambda text: _checked("body", text))
        elif body:
            raise BadInput(
                "With the content text the body is the text itself, and no body is given."
                if self._content == "text"
                else "With the content query there is no body; give everything in query."
            )
        if self._content != "query" and self._method == b"GET":
            raise BadInput("A GET request has no body: the content must be query, or the method POST or PUT.")

    def request(self, message: Submission, account: Account) -> Request:
        """The request that sends this message. Raises Unsendable."""
        values = _values(message, account)
        is_gsm = gsm.encoding_of(message.text) is gsm.Encoding.GSM

        def fill(template: str) -> str | None:
            return _fill(template, values, is_gsm)

        def octets(template: str, filled: str) -> bytes:
            charset = self._charset if is_gsm or "{text}" not in template else self._unicode_charset
            try:
                return filled.encode(charset)
            except UnicodeEncodeError:
                raise Unsendable(f"The charset {charset} of the trunk cannot carry this text.") from None

        def encoded(fields: list[tuple[str, str]], blank: bytes) -> bytes:
            pairs = []
            for name, template in fields:
                filled = fill(template)
                if filled is not None:
                    value = quote_from_bytes(octets(template, filled), safe="").encode().replace(b"%20", blank)
                    pairs.append(quote(name, safe="").encode() + b"=" + value)
            return b"&".join(pairs)

        query = encoded(self._query, b"%20")
        target = self._target(fill) + (b"?" + query if query else b"")
        body = b""
        if self._content == "form":
            body = encoded(self._form, b"+")
        elif self._content == "json":
            body = json.dumps(_each_string(self._json, fill)).encode()
        elif self._content == "text":
            body = octets("{text}", values["text"])
        return Request(self._method, target, self._all_headers(fill, is_gsm, body), body)

    def _target(self, fill: Callable[[str], str | None]) -> bytes:
        pieces, at = [], 0
        for hole in _HOLE.finditer(self._path):
            pieces.append(quote(unquote(self._path[at : hole.start()]), safe="/:@!$&'()*+,;=~-._"))
            pieces.append(quote(fill(hole[0]) or "", safe=""))
            at = hole.end()
        pieces.append(quote(unquote(self._path[at:]), safe="/:@!$&'()*+,;=~-._"))
        return "".join(pieces).encode()

    def _all_headers(self, fill: Callable[[str], str | None], is_gsm: bool, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [(b"Host", self._named_host), (b"User-Agent", b"ixxsms"), (b"Accept-Encoding", b"identity")]
        given = {name.lower() for name, _ in self._headers}
        if self._method != b"GET":
            headers.append((b"Content-Length", str(len(body)).encode()))
        if self._content in _CONTENT_TYPES and "content-type" not in given:
            kind = _CONTENT_TYPES[self._content]
            if self._content != "json":
                # Of a form only the text's own field is in the other charset.
                is_text = self._content == "text" and not is_gsm
                kind += f"; charset={self._unicode_charset if is_text else self._charset}"
            headers.append((b"Content-Type", kind.encode()))
        for name, template in self._headers:
            value = fill(template)
            if value is not None:
                value = _CONTROL.sub("", value).strip()
                headers.append((name.encode(), value.encode("ascii" if value.isascii() else "utf-8")))
        return headers


def _values(message: Submission, account: Account) -> dict[str, str]:
    # Half of a surrogate pair is no character, and no charset has it.
    text = message.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    sender = message.sender_id
    whole = sender.isascii() and sender.isdigit() and len(sender) >= _SHORTEST_NUMBER
    return {
        "number": message.destination,
        "text": text,
        "sender": sender,
        "sender_e164": f"+{sender}" if whole else sender,
        "ref": reference(message.message_id),
        "id": str(message.message_id),
        "user": account.user,
        "password": account.password,
        "basic": account.basic,
        "webhook": account.webhook,
    }


def _fill(template: str, values: Mapping[str, str], is_gsm: bool) -> str | None:
    """The template with its values in place; None where a field with it is left out."""
    if any(not values[hole] for hole in _holes(template) & _LEFT_OUT):
        return None
    return _HOLE.sub(lambda hole: values[hole[1]] if hole[1] else hole[2 if is_gsm else 3], template)


def _holes(template: str) -> set[str]:
    return {hole[1] for hole in _HOLE.finditer(template) if hole[1]}


def _checked(where: str, template: str) -> str:
    holes = _holes(template)
    unknown = sorted(holes - set(PLACEHOLDERS))
    if unknown:
        raise BadInput(f"There is no placeholder {{{unknown[0][:40]}}} ({where}); there are {', '.join(PLACEHOLDERS)}.")
    if "webhook" in holes and holes & {"text", "sender", "sender_e164", "user", "password", "basic"}:
        # A URL inside of a field: what is put behind it would have to be encoded twice.
        raise BadInput(f"Beside {{webhook}} a field ({where}) can hold ref, id and number only.")
    return template


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        _named_host(parts.netloc)
    except ValueError:  # a UnicodeError is one
        good = False
    if not good or _CONTROL.search(url) or " " in url:
        raise BadInput("An http trunk needs the url of its API, http://host:port/path or https://host/path.")
    if "@" in parts.netloc:
        raise BadInput("A url must not hold a password: give the user, the password and a header with {basic}.")
    if "{" in parts.netloc or "\\" in parts.netloc or parts.fragment:
        raise BadInput("The host of a url must stand there as it is, and nothing may follow a #.")
    return parts


def _named_host(netloc: str) -> bytes:
    """Host and port as a request names them. Raises UnicodeError for what can be no name."""
    return netloc.encode("ascii" if netloc.isascii() else "idna")


def _fields(where: str, template: str) -> list[tuple[str, str]]:
    """`a={x}&b=c` as pairs. %26 is an ampersand in a value, %25 a percent sign; a plus sign is a plus sign."""
    fields = []
    for part in filter(None, template.split("&")):
        name, _, value = part.partition("=")
        if _HOLE.search(name):
            raise BadInput(f"The name of a field ({where}) must stand there as it is.")
        fields.append((unquote(name), _checked(where, unquote(value))))
    return fields


def _headers(template: str) -> list[tuple[str, str]]:
    """One `Name: value` for each line."""
    headers = []
    for line in filter(str.strip, template.splitlines()):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise BadInput('A header of an http trunk is written "Name: value", one in a line.')
        if name.lower() in _OF_THE_LINK:
            raise BadInput(f"The header {name} cannot be given: it is part of the link.")
        if "text" in _holes(value):
            raise BadInput("A header cannot carry the text.")
        headers.append((name, _checked("headers", value)))
    return headers


def _each_string(value: Any, change: Callable[[str], str | None]) -> Any:
    """The JSON value with each of its strings changed; a member or an element that becomes None is left out."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        changed = {name: _each_string(inner, change) if inner is not None else inner for name, inner in value.items()}
        return {name: inner for name, inner in changed.items() if inner is not None or value[name] is None}
    if isinstance(value, list):
        kept = [(inner, _each_string(inner, change)) for inner in value]
        return [new for old, new in kept if new is not None or old is None]
    return value
