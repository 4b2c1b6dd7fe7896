"""The numbering plan, each rule by example."""

from __future__ import annotations

import pytest

from ixxsms.errors import BadInput
from ixxsms.numbering import (
    Check,
    Plan,
    Reason,
    check,
    check_incoming,
    check_sender_id,
    checker,
    digits,
    make_plan,
    national,
)

ES, CL, GB, DE, IT, RU, US, HU = (make_plan(country) for country in ("ES", "CL", "GB", "DE", "IT", "RU", "US", "HU"))
PLANS = {plan.country: plan for plan in (ES, CL, GB, DE, IT, RU, US, HU)}
WIDE = make_plan(country_code="34", mobile_prefixes="6", min_length=7, max_length=12)

# --- making a plan


@pytest.mark.parametrize(
    ("country", "plan"),
    [
        ("ES", Plan("34", ("6", "71", "72", "73", "74", "78"), 9, 9, "ES")),
        ("CL", Plan("56", ("9",), 9, 9, "CL")),
        ("RU", Plan("7", ("9",), 10, 10, "RU")),
        ("DE", Plan("49", ("15", "160", "162", "163", "17"), 10, 11, "DE")),
        ("BM", Plan("1", ("441",), 10, 10, "BM")),
    ],
)
def test_a_country_fills_the_whole_plan(country, plan):
    assert make_plan(country) == plan
    assert make_plan(f" {country.lower()} ") == plan


def test_mobile_prefixes_of_a_country_leave_out_other_services():
    assert not any("70".startswith(prefix) or prefix == "76" for prefix in GB.mobile_prefixes)  # personal, pagers
    assert not check(US, "8005550100").mobile
    assert check(US, "2125550123").mobile  # looks like any other number there


def test_every_single_value_wins_over_the_country():
    assert make_plan("ES", country_code="+99", mobile_prefixes="5", min_length=4, max_length=8) == Plan(
        "99", ("5",), 4, 8, "ES"
    )
    assert make_plan("ES", mobile_prefixes="", country_code="") == ES


@pytest.mark.parametrize("code", ["34", "+34", "0034", " 34 "])
def test_a_country_code_may_be_written_as_it_is_dialled(code):
    assert make_plan(country_code=code, mobile_prefixes="6", min_length=9, max_length=9) == Plan("34", ("6",), 9, 9)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("6", ("6",)),
        ("346", ("6",)),
        ("+346", ("6",)),
        ("00346", ("6",)),
        ("+34 6", ("6",)),
        ("6, 7", ("6", "7")),
        ("6;7\n71", ("6", "7", "71")),
        ("6 7", ("6", "7")),
        (" 6 ,, 6 ", ("6",)),
        (["346", "7", "+446"], ("6", "7", "+446")),
        (("+44 7", "00447"), ("+447",)),
        ("34", ("34",)),
    ],
)
def test_mobile_prefixes_as_administrators_write_them(written, stored):
    assert make_plan("ES", mobile_prefixes=written).mobile_prefixes == stored


@pytest.mark.parametrize(
    ("country", "written", "stored"),
    [
        ("IT", "392", "392"),  # 39 and 2 would be no mobile prefix, 392 is one
        ("IT", "393", "3"),
        ("IT", "+39392", "392"),
        ("IT", "+392", "2"),
        ("BR", "557", "557"),
        ("BR", "+557", "7"),
        ("GB", "07", "7"),
        ("GB", "+4407", "7"),
        ("RU", "89", "9"),
        ("RU", "79", "9"),
        ("RU", "9", "9"),
    ],
)
def test_a_mobile_prefix_is_read_as_what_can_be_one_in_the_country(country, written, stored):
    assert make_plan(country, mobile_prefixes=written).mobile_prefixes == (stored,)


@pytest.mark.parametrize("country", ["ES", "IT", "BR", "KZ"])
def test_prefixes_that_a_country_gave_are_read_as_themselves_again(country):
    plan = make_plan(country)
    assert make_plan(country, mobile_prefixes=plan.mobile_prefixes) == plan


def test_a_stored_prefix_goes_back_in_with_plus_and_country_code():
    plan = make_plan("ES", mobile_prefixes="+34346")
    assert plan.mobile_prefixes == ("346",)
    assert make_plan("ES", mobile_prefixes=["+34" + p for p in plan.mobile_prefixes]) == plan


