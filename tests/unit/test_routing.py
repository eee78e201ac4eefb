"""Which hooks an event concerns: every rule of `on`, `match`, age and deadline, and that nothing ever raises."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.routing import Facts, HookRule, Match, Verdict, route, type_matches
from mithrild.wire import EVENT_TYPES

FACTS = Facts(
    type="instance.running",
    bid_name="train-7b",
    region="us-central5-a",
    instance_type="b200-192gb.sxm.8x",
    instance_type_fid="it_1",
    project="proj_1",
    project_name="research",
    age=timedelta(seconds=3),
    deadline_passed=False,
    has_deadline=False,
)
RULE = HookRule("tell", ("instance.*",), Match(), timedelta(minutes=10), ("run",))


def judged(facts: Facts, rule: HookRule) -> Verdict:
    [verdict] = route(facts, [rule])
    return verdict


def test_each_rule_gets_its_own_verdict_in_order() -> None:
    rules = [replace(RULE, name="a"), replace(RULE, name="b", on=("bid.*",)), replace(RULE, name="c")]
    assert [(v.hook, v.outcome) for v in route(FACTS, rules)] == [("a", "run"), ("b", "no"), ("c", "run")]


@pytest.mark.parametrize(
    ("event_type", "pattern", "matches"),
    [
        ("instance.running", "instance.running", True),
        ("instance.running", "instance.*", True),
        ("instance.running", "*", True),
        ("instance.running", "*.running", True),
        ("instance.running", "Instance.*", False),
        ("instance.running", "instance", False),
        ("instance.running", "bid.running", False),
        ("instance.defragmenting", "instance.*", True),
        ("hook.dead", "*", False),
        ("hook.dead", "h*", False),
        ("hook.dead", "[h]ook.dead", False),
        ("hook.dead", "hook.*", True),
        ("hook.dead", "hook.dead", True),
        ("hook.dead", "hook.disabled", False),
    ],
)
def test_patterns_of_event_types(event_type: str, pattern: str, matches: bool) -> None:
    assert type_matches(event_type, pattern) is matches
    verdict = judged(replace(FACTS, type=event_type), replace(RULE, on=(pattern,)))
    assert verdict.outcome == ("run" if matches else "no")


def test_any_of_several_patterns_is_enough() -> None:
    assert judged(FACTS, replace(RULE, on=("bid.*", "*.running"))).outcome == "run"


@pytest.mark.parametrize(
    "match",
    [
        Match(bid="train-*"),
        Match(region="us-*"),
        Match(type="b200-*"),
        Match(type="it_1"),
        Match(project="proj_1"),
        Match(project="rese*"),
        Match(bid="train-7b", region="us-central5-[ab]", type="*8x", project="?esearch"),
    ],
)
def test_match_takes_names_and_fids(match: Match) -> None:
    assert judged(FACTS, replace(RULE, match=match)) == Verdict("tell", "run", None)


@pytest.mark.parametrize(
    ("facts", "match", "reason"),
    [
        (FACTS, Match(bid="eval-*"), 'match.bid: "eval-*" does not match "train-7b"'),
        (FACTS, Match(bid="TRAIN-*"), 'match.bid: "TRAIN-*" does not match "train-7b"'),
        (FACTS, Match(bid="*", region="eu-*"), 'match.region: "eu-*" does not match "us-central5-a"'),
        (FACTS, Match(type="it_2"), 'match.type: "it_2" does not match "b200-192gb.sxm.8x"'),
        (FACTS, Match(project="proj_2"), 'match.project: "proj_2" does not match "research"'),
        (replace(FACTS, bid_name=None), Match(bid="*"), "match.bid: the event carries none"),
        (replace(FACTS, region=None), Match(region="*"), "match.region: the event carries none"),
        (
            replace(FACTS, instance_type=None, instance_type_fid=None),
            Match(type="*"),
            "match.type: the event carries none",
        ),
    ],
)
def test_what_does_not_match_says_which_key_and_why(facts: Facts, match: Match, reason: str) -> None:
    assert judged(facts, replace(RULE, match=match)) == Verdict("tell", "no", reason)


def test_one_of_name_and_fid_is_enough_where_the_other_is_unknown() -> None:
    facts = replace(FACTS, instance_type=None, project_name=None)
    assert judged(facts, replace(RULE, match=Match(type="it_*", project="proj_*"))).outcome == "run"


@pytest.mark.parametrize(
    ("age", "max_age", "outcome"),
    [
        (timedelta(minutes=10), timedelta(minutes=10), "run"),
        (timedelta(minutes=10, microseconds=1), timedelta(minutes=10), "skip"),
        (timedelta(seconds=-30), timedelta(minutes=10), "run"),
        (timedelta(days=400), None, "run"),
    ],
)
def test_old_news_is_not_acted_on(age: timedelta, max_age: timedelta | None, outcome: str) -> None:
    assert judged(replace(FACTS, age=age), replace(RULE, max_age=max_age)).outcome == outcome


def test_old_news_says_how_old() -> None:
    verdict = judged(replace(FACTS, age=timedelta(minutes=11)), RULE)
    assert verdict == Verdict("tell", "skip", "660 s old, max_age is 600 s")


@pytest.mark.parametrize(("passed", "outcome"), [(False, "run"), (True, "skip")])
def test_a_notice_counts_by_its_deadline_not_by_its_age(passed: bool, outcome: str) -> None:
    notice = replace(FACTS, type="instance.preempting", has_deadline=True, deadline_passed=passed)
    for age in (timedelta(0), timedelta(hours=3)):
        assert judged(replace(notice, age=age), RULE).outcome == outcome


def test_a_notice_that_is_not_this_hooks_stays_no_after_its_deadline() -> None:
    notice = replace(FACTS, has_deadline=True, deadline_passed=True)
    assert judged(notice, replace(RULE, match=Match(bid="eval-*"))).outcome == "no"


ODD = st.text(alphabet="ab*?[]!-.h\\^\n", max_size=12) | st.text(max_size=12)
MAYBE = st.none() | ODD


@given(
    facts=st.builds(
        Facts,
        type=st.sampled_from(EVENT_TYPES) | ODD,
        bid_name=MAYBE,
        region=MAYBE,
        instance_type=MAYBE,
        instance_type_fid=MAYBE,
        project=ODD,
        project_name=MAYBE,
        age=st.timedeltas(),
        deadline_passed=st.booleans(),
        has_deadline=st.booleans(),
    ),
    rules=st.lists(
        st.builds(
            HookRule,
            name=ODD,
            on=st.lists(ODD, max_size=3).map(tuple),
            match=st.builds(Match, bid=MAYBE, region=MAYBE, type=MAYBE, project=MAYBE),
            max_age=st.none() | st.timedeltas(),
            actions=st.just(("run",)),
        ),
        max_size=3,
    ),
)
def test_routing_never_raises_and_judges_every_rule(facts: Facts, rules: list[HookRule]) -> None:
    verdicts = route(facts, rules)
    assert [verdict.hook for verdict in verdicts] == [rule.name for rule in rules]
    assert all((verdict.reason is None) == (verdict.outcome == "run") for verdict in verdicts)
