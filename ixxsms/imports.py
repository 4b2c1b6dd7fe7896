"""What becomes of the rows of a number file, whatever table they go into: checked, counted, reported.

Knows rows, the numbering plan and how to count in bounded memory. Must never know a table: it is given how to add.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ixxsms.csvfile import Row
from ixxsms.errors import BadFile
from ixxsms.numbering import Plan, checker

__all__ = ["ImportReport", "Refusal", "import_rows"]

#: So many refusals stand in a report; all of them go to `on_refused`.
KEPT_REFUSALS = 1000

_BATCH = 10_000


class Refusal(NamedTuple):
    """A row that was not taken: the line where it begins, what stood there (80 characters at most), and why."""

    line: int
    value: str
    reason: str


@dataclass
class ImportReport:
    """What became of the rows: read = added + already + duplicates + refused_total.

    `already`: were members before; `duplicates`: stand in the file more than once; `refused`: the first
    KEPT_REFUSALS of them.
    """

    read: int = 0
    added: int = 0
    already: int = 0
    duplicates: int = 0
    refused_total: int = 0
    refused: list[Refusal] = field(default_factory=list)
    by_reason: Counter[str] = field(default_factory=Counter)


def import_rows(
    plan: Plan,
    rows: Iterable[Row],
    *,
    add: Callable[[Iterator[dict[str, str | None]]], int],
    wrong_text: Callable[[str | None], str] = lambda text: "",
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
    on_refused: Callable[[Refusal], None] | None = None,
) -> ImportReport:
    """Read the rows of a number file in bounded memory. What `rows` raises goes through.

    `add` gets the good ones as number in normal form and text, some thousands at a time, leaves those that are there
    already, and returns how many were not. Of a number that stands in the file twice the first text counts. A bad row
    stops nothing: it goes to `on_refused` and into the report. `strict`: any bad row raises BadFile, when all have
    been read; the caller rolls back. `progress`: called with the rows read so far, now and then.
    """
    report = ImportReport()
    distinct = _Distinct()

    def good() -> Iterator[dict[str, str | None]]:
        for batch in _batches(_accepted(rows, plan, wrong_text, report, on_refused)):
            if progress:
                progress(report.read)
            if not (strict and report.refused_total):
                distinct.add(batch)
                yield batch

    report.added = add(good())
    report.already = distinct.count() - report.added
    report.duplicates = report.read - report.refused_total - distinct.count()
    if strict and report.refused_total:
        raise BadFile(_refusal_sentence(report))
    return report


def _accepted(
    rows: Iterable[Row],
    plan: Plan,
    wrong_text: Callable[[str | None], str],
    report: ImportReport,
    on_refused: Callable[[Refusal], None] | None,
) -> Iterator[tuple[str, str | None]]:
    """(number in normal form, text) of the good rows; counts, and hands on the bad ones."""
    check_number = checker(plan)
    for row in rows:
        report.read += 1
        found = check_number(row.number)
        reason = row.problem or found.reason or wrong_text(row.text)
        if not reason:
            yield found.number, row.text
            continue
        refusal = Refusal(row.line, row.number[:80], reason)
        report.refused_total += 1
        report.by_reason[reason] += 1
        if len(report.refused) < KEPT_REFUSALS:
            report.refused.append(refusal)
        if on_refused:
            on_refused(refusal)


def _batches(pairs: Iterator[tuple[str, str | None]]) -> Iterator[dict[str, str | None]]:
    while taken := list(itertools.islice(pairs, _BATCH)):
        taken.reverse()  # a dict keeps the last of equals: the first of the file
        yield dict(taken)


class _Distinct:
    """Counts distinct numbers in eight bytes each, where a set takes a hundred: by their hashes, of which two among
    ten million are the same once in some hundred thousand imports."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(256)]

    def add(self, numbers: Iterable[str]) -> None:
        for digest in map(hash, numbers):
            self._parts[digest & 255].append(digest)

    def count(self) -> int:
        return sum(len(set(part)) for part in self._parts)


def _refusal_sentence(report: ImportReport) -> str:
    line, value, reason = report.refused[0]
    lines = "1 line is" if report.refused_total == 1 else f"{report.refused_total} lines are"
    return f'Nothing was imported, {lines} refused; the first, line {line}, is "{value}": {reason}.'
