"""What is kept about the market and the account: price samples, types, members, projects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlmodel import SQLModel

from mithrild.fleet.model import Auction, InstanceType, Member, Project
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.tables import InstanceTypeRow, MarketRow, MemberRow, PriceRow, ProjectRow, table_of

_prices, _market, _projects = table_of(PriceRow), table_of(MarketRow), table_of(ProjectRow)


def keep_prices(database: Database, auctions: Iterable[Auction], at: datetime) -> int:
    """Adds a sample for each auction that differs from its last one. Returns how many did."""
    with database.write() as connection:
        held = read.market(connection)
        news = [one for one in auctions if held.get((one.region, one.instance_type)) != one]
        if news:
            rows = [asdict(one) | {"at": at} for one in news]
            connection.execute(insert(_prices), rows)
            latest = upsert(_market)
            rest = {name: latest.excluded[name] for name in rows[0] if name not in ("region", "instance_type")}
            connection.execute(
                latest.on_conflict_do_update(index_elements=["region", "instance_type"], set_=rest), rows
            )
    return len(news)


def keep_types(database: Database, types: Sequence[InstanceType]) -> None:
    with database.write() as connection:
        _put(connection, InstanceTypeRow, [asdict(one) for one in types])


def keep_members(database: Database, members: Sequence[Member]) -> None:
    with database.write() as connection:
        _put(connection, MemberRow, [asdict(one) for one in members])


def keep_projects(database: Database, projects: Sequence[Project]) -> None:
    """The projects to watch, and no others. A poll cursor that is already there stays."""

    def work(connection: Connection) -> None:
        connection.execute(update(_projects).values(watched=False))
        _put(connection, ProjectRow, [asdict(one) | {"watched": True} for one in projects])

    database.keep(work)


def _put(connection: Connection, row: type[SQLModel], values: list[dict[str, object]]) -> None:
    if not values:
        return
    statement = upsert(table_of(row))
    rest = {name: statement.excluded[name] for name in values[0] if name != "fid"}
    connection.execute(statement.on_conflict_do_update(index_elements=["fid"], set_=rest), values)
