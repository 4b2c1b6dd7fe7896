"""What holds for every number and every plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms.errors import BadInput
from ixxsms.numbering import Plan, Reason, check, check_sender_id, digits, make_plan, national

CLEAR = [make_plan(country) for country in ("ES", "CL", "GB", "RU", "US", "FR")]
WIDE = [
    make_plan("DE"),
    make_plan("IT"),
    make_plan("AT"),
    make_plan("HU"),
    make_plan("DE", min_length=1, max_length=13),
    make_plan("ES", min_length=1, max_length=13, mobile_prefixes="6,+447"),
    make_plan("HU", min_length=3, max_length=13),
    make_plan("RU", min_length=2, max_length=14),
    make_plan("US", min_length=1, max_length=14),
    Plan("999", ("1",), 1, 12),
]
plans = st.sampled_from(CLEAR + WIDE)

written = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(codec=None), max_size=80),
    st.text("0123456789+", max_size=18),
    st.text("0034 +-.()68E٣４\u2010\xa0", max_size=20),
    st.builds("{}{}{}".format, st.sampled_from(["", "+", "00", "tel:"]),
              st.sampled_from(["34", "44", "49", "490", "36", "3606", "7", "78", "1", "06", "0", "8", "999", "54"]),
              st.integers(0, 10**12)),
)  # fmt: skip


@given(plans, written)
def test_check_never_raises_and_a_normal_form_is_its_own_normal_form(plan, raw):
    found = check(plan, raw)
    if found.valid:
        assert found.reason == ""
        assert digits(found.number).isascii() and digits(found.number).isdigit()
        assert check(plan, found.number) == found
    else:
        assert found == ("", False, False, Reason(found.reason))


@given(plans, written)
def test_a_number_of_the_own_country_has_its_code_and_length(plan, raw):
    number = check(plan, raw).number
    if number and not number.startswith("+"):
        assert number.startswith(plan.country_code)
        assert plan.min_length <= len(national(plan, number)) <= plan.max_length
        assert check(plan, "+" + number).number == number


@st.composite
def own_numbers(draw):
    """A plan without ambiguity and one of its national numbers."""
    plan = draw(st.sampled_from(CLEAR))
    start = draw(st.sampled_from([*plan.mobile_prefixes, "2", "345"]))
    return plan, (start + str(draw(st.integers(10**12, 10**13))))[: plan.min_length]


@given(own_numbers(), st.data())
def test_all_spellings_of_a_number_agree(own, data):
    plan, number = own
    code = plan.country_code
    spelling = data.draw(st.sampled_from(["", code, "+" + code, "00" + code, "tel:+" + code])) + number
    separators = st.sampled_from(list(" -./()\t\xa0\u2009\u2011\u202c"))
    start = 5 if spelling.startswith("tel:") else 0
    for at in data.draw(st.lists(st.integers(start, len(spelling)), max_size=6)):
        spelling = spelling[:at] + data.draw(separators) + spelling[at:]
    found = check(plan, spelling)
    assert (found.number, found.reason) == (code + number, "")
    assert found.mobile == number.startswith(plan.mobile_prefixes)
    assert national(plan, found.number) == number


@pytest.mark.parametrize("country", ["ES", "CL", "GB", "DE", "FR"])
@given(data=st.data())
def test_all_spellings_of_a_mobile_prefix_agree(country, data):
    plan = make_plan(country)
    code = plan.country_code
    start = data.draw(st.sampled_from(plan.mobile_prefixes))
    prefix = start + data.draw(st.text("0123456789", max_size=3))
    spellings = [prefix, code + prefix, "+" + code + prefix, "00" + code + prefix, f" +{code} {prefix} "]
    assert {make_plan(country, mobile_prefixes=spelling).mobile_prefixes for spelling in spellings} == {(prefix,)}


@given(st.text(max_size=20))
def test_prefixes_and_codes_are_taken_or_refused_but_never_crash(text):
    for attempt in (
        lambda: make_plan("ES", mobile_prefixes=text),
        lambda: make_plan("ES", country_code=text),
        lambda: make_plan(text),
        lambda: check_sender_id(text),
    ):
        try:
            attempt()
        except BadInput as refusal:
            assert str(refusal).endswith(".")
