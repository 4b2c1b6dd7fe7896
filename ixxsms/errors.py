"""Every exception that ixxsms raises: one base, one clear sentence each.

An expected answer (a number refused by the plan, a message refused by the SMSC) is a value, never an exception.
What is raised here ends one request and is shown to a person: the text must say what is wrong and, where there is
a way out, which.
"""

from __future__ import annotations


class Error(Exception):
    """The request cannot be carried out."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or (self.__doc__ or "").strip())


class ConfigError(Error):
    """The configuration cannot be read."""


class DatabaseError(Error):
    """The database cannot be used."""


class Conflict(DatabaseError):
    """Another transaction was in the way, and nothing has changed: the same may succeed at once."""


class NotFound(Error):
    """There is no such thing."""


class Duplicate(Error):
    """The name is taken."""


class BadInput(Error):
    """The value cannot be used."""


class BadFile(BadInput):
    """The file cannot be used."""


class Busy(Error):
    """The thing is in use."""


class IllegalTransition(Error):
    """The step is not in the table of states: a mistake in the program, not of the user."""


class ProtocolError(Error):
    """The other side broke its protocol and the link cannot go on."""
