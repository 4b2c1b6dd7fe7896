from __future__ import annotations

import pytest
from smpplib import consts

from ixxsms.errors import BadInput
from ixxsms.smpp import address, presets, status
from ixxsms.smpp.address import Plan
from ixxsms.smpp.options import OPTIONS, check_options
from ixxsms.smpp.status import Class


@pytest.mark.parametrize(
    ("sender_id", "ton_npi", "octets"),
    [
        ("", (0, 0), b""),
        ("+34600000001", (1, 1), b"34600000001"),
        ("34600000001", (1, 1), b"34600000001"),
        ("+34600", (1, 1), b"34600"),
        ("6000000012", (1, 1), b"6000000012"),
        ("600000001", (0, 1), b"600000001"),
        ("2345", (3, 0), b"2345"),
        ("217", (3, 0), b"217"),
        ("12345678", (3, 0), b"12345678"),
        ("ACME", (5, 0), b"ACME"),
        ("My-Shop 24", (5, 0), b"My-Shop 24"),
        ("3G", (5, 0), b"3G"),
    ],
)
def test_the_sender_id_says_which_type_of_number_it_is(sender_id: str, ton_npi: tuple[int, int], octets: bytes) -> None:
    assert address.source(sender_id) == (ton_npi, octets)


@pytest.mark.parametrize("sender_id", ["TwelveLetter", "Peña", "a\0b", "new\nline", "1" * 21, "٣٤٦٠٠"])
def test_a_sender_id_that_smpp_cannot_carry_is_refused(sender_id: str) -> None:
    with pytest.raises(BadInput):
        address.source(sender_id)


def test_a_destination_is_international_or_national() -> None:
    assert Plan().destination("34600000001") == b"\x01\x0134600000001\0"
    assert Plan().destination("+34600000001") == b"\x01\x0134600000001\0"
    assert Plan().destination("600000001", national=True) == b"\x00\x01600000001\0"


@pytest.mark.parametrize("number", ["", "+", "abc", "600 1", "6\0", "1" * 21, "٣٤٦٠٠٠٠٠٠"])
def test_a_destination_is_digits_and_nothing_else(number: str) -> None:
    with pytest.raises(BadInput):
        address.digits(number)


def test_a_provider_can_insist_on_its_own_values() -> None:
    plan = Plan(source_ton=1, source_npi=0, dest_ton=2, dest_npi=8)
    assert plan.source("acme") == b"\x01\x00acme\0"
    assert plan.destination("34600") == b"\x02\x0834600\0"


@pytest.mark.parametrize(
    ("provider", "plan", "sender_id", "source", "destination"),
    [
        ("most", Plan(), "2345", (3, 0), (1, 1)),
        ("Sinch, short codes", Plan(source_ton=0, source_npi=1), "2345", (0, 1), (1, 1)),
        ("ClickSend", Plan(source_npi=0, dest_npi=0), "34600000001", (1, 0), (1, 0)),
        ("SMSPortal", Plan(0, 0, 0, 0), "acme", (0, 0), (0, 0)),
    ],
)
def test_what_providers_want_of_the_types_can_be_given(
    provider: str, plan: Plan, sender_id: str, source: tuple[int, int], destination: tuple[int, int]
) -> None:
    assert tuple(plan.source(sender_id)[:2]) == source
    assert tuple(plan.destination("34600000001")[:2]) == destination


def test_an_address_has_twenty_octets_at_most() -> None:
    assert len(Plan().source("1" * 20)) == len(Plan().destination("1" * 20)) == 2 + 20 + 1
    for plan in (Plan().source, Plan().destination):
        with pytest.raises(BadInput):
            plan("1" * 21)


@pytest.mark.parametrize(
    ("code", "klass"),
    [
        (0x58, Class.THROTTLE), (0x14, Class.RETRY), (0x08, Class.RETRY), (0x64, Class.RETRY), (0x04, Class.REBIND),
        (0x45, Class.NEXT), (0x0A, Class.NEXT), (0x48, Class.NEXT), (0x50, Class.NEXT), (0x01, Class.NEXT),
        (0x104, Class.NEXT), (0x22, Class.NEXT), (0xFF, Class.NEXT), (0x0B, Class.PERMANENT), (0x65, Class.PERMANENT),
        (0x66, Class.PERMANENT), (0xFE, Class.PERMANENT), (0x67, Class.STOP), (0xB3, Class.STOP), (0xB4, Class.STOP),
        (0x15, Class.STOP), (0x5A, Class.STOP), (0x4A1, Class.STOP), (0x499, Class.NEXT), (0xDEADBEEF, Class.NEXT),
    ],
)  # fmt: skip
def test_every_code_has_a_class(code: int, klass: Class) -> None:
    assert status.look_up(code).klass is klass


