"""Campaigns: one text to many numbers. The only file that changes a campaign's state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Boolean,
    Double,
    Integer,
    SmallInteger,
    String,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy import case as sql_case
from sqlalchemy.orm import Session, aliased

from ixxsms import lists, outbox, trunks
from ixxsms import text as sms_text
from ixxsms.csvfile import Row
from ixxsms.errors import BadInput, Busy, Duplicate, NotFound
from ixxsms.hours import in_hours, minute_of_day, parse_hours, parse_start, written
from ixxsms.imports import ImportReport, Refusal
from ixxsms.models import Campaign, Member, Message, NumberList, OptOut, Segment, Trunk
from ixxsms.names import check_name
from ixxsms.numbering import Plan, check_sender_id
from ixxsms.states import OPEN, CampaignState, MessageState, check_campaign_step

__all__ = ["all_campaigns", "cancel", "create", "delete_campaign", "edit", "get", "numbers", "resume", "show", "stop"]

#: The messages without a campaign, shown as if they were one: always first, never deleted.
OUTGOING_QUEUE = "outgoing queue"

#: The own texts of a new campaign are read so many rows at a time.
_AT_ONCE = 5_000


@dataclass(frozen=True)
class CampaignView:
    """A campaign as it is shown. Times are seconds since 1970, `hours` is "HH:MM-HH:MM" or "" for the whole day."""

    name: str
    state: str
    total: int
    states: dict[str, int]
    text: str = ""
    sender_id: str = ""
    trunk: str = ""
    list: str = ""
    start_at: float = 0.0
    hours: str = ""
    created_at: float = 0.0
    finished_at: float | None = None
    segments_to_send: int = 0
    #: When its messages were counted, where that was not just now: a daemon counts large campaigns now and then.
    counted_at: float | None = None

    @property
    def done(self) -> int:
        """How many messages have left or will never leave."""
        return self.total - sum(self.states.get(state, 0) for state in OPEN)


@dataclass
class Created:
    """What was created: the campaign, its cost in segments, and what became of the file's rows."""

    campaign: Campaign
    segments: int
    report: ImportReport | None = field(default=None)


# -- create --------------------------------------------------------------------------------------------------------


def create(
    session: Session,
    plan: Plan,
    name: str,
    text: str,
    *,
    now: float,
    max_segments: int,
    list_name: str | None = None,
    rows: Iterable[Row] | None = None,
    sender_id: str = "",
    trunk: str | None = None,
    start: str = "",
    hours: tuple[str, str] | None = None,
    run: bool = False,
    on_refused: Callable[[Refusal], None] | None = None,
) -> Created:
    """Create a campaign, paused unless `run`, from a list, from the rows of a file, or from both.

    The members are copied: the list may change or go. Excluded ones come along as excluded messages, and so do those
    that have opted out. A file's own
    text goes before a list's. Raises Duplicate, NotFound and BadInput before anything is written.
    """
    name = check_name(name, "campaign")
    _check_free(session, name)
    if list_name is None and rows is None:
        raise BadInput("A campaign needs a list or a file of numbers.")
    source = lists.for_campaign(session, list_name) if list_name is not None else None
    from_minute, to_minute = parse_hours(hours)
    campaign = Campaign(
        name=name,
        text=outbox.check_text(text, max_segments),
        sender_id=check_sender_id(sender_id),
        trunk_id=trunks.get(session, trunk).id if trunk else None,
        list_id=source.id if source else None,
        list_name=source.name if source else "",
        state=CampaignState.RUNNING if run else CampaignState.PAUSED,
        start_at=parse_start(start),
        hours_from=from_minute,
        hours_to=to_minute,
        created_at=now,
    )
    session.add(campaign)
    session.flush()
    report = None
    if rows is None:
        assert source is not None
        _copy_members(session, campaign, source.id, now)
    else:
        report = _copy_rows(session, plan, campaign, rows, source, now, max_segments, on_refused)
    _count_own_texts(session, campaign)
    outbox.prepare_leases(session, campaign.id)
    counted = outbox.count(session, campaign.id)
    if not counted.total:
        raise BadInput("A campaign needs at least one valid number; there is none.")
    campaign.total = counted.total
    session.flush()
    outbox.keep(session, campaign.id, counted, now)
    return Created(campaign, counted.segments_to_send, report)


