"""May a snapshot be believed, and what does it lack?

Absence is not an end. A thing that is missing from a complete listing is asked for by its own fid, and
what comes back is an observation like any other. Only an answer that there is no such thing counts as a
miss, and only while the listings look sane: a marketplace that has lost half the fleet at once has more
likely lost its database, or shows us another account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Fleet, Record, Seen, Snapshot, Thing

# Two 404s in two polls: one may come from a replica that has not caught up with a listing.
GONE_AFTER = 2
# As many missing at once are believed in any fleet. A person with three bids may well lose all of them.
FEW = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """Live things that whole listings should have shown and did not, each a sorted list of fids."""

    bids: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()


def is_live(status: str, gone: bool) -> bool:
    return not gone and status not in lifecycle.FINAL


def missing(known: Fleet, seen: Snapshot) -> Missing:
    """What to ask for by name. Instances that a bid names and that nobody has ever seen count as missing too."""
    bids = _absent(known.bids, seen.bids) if "bid" in seen.whole else []
    clusters = _absent(known.clusters, seen.clusters) if "cluster" in seen.whole else []
    instances: set[str] = set()
    if "instance" in seen.whole:
        instances.update(_absent(known.instances, seen.instances))
        named = {fid for bid in seen.bids.values() for fid in bid.value.instances}
        instances.update(named - known.instances.keys() - known.past - seen.instances.keys())
    return Missing(tuple(sorted(bids)), tuple(sorted(instances)), tuple(sorted(clusters)))


def _absent(known: Mapping[str, Record[Thing]], seen: Mapping[str, Seen[Thing]]) -> list[str]:
    return [fid for fid, record in known.items() if fid not in seen and is_live(record.value.status, record.gone)]


def believable(live: int, absent: int) -> bool:
    """Whether so many 404s at once, among so many live things, may be taken for what they say."""
    return absent <= FEW or absent * 2 <= live
