"""The marketplace's API: questions in, fleet values out.

Every method may raise the MarketplaceErrors of `mithrild.errors`. The paths and filters are those of the
public API description (base `/v2`); its page size ends at 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import SecretStr

from mithrild.fleet.model import (
    Account,
    Auction,
    Bid,
    Cluster,
    Instance,
    InstanceStatus,
    InstanceType,
    Listing,
    Member,
    Project,
    Quota,
    Seen,
    SshKey,
    Volume,
)
from mithrild.marketplace import mapping
from mithrild.marketplace.asking import comma_lists, segment
from mithrild.marketplace.history import History
from mithrild.marketplace.transport import Tickets
from mithrild.marketplace.writes import Writes

__all__ = ["Marketplace", "Tickets"]


class Marketplace(History, Writes):
    """All that is asked of the marketplace. What is so stands here; what was so, and what is to be so, in the bases."""

    async def me(self) -> Account:
        """Whose key this is: a cheap check of it."""
        answer = await self._transport.get("/me", what="account")
        return self._value(answer, "account", mapping.account)

    async def projects(self) -> tuple[Project, ...]:
        """The projects that the key can see."""
        return await self._inventory("/projects", "project", mapping.project)

    async def instance_types(self) -> tuple[InstanceType, ...]:
        """Every instance type; one name may stand several times, with a fid for each region."""
        return await self._inventory("/instance-types", "instance type", mapping.instance_type)

    async def teammates(self) -> tuple[Member, ...]:
        """Who may stand in `created_by`."""
        return await self._inventory("/me/teammates", "teammate", mapping.member)

    async def bids(self, project: str, status: str) -> Listing[Bid]:
        """Every bid of the project in one status; the API takes one at a time."""
        gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
        query = {"project": project, "status": status}
        return await self._pages("/spot/bids", [query], gathering, what=f"bids of {project}")

    async def bid(self, fid: str) -> Seen[Bid]:
        """One bid by its fid, in whatever status. NotFound on 404."""
        return await self._single(f"/spot/bids/{segment(fid, 'bid')}", fid, "bid", mapping.bid)

    async def instances(
        self,
        project: str,
        *,
        statuses: Sequence[str] = (),
        bids: Sequence[str] = (),
        order_types: Sequence[str] = (),
    ) -> Listing[Instance]:
        """The instances of a project. An empty filter filters nothing.

        A long list of bids becomes several requests; their answers are one listing.
        """
        query = {"project": project}
        if statuses:
            query["status_in"] = ",".join(statuses)
        if order_types:
            query["order_type_in"] = ",".join(order_types)
        queries = [query | {"bid_fid_in": part} for part in comma_lists(bids)] or [query]
        read = partial(mapping.instance, project=project)
        gathering = self._gathering("instance", read, lambda instance: instance.fid)
        return await self._pages("/instances", queries, gathering, what=f"instances of {project}")

    async def instance_status(self, fid: str, *, urgent: bool = False) -> Seen[InstanceStatus]:
        """Status and deadline of one instance. `urgent` takes from the reserved slice, and tries once."""
        path = f"/instances/{segment(fid, 'instance')}/status"
        return await self._single(path, fid, "instance", mapping.instance_status, urgent=urgent)

    async def clusters(self, project: str) -> Listing[Cluster]:
        """The Kubernetes clusters of a project, on one page."""
        answer = await self._transport.get("/kubernetes/clusters", {"project": project}, what=f"clusters of {project}")
        read = partial(mapping.cluster, project=project)
        gathering = self._gathering("cluster", read, lambda cluster: cluster.fid)
        gathering.add(answer.body, answer.ticket)
        return gathering.listing()

    async def cluster(self, fid: str) -> Seen[Cluster]:
        """One cluster by its fid. NotFound on 404."""
        path = f"/kubernetes/clusters/{segment(fid, 'cluster')}"
        return await self._single(path, fid, "cluster", mapping.cluster)

    async def join_command(self, fid: str) -> SecretStr | None:
        """The secret with which a machine joins a cluster. NotFound on 404."""
        answer = await self._transport.get(f"/kubernetes/clusters/{segment(fid, 'cluster')}", what=f"cluster {fid}")
        return self._value(answer, f"cluster {fid}", mapping.join_command).command

    async def ssh_keys(self, project: str) -> tuple[SshKey, ...]:
        return await self._of_project("/ssh-keys", project, "SSH key", partial(mapping.ssh_key, project=project))

    async def volumes(self, project: str) -> tuple[Volume, ...]:
        return await self._of_project("/volumes", project, "volume", partial(mapping.volume, project=project))

    async def quotas(self, project: str) -> tuple[Quota, ...]:
        return await self._of_project("/quotas", project, "quota", mapping.quota)

    async def auctions(self) -> Listing[Auction]:
        """The whole market in one answer, one line for each region and instance type."""
        answer = await self._transport.get("/spot/availability", what="auctions")
        gathering = self._gathering("auction", mapping.auction, lambda auction: (auction.region, auction.instance_type))
        gathering.add(answer.body, answer.ticket)
        return gathering.listing()
