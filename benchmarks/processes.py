"""CPU and memory of servers that this process has started, with all the processes that they start themselves.

Read from /proc: the user and system time of who lives, and of those whose end they have waited for (proc(5), stat).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import report

TICKS = os.sysconf("SC_CLK_TCK")


def children() -> set[int]:
    """The processes that this one has started and that have not ended."""
    own = os.getpid()
    return {pid for pid, (parent, _) in _all().items() if parent == own}


def cpu_seconds(roots: set[int]) -> float:
    """All that these processes and their descendants ever used."""
    return sum(ticks for _, ticks in _family(roots).values()) / TICKS


def peak_mb(roots: set[int]) -> float:
    """The sum of what each of them had in memory at most; pages that they share are counted for each."""
    return sum(report.peak_mb(pid) for pid in _family(roots))


def _family(roots: set[int]) -> dict[int, tuple[int, int]]:
    everybody = _all()
    family = {pid for pid in roots if pid in everybody}
    while more := {pid for pid, (parent, _) in everybody.items() if parent in family} - family:
        family |= more
    return {pid: everybody[pid] for pid in family}


def _all() -> dict[int, tuple[int, int]]:
    """(parent, ticks of the processor) by process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                found[int(name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found
