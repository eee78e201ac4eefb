"""what is still to be looked back at, both clocks, silences, actions that are switched off"""

import sqlalchemy as sa
from alembic import op

from mithrild.store.tables import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for moment in ("gap_since", "gap_until", "looked_back_at"):
        op.add_column("projects", sa.Column(moment, Moment(), nullable=True))
    op.add_column("projects", sa.Column("ahead_seconds", sa.Float(), nullable=False, server_default=sa.text("0")))
    op.add_column("bids", sa.Column("history_due", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.create_index("bids_due", "bids", ["history_due", "project"])
    op.add_column("transitions", sa.Column("inferred", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.add_column("transitions", sa.Column("ahead_seconds", sa.Float(), nullable=False, server_default=sa.text("0")))
    op.add_column("deliveries", sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.add_column("deliveries", sa.Column("progress", sa.String(), nullable=True))
    op.add_column("deliveries", sa.Column("rehearsal", sa.String(), nullable=True))
    op.create_index("deliveries_ended", "deliveries", ["finished_at"], sqlite_where=sa.text("finished_at IS NOT NULL"))
    op.create_index("deliveries_rehearsal", "deliveries", ["rehearsal"], sqlite_where=sa.text("rehearsal IS NOT NULL"))
    op.add_column("attempts", sa.Column("output_bytes", sa.Integer(), nullable=True))
    op.execute("UPDATE attempts SET output_bytes = length(CAST(output AS BLOB)) WHERE output IS NOT NULL")
    op.create_index(
        "attempts_output", "attempts", ["started_at", "output_bytes"], sqlite_where=sa.text("output IS NOT NULL")
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pattern", sa.String(), nullable=False),
        sa.Column("hook", sa.String(), nullable=True),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "disabled_actions",
        sa.Column("hook", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("hook", "action"),
    )
    # The last hour, the last day: when auctions were, and how late we saw what came of them.
    op.create_index("transitions_observed", "transitions", ["observed_at"])
    # Most rows are of the past: what waits is found by its state first.
    op.drop_index("deliveries_due", "deliveries")
    op.create_index("deliveries_due", "deliveries", ["state", "hook", "action", "next_at"])
    op.create_index("deliveries_hook", "deliveries", ["hook", "sequence"])
    op.drop_index("notices_open", "notices")
    op.create_index("notices_open", "notices", ["ended_at", "project"])
