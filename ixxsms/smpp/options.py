"""The options of an SMPP trunk: each declared once, with its default, its check and its help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ixxsms.errors import BadInput
from ixxsms.smpp import pdu, presets
from ixxsms.smpp.status import parse_overrides


class Option(NamedTuple):
    default: Any
    check: Callable[[str, Any], Any]  #: (name, value given) -> the value to keep; raises BadInput
    help: str


def _number(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            number = int(str(value))
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
    if not host:
        raise BadInput("An SMPP trunk needs the host name or address of its SMSC.")
    if len(host) > 253 or not host.isascii() or not host.isprintable() or " " in host or "/" in host:
        raise BadInput(f"{host[:60]!a} is no host name or address.")
    return host


def _words(name: str, value: Any) -> str:
    text = str(value)
    pdu.check_field(name, text)
    return text


def _bind(name: str, value: Any) -> str:
    if value not in pdu.BINDS:
        raise BadInput(f"The bind of an SMPP trunk must be one of {', '.join(pdu.BINDS)}.")
    return str(value)


def _errors(name: str, value: Any) -> str:
    parse_overrides(str(value))
    return str(value)


OPTIONS: dict[str, Option] = {
    "host": Option("", _host, "The SMSC's host name or address."),
    "port": Option(2775, _number(1, 65535), "The SMSC's TCP port."),
    "user": Option("", _words, "The user of the login (system_id)."),
    "system_type": Option("", _words, "The system type of the login, where the provider gives one."),
    "bind": Option("trx", _bind, "trx to send and receive, tx to send only, rx to receive only."),
    "window": Option(10, _number(1, 1000), "How many segments may wait for the SMSC's answer at a time."),
    "enquire_link": Option(30, _number(5, 3600), "Seconds of silence after which the link is tested."),
    "source_ton": Option(None, _auto_or_number(7), "Type of number of the sender id, or auto."),
    "source_npi": Option(None, _auto_or_number(18), "Numbering plan of the sender id, or auto."),
    "dest_ton": Option(None, _auto_or_number(7), "Type of number of the destination, or auto."),
    "dest_npi": Option(None, _auto_or_number(18), "Numbering plan of the destination, or auto."),
    "errors": Option("", _errors, "What this provider means by a code: 0x14=throttle,0x400=stop."),
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
    return {name: option.check(name, given.get(name, option.default)) for name, option in OPTIONS.items()}
