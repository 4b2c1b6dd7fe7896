"""Trunks: the configured ways out. Verbs take an open session and never commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ixxsms.drivers import kinds
from ixxsms.errors import BadInput, Busy, Duplicate, NotFound
from ixxsms.models import Campaign, CodeCount, Message, Route, RouteTrunk, Trunk, TrunkLink, TrunkUsage
from ixxsms.names import check_name
from ixxsms.numbering import check_sender_id
from ixxsms.states import OPEN

__all__ = ["add", "all_trunks", "edit", "enable", "get", "remove", "set_active", "stop"]

#: The fields that every kind of trunk has, and that an edit may change.
COMMON = (
    "priority",
    "price",
    "daily_cap",
    "monthly_cap",
    "sender_id",
    "append_country_code",
    "pace",
    "receipt_failover",
    "active",
    "password",
    "hosts",
    "most_daemons",
)

#: The highest cap.
MOST_CAP = 2_000_000_000
#: What an INTEGER of every database can hold.
_MOST = 2_147_483_647


def get(session: Session, name: str) -> Trunk:
    """The trunk of that name. Raises NotFound."""
    trunk = session.scalar(select(Trunk).where(Trunk.name == name))
    if trunk is None:
        raise NotFound(f'There is no trunk "{name}".')
    return trunk


def all_trunks(session: Session) -> list[Trunk]:
    """Every trunk, the most preferred first."""
    return list(session.scalars(select(Trunk).order_by(Trunk.priority, Trunk.id)))


def add(session: Session, name: str, kind: str, *, script_dir: str, **fields: Any) -> Trunk:
    """Create a trunk of a kind ("smpp", "script", ...). `fields`: those of COMMON and the options of the kind.

    Raises Duplicate and BadInput, each with one sentence.
    """
    name = check_name(name, "trunk")
    if session.scalar(select(Trunk.id).where(Trunk.name == name)) is not None:
        raise Duplicate(f'There is a trunk "{name}" already.')
    common, options = _split(fields)
    checked = kinds.check_options(kind, options, script_dir)
    trunk = Trunk(name=name, kind=kind, options=checked, version=1, **_check_common(common))
    session.add(trunk)
    session.flush()
    return trunk


def edit(session: Session, name: str, *, script_dir: str, **fields: Any) -> Trunk:
    """Change fields of a trunk; what is not named stays. A running daemon takes the change up by itself."""
    trunk = get(session, name)
    common, options = _split(fields)
    if options:
        preset = options.pop("preset", None)
        before = {**trunk.options, **(kinds.preset(trunk.kind, preset) if preset else {})}
        trunk.options = kinds.check_options(trunk.kind, {**before, **options}, script_dir)
    for field, value in _check_common(common).items():
        setattr(trunk, field, value)
    trunk.stopped_reason = ""
    trunk.version += 1
    session.flush()
    return trunk


def set_active(session: Session, name: str, active: bool) -> Trunk:
    """Enable or disable a trunk; enabling also lets one go on that had stopped by itself."""
    trunk = get(session, name)
    trunk.active = active
    trunk.stopped_reason = ""
    trunk.version += 1
    session.flush()
    return trunk


def enable(session: Session, name: str) -> Trunk:
    return set_active(session, name, True)


def stop(session: Session, trunk_id: int, reason: str) -> None:
    """The trunk's driver gave it up: nothing goes through it before a person enables it."""
    session.execute(update(Trunk).where(Trunk.id == trunk_id).values(stopped_reason=reason[:255]))


def remove(session: Session, name: str) -> None:
    """Delete a trunk. Raises Busy while it is on a route, or what is not finished is bound to it."""
    trunk = get(session, name)
    waiting = session.scalar(
        select(func.count()).select_from(Message).where(Message.trunk_id == trunk.id, Message.state.in_(OPEN))
    )
    campaign = session.scalar(
        select(Campaign.name).where(Campaign.trunk_id == trunk.id, Campaign.state.in_(["paused", "running"])).limit(1)
    )
    route = session.scalar(
        select(Route.name)
        .join(RouteTrunk, RouteTrunk.route_id == Route.id)
        .where(RouteTrunk.trunk_id == trunk.id)
        .limit(1)
    )
    if route:
        raise Busy(f'The trunk "{name}" is on the route "{route}"; change the route first, or disable the trunk.')
    if campaign:
        raise Busy(f'The campaign "{campaign}" is bound to the trunk "{name}"; disable the trunk, or let it finish.')
    if waiting:
        raise Busy(f'{waiting} messages wait for the trunk "{name}"; disable the trunk, or let them go.')
    session.execute(update(Message).where(Message.trunk_id == trunk.id).values(trunk_id=None))
    session.execute(update(Campaign).where(Campaign.trunk_id == trunk.id).values(trunk_id=None))
    session.execute(delete(CodeCount).where(CodeCount.trunk_id == trunk.id))
    session.execute(TrunkLink.__table__.delete().where(TrunkLink.trunk_id == trunk.id))  # type: ignore[attr-defined]
    session.execute(delete(TrunkUsage).where(TrunkUsage.trunk_id == trunk.id))
    session.delete(trunk)


def _split(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    given = {name: value for name, value in fields.items() if value is not None}
    common = {name: value for name, value in given.items() if name in COMMON}
    return common, {name: value for name, value in given.items() if name not in COMMON}


def _check_common(fields: dict[str, Any]) -> dict[str, Any]:
    if "sender_id" in fields:
        fields["sender_id"] = check_sender_id(fields["sender_id"])
    if not 1 <= fields.get("priority", 1) <= _MOST:
        raise BadInput(f"The priority of a trunk must be 1 (the first) or more, up to {_MOST}.")
    if not 0 <= fields.get("price", 0) < 1e9:
        raise BadInput("The price of a segment must be a number, 0 or more.")
    if not all(0 <= fields.get(cap, 0) <= MOST_CAP for cap in ("daily_cap", "monthly_cap")):
        raise BadInput(f"A cap of a trunk is a number of segments up to {MOST_CAP}, or 0 for none.")
    if not 0 <= fields.get("pace", 0) < 1e9:
        raise BadInput("The pace of a trunk must be a number of segments per second, or 0 for no limit.")
    if "hosts" in fields:
        names = [name.strip() for name in fields["hosts"].split(",") if name.strip()]
        if any(len(name) > 64 or not name.isprintable() or " " in name for name in names):
            raise BadInput("The hosts of a trunk are host names, by commas, as the command hostname shows them.")
        fields["hosts"] = ",".join(names)
        if len(fields["hosts"]) > 255:
            raise BadInput("The hosts of a trunk can have 255 characters at most.")
    if not 0 <= fields.get("most_daemons", 0) <= _MOST:
        raise BadInput(f"The number of daemons that may serve a trunk must be from 1 to {_MOST}, or 0 for no limit.")
    if len(fields.get("password", "")) > 255:
        raise BadInput("The password of a trunk can have 255 characters at most.")
    return fields
