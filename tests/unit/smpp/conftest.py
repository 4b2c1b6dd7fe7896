"""A conversation with a session: no sockets, invented times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ixxsms.events import Event, Submission
from ixxsms.smpp import pdu
from ixxsms.smpp.session import Session, Settings

Frame = pdu.Frame


class Talk:
    """Plays the socket and the SMSC. `now` is the time, moved by the test."""

    def __init__(self, **settings: Any) -> None:
        self.session = Session(Settings(**{"user": "user", "password": "secret", **settings}))
        self.now = 1000.0
        self.answers = 0

    def frames(self, write: int | None = None) -> list[Frame]:
        """What the session wants written, as PDUs; `write` octets of it leave, all by default."""
        data = bytes(self.session.out)
        self.session.sent(len(data) if write is None else write)
        return list(pdu.Frames().feed(data))

    def connect(self) -> Frame:
        self.session.connected(self.now)
        return self.frames()[0]

    def bind(self, status: int = 0) -> list[Event]:
        command, _, sequence, _ = self.connect()
        return self.say(pdu.answer(command, status, sequence, b"smsc"))

    def say(self, data: bytes) -> list[Event]:
        return self.session.receive(data, self.now)

    def answer(self, frame: Frame, status: int = 0, message_id: str | None = None) -> list[Event]:
        self.answers += 1
        chosen = f"id{self.answers}" if message_id is None else message_id
        return self.say(pdu.answer(frame[0], status, frame[2], None if status else chosen.encode()))

    def submit(self, *messages: Submission) -> list[Frame]:
        self.session.submit(messages, self.now)
        return self.frames()

    def tick(self, after: float) -> list[Event]:
        self.now += after
        return self.session.tick(self.now)

    def lose(self, why: str = "The SMSC closed the link.") -> list[Event]:
        return self.session.lost(why, self.now)


@pytest.fixture
def talk() -> Callable[..., Talk]:
    """A bound conversation; its keywords are those of Settings."""

    def make(**settings: Any) -> Talk:
        talk = Talk(**settings)
        assert talk.bind() == []
        return talk

    return make


@pytest.fixture
def unbound() -> Callable[..., Talk]:
    return Talk


@pytest.fixture
def message() -> Callable[..., Submission]:
    def make(message_id: int = 1, text: str = "hello", **fields: Any) -> Submission:
        return Submission(message_id, fields.pop("destination", "34600000001"), text, **fields)

    return make
