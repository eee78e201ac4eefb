"""The words of a person, and what there is: which of it is meant. Pure.

Each function gives the choice, or raises Unfit, whose line says what is wrong and what there is to choose from; NoSuch
where nothing is called so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mithrild.fleet.model import Cluster, InstanceType, SshKey, Volume
from mithrild.fleet.order import NoSuch, Unfit

_COUNTED = re.compile(r"(?:([0-9]{1,3})\s*x\s*)?(.+)", re.IGNORECASE)


def pick_type(
    words: str, region: str, types: Mapping[str, InstanceType], market: Iterable[tuple[str, str]]
) -> InstanceType:
    """The type that a fid, a name, or a prefix such as `a100` or `8xa100` means in a region.

    `market` has the (region, type fid) of every auction there is.
    """
    regions: dict[str, set[str]] = {}
    for place, fid in market:
        regions.setdefault(fid, set()).add(place)
    if region not in {place for places in regions.values() for place in places}:
        there = sorted({place for places in regions.values() for place in places})
        raise NoSuch(f"there is no region {region[:60]!r}; there are: {', '.join(there)}", there)
    found = _meant(words, [one for one in types.values() if one.fid in regions])
    here = [one for one in found if region in regions[one.fid]]
    if len(here) == 1:
        return here[0]
    if here:
        names = [f"{one.name} ({one.fid})" for one in here]
        raise Unfit(f"{words!r} could be any of {', '.join(names)}: name one", [one.fid for one in here])
    if found:
        places = sorted({place for one in found for place in regions[one.fid]})
        raise Unfit(f"{words!r} is not offered in {region}; it is in: {', '.join(places)}", places)
    offered = sorted({types[fid].name for fid, places in regions.items() if region in places and fid in types})
    raise NoSuch(f"there is no type {words[:60]!r}; {region} has: {', '.join(offered) or 'none'}", offered)


def _meant(words: str, types: Sequence[InstanceType]) -> list[InstanceType]:
    """By fid, else by the whole name, else by its beginning; `8x` before it means so many GPUs."""
    wanted = words.strip().lower()
    for exact in (
        [one for one in types if one.fid == words.strip()],
        [one for one in types if one.name.lower() == wanted],
    ):
        if exact:
            return exact
    match = _COUNTED.fullmatch(wanted)
    if match is None:
        return []
    count, prefix = match[1], match[2]
    return [
        one for one in types if one.name.lower().startswith(prefix) and (count is None or one.num_gpus == int(count))
    ]


def pick_keys(keys: Sequence[SshKey], named: Sequence[str], local: Iterable[str]) -> tuple[SshKey, ...]:
    """Every key that the project requires, those that are named, and else those that match a local one.

    `local` are lines of public keys. Raises Unfit with the choices where no key at all would be chosen.
    """
    chosen = [key for key in keys if key.required]
    for word in named:
        found = [key for key in keys if word in (key.fid, key.name)]
        if not found:
            names = [key.name for key in keys]
            raise NoSuch(f"the project has no SSH key {word[:60]!r}; it has: {', '.join(names) or 'none'}", names)
        chosen += found
    if not named:
        bodies = {body for body in map(key_body, local) if body}
        chosen += [key for key in keys if key_body(key.public_key) in bodies]
    if not chosen:
        names = [key.name for key in keys]
        if not names:
            raise Unfit("the project has no SSH key; without one nobody could log in: add one at the marketplace")
        message = f"no SSH key of the project is one of yours; name one with --ssh-key: {', '.join(names)}"
        raise Unfit(message, names, "ssh_keys")
    return tuple({key.fid: key for key in chosen}.values())


def key_warnings(chosen: Sequence[SshKey], named: Sequence[str], local: Iterable[str]) -> list[str]:
    """What to say where only keys that the project requires were chosen: others can log in, and this person cannot."""
    bodies = {body for body in map(key_body, local) if body}
    if named or any(key_body(key.public_key) in bodies for key in chosen):
        return []
    names = ", ".join(key.name for key in chosen)
    return [f"none of your public keys is the project's: only who has {names} can log in; --ssh-key names another"]


def key_body(line: str) -> str | None:
    """Kind and body of a public key, without its comment; None for what is no key."""
    words = line.split()
    return " ".join(words[:2]) if len(words) >= 2 else None


def pick_cluster(word: str, region: str, clusters: Iterable[Cluster]) -> Cluster:
    """A cluster by name or fid: available, or on its way to be, and in the region of the bid."""
    known = list(clusters)
    found = [one for one in known if one.fid == word] or [one for one in known if one.name == word]
    alive = [one for one in found if one.status != "Terminated"]
    if not alive:
        names = sorted(one.name for one in known if one.status != "Terminated")
        there = f"there are: {', '.join(names) or 'none'}"
        if not found:
            raise NoSuch(f"cluster {word[:60]!r} does not exist; {there}", names)
        raise Unfit(f"cluster {word[:60]!r} is terminated; {there}", names)
    if len(alive) > 1:
        fids = [one.fid for one in alive]
        raise Unfit(f"{len(alive)} clusters are called {word[:60]!r}: name one by its fid ({', '.join(fids)})", fids)
    if alive[0].status != "Available":
        raise Unfit(f"cluster {alive[0].name!r} is {alive[0].status.lower()}, not available yet")
    if alive[0].region != region:
        raise Unfit(f"cluster {alive[0].name!r} is in {alive[0].region}, not in {region}")
    return alive[0]


def pick_volumes(words: Sequence[str], region: str, volumes: Sequence[Volume]) -> tuple[str, ...]:
    """The fids of volumes by name or fid, all of them in the region of the bid."""
    chosen = []
    for word in words:
        found = next((one for one in volumes if word in (one.fid, one.name)), None)
        if found is None:
            names = [one.name for one in volumes]
            raise NoSuch(f"there is no volume {word[:60]!r}; there are: {', '.join(names) or 'none'}", names)
        if found.region and found.region != region:
            raise Unfit(f"volume {found.name!r} is in {found.region}, not in {region}")
        chosen.append(found.fid)
    return tuple(dict.fromkeys(chosen))
