"""Our SMPP driver against other senders: messages a second, CPU a message and memory, on one and the same SMSC.

    python benchmarks/smpp.py [--rounds 5] [--seconds 1] [--window 100] [--latency-ms 0] [--quick] [--json]

The SMSC is a sink in C on loopback that never limits. Every sender is a process of its own and sends one text of 140
characters to many numbers. All take turns in each round: on a busy machine only the ratios of one round say something,
so the ratio is the median of the rounds' ratios. Needs cc, node with the package smpp (make bench) and Net::SMPP; a
sender that is not installed is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).parent
PEERS = HERE / "smpp_peers"
NODE_MODULES = Path(os.environ.get("IXXSMS_TEST_NODE") or HERE.parent / ".cache/node") / "node_modules"
TEXT = ("The quick brown fox jumps over the lazy dog. " * 4)[:140]
WINDOWS, LATENCIES = [1, 10, 100, 500], [0, 10, 50]  #: segments; milliseconds
OURS = "ixxsms"

Cell = tuple[int, int]  #: latency, window
Figures = dict[str, float]  #: per_second, cpu_us, memory_mb


def senders(window: int) -> dict[str, list[str]]:
    """The command of each sender that is installed, without its arguments."""
    python = [sys.executable, str(PEERS / "senders.py")]
    found = {OURS: [*python, "ixxsms"]}
    # As its README shows it smpplib waits for each answer; what a careful user would write keeps a window.
    found["smpplib"] = [*python, "smpplib_synchronous" if window == 1 else "smpplib_windowed"]
    if (NODE_MODULES / "smpp").is_dir():
        found["node-smpp"] = ["node", str(PEERS / "node.js")]
    perl = "/usr/bin/perl"  # the system's, whose modules are Debian's
    if subprocess.run([perl, "-MNet::SMPP", "-e", "1"], capture_output=True, check=False).returncode == 0:
        found["Net::SMPP"] = [perl, str(PEERS / "net_smpp.pl")]
    return found


def start_sink(stack: ExitStack, program: Path, latency: int) -> int:
    """The port of a sink that answers after so many milliseconds."""
    process = subprocess.Popen([str(program), str(latency * 1000)], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    stack.callback(process.stdout.close)
    return int(process.stdout.readline().split()[1])


def measure(command: list[str], port: int, window: int, seconds: float) -> Figures:
    """One sender, once. Its memory is all that its process ever had resident, interpreter and all."""
    arguments = [*command, str(port), str(window), str(seconds), TEXT]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ, "NODE_PATH": str(NODE_MODULES)})
    assert process.stdout is not None
    with process.stdout as stdout:
        told = stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}.")
    heard = json.loads(told)
    assert not heard["failed"], heard
    return {
        "per_second": heard["messages"] / heard["seconds"],
        "cpu_us": 1e6 * heard["cpu"] / heard["messages"],
        "memory_mb": usage.ru_maxrss / 1024,
    }


def run(cells: list[Cell], rounds: int, seconds: float) -> dict[Cell, dict[str, list[Figures]]]:
    """Each sender's figures in each round."""
    found: dict[Cell, dict[str, list[Figures]]] = {cell: {name: [] for name in senders(cell[1])} for cell in cells}
    with ExitStack() as stack:
        program = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sink"
        subprocess.run(["cc", "-O2", "-o", str(program), str(PEERS / "sink.c")], check=True)
        ports = {latency: start_sink(stack, program, latency) for latency, _ in cells}
        for number in range(rounds):
            for done, (latency, window) in enumerate(cells):
                commands = list(senders(window).items())
                turn = (number + done) % len(commands)  # nobody is always the first
                for name, command in commands[turn:] + commands[:turn]:
                    figures = measure(command, ports[latency], window, seconds)
                    found[latency, window][name].append(figures)
                if sys.stderr.isatty():
                    print(f"\rround {number + 1} of {rounds}, {done + 1} of {len(cells)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return found


def summary(found: dict[Cell, dict[str, list[Figures]]]) -> list[dict[str, Any]]:
    """Medians, and the medians of the ratios within each round."""
    cells = []
    for (latency, window), by_name in found.items():
        medians = {
            name: {key: statistics.median(each[key] for each in figures) for key in figures[0]}
            for name, figures in by_name.items()
        }
        ours = [each["per_second"] for each in by_name[OURS]]
        ratios = {
            name: statistics.median(own / each["per_second"] for own, each in zip(ours, figures, strict=True))
            for name, figures in by_name.items()
            if name != OURS
        }
        cell = {"latency_ms": latency, "window": window, "medians": medians, "ours_to": ratios}
        if latency:
            cell["of_limit"] = medians[OURS]["per_second"] * latency / 1000 / window
        cells.append(cell | {"rounds": by_name})
    return cells


def targets(cells: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """(what, reached, wanted) of every target that was measured."""
    rows = []
    for cell in cells:
        where = f"window {cell['window']}, {cell['latency_ms']} ms"
        if cell["ours_to"]:
            slowest = min(cell["ours_to"], key=cell["ours_to"].__getitem__)
            # Where the SMSC's latency is the limit all are equally fast, and a hundredth is the noise of the clock.
            wanted = 0.99 if cell["latency_ms"] else 1.0
            rows.append((f"{where}: ours to {slowest}, the nearest", cell["ours_to"][slowest], wanted))
        if (cell["latency_ms"], cell["window"]) == (0, 100) and "node-smpp" in cell["ours_to"]:
            rows.append((f"{where}: ours to node-smpp", cell["ours_to"]["node-smpp"], 3.0))
        if cell["latency_ms"] == 50:
            rows.append((f"{where}: of window / latency", cell["of_limit"], 0.98))
    return rows


def show(cells: list[dict[str, Any]]) -> None:
    windows = sorted({cell["window"] for cell in cells})
    print("messages a second (CPU microseconds a message), medians")
    print(f"{'':18}" + "".join(f"{f'window {window}':>15}" for window in windows))
    for latency, group in itertools.groupby(cells, key=lambda cell: cell["latency_ms"]):
        by_window = {cell["window"]: cell["medians"] for cell in group}
        for name in next(iter(by_window.values())):
            parts = []
            for window in windows:
                figures = by_window[window].get(name)
                parts.append(f"{figures['per_second']:,.0f} ({figures['cpu_us']:.0f})" if figures else "")
            print(f"{latency:3} ms {name:12}" + "".join(f"{part:>15}" for part in parts))
    most = {
        name: max(cell["medians"][name]["memory_mb"] for cell in cells if name in cell["medians"])
        for name in cells[0]["medians"]
    }
    print("peak memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in most.items()))
    for what, reached, wanted in targets(cells):
        print(f"{'ok  ' if reached >= wanted else 'MISS'} {what}: {reached:.3f}, wanted {wanted:g}")


def draw(cells: list[dict[str, Any]]) -> None:
    latencies = sorted({cell["latency_ms"] for cell in cells})

    def axes(all_axes: list[Any]) -> None:
        for axis, latency in zip(all_axes, latencies, strict=True):
            group = [cell for cell in cells if cell["latency_ms"] == latency]
            windows = [cell["window"] for cell in group]
            for name in group[0]["medians"]:
                rates = [cell["medians"][name]["per_second"] for cell in group]
                axis.plot(windows, rates, marker="o", label=name, linewidth=2.5 if name == OURS else 1.2)
            if latency:
                axis.plot(windows, [1000 * w / latency for w in windows], ":", color="grey", label="window / latency")
            axis.set(xscale="log", yscale="log", title=f"SMSC answers after {latency} ms", xlabel="window")
            axis.set_xticks(windows, [str(window) for window in windows])
            axis.grid(alpha=0.3)
        all_axes[0].set_ylabel("messages a second")
        all_axes[-1].legend()

    report.plot("smpp", len(latencies), axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each sender in each round")
    parser.add_argument("--window", type=int, action="append", help=f"instead of {WINDOWS}; may be repeated")
    parser.add_argument("--latency-ms", type=int, action="append", help=f"instead of {LATENCIES}; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="also into benchmarks/results/smpp.json, with a plot")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.3
    cells = list(itertools.product(options.latency_ms or LATENCIES, options.window or WINDOWS))
    found = summary(run(cells, options.rounds, options.seconds))
    show(found)
    if options.json:
        report.save("smpp", found)
        draw(found)


if __name__ == "__main__":
    main()
