"""What benchmarks share: the peak of a process, results as JSON with the facts of the machine, and a plot beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processors": os.cpu_count(),
        "processor": model,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
    }


def peak_mb(pid: int | str = "self") -> float:
    """What a process has had in memory at most; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def forget_peak() -> None:
    """From now on the peak of this process is what it has in memory now."""
    Path("/proc/self/clear_refs").write_text("5")


def save(name: str, results: Any) -> Path:
    """Write benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    return target


def plot(name: str, columns: int, draw: Callable[[list[Any]], None]) -> Path | None:
    """Write benchmarks/results/NAME.png with so many plots side by side; None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(5 * columns, 4), layout="constrained", squeeze=False)
    draw(list(axes[0]))
    target = RESULTS / f"{name}.png"
    figure.savefig(target, dpi=110)
    return target


def bars(axis: Any, label: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Bars for each name, side by side those of each group; all groups have the same names."""
    height = 0.8 / len(groups)
    for nth, (group, values) in enumerate(groups.items()):
        axis.barh([at + nth * height for at in range(len(values))], list(values.values()), height, label=group)
    names = list(next(iter(groups.values())))
    axis.set_yticks([at + 0.4 - height / 2 for at in range(len(names))], names)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.grid(axis="x", alpha=0.3)
    # Above it and to the left: beside long names an axis is narrow.
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(groups), frameon=False, columnspacing=1)
