"""What an import or a harvest tells of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ixxsms.cli.output import print_facts, print_table, say

if TYPE_CHECKING:
    from ixxsms.harvest import HarvestReport
    from ixxsms.imports import ImportReport

#: So many refused rows are shown.
REFUSED_ROWS = 20


def import_json(report: ImportReport) -> dict[str, Any]:
    """What became of the rows of a file, for programs."""
    return {
        "rows_read": report.read,
        "new": report.added,
        "already_there": report.already,
        "duplicates": report.duplicates,
        "refused": report.refused_total,
        "refused_by_reason": dict(report.by_reason),
        "refused_rows": [{"line": r.line, "value": r.value, "reason": r.reason} for r in report.refused],
    }


def print_import(report: ImportReport) -> None:
    """What became of the rows of a file, with the first refused ones."""
    print_facts(
        {
            "rows read": report.read,
            "new": report.added,
            "already there": report.already,
            "twice in the file": report.duplicates,
            "refused": report.refused_total,
        }
    )
    if report.refused_total:
        first = report.refused[:REFUSED_ROWS]
        print_table(["line", "refused", "reason"], [(r.line, r.value, r.reason) for r in first], ["refused"])
        if report.refused_total > len(first):
            say(f"… and {report.refused_total - len(first)} more")


def harvest_json(report: HarvestReport) -> dict[str, Any]:
    """What became of the rows of the call records, for programs."""
    return {
        "rows_read": report.read,
        "mobiles": report.mobiles,
        "new": report.new,
        "already_there": report.already_there,
        "excluded": report.excluded,
        "too_few_calls": report.too_few,
        "refused": sum(report.refused.values()),
        "refused_by_reason": report.refused,
    }


def print_harvest(report: HarvestReport) -> None:
    """What became of the rows of the call records, with the refused ones by reason."""
    print_facts(
        {
            "rows read": report.read,
            "mobiles": report.mobiles,
            "new": report.new,
            "already there": report.already_there,
            "excluded": report.excluded,
            "with too few calls": report.too_few or None,
            "refused": sum(report.refused.values()),
            **{f"  {reason}": count for reason, count in sorted(report.refused.items(), key=_most_first)},
        }
    )


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