WHOLE = {"country_code": "34", "mobile_prefixes": "6", "min_length": 9, "max_length": 9}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"country": "XX"}, "There is no country 'XX'"),
        ({"country": "Spain"}, "There is no country 'SPAIN'"),
        ({"country_code": "0"}, "country code '0'"),
        ({"country_code": "034"}, "country code"),
        ({"country_code": "1234"}, "country code"),
        ({"country_code": "3a"}, "country code"),
        ({"country_code": "٣٤"}, "country code"),
        ({"country_code": "++34"}, "country code"),
        ({"country_code": None}, "country code is missing"),
        ({"mobile_prefixes": "6x"}, "mobile prefix '6x'"),
        ({"mobile_prefixes": "6-7"}, "mobile prefix '6-7'"),
        ({"mobile_prefixes": "+"}, "mobile prefix"),
        ({"mobile_prefixes": "6+7"}, "mobile prefix"),
        ({"mobile_prefixes": "٦"}, "mobile prefix"),
        ({"mobile_prefixes": "+34"}, "only the country code"),
        ({"mobile_prefixes": None}, "mobile prefixes are missing"),
        ({"mobile_prefixes": " , "}, "mobile prefixes are missing"),
        ({"mobile_prefixes": []}, "mobile prefixes are missing"),
        ({"min_length": 10}, "more than the maximum"),
        ({"min_length": 0}, "less than 1"),
        ({"max_length": 16}, "at most 15 digits"),
        ({"max_length": 14}, "at most 15 digits"),
        ({"min_length": None}, "lengths of a mobile number are missing"),
        ({"max_length": None}, "lengths of a mobile number are missing"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_sentence(values, sentence):
    with pytest.raises(BadInput) as refusal:
        make_plan(**(WHOLE | values))
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


# --- numbers of the own country


@pytest.mark.parametrize(
    "written",
    [
        "56912345678",
        "+56912345678",
        "0056912345678",
        "912345678",
        "9 1234-5678",
        "(9) 1234 5678",
        "+56 (9) 1234.5678",
        "9/1234/5678",
        "\t912345678\r\n",
        "9\xa01234\u20095678",
        "9\u20101234\u20115678",
        "9\u22121234\u20145678",
        "\u202a+56 9 1234 5678\u202c",
        "tel:+56912345678",
        "TEL: 912345678",
        "９１２３４５６７８",
        "＋５６９１２３４５６７８",
        "٩١٢٣٤٥٦٧٨",
        "（９）1234．5678",
    ],
)
def test_every_spelling_of_a_number_has_one_normal_form(written):
    assert check(CL, written) == Check("56912345678", True, True, "")


@pytest.mark.parametrize(
    ("country", "written", "number", "mobile"),
    [
        ("ES", "612345678", "34612345678", True),
        ("ES", "34612345678", "34612345678", True),
        ("ES", "722345678", "34722345678", True),
        ("ES", "912345678", "34912345678", False),
        ("ES", "346123456", "34346123456", False),  # nine digits: national, although they begin with 34
        ("ES", "34346123456", "34346123456", False),
        ("GB", "07911123456", "447911123456", True),
        ("GB", "7911123456", "447911123456", True),
        ("GB", "447911123456", "447911123456", True),
        ("GB", "+44 (0)7911 123456", "447911123456", True),
        ("GB", "0044 07911 123456", "447911123456", True),
        ("GB", "020 7946 0000", "442079460000", False),
        ("GB", "4479111234", "444479111234", False),
        ("DE", "0171 1234567", "491711234567", True),  # eleven digits: the lengths would allow the 0, Germany does not
        ("DE", "+49 (0)171 1234567", "491711234567", True),
        ("DE", "01511 2345678", "4915112345678", True),
        ("DE", "015112345678", "4915112345678", True),
        ("IT", "333 1234567", "393331234567", True),
        ("IT", "3921234567", "393921234567", True),
        ("IT", "39392123456", "39392123456", True),
        ("IT", "06 12345678", "390612345678", False),  # in Italy the 0 belongs to the number
        ("IT", "+39 06 12345678", "390612345678", False),
        ("RU", "8 912 123-45-67", "79121234567", True),
        ("RU", "9121234567", "79121234567", True),
        ("RU", "+7 912 1234567", "79121234567", True),
        ("RU", "8001234567", "78001234567", False),
        ("US", "(212) 555-0123", "12125550123", True),
        ("US", "1-212-555-0123", "12125550123", True),
        ("US", "+1 212 555 0123", "12125550123", True),
        ("HU", "06 20 123 4567", "36201234567", True),
        ("HU", "+36201234567", "36201234567", True),
    ],
)
def test_numbers_of_the_own_country(country, written, number, mobile):
    assert check(PLANS[country], written) == Check(number, True, mobile, "")
    assert check(PLANS[country], number) == Check(number, True, mobile, "")


def test_the_national_prefix_is_known_from_the_country_code_alone():
    plan = make_plan(country_code="44", mobile_prefixes="7", min_length=10, max_length=10)
    assert check(plan, "07911123456").number == "447911123456"


def test_where_both_readings_fit_the_one_with_country_code_wins():
    assert check(WIDE, "34612345678") == Check("34612345678", True, True, "")
    assert check(WIDE, "612345678").number == "34612345678"
    assert check(WIDE, "3461234").number == "343461234"  # the rest would be too short


# --- numbers of other countries


@pytest.mark.parametrize("written", ["+447911123456", "00447911123456", "+44 (0) 7911 123456", "+44 7911-123456"])
def test_a_foreign_number_keeps_its_plus(written):
    assert check(ES, written) == Check("+447911123456", True, False, "")


def test_a_foreign_number_without_international_prefix_is_not_one():
    assert check(ES, "447911123456").reason == Reason.TOO_LONG


@pytest.mark.parametrize("written", ["+44791112345", "+441", "+999123456", "+0034612345678", "00 00", "+44" + "7" * 30])
def test_a_foreign_number_must_be_valid_in_its_country(written):
    assert check(ES, written) == Check("", False, False, Reason.FOREIGN)


def test_a_foreign_number_is_mobile_only_by_an_international_prefix():
    plan = make_plan("ES", mobile_prefixes="6, +447")
    assert check(plan, "+447911123456").mobile
    assert not check(plan, "+442079460000").mobile
    assert not check(plan, "+33612345678").mobile
    assert not check(make_plan("ES", mobile_prefixes="44"), "+447911123456").mobile


# --- who writes to us


@pytest.mark.parametrize(
    ("country", "address", "number"),
    [
        # A plus is believed, unless there is no such number.
        ("ES", "+34600123456", "34600123456"),
        ("DE", "+33612345678", "+33612345678"),
        ("US", "+6597654321", "+6597654321"),
        ("US", "+2025550123", "12025550123"),
        ("ES", "+600123456", "34600123456"),
        ("ES", "+0033612345678", "+33612345678"),
        # Mobiles of the own country, with and without its code
        ("ES", "34600123456", "34600123456"),
        ("ES", "600123456", "34600123456"),
        ("DE", "4915123456789", "4915123456789"),
        ("DE", "15123456789", "4915123456789"),
        ("DE", "015123456789", "4915123456789"),
        ("US", "12025550123", "12025550123"),
        ("US", "2025550123", "12025550123"),
        ("US", "3165550123", "13165550123"),
        ("US", "5072234567", "15072234567"),  # a number of Panama too
        ("IT", "393331234567", "393331234567"),
        ("IT", "3931234567", "393931234567"),
        ("GB", "447911123456", "447911123456"),
        ("GB", "7911123456", "447911123456"),
        ("FR", "612345678", "33612345678"),
        ("BR", "5511987654321", "5511987654321"),
        ("BR", "11987654321", "5511987654321"),
        ("MX", "525512345678", "525512345678"),
        ("MX", "5512345678", "525512345678"),
        ("CN", "13012345678", "8613012345678"),  # a number of the United States too
        ("CL", "912345678", "56912345678"),
        # Of other countries, which fit as landlines of the own, or not at all
        ("ES", "33612345678", "+33612345678"),
        ("DE", "33612345678", "+33612345678"),
        ("DE", "41791234567", "+41791234567"),
        ("DE", "48501234567", "+48501234567"),
        ("DE", "12025550123", "+12025550123"),
        ("AT", "33612345678", "+33612345678"),
        ("US", "6591234567", "+6591234567"),
        ("US", "4791234567", "+4791234567"),
        ("US", "4520123456", "+4520123456"),
        ("US", "447911123456", "+447911123456"),
        ("IT", "33612345678", "+33612345678"),
        ("GB", "79161234567", "+79161234567"),
        ("FR", "491711234567", "+491711234567"),
        ("BR", "33612345678", "+33612345678"),
        ("BR", "12025550123", "+12025550123"),
        ("MX", "12025550123", "+12025550123"),
        ("CN", "12025550123", "+12025550123"),
        ("ID", "33612345678", "+33612345678"),
        # No mobiles, but of nobody else either; and no numbers
        ("ES", "900123123", "34900123123"),
        ("ES", "0900123123", ""),
        ("ES", "2345", ""),
        ("ES", "+", ""),
        ("ES", "", ""),
        ("ES", "ACME", ""),
        ("ES", "²", ""),
    ],
)
def test_an_address_that_somebody_writes_from_is_read_as_the_likeliest_number(country, address, number):
    found = check_incoming(make_plan(country), address)
    assert found.number == number
    assert check_incoming(make_plan(country), found.number) == found or not number


def test_a_mobile_of_the_own_country_is_one_whatever_the_plan_counts_as_mobile():
    plan = make_plan("US", mobile_prefixes="212")
    assert check_incoming(plan, "5072234567") == Check("15072234567", True, False, "")


def test_under_a_country_code_of_no_country_an_address_is_read_all_the_same():
    plan = Plan("999", ("6",), 9, 9)
    assert check_incoming(plan, "600123456").number == "999600123456"
    assert check_incoming(plan, "33612345678").number == "+33612345678"


# --- what is refused


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", Reason.EMPTY),
        (" \t ", Reason.EMPTY),
        ("-", Reason.EMPTY),
        ("\u200b", Reason.EMPTY),
        (" " * 1_000_000, Reason.EMPTY),
        ("anonymous", Reason.WITHHELD),
        ("Anonymous", Reason.WITHHELD),
        ("UNKNOWN", Reason.WITHHELD),
        ("<unknown>", Reason.WITHHELD),
        ("restricted", Reason.WITHHELD),
        ("Private", Reason.WITHHELD),
        ("unavailable", Reason.WITHHELD),
        ("withheld", Reason.WITHHELD),
        ("Juan", Reason.NOT_A_NUMBER),
        ("61234567a", Reason.NOT_A_NUMBER),
        ("sip:612345678@pbx", Reason.NOT_A_NUMBER),
        ("ñandú", Reason.NOT_A_NUMBER),
        ("*69", Reason.CHARACTERS),
        ("612345678#", Reason.CHARACTERS),
        ("612345678;612345679", Reason.CHARACTERS),
        ("612345678,1", Reason.CHARACTERS),
        ("34+612345678", Reason.CHARACTERS),
        ("++34612345678", Reason.CHARACTERS),
        ("61234567²", Reason.CHARACTERS),
        ("\udc80", Reason.CHARACTERS),
        ("\x00", Reason.CHARACTERS),
        ("101", Reason.TOO_SHORT),
        ("112", Reason.TOO_SHORT),
        ("+34", Reason.TOO_SHORT),
        ("+", Reason.TOO_SHORT),
        ("00", Reason.TOO_SHORT),
        ("+3461234567", Reason.TOO_SHORT),
        ("6123456789", Reason.TOO_LONG),
        ("+346123456789", Reason.TOO_LONG),
        ("1" * 1_000_000, Reason.TOO_LONG),
        ("x" * 1_000_000, Reason.TOO_LONG),
        ("6.00123456E+8", Reason.SPREADSHEET),
        ("6,00123456E+08", Reason.SPREADSHEET),
        ("3.46E+10", Reason.SPREADSHEET),
        ("6e8", Reason.SPREADSHEET),
    ],
)
def test_what_is_refused_says_why(written, reason):
    assert check(ES, written) == Check("", False, False, reason)


