"""The kinds of trunk: which driver serves each, and which options it takes.

A driver is a module, or any object, with three names: OPTIONS, name -> a tuple whose first is the default and whose
last is the help; check_options(options), which gives them complete with defaults or raises BadInput; and
open_driver(config), which gives a Driver. Other packages add a kind by an entry point of the group `ixxsms.drivers`;
docs/drivers.md shows one. A package that is broken must say so in one sentence and leave the others alone.
More names are optional: preset(name), the options of a provider that is known; SECRETS, the names of the options that
must never be shown; read_webhook and signed, for receipts and incoming SMS over HTTP (see webhook.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

from ixxsms.drivers.base import Driver, TrunkConfig
from ixxsms.drivers.webhook import Call
from ixxsms.errors import BadInput, Error
from ixxsms.events import Receipt, Received

#: Our own: kind -> module, imported when first asked for. Their names are taken: no package can replace them.
OWN = {
    "smpp": "ixxsms.drivers.smpp",
    "script": "ixxsms.drivers.script",
    "http": "ixxsms.drivers.http",
    "asterisk": "ixxsms.drivers.asterisk",
}
GROUP = "ixxsms.drivers"
_NEEDED = ("OPTIONS", "check_options", "open_driver")


class Option(NamedTuple):
    """One option of a kind, for people to read."""

    name: str
    default: Any
    help: str


def kinds() -> list[str]:
    """Every kind there is: our own, then those of other packages."""
    others = {entry.name for entry in metadata.entry_points(group=GROUP)} - set(OWN)
    return [*OWN, *sorted(others)]


def options(kind: str) -> list[Option]:
    """The options of a kind. Raises BadInput."""
    return [Option(name, row[0], row[-1]) for name, row in _driver(kind).OPTIONS.items()]


def secrets(kind: str) -> frozenset[str]:
    """The options of a kind that must never be shown. Raises BadInput."""
    return frozenset(getattr(_driver(kind), "SECRETS", ()))


def check_options(kind: str, options: Mapping[str, Any], script_dir: str | Path) -> dict[str, Any]:
    """The options of a trunk of this kind, complete with defaults. Raises BadInput with one sentence."""
    driver = _driver(kind)
    # Only a script lies in a place that a setting names.
    place = (Path(script_dir),) if kind == "script" else ()
    try:
        return dict(driver.check_options(options, *place))
    except Exception as error:
        raise _named(kind, error) from error


def preset(kind: str, name: str) -> dict[str, Any]:
    """The options of a provider that is known, as its documents state them. Raises BadInput."""
    driver = _driver(kind)
    if not hasattr(driver, "preset"):
        raise BadInput(f"There are no presets for a trunk of the kind {kind}.")
    try:
        return dict(driver.preset(name))
    except Exception as error:
        raise _named(kind, error) from error


def open_driver(config: TrunkConfig) -> Driver:
    """A driver for this trunk; its link is not up yet. Raises Error."""
    try:
        driver: Driver = _driver(config.kind).open_driver(config)
    except Exception as error:
        raise _named(config.kind, error) from error
    return driver


def has_webhook(kind: str) -> bool:
    """Whether the other side of such a trunk can call us. Raises BadInput."""
    return hasattr(_driver(kind), "read_webhook")


def signed(config: TrunkConfig, call: Call) -> bool | None:
    """Whether the call is signed as the trunk wants it; None where it has to show the webhook's token instead."""
    driver = _driver(config.kind)
    if not hasattr(driver, "signed"):
        return None
    answer = driver.signed(config, call)
    return None if answer is None else bool(answer)


def read_webhook(config: TrunkConfig, call: Call) -> list[Receipt | Received]:
    """What a call of the webhook tells. Raises BadInput where it tells nothing that can be understood."""
    return list(_driver(config.kind).read_webhook(config, call))


def _driver(kind: str) -> Any:
    if kind in OWN:
        return import_module(OWN[kind])
    found = metadata.entry_points(group=GROUP, name=kind)
    if not found:
        known = kinds()
        raise BadInput(f'"{kind}" is no kind of trunk; there are {", ".join(known[:-1])} and {known[-1]}.')
    if len({entry.value for entry in found}) > 1:
        raise BadInput(f'Several packages have a driver for the kind "{kind}": {", ".join(sorted(map(_of, found)))}.')
    entry = next(iter(found))
    try:
        driver = entry.load()
    except Exception as error:
        raise BadInput(f'The driver for the kind "{kind}" {_of(entry)} cannot be loaded: {_words(error)}.') from error
    missing = [name for name in _NEEDED if not hasattr(driver, name)]
    if missing:
        raise BadInput(f'The driver for the kind "{kind}" {_of(entry)} has no {" and no ".join(missing)}.')
    return driver


def _of(entry: metadata.EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"({entry.value}{package})"


def _named(kind: str, error: Exception) -> Exception:
    """An error of ours as it is; what another package's driver raises becomes one sentence."""
    if kind in OWN or isinstance(error, Error):
        return error
    return Error(f'The driver for the kind "{kind}" failed: {_words(error)}.')


def _words(error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".")[:200]
    return f"{type(error).__name__}{': ' if said else ''}{said}"