def _check_free(session: Session, name: str) -> None:
    if name.lower() == OUTGOING_QUEUE or session.scalar(select(Campaign.id).where(Campaign.name == name)) is not None:
        raise Duplicate(f'There is a campaign "{name}" already.')


def _copy_rows(
    session: Session,
    plan: Plan,
    campaign: Campaign,
    rows: Iterable[Row],
    source: NumberList | None,
    now: float,
    max_segments: int,
    on_refused: Callable[[Refusal], None] | None,
) -> ImportReport:
    """Through a list that lives for this transaction only: the same checks, each number once."""
    passing = lists.create(session, f"campaign {campaign.id} {now:.6f}")
    report = lists.import_rows(session, plan, passing.name, rows, max_segments=max_segments, on_refused=on_refused)
    excluded = None
    if source is not None:
        mine = select(Member.number).where(Member.list_id == passing.id)
        _copy_members(session, campaign, source.id, now, but=mine)
        same = aliased(Member)
        there = select(same.number).where(same.list_id == source.id, same.number == Member.number)
        excluded = exists(there.where(same.excluded.is_(True)))
    _copy_members(session, campaign, passing.id, now, excluded=excluded)
    lists.delete(session, passing.name)
    return report


def _copy_members(
    session: Session, campaign: Campaign, list_id: int, now: float, but: Any = None, excluded: Any = None
) -> None:
    """One INSERT…SELECT, whatever the size of the list. `but`: not these. `excluded`: which are, if not its own."""
    held_back = literal(str(MessageState.EXCLUDED), String)
    is_excluded = Member.excluded.is_(True) if excluded is None else excluded
    opted_out = exists(select(OptOut.number).where(OptOut.number == Member.number))
    queued = literal(str(MessageState.QUEUED), String)
    state = sql_case((is_excluded, held_back), (opted_out, held_back), else_=queued)
    reason = sql_case((opted_out, literal(outbox.OPTED_OUT, Text)), else_=literal("", Text))
    routes = outbox.route_of(session, Member.number) if campaign.trunk_id is None else literal(0, Integer)
    columns = {
        "campaign_id": literal(campaign.id, Integer),
        "number": Member.number,
        "text": Member.text,
        "segments": literal(sms_text.segments(campaign.text), SmallInteger),
        "route_id": routes,
        "state": state,
        "urgency": literal(0, SmallInteger),
        "not_before": sql_case((routes == 0, literal(outbox.FRESH, Double)), else_=literal(0.0, Double)),
        "attempts": literal(0, SmallInteger),
        "failovers": literal(0, SmallInteger),
        "tried": literal("", String),
        "code": literal("", String),
        "reason": reason,
        "told_state": literal("", String),
        "cdr_due": literal(False, Boolean),
        "created_at": literal(now, Double),
    }
    members = select(*columns.values()).where(Member.list_id == list_id).order_by(Member.number)
    if but is not None:
        members = members.where(Member.number.not_in(but))
    session.execute(insert(Message).from_select(list(columns), members, include_defaults=False))


def _count_own_texts(session: Session, campaign: Campaign) -> None:
    table = Message.__table__
    statement = update(table).where(table.c.id == bindparam("b_id")).values(segments=bindparam("b_segments"))  # type: ignore[arg-type]
    ends = select(func.min(Message.id), func.max(Message.id)).where(Message.campaign_id == campaign.id)
    first, last = session.execute(ends).one()
    # `+ 0`: some rows of the table at a time, in its own order. An index of the campaign would be read as a whole.
    mine = (Message.campaign_id + 0 == campaign.id, Message.text.is_not(None))
    for start in range(first or 1, (last or 0) + 1, _AT_ONCE):
        some = Message.id.between(start, start + _AT_ONCE - 1)
        # Fetched as a whole: while rows still come, MySQL's drivers can change none on the same connection.
        own = session.execute(select(Message.id, Message.text).where(some, *mine)).all()
        changes = [{"b_id": row.id, "b_segments": sms_text.segments(row.text)} for row in own]
        if changes:
            session.connection().execute(statement, changes)