def test_a_reason_is_plain_text_for_the_database():
    assert type(check(ES, "101").reason) is str


def test_a_german_number_that_only_its_zero_brings_to_length_is_too_short():
    assert check(DE, "0171123456").reason == Reason.TOO_SHORT


def test_a_checker_is_check_with_the_plan_worked_out():
    assert checker(ES)("612345678") == check(ES, "612345678")


# --- other forms


def test_the_wire_has_no_plus_and_a_national_trunk_no_country_code():
    assert [digits("34612345678"), digits("+447911123456")] == ["34612345678", "447911123456"]
    assert [national(ES, "34612345678"), national(ES, "+447911123456")] == ["612345678", "447911123456"]
    assert [national(ES, "34346123456"), national(ES, ""), digits("")] == ["346123456", "", ""]


@pytest.mark.parametrize(
    ("written", "sender"),
    [
        ("", ""),
        ("  ", ""),
        (" Acme ", "Acme"),
        ("A", "A"),
        ("Taller 24-7", "Taller 24-7"),
        ("A&B_c.d", "A&B_c.d"),
        ("12345678901234", "12345678901234"),
        ("+34612345678", "34612345678"),
        ("+12345678901234", "12345678901234"),
        ("7726", "7726"),
    ],
)
def test_a_sender_id_that_can_be(written, sender):
    assert check_sender_id(written) == sender


@pytest.mark.parametrize(
    "written",
    [
        "ABCDEFGHIJKL",
        "123456789012345",
        "+123456789012345",
        "Peña",
        "A+B",
        "12 34",
        "-",
        "+",
        "A\nB",
        "٣٤",
        "A;B",
        "A\x00",
    ],
)
def test_a_sender_id_that_cannot_be(written):
    with pytest.raises(BadInput, match="sender id"):
        check_sender_id(written)
