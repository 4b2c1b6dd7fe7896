"""AMI events as what happened: which headers of which event say whom it is about. No rules here, no database.

Every value was written by Asterisk or by whoever called it, so each leaves here as one short line.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from ixxsms.asterisk.pieces import one_line
from ixxsms.asterisk.variables import CUT_BASE64

MISSED_CALL, QUEUE_ABANDON, VOICEMAIL, CDR = "missed_call", "queue_abandon", "voicemail", "cdr"

#: Seconds within which a caller who gave up has hung up, the dialplan's last doings included.
AT_ONCE = 5.0

#: Asterisk's word for a number that it does not know.
_UNKNOWN = {"", "<unknown>", "unknown", "anonymous"}


@dataclass(frozen=True)
class Happening:
    """A call that somebody may want to be written to about. `number`: the caller, as Asterisk has it.

    `did`: what he called, or the mailbox. `context`: of the dialplan, or of the mailbox. `uniqueid`: of his channel.
    """

    event: str
    number: str
    did: str = ""
    queue: str = ""
    context: str = ""
    uniqueid: str = ""


@dataclass(frozen=True)
class Asked:
    """Somebody asks for an SMS. `text`: None where Text64 was cut or is none. `caller`: whom the limits count."""

    number: str
    text: str | None
    trunk: str
    sender_id: str
    id: str
    caller: str


@dataclass(frozen=True)
class HungUp:
    uniqueid: str


class Abandoned:
    """Callers who left a queue without an answer, until they hang up.

    Asterisk tells the same when a caller's time in the queue is over, and the dialplan goes on with him, perhaps to
    somebody who answers: he is not lost before he hangs up, which who gives up waiting does at once.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Happening, float]] = {}

    def left(self, happening: Happening, now: float) -> None:
        self._waiting = {key: each for key, each in self._waiting.items() if each[1] > now - AT_ONCE}
        self._waiting[happening.uniqueid] = (happening, now)

    def hung_up(self, uniqueid: str, now: float) -> Happening | None:
        """The caller of this channel, if he had just left a queue."""
        happening, since = self._waiting.pop(uniqueid, (None, 0.0))
        return happening if since > now - AT_ONCE else None


def read(headers: Mapping[str, str]) -> Happening | Asked | HungUp | None:
    """What an event says; None where it is not for us. `headers`: their names in lower case."""
    match headers.get("event"):
        case "UserEvent":
            return _user_event(headers)
        case "QueueCallerAbandon":
            return Happening(QUEUE_ABANDON, queue=_get(headers, "queue"), **_call(headers))
        case "MessageWaiting":
            return _voicemail(headers)
        case "Cdr":
            # FreePBX's own column names the number that was called; Destination may be an extension by then.
            did = _get(headers, "did") or _get(headers, "destination")
            context = _get(headers, "destinationcontext")
            return Happening(CDR, _get(headers, "source"), did, "", context, _get(headers, "uniqueid"))
        case "Hangup":
            return HungUp(_get(headers, "uniqueid"))
    return None


def _user_event(headers: Mapping[str, str]) -> Happening | Asked | None:
    name = headers.get("userevent", "").lower()
    if name == "sendsms":
        return Asked(
            _get(headers, "number"),
            _text(headers.get("text64", "")),
            _get(headers, "trunk"),
            _get(headers, "sender"),
            one_line(headers.get("id", ""), 64),
            _caller(headers),
        )
    # A call that was answered is not missed, whatever the dialplan thinks of it. A DIALSTATUS that is empty: nobody was
    # dialled, but it may have been a queue that answered.
    if name == "missedcall" and _status(headers) not in ("", "ANSWER"):
        return Happening(MISSED_CALL, _get(headers, "number"), _get(headers, "did"), **_where(headers))
    return None


def _status(headers: Mapping[str, str]) -> str:
    """The DIALSTATUS that the dialplan gives; NOANSWER where it gives none."""
    return _get(headers, "status").strip().upper() if "status" in headers else "NOANSWER"


def _voicemail(headers: Mapping[str, str]) -> Happening | None:
    """A new voicemail. The event comes too when one was heard or deleted, but then no caller stands in it."""
    if _get(headers, "waiting") != "1" or _get(headers, "new") in ("", "0") or "calleridnum" not in headers:
        return None
    mailbox, _, context = _get(headers, "mailbox").partition("@")
    number = _get(headers, "calleridnum")
    return Happening(VOICEMAIL, number, mailbox, "", context, _get(headers, "uniqueid"))


def _call(headers: Mapping[str, str]) -> dict[str, str]:
    return {"number": _get(headers, "calleridnum"), "did": _get(headers, "exten"), **_where(headers)}


def _where(headers: Mapping[str, str]) -> dict[str, str]:
    return {"context": _get(headers, "context"), "uniqueid": _get(headers, "uniqueid")}


def _caller(headers: Mapping[str, str]) -> str:
    """The number of the call, else its channel without what makes each call's different, else AMI itself."""
    number = _get(headers, "calleridnum")
    if number.lower() not in _UNKNOWN:
        return number
    return _get(headers, "channel").rpartition("-")[0] or "ami"


def _text(base64_text: str) -> str | None:
    if len(base64_text) == CUT_BASE64:
        return None
    try:
        return base64.b64decode(base64_text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _get(headers: Mapping[str, str], name: str) -> str:
    return one_line(headers.get(name, ""), 80)
