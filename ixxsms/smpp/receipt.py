"""Receipts: the SMSC's later word on a segment, in the TLVs and in the text that SMSCs write.

The text's form is only the appendix B of the specification and every SMSC varies it: fields come in any order,
with other words, dates and cases, or not at all. What is read here is hostile input: nothing raises. The dates are in
a zone that nobody knows: they are passed over, and no order is ever taken from them.
Must never know the store; how ids are compared is in `remote_id_keys`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ixxsms import text as gsm
from ixxsms.errors import BadInput
from ixxsms.smpp.pdu import (
    TLV_MESSAGE_STATE,
    TLV_NETWORK_ERROR_CODE,
    TLV_RECEIPTED_MESSAGE_ID,
    UDHI,
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
#: The form of the specification (appendix B), as nearly all SMSCs write it: to read it so takes a fifth of the time.
_STANDARD = re.compile(
    r"id:(\w{1,64}) sub:(\w{1,9}) dlvrd:(\w{1,9}) submit date:(\w{1,14}) done date:(\w{1,14}) stat:(\w{1,16})"
    r" err:(\w{1,9})(?:\stext:.*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_STANDARD_FIELDS = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err")
_LONGEST = 1024  #: characters of a receipt's text that are looked at
# Vodafone's form: stat, done date, submit date, err, destination, source, id.
_CSV = re.compile(r"(\d{2}),\d{10},\d{10},(\d{0,9}),\+?(\d{1,20}),[^,]{0,20},(\S{1,64})\s*")

#: characters of a trunk's own pattern, and of a text that it is tried on
PATTERN_LENGTH, PATTERN_TEXT = 200, 256
_REPEATED_GROUP = re.compile(r"(?<!\\)(?:\\\\)*\)[*+{]")
_ANYTHING = re.compile(r"(?<!\\)(?:\\\\)*\.[*+{]")


class Base(StrEnum):
    """In which base the SMSC writes the same id in its answer and in its receipt."""

    AUTO = "auto"  #: the same, else each is tried as the other's hexadecimal
    SAME = "same"
    RESP_HEX_RECEIPT_DEC = "resp_hex_receipt_dec"
    RESP_DEC_RECEIPT_HEX = "resp_dec_receipt_hex"
    BOTH_HEX = "both_hex"


class Parts(StrEnum):
    """Whose receipts decide about a long message. With any, the first word that comes does."""

    ALL = "all"
    LAST = "last"
    FIRST = "first"
    ANY = "any"


@dataclass(frozen=True)
class Rules:
    """How the receipts of one trunk are read.

    `pattern`: of its texts, with the groups id and stat, and perhaps err and number; where it does not match, the
    usual forms are tried. `words`: what words of its own mean. `unknown_is_final`: whether UNKNOWN is a failure.
    `by_text`: a text that looks like a receipt is one, though neither class nor TLVs say so.
    """

    pattern: re.Pattern[str] | None = None
    words: Mapping[str, bool | None] = field(default_factory=dict)
    unknown_is_final: bool = True
    by_text: bool = False


class Word(NamedTuple):
    """What a receipt says. `delivered`: True, False for ever, or None while the SMSC is still trying.

    `number`: whom the message was sent to, where the text tells.
    """

    remote_id: str
    delivered: bool | None
    stat: str
    err: str
    number: str = ""


_USUAL = Rules()


def is_receipt(message: Message, rules: Rules = _USUAL) -> bool:
    """Whether a deliver_sm or data_sm is a receipt and not an SMS from a person."""
    kind = message.esm_class & TYPE_MASK
    if kind in (RECEIPT_TYPE, INTERMEDIATE_TYPE, RECEIPT_TYPE | INTERMEDIATE_TYPE):
        return True
    if TLV_RECEIPTED_MESSAGE_ID in message.tlvs and TLV_MESSAGE_STATE in message.tlvs:
        return True
    return rules.by_text and {"id", "stat"} <= _fields(message, rules).keys()


def read(message: Message, rules: Rules = _USUAL) -> Word:
    """The TLVs' word, and the text's where they have none. An id that is nowhere is empty."""
    fields = _fields(message, rules)
    state = message.tlvs.get(TLV_MESSAGE_STATE, b"")
    error = message.tlvs.get(TLV_NETWORK_ERROR_CODE, b"")
    remote_id = parse_id(message.tlvs.get(TLV_RECEIPTED_MESSAGE_ID, b"")) or fields.get("id", "")
    stat = STATES.get(state[0], "") if state else ""
    stat = stat or fields.get("stat", "")
    # The network error code is the network's type and two octets of code (section 5.3.2.31).
    err = str(int.from_bytes(error[1:3], "big")) if len(error) == 3 else fields.get("err", "")
    delivered = verdict(stat, rules)
    if delivered is False and message.esm_class & INTERMEDIATE_TYPE:
        delivered = None  # an attempt failed; the SMSC goes on trying
    return Word(remote_id, delivered, stat[:16], err[:16], fields.get("number", ""))


def _fields(message: Message, rules: Rules) -> dict[str, str]:
    """The fields of a receipt's text: those of the trunk's own pattern where it matches, else the usual ones."""
    data = message.data
    if not data:
        return {}
    if message.esm_class & UDHI:
        data = gsm.split_udh(data)[1]
    text = data.decode(_encoding(message.data_coding, data), "replace")
    found = rules.pattern.search(text[:PATTERN_TEXT]) if rules.pattern else None
    if found is None:
        return parse_text(text)
    fields = {name: _printable(value.strip())[:64] for name, value in found.groupdict("").items()}
    fields["stat"] = fields["stat"].upper()
    return fields


def _encoding(data_coding: int, data: bytes) -> str:
    """Some say UCS-2 and write octets; whose first is none of an ASCII character in UCS-2."""
    if data_coding == 8 and data[:2] in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
        return "utf-16"
    return "utf-16-be" if data_coding == 8 and data[:1] == b"\0" else "latin-1"


def check_pattern(pattern: str) -> re.Pattern[str]:
    """A trunk's own pattern of its receipts' texts. Raises BadInput.

    A pattern may take longer than the universe lasts on a text that somebody else wrote. So it is short, is tried on
    the first 256 characters, repeats no group, and has a repeated dot at most twice.
    """
    if len(pattern) > PATTERN_LENGTH:
        raise BadInput(f"The receipt_regex of a trunk can have {PATTERN_LENGTH} characters at most.")
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadInput(f"The receipt_regex is no regular expression: {error}.") from None
    if not {"id", "stat"} <= compiled.groupindex.keys():
        raise BadInput("The receipt_regex needs the groups (?P<id>…) and (?P<stat>…); err and number may be there too.")
    if _REPEATED_GROUP.search(pattern) or len(_ANYTHING.findall(pattern)) > 2:
        raise BadInput(
            "The receipt_regex must not repeat a group, nor a dot more than twice: it could take for ever. "
            "Write [^,]* for all up to the next comma."
        )
    return compiled


def parse_words(text: str) -> dict[str, bool | None]:
    """`00=delivered,05=failed,03=pending` as word -> verdict. Raises BadInput."""
    meanings = {"delivered": True, "failed": False, "pending": None}
    words: dict[str, bool | None] = {}
    for entry in filter(None, re.split(r"[,\s]+", text)):
        word, _, meaning = entry.partition("=")
        if not word or meaning not in meanings:
            raise BadInput(f'"{entry[:40]}" is not like 00=delivered; a word means {", ".join(meanings)}.')
        words[word.upper()[:16]] = meanings[meaning]
    return words


def _printable(value: str) -> str:
    return value if value.isprintable() else "".join(filter(str.isprintable, value))


def parse_text(text: str) -> dict[str, str]:
    """The fields id, sub, dlvrd, submit date, done date, stat and err, as far as they are there; the first of each.

    Vodafone's line of commas has id, stat and err, and the recipient's number.
    """
    text = text[:_LONGEST]
    standard = _STANDARD.fullmatch(text)
    if standard is None:
        return _in_any_form(text)
    fields = dict(zip(_STANDARD_FIELDS, standard.groups(), strict=True))
    fields["stat"] = fields["stat"].upper()
    return fields


def _in_any_form(text: str) -> dict[str, str]:
    csv = _CSV.fullmatch(text)
    if csv:
        return dict(zip(("stat", "err", "number", "id"), csv.groups(), strict=True))
    quoted = _TEXT.search(text)  # behind it stands the message itself, which may hold anything
    fields: dict[str, str] = {}
    for key, value in _FIELD.findall(text[: quoted.start()] if quoted else text):
        fields.setdefault(_NAMES[key.lower()], _printable(value.rstrip(",;")))
    if "stat" in fields:
        fields["stat"] = fields["stat"].upper()
    return fields


def verdict(stat: str, rules: Rules = _USUAL) -> bool | None:
    """True for delivered, False for a failure that is final, None while it is open or the word is not known."""
    if stat in rules.words:
        return rules.words[stat]
    if stat in _DELIVERED:
        return True
    if stat == "UNKNOWN" and not rules.unknown_is_final:
        return None
    return False if stat in _FAILED else None


def remote_id_key(remote_id: str) -> str:
    """The form in which an id is stored at submit: SMSCs change case and drop leading zeros. Empty for an empty id."""
    folded = remote_id.strip().lower()
    return folded.lstrip("0") or folded[:1]


def remote_id_keys(remote_id: str, base: Base = Base.AUTO) -> list[str]:
    """The forms under which an id may have been stored, the likeliest first. Empty for an empty id.

    With Base.AUTO the first is that of remote_id_key(); the others are what the SMSC may have meant: some answer a
    submit in hexadecimal and report in decimal, or the other way round.
    """
    plain = remote_id_key(remote_id)
    if not plain:
        return []
    as_hex = as_decimal = plain
    if plain.isascii() and len(plain) <= 64:
        if plain.isdigit():
            as_hex = format(int(plain), "x")
        if re.fullmatch("[0-9a-f]+", plain):
            as_decimal = str(int(plain, 16))
    if base is Base.RESP_HEX_RECEIPT_DEC:
        return [as_hex]
    if base is Base.RESP_DEC_RECEIPT_HEX:
        return [as_decimal]
    if base is Base.AUTO:
        return list(dict.fromkeys([plain, as_hex, as_decimal]))
    return [plain]
