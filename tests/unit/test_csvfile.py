"""Number files as people really have them."""

from __future__ import annotations

import contextlib
import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ixxsms import csvfile
from ixxsms.csvfile import Row, rows, sniff
from ixxsms.errors import BadFile


def read(data: bytes | str, **options) -> list[Row]:
    return list(rows(io.BytesIO(data.encode() if isinstance(data, str) else data), **options))


def numbers(data: bytes | str) -> list[str]:
    return [row.number for row in read(data)]


def test_a_bare_column_of_numbers_is_read():
    assert read("600123456\n600123457\n") == [Row(1, "600123456", None), Row(2, "600123457", None)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_second_column_is_the_own_text(delimiter):
    file = f"600123456{delimiter}Hola Pepe{delimiter} {delimiter}\n600123457{delimiter}\n"
    assert read(file) == [Row(1, "600123456", "Hola Pepe"), Row(2, "600123457", None)]


FURTHER = "it goes on in a further column; a text with delimiters needs quotes"


@pytest.mark.parametrize("header", ["", "number,text\n", "number\n", "number,text,,\n"])
def test_a_text_that_an_unquoted_comma_would_cut_is_refused(header):
    file = f'{header}600123456,hello, world\n600123457,"hello, world"\n600123458,,x\n'
    first = 2 if header else 1
    assert read(file) == [
        Row(first, "600123456", None, FURTHER),
        Row(first + 1, "600123457", "hello, world"),
        Row(first + 2, "600123458", None, FURTHER),
    ]


def test_further_columns_that_a_header_names_are_ignored():
    file = "number,text,name,town\n600123456,Hola,Pepe,Lugo\n600123457,,,Lugo,\n600123458,Hola,Pepe,Lugo, Galicia\n"
    assert read(file) == [
        Row(2, "600123456", "Hola"),
        Row(3, "600123457", None),
        Row(4, "600123458", None, FURTHER),
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"], ids=str
)
def test_accents_survive_in_every_encoding(encoding):
    text = "600123456;Mañana a las 8, señor\r\n600123457;Adiós\r\n"
    assert [row.text for row in read(text.encode(encoding))] == ["Mañana a las 8, señor", "Adiós"]


def test_utf_16_with_the_big_endian_mark_is_read():
    assert read(b"\xfe\xff" + "600123456;ñ\n".encode("utf-16-be")) == [Row(1, "600123456", "ñ")]


def test_the_euro_sign_of_windows_is_read_even_when_it_first_comes_after_the_first_blocks():
    file = b"600123456;plain\n" * 20_000 + b"600123457;5 \x80 \x81\n"
    assert read(file)[-1] == Row(20_001, "600123457", "5 € \x81")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_lines_end_in_every_way(ending):
    file = ending.join(["number;text", "600123456;a", "", "600123457;b"])
    assert read(file) == [Row(2, "600123456", "a"), Row(4, "600123457", "b")]


def test_a_file_without_an_end_of_line_is_read_to_its_end():
    assert numbers("600123456\n600123457") == ["600123456", "600123457"]


@pytest.mark.parametrize(
    "header", ["number;text", "teléfono;texto", "Phone;", '"Móvil";"Mensaje"', "sep=;\nnumber;text"]
)
def test_a_header_is_skipped(header):
    assert numbers(f"{header}\n600123456;a\n") == ["600123456"]


@pytest.mark.parametrize("first", ["6001", "not a number 1", "+34 600 12 34 56", "tel:+34600123456"])
def test_a_first_row_with_a_digit_is_no_header(first):
    assert numbers(f"{first}\n600123456\n") == [first, "600123456"]


def test_only_the_first_row_can_be_a_header():
    assert numbers("number\nsurname\n600123456\n") == ["surname", "600123456"]


def test_a_row_without_a_number_is_handed_on():
    assert read(";a text\n600123456;b\n") == [Row(1, "", "a text"), Row(2, "600123456", "b")]


def test_comments_and_blank_lines_are_skipped_and_still_counted():
    file = '# our clients, "the good ones\n\n   \n;;;\nnumber\n#600\n600123456;a\n'
    assert read(file) == [Row(7, "600123456", "a")]


def test_quotes_hold_delimiters_quotes_line_breaks_and_hash_signs():
    file = '600123456;"Hola; ""Pepe""\r\n\r\n#aviso"\r\n600123457;"b"\r\n'
    assert read(file) == [Row(1, "600123456", 'Hola; "Pepe"\n\n#aviso'), Row(4, "600123457", "b")]


def test_blanks_around_cells_do_not_matter():
    assert read(' 600123456 , "Hola, Pepe"\n') == [Row(1, "600123456", "Hola, Pepe")]


def test_the_text_marker_of_a_spreadsheet_is_taken_off():
    assert read('="600123456";a\n="600123457";b\n') == [Row(1, "600123456", "a"), Row(2, "600123457", "b")]


def test_a_number_in_a_spreadsheets_notation_stays_in_one_piece():
    assert numbers("3,46E+10\n3,46E+10\n") == ["3,46E+10", "3,46E+10"]


@pytest.mark.parametrize(
    ("file", "delimiter"),
    [
        ("600123456;Hola, qué tal, bien\n600123457;Sí, claro\n", ";"),
        ("600123456,Hola; qué tal; bien\n600123457,a;b\n", ","),
        ("600123456\tuno, dos; tres\n", "\t"),
        ("600 12 34 56\n+34 (600) 12-34-57\n", ""),
        ("number;text\n600123456;a, b\n", ";"),
        ("name;surname\nPepe;García\n", ";"),
        ("Hola\n", ""),
        ("sep=|\n600123456|a\n", "|"),
        ("", ""),
        ("600123456;Hola\n,,,,,,,\n,,,,,,,\n", ";"),
    ],
)
def test_the_delimiter_is_found_in_the_first_lines(file, delimiter):
    assert sniff(file.encode()).delimiter == delimiter


def test_a_quote_that_is_never_closed_costs_one_line_and_no_other():
    file = '600123456;"Hola\n600123457;b\n600123458\n'
    assert read(file) == [
        Row(1, '600123456;"Hola', None, "its quotes do not match"),
        Row(2, "600123457", "b"),
        Row(3, "600123458", None),
    ]


def test_a_quote_that_the_next_one_seems_to_close_swallows_no_number():
    file = '600123456;"Hola\n600123457;"b"\n600123458;"c"\n'
    assert [(row.line, row.text, bool(row.problem)) for row in read(file)] == [
        (1, None, True),
        (2, "b", False),
        (3, "c", False),
    ]


def test_a_quote_in_the_middle_of_a_text_is_a_letter():
    assert read('600123456;pantalla de 5" nueva\n') == [Row(1, "600123456", 'pantalla de 5" nueva')]


def test_an_open_quote_in_a_big_file_is_bounded_in_memory_and_loses_nothing():
    file = io.BytesIO(b'600123450;"Hola\n' + b"600123456;b\n" * 200_000)
    tracemalloc.start()
    found = sum(1 for row in rows(file) if not row.problem)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 200_000
    assert peak < 3_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04\x14\x00\x08\x00" + bytes(range(256)) * 40,
        b"\x7fELF\x02\x01\x01\x00\x00\x00\x01\x02\x03",
        b"600123456\n" * 10_000 + b"600\x00123456\n",
    ],
    ids=["spreadsheet", "program", "a NUL far down"],
)
def test_a_binary_file_is_refused(data):
    with pytest.raises(BadFile, match=r"^The file clients\.csv is binary, not text"):
        read(data, name="clients.csv")


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\n \n", b"# nothing\n", b"number;text\n"])
def test_a_file_without_numbers_is_refused(data):
    with pytest.raises(BadFile, match=r"^The file clients\.csv holds no numbers\.$"):
        read(data, name="clients.csv")