def test_the_names_are_the_specifications() -> None:
    for code, entry in status.default_table().items():
        if entry.name:
            assert getattr(consts, f"SMPP_ESME_{entry.name}") == code


def test_a_status_is_shown_with_its_meaning_name_and_code() -> None:
    assert str(status.look_up(0x0B)) == "the number is invalid (RINVDSTADR, 0x0B)"
    assert str(status.look_up(0x40B)) == "an error that only the provider knows (0x040B)"


def test_a_trunk_may_say_what_its_provider_means() -> None:
    known = status.errors(overrides="0x14=throttle, 0x40B=stop")
    assert status.look_up(0x14, known).klass is Class.THROTTLE
    assert status.look_up(0x40B, known).klass is Class.STOP
    assert status.look_up(0x0B, known).klass is Class.PERMANENT


@pytest.mark.parametrize("text", ["0x14", "0x14=never", "x=stop", "=stop", "0=stop", "0x100000000=stop"])
def test_a_class_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="0x14=throttle"):
        status.parse_overrides(text)


def test_the_options_are_complete_with_defaults() -> None:
    options = check_options({"host": "smsc.example", "user": "u", "port": "2776"})
    assert set(options) == set(OPTIONS)
    assert (options["host"], options["port"], options["window"], options["bind"]) == ("smsc.example", 2776, 10, "trx")
    assert options["dest_npi"] is None
    assert check_options(options) == options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "An SMPP trunk needs the host name or address of its SMSC."),
        ({"host": "h", "port": 0}, "The port of an SMPP trunk must be a number from 1 to 65535."),
        ({"host": "h", "port": "x"}, "The port of an SMPP trunk must be a number from 1 to 65535."),
        ({"host": "h", "window": 1001}, "The window of an SMPP trunk must be a number from 1 to 1000."),
        ({"host": "h", "bind": "both"}, "The bind of an SMPP trunk must be one of trx, tx, rx, tx+rx."),
        ({"host": "h", "dest_ton": 9}, "The dest_ton of an SMPP trunk must be a number from 0 to 7."),
        ({"host": "h", "binds": 0}, "The binds of an SMPP trunk must be a number from 1 to 10."),
        ({"host": "h", "tls": "maybe"}, "The tls of an SMPP trunk must be yes or no."),
        ({"host": "h", "tls_verify": 2}, "The tls_verify of an SMPP trunk must be yes or no."),
        ({"host": "h", "tls_ca": "ca.pem"}, "The tls_ca of an SMPP trunk must be the whole path of a file, from / on."),
        (
            {"host": "h", "interface_version": "4"},
            "The interface_version of an SMPP trunk must be one of 3.3, 3.4, 5.0.",
        ),
        (
            {"host": "h", "address_range": "ñ"},
            "The address_range of an SMPP trunk can have up to 40 characters, all of them ASCII.",
        ),
        ({"host": "h", "rx_host": "a b"}, "'a b' is no host name or address."),
        ({"host": "h", "rx_port": -1}, "The rx_port of an SMPP trunk must be a number from 0 to 65535."),
        ({"host": "a b"}, "'a b' is no host name or address."),
        ({"host": "h", "user": "a\0"}, "The user of an SMPP trunk can have up to 254 characters, all of them Latin-1."),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_options(options)
    assert str(caught.value) == sentence


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadInput, match='no option "colour"'):
        check_options({"host": "h", "colour": "red"})


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_makes_a_trunk_and_says_where_it_was_read(name: str) -> None:
    # What a document does not state, as the host that a provider tells its customers alone, is given by hand.
    options = check_options({"host": "smsc.example", **presets.fields(name)})
    assert options["host"]
    assert check_options({"host": options["host"], "preset": name}) == options
    assert presets.source(name)


def test_what_is_given_goes_before_the_preset() -> None:
    assert check_options({"preset": "clicksend", "port": 2700})["port"] == 2700
    assert check_options({"preset": "clicksend"})["dest_npi"] == 0
    with pytest.raises(BadInput, match='no provider preset "nobody"'):
        check_options({"preset": "nobody"})
