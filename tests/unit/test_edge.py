"""The event loop on which Asterisk and HTTP APIs are served."""

from __future__ import annotations

import sys

import uvloop

from ixxsms.edge import new_loop


def test_it_is_libuvs_where_there_is_one():
    loop = new_loop()
    loop.close()
    assert isinstance(loop, uvloop.Loop)


def test_without_uvloop_it_is_pythons_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_loop()
    loop.close()
    assert type(loop).__module__ == "asyncio.unix_events"
