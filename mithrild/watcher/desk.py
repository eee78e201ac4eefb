"""What people change: bids placed, changed and cancelled at the marketplace.

What the marketplace answers is committed like any other observation before anybody is told, and everything is
looked at again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from loguru import logger
from pydantic import SecretStr

from mithrild.clock import Clock
from mithrild.errors import AnswerLost, MarketplaceError, NotFound
from mithrild.fleet import choices
from mithrild.fleet import order as orders
from mithrild.fleet.model import Auction, Bid, Cluster, InstanceType, Quota, Seen, Snapshot, SshKey
from mithrild.fleet.order import NameTaken, Order, Plan, Wish
from mithrild.fleet.price import dollars
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.watcher.recorder import Recorder

# Seconds between two looks for a bid whose answer was lost: a marketplace that stumbled is given some time.
LOOKS = (0.5, 1.0, 2.0, 4.0)


class Desk:
    def __init__(
        self,
        marketplace: Marketplace,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        look_at_once: Callable[[], None],
        impatience: Callable[[], float] = lambda: 5.0,
    ) -> None:
        """`impatience`: seconds between two looks while somebody waits for news."""
        self._marketplace, self._database, self._recorder = marketplace, database, recorder
        self._clock, self._look_at_once = clock, look_at_once
        self._impatience, self._looked_at = impatience, float("-inf")

    def somebody_waits(self) -> None:
        """Somebody looks on: an idle fleet is then looked at as often as a busy one."""
        now = self._clock.monotonic()
        if now - self._looked_at >= self._impatience():
            self._looked_at = now
            self._look_at_once()

    async def plan(self, wish: Wish) -> Plan:
        """Everything that can be checked before anything is sent. Raises Unfit, MarketplaceError, StoreError."""
        limit_cents = orders.limit(wish.limit_price)
        types, auctions, clusters = await asyncio.to_thread(self._held, wish.project)
        if not types or not auctions:  # the daemon has only just started
            types = {one.fid: one for one in await self._marketplace.instance_types()}
            listed = await self._marketplace.auctions()
            auctions = {(seen.value.region, seen.value.instance_type): seen.value for seen in listed.items}
        kind = choices.pick_type(wish.instance_type, wish.region, types, auctions)
        cluster = None
        if wish.kubernetes_cluster is not None:
            cluster = choices.pick_cluster(wish.kubernetes_cluster, wish.region, clusters)
        keys, volumes, quotas, taken = await asyncio.gather(
            self._marketplace.ssh_keys(wish.project),
            self._marketplace.volumes(wish.project) if wish.volumes else _none(),
            self._quotas(wish.project),
            self._marketplace.bids_named(wish.project, wish.name),
        )
        if taken:
            how = taken[0].value.status.lower()
            raise NameTaken(f"the name {wish.name[:100]!r} is taken for good, by a bid that is {how}: choose another")
        chosen = choices.pick_keys(keys, wish.ssh_keys, wish.public_keys)
        order = Order(
            project=wish.project,
            name=wish.name,
            instance_type=kind.fid,
            region=wish.region,
            limit_cents=limit_cents,
            quantity=wish.quantity,
            ssh_keys=tuple(key.fid for key in chosen),
            volumes=choices.pick_volumes(wish.volumes, wish.region, volumes),
            kubernetes_cluster=cluster.fid if cluster else None,
            startup_script=wish.startup_script,
        )
        orders.check_quota(order, quotas)
        auction = auctions.get((wish.region, kind.fid))
        warnings = [
            *choices.key_warnings(chosen, wish.ssh_keys, wish.public_keys),
            *orders.warnings(order, auction, quotas),
        ]
        return Plan(order, auction, warnings)

    async def place(self, order: Order) -> tuple[Bid, bool]:
        """The bid, and whether it had to be looked for. The request is sent once; if its answer is lost, the bid is
        looked up by its name, which nobody had before. Raises AnswerLost where it stays unknown."""
        try:
            seen, adopted = await self._marketplace.place_bid(order), False
        except AnswerLost as lost:
            logger.warning("{}", lost)
            found = await self._look_for(order)
            if found is None:
                raise AnswerLost(
                    f"whether the bid {order.name!r} was placed is not known ({lost}): "
                    f"look with `ml instance list --all -p {order.project}` before you try again"
                ) from None
            seen, adopted = found, True
        await self._keep(seen)
        return seen.value, adopted

    async def change(self, bid: Bid, *, limit_cents: int | None, paused: bool | None) -> Bid:
        """What is None stays. Doing it twice does no harm, so a lost answer is asked for again."""
        price = None if limit_cents is None else dollars(limit_cents)

        async def ask() -> Seen[Bid]:
            return await self._marketplace.change_bid(bid.fid, limit_price=price, paused=paused)

        seen = await self._until_told(ask, bid, "changed")
        await self._keep(seen)
        return seen.value

    async def cancel(self, bid: Bid) -> Bid:
        """The bid and its instances end."""

        async def ask() -> Seen[Bid]:
            with suppress(NotFound):  # what its own question answers is what counts
                await self._marketplace.cancel_bid(bid.fid)
            return await self._marketplace.bid(bid.fid)

        seen = await self._until_told(ask, bid, "cancelled")
        await self._keep(seen)
        return seen.value

    async def join_command(self, cluster: str) -> SecretStr | None:
        return await self._marketplace.join_command(cluster)

    async def ssh_keys(self, project: str) -> tuple[SshKey, ...]:
        return await self._marketplace.ssh_keys(project)

    async def _until_told(self, ask: Callable[[], Awaitable[Seen[Bid]]], bid: Bid, done: str) -> Seen[Bid]:
        for gap in LOOKS:
            try:
                return await ask()
            except AnswerLost as lost:
                logger.warning("{}; asking once more", lost)
            await self._clock.sleep(gap)
        try:
            return await ask()
        except AnswerLost as lost:
            raise AnswerLost(
                f"whether the bid {bid.name!r} was {done} is not known ({lost}): look with `ml instance info {bid.fid}`"
            ) from None

    async def _look_for(self, order: Order) -> Seen[Bid] | None:
        for gap in LOOKS:
            await self._clock.sleep(gap)
            try:
                found = await self._marketplace.bids_named(order.project, order.name)
            except MarketplaceError as error:
                logger.debug("the bid {} cannot be looked for: {}", order.name, error)
                continue
            mine = [seen for seen in found if _is(seen.value, order)]
            if mine:
                return mine[0]
        return None

    async def _keep(self, seen: Seen[Bid]) -> None:
        now = self._clock.now()
        try:
            await self._recorder.record(
                Snapshot(
                    seen.value.project,
                    asked_at=now,
                    observed_at=now,
                    bids={seen.value.fid: seen},
                    ahead=self._marketplace.skew or timedelta(),
                )
            )
        finally:
            self._look_at_once()

    async def _quotas(self, project: str) -> tuple[Quota, ...]:
        """None where the marketplace does not tell: the marketplace itself will refuse what is too much."""
        try:
            return await self._marketplace.quotas(project)
        except MarketplaceError as error:
            logger.debug("quotas are not known: {}", error)
            return ()

    def _held(self, project: str) -> tuple[dict[str, InstanceType], dict[tuple[str, str], Auction], list[Cluster]]:
        with self._database.read() as connection:
            auctions = {(one.region, one.instance_type): one for one in read.market(connection).values()}
            fleet = read.fleet(connection, project, ended=True)  # to tell a terminated cluster from one that never was
            clusters = [record.value for record in fleet.clusters.values() if not record.gone]
            return dict(read.instance_types(connection)), auctions, clusters


async def _none() -> tuple[()]:
    return ()


def _is(bid: Bid, order: Order) -> bool:
    """Whether this is the bid that was asked for, and not somebody else's of the same name."""
    return (bid.instance_type, bid.region, bid.instance_quantity, bid.limit_price_cents) == (
        order.instance_type,
        order.region,
        order.quantity,
        order.limit_cents,
    )
