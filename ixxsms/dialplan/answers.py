"""What each route of the dialplan does to the database, and which channel variables tell of it.

Knows the arguments and the variables, which are a contract with people's dialplans. Must never know how a call
reached us: the daemon answers through FastAGI, and a script by itself where there is no daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ixxsms import inbox, lists, onetimecodes, outbox, requests, sip_routes
from ixxsms.asterisk.variables import Asked, in_base64, sip_user
from ixxsms.config import Config
from ixxsms.errors import BadInput, NotFound
from ixxsms.models import Incoming
from ixxsms.numbering import Plan, check
from ixxsms.requests import Ask, Reply, Status

Variables = dict[str, str]

#: The text of a one-time code where the dialplan gives none.
CODE_TEXT = "{code}"

#: What a SIP phone hears where its message may be queued, or not.
NOT_KNOWN = "The SMS may not be sent; the log of the service says why."


def of_reply(reply: Reply) -> Variables:
    """SMSSTATUS comes last: whoever reads it set knows that the others are."""
    return {
        "SMSID": str(reply.id or ""),
        "SMSERROR": reply.error,
        "SMSSEGMENTS": str(reply.segments),
        "SMSSTATUS": str(reply.status),
    }


def failed(why: str) -> Reply:
    return Reply(Status.FAILED, error=why)


@dataclass(frozen=True, slots=True)
class Send:
    """NUMBER,TEXT[,TRUNK[,SENDER]], and in the query only=mobile. `urgent`: the call waits for the outcome."""

    asked: Asked
    urgent: bool


def send_all(session: Session, config: Config, plan: Plan, now: float, sends: Sequence[Send]) -> list[Reply]:
    """What comes of each; of many at once each costs little."""
    asks = [_ask(plan, send) for send in sends]
    taken = iter(requests.take_all(session, config, plan, [ask for ask in asks if isinstance(ask, Ask)], now))
    return [next(taken) if isinstance(ask, Ask) else ask for ask in asks]


def send(session: Session, config: Config, plan: Plan, asked: Asked, now: float, *, urgent: bool) -> Reply:
    """One SMS: see Send."""
    return send_all(session, config, plan, now, [Send(asked, urgent)])[0]


def _ask(plan: Plan, send: Send) -> Ask | Reply:
    asked = send.asked
    number = asked.argument(0, "number")
    if asked.query.get("only") == "mobile" and not check(plan, number).mobile:
        return Reply(Status.REFUSED, error="This number is not a mobile one.")
    try:
        text = asked.text(1, "text")
    except ValueError as error:
        return Reply(Status.REFUSED, error=str(error))
    trunk, sender = asked.argument(2, "trunk").strip(), asked.argument(3, "sender")
    return Ask(asked.caller, number, text, trunk, sender, urgent=send.urgent)


def queue(session: Session, config: Config, plan: Plan, asked: Asked, now: float) -> Variables:
    """As `send`, without a wait."""
    return of_reply(send(session, config, plan, asked, now, urgent=False))


def list_(session: Session, config: Config, plan: Plan, asked: Asked, now: float) -> Variables:
    """add|remove|check,LIST[,NUMBER]; without a number, the caller's."""
    name, number = asked.argument(1, "list"), asked.argument(2, "number") or asked.caller
    verb = {"add": _add, "remove": _remove, "check": _membership}.get(asked.argument(0, "do"))
    try:
        if verb is None:
            raise BadInput("A list is asked to add, remove or check.")
        status = verb(session, plan, name, number, now)
    except (BadInput, NotFound) as error:
        return {"LISTERROR": str(error), "LISTSTATUS": "FAILED"}
    return {"LISTERROR": "", "LISTSTATUS": status}


def _add(session: Session, plan: Plan, name: str, number: str, now: float) -> str:
    added = lists.add(session, plan, name, number, now=now)
    return "ADDED" if added.added else _membership(session, plan, name, number, now)


def _remove(session: Session, plan: Plan, name: str, number: str, now: float) -> str:
    if _membership(session, plan, name, number, now) == "ABSENT":
        return "ABSENT"
    marked = lists.exclude(session, plan, name, number)
    outbox.exclude(session, marked.list_id, marked.number, now)
    return "REMOVED"


