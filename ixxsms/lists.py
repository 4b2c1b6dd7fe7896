"""Lists of numbers and what is done to them. Verbs take an open session and never commit.

Members are copied into a campaign when it is created: what happens to a list afterwards touches no message. The one
exception is `exclude`, after which the caller asks `outbox.exclude` to hold back what is still queued.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Table, false, func, or_, select, true, update
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from ixxsms import imports
from ixxsms import text as sms_text
from ixxsms.bulk import insert_missing
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput, Busy, Duplicate, NotFound
from ixxsms.imports import ImportReport, Refusal
from ixxsms.models import Campaign, HarvestMark, Hook, ListSize, Member, NumberList
from ixxsms.names import check_name
from ixxsms.numbering import Plan, check

__all__ = [
    "add",
    "add_many",
    "all_lists",
    "create",
    "delete",
    "exclude",
    "export_rows",
    "get",
    "import_rows",
    "include",
    "members",
    "show",
]

MAX_SEGMENTS = 10

_IN_ONE_STATEMENT = 900  # MariaDB makes a join of 1,000 and more
_COLUMNS = (Member.number, Member.text, Member.excluded, Member.source)
_SEPARATORS = str.maketrans("", "", " +-./()")
# No text has them, and a database or the encoding would stumble over them.
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")


class ListSummary(NamedTuple):
    """A list as it stands in the table of all lists. `total` includes the excluded ones; seconds since 1970."""

    name: str
    total: int
    excluded: int
    created_at: float


class MemberView(NamedTuple):
    """A member. `text`: its own one or None; `source`: csv, cdr or hand."""

    number: str
    text: str | None
    excluded: bool
    source: str


@dataclass(frozen=True)
class ListView:
    """A page of a list. `total`: how many members match the filter on all pages together."""

    name: str
    total: int
    members: list[MemberView]


class Added(NamedTuple):
    """What came of adding one number: its normal form, and False where it was a member already."""

    number: str
    added: bool


class Marked(NamedTuple):
    """A member that was excluded or included: what `outbox.exclude` needs."""

    list_id: int
    number: str


# --- lists


def create(session: Session, name: str, *, now: float | None = None) -> NumberList:
    """Create an empty list. Raises BadInput and Duplicate."""
    name = check_name(name, "list")
    if session.scalar(select(NumberList.id).where(NumberList.name == name)) is not None:
        raise Duplicate(f'There is a list "{name}" already.')
    created = NumberList(name=name, created_at=_clock(now))
    session.add(created)
    session.flush()
    session.add(ListSize(list_id=created.id))
    session.flush()
    return created


def get(session: Session, name: str) -> NumberList:
    """The list of that name. Raises NotFound."""
    return _one(session, name, select(NumberList))


def for_campaign(session: Session, name: str) -> NumberList:
    """The list of that name, of which no member is excluded until the transaction ends. Raises NotFound.

    Whoever excludes one waits for it: before that it could not see the campaign, and would hold back nothing of it.
    """
    return _one(session, name, select(NumberList).with_for_update(read=True))


def _one(session: Session, name: str, chosen: Any) -> NumberList:
    found: NumberList | None = session.scalar(chosen.where(NumberList.name == name.strip()))
    if found is None:
        raise NotFound(f'There is no list "{name.strip()}".')
    return found


def all_lists(session: Session) -> list[ListSummary]:
    """Every list with its numbers of members, by name."""
    columns = (NumberList.name, ListSize.total, ListSize.excluded, NumberList.created_at)
    every = select(*columns).join(ListSize, ListSize.list_id == NumberList.id).order_by(NumberList.name)
    return [ListSummary(*row) for row in session.execute(every)]


def delete(session: Session, name: str) -> None:
    """Delete a list, its members and its harvest marks. Campaigns that were made from it keep its name.

    Raises Busy while a hook uses it.
    """
    gone = _one(session, name, select(NumberList).with_for_update())  # before its campaigns, as who excludes a member
    hook = session.scalar(select(Hook.name).where(Hook.list_id == gone.id).limit(1))
    if hook is not None:
        raise Busy(f'The hook "{hook}" uses the list "{gone.name}"; remove the hook first.')
    session.execute(update(Campaign).where(Campaign.list_id == gone.id).values(list_id=None, list_name=gone.name))
    session.execute(delete_from(HarvestMark).where(HarvestMark.list_id == gone.id))
    session.execute(delete_from(Member).where(Member.list_id == gone.id))
    session.execute(delete_from(ListSize).where(ListSize.list_id == gone.id))
    session.delete(gone)
    session.flush()


# --- members


def show(session: Session, name: str, filter: str | None = None, limit: int | None = None, after: str = "") -> ListView:
    """A page of a list by number, the first or the one `after` a number. Raises NotFound.

    `filter`: part of the number, or of the own text; to find them all members are read.
    """
    chosen = get(session, name)
    condition = _matching(chosen.id, filter)
    if (filter or "").strip():
        total = session.scalar(select(func.count()).select_from(Member).where(condition))
    else:
        total = session.scalar(select(ListSize.total).where(ListSize.list_id == chosen.id))
    page = select(*_COLUMNS).where(condition, Member.number > after).order_by(Member.number).limit(limit)
    return ListView(chosen.name, total or 0, [MemberView(*row) for row in session.execute(page)])


def members(session: Session, name: str, filter: str | None = None) -> Iterator[MemberView]:
    """Stream the members of a list by number, in bounded memory. Raises NotFound, at once."""
    statement = select(*_COLUMNS).where(_matching(get(session, name).id, filter)).order_by(Member.number)
    return (MemberView(*row) for row in session.execute(statement, execution_options={"yield_per": 5_000}))


def export_rows(session: Session, name: str) -> Iterator[tuple[str, str | None, bool]]:
    """Stream (number, own text, excluded) of a list by number, in bounded memory. Raises NotFound, at once."""
    return (member[:3] for member in members(session, name))


def add(
    session: Session,
    plan: Plan,
    name: str,
    number: str,
    text: str | None = None,
    *,
    max_segments: int = MAX_SEGMENTS,
    now: float | None = None,
) -> Added:
    """Add one number by hand; what is a member already stays as it is. Raises NotFound and BadInput."""
    chosen = get(session, name)
    found = check(plan, number)
    text = (text or "").strip() or None
    if reason := found.reason or _wrong_text(text, max_segments):
        raise BadInput(f'The number "{number}" cannot be added: {reason}.')
    return Added(found.number, add_many(session, chosen.id, [{found.number: text}], "hand", _clock(now)) > 0)


def add_many(
    session: Session, list_id: int, batches: Iterable[Mapping[str, str | None]], source: str, now: float
) -> int:
    """Add numbers in normal form with their own texts; members stay as they are. Returns how many are new.

    Raises NotFound: somebody has deleted the list meanwhile.
    """
    same = {"list_id": list_id, "excluded": False, "source": source, "added_at": now}
    new = 0
    for batch in batches:
        # In the order of the key the database fills page after page.
        numbers = sorted(batch)
        columns: dict[str, Sequence[Any]] = {"number": numbers, "text": [batch[number] for number in numbers]}
        new += insert_missing(session, cast(Table, Member.__table__), columns, same)
    _resize(session, list_id, total=new)
    return new


def _resize(session: Session, list_id: int, total: int = 0, excluded: int = 0) -> None:
    """So many members more. The last thing that a verb does, for others wait for it until the commit."""
    larger = {"total": ListSize.total + total, "excluded": ListSize.excluded + excluded}
    changed = session.execute(update(ListSize).where(ListSize.list_id == list_id).values(larger))
    if not changed.rowcount:  # type: ignore[attr-defined]
        raise NotFound("The list has been deleted meanwhile.")


def known(session: Session, list_id: int, numbers: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Those of the numbers in normal form that are members, each with whether it is excluded."""
    left = iter(numbers)
    while some := list(itertools.islice(left, _IN_ONE_STATEMENT)):
        these = (Member.list_id == list_id) & Member.number.in_(some)
        for row in session.execute(select(Member.number, Member.excluded).where(these)):
            yield row[0], row[1]


