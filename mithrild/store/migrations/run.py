"""Brings a database up to date. Imported only when one is behind, since alembic is slow to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from mithrild.errors import StoreError


def upgrade(path: Path) -> None:
    """All missing migrations in one transaction: a crash half-way leaves the file as it was."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (DatabaseError, CommandError) as error:
        # SQLAlchemy's own text has many lines: it quotes the statement.
        why = error.orig if isinstance(error, DatabaseError) else error
        raise StoreError(f"{path} could not be brought up to date ({why}); it was left as it was") from None
    finally:
        engine.dispose()