def sendable(session: Session, trunk_id: int, now: float) -> list[outbox.Source]:
    """The running campaigns from which this trunk may claim now: start date and hours are conditions, not states."""
    minute = minute_of_day(now)
    running = session.execute(
        select(Campaign.id, Campaign.trunk_id, Campaign.hours_from, Campaign.hours_to)
        .where(Campaign.state == CampaignState.RUNNING, Campaign.start_at <= now)
        .where((Campaign.trunk_id.is_(None)) | (Campaign.trunk_id == trunk_id))
        .order_by(Campaign.id)
    )
    return [
        outbox.Source(campaign_id, trunk is not None)
        for campaign_id, trunk, first, last in running
        if in_hours(first, last, minute)
    ]


# -- change --------------------------------------------------------------------------------------------------------


def get(session: Session, name: str) -> Campaign:
    """The campaign of that name. Raises NotFound, and BadInput for the outgoing queue, which is not one."""
    if is_outgoing_queue(name):
        raise BadInput("The outgoing queue is always there: it cannot be changed or deleted.")
    campaign = session.scalar(select(Campaign).where(Campaign.name == name))
    if campaign is None:
        raise NotFound(f'There is no campaign "{name}".')
    return campaign


def is_outgoing_queue(name: str) -> bool:
    return name.strip().lower() == OUTGOING_QUEUE


def stop(session: Session, name: str) -> Campaign:
    """Pause a campaign: nothing more of it is claimed. What is claimed already leaves, with the text that it had."""
    return _step(session, name, CampaignState.PAUSED)


def resume(session: Session, name: str) -> Campaign:
    """Let a campaign run when its date and hours come."""
    return _step(session, name, CampaignState.RUNNING)


def cancel(session: Session, name: str) -> Campaign:
    """End a campaign for good: nothing more of it is claimed, and `take_back` cancels its messages."""
    return _step(session, name, CampaignState.CANCELLED)


def take_back(session: Session, now: float) -> None:
    """Messages of cancelled campaigns that are queued, also such as a trunk has handed back since, are cancelled."""
    queued = select(Message.id).where(Message.campaign_id == Campaign.id, outbox.QUEUED)
    found = select(Campaign.id).where(Campaign.state == str(CampaignState.CANCELLED), queued.exists())
    campaign_ids = session.scalars(found).all()
    if campaign_ids:
        outbox.hold(session, campaign_ids)
        outbox.cancel_some(session, campaign_ids, now)
        outbox.forget(session, campaign_ids)


def _step(session: Session, name: str, target: CampaignState) -> Campaign:
    campaign = get(session, name)
    current = CampaignState(campaign.state)
    if current in (CampaignState.FINISHED, CampaignState.CANCELLED):
        raise BadInput(f'The campaign "{name}" is {current}.')
    if current is not target:
        check_campaign_step(current, target)
        campaign.state = target
        session.flush()
    return campaign


def edit(
    session: Session,
    name: str,
    *,
    max_segments: int,
    text: str | None = None,
    hours: tuple[str, str] | None = None,
    start: str | None = None,
) -> Campaign:
    """Change the text, the hours or the start date of a paused campaign. Raises Busy when it is not paused."""
    campaign = get(session, name)
    if campaign.state != CampaignState.PAUSED:
        raise Busy(f'The campaign "{name}" is {campaign.state}; only a paused one can be edited.')
    if hours is not None:
        campaign.hours_from, campaign.hours_to = parse_hours(hours)
    if start is not None:
        campaign.start_at = parse_start(start)
    if text is not None:
        campaign.text = outbox.check_text(text, max_segments)
        outbox.hold(session, [campaign.id])
        session.execute(
            update(Message)
            .where(
                Message.campaign_id == campaign.id, Message.text.is_(None), Message.state == str(MessageState.QUEUED)
            )
            .values(segments=sms_text.segments(text)),
            execution_options={"synchronize_session": False},
        )
        outbox.forget(session, [campaign.id])
    session.flush()
    return campaign


