"""What programs import: the verbs that it offers."""

from __future__ import annotations

import inspect

import pytest

import ixxsms
from ixxsms import pbx


@pytest.fixture
def opened(tmp_path):
    with ixxsms.open(f"sqlite:///{tmp_path / 'ixxsms.db'}") as found:
        yield found


def test_every_verb_that_yields_does_so_while_its_transaction_lasts(opened):
    yielding = set()
    for verbs in (found for found in vars(opened).values() if isinstance(found, pbx.Verbs)):
        for name in dir(verbs):
            verb = getattr(verbs, name)
            returned = str(inspect.signature(verb).return_annotation) if inspect.isfunction(verb) else ""
            if returned.startswith(("Iterator", "Iterable")):
                yielding.add(name)
    assert yielding
    assert yielding <= pbx._READING  # of those alone the transaction stays open
