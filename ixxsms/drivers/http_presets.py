"""Presets of public HTTP APIs: the options that an API's own documents state. Data, in http_presets.ini."""

from __future__ import annotations

import configparser
from functools import cache
from importlib import resources

from ixxsms.errors import BadInput


@cache
def _read() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(resources.files("ixxsms").joinpath("data/http_presets.ini").read_text("utf-8"))
    return parser


def names() -> list[str]:
    """Every preset there is, in the order of the file."""
    return _read().sections()


def source(name: str) -> str:
    """Where the preset's values were read. Raises BadInput for an unknown name."""
    return _section(name)["source"]


def fields(name: str) -> dict[str, str]:
    """The preset's options, name -> text. Raises BadInput for an unknown name."""
    return {option: value.strip() for option, value in _section(name).items() if option != "source"}


def _section(name: str) -> configparser.SectionProxy:
    if name not in _read():
        raise BadInput(f'There is no preset "{name[:40]}" of an http trunk; there are {", ".join(names())}.')
    return _read()[name]
