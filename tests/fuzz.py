"""The fuzzers' targets under atheris, which learns from the code that an input reaches.

    python tests/fuzz.py [--seconds 60] [TARGET ...]

What it learns is kept in .cache/fuzz and used the next time; an input that breaks something is written there too.
Needs the extra `fuzz` (make fuzz).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parent.parent / ".cache" / "fuzz"


def fuzz(name: str, seconds: int) -> None:
    """One target, in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["ixxsms"]):
        from fuzz_targets import TARGETS
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=2000",
        "-timeout=20",
        "-rss_limit_mb=1000",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={CORPUS}/{name}-", str(folder)], TARGETS[name])
    atheris.Fuzz()


def seed(name: str) -> None:
    """Begin from sound PDUs, where nothing was learnt yet."""
    from fuzz_targets import SOUND

    folder = CORPUS / name
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, octets in enumerate(SOUND):
            (folder / f"sound-{number}").write_bytes(octets[16:] if name == "message" else octets)


def main() -> int:
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is given")
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fuzz(options.one, options.seconds)
    failed = []
    for name in options.targets or TARGETS:
        seed(name)
        command = [sys.executable, __file__, "--one", name, "--seconds", str(options.seconds)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        lines = done.stderr.splitlines()
        runs = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
        print(f"{name:14} {runs:>10} inputs  {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(lines[-40:]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
