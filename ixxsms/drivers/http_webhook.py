"""The calls of an HTTP API to us: receipts and incoming SMS, and the signature that shows who called.

Knows where a trunk's options say that things stand. What it reads is hostile: all it may raise is BadInput.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.http_finder import Document, Finder
from ixxsms.drivers.said import clean
from ixxsms.drivers.webhook import Call
from ixxsms.errors import BadInput
from ixxsms.events import Receipt, Received
from ixxsms.smpp.incoming import decode

#: How a call shows who made it. `twilio` signs the URL and the sorted fields, the others the body.
SIGNATURES = ("token", "hmac-sha256", "hmac-sha1", "twilio")
#: Words that many APIs and every SMSC use; the option statuses adds to them.
STATUSES = {
    "delivered": True,
    "delivrd": True,
    "undelivered": False,
    "undeliv": False,
    "failed": False,
    "expired": False,
    "rejected": False,
    "rejectd": False,
    "deleted": False,
}
_WORDS = {"delivered": True, "undelivered": False, "pending": None}
_FINDERS = (
    "receipt_id",
    "receipt_status",
    "receipt_code",
    "receipt_number",
    "incoming_id",
    "incoming_from",
    "incoming_to",
    "incoming_text",
    "incoming_hex",
    "incoming_coding",
)


def parse_statuses(text: str) -> dict[str, bool | None]:
    """`1=delivered, 2=undelivered, 4=pending` as a word in small letters -> what it means. Raises BadInput."""
    statuses: dict[str, bool | None] = {}
    for entry in filter(None, (entry.strip() for entry in text.replace("\n", ",").split(","))):
        word, _, meaning = (part.strip() for part in entry.rpartition("="))
        if not word or meaning not in _WORDS:
            raise BadInput(f'"{entry[:40]}" (statuses) is not like 1=delivered; there are {", ".join(_WORDS)}.')
        statuses[word.lower()] = _WORDS[meaning]
    return statuses


def check(options: Mapping[str, Any]) -> None:
    """Raises BadInput where the options of a webhook cannot be understood."""
    for name in _FINDERS:
        Finder(name, str(options[name]))
    parse_statuses(str(options["statuses"]))


def signed(config: TrunkConfig, call: Call) -> bool | None:
    """Whether the call is signed with the trunk's password; None where it shows the token instead."""
    how = config.options.get("webhook_auth", "token")
    if how == "token":
        return None
    name = "x-twilio-signature" if how == "twilio" else str(config.options.get("webhook_signature", "")).lower()
    shown = call.headers.get(name, "").strip()
    if how == "twilio":
        # The parameters of a form, sorted by name, each followed by its value (twilio.com/docs/usage/webhooks).
        signed_octets = (call.url + "".join(f"{key}{call.form[key]}" for key in sorted(call.form))).encode()
    else:
        signed_octets = call.body
    algorithm = hashlib.sha256 if how == "hmac-sha256" else hashlib.sha1
    digest = hmac.new(config.password.encode(), signed_octets, algorithm).digest()
    # GitHub and others write the algorithm before it: sha256=...
    shown = shown.partition("=")[2] if shown.lower().startswith(("sha1=", "sha256=")) else shown
    right = [digest.hex(), base64.b64encode(digest).decode()]
    return bool(config.password) and any(
        [hmac.compare_digest(shown.lower().encode(), right[0].encode())]
        + [hmac.compare_digest(shown.encode(), right[1].encode())]
    )


def read_webhook(config: TrunkConfig, call: Call) -> list[Receipt | Received]:
    """What the call tells: receipts where it has an id and a status, else one incoming SMS."""
    document = Document(call.body.decode("utf-8", "replace"), {**call.query, **call.form})
    options = config.options
    find = {name: Finder(name, str(options.get(name, ""))) for name in _FINDERS}
    ids, words = find["receipt_id"].all(document), find["receipt_status"].all(document)
    if ids and words:
        if len(ids) != len(words):
            raise BadInput("The call has not one status for each id.")
        rest = [
            found + [""] * (len(ids) - len(found))
            for found in (find["receipt_code"].all(document), find["receipt_number"].all(document))
        ]
        return [_receipt(options, *told) for told in zip(ids, words, *rest, strict=False)]
    source = _address(find["incoming_from"].first(document))
    text = _text(find, document, call)
    if not source or text is None:
        raise BadInput(
            "The call is neither a receipt nor an incoming SMS: see the options receipt_... and incoming_..."
        )
    destination, repeated_as = _address(find["incoming_to"].first(document)), find["incoming_id"].first(document)
    return [Received(source, destination, text.replace("\0", ""), token=repeated_as or None)]


def _receipt(options: Mapping[str, Any], remote_id: str, word: str, code: str, number: str) -> Receipt:
    statuses = STATUSES | parse_statuses(str(options.get("statuses", "")))
    word = clean(word)
    if not clean(remote_id):
        raise BadInput("The receipt has no id.")
    return Receipt(
        clean(remote_id)[:65], statuses.get(word.lower()), word[:16], clean(code)[:16], _address(number).lstrip("+")
    )


def _text(find: Mapping[str, Finder], document: Document, call: Call) -> str | None:
    """The text; None where there is none. Octets in hexadecimal go before it: they are as the phone sent them."""
    octets = find["incoming_hex"].all(document)
    if octets:
        try:
            coding = int(find["incoming_coding"].first(document) or "0") & 0xFF
            return decode(bytes.fromhex(octets[0]), coding)
        except ValueError:
            raise BadInput("The octets of the incoming SMS are not hexadecimal.") from None
    texts = find["incoming_text"].all(document)
    return texts[0] if texts else None


def _address(said: str) -> str:
    """An address in printable characters, with the plus sign that it may have."""
    return "".join(filter(str.isprintable, said[:40])).strip()
