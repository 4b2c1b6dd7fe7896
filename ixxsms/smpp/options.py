"""The options of an SMPP trunk: each declared once, with its default, its check and its help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ixxsms.errors import BadInput
from ixxsms.septets import LANGUAGES
from ixxsms.smpp import coding, pdu, presets, status
from ixxsms.smpp.coding import Alphabet, Long
from ixxsms.smpp.receipt import Base, Parts, Rules, check_pattern, parse_words


class Option(NamedTuple):
    default: Any
    check: Callable[[str, Any], Any]  #: (name, value given) -> the value to keep; raises BadInput
    help: str


def _number(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        digits = str(value).lower()
        try:
            number = int(digits, 16 if digits.startswith("0x") else 10)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise BadInput(f"The {name} of an SMPP trunk must be a number from {low} to {high}.")
        return number

    return check


def _auto_or_number(high: int) -> Callable[[str, Any], int | None]:
    def check(name: str, value: Any) -> int | None:
        return None if value in (None, "", "auto") else _number(0, high)(name, value)

    return check


def _host(name: str, value: Any) -> str:
    host = str(value).strip()
    if not host and name == "host":
        raise BadInput("An SMPP trunk needs the host name or address of its SMSC.")
    if len(host) > 253 or not host.isascii() or not host.isprintable() or " " in host or "/" in host:
        raise BadInput(f"{host[:60]!a} is no host name or address.")
    return host


def _words(name: str, value: Any) -> str:
    text = str(value)
    pdu.check_field(name, text)
    return text


def _path(name: str, value: Any) -> str:
    path = str(value)
    if path and (not path.startswith("/") or "\0" in path):
        raise BadInput(f"The {name} of an SMPP trunk must be the whole path of a file, from / on.")
    return path


def _address_range(name: str, value: Any) -> str:
    text = str(value)
    if len(text) > 40 or not text.isascii() or not (text.isprintable() or not text):
        raise BadInput(f"The {name} of an SMPP trunk can have up to 40 characters, all of them ASCII.")
    return text


def _choice(choices: Iterable[str]) -> Callable[[str, Any], str]:
    names = [str(choice) for choice in choices]

    def check(name: str, value: Any) -> str:
        if value not in names:
            raise BadInput(f"The {name} of an SMPP trunk must be one of {', '.join(names)}.")
        return str(value)

    return check


def _yes_or_no(name: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in ("yes", "true", "1", "no", "false", "0"):
        raise BadInput(f"The {name} of an SMPP trunk must be yes or no.")
    return word in ("yes", "true", "1")


def _service_type(name: str, value: Any) -> str:
    text = str(value)
    if len(text) > 5 or not text.isascii() or not text.isprintable():
        raise BadInput("The service_type of an SMPP trunk can have up to 5 letters and digits.")
    return text


def _validity(name: str, value: Any) -> str:
    coding.parse_validity(str(value))
    return str(value)


def _tlvs(name: str, value: Any) -> str:
    coding.parse_tlvs(str(value))
    return str(value)


def _errors(name: str, value: Any) -> str:
    status.parse_overrides(str(value))
    return str(value)


def _provider(name: str, value: Any) -> str:
    status.errors(str(value))
    return str(value)


def _pattern(name: str, value: Any) -> str:
    if value:
        check_pattern(str(value))
    return str(value)


def _receipt_words(name: str, value: Any) -> str:
    parse_words(str(value))
    return str(value)


VERSIONS = {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50}  #: interface_version as people write it -> as it goes out
SECRETS = {"rx_password"}  #: options that must not be shown

OPTIONS: dict[str, Option] = {
    "host": Option("", _host, "The SMSC's host name or address."),
    "port": Option(2775, _number(1, 65535), "The SMSC's TCP port."),
    "user": Option("", _words, "The user of the login (system_id)."),
    "system_type": Option("", _words, "The system type of the login, where the provider gives one."),
    "bind": Option(
        "trx",
        _choice([*pdu.BINDS, "tx+rx"]),
        "trx to send and receive, tx to send, rx to receive, tx+rx for one of each.",
    ),
    "binds": Option(1, _number(1, 10), "How many binds there are at a time; of tx+rx, how many that send."),
    "window": Option(10, _number(1, 1000), "How many segments of a bind may wait for the SMSC's answer at a time."),
    "rx_host": Option("", _host, "Of tx+rx: the receiver's host, where it is another."),
    "rx_port": Option(0, _number(0, 65535), "Of tx+rx: the receiver's port, where it is another."),
    "rx_user": Option("", _words, "Of tx+rx: the receiver's user, where it is another."),
    "rx_password": Option("", _words, "Of tx+rx: the receiver's password, where it is another."),
    "tls": Option("no", _yes_or_no, "Whether the link is encrypted (TLS 1.2 or newer): yes or no."),
    "tls_ca": Option("", _path, "The file of the authority that signed the SMSC's certificate; empty: the system's."),
    "tls_verify": Option("yes", _yes_or_no, "no takes any certificate, also that of somebody who listens in."),
    "interface_version": Option("3.4", _choice(VERSIONS), "The version of SMPP that the login names."),
    "address_range": Option("", _address_range, "Which addresses the bind receives for, where the provider says so."),
    "address_ton": Option(0, _number(0, 7), "Type of number of the address range."),
    "address_npi": Option(0, _number(0, 18), "Numbering plan of the address range."),
    "enquire_link": Option(30, _number(5, 3600), "Seconds of silence after which the link is tested."),
    "source_ton": Option(None, _auto_or_number(7), "Type of number of the sender id, or auto."),
    "source_npi": Option(None, _auto_or_number(18), "Numbering plan of the sender id, or auto."),
    "dest_ton": Option(None, _auto_or_number(7), "Type of number of the destination, or auto."),
    "dest_npi": Option(None, _auto_or_number(18), "Numbering plan of the destination, or auto."),
    "default_alphabet": Option(
        "gsm0338",
        _choice(Alphabet),
        "What the SMSC's default alphabet is: gsm0338, latin1, ascii, or packed (GSM septets in 7 bits).",
    ),
    "data_coding": Option(None, _auto_or_number(255), "What announces the default alphabet: a number, or auto (0)."),
    "ucs2_data_coding": Option(None, _auto_or_number(255), "What announces UCS-2: a number, or auto (8)."),
    "long": Option(
        "udh8",
        _choice(Long),
        "How long messages go: udh8 or udh16 (a header in each segment), sar (TLVs), payload (in one message_payload).",
    ),
    "shift": Option(
        "none",
        _choice(["none", *LANGUAGES]),
        "National tables for texts outside GSM, if SMSC and phones know them: none, spanish, portuguese, turkish.",
    ),
    "transliterate": Option(
        "no", _yes_or_no, "Write a text in plainer letters (á as a) where that spares it UCS-2: yes or no."
    ),
    "flash": Option("no", _yes_or_no, "Class 0, shown at once and not kept, where the data_coding is auto: yes or no."),
    "service_type": Option("", _service_type, "The service_type, where the provider gives one."),
    "protocol_id": Option(0, _number(0, 255), "The protocol_id."),
    "priority_flag": Option(0, _number(0, 3), "The priority_flag, 0 to 3."),
    "registered_delivery": Option(
        None, _auto_or_number(255), "What asks for receipts: a number, or auto (1, and 0 without the setting receipts)."
    ),
    "validity": Option(
        "",
        _validity,
        "How long the SMSC may try: 24h, 90m, 2d; with absolute behind it, as a date; empty: as it likes.",
    ),
    "tlvs": Option(
        "", _tlvs, "TLVs for every message: 0x1400=s:text,0x1401=z:text with a NUL,0x0204=h:00ff (hexadecimal)."
    ),
    "errors": Option("", _errors, "What this provider means by a code: 0x14=throttle,0x400=stop."),
    "provider": Option("", _provider, f"Whose own error codes are understood: {', '.join(status.providers())}."),
    "receipt_id_base": Option("auto", _choice(Base), f"How answer and receipt write an id: {', '.join(Base)}."),
    "receipt_regex": Option(
        "",
        _pattern,
        "The form of a receipt's text: a regular expression with the groups id, stat, and perhaps err, number.",
    ),
    "receipt_words": Option("", _receipt_words, "What words of a receipt mean: 00=delivered,05=failed,03=pending."),
    "receipt_by_text": Option("no", _yes_or_no, "Whether an SMS that reads like a receipt is one: yes or no."),
    "unknown_is_final": Option("yes", _yes_or_no, "Whether UNKNOWN in a receipt is a failure: yes or no."),
    "parts_receipt": Option(
        "all",
        _choice(Parts),
        "Which segments' receipts decide about a long message: all, last, first, any (the first that comes).",
    ),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an SMPP trunk, complete with defaults. Raises BadInput with one sentence.

    A `preset` among them gives the values that are not given otherwise; it is not kept.
    """
    given = dict(options)
    preset = given.pop("preset", None)
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise BadInput(f'An SMPP trunk has no option "{unknown[0]}"; it has {", ".join(OPTIONS)}, preset.')
    given = {**(presets.fields(preset) if preset else {}), **given}
    checked = {name: option.check(name, given.get(name, option.default)) for name, option in OPTIONS.items()}
    _check_alphabet(checked)
    return checked


def _check_alphabet(options: Mapping[str, Any]) -> None:
    """Options that are sound by themselves and together would make every text unreadable."""
    alphabet = options["default_alphabet"]
    if options["shift"] != "none" and alphabet not in (Alphabet.GSM0338, Alphabet.PACKED):
        raise BadInput("Shift tables need an SMPP trunk whose default_alphabet is gsm0338 or packed.")
    if options["data_coding"] == coding.LATIN1 and alphabet != Alphabet.LATIN1:
        raise BadInput(
            "The data_coding 3 announces Latin-1: the default_alphabet of the SMPP trunk must be latin1 too."
        )
    if options["data_coding"] == coding.UCS2:
        raise BadInput("The data_coding 8 announces UCS-2, not the default alphabet of an SMPP trunk.")


def receipt_rules(options: Mapping[str, Any]) -> Rules:
    """How the receipts of a trunk with these options are read."""
    pattern = options["receipt_regex"]
    return Rules(
        check_pattern(pattern) if pattern else None,
        parse_words(options["receipt_words"]),
        options["unknown_is_final"],
        options["receipt_by_text"],
    )
