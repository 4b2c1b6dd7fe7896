"""leases of campaigns' messages"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("leased_to", "fresh_to"):
        op.add_column("campaigns", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "leases",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("daemon_id", sa.Integer(), nullable=False),
        sa.Column("trunk_id", sa.Integer(), nullable=False),
        sa.Column("leased_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"]),
        sa.PrimaryKeyConstraint("campaign_id", "first_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )

    # Fresh messages are found without the index of what is queued. MariaDB has no index of some rows only.
    if op.get_bind().dialect.name in ("sqlite", "postgresql"):
        queued = sa.text("state = 'queued' AND not_before < 1e12")
        op.drop_index("ix_messages_queued", table_name="messages")
        op.create_index(
            "ix_messages_queued",
            "messages",
            ["trunk_id", "campaign_id", "state", "route_id", "not_before", "id"],
            unique=False,
            sqlite_where=queued,
            postgresql_where=queued,
        )
