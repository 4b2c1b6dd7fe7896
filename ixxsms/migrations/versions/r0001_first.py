"""the first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "code_counts",
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("last_reason", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("trunk_id", "code"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "daemons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("ami_link", sa.String(length=8), nullable=False),
        sa.Column("ami_why", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("trunk_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=24), nullable=False),
        sa.Column("destination", sa.String(length=24), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reference", sa.Integer(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("parts", sa.SmallInteger(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("announced_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(
        "ix_inbox_unannounced",
        "inbox",
        ["announced_at"],
        unique=False,
        sqlite_where=sa.text("announced_at IS NULL"),
        postgresql_where=sa.text("announced_at IS NULL"),
    )
    op.create_table(
        "inbox_parts",
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=24), nullable=False),
        sa.Column("destination", sa.String(length=24), nullable=False),
        sa.Column("reference", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parts", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("coding", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trunk_id", "source", "destination", "reference", "parts", "part"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_inbox_parts_received_at"), "inbox_parts", ["received_at"], unique=False)
    op.create_table(
        "incoming_ids",
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trunk_id", "digest"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_incoming_ids_received_at"), "incoming_ids", ["received_at"], unique=False)
    op.create_table(
        "list_sizes",
        sa.Column("list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("excluded", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("list_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "lists",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "numbering_plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("country_code", sa.String(length=3), nullable=False),
        sa.Column("mobile_prefixes", sa.Text(), nullable=False),
        sa.Column("min_length", sa.Integer(), nullable=False),
        sa.Column("max_length", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "one_time_codes",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "opt_outs",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("note", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("caller", sa.String(length=80), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_requests_at"), "requests", ["at"], unique=False)
    op.create_index("ix_requests_caller", "requests", ["caller", "at"], unique=False)
    op.create_table(
        "routes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "sip_routes",
        sa.Column("did", sa.String(length=24), nullable=False),
        sa.Column("endpoint", sa.String(length=80), nullable=False),
        sa.Column("email", sa.String(length=190), nullable=False),
        sa.PrimaryKeyConstraint("did"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "tallies",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("states", sa.JSON(), nullable=False),
        sa.Column("segments_to_send", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "trunk_usage",
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("segments", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trunk_id", "day"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "trunks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("stopped_reason", sa.String(length=255), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("sender_id", sa.String(length=16), nullable=False),
        sa.Column("append_country_code", sa.Boolean(), nullable=False),
        sa.Column("pace", sa.Double(), nullable=False),
        sa.Column("daily_cap", sa.Integer(), nullable=False),
        sa.Column("monthly_cap", sa.Integer(), nullable=False),
        sa.Column("hosts", sa.String(length=255), nullable=False),
        sa.Column("most_daemons", sa.Integer(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("receipt_failover", sa.Boolean(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "unmatched_receipts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("trunk_id", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.String(length=65), nullable=False),
        sa.Column("remote_key", sa.String(length=65), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=True),
        sa.Column("stat", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_unmatched_receipts_received_at"), "unmatched_receipts", ["received_at"], unique=False)
    op.create_index(op.f("ix_unmatched_receipts_remote_key"), "unmatched_receipts", ["remote_key"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sender_id", sa.String(length=16), nullable=False),
        sa.Column("trunk_id", sa.Integer(), nullable=True),
        sa.Column("list_id", sa.Integer(), nullable=True),
        sa.Column("list_name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("start_at", sa.Double(), nullable=False),
        sa.Column("hours_from", sa.SmallInteger(), nullable=False),
        sa.Column("hours_to", sa.SmallInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["trunk_id"],
            ["trunks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "harvest_marks",
        sa.Column("list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("harvested_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["lists.id"],
        ),
        sa.PrimaryKeyConstraint("list_id", "source"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "hooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("context", sa.String(length=80), nullable=False),
        sa.Column("did", sa.String(length=40), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("hours_from", sa.SmallInteger(), nullable=False),
        sa.Column("hours_to", sa.SmallInteger(), nullable=False),
        sa.Column("keyword", sa.String(length=40), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("trunk_id", sa.Integer(), nullable=True),
        sa.Column("sender_id", sa.String(length=16), nullable=False),
        sa.Column("every_hours", sa.Double(), nullable=False),
        sa.Column("list_id", sa.Integer(), nullable=True),
        sa.Column("call_back", sa.String(length=120), nullable=False),
        sa.Column("notify", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["lists.id"],
        ),
        sa.ForeignKeyConstraint(["trunk_id"], ["trunks.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "members",
        sa.Column("list_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["lists.id"],
        ),
        sa.PrimaryKeyConstraint("list_id", "number"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "route_prefixes",
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["route_id"], ["routes.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("prefix"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_route_prefixes_route_id"), "route_prefixes", ["route_id"], unique=False)
    op.create_table(
        "route_trunks",
        sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("weight", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["route_id"], ["routes.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trunk_id"], ["trunks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("route_id", "trunk_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "trunk_links",
        sa.Column("daemon_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trunk_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("link", sa.String(length=8), nullable=False),
        sa.Column("why", sa.String(length=255), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["daemon_id"], ["daemons.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("daemon_id", "trunk_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "hook_runs",
        sa.Column("hook_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hook_id", "number"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.String(length=16), nullable=True),
        sa.Column("trunk_id", sa.Integer(), nullable=True),
        sa.Column("segments", sa.SmallInteger(), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("tried", sa.String(length=255), nullable=False),
        sa.Column("daemon_id", sa.Integer(), nullable=True),
        sa.Column("failovers", sa.SmallInteger(), nullable=False),
        sa.Column("doubt_number", sa.String(length=20), nullable=True),
        sa.Column("via_trunk_id", sa.Integer(), nullable=True),
        sa.Column("remote_id", sa.String(length=65), nullable=True),
        sa.Column("remote_key", sa.String(length=65), nullable=True),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=True),
        sa.Column("accepted_at", sa.Double(), nullable=True),
        sa.Column("settled_at", sa.Double(), nullable=True),
        sa.Column("asked_id", sa.String(length=64), nullable=True),
        sa.Column("told_state", sa.String(length=12), nullable=False),
        sa.Column("cdr_due", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
        ),
        sa.ForeignKeyConstraint(
            ["trunk_id"],
            ["trunks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_messages_cdr_due",
        "messages",
        ["cdr_due"],
        unique=False,
        sqlite_where=sa.text("cdr_due"),
        postgresql_where=sa.text("cdr_due"),
    )
    op.create_index(
        "ix_messages_doubt",
        "messages",
        ["doubt_number"],
        unique=False,
        sqlite_where=sa.text("doubt_number IS NOT NULL"),
        postgresql_where=sa.text("doubt_number IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_passed",
        "messages",
        ["campaign_id", "state", "tried"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND tried > ''"),
        postgresql_where=sa.text("state = 'queued' AND tried > ''"),
    )
    op.create_index(
        "ix_messages_queued",
        "messages",
        ["trunk_id", "campaign_id", "state", "route_id", "not_before", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_messages_remote",
        "messages",
        ["remote_key"],
        unique=False,
        sqlite_where=sa.text("remote_key IS NOT NULL"),
        postgresql_where=sa.text("remote_key IS NOT NULL"),
    )
    op.create_index("ix_messages_state", "messages", ["campaign_id", "state", "id", "segments"], unique=False)
    op.create_index(
        "ix_messages_submitted",
        "messages",
        ["daemon_id"],
        unique=False,
        sqlite_where=sa.text("daemon_id IS NOT NULL"),
        postgresql_where=sa.text("daemon_id IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_untold",
        "messages",
        ["asked_id"],
        unique=False,
        sqlite_where=sa.text("asked_id IS NOT NULL"),
        postgresql_where=sa.text("asked_id IS NOT NULL"),
    )
    op.create_table(
        "segments",
        sa.Column(
            "message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("remote_id", sa.String(length=65), nullable=False),
        sa.Column("remote_key", sa.String(length=65), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "part"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_segments_remote_key"), "segments", ["remote_key"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_segments_remote_key"), table_name="segments")
    op.drop_table("segments")
    op.drop_index(
        "ix_messages_untold",
        table_name="messages",
        sqlite_where=sa.text("asked_id IS NOT NULL"),
        postgresql_where=sa.text("asked_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_submitted",
        table_name="messages",
        sqlite_where=sa.text("daemon_id IS NOT NULL"),
        postgresql_where=sa.text("daemon_id IS NOT NULL"),
    )
    op.drop_index("ix_messages_state", table_name="messages")
    op.drop_index(
        "ix_messages_remote",
        table_name="messages",
        sqlite_where=sa.text("remote_key IS NOT NULL"),
        postgresql_where=sa.text("remote_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_queued",
        table_name="messages",
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.drop_index(
        "ix_messages_passed",
        table_name="messages",
        sqlite_where=sa.text("state = 'queued' AND tried > ''"),
        postgresql_where=sa.text("state = 'queued' AND tried > ''"),
    )
    op.drop_index(
        "ix_messages_doubt",
        table_name="messages",
        sqlite_where=sa.text("doubt_number IS NOT NULL"),
        postgresql_where=sa.text("doubt_number IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_cdr_due",
        table_name="messages",
        sqlite_where=sa.text("cdr_due"),
        postgresql_where=sa.text("cdr_due"),
    )
    op.drop_table("messages")
    op.drop_table("hook_runs")
    op.drop_table("trunk_links")
    op.drop_table("route_trunks")
    op.drop_index(op.f("ix_route_prefixes_route_id"), table_name="route_prefixes")
    op.drop_table("route_prefixes")
    op.drop_table("members")
    op.drop_table("hooks")
    op.drop_table("harvest_marks")
    op.drop_table("campaigns")
    op.drop_index(op.f("ix_unmatched_receipts_remote_key"), table_name="unmatched_receipts")
    op.drop_index(op.f("ix_unmatched_receipts_received_at"), table_name="unmatched_receipts")
    op.drop_table("unmatched_receipts")
    op.drop_table("trunks")
    op.drop_table("trunk_usage")
    op.drop_table("tallies")
    op.drop_table("sip_routes")
    op.drop_table("routes")
    op.drop_index("ix_requests_caller", table_name="requests")
    op.drop_index(op.f("ix_requests_at"), table_name="requests")
    op.drop_table("requests")
    op.drop_table("opt_outs")
    op.drop_table("one_time_codes")
    op.drop_table("numbering_plan")
    op.drop_table("lists")
    op.drop_table("list_sizes")
    op.drop_index(op.f("ix_incoming_ids_received_at"), table_name="incoming_ids")
    op.drop_table("incoming_ids")
    op.drop_index(op.f("ix_inbox_parts_received_at"), table_name="inbox_parts")
    op.drop_table("inbox_parts")
    op.drop_index(
        "ix_inbox_unannounced",
        table_name="inbox",
        sqlite_where=sa.text("announced_at IS NULL"),
        postgresql_where=sa.text("announced_at IS NULL"),
    )
    op.drop_table("inbox")
    op.drop_table("daemons")
    op.drop_table("code_counts")
