"""Lists on every database: what an import tells is what happened."""

from __future__ import annotations

from ixxsms import lists
from ixxsms.csvfile import Row
from ixxsms.lists import Added
from ixxsms.numbering import make_plan

PLAN = make_plan("ES")


def test_an_import_tells_new_known_and_repeated_numbers_apart(database):
    with database.write() as session:
        lists.create(session, "clients")
        assert lists.add(session, PLAN, "clients", "600000001") == Added("34600000001", True)
        assert lists.add(session, PLAN, "clients", "600000001") == Added("34600000001", False)
    every = [Row(line, f"6000{line:05d}", "España €" if line % 2 else None) for line in range(1, 12_001)]
    with database.write() as session:
        report = lists.import_rows(session, PLAN, "clients", every + every[:500])
    assert (report.read, report.added, report.already, report.duplicates) == (12_500, 11_999, 1, 500)
    with database.write() as session:
        report = lists.import_rows(session, PLAN, "clients", every)
    assert (report.read, report.added, report.already, report.duplicates) == (12_000, 0, 12_000, 0)


def test_members_are_shown_filtered_excluded_and_deleted(database):
    with database.write() as session:
        lists.create(session, "clients", now=1000.0)
        rows = [Row(1, "600000001", "100% Ñandú"), Row(2, "600000002", None), Row(3, "+447911123456", None)]
        lists.import_rows(session, PLAN, "clients", rows)
        lists.exclude(session, PLAN, "clients", "600 000 002")
        lists.exclude(session, PLAN, "clients", "600 000 002")
    with database.read() as session:
        assert lists.all_lists(session) == [("clients", 3, 1, 1000.0)]
        assert [m.number for m in lists.show(session, "clients", "0% ñ").members] in ([], ["34600000001"])
        assert [m.number for m in lists.show(session, "clients", "100% Ñ").members] == ["34600000001"]
        assert [m.number for m in lists.members(session, "clients", "+44 79")] == ["+447911123456"]
        assert lists.show(session, "clients", limit=1).total == 3
        assert ("34600000002", None, True) in list(lists.export_rows(session, "clients"))
    with database.write() as session:
        lists.delete(session, "clients")
        assert lists.all_lists(session) == []


def test_a_long_list_is_streamed(database):
    numbers = [f"34600{n:06d}" for n in range(12_000)]
    with database.write() as session:
        lists.create(session, "clients")
        lists.add_many(session, lists.get(session, "clients").id, [dict.fromkeys(numbers)], "csv", 0.0)
    with database.read() as session:
        assert [number for number, _, _ in lists.export_rows(session, "clients")] == numbers