def _membership(session: Session, plan: Plan, name: str, number: str, _now: float) -> str:
    chosen, normal = lists.get(session, name), check(plan, number).number
    for _, excluded in lists.known(session, chosen.id, [normal]):
        return "EXCLUDED" if excluded else "MEMBER"
    return "ABSENT"


def inbox_(session: Session, _config: Config, _plan: Plan, asked: Asked, _now: float) -> Variables:
    """[ID]: that incoming SMS; without one, the newest. The text may need SMSTEXT64_2 and so on."""
    wanted = asked.argument(0, "id").strip()
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        return _incoming(None, "FAILED", "The id of an incoming SMS is a number.")
    row = inbox.get(session, int(wanted)) if wanted else next(iter(inbox.latest(session, 1)), None)
    return _incoming(row, "RECEIVED" if row else "EMPTY")


def _incoming(row: Incoming | None, status: str, error: str = "") -> Variables:
    """All variables, each time: a channel that has asked before has the values of another SMS."""
    return {
        "SMSID": str(row.id) if row else "",
        "SMSFROM": row.source if row else "",
        "SMSTO": row.destination if row else "",
        **in_base64("SMSTEXT64", row.text if row else ""),
        "SMSERROR": error,
        "SMSSTATUS": status,
    }


def sip_message(session: Session, config: Config, plan: Plan, asked: Asked, now: float) -> Variables:
    """NUMBER,BODY,FROM: what a SIP phone wrote. SMSREPLY is for it, SMSUSER is who it is.

    It leaves under the number whose SMS go to the phone, if there is one.
    """
    user = _sip_user(asked)
    args = (asked.argument(0, "number"), asked.argument(1, "text"), "", sip_routes.sender_id(session, user))
    reply = send(session, config, plan, Asked(f"sip:{user}", args), now, urgent=False)
    error = reply.error
    if reply.status is Status.REFUSED and not args[1].removeprefix("base64:").strip("."):
        error = "The message was empty, or longer than 1,023 octets."
    said = f"SMS {reply.id} is queued." if reply.id else f"No SMS was sent. {error}"
    return {"SMSUSER": user, "SMSREPLY": said, **of_reply(reply), "SMSERROR": error}


def _sip_user(asked: Asked) -> str:
    try:
        return sip_user(asked.text(2, "from"))
    except ValueError:
        return ""


@dataclass(frozen=True)
class CodeSent:
    """A code that was issued; `spoken`: who calls may hear it, because it is his own number that it went to."""

    reply: Reply
    code: str
    spoken: bool


def send_code(session: Session, config: Config, plan: Plan, asked: Asked, now: float) -> CodeSent:
    """NUMBER[,TEXT[,TRUNK[,SENDER]]]: TEXT has {code} where the code comes."""
    code = onetimecodes.new_code(config.otp_digits)
    number = check(plan, asked.argument(0, "number")).number
    try:
        text = asked.text(1, "text") or CODE_TEXT
    except ValueError as error:
        return CodeSent(Reply(Status.REFUSED, error=str(error)), "", False)
    text = text.replace("{code}", code) if "{code}" in text else f"{text} {code}"
    args = (number, text, *asked.args[2:4])
    reply = send(session, config, plan, Asked(asked.caller, args, asked.query), now, urgent=True)
    # Who calls from another number could else have anybody's code spoken, by making the SMS fail.
    spoken = bool(number) and not reply.limited and check(plan, asked.caller).number == number
    if reply.id or spoken:
        onetimecodes.issue(session, number, code, seconds=config.otp_seconds, tries=config.otp_tries, now=now)
    return CodeSent(reply, code, spoken)


def check_code(session: Session, _config: Config, plan: Plan, asked: Asked, now: float) -> Variables:
    """NUMBER,CODE."""
    number = check(plan, asked.argument(0, "number")).number
    return {"OTPSTATUS": str(onetimecodes.verify(session, number, asked.argument(1, "code").strip(), now))}


#: What a script may do by itself where there is no daemon.
WITHOUT_DAEMON: dict[str, Callable[[Session, Config, Plan, Asked, float], Variables]] = {
    "send": queue,
    "queue": queue,
    "list": list_,
    "inbox": inbox_,
}
