"""One-time codes: how they are made, kept and tried."""

from __future__ import annotations

import pytest

from ixxsms import onetimecodes
from ixxsms.db import Database
from ixxsms.models import Base, OneTimeCode
from ixxsms.onetimecodes import Verdict, new_code


@pytest.fixture
def session(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'codes.db'}")
    Base.metadata.create_all(database.engine)
    with database.write() as session:
        yield session
    database.close()


def issue(session, code="123456", *, number="34600123456", seconds=60.0, tries=3, now=100.0):
    onetimecodes.issue(session, number, code, seconds=seconds, tries=tries, now=now)


def verify(session, code, *, number="34600123456", now=110.0):
    return onetimecodes.verify(session, number, code, now)


@pytest.mark.parametrize(("asked", "got"), [(6, 6), (4, 4), (12, 12), (0, 4), (99, 12)])
def test_a_code_has_the_digits_that_were_asked_for_within_reason(asked, got):
    for _ in range(20):
        code = new_code(asked)
        assert (len(code), code.isdigit()) == (got, True)


def test_codes_differ():
    assert len({new_code(8) for _ in range(200)}) > 190


def test_the_right_code_is_right_once(session):
    issue(session)
    assert verify(session, "123456") is Verdict.OK
    assert verify(session, "123456") is Verdict.EXPIRED


def test_a_wrong_code_costs_a_try_and_the_last_one_ends_it(session):
    issue(session, tries=3)
    assert [verify(session, "000000") for _ in range(4)] == [
        Verdict.WRONG,
        Verdict.WRONG,
        Verdict.TRIES,
        Verdict.TRIES,
    ]
    assert verify(session, "123456") is Verdict.TRIES


def test_the_last_try_may_still_be_right(session):
    issue(session, tries=2)
    assert verify(session, "000000") is Verdict.WRONG
    assert verify(session, "123456") is Verdict.OK


def test_a_code_that_is_too_old_is_no_longer_right(session):
    issue(session, seconds=60, now=100)
    assert verify(session, "123456", now=160.5) is Verdict.EXPIRED
    assert session.get(OneTimeCode, "34600123456") is None


def test_a_new_code_replaces_the_old_one_and_its_tries(session):
    issue(session, "111111", tries=1)
    assert verify(session, "000000") is Verdict.TRIES
    issue(session, "222222", tries=1)
    assert verify(session, "222222") is Verdict.OK


def test_a_code_is_only_its_own_numbers(session):
    issue(session)
    assert verify(session, "123456", number="34600123457") is Verdict.EXPIRED


def test_the_code_itself_is_not_kept(session):
    issue(session)
    row = session.get(OneTimeCode, "34600123456")
    assert "123456" not in f"{row.salt}{row.digest}"
    first = row.digest
    issue(session)
    session.expire_all()
    assert session.get(OneTimeCode, "34600123456").digest != first
