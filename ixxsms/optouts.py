"""Who has opted out: the table of numbers that must not be written to, and the words by which people say so.

Each number is in the table in both forms that it may have, with a plus and without: which of them lists, the queue and
callers have depends on the country code that the plan had then. Whoever looks for the one that he has finds it.

Verbs take an open session and never commit. What a keyword in an SMS leads to is not known here, nor what is queued:
the outbox looks into the table whenever something is queued or claimed.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Table, delete, false, func, or_, select, true
from sqlalchemy.orm import Session

from ixxsms import imports
from ixxsms.bulk import insert_missing
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput, NotFound
from ixxsms.imports import ImportReport, Refusal
from ixxsms.models import NumberingPlan, OptOut
from ixxsms.numbering import Plan
from ixxsms.numbering import check as check_number

__all__ = ["add", "check", "export_rows", "import_rows", "remove", "show"]

_WORD = re.compile(r"[^\W_]+")
_SEPARATORS = str.maketrans("", "", " +-./()")


class Wish(StrEnum):
    """What somebody says who begins an SMS with a keyword."""

    OUT = "out"
    IN = "in"


class Added(NamedTuple):
    """What came of adding one number: its normal form, and False where it had opted out already."""

    number: str
    added: bool


class OptOutView(NamedTuple):
    """A number that has opted out. `at`: seconds since 1970; `source`: sms, hand or csv; `note`: his SMS, or why."""

    number: str
    at: float
    source: str
    note: str


@dataclass(frozen=True)
class Page:
    """Some of those that have opted out. `total`: how many match on all pages together."""

    total: int
    rows: list[OptOutView]


# -- the table -----------------------------------------------------------------------------------------------------


def add(session: Session, plan: Plan, number: str, *, now: float, note: str = "", source: str = "hand") -> Added:
    """Write no more to a number; one that has opted out already stays as it is. Raises BadInput."""
    found = check_number(plan, number)
    if not found.valid:
        raise BadInput(f'The number "{number[:32]}" cannot opt out: {found.reason}.')
    return Added(found.number, bool(_add_many(session, {found.number: note}, source, now)))


def remove(session: Session, plan: Plan, number: str) -> str:
    """Write to a number again; its normal form. Raises NotFound."""
    # What the plan no longer takes may still have opted out, as it stands.
    normal = check_number(plan, number).number or number.strip()
    gone = session.execute(delete(OptOut).where(OptOut.number.in_([normal, _other_form(normal)])))
    if not gone.rowcount:  # type: ignore[attr-defined]
        raise NotFound(f"The number {normal[:32]} has not opted out.")
    return normal


def check(session: Session, plan: Plan, number: str) -> OptOutView | None:
    """Since when a number must not be written to, and why; None where it has not opted out. Raises BadInput."""
    found = check_number(plan, number)
    if not found.valid:
        raise BadInput(f'"{number[:32]}" is no number: {found.reason}.')
    row = session.get(OptOut, found.number)
    return OptOutView(row.number, row.at, row.source, row.note) if row else None


def show(session: Session, filter: str | None = None, limit: int | None = None) -> Page:
    """Those that have opted out, the latest first; `filter`: part of the number or of the note."""
    condition = _each_once(session) & _matching(filter)
    total = session.scalar(select(func.count()).select_from(OptOut).where(condition)) or 0
    page = _rows().where(condition).order_by(OptOut.at.desc(), OptOut.number).limit(limit)
    return Page(total, [OptOutView(*row) for row in session.execute(page)])


def export_rows(session: Session) -> Iterator[OptOutView]:
    """Stream all of them by number, in bounded memory."""
    rows = session.execute(
        _rows().where(_each_once(session)).order_by(OptOut.number), execution_options={"yield_per": 5_000}
    )
    return (OptOutView(*row) for row in rows)


def import_rows(
    session: Session,
    plan: Plan,
    rows: Iterable[Row],
    *,
    now: float,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
    on_refused: Callable[[Refusal], None] | None = None,
) -> ImportReport:
    """Write no more to the numbers of a file, whose second column may hold a note. See imports.import_rows."""
    return imports.import_rows(
        plan,
        rows,
        add=lambda batches: sum(_add_many(session, batch, "csv", now) for batch in batches),
        strict=strict,
        progress=progress,
        on_refused=on_refused,
    )


def _add_many(session: Session, notes: Mapping[str, str | None], source: str, now: float) -> int:
    """Returns how many were not there."""
    other_forms = {_other_form(number): note for number, note in notes.items()}
    new, _ = (_insert_missing(session, each, source, now) for each in (notes, other_forms))
    return new


def _insert_missing(session: Session, notes: Mapping[str, str | None], source: str, now: float) -> int:
    # In the order of the key: two that add at the same time cannot lock each other out.
    numbers = sorted(notes)
    columns = {"number": numbers, "note": [notes[number] or "" for number in numbers]}
    return insert_missing(session, cast(Table, OptOut.__table__), columns, {"at": now, "source": source})


def _other_form(number: str) -> str:
    return number[1:] if number.startswith("+") else f"+{number}"


def _each_once(session: Session) -> ColumnElement[bool]:
    """In the form that the plan gives to it now."""
    plan = session.get(NumberingPlan, 1)
    own = plan.country_code if plan else ""
    foreign = OptOut.number.startswith("+") & OptOut.number.not_like(f"+{own}%")
    return OptOut.number.startswith(own) | foreign


def _rows() -> Any:
    return select(OptOut.number, OptOut.at, OptOut.source, OptOut.note)


def _matching(filter: str | None) -> ColumnElement[bool]:
    wanted = (filter or "").strip()
    digits = wanted.translate(_SEPARATORS)
    in_number = OptOut.number.contains(digits, autoescape=True) if digits.isdigit() else false()
    return or_(in_number, OptOut.note.icontains(wanted, autoescape=True)) if wanted else true()


# -- the words -----------------------------------------------------------------------------------------------------


def wish(text: str, more: str = "") -> Wish | None:
    """What a text says whose first word is a keyword, in any language; None for any other text.

    Case, accents and punctuation do not count. `more`: further words to opt out with, by commas or spaces.
    """
    word = next(iter(words(text)), "")
    if not word:
        return None
    if word in words(more):
        return Wish.OUT
    return _keywords().get(word)


def words(text: str) -> list[str]:
    """The words of a text as they are compared: without case, accents and punctuation."""
    folded = unicodedata.normalize("NFKD", text[:2000].casefold()).replace("ı", "i")
    return _WORD.findall("".join(char for char in folded if not unicodedata.combining(char)))


@cache
def _keywords() -> dict[str, Wish]:
    text = resources.files("ixxsms").joinpath("data/optout_keywords.csv").read_text("utf-8")
    found: dict[str, Wish] = {}
    for row in csv.DictReader(text.splitlines()):
        found |= dict.fromkeys(words(row["in"]), Wish.IN) | dict.fromkeys(words(row["out"]), Wish.OUT)
    return found
