"""The tables. Times are seconds since 1970 in UTC, as doubles: the same arithmetic and the same index on every
database, and no zone to lose. States are words, so that a person with nothing but a SQL prompt can read them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: BIGINT everywhere but on SQLite, where only INTEGER numbers its rows by itself.
RowId = BigInteger().with_variant(Integer(), "sqlite")

_MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def _fit(value: str | None, length: int | None) -> str | None:
    """What a database takes of a text: without NUL, which PostgreSQL refuses, without half a pair, not too long."""
    if value is None or (value.isascii() and "\0" not in value and (length is None or len(value) <= length)):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")[:length]


class Foreign(TypeDecorator[str]):
    """A short text that somebody else wrote: an SMSC, a script, a phone. It is made to fit, never refused."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _fit(value, self._length)


class ForeignText(TypeDecorator[str]):
    """A text of any length that somebody else wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        fitted = _fit(value, None)
        # MariaDB's TEXT takes so many octets, and refuses what is longer.
        return None if fitted is None else fitted.encode()[:65535].decode(errors="ignore")


class Base(DeclarativeBase):
    __table_args__: Any = _MYSQL


class NumberingPlan(Base):
    """The one row of the numbering plan (id 1)."""

    __tablename__ = "numbering_plan"
    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(String(2), default="")
    country_code: Mapped[str] = mapped_column(String(3))
    mobile_prefixes: Mapped[str] = mapped_column(Text, default="")
    min_length: Mapped[int]
    max_length: Mapped[int]


class Trunk(Base):
    __tablename__ = "trunks"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool] = mapped_column(default=True)
    #: Why the driver gave the trunk up; a person clears it by enabling the trunk.
    stopped_reason: Mapped[str] = mapped_column(Foreign(255), default="")
    priority: Mapped[int] = mapped_column(default=1)
    sender_id: Mapped[str] = mapped_column(String(16), default="")
    append_country_code: Mapped[bool] = mapped_column(default=True)
    #: Segments per second; 0 is no limit.
    pace: Mapped[float] = mapped_column(Double, default=0.0)
    #: The most segments in a day and in a month, by the local calendar; 0 is no limit.
    daily_cap: Mapped[int] = mapped_column(default=0)
    monthly_cap: Mapped[int] = mapped_column(default=0)
    #: The hosts whose daemons may serve it, by commas; empty: all. And how many daemons may at a time; 0 is no limit.
    hosts: Mapped[str] = mapped_column(String(255), default="")
    most_daemons: Mapped[int] = mapped_column(default=0)
    #: Of one segment, in whatever currency; what a route of least cost goes by.
    price: Mapped[float] = mapped_column(Double, default=0.0)
    #: Whether a message that a receipt says will not arrive is sent once more, through the next trunk.
    receipt_failover: Mapped[bool] = mapped_column(default=False)
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    password: Mapped[str] = mapped_column(String(255), default="")
    #: Changes with every edit: a running sender sees that its driver was built from an older one.
    version: Mapped[int] = mapped_column(default=1)
    # Ids are never used again: messages remember their trunk's after it has gone.
    __table_args__ = ({**_MYSQL, "sqlite_autoincrement": True},)


class TrunkUsage(Base):
    """How many segments went through a trunk on one day; what its caps count, over all daemons."""

    __tablename__ = "trunk_usage"
    trunk_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: YYYY-MM-DD by the local calendar.
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    segments: Mapped[int] = mapped_column(BigInteger, default=0)


class CodeCount(Base):
    """How often a trunk answered with an error code."""

    __tablename__ = "code_counts"
    trunk_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(Foreign(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger, default=0)
    last_at: Mapped[float] = mapped_column(Double)
    last_reason: Mapped[str] = mapped_column(Foreign(255), default="")


class Route(Base):
    """Which trunks, in which order, carry the numbers with certain prefixes."""

    __tablename__ = "routes"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    #: priority (in the order given), cost (the cheapest first) or weight (shared by weight).
    method: Mapped[str] = mapped_column(String(8), default="priority")


class RoutePrefix(Base):
    """First digits of a number in normal form, without a plus; the longest that fits decides."""

    __tablename__ = "route_prefixes"
    prefix: Mapped[str] = mapped_column(String(20), primary_key=True)
    route_id: Mapped[int] = mapped_column(ForeignKey("routes.id", ondelete="CASCADE"), index=True)


class RouteTrunk(Base):
    """A trunk of a route."""

    __tablename__ = "route_trunks"
    route_id: Mapped[int] = mapped_column(
        ForeignKey("routes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    trunk_id: Mapped[int] = mapped_column(
        ForeignKey("trunks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: From 1; the first is tried first.
    position: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[int] = mapped_column(SmallInteger, default=1)


class OptOut(Base):
    """A number that must not be written to, by any way."""

    __tablename__ = "opt_outs"
    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[float] = mapped_column(Double)
    #: sms, hand or csv.
    source: Mapped[str] = mapped_column(String(8))
    #: The keyword that was written, or a note.
    note: Mapped[str] = mapped_column(Foreign(120), default="")


class NumberList(Base):
    __tablename__ = "lists"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[float] = mapped_column(Double)


class Member(Base):
    """A number of a list. The key is (list, number): on the bulk paths no other index is kept up."""

    __tablename__ = "members"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"), primary_key=True, autoincrement=False)
    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    #: Its own text; NULL where the campaign's is sent.
    text: Mapped[str | None] = mapped_column(Text)
    excluded: Mapped[bool] = mapped_column(default=False)
    #: csv, cdr or hand.
    source: Mapped[str] = mapped_column(String(8), default="hand")
    added_at: Mapped[float] = mapped_column(Double)
    __table_args__ = ({**_MYSQL, "sqlite_with_rowid": False},)


class ListSize(Base):
    """How many members a list has: to count a million takes too long for whoever looks.

    Not in the list's own row: that one is locked by whoever adds a member, and this one by whoever is ready to commit.
    """

    __tablename__ = "list_sizes"
    list_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: The excluded ones are among them.
    total: Mapped[int] = mapped_column(default=0)
    excluded: Mapped[int] = mapped_column(default=0)


class HarvestMark(Base):
    """How far a harvest has read one source, with one set of filters, into one list."""

    __tablename__ = "harvest_marks"
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"), primary_key=True, autoincrement=False)
    #: Digest of the source (without its password) and of the filters: other filters have read other rows.
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    mark: Mapped[str] = mapped_column(String(64))
    harvested_at: Mapped[float] = mapped_column(Double)


class Campaign(Base):
    __tablename__ = "campaigns"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    text: Mapped[str] = mapped_column(Text)
    sender_id: Mapped[str] = mapped_column(String(16), default="")
    trunk_id: Mapped[int | None] = mapped_column(ForeignKey("trunks.id"))
    list_id: Mapped[int | None] = mapped_column(ForeignKey("lists.id", ondelete="SET NULL"))
    #: Kept for people: the list itself may be deleted.
    list_name: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(12))
    start_at: Mapped[float] = mapped_column(Double, default=0.0)
    #: Minutes of the local day; equal: the whole day; from > to: over midnight.
    hours_from: Mapped[int] = mapped_column(SmallInteger, default=0)
    hours_to: Mapped[int] = mapped_column(SmallInteger, default=0)
    total: Mapped[int] = mapped_column(default=0)
    #: Of its fresh messages (see outbox.leases) those up to this id have been leased, and this is the last one's.
    leased_to: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    fresh_to: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[float] = mapped_column(Double)
    finished_at: Mapped[float | None] = mapped_column(Double)


class Lease(Base):
    """Fresh messages of a campaign that a daemon has submitted: those from one id to another, all at once."""

    __tablename__ = "leases"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True, autoincrement=False)
    first_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_id: Mapped[int] = mapped_column(BigInteger)
    daemon_id: Mapped[int]
    trunk_id: Mapped[int]
    leased_at: Mapped[float] = mapped_column(Double)


class Tally(Base):
    """How many messages of a large campaign were in each state when a daemon last counted them."""

    __tablename__ = "tallies"
    #: 0: the outgoing queue. No foreign key: a daemon that counts must not make a campaign wait.
    campaign_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    states: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    segments_to_send: Mapped[int] = mapped_column(BigInteger, default=0)
    #: When the counting began, and when one last found something else than the one before.
    counted_at: Mapped[float] = mapped_column(Double, default=0.0)
    changed_at: Mapped[float] = mapped_column(Double, default=0.0)


class Message(Base):
    """One text to one number. Without a campaign it belongs to the outgoing queue."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    number: Mapped[str] = mapped_column(String(20))
    #: NULL where the campaign's text is sent.
    text: Mapped[str | None] = mapped_column(Text)
    sender_id: Mapped[str | None] = mapped_column(String(16))
    #: The trunk that was asked for; NULL: any, or that of the campaign.
    trunk_id: Mapped[int | None] = mapped_column(ForeignKey("trunks.id"))
    segments: Mapped[int] = mapped_column(SmallInteger, default=1)
    #: The route that its number has; 0: every trunk, by priority. Not NULL: no index is read in order behind one.
    route_id: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(12))
    #: Of the outgoing queue only: higher goes first.
    urgency: Mapped[int] = mapped_column(SmallInteger, default=0)
    #: Not before this time. What may go at once has 0, or the less the more urgent it is: this is the order of a claim.
    #: What has never been claimed and waits for its campaign's turn has a time that never comes: see outbox.leases.
    not_before: Mapped[float] = mapped_column(Double, default=0.0)
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    #: Trunks that passed it on in this round, as ",3,7,"; empty at the start of a round.
    tried: Mapped[str] = mapped_column(String(255), default="")
    #: The daemon that submitted it, while it is submitted.
    daemon_id: Mapped[int | None]
    #: How often it went to another trunk because a receipt said that it would not arrive.
    failovers: Mapped[int] = mapped_column(SmallInteger, default=0)
    #: Its number while it is in doubt: by it a receipt without a known id finds the message.
    doubt_number: Mapped[str | None] = mapped_column(String(20))
    #: The trunk that it went through. No foreign key: the record outlives the trunk.
    via_trunk_id: Mapped[int | None]
    #: The SMSC's id of the first segment, and the normal form by which receipts find it.
    remote_id: Mapped[str | None] = mapped_column(Foreign(65))
    remote_key: Mapped[str | None] = mapped_column(Foreign(65))
    code: Mapped[str] = mapped_column(Foreign(16), default="")
    reason: Mapped[str] = mapped_column(Foreign(255), default="")
    created_at: Mapped[float] = mapped_column(Double)
    submitted_at: Mapped[float | None] = mapped_column(Double)
    accepted_at: Mapped[float | None] = mapped_column(Double)
    #: When it reached a state that only a receipt, or nothing, can change.
    settled_at: Mapped[float | None] = mapped_column(Double)
    #: Who on Asterisk's side wants to hear of its states: his own id for it. And the state that he was told last.
    asked_id: Mapped[str | None] = mapped_column(Foreign(64))
    told_state: Mapped[str] = mapped_column(String(12), default="")
    #: It was accepted, and its call record is still to be written.
    cdr_due: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (
        # What a claim looks for: a fresh round in order of id, later ones by their time. The trunk and the route before
        # both, or a trunk would read all that is not its own, again and again. The trunk first of all: else MariaDB
        # makes an index for its foreign key, and may take that one.
        Index(
            "ix_messages_queued",
            "trunk_id",
            "campaign_id",
            "state",
            "route_id",
            "not_before",
            "id",
            sqlite_where=sql("state = 'queued' AND not_before < 1e12"),
            postgresql_where=sql("state = 'queued' AND not_before < 1e12"),
        ),
        # Passed on by a trunk: few rows, looked for by every trunk at every claim. SQLite takes it only with as many
        # columns as the one above, and with the very condition of the claim.
        Index(
            "ix_messages_passed",
            "campaign_id",
            "state",
            "tried",
            sqlite_where=sql("state = 'queued' AND tried > ''"),
            postgresql_where=sql("state = 'queued' AND tried > ''"),
        ),
        Index(
            "ix_messages_submitted",
            "daemon_id",
            sqlite_where=sql("daemon_id IS NOT NULL"),
            postgresql_where=sql("daemon_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_remote",
            "remote_key",
            sqlite_where=sql("remote_key IS NOT NULL"),
            postgresql_where=sql("remote_key IS NOT NULL"),
        ),
        Index(
            "ix_messages_doubt",
            "doubt_number",
            sqlite_where=sql("doubt_number IS NOT NULL"),
            postgresql_where=sql("doubt_number IS NOT NULL"),
        ),
        # With all that counting needs: on MariaDB a look into each row would take ten times as long.
        Index("ix_messages_state", "campaign_id", "state", "id", "segments"),
        Index(
            "ix_messages_cdr_due",
            "cdr_due",
            sqlite_where=sql("cdr_due"),
            postgresql_where=sql("cdr_due"),
        ),
        Index(
            "ix_messages_untold",
            "asked_id",
            sqlite_where=sql("asked_id IS NOT NULL"),
            postgresql_where=sql("asked_id IS NOT NULL"),
        ),
        {**_MYSQL, "sqlite_autoincrement": True},
    )


class Segment(Base):
    """A segment of a long message that was accepted. A message of one segment keeps its remote id in its own row."""

    __tablename__ = "segments"
    message_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    remote_id: Mapped[str] = mapped_column(Foreign(65))
    remote_key: Mapped[str] = mapped_column(Foreign(65), index=True)
    #: NULL until its receipt came.
    delivered: Mapped[bool | None]


class UnmatchedReceipt(Base):
    """A receipt whose message is not known (yet): the answer to submit_sm may come after it."""

    __tablename__ = "unmatched_receipts"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    trunk_id: Mapped[int]
    remote_id: Mapped[str] = mapped_column(Foreign(65))
    remote_key: Mapped[str] = mapped_column(Foreign(65), index=True)
    delivered: Mapped[bool | None]
    stat: Mapped[str] = mapped_column(Foreign(16), default="")
    code: Mapped[str] = mapped_column(Foreign(16), default="")
    number: Mapped[str] = mapped_column(Foreign(24), default="")
    received_at: Mapped[float] = mapped_column(Double, index=True)


class IncomingPart(Base):
    """One part of a long SMS from outside whose other parts are still to come.

    Part 0 is none: it stands for the SMS itself, says when its latest part came, and is what two receivers lock. For
    a while after the SMS has become whole it has the digests of its parts, in case one comes again.
    """

    __tablename__ = "inbox_parts"
    trunk_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(Foreign(24), primary_key=True)
    destination: Mapped[str] = mapped_column(Foreign(24), primary_key=True)
    reference: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parts: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    #: As it came, for a character may be cut between two parts; and how it is read.
    octets: Mapped[bytes] = mapped_column(LargeBinary)
    coding: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[float] = mapped_column(Double, index=True)


class Incoming(Base):
    """An SMS from outside, whole; or what came of a long one."""

    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    trunk_id: Mapped[int]
    source: Mapped[str] = mapped_column(Foreign(24))
    destination: Mapped[str] = mapped_column(Foreign(24))
    text: Mapped[str] = mapped_column(ForeignText)
    reference: Mapped[int] = mapped_column(default=0)
    #: How many parts of it came, and how many it was sent in.
    part: Mapped[int] = mapped_column(SmallInteger, default=1)
    parts: Mapped[int] = mapped_column(SmallInteger, default=1)
    received_at: Mapped[float] = mapped_column(Double)
    #: When Asterisk was told; NULL until then.
    announced_at: Mapped[float | None] = mapped_column(Double)
    __table_args__ = (
        Index(
            "ix_inbox_unannounced",
            "announced_at",
            sqlite_where=sql("announced_at IS NULL"),
            postgresql_where=sql("announced_at IS NULL"),
        ),
        _MYSQL,
    )


class IncomingId(Base):
    """The id, as a digest, under which an API told of an incoming SMS: one that it tells again is taken once."""

    __tablename__ = "incoming_ids"
    trunk_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_at: Mapped[float] = mapped_column(Double, index=True)


class Daemon(Base):
    """A running ixxmassivesms. One whose heartbeat is old is dead, and what it had submitted is in doubt."""

    __tablename__ = "daemons"
    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(64))
    pid: Mapped[int]
    started_at: Mapped[float] = mapped_column(Double)
    heartbeat_at: Mapped[float] = mapped_column(Double)
    #: The link to Asterisk's manager interface: "", up or down, and why it is not up.
    ami_link: Mapped[str] = mapped_column(String(8), default="")
    ami_why: Mapped[str] = mapped_column(Foreign(255), default="")
    # Ids are never used again: messages may still name one that was forgotten.
    __table_args__ = ({**_MYSQL, "sqlite_autoincrement": True},)