def exclude(session: Session, plan: Plan, name: str, number: str) -> Marked:
    """Mark a member as not to be written to. Raises NotFound.

    Campaigns that are made from now on leave it out. For those that exist the caller goes on with
    `outbox.exclude(session, *marked, now)`: only the outbox changes the state of a message.
    """
    return _mark(session, plan, name, number, True)


def include(session: Session, plan: Plan, name: str, number: str) -> Marked:
    """Take back an exclusion, for campaigns that are made from now on. Raises NotFound."""
    return _mark(session, plan, name, number, False)


def _mark(session: Session, plan: Plan, name: str, number: str, excluded: bool) -> Marked:
    # Not before a campaign that is being made from it is there; whoever only adds members need not wait.
    chosen = _one(session, name, select(NumberList).with_for_update(key_share=True))
    # What the plan does not (or no longer) take may still be a member, as it stands.
    number = check(plan, number).number or number.strip()
    this = (Member.list_id == chosen.id) & (Member.number == number)
    changed = session.execute(update(Member).where(this, Member.excluded.is_(not excluded)).values(excluded=excluded))
    if changed.rowcount:  # type: ignore[attr-defined]
        _resize(session, chosen.id, excluded=1 if excluded else -1)
    elif session.scalar(select(Member.number).where(this)) is None:
        raise NotFound(f'The number {number} is not in the list "{chosen.name}".')
    return Marked(chosen.id, number)


def _matching(list_id: int, filter: str | None) -> ColumnElement[bool]:
    wanted = (filter or "").strip()
    digits = wanted.translate(_SEPARATORS)
    in_number = Member.number.contains(digits, autoescape=True) if digits.isdigit() else false()
    in_text = Member.text.icontains(wanted, autoescape=True)
    return (Member.list_id == list_id) & (or_(in_number, in_text) if wanted else true())


def _clock(now: float | None) -> float:
    return time.time() if now is None else now


# --- import


def import_rows(
    session: Session,
    plan: Plan,
    name: str,
    rows: Iterable[Row],
    *,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
    on_refused: Callable[[Refusal], None] | None = None,
    source: str = "csv",
    max_segments: int = MAX_SEGMENTS,
    now: float | None = None,
) -> ImportReport:
    """Add the rows of a number file to a list, in bounded memory. Raises NotFound; what `rows` raises goes through.

    A number need not be a mobile one: somebody put it there. Of a number that stands in the file twice, or is a
    member already, the first own text counts. A bad row stops nothing: it goes to `on_refused` and into the report.
    `strict`: any bad row raises BadFile, when all have been read; the caller rolls back. `progress`: called with the
    rows read so far, now and then.
    """
    chosen = get(session, name)
    return imports.import_rows(
        plan,
        rows,
        add=lambda batches: add_many(session, chosen.id, batches, source, _clock(now)),
        wrong_text=lambda text: _wrong_text(text, max_segments),
        strict=strict,
        progress=progress,
        on_refused=on_refused,
    )


def _wrong_text(text: str | None, max_segments: int) -> str:
    if text is None:
        return ""
    if _IMPOSSIBLE.search(text):
        return "text with characters that do not exist"
    return f"text over {max_segments} segments" if sms_text.segments(text) > max_segments else ""
