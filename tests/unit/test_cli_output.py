"""How commands print: nothing hostile reaches a terminal or a spreadsheet, everything fits, JSON is one document."""

from __future__ import annotations

import io
import json
import sys
import time

import pytest

from ixxsms.cli import output
from ixxsms.cli.input import hours, moment, read_password, read_text
from ixxsms.errors import BadInput

HOSTILE = "[red]x[/red] \x1b[31mred\x1b]0;title\x07 \u202eesrever\r\n:smile: \x00\ud800"


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_no_control_character_is_printed():
    shown = output.clean(HOSTILE)
    assert "[red]x[/red]" in shown and ":smile:" in shown
    assert shown.isprintable()


def test_a_table_shows_hostile_text_as_it_is_and_fits(capsys):
    output.print_table(["number", "text"], [("34600123456", HOSTILE), ("34600123457", "long " * 100)], ["text"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 80 and line.isprintable() and line == line.rstrip() for line in lines)
    assert "[red]x[/red]" in lines[1] and lines[2].endswith("…")
    assert lines[2].startswith("34600123457  long long")


@pytest.mark.parametrize("columns", ["", "0", None])
def test_a_table_that_goes_to_a_program_is_not_cut(capsys, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS")
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    output.print_table(["number", "text"], [("34600123456", "long " * 100), ("1", "x")], ["text"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["number       text", f"34600123456  {('long ' * 100).strip()}", "1            x"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.print_table(["number", "text"], [("34600123456", "long " * 100)], ["text"])
    assert capsys.readouterr().out.splitlines()[1].endswith("…")


def test_the_columns_that_stretch_are_cut_first(capsys):
    output.print_table(["name", "state", "why"], [("n" * 64, "accepted", "w" * 64)], ["name", "why"])
    line = capsys.readouterr().out.splitlines()[1]
    assert "  accepted  " in line and line.count("…") == 2 and len(line) <= 80


def test_a_table_has_no_colours_where_it_is_no_terminal(capsys, monkeypatch):
    rows = [("a", 1, 2.0, True, None)]
    output.print_table(["name", "one", "two", "flag", "nothing"], rows)
    assert capsys.readouterr().out == "name  one  two  flag  nothing\na       1    2  yes\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    output.print_table(["name"], rows and [("a",)])
    assert "\x1b[1m" in capsys.readouterr().out


def test_facts_leave_out_what_is_empty(capsys):
    output.print_facts({"name": "x\x1b", "nothing": "", "none": None, "zero": 0, "flag": False, "pace": 10.0})
    assert capsys.readouterr().out == "name  x\ufffd\nzero  0\nflag  no\npace  10\n"


def test_json_is_one_document_with_letters_as_they_are(capsys):
    output.print_json({"text": "ñ €\x1b"})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"text": "ñ €\x1b"} and "ñ €" in shown and "\x1b" not in shown


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": "ñ"}, {"b": None}]])
def test_a_json_list_of_any_length_is_one_document(capsys, rows):
    output.print_json_list(iter(rows))
    assert json.loads(capsys.readouterr().out) == rows


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(text):
    assert output.harmless(text) == f"'{text}"


def test_a_plain_cell_stays():
    assert output.harmless("Hola =") == "Hola =" and output.harmless("") == ""


def test_times():
    assert output.iso(1795351995.7) == "2026-11-22T13:53:15+01:00"
    assert output.local(1795351995.7) == "2026-11-22 13:53:15"
    assert (output.iso(None), output.iso(0.0), output.local(None)) == (None, None, "")
    assert [output.duration(seconds) for seconds in (0.4, 61, 7325)] == ["0 s", "1 min 01 s", "2 h 02 min"]


def test_the_progress_bar_is_for_terminals_only(capsys, monkeypatch):
    with output.progress_bar("reading") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with output.progress_bar("[red]reading") as progress:
        progress(1, 0)
        progress(2, 2)
    out, err = capsys.readouterr()
    assert out == "" and "[red]reading" in err


# -- what is read


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.mark.parametrize(
    ("data", "text"), [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\nb\n\n", "a\nb\n"), ("\ufeffñ".encode(), "ñ"), (b"", "")]
)
def test_a_text_from_standard_input_loses_its_last_line_break(stdin, data, text):
    stdin(data)
    assert read_text("-") == text
    assert read_text(" - ") == " - "


def test_a_password_comes_from_the_option_a_file_or_standard_input(stdin, tmp_path):
    (tmp_path / "secret").write_bytes(b" pass word \r\nsecond\n")
    assert read_password(None, str(tmp_path / "secret")) == " pass word "
    stdin(b"x\ny")
    assert read_password(None, "-") == "x"
    assert read_password("given", None) == "given"
    assert read_password(None, None) is None
    with pytest.raises(BadInput):
        read_password("given", "-")


def test_moments_are_local_and_have_no_zone():
    assert str(moment("2026-11-22")) == "2026-11-22 00:00:00"
    assert str(moment(" 2026-11-22 09:30 ")) == "2026-11-22 09:30:00"
    assert str(moment("2026-11-22T09:30+00:00")) == "2026-11-22 10:30:00"
    assert moment("") is None
    with pytest.raises(BadInput, match="no date"):
        moment("yesterday")


def test_hours_go_together():
    assert hours(None, None) is None
    assert hours("08:00", "20:00") == ("08:00", "20:00")
    for pair in (("08:00", None), (None, "20:00")):
        with pytest.raises(BadInput):
            hours(*pair)
