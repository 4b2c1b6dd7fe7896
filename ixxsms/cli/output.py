"""How commands print: tables and facts for people, one JSON document for programs, the bar while people wait.

Names, texts and reasons come from anybody: no table takes them for markup, and no control character leaves here.
Rich is imported where it is needed, because it takes longer than most commands do.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Protocol

import typer

#: The option of every command that shows something.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

#: So many rows of a long table are shown, unless the command is told otherwise.
ROWS = 100

#: And no more than this at all: beyond it no database takes a limit.
_MOST_ROWS = 2_147_483_647

#: The options that say how many rows are shown.
Limit = Annotated[int, typer.Option(min=1, max=_MOST_ROWS, help="Show so many.")]
LimitOrAll = Annotated[
    int | None, typer.Option(min=1, max=_MOST_ROWS, help="Show so many (table: 100; otherwise all).")
]


class Progress(Protocol):
    """Called now and then while something long goes on; a total of 0 is not known."""

    def __call__(self, done: int, total: int = 0) -> None: ...


# What steers a terminal or turns the direction of a line: C0, C1, separators, bidirectional marks.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: Wider than any row.
_UNCUT = 1_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def clean(value: Any) -> str:
    """The value in one line, without what steers a terminal."""
    return _UNSEEN.sub("\ufffd", str(value).replace("\r\n", " ").replace("\n", " ").replace("\t", " "))


def say(sentence: str) -> None:
    """One line for people on standard output."""
    print(clean(sentence))


def local(seconds: float | None) -> str:
    """A time for people; empty for none."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}" if seconds else ""


# Kept, for the messages of a campaign share their times: to make them takes longer than to read the rows.
@lru_cache(maxsize=1000)
def iso(seconds: float | None) -> str | None:
    """A time for programs: ISO 8601 with the local offset; None for none."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds") if seconds else None


def duration(seconds: float) -> str:
    """How long, in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def plural(count: int, noun: str) -> str:
    """ "1 segment", "2 segments"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# -- for programs --------------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_list(rows: Iterable[Any]) -> None:
    """A JSON list of any length, in bounded memory."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(f"{before}  {json.dumps(row, ensure_ascii=False)}")
        before = ",\n"
    print("[]" if before == "[\n" else "\n]")


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


# -- for people ----------------------------------------------------------------------------------------------------


def print_facts(facts: Mapping[str, Any]) -> None:
    """One thing: a line for each name with its value. Values that are None or empty are left out."""
    shown = {name: value for name, value in facts.items() if value is not None and value != ""}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:{width}}  {_cell(value)}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], stretch: Sequence[str] = ()) -> None:
    """Rows in columns, as wide as the terminal: the columns of `stretch` are cut first where that is narrow.

    Where it goes to a file or a program nothing is cut, unless COLUMNS says how wide it is. Numbers stand on the right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for at, column in enumerate(columns):
        number = bool(cells) and all(type(row[at]) in (int, float) for row in cells)
        table.add_column(column, justify="right" if number else "left", no_wrap=column not in stretch)
    for row in cells:
        table.add_row(*(Text(_cell(value), no_wrap=True, overflow="ellipsis") for value in row))
    captured = _Captured(sys.stdout.isatty())
    width, height = shutil.get_terminal_size((80, 24) if sys.stdout.isatty() else (_UNCUT, 24))
    Console(file=captured, width=width, height=height, markup=False, highlight=False, emoji=False).print(table)
    print("\n".join(line.rstrip() for line in captured.getvalue().splitlines()))


class _Captured(io.StringIO):
    """What rich prints, kept: the blanks at the ends of its lines are cut off before it is shown."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else clean(f"{value:g}" if isinstance(value, float) else value)


def more(shown: int, total: int) -> None:
    """Say how many rows were left off."""
    if total > shown:
        say(f"… and {total - shown} more (--limit)")


def character(char: str) -> str:
    """A character with its name, which is what tells a typographic quote from a plain one."""
    return f"{clean(char)} U+{ord(char):04X} {unicodedata.name(char, '')}".strip()


# -- while people wait -------------------------------------------------------------------------------------------


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on standard error while something long goes on; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total=0: None
        return
    from rich import progress as rich
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def progress(done: int, total: int = 0) -> None:
            bar.update(task, completed=done, total=total or None, description=what if total else f"{what}: {done}")

        yield progress
