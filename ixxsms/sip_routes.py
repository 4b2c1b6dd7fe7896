"""Which SIP phone an incoming SMS goes to, by the number of ours that it was sent to, and so which number the phone
writes from; and whom a mail goes to where the phone is away. Verbs take an open session and never commit.
"""

from __future__ import annotations

import re
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from ixxsms.errors import BadInput, Duplicate, NotFound
from ixxsms.models import SipRoute
from ixxsms.numbering import Plan, check, check_incoming, check_sender_id

__all__ = ["add", "all_routes", "did_form", "find", "remove", "sender_id"]

#: The name of an endpoint in pjsip.conf: nothing in it that would lead a MessageSend elsewhere.
_ENDPOINT = re.compile(r"[A-Za-z0-9_.+-]{1,80}")
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_SEPARATORS = str.maketrans("", "", " -./()")


def did_form(plan: Plan, did: str) -> str:
    """One of our numbers as it is compared: in normal form, or a short code as it is written."""
    return check(plan, did).number or did.translate(_SEPARATORS)[:24]


def add(session: Session, plan: Plan, did: str, endpoint: str, email: str = "") -> SipRoute:
    """Deliver what is sent to this number to this endpoint. Raises Duplicate and BadInput."""
    did = did_form(plan, did)
    if not re.fullmatch(r"\+?[0-9]+", did):
        raise BadInput("The number that is routed must be written in digits.")
    if not _ENDPOINT.fullmatch(endpoint):
        raise BadInput(f'"{endpoint[:80]}" is no name of a SIP endpoint: letters, digits and _ . + - are allowed.')
    if email and (len(email) > 190 or not email.isprintable() or not _EMAIL.fullmatch(email)):
        raise BadInput(f'"{email[:80]}" is no e-mail address.')
    if session.get(SipRoute, did) is not None:
        raise Duplicate(f"The number {did} has a route already; remove it first.")
    route = SipRoute(did=did, endpoint=endpoint, email=email)
    session.add(route)
    session.flush()
    return route


def all_routes(session: Session) -> list[SipRoute]:
    """Every route, by its number."""
    return list(session.scalars(select(SipRoute).order_by(SipRoute.did)))


def find(session: Session, plan: Plan, did: str) -> SipRoute | None:
    """The route of what was sent to this number, if there is one. SMSCs write one of another country without a plus."""
    return session.get(SipRoute, did_form(plan, did)) or session.get(SipRoute, check_incoming(plan, did).number)


def sender_id(session: Session, endpoint: str) -> str:
    """The number whose SMS go to this endpoint, of several the first: an answer to it comes back to the phone.

    Empty where there is none, or none that can be a sender id.
    """
    for did in session.scalars(select(SipRoute.did).where(SipRoute.endpoint == endpoint).order_by(SipRoute.did)):
        with suppress(BadInput):
            return check_sender_id(did)
    return ""


def remove(session: Session, plan: Plan, did: str) -> None:
    """Deliver no more to a phone what is sent to this number. Raises NotFound."""
    route = find(session, plan, did)
    if route is None:
        raise NotFound(f"The number {did} has no route.")
    session.delete(route)
    session.flush()
