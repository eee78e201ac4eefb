"""Which projects are watched: those that the configuration names, or the only one there is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mithrild.errors import MarketplaceError
from mithrild.fleet.model import Project
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database


async def find_projects(wanted: Sequence[str], database: Database, marketplace: Marketplace) -> list[Project]:
    """From the record if it holds all that are wanted: then nothing else must answer before the first poll."""
    held = await asyncio.to_thread(_held, database)
    if wanted and all(any(name in (one.fid, one.name) for one in held) for name in wanted):
        return choose(wanted, held)
    return choose(wanted, await marketplace.projects())


def _held(database: Database) -> list[Project]:
    with database.read() as connection:
        return [Project(row["fid"], row["name"]) for row in read.projects(connection, watched=False)]


def choose(wanted: Sequence[str], there: Sequence[Project]) -> list[Project]:
    """The wanted projects, by name or fid. Raises MarketplaceError with the choices there are."""
    choices = ", ".join(f"{project.name} ({project.fid})" for project in there)
    if not wanted:
        if len(there) == 1:
            return list(there)
        raise MarketplaceError(
            f"no project is named; set MITHRIL_PROJECT, or projects in config.toml, to one of: {choices}"
        )
    chosen: dict[str, Project] = {}
    for name in wanted:
        found = [project for project in there if name in (project.fid, project.name)]
        if not found:
            raise MarketplaceError(f"this key sees no project {name!r}; it sees: {choices or 'none'}")
        chosen |= {project.fid: project for project in found}
    return list(chosen.values())
