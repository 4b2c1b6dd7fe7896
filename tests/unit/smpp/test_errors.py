"""Every error code that providers are known to answer with, its class, and who may say otherwise."""

from __future__ import annotations

import pytest

from ixxsms.errors import BadInput
from ixxsms.smpp import presets, status
from ixxsms.smpp.options import check_options
from ixxsms.smpp.status import Class

# The table of what is known of real SMSCs, row by row.
KNOWN = [
    *((code, Class.THROTTLE) for code in (0x58,)),
    *((code, Class.RETRY) for code in (0x14, 0x08, 0x64)),
    *((code, Class.REBIND) for code in (0x04, 0x05)),
    *((code, Class.PERMANENT) for code in (0x0B, 0x65, 0x66, 0xFE)),
    *((code, Class.NEXT) for code in (0x45, 0x61, 0x62, 0x50, 0x51, 0x4A, 0x4B, 0x0A, 0x48, 0x49, 0x22, 0xFF)),
    *((code, Class.NEXT) for code in (0x01, 0x43, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0x104)),
    *((code, Class.STOP) for code in (0x0D, 0x0E, 0x0F, 0x53, 0x4D, 0x15, 0x16, 0x100, 0x101, 0x102, 0x103)),
    *((code, Class.STOP) for code in (0x67, 0xB3, 0xB4, 0x5A, 0x4A1)),
    *((code, Class.NEXT) for code in (0x400, 0x40B, 0x4FF, 0xABCDEF)),
]


@pytest.mark.parametrize(("code", "klass"), KNOWN)
def test_a_code_has_its_class(code: int, klass: Class) -> None:
    assert status.look_up(code).klass is klass


@pytest.mark.parametrize("code", [0x0A, 0x48, 0x49, 0x4A, 0x4B, 0x50, 0x51])
def test_a_code_that_speaks_of_the_set_up_stops_the_trunk_after_many_in_a_row(code: int) -> None:
    assert status.look_up(code).in_a_row == 100
    assert status.look_up(code, status.errors(overrides=f"{code}=next")).in_a_row == 0


def test_every_code_of_the_specification_is_in_the_table() -> None:
    from smpplib import consts

    spec = {value for name, value in vars(consts).items() if name.startswith("SMPP_ESME_") and value}
    assert spec <= set(status.default_table())


@pytest.mark.parametrize(
    ("provider", "code", "klass", "word"),
    [
        ("hollatags", 0x401, Class.STOP, "credit"), ("hollatags", 0x400, Class.NEXT, "routed"),
        ("hollatags", 0x402, Class.STOP, "limit"), ("hollatags", 0x403, Class.STOP, "frozen"),
        ("hollatags", 0x40A, Class.PERMANENT, "do-not-disturb"), ("hollatags", 0x432, Class.PERMANENT, "spam"),
        ("claro", 0x401, Class.PERMANENT, "already"), ("claro", 0x400, Class.STOP, "blocked"),
        ("claro", 0x40B, Class.STOP, "credit"), ("claro", 0x402, Class.PERMANENT, "spam"),
        ("serwersms", 0x40B, Class.STOP, "credit"), ("infobip", 0xFF, Class.STOP, "credit"),
        ("infobip", 0x0C, Class.PERMANENT, "already"), ("smsportal", 0x0B, Class.NEXT, "route"),
        ("aldeamo", 0x14, Class.RETRY, "credit"),
    ],
)  # fmt: skip
def test_the_same_code_means_something_else_with_each_provider(
    provider: str, code: int, klass: Class, word: str
) -> None:
    found = status.look_up(code, status.errors(provider))
    assert (found.klass, found.origin) == (klass, provider)
    assert word in found.meaning


def test_the_trunk_goes_before_its_provider_and_the_provider_before_the_table() -> None:
    known = status.errors("hollatags", "0x401=next, 0x14=throttle")
    assert [(status.look_up(code, known).klass, status.look_up(code, known).origin) for code in (0x401, 0x14)] == [
        (Class.NEXT, "trunk"),
        (Class.THROTTLE, "trunk"),
    ]
    assert status.look_up(0x401, known).meaning == "there is no credit"
    assert status.look_up(0x402, known).origin == "hollatags"
    assert status.look_up(0x0B, known).origin == "default"
    assert status.look_up(0x4FF, known).origin == ""


def test_what_was_written_is_read_again() -> None:
    overrides = status.parse_overrides("0x400=stop, 20=throttle")
    assert status.write_overrides(overrides) == "0x14=throttle,0x0400=stop"
    assert status.parse_overrides(status.write_overrides(overrides)) == overrides


def test_a_provider_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match='"nobody" are known; of aldeamo'):
        status.errors("nobody")


def test_a_preset_may_name_the_providers_codes() -> None:
    assert "smsportal" in presets.names()
    assert check_options({"preset": "smsportal"})["provider"] == "smsportal"
