"""the first layout"""

import sqlalchemy as sa
from alembic import op

from mithrild.store.tables import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "bids",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("instance_quantity", sa.Integer(), nullable=False),
        sa.Column("instance_type", sa.String(), nullable=False),
        sa.Column("limit_price", sa.String(), nullable=False),
        sa.Column("limit_price_cents", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("deactivated_at", Moment(), nullable=True),
        sa.Column("instances", sa.String(), nullable=False),
        sa.Column("volumes", sa.String(), nullable=False),
        sa.Column("ssh_keys", sa.String(), nullable=False),
        sa.Column("memory_gb", sa.Integer(), nullable=True),
        sa.Column("kubernetes_cluster", sa.String(), nullable=True),
        sa.Column("health", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_index("bids_live", "bids", ["project", "live"], unique=False)
    op.create_index("bids_name", "bids", ["name"], unique=False)

    op.create_table(
        "clusters",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("k8s_version", sa.String(), nullable=False),
        sa.Column("kube_host", sa.String(), nullable=True),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.Column("instances", sa.String(), nullable=False),
        sa.Column("ssh_keys", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_table(
        "instance_types",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("num_gpus", sa.Integer(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=False),
        sa.Column("gpu_memory_gb", sa.Integer(), nullable=False),
        sa.Column("ram_gb", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_table(
        "instances",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("bid", sa.String(), nullable=True),
        sa.Column("reservation", sa.String(), nullable=True),
        sa.Column("instance_type", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("ssh_destination", sa.String(), nullable=True),
        sa.Column("private_ip", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_index("instances_bid", "instances", ["bid"], unique=False)
    op.create_index("instances_live", "instances", ["project", "live"], unique=False)

    op.create_table(
        "market",
        sa.Column("at", Moment(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("spot_price", sa.String(), nullable=True),
        sa.Column("spot_price_cents", sa.Integer(), nullable=True),
        sa.Column("win_price", sa.String(), nullable=True),
        sa.Column("win_price_cents", sa.Integer(), nullable=True),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("instance_type", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("region", "instance_type"),
    )
    op.create_table(
        "members",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "prices",
        sa.Column("at", Moment(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("spot_price", sa.String(), nullable=True),
        sa.Column("spot_price_cents", sa.Integer(), nullable=True),
        sa.Column("win_price", sa.String(), nullable=True),
        sa.Column("win_price_cents", sa.Integer(), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("instance_type", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("prices_series", "prices", ["region", "instance_type", "at"], unique=False)

    op.create_table(
        "projects",
        sa.Column("fid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("watched", sa.Boolean(), nullable=False),
        sa.Column("baseline_at", Moment(), nullable=True),
        sa.Column("clusters_baseline_at", Moment(), nullable=True),
        sa.Column("polled_at", Moment(), nullable=True),
        sa.Column("bids_polled_at", Moment(), nullable=True),
        sa.Column("instances_polled_at", Moment(), nullable=True),
        sa.Column("clusters_polled_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("fid"),
    )
    op.create_table(
        "transitions",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("bid", sa.String(), nullable=True),
        sa.Column("aspect", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("provenance", sa.String(), nullable=False),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.Column("window_start", Moment(), nullable=True),
        sa.Column("observed_at", Moment(), nullable=False),
        sa.Column("occurred_at", Moment(), nullable=True),
        sa.Column("position", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("transitions_bid", "transitions", ["bid", "position", "sequence"], unique=False)
    op.create_index("transitions_subject", "transitions", ["subject", "position", "sequence"], unique=False)

    op.create_table(
        "events",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("time", Moment(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["transitions.sequence"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("events_time", "events", ["time"], unique=False)

    op.create_table(
        "notices",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("opened_at", Moment(), nullable=False),
        sa.Column("deadline", Moment(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_how", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["transitions.sequence"],
        ),
        sa.PrimaryKeyConstraint("subject", "ordinal"),
    )
    op.create_index("notices_open", "notices", ["project", "ended_at"], unique=False)
    op.create_index("notices_sequence", "notices", ["sequence"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("hook", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("notice", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("next_at", Moment(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.Column("lease", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["notice"],
            ["transitions.sequence"],
        ),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["events.sequence"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deliveries_due", "deliveries", ["hook", "state", "next_at"], unique=False)
    op.create_index("deliveries_event", "deliveries", ["sequence", "hook", "action"], unique=True)
    op.create_index("deliveries_notice", "deliveries", ["notice"], unique=False)
    op.create_index("deliveries_order", "deliveries", ["hook", "subject", "state", "sequence"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("output", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery"],
            ["deliveries.id"],
        ),
        sa.PrimaryKeyConstraint("delivery", "number"),
    )
