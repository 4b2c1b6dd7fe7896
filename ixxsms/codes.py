"""Error codes: what each means on a trunk, where that comes from, and how often it came.

Verbs take an open session and never commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from ixxsms import trunks
from ixxsms.bulk import add_up
from ixxsms.errors import BadInput
from ixxsms.models import CodeCount, Trunk
from ixxsms.smpp import status

__all__ = ["change", "reset", "table"]


_CODE = re.compile("0x[0-9A-F]{2,8}")


@dataclass(frozen=True)
class CodeView:
    """An error code on a trunk. `klass` is a status.Class, or "" where the trunk's kind has no table.

    `origin`: default, a provider, trunk, or "" for a code that no table has. `last_at`: seconds since 1970.
    """

    code: str
    name: str
    klass: str
    origin: str
    meaning: str
    count: int = 0
    last_at: float | None = None


def note(session: Session, trunk_id: int, seen: Iterable[tuple[str, str]], now: float) -> None:
    """Count error answers, each (code, reason)."""
    rows: dict[str, dict[str, Any]] = {}
    for code, reason in seen:
        row = rows.setdefault(code[:16], {"trunk_id": trunk_id, "code": code[:16], "count": 0, "last_at": now})
        row["count"] += 1
        row["last_reason"] = reason
    add_up(session, cast(Table, CodeCount.__table__), list(rows.values()), ["count"])


def table(session: Session, name: str) -> list[CodeView]:
    """The codes that some table has or that came, in order, as they are understood on the trunk. Raises NotFound."""
    trunk = trunks.get(session, name)
    counts = {row.code: row for row in session.scalars(select(CodeCount).where(CodeCount.trunk_id == trunk.id))}
    views = {}
    if _has_table(trunk):
        own = status.errors(trunk.options.get("provider", ""), trunk.options["errors"])
        came = {int(code, 16) for code in counts if _CODE.fullmatch(code)}
        for number in sorted({*status.default_table(), *own, *came}):
            known, label = status.look_up(number, own), status.label(number)
            views[label] = CodeView(label, known.name, str(known.klass), known.origin, known.meaning)
    for code, row in sorted(counts.items()):
        view = views.get(code) or CodeView(code, "", "", "", row.last_reason)
        views[code] = CodeView(view.code, view.name, view.klass, view.origin, view.meaning, row.count, row.last_at)
    return list(views.values())


def change(
    session: Session, name: str, classes: Mapping[str, str], *, script_dir: str, provider: str | None = None
) -> Trunk:
    """Say what codes mean on a trunk: code ("0x14") -> class; the rest stays. `provider`: whose codes apply.

    Raises NotFound and BadInput. A trunk that had stopped is enabled again, as by any edit.
    """
    trunk = _with_table(session, name)
    overrides = status.parse_overrides(trunk.options["errors"])
    overrides |= status.parse_overrides(",".join(f"{code}={klass}" for code, klass in classes.items()))
    fields = {"errors": status.write_overrides(overrides)} | ({} if provider is None else {"provider": provider})
    return trunks.edit(session, name, script_dir=script_dir, **fields)


def reset(session: Session, name: str, *, script_dir: str) -> Trunk:
    """Forget what the trunk itself says of codes; its provider's table and the default one count again."""
    _with_table(session, name)
    return trunks.edit(session, name, script_dir=script_dir, errors="")


def _has_table(trunk: Trunk) -> bool:
    # A kind of trunk may have an option `errors` in words of its own.
    return trunk.kind == "smpp"


def _with_table(session: Session, name: str) -> Trunk:
    trunk = trunks.get(session, name)
    if not _has_table(trunk):
        raise BadInput(f'The trunk "{name}" is of the kind {trunk.kind}; only SMPP trunks have a table of error codes.')
    return trunk
