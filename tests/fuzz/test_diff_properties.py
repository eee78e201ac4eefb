"""What holds of every diff, whatever the marketplace shows and in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mithrild.fleet import event, lifecycle
from mithrild.fleet.diff import Changes, apply
from mithrild.fleet.model import Bid, Cluster, Fleet, Instance, Record, Seen, Snapshot, Thing, Transition
from tests.unit.fleet_builders import Watch, bid, cluster, compare, instance, moment, snapshot

BIDS, INSTANCES, CLUSTERS = ("bid_1", "bid_2"), ("inst_1", "inst_2", "inst_3"), ("clust_1",)
# No time limit for an example: the machine may have other work.
THOROUGHLY = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
# Mostly the words we know, so that random walks meet the rules; and now and then any word at all.
STRANGE = st.text(max_size=8)
PRICES = st.sampled_from([("$8.00", 800), ("$8", 800), ("$9.50", 950), ("dear", None), ("dearer", None)])


def words(table: lifecycle.Table) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(sorted(table)), st.sampled_from(sorted(table)), STRANGE)


@st.composite
def some_bid(draw: st.DrawFn, fid: str) -> Bid:
    words_of_price, cents = draw(PRICES)
    return bid(
        fid,
        draw(words(lifecycle.BID)),
        instance_quantity=draw(st.integers(1, 2)),
        limit_price=words_of_price,
        limit_price_cents=cents,
        memory_gb=draw(st.sampled_from([None, 64, 128])),
        volumes=draw(st.sampled_from([(), ("vol_1",), ("vol_2", "vol_1"), ("vol_1", "vol_2")])),
        deactivated_at=draw(st.sampled_from([None, moment(-60)])),
    )


@st.composite
def some_instance(draw: st.DrawFn, fid: str) -> Instance:
    return instance(
        fid, draw(words(lifecycle.INSTANCE)), bid=draw(st.sampled_from([None, *BIDS])), created_at=moment(-60)
    )


@st.composite
def some_cluster(draw: st.DrawFn, fid: str) -> Cluster:
    return cluster(fid, draw(words(lifecycle.CLUSTER)))


@st.composite
def polls(draw: st.DrawFn, at: float = 0.0) -> Snapshot:
    things: list[Bid | Instance | Cluster] = []
    things += [draw(some_bid(fid)) for fid in draw(st.sets(st.sampled_from(BIDS)))]
    things += [draw(some_instance(fid)) for fid in draw(st.sets(st.sampled_from(INSTANCES)))]
    things += [draw(some_cluster(fid)) for fid in draw(st.sets(st.sampled_from(CLUSTERS)))]
    absent = draw(st.sets(st.sampled_from([*BIDS, *INSTANCES, *CLUSTERS])))
    return snapshot(*things, at=at, absent=absent)


@st.composite
def stories(draw: st.DrawFn) -> list[Snapshot]:
    """Up to six polls, some of them past the deadlines of the notices that earlier ones opened."""
    gaps = draw(st.lists(st.sampled_from([5.0, 60.0, 400.0]), min_size=1, max_size=6))
    return [draw(polls(at=sum(gaps[: n + 1]))) for n in range(len(gaps))]


def lived(story: list[Snapshot]) -> tuple[Watch, list[Changes]]:
    watch, diffs = Watch(), []
    for seen in story:
        diffs.append(compare(watch.fleet, seen, notices=watch.notices.values()))
        watch.poll(seen)
    return watch, diffs


def chains(steps: list[Transition]) -> dict[tuple[str, str], list[Transition]]:
    found: dict[tuple[str, str], list[Transition]] = {}
    for step in steps:
        found.setdefault((step.subject, step.aspect), []).append(step)
    return found


@THOROUGHLY
@given(polls())
def test_the_same_again_is_nothing(seen: Snapshot) -> None:
    seen = replace(seen, absent=frozenset())
    known = apply(Fleet(), compare(Fleet(), seen))
    assert not compare(known, seen)


@THOROUGHLY
@given(stories())
def test_after_any_story_the_same_again_settles_at_once(story: list[Snapshot]) -> None:
    """The second time it may be found that a bid did not end, but is degraded; the third time, nothing."""
    watch, _ = lived(story)
    seen = replace(story[-1], absent=frozenset())
    assert set(watch.poll(seen)) <= {"bid.degraded"}
    assert not compare(watch.fleet, seen, notices=watch.notices.values())


@THOROUGHLY
@given(stories(), polls(at=3000.0))
def test_a_diff_applied_gives_what_was_seen(story: list[Snapshot], seen: Snapshot) -> None:
    known = lived(story)[0].fleet
    after = apply(known, compare(known, seen))
    _shows(known.bids, seen.bids, after.bids)
    _shows(known.instances, seen.instances, after.instances)
    _shows(known.clusters, seen.clusters, after.clusters)


def _shows(
    known: Mapping[str, Record[Thing]], seen: Mapping[str, Seen[Thing]], after: Mapping[str, Record[Thing]]
) -> None:
    assert after.keys() == known.keys() | seen.keys()
    for fid, record in after.items():
        ended = fid in known and known[fid].value.status == "Terminated"
        if fid in seen and not (ended and seen[fid].value.status != "Terminated"):
            assert record.value == seen[fid].value
            assert (record.gone, record.misses) == (False, 0)
        else:
            assert record.value == known[fid].value


@THOROUGHLY
@given(stories())
def test_the_order_of_a_listing_means_nothing(story: list[Snapshot]) -> None:
    *earlier, last = story
    known = lived(earlier)[0].fleet
    other = replace(
        last, bids=_reversed(last.bids), instances=_reversed(last.instances), clusters=_reversed(last.clusters)
    )
    assert compare(known, other) == compare(known, last)


def _reversed(items: Mapping[str, Seen[Thing]]) -> dict[str, Seen[Thing]]:
    return dict(reversed(list(items.items())))


@THOROUGHLY
@given(stories())
def test_the_steps_of_each_status_make_a_chain(story: list[Snapshot]) -> None:
    for (_, aspect), steps in chains(lived(story)[0].steps).items():
        if aspect != "status":
            continue
        assert [step.before for step in steps] == [None, *(step.after for step in steps[:-1])]
        assert all(step.before != step.after for step in steps)


@THOROUGHLY
@given(stories())
def test_the_other_aspects_change_what_they_name(story: list[Snapshot]) -> None:
    for (_, aspect), steps in chains(lived(story)[0].steps).items():
        if aspect in ("memory", "volumes"):
            assert [step.before for step in steps[1:]] == [step.after for step in steps[:-1]]
        assert all(step.before != step.after for step in steps)


@THOROUGHLY
@given(stories())
def test_no_diff_says_a_thing_twice(story: list[Snapshot]) -> None:
    for changes in lived(story)[1]:
        said = Counter((step.subject, step.aspect, step.before, step.after) for step in changes.transitions)
        assert not [step for step, times in said.items() if times > 1]


@THOROUGHLY
@given(stories())
def test_a_bid_is_degraded_only_after_it_ran(story: list[Snapshot]) -> None:
    for (_, aspect), steps in chains(lived(story)[0].steps).items():
        if aspect == "health":
            held = [None, *(step.after for step in steps)]
            assert all(
                before == "running" for before, step in zip(held, steps, strict=False) if step.after == "degraded"
            )


@THOROUGHLY
@given(stories())
def test_a_terminated_bid_stays_terminated(story: list[Snapshot]) -> None:
    watch, _ = lived(story)
    for (subject, aspect), steps in chains(watch.steps).items():
        if aspect == "status" and not subject.startswith("inst"):
            assert "Terminated" not in [step.before for step in steps]


@THOROUGHLY
@given(stories())
def test_a_notice_stands_exactly_while_its_subject_is_under_notice(story: list[Snapshot]) -> None:
    watch, _ = lived(story)
    standing = {
        fid
        for records in (watch.fleet.bids, watch.fleet.instances)
        for fid, record in records.items()
        if record.value.status in lifecycle.NOTICED and not record.gone
    }
    assert watch.notices.keys() == standing


@THOROUGHLY
@given(stories())
def test_whatever_the_words_every_step_becomes_an_event(story: list[Snapshot]) -> None:
    watch, _ = lived(story)
    around = event.Surroundings(watch.fleet, event.group_by_bid(watch.fleet), watch.notices)
    for sequence, step in enumerate(watch.steps, 1):
        made = event.render(step, sequence, "8f3a", "host", around)
        assert event.encode(made).isascii()
        assert event.facts(made, step, moment(9999)).type == step.type
        kind, _, rest = step.type.partition(".")
        assert kind == step.kind
        assert rest or step.after.removeprefix("STATUS_") == ""