def test_a_cut_utf_16_file_is_refused():
    with pytest.raises(BadFile, match="is damaged"):
        read("600123456\n".encode("utf-16")[:-1])


def test_a_line_without_end_is_refused_in_bounded_memory():
    with pytest.raises(BadFile, match="line 1 is too long"):
        read(b"6" * 10_000_000)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(BadFile, match=r"^The file .*none\.csv cannot be read: No such file or directory\.$"):
        list(rows(tmp_path / "none.csv"))


def test_a_directory_is_one_sentence(tmp_path):
    with pytest.raises(BadFile, match=r"cannot be read: Is a directory\.$"):
        list(rows(str(tmp_path)))


def test_a_path_and_a_stream_give_the_same_and_the_stream_stays_open(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_bytes(b"600123456\n")
    with path.open("rb") as stream:
        assert list(rows(stream)) == list(rows(path))
        assert not stream.closed


def test_progress_tells_bytes_read_of_bytes_there_are():
    data = b"600123456\n" * 50_000
    seen: list[tuple[int, int]] = []
    read(data, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(data), len(data))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) < 100


def test_a_stream_that_cannot_be_rewound_is_read():
    class Pipe(io.RawIOBase):
        left = b"600123456\n600123457\n"

        def readable(self):
            return True

        def readinto(self, buffer):
            data, self.left = self.left[:3], self.left[3:]
            buffer[: len(data)] = data
            return len(data)

    assert [row.number for row in rows(Pipe())] == ["600123456", "600123457"]


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=20)


@given(st.lists(st.tuples(st.integers(600_000_000, 699_999_999), CELL), min_size=1), st.sampled_from(",;\t"))
def test_what_the_csv_module_writes_is_read_back(written, delimiter):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(written)
    assert [(row.number, row.text) for row in read(out.getvalue())] == [
        (str(number), text.strip() or None) for number, text in written
    ]


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_bad_file(data):
    with contextlib.suppress(BadFile):
        read(data)


def test_the_limit_of_a_row_is_below_that_of_the_csv_module():
    assert csv.field_size_limit() > csvfile.LONGEST_ROW + csvfile.LONGEST_LINE
