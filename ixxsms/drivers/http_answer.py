"""What an API's answer means for the message: a class, from the error value in the answer or else from its status.

Paid messages: an answer that does not say clearly what became of the message leaves it in doubt. Must never know
connections; what was never answered is no matter of this file.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from ixxsms.drivers.http_finder import Document, Finder
from ixxsms.drivers.said import clean
from ixxsms.errors import BadInput


class Class(StrEnum):
    ACCEPTED = "accepted"
    RETRY = "retry"  #: this trunk again, later
    NEXT = "next"  #: the next trunk may try at once
    PERMANENT = "permanent"  #: this number or text will never go
    STOP = "stop"  #: the trunk must not go on before a person looked at it
    THROTTLE = "throttle"  #: the trunk pauses, and no attempt is counted
    DOUBT = "doubt"  #: nobody knows what became of the message


#: RFC 9110 section 15. After a 5xx the API may have sent the message and failed then: only its document can say.
HTTP_STATUS = {
    "2xx": Class.ACCEPTED,
    "3xx": Class.NEXT,  # redirects are not followed: they would take the text and the password elsewhere
    "4xx": Class.NEXT,
    "401": Class.STOP,
    "402": Class.STOP,
    "403": Class.STOP,
    "407": Class.STOP,
    "408": Class.RETRY,  # the server did not get the whole request
    "429": Class.THROTTLE,
    "5xx": Class.DOUBT,
    "501": Class.NEXT,
    "505": Class.NEXT,
}

#: Seconds that a Retry-After can make us wait at most.
LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `complete`: all of it was read."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    complete: bool = True


class Judged(NamedTuple):
    klass: Class
    reason: str
    code: str
    remote_ids: tuple[str, ...] = ()
    wait: float | None = None  #: seconds that the API asked us to wait


def parse_classes(option: str, text: str, *, statuses: bool = False) -> dict[str, Class]:
    """`100=stop, 101=next` as value -> class; `*` is every other value. Raises BadInput."""
    classes = {}
    for entry in filter(None, (entry.strip() for entry in re.split(r"[,\n]", text))):
        value, _, klass = (part.strip() for part in entry.rpartition("="))
        if statuses and not re.fullmatch(r"[1-5](\d\d|xx)", value):
            raise BadInput(f'"{entry[:40]}" ({option}) is not like 503=retry or 5xx=retry.')
        try:
            classes[value] = Class(klass)
        except ValueError:
            raise BadInput(
                f'"{entry[:40]}" ({option}) is not like 100=stop; the classes are {", ".join(Class)}.'
            ) from None
    return classes


class Judge:
    """Reads the answers of one trunk. Raises BadInput where its options cannot be understood."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._statuses = HTTP_STATUS | parse_classes("http_status", str(options["http_status"]), statuses=True)
        self._classes = parse_classes("errors", str(options["errors"]))
        self._error = Finder("error", str(options["error"]))
        self._reason = Finder("reason", str(options["reason"]))
        own = str(options["remote_id"]).strip() == "{ref}"
        self.own_reference = own
        self._remote_id = Finder("remote_id", "" if own else str(options["remote_id"]))

    def judge(self, answer: Answer, secrets: list[str]) -> Judged:
        """What became of the message."""
        document = Document(answer.body.decode("utf-8", "replace"))
        values = self._error.all(document)
        remote_ids = tuple(clean(value)[:65] for value in self._remote_id.all(document) if value.strip())
        klass, why = self._class_of(answer, values, remote_ids)
        said = clean(self._reason.first(document), secrets)
        code = clean(values[0], secrets)[:16] if values else str(answer.status)
        reason = (
            f"HTTP {answer.status}{f', {clean(values[0], secrets)}' if values else ''}{f': {said}' if said else ''}"
        )
        kept = remote_ids if klass in (Class.ACCEPTED, Class.DOUBT) else ()
        return Judged(klass, f"{reason} ({why})" if why else reason, code, kept, _seconds(answer.retry_after))

    def _class_of(self, answer: Answer, values: list[str], remote_ids: tuple[str, ...]) -> tuple[Class, str]:
        by_status = self._statuses.get(str(answer.status)) or self._statuses.get(f"{answer.status // 100}xx")
        by_status = by_status or Class.DOUBT
        reads = bool(self._error or self._remote_id)
        if by_status is Class.ACCEPTED and reads and not answer.complete:
            return Class.DOUBT, "the answer broke off or is too long"
        if values:
            classes = [self._classes.get(value, self._classes.get("*")) for value in values]
            accepted = [klass is Class.ACCEPTED for klass in classes]
            if any(accepted) and not all(accepted):
                return Class.DOUBT, "a part of the message was taken, and a part was not"
            if classes[0] is not None:
                return classes[0], ""
            if by_status is Class.ACCEPTED:
                return Class.DOUBT, "the option errors does not name this value"
        elif by_status is Class.ACCEPTED and Class.ACCEPTED in self._classes.values():
            return Class.DOUBT, "the answer does not say whether the message was taken"
        if by_status is Class.ACCEPTED and self._remote_id and not remote_ids:
            return Class.DOUBT, "the answer has no id"
        return by_status, ""


def _seconds(retry_after: str) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""
    if re.fullmatch(r"\d{1,9}", retry_after):
        return min(LONGEST_WAIT, float(retry_after))
    try:
        at = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return max(0.0, min(LONGEST_WAIT, at - time.time()))
