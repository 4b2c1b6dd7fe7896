"""Lists: what is done to them, and what an import makes of a file as it comes."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from ixxsms import csvfile, lists
from ixxsms.csvfile import Row
from ixxsms.db import Database
from ixxsms.errors import BadFile, BadInput, Duplicate, NotFound
from ixxsms.imports import KEPT_REFUSALS, ImportReport, Refusal
from ixxsms.lists import Added, ListSummary, MemberView
from ixxsms.models import Base, Campaign, HarvestMark, Member
from ixxsms.numbering import make_plan

PLAN = make_plan("ES")


@pytest.fixture
def session(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/lists.db")
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        lists.create(session, "clients", now=1000.0)
        yield session
    database.close()


def import_text(session, text: str, name="clients", **options) -> ImportReport:
    return lists.import_rows(session, PLAN, name, csvfile.rows(io.BytesIO(text.encode())), **options)


def everyone(session, name="clients") -> list[tuple[str, str | None, bool]]:
    return list(lists.export_rows(session, name))


# --- lists


def test_a_list_is_created_and_found_by_its_name(session):
    assert lists.create(session, "  employees ").name == "employees"
    assert lists.get(session, " employees").name == "employees"


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "two\nlines", "bell\a"])
def test_a_name_must_be_a_short_printable_line(session, name):
    with pytest.raises(BadInput):
        lists.create(session, name)


def test_a_name_is_taken_once(session):
    with pytest.raises(Duplicate, match=r'^There is a list "clients" already\.$'):
        lists.create(session, "clients")


def test_an_unknown_list_is_one_sentence_for_every_verb(session):
    verbs = [
        lambda: lists.get(session, "x"),
        lambda: lists.show(session, "x"),
        lambda: lists.members(session, "x"),
        lambda: lists.export_rows(session, "x"),
        lambda: lists.add(session, PLAN, "x", "600123456"),
        lambda: lists.exclude(session, PLAN, "x", "600123456"),
        lambda: lists.include(session, PLAN, "x", "600123456"),
        lambda: lists.delete(session, "x"),
        lambda: lists.import_rows(session, PLAN, "x", []),
    ]
    for verb in verbs:
        with pytest.raises(NotFound, match=r'^There is no list "x"\.$'):
            verb()


def test_all_lists_are_shown_with_their_counts(session):
    lists.create(session, "all", now=2000.0)
    import_text(session, "600123456\n600123457\n600123458\n")
    lists.exclude(session, PLAN, "clients", "600123457")
    assert lists.all_lists(session) == [ListSummary("all", 0, 0, 2000.0), ListSummary("clients", 3, 1, 1000.0)]


def test_deleting_a_list_takes_members_and_marks_and_leaves_its_campaigns(session):
    chosen = lists.get(session, "clients")
    import_text(session, "600123456\n")
    session.add(HarvestMark(list_id=chosen.id, source="x", mark="1", harvested_at=0.0))
    session.add(Campaign(name="spring", text="Hola", list_id=chosen.id, state="paused", created_at=0.0))
    session.flush()
    lists.delete(session, "clients")
    assert lists.all_lists(session) == []
    assert session.scalars(select(Member)).all() == []
    assert session.scalars(select(HarvestMark)).all() == []
    campaign = session.scalars(select(Campaign)).one()
    session.refresh(campaign)
    assert (campaign.list_id, campaign.list_name) == (None, "clients")


def test_a_list_of_the_same_name_can_follow_a_deleted_one(session):
    import_text(session, "600123456\n")
    lists.delete(session, "clients")
    lists.create(session, "clients")
    assert everyone(session) == []


# --- members


def test_a_number_is_added_by_hand_in_any_spelling_once(session):
    assert lists.add(session, PLAN, "clients", "+34 600 12 34 56", " Hola ") == Added("34600123456", True)
    assert lists.add(session, PLAN, "clients", "600123456", "Adiós") == Added("34600123456", False)
    assert everyone(session) == [("34600123456", "Hola", False)]


@pytest.mark.parametrize(
    ("number", "text", "reason"),
    [
        ("6001", None, "too short"),
        ("", None, "empty"),
        ("600123456", "x" * 1531, "text over 10 segments"),
        ("600123456", "a\0b", "text with characters that do not exist"),
        ("600123456", "a\udcf1b", "text with characters that do not exist"),
    ],
)
def test_what_cannot_be_added_by_hand_is_one_sentence(session, number, text, reason):
    with pytest.raises(BadInput, match=f'^The number "{number}" cannot be added: {reason}\\.$'):
        lists.add(session, PLAN, "clients", number, text)


def test_a_landline_can_be_a_member(session):
    assert lists.add(session, PLAN, "clients", "912345678").added


def test_excluding_keeps_the_member_and_including_takes_it_back(session):
    import_text(session, "600123456\n600123457\n")
    marked = lists.exclude(session, PLAN, "clients", "600 12 34 56")
    assert marked == (lists.get(session, "clients").id, "34600123456")
    assert everyone(session) == [("34600123456", None, True), ("34600123457", None, False)]
    lists.exclude(session, PLAN, "clients", "600123456")
    lists.include(session, PLAN, "clients", "+34600123456")
    assert everyone(session)[0] == ("34600123456", None, False)


@pytest.mark.parametrize("verb", [lists.exclude, lists.include])
@pytest.mark.parametrize(("written", "shown"), [("600123459", "34600123459"), (" nobody ", "nobody")])
def test_excluding_who_is_no_member_is_one_sentence(session, verb, written, shown):
    with pytest.raises(NotFound, match=f'^The number {shown} is not in the list "clients"\\.$'):
        verb(session, PLAN, "clients", written)


def test_a_member_that_the_plan_no_longer_takes_can_still_be_excluded(session):
    lists.add_many(session, lists.get(session, "clients").id, [{"12345": None}], "csv", 0.0)
    assert lists.exclude(session, PLAN, "clients", "12345").number == "12345"


def test_an_exclusion_survives_a_second_import(session):
    import_text(session, "600123456\n")
    lists.exclude(session, PLAN, "clients", "600123456")
    import_text(session, "600123456;again\n")
    assert everyone(session) == [("34600123456", None, True)]


def test_a_page_of_a_list_tells_how_many_there_are_in_all(session):
    import_text(session, "600123458\n600123456;Hola\n600123457\n")
    view = lists.show(session, "clients", limit=1, after="34600123456")
    assert (view.name, view.total, view.members) == ("clients", 3, [MemberView("34600123457", None, False, "csv")])
    assert [m.number for m in lists.show(session, "clients").members] == ["34600123456", "34600123457", "34600123458"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("0123456", ["34600123456"]),
        ("+34 600 12 34 56", ["34600123456"]),
        ("hola", ["34600123457"]),
        ("100%", ["34600123458"]),
        ("%", ["34600123458"]),
        ("_", []),
        ("999", []),
        ("  ", ["34600123456", "34600123457", "34600123458"]),
    ],
)
def test_the_filter_looks_in_numbers_and_texts(session, wanted, found):
    import_text(session, "600123456\n600123457;Hola Pepe\n600123458;100% seguro\n")
    assert [m.number for m in lists.show(session, "clients", wanted).members] == found
    assert [m.number for m in lists.members(session, "clients", wanted)] == found
    assert lists.show(session, "clients", wanted, limit=1).total == len(found)


# --- import


def test_an_import_accounts_for_every_row(session):
    lists.add(session, PLAN, "clients", "600000000")
    report = import_text(
        session,
        "number;text\n600123456;Hola\n+34 600 12 34 56;Adiós\n600000000\n6001\nPepe\n\n912345678\n+447911123456\n"
        '3,46E+10\n;text\n600123457;"open\n600123458\n',
    )
    assert (report.read, report.added, report.already, report.duplicates, report.refused_total) == (11, 4, 1, 1, 5)
    assert report.refused == [
        Refusal(5, "6001", "too short"),
        Refusal(6, "Pepe", "not a number"),
        Refusal(10, "3,46E+10", "spreadsheet notation, digits are lost"),
        Refusal(11, "", "empty"),
        Refusal(12, '600123457;"open', "its quotes do not match"),
    ]
    assert report.by_reason["too short"] == 1
    assert everyone(session) == [
        ("+447911123456", None, False),
        ("34600000000", None, False),
        ("34600123456", "Hola", False),
        ("34600123458", None, False),
        ("34912345678", None, False),
    ]


def test_the_own_text_of_a_member_is_not_changed_by_an_import(session):
    import_text(session, "600123456\n600123457;first\n")
    report = import_text(session, "600123456;second\n600123457;second\n")
    assert (report.added, report.already, report.duplicates) == (0, 2, 0)
    assert [text for _, text, _ in everyone(session)] == [None, "first"]


def test_an_own_text_over_the_limit_is_refused(session):
    report = import_text(session, f"600123456;{'x' * 307}\n600123457;{'x' * 306}\n", max_segments=2)
    assert report.refused == [Refusal(1, "600123456", "text over 2 segments")]
    assert report.added == 1


def test_numbers_that_come_again_batches_later_are_duplicates_and_old_ones_are_not(session):
    lists.add(session, PLAN, "clients", "600000001")
    every = [Row(line, f"6000{line:05d}", None) for line in range(1, 25_001)]
    report = lists.import_rows(session, PLAN, "clients", every + every)
    assert (report.read, report.added, report.already, report.duplicates) == (50_000, 24_999, 1, 25_000)


def test_only_the_first_refusals_are_kept_and_all_are_handed_on(session):
    seen: list[Refusal] = []
    rows = [Row(line, "bad" * 100, None) for line in range(1, KEPT_REFUSALS + 501)]
    report = lists.import_rows(session, PLAN, "clients", rows, on_refused=seen.append)
    assert len(report.refused) == KEPT_REFUSALS
    assert report.refused_total == len(seen) == KEPT_REFUSALS + 500
    assert len(seen[0].value) == 80


def test_a_strict_import_refuses_the_whole_file(session):
    with pytest.raises(
        BadFile, match=r'^Nothing was imported, 2 lines are refused; the first, line 2, is "6001": too short\.$'
    ):
        import_text(session, "600123456\n6001\n6002\n600123457\n", strict=True)


def test_a_strict_import_of_a_good_file_is_like_any_other(session):
    assert import_text(session, "600123456\n", strict=True).added == 1


def test_a_file_that_turns_out_to_be_binary_leaves_nothing_once_rolled_back(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/rolled-back.db")
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        lists.create(session, "clients")
    with pytest.raises(BadFile), database.write() as session:
        import_text(session, "".join(f"6{n:08d}\n" for n in range(15_000)) + "\0\n")
    with database.read() as session:
        assert lists.all_lists(session)[0].total == 0
    database.close()


def test_progress_tells_the_rows_read(session):
    seen: list[int] = []
    rows = (Row(n, f"6{n:08d}", None) for n in range(25_000))
    lists.import_rows(session, PLAN, "clients", rows, progress=seen.append)
    assert seen == [10_000, 20_000, 25_000]


def test_what_is_exported_can_be_imported_again(session):
    import_text(session, "600123456;Hola\n+447911123456\n912345678\n")
    lists.create(session, "copy")
    rows = (Row(0, number, text) for number, text, _ in lists.export_rows(session, "clients"))
    report = lists.import_rows(session, PLAN, "copy", rows)
    assert (report.added, report.refused_total) == (3, 0)
    assert everyone(session, "copy") == everyone(session, "clients")
