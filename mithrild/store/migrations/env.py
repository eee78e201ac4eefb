"""What alembic runs. The connection, and its transaction, are the caller's."""

from alembic import context
from sqlmodel import SQLModel

import mithrild.store.tables  # noqa: F401  # fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
