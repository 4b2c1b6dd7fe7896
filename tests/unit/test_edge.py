"""The event loop on which Asterisk and HTTP APIs are served, and what is told of a part that ends in an error."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading

import pytest
import uvloop

from ixxsms import config, edge, manager
from ixxsms.asterisk.ami import Lost
from ixxsms.edge import Edge, new_loop


def test_it_is_libuvs_where_there_is_one():
    loop = new_loop()
    loop.close()
    assert isinstance(loop, uvloop.Loop)


def test_without_uvloop_it_is_pythons_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_loop()
    loop.close()
    assert type(loop).__module__ == "asyncio.unix_events"


@pytest.fixture
def logged(monkeypatch, caplog):
    """What is logged when the part of AMI ends in these errors in turn: sentences, and whether with a traceback."""
    monkeypatch.setattr(edge, "AGAIN", 0.0)

    def serve_ending_in(*errors):
        left, all_raised = list(errors), threading.Event()

        async def serve(*_):
            if left:
                raise left.pop(0)
            all_raised.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(manager, "serve", serve)
        settings = config.with_database("sqlite:////none", {"IXXSMS_FASTAGI_PORT": "0", "IXXSMS_AMI_HOST": "pbx"})
        served = Edge(None, settings, lambda: 1, lambda: None, contextlib.nullcontext, [])
        served.start()
        assert all_raised.wait(5)
        served.stop()
        return [
            (record.getMessage(), bool(record.exc_info)) for record in caplog.records if record.name == edge.__name__
        ]

    return serve_ending_in


def test_of_a_group_of_errors_each_is_told_and_not_how_many_they_are(logged):
    inner = ExceptionGroup("one more", [OSError("no route"), Lost("The link is down.")])
    assert logged(ExceptionGroup("unhandled errors in a TaskGroup", [Lost("The peer is mute."), inner])) == [
        ("AMI: The peer is mute.", False),
        ("AMI: no route", False),
        ("AMI: The link is down.", False),
    ]


def test_an_error_that_nobody_thought_of_is_told_with_its_place_the_first_time_only(logged):
    group = ExceptionGroup("unhandled errors in a TaskGroup", [KeyError("x")])
    assert logged(group, KeyError("x"), AssertionError(), KeyError("x")) == [
        ("AMI: KeyError('x')", True),
        ("AMI: KeyError('x')", False),
        ("AMI: AssertionError()", True),
        ("AMI: KeyError('x')", False),
    ]