def delete_campaign(session: Session, name: str) -> None:
    """Delete a campaign and its messages. Raises Busy while it runs, or while answers are awaited."""
    campaign = get(session, name)
    if campaign.state == CampaignState.RUNNING:
        raise Busy(f'The campaign "{name}" is running; stop it first.')
    mine = Message.campaign_id == campaign.id
    outbox.hold(session, [campaign.id])
    if session.scalar(select(Message.id).where(mine, Message.state == str(MessageState.SUBMITTED)).limit(1)):
        raise Busy(f'Messages of the campaign "{name}" are on their way; wait for their answers.')
    unseen = {"synchronize_session": False}
    session.execute(
        delete(Segment).where(Segment.message_id.in_(select(Message.id).where(mine))), execution_options=unseen
    )
    session.execute(delete(Message).where(mine), execution_options=unseen)
    outbox.forget(session, [campaign.id])
    session.delete(campaign)


def reopen(session: Session) -> None:
    """Finished campaigns of which a message is queued again, after its receipt or by hand, run on."""
    queued = select(Message.id).where(Message.campaign_id == Campaign.id, outbox.QUEUED)
    for campaign in session.scalars(
        select(Campaign).where(Campaign.state == CampaignState.FINISHED, queued.exists())
    ).all():
        check_campaign_step(CampaignState.FINISHED, CampaignState.RUNNING)
        campaign.state, campaign.finished_at = CampaignState.RUNNING, None


def finish(session: Session, now: float) -> None:
    """Running campaigns none of whose messages is queued or submitted any more are finished."""
    for campaign in session.scalars(select(Campaign).where(Campaign.state == CampaignState.RUNNING)):
        still_open = session.scalar(
            select(Message.id)
            .where(Message.campaign_id == campaign.id, Message.state.in_([str(state) for state in OPEN]))
            .limit(1)
        )
        if still_open is None:
            campaign.state = CampaignState.FINISHED
            campaign.finished_at = now
            outbox.forget(session, [campaign.id])


# -- look ----------------------------------------------------------------------------------------------------------


def all_campaigns(session: Session, state: str | None = None) -> list[CampaignView]:
    """The outgoing queue, then every campaign, the newest first; or those in one state."""
    if state and state not in list(CampaignState):
        raise BadInput(f'"{state}" is no state of a campaign; the states are {", ".join(CampaignState)}.')
    statement = select(Campaign).order_by(Campaign.id.desc())
    if state:
        statement = statement.where(Campaign.state == state)
    found = session.scalars(statement).all()
    counted = outbox.counted(session, [campaign.id for campaign in found])
    queue = [] if state else [show(session, OUTGOING_QUEUE)]
    return queue + [_view(session, campaign, counted[campaign.id]) for campaign in found]


def show(session: Session, name: str) -> CampaignView:
    """One campaign, or the outgoing queue by its name, with how many messages are in each state."""
    if is_outgoing_queue(name):
        counted = outbox.counted(session, [None])[None]
        return CampaignView(
            OUTGOING_QUEUE,
            "running",
            counted.total,
            counted.states,
            segments_to_send=counted.segments_to_send,
            counted_at=counted.counted_at,
        )
    campaign = get(session, name)
    return _view(session, campaign, outbox.counted(session, [campaign.id])[campaign.id])


def _view(session: Session, campaign: Campaign, counted: outbox.Counted) -> CampaignView:
    trunk = session.get(Trunk, campaign.trunk_id) if campaign.trunk_id else None
    return CampaignView(
        name=campaign.name,
        state=campaign.state,
        total=campaign.total,
        states=counted.states,
        text=campaign.text,
        sender_id=campaign.sender_id,
        trunk=trunk.name if trunk else "",
        list=campaign.list_name,
        start_at=campaign.start_at,
        hours=written(campaign.hours_from, campaign.hours_to),
        created_at=campaign.created_at,
        finished_at=campaign.finished_at,
        segments_to_send=counted.segments_to_send,
        counted_at=counted.counted_at,
    )


def numbers(session: Session, name: str, *, state: str | None = None, limit: int | None = None) -> Iterable[Message]:
    """The messages of a campaign, or of the outgoing queue, in order; those in one state where it is given."""
    campaign_id = None if is_outgoing_queue(name) else get(session, name).id
    return outbox.rows(session, campaign_id, state=state, limit=limit)
