"""A CDR table as it really is: which of the many columns it has, and the filters in terms of them.

Knows SQL but no database: what one of them does better than others is the business of its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    TableClause,
    and_,
    case,
    cast,
    column,
    false,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy import table as table_clause
from sqlalchemy.types import NullType

from ixxsms.asterisk.cdr.missed import APPLICATIONS, Leg
from ixxsms.asterisk.cdr.reading import NUMBERS, Filters, moment
from ixxsms.errors import BadInput, NotFound

#: In the column `dstchannel`: the row is that of an SMS.
SMS = "SMS"


@dataclass(frozen=True)
class Table:
    """`names`: the columns in lower case, and as they are."""

    clause: TableClause
    names: dict[str, str]

    def select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        return select(*columns).select_from(self.clause)

    def column(self, name: str, wanted_by: str = "") -> ColumnElement[Any]:
        """The column of that name, in lower case. Raises BadInput."""
        if name not in self.names:
            needed = f", which the filter {wanted_by} needs" if wanted_by else ""
            raise BadInput(f'The CDR table "{self.clause.name}" has no column "{name}"{needed}.')
        return self.clause.c[self.names[name]]

    @property
    def date_name(self) -> str:
        """FreePBX and most others write `calldate`; Asterisk's own name for it is `start`."""
        return "start" if "calldate" not in self.names and "start" in self.names else "calldate"

    def call(self) -> ColumnElement[Any] | None:
        """What the rows of one call have in common, if it was written."""
        if "uniqueid" not in self.names:
            return None
        own = self.column("uniqueid")
        return func.coalesce(func.nullif(self.column("linkedid"), ""), own) if "linkedid" in self.names else own

    def numbers(self, filters: Filters) -> list[ColumnElement[Any]]:
        return [self.column(name) for name in NUMBERS[filters.direction]]

    def conditions(self, filters: Filters) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if filters.since:
            found.append(self.column(self.date_name, "since") >= untyped(filters.since))
        if filters.until:
            found.append(self.column(self.date_name, "until") < untyped(filters.until))
        if filters.disposition:
            found.append(func.upper(self.column("disposition", "disposition")) == filters.disposition.strip().upper())
        if filters.did:
            found.append(self.column("did", "did") == filters.did)
        if filters.min_billsec > 0:
            # In SQLite it is text, and there any text is more than any number.
            found.append(cast(self.column("billsec", "min_billsec"), Integer) >= filters.min_billsec)
        if filters.context:
            found.append(self.column("dcontext", "context") == filters.context)
        if "dstchannel" in self.names:
            found.append(func.coalesce(self.column("dstchannel"), "") != SMS)
        return found

    def legs(self, filters: Filters, conditions: list[ColumnElement[bool]]) -> Select[Any]:
        """The rows among which there are missed calls, as leg() takes them; `conditions`: which of them are wanted."""
        (number,) = self.numbers(filters)
        needed = [self.column(name, "missed") for name in ("dstchannel", "disposition")]
        others = [
            self.column(name) if name in self.names else literal("") for name in ("uniqueid", "linkedid", "channel")
        ]
        wanted = case((and_(*conditions), 1), else_=0)
        applied = self.column("lastapp", "missed").in_(APPLICATIONS)
        return self.select(number, *others, *needed, wanted).where(applied)


def leg(row: Sequence[Any], nth: int) -> Leg:
    """`nth`: a number that no other row of this reading has."""
    number, uniqueid, linkedid, channel, dstchannel, disposition = (
        "" if each is None else str(each) for each in row[:6]
    )
    return Leg(number, uniqueid or f"row {nth}", linkedid, channel, dstchannel, disposition, wanted=bool(row[6]))


def untyped(when: datetime) -> ColumnElement[Any]:
    """A time as text without a type: each database compares it with whatever its column is, a time or text."""
    return literal(moment(when), NullType())


def look_at(connection: Connection, name: str) -> Table:
    """The table of that name, maybe with a schema in front. Raises NotFound."""
    schema, bare = existing(connection, name)
    # Only the names: what back ends and people make of the types is no business of ours.
    nothing = select(text("*")).select_from(table_clause(bare, schema=schema)).where(false())
    names = list(connection.execute(nothing).keys())
    clause = table_clause(bare, *(column(each) for each in names), schema=schema)
    return Table(clause, {each.lower(): each for each in names})


def existing(connection: Connection, name: str) -> tuple[str | None, str]:
    """The schema in front of the name of a table, if there is one, and the name itself. Raises NotFound."""
    schema, _, bare = name.rpartition(".")
    if not inspect(connection).has_table(bare, schema=schema or None):
        raise NotFound(f'There is no table "{name}" in the CDR database.')
    return schema or None, bare
