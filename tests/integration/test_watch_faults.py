"""Every kind of fault on every call of the daemon, from before its start: nothing invented, nothing lost.

Each cell is two lives on one record: a first start, and a start after much has happened that nobody saw.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from mithrild.sandbox.faults import Kind
from tests.acceptance.fault_table import KINDS, REFUSALS, WAYS, is_played
from tests.acceptance.truth import word
from tests.integration.fault_rig import Life, News
from tests.integration.sandbox_server import Visitor, visit

NAMES = ("steady", "noticed", "moving", "ending", "spare")
KINDS_HERE = KINDS | {"html-200": {"kind": "html", "status": 200}}
# All of them take minutes. A person waits for a third, spread over kinds and ways; whoever lands it runs them all.
CELLS = [
    (kind, name)
    for row, kind in enumerate(KINDS_HERE)
    for column, name in enumerate(WAYS)
    if name == "everything" or is_played(row, column)
]
# An empty record lacks nothing, and has nothing to look back at: the first life asks for nothing by name.
BY_NAME = ("bid", "cluster", "hidden", "bid history", "statuses")
FIRST = ("me", "bids", "everything")  # what has to answer before anything of the fleet is known
LIES = ("empty-page", "drop-item", "bad-item")
# What a first sight leaves out without a trace is not missed, and when it shows up it is news, once. Bids and
# instances name each other; nothing names a cluster.
OVERLOOKED = {
    ("drop-item", "clusters"): ["train"],
    ("empty-page", "clusters"): ["train", "eval", "fresh", "queued", "old"],
}


def test_every_kind_of_fault_is_tried() -> None:
    assert {body["kind"] for body in KINDS.values()} == set(get_args(Kind))


@pytest.mark.parametrize(("kind", "name"), CELLS)
def test_a_start_in_trouble_ends_well(tmp_path: Path, kind: str, name: str) -> None:
    way = WAYS[name]
    fault = way.fault(KINDS_HERE[kind])
    refused = ["credentials.rejected"] if way.refuses_the_key(kind) else []
    # Nobody can tell that a list of names lies: what it left out is there with the next one.
    env = {"MITHRILD_POLL__INVENTORY": "4m"} if kind in LIES else {}

    async def story(visitor: Visitor) -> None:
        fleet = (await visitor.post("/sandbox/fleet", {"bids": len(NAMES), "instances_per_bid": 2}, 201))["bids"]
        bids = dict(zip(NAMES, fleet, strict=True))
        await visitor.place("waiting")
        await visitor.force(bids["noticed"], "preempt")
        registry = visitor.sandbox.market.registry
        hidden = "clust_eval" if name == "cluster" else registry.bid_by_fid[bids["moving"]].instances[0]

        async with Life(visitor, tmp_path, **env) as life:
            if name not in BY_NAME:
                await life.suffer(name, fault, hidden)
            await life.recover()
            assert life.news() == overlooked(visitor, kind, name), "what is so at the first sight is no news"
            assert life.conditions() == ([] if name in BY_NAME else refused)
            life.mark()
            await visitor.force(bids["steady"], "preempt")
            await life.recover()
            life.check_news()
            assert life.news().total() == 3

        marked = visitor.sandbox.market.timeline.newest
        await visitor.turn(1800)  # the notices run out, and a cluster becomes available
        await visitor.force(bids["noticed"], "allocate", {"instances": "replace"})
        await visitor.force(bids["ending"], "terminate")
        await visitor.force(bids["moving"], "relocate")
        await visitor.force(bids["spare"], "preempt")
        await visitor.place("new")
        async with Life(visitor, tmp_path, marked, **env) as life:
            await life.suffer(name, fault, hidden)
            if name not in FIRST:
                assert life.news()[bids["spare"], "preempting"] == 1, "trouble with one call does not hide another"
            await life.recover()
            life.check_news()
            assert life.conditions() == refused

    visit(story)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_of_everything_passes_within_five_minutes(tmp_path: Path, kind: str) -> None:
    async def story(visitor: Visitor) -> None:
        ended, noticed = (await visitor.post("/sandbox/fleet", {"bids": 2, "instances_per_bid": 2}, 201))["bids"]
        async with Life(visitor, tmp_path) as life:
            await life.recover()
            life.mark()
            await visitor.force(ended, "terminate")
            await visitor.force(noticed, "preempt")
            await life.suffer("everything", WAYS["everything"].fault(KINDS[kind]), "")
            assert life.news() == Counter()
            await life.recover()
            life.check_news()
            assert life.conditions() == ["credentials.rejected"]

    visit(story)


def test_a_listing_that_breaks_off_is_no_first_sight(tmp_path: Path) -> None:
    """Nor does it end what stands on the pages that did not come."""

    async def story(visitor: Visitor) -> None:
        fleet = (await visitor.post("/sandbox/fleet", {"bids": 120, "instances_per_bid": 1}, 201))["bids"]
        loop = {"path": "/v2/*", **KINDS["cursor-loop"]}
        async with Life(visitor, tmp_path) as life:
            await life.suffer("everything", loop, "")
            assert life.record().keys().isdisjoint(fleet)
            await life.recover()
            assert life.news() == Counter()
            life.mark()
            await visitor.force(fleet[-1], "preempt")
            await life.suffer("everything", loop, "")
            await life.recover()
            life.check_news()

    visit(story)


def overlooked(visitor: Visitor, kind: str, name: str) -> News:
    names = OVERLOOKED.get((kind, name), ())
    registry = visitor.sandbox.market.registry
    return Counter((one.fid, word(one.status)) for one in registry.clusters.values() if one.name in names)
