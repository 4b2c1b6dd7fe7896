"""The numbering plan as it is kept: one row."""

from __future__ import annotations

from sqlalchemy import String, case, exists, func, insert, literal, select
from sqlalchemy.orm import Session, aliased

from ixxsms.errors import BadInput, NotFound
from ixxsms.models import NumberingPlan, OptOut
from ixxsms.numbering import Plan, make_plan

__all__ = ["change", "get"]


def get(session: Session) -> Plan:
    """The numbering plan. Raises NotFound while none is set."""
    found = find(session)
    if found is None:
        raise NotFound("No numbering plan is set; run, for example: ixxsms numbering set --country ES")
    return found


def find(session: Session) -> Plan | None:
    """The numbering plan; None while none is set: then nothing is sent, but links stay and SMS come in."""
    row = session.get(NumberingPlan, 1)
    if row is None:
        return None
    return Plan(
        country_code=row.country_code,
        mobile_prefixes=tuple(row.mobile_prefixes.split(",")) if row.mobile_prefixes else (),
        min_length=row.min_length,
        max_length=row.max_length,
        country=row.country,
    )


def change(
    session: Session,
    *,
    country: str | None = None,
    country_code: str | None = None,
    mobile_prefixes: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
) -> Plan:
    """Set the plan: what is not given comes from the country's metadata, else stays as it was. Raises BadInput."""
    if mobile_prefixes is not None and not mobile_prefixes.strip(", "):
        raise BadInput("The mobile prefixes are empty; a plan needs one at least, 6,7 for example.")
    row = session.get(NumberingPlan, 1)
    if row is not None and country is None:
        same_code = country_code is None or country_code.removeprefix("+").removeprefix("00") == row.country_code
        country = row.country or None if same_code else None
        country_code = row.country_code if country_code is None else country_code
        min_length = row.min_length if min_length is None else min_length
        max_length = row.max_length if max_length is None else max_length
        if mobile_prefixes is None:
            mobile_prefixes = _written_out(row, country_code)
    plan = make_plan(country, country_code, mobile_prefixes, min_length, max_length)
    session.merge(
        NumberingPlan(
            id=1,
            country=plan.country,
            country_code=plan.country_code,
            mobile_prefixes=",".join(plan.mobile_prefixes),
            min_length=plan.min_length,
            max_length=plan.max_length,
        )
    )
    session.flush()
    _complete_opt_outs(session)
    return plan


def _complete_opt_outs(session: Session) -> None:
    """Each in both forms (see optouts): under another country code its number has the other one."""
    other_form = case(
        (OptOut.number.startswith("+"), func.substr(OptOut.number, 2)),
        else_=literal("+", String).concat(OptOut.number),
    )
    known = aliased(OptOut)
    missing = select(other_form, OptOut.at, OptOut.source, OptOut.note).where(
        ~exists(select(known.number).where(known.number == other_form))
    )
    session.execute(insert(OptOut).from_select(["number", "at", "source", "note"], missing, include_defaults=False))


def _written_out(row: NumberingPlan, country_code: str) -> str:
    """The stored prefixes in international form: read again as a person's, 346 would lose its country code."""
    code = country_code.removeprefix("+").removeprefix("00")
    stored = row.mobile_prefixes.split(",")
    return ",".join(prefix if prefix.startswith("+") else f"+{code}{prefix}" for prefix in stored if prefix)