class TrunkLink(Base):
    """How one daemon stands with one trunk."""

    __tablename__ = "trunk_links"
    daemon_id: Mapped[int] = mapped_column(
        ForeignKey("daemons.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    trunk_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    link: Mapped[str] = mapped_column(String(8))
    why: Mapped[str] = mapped_column(Foreign(255), default="")
    since: Mapped[float] = mapped_column(Double)
    #: Segments per second over the last interval, and messages in the driver's hands.
    rate: Mapped[float] = mapped_column(Double, default=0.0)
    in_flight: Mapped[int] = mapped_column(default=0)


class Request(Base):
    """One SMS that the dialplan, an AMI event or a SIP phone asked for: what the abuse limits count."""

    __tablename__ = "requests"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    #: The caller's number, the endpoint or the hook that asked.
    caller: Mapped[str] = mapped_column(Foreign(80))
    at: Mapped[float] = mapped_column(Double, index=True)
    __table_args__ = (Index("ix_requests_caller", "caller", "at"), _MYSQL)


class OneTimeCode(Base):
    """A code that was sent to a number, as a salted digest; a number has one at a time."""

    __tablename__ = "one_time_codes"
    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[float] = mapped_column(Double)
    tries_left: Mapped[int] = mapped_column(SmallInteger)


class Hook(Base):
    """A rule: when Asterisk tells of such an event, do this. Empty filters let everything through."""

    __tablename__ = "hooks"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    #: missed_call, queue_abandon, voicemail, cdr (live harvest), or sms (an incoming one, by keyword).
    event: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool] = mapped_column(default=True)
    context: Mapped[str] = mapped_column(String(80), default="")
    did: Mapped[str] = mapped_column(String(40), default="")
    #: First digits of the caller's number, in normal form.
    prefix: Mapped[str] = mapped_column(String(20), default="")
    hours_from: Mapped[int] = mapped_column(SmallInteger, default=0)
    hours_to: Mapped[int] = mapped_column(SmallInteger, default=0)
    #: First word of an incoming SMS.
    keyword: Mapped[str] = mapped_column(String(40), default="")
    #: The text to send, with {number} {did} {queue} {time}; empty where nothing is sent.
    template: Mapped[str] = mapped_column(Text, default="")
    trunk_id: Mapped[int | None] = mapped_column(ForeignKey("trunks.id", ondelete="SET NULL"))
    sender_id: Mapped[str] = mapped_column(String(16), default="")
    #: A number is written to once in so many hours; 0: each time.
    every_hours: Mapped[float] = mapped_column(Double, default=24.0)
    #: Its excluded members are never written to; a live harvest puts the caller on it.
    list_id: Mapped[int | None] = mapped_column(ForeignKey("lists.id"))
    #: Of an sms hook: the channel to call back through, with {number} in it.
    call_back: Mapped[str] = mapped_column(String(120), default="")
    #: Of a voicemail hook: the mobile of the mailbox's owner.
    notify: Mapped[str] = mapped_column(String(20), default="")


class HookRun(Base):
    """When a hook last acted for a number."""

    __tablename__ = "hook_runs"
    hook_id: Mapped[int] = mapped_column(
        ForeignKey("hooks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[float] = mapped_column(Double)


class SipRoute(Base):
    """Where an incoming SMS to one of our numbers goes: a SIP endpoint, and an address for when it is away."""

    __tablename__ = "sip_routes"
    did: Mapped[str] = mapped_column(String(24), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(190), default="")
