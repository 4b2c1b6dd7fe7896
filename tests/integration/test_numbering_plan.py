"""The numbering plan as it is kept."""

from __future__ import annotations

import pytest

from ixxsms import numbering_plan
from ixxsms.errors import BadInput


def test_what_is_not_given_stays_as_it_was(database):
    with database.write() as session:
        numbering_plan.change(session, country="ES", mobile_prefixes="6,7,+447")
    with database.write() as session:
        plan = numbering_plan.change(session, max_length=10)
    assert (plan.country, plan.country_code, plan.mobile_prefixes, plan.max_length) == (
        "ES",
        "34",
        ("6", "7", "+447"),
        10,
    )


def test_a_stored_prefix_that_begins_like_the_country_code_is_not_cut(database):
    with database.write() as session:
        numbering_plan.change(session, country="ES", mobile_prefixes="+34346")
        assert numbering_plan.change(session, min_length=8).mobile_prefixes == ("346",)


def test_every_value_of_a_country_can_be_overridden(database):
    with database.write() as session:
        plan = numbering_plan.change(session, country="CL", country_code="56", mobile_prefixes="9", min_length=9)
    assert (plan.country_code, plan.mobile_prefixes, plan.min_length, plan.max_length) == ("56", ("9",), 9, 9)


def test_another_country_code_is_not_the_old_country(database):
    with database.write() as session:
        assert numbering_plan.change(session, country_code="56").country == ""


def test_what_cannot_be_is_refused_and_the_plan_stays(database):
    with pytest.raises(BadInput), database.write() as session:
        numbering_plan.change(session, min_length=12, max_length=4)
    with database.read() as session:
        assert numbering_plan.get(session).min_length == 9
