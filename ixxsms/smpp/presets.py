"""Provider presets: the options of an SMPP trunk that a provider's documentation states. Data, in providers.ini."""

from __future__ import annotations

import configparser
from functools import cache
from importlib import resources

from ixxsms.errors import BadInput


@cache
def _read() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(resources.files("ixxsms").joinpath("data/providers.ini").read_text("utf-8"))
    return parser


def names() -> list[str]:
    """Every preset there is, in the order of the file."""
    return _read().sections()


def source(name: str) -> str:
    """Where the preset's values were read: an address, or a few words. Raises BadInput for an unknown name."""
    return _section(name).get("source", "")


def fields(name: str) -> dict[str, str]:
    """The preset's options, name -> text. Raises BadInput for an unknown name."""
    return {option: value for option, value in _section(name).items() if option != "source"}


def _section(name: str) -> configparser.SectionProxy:
    if name not in _read():
        raise BadInput(f'There is no provider preset "{name[:40]}"; there are {", ".join(names())}.')
    return _read()[name]
