"""The floors of the house: a file imports its own package and any lower floor, nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "ixxsms"

#: From the ground up. Names on one floor are blind to each other; a wing is the files that may see one another.
FLOORS: list[list[set[str]]] = [
    [{"errors"}],
    [
        {"text", "septets", "transliteration"},
        {"numbering"},
        {"states"},
        {"events"},
        {"pace"},
        {"names"},
        {"csvfile"},
        {"hours"},
    ],
    [{"smpp"}, {"imports"}, {"journal"}],
    [
        {"config"},
        {"db", "write_turn", "bulk", "models", "schema", "migrations", "inspection", "backup"},
        {"drivers"},
        {"asterisk"},
    ],
    [
        {"lists"},
        {"trunks"},
        {"driver_config"},
        {"usage"},
        {"outbox"},
        {"inbox"},
        {"daemons"},
        {"numbering_plan"},
        {"onetimecodes"},
        {"sip_routes"},
        {"repeats"},
        {"optouts"},
    ],
    [
        {"receipts"},
        {"codes"},
        {"campaigns"},
        {"harvest"},
        {"requests"},
        {"callrecords"},
        {"announcements"},
        {"routes"},
        {"arrivals"},
    ],
    [{"sender", "held", "batching", "at_once", "neighbours"}, {"hooks", "hook_rules"}],
    [{"dialplan"}, {"manager", "telling"}, {"webhook"}],
    [{"edge"}],
    [{"service", "callrecord_writer", "tallier"}, {"single"}, {"status", "explain"}],
    [{"pbx"}, {"testing"}],
    [{"daemon"}, {"cli"}],
]

#: The one trunk that is an Asterisk needs its link: these files, and no more of that wing.
ACROSS = {"drivers/asterisk_sending.py": {"ixxsms.asterisk.ami", "ixxsms.asterisk.pieces"}}

FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem not in ("__init__", "__main__"))


def part(path: Path) -> str:
    """The name by which the floors know a file: its package, or itself."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor_and_wing(name: str) -> tuple[int, set[str]]:
    for number, wings in enumerate(FLOORS):
        for wing in wings:
            if name in wing:
                return number, wing
    raise AssertionError(f"{name} stands on no floor: add it to FLOORS and to ARCHITECTURE.md")


def imported(path: Path) -> set[str]:
    """The parts of ixxsms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("ixxsms.")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ixxsms":
            below = node.module.split(".")[1:]
            found |= {below[0]} if below else {name.name for name in node.names}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_its_own_wing_and_lower_floors(path: Path) -> None:
    own_floor, own_wing = floor_and_wing(part(path))
    across = {name.split(".")[1] for name in ACROSS.get(str(path.relative_to(ROOT)), set())}
    for name in imported(path) - own_wing - across:
        assert floor_and_wing(name)[0] < own_floor, f"{path.name} must not import {name}"


def names_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_a_file_that_reaches_across_to_another_wing_takes_what_is_listed_and_no_more() -> None:
    for file, listed in ACROSS.items():
        wings = {".".join(name.split(".")[:2]) for name in listed}
        taken = {name for name in names_imported(ROOT / file) if ".".join(name.split(".")[:2]) in wings}
        assert taken == listed


def test_the_protocol_knows_no_socket_clock_or_thread() -> None:
    for path in (ROOT / "smpp").glob("*.py"):
        forbidden = names_imported(path) & {"socket", "time", "threading", "selectors", "asyncio", "sqlalchemy"}
        assert not forbidden, f"{path.name} imports {forbidden}"


def test_drivers_know_no_database() -> None:
    for path in (ROOT / "drivers").glob("*.py"):
        assert not {name for name in names_imported(path) if name.startswith("sqlalchemy")}, path.name


def test_only_db_and_bulk_name_a_dialect_of_our_database() -> None:
    for path in FILES:
        if part(path) not in ("db", "bulk", "asterisk"):  # Asterisk's own call records are another database
            assert not {n for n in names_imported(path) if n.startswith("sqlalchemy.dialects")}, path.name


def test_only_the_faces_exit_or_print() -> None:
    for path in FILES:
        if part(path) not in ("daemon", "cli", "testing"):
            source = path.read_text(encoding="utf-8")
            assert "sys.exit(" not in source, path.name
            assert "print(" not in source, path.name
