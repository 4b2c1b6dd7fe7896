"""SMS as rows of a CDR table, in whichever columns it has, so that Asterisk's reports show them.

A harvest knows them by their `dstchannel` and leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, column, insert, inspect
from sqlalchemy import table as table_clause
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import Date, DateTime, Integer, Numeric, TypeEngine

from ixxsms.asterisk.cdr.reading import moment
from ixxsms.asterisk.cdr.table import SMS, existing

_TIMES = ("calldate", "start", "answer", "end")
_SAME = {
    "clid": "",
    "dcontext": "",
    "channel": "",
    "dstchannel": SMS,
    "lastapp": "",
    "lastdata": "",
    "duration": 0,
    "billsec": 0,
    "disposition": "ANSWERED",
    "amaflags": 3,
    "accountcode": "",
    "uniqueid": "",
    "userfield": "",
}
_KNOWN = {*_TIMES, *_SAME, "src", "dst"}


class Sms(NamedTuple):
    """`sender`: the extension or sender id. `when`: in the PBX's local time, without a zone."""

    sender: str
    number: str
    when: datetime


def insert_sms(connection: Connection, name: str, rows: Iterable[Sms]) -> None:
    """One row for each. Raises NotFound."""
    schema, bare = existing(connection, name)
    columns = inspect(connection).get_columns(bare, schema=schema)
    filled = {one["name"]: one["type"] for one in columns if one["name"].lower() in _KNOWN or _must_be_filled(one)}
    clause = table_clause(bare, *(column(each) for each in filled), schema=schema)
    values = [{each: _value(each.lower(), kind, row) for each, kind in filled.items()} for row in rows]
    connection.execute(insert(clause), values)


def _must_be_filled(one: ReflectedColumn) -> bool:
    by_itself = one.get("default") is not None or one.get("autoincrement") is True or {"identity", "computed"} & {*one}
    return not (one["nullable"] or by_itself or one.get("primary_key"))


def _value(name: str, kind: TypeEngine[Any], row: Sms) -> Any:
    if isinstance(kind, (Date, DateTime)):
        return row.when
    if name in _TIMES:
        return moment(row.when)
    values = {**_SAME, "src": row.sender, "dst": row.number}
    if isinstance(kind, (Integer, Numeric)):
        return values.get(name, 0)
    # As text Asterisk writes the flags by name, and everything else as it is.
    return "DOCUMENTATION" if name == "amaflags" else str(values.get(name, ""))
