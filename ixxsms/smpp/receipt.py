"""Receipts: the SMSC's later word on a segment, in the TLVs and in the text that SMSCs write.

The text's form is only the appendix B of the specification and every SMSC varies it: fields come in any order,
with other words, dates and cases, or not at all. What is read here is hostile input: nothing raises.
Must never know the store; how ids are compared is in `remote_id_keys`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ixxsms.smpp.pdu import (
    TLV_MESSAGE_STATE,
    TLV_NETWORK_ERROR_CODE,
    TLV_RECEIPTED_MESSAGE_ID,
    Message,
    parse_id,
)

TYPE_MASK, RECEIPT_TYPE, INTERMEDIATE_TYPE = 0x3C, 0x04, 0x20  #: of esm_class, SMPP 3.4 section 5.2.12

#: message_state (section 5.2.28) in the words of a receipt's text
STATES = {
    0: "SCHEDLD", 1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED",
    5: "UNDELIV", 6: "ACCEPTD", 7: "UNKNOWN", 8: "REJECTD", 9: "SKIPPED",
}  # fmt: skip
_DELIVERED = {"DELIVRD", "DELIVERED"}
_FAILED = {
    "UNDELIV", "UNDELIVERED", "UNDELIVERABLE", "EXPIRED", "DELETED", "REJECTD", "REJECTED", "FAILED", "SKIPPED",
    "UNKNOWN",
}  # fmt: skip

#: the words that SMSCs use -> the word that we do
_NAMES = {
    "id": "id", "sub": "sub", "dlvrd": "dlvrd", "stat": "stat", "status": "stat", "err": "err", "error": "err",
    "submit date": "submit date", "submit_date": "submit date", "submitdate": "submit date",
    "done date": "done date", "done_date": "done date", "donedate": "done date",
}  # fmt: skip
_KEYS = r"id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat(?:us)?|err(?:or)?"
_TEXT = re.compile(r"(?:^|\s)text\s*:", re.IGNORECASE)
_COLON = r"[ \t]{0,9}:"
_FIELD = re.compile(rf"(?<![\w-])({_KEYS}){_COLON}[ \t]*((?:(?!(?:{_KEYS}){_COLON})\S){{0,64}})", re.IGNORECASE)
_LONGEST = 1024  #: characters of a receipt's text that are looked at


class Word(NamedTuple):
    """What a receipt says. `delivered`: True, False for ever, or None while the SMSC is still trying."""

    remote_id: str
    delivered: bool | None
    stat: str
    err: str


def is_receipt(message: Message) -> bool:
    """Whether a deliver_sm or data_sm is a receipt and not an SMS from a person."""
    kind = message.esm_class & TYPE_MASK
    if kind in (RECEIPT_TYPE, INTERMEDIATE_TYPE, RECEIPT_TYPE | INTERMEDIATE_TYPE):
        return True
    return TLV_RECEIPTED_MESSAGE_ID in message.tlvs and TLV_MESSAGE_STATE in message.tlvs


def read(message: Message) -> Word:
    """The TLVs' word, and the text's where they have none. An id that is nowhere is empty."""
    fields = parse_text(message.data.decode("latin-1")) if message.data else {}
    state = message.tlvs.get(TLV_MESSAGE_STATE, b"")
    error = message.tlvs.get(TLV_NETWORK_ERROR_CODE, b"")
    remote_id = parse_id(message.tlvs.get(TLV_RECEIPTED_MESSAGE_ID, b"")) or fields.get("id", "")
    stat = STATES.get(state[0], "") if state else ""
    stat = stat or fields.get("stat", "")
    # The network error code is the network's type and two octets of code (section 5.3.2.31).
    err = str(int.from_bytes(error[1:3], "big")) if len(error) == 3 else fields.get("err", "")
    delivered = verdict(stat)
    if delivered is False and message.esm_class & INTERMEDIATE_TYPE:
        delivered = None  # an attempt failed; the SMSC goes on trying
    return Word(remote_id, delivered, stat[:16], err[:16])


def parse_text(text: str) -> dict[str, str]:
    """The fields id, sub, dlvrd, submit date, done date, stat and err, as far as they are there; the first of each."""
    text = text[:_LONGEST]
    quoted = _TEXT.search(text)  # behind it stands the message itself, which may hold anything
    fields: dict[str, str] = {}
    for key, value in _FIELD.findall(text[: quoted.start()] if quoted else text):
        if not value.isprintable():
            value = "".join(filter(str.isprintable, value))
        fields.setdefault(_NAMES[key.lower()], value)
    if "stat" in fields:
        fields["stat"] = fields["stat"].upper()
    return fields


def verdict(stat: str) -> bool | None:
    """True for delivered, False for a failure that is final, None while it is open or the word is not known."""
    if stat in _DELIVERED:
        return True
    return False if stat in _FAILED else None


def remote_id_keys(remote_id: str) -> list[str]:
    """The forms under which an id may have been stored, the likeliest first. Empty for an empty id.

    The first is the one to store at submit. SMSCs change case, drop leading zeros, and answer a submit in hexadecimal
    and report in decimal, or the other way round.
    """
    folded = remote_id.strip().lower()
    if not folded:
        return []
    plain = folded.lstrip("0") or "0"
    keys = [plain]
    if plain.isascii() and len(plain) <= 64:
        if plain.isdigit():
            keys.append(format(int(plain), "x"))
        if re.fullmatch("[0-9a-f]+", plain):
            keys.append(str(int(plain, 16)))
    return list(dict.fromkeys(keys))
