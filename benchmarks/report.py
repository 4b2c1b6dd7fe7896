"""What every benchmark does with its results: JSON with the facts of the machine, and where wanted a plot beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
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
