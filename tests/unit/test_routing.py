"""Which hooks an event concerns: every rule of `on`, `match`, age and deadline, and that nothing ever raises."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.bounds import Bounds, parse
from mithrild.fleet.routing import Facts, HookRule, Match, Outlook, Verdict, route, takes, type_matches
from mithrild.fleet.stillness import QuietHours, Silence
from mithrild.wire import EVENT_TYPES

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FACTS = Facts(
    type="instance.running",
    bid="bid_1",
    bid_name="train-7b",
    region="us-central5-a",
    instance_type="b200-192gb.sxm.8x",
    instance_type_fid="it_1",
    project="proj_1",
    project_name="research",
    nodes=4,
    limit_cents=800,
    age=timedelta(seconds=3),
    left=None,
)
RULE = HookRule("tell", ("instance.*",), Match(), timedelta(minutes=10), ("run",))


def judged(facts: Facts, rule: HookRule, outlook: Outlook | None = None) -> Verdict:
    [verdict] = route(facts, [rule], outlook or Outlook(NOON))
    return verdict


def test_each_rule_gets_its_own_verdict_in_order() -> None:
    rules = [replace(RULE, name="a"), replace(RULE, name="b", on=("bid.*",)), replace(RULE, name="c")]
    assert [(v.hook, v.outcome) for v in route(FACTS, rules, Outlook(NOON))] == [
        ("a", "run"),
        ("b", "no"),
        ("c", "run"),
    ]


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
        Match(bid=("train-*",)),
        Match(bid=("eval-*", "train-*")),
        Match(bid=("bid_1",)),
        Match(region=("us-*",)),
        Match(type=("b200-*",)),
        Match(type=("it_1",)),
        Match(project=("proj_1",)),
        Match(project=("rese*",)),
        Match(bid=("train-7b",), region=("us-central5-[ab]",), type=("*8x",), project=("?esearch",)),
    ],
)
def test_match_takes_names_and_fids(match: Match) -> None:
    assert judged(FACTS, replace(RULE, match=match)) == Verdict("tell", "run", None)


@pytest.mark.parametrize(
    ("facts", "match", "reason"),
    [
        (FACTS, Match(bid=("eval-*",)), 'match.bid: "eval-*" does not match "train-7b"'),
        (FACTS, Match(bid=("TRAIN-*",)), 'match.bid: "TRAIN-*" does not match "train-7b"'),
        (FACTS, Match(bid=("*",), region=("eu-*",)), 'match.region: "eu-*" does not match "us-central5-a"'),
        (FACTS, Match(type=("it_2",)), 'match.type: "it_2" does not match "b200-192gb.sxm.8x"'),
        (FACTS, Match(project=("proj_2",)), 'match.project: "proj_2" does not match "research"'),
        (FACTS, Match(bid=("eval-*", "x")), 'match.bid: none of "eval-*", "x" matches "train-7b"'),
        (replace(FACTS, bid_name=None, bid=None), Match(bid=("*",)), "match.bid: the event carries none"),
        (replace(FACTS, region=None), Match(region=("*",)), "match.region: the event carries none"),
        (
            replace(FACTS, instance_type=None, instance_type_fid=None),
            Match(type=("*",)),
            "match.type: the event carries none",
        ),
    ],
)
def test_what_does_not_match_says_which_key_and_why(facts: Facts, match: Match, reason: str) -> None:
    assert judged(facts, replace(RULE, match=match)) == Verdict("tell", "no", reason)


def test_one_of_name_and_fid_is_enough_where_the_other_is_unknown() -> None:
    facts = replace(FACTS, instance_type=None, project_name=None)
    assert judged(facts, replace(RULE, match=Match(type=("it_*",), project=("proj_*",)))).outcome == "run"


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


def test_old_news_that_nobody_saw_says_so() -> None:
    verdict = judged(replace(FACTS, age=timedelta(minutes=11), provenance="backfilled"), RULE)
    reason = "660 s old, max_age is 600 s, and nobody saw it happen (backfilled)"
    assert verdict == Verdict("tell", "skip", reason)


@pytest.mark.parametrize(("passed", "outcome"), [(False, "run"), (True, "skip")])
def test_a_notice_counts_by_its_deadline_not_by_its_age(passed: bool, outcome: str) -> None:
    notice = replace(FACTS, type="instance.preempting", left=timedelta(seconds=-1 if passed else 0))
    for age in (timedelta(0), timedelta(hours=3)):
        assert judged(replace(notice, age=age), RULE).outcome == outcome


def test_a_notice_that_is_not_this_hooks_stays_no_after_its_deadline() -> None:
    notice = replace(FACTS, left=timedelta(seconds=-1))
    assert judged(notice, replace(RULE, match=Match(bid=("eval-*",)))).outcome == "no"


@pytest.mark.parametrize(
    ("event_type", "on", "taken"),
    [
        ("instance.running", ("instance.*", "!instance.new"), True),
        ("instance.new", ("instance.*", "!instance.new"), False),
        ("instance.new", ("!instance.new", "instance.*"), False),
        ("instance.new", ("!instance.new", "instance.new", "*"), False),
        ("bid.gone", ("*", "!instance.*", "!*.gone"), False),
        ("bid.placed", ("*", "!instance.*", "!*.gone"), True),
        ("hook.dead", ("hook.*", "!hook.disabled"), True),
        ("hook.disabled", ("hook.*", "!hook.disabled"), False),
        ("bid.placed", ("!instance.new",), False),
    ],
)
def test_what_stands_behind_an_exclamation_mark_is_left_out(event_type: str, on: tuple[str, ...], taken: bool) -> None:
    assert takes(on, event_type) is taken
    assert judged(replace(FACTS, type=event_type), replace(RULE, on=on)).outcome == ("run" if taken else "no")


def test_an_exclusion_says_which_it_was() -> None:
    verdict = judged(FACTS, replace(RULE, on=("instance.*", "!*.new", "!*.running")))
    assert verdict.reason == 'on: "!*.running" leaves out instance.running'


def bounds(text: str) -> Bounds:
    return parse(text, int)


@pytest.mark.parametrize(
    ("match", "facts", "reason"),
    [
        (Match(nodes=bounds(">=4")), FACTS, None),
        (Match(nodes=bounds(">4")), FACTS, 'match.nodes: 4 is not ">4"'),
        (Match(nodes=bounds("1")), replace(FACTS, nodes=None), "match.nodes: the event carries none"),
        (Match(price=bounds(">=800")), FACTS, None),
        (Match(price=bounds(">800")), FACTS, 'match.price: $8.00 is not ">800"'),
        (Match(price=bounds(">=0")), replace(FACTS, limit_cents=None), "match.price: the event carries none"),
        (Match(provenance=("observed",)), FACTS, None),
        (
            Match(provenance=("observed",)),
            replace(FACTS, provenance="simulated"),
            'match.provenance: "observed" does not match "simulated"',
        ),
        (Match(remaining=bounds(">1000")), FACTS, "match.remaining: the event has no deadline"),
    ],
)
def test_match_takes_numbers_and_where_the_news_is_from(match: Match, facts: Facts, reason: str | None) -> None:
    verdict = judged(facts, replace(RULE, match=match))
    assert (verdict.outcome, verdict.reason) == ("run" if reason is None else "no", reason)


@pytest.mark.parametrize(
    ("seconds", "outcome", "reason"),
    [
        (121.0, "run", None),
        (120.0, "skip", '120 s left, match.remaining is ">120000"'),
        (0.0, "skip", '0 s left, match.remaining is ">120000"'),
        (-1.0, "skip", "the deadline has passed"),
    ],
)
def test_a_notice_with_too_little_time_left_is_not_acted_on_and_is_no_secret(
    seconds: float, outcome: str, reason: str | None
) -> None:
    notice = replace(FACTS, left=timedelta(seconds=seconds))
    verdict = judged(notice, replace(RULE, match=Match(remaining=bounds(">120000"))))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def a_silence(pattern: str = "train-*", hook: str | None = None, begun: int = -60, until: int = 60) -> Silence:
    return Silence(3, pattern, hook, NOON + timedelta(minutes=begun), NOON + timedelta(minutes=until))


@pytest.mark.parametrize(
    ("silence", "outcome"),
    [
        (a_silence(), "skip"),
        (a_silence("bid_1"), "skip"),
        (a_silence("*"), "skip"),
        (a_silence("eval-*"), "run"),
        (a_silence(hook="tell"), "skip"),
        (a_silence(hook="another"), "run"),
        (a_silence(begun=1), "run"),
        (a_silence(until=0), "run"),
    ],
)
def test_a_silence_holds_back_what_it_names_while_it_lasts(silence: Silence, outcome: str) -> None:
    verdict = judged(FACTS, RULE, Outlook(NOON, silences=[silence]))
    assert (verdict.outcome, verdict.reason) == (outcome, silence.reason if outcome == "skip" else None)


@pytest.mark.parametrize(("pattern", "outcome"), [("*", "skip"), ("**", "run"), ("marketplace", "run")])
def test_what_is_about_no_bid_keeps_still_only_when_everything_does(pattern: str, outcome: str) -> None:
    away = replace(FACTS, type="marketplace.unreachable", bid=None, bid_name=None)
    verdict = judged(away, replace(RULE, on=("*",)), Outlook(NOON, silences=[a_silence(pattern)]))
    assert verdict.outcome == outcome


def test_what_is_not_this_hooks_is_not_silenced() -> None:
    verdict = judged(FACTS, replace(RULE, on=("bid.*",)), Outlook(NOON, silences=[a_silence()]))
    assert verdict.outcome == "no"


NOTICE = replace(FACTS, type="instance.preempting", left=timedelta(minutes=4))


@pytest.mark.parametrize(
    ("facts", "first", "taken", "outcome"),
    [
        (NOTICE, True, {"tell": "evt_x_7"}, "skip"),
        (NOTICE, True, {"another": "evt_x_7"}, "run"),
        (NOTICE, True, {}, "run"),
        (NOTICE, False, {"tell": "evt_x_7"}, "run"),
        (replace(FACTS, type="instance.reprieved"), True, {"tell": "evt_x_7"}, "skip"),
        (FACTS, True, {"tell": "evt_x_7"}, "run"),
    ],
)
def test_the_first_of_a_notice_is_enough_for_who_asks_for_it(
    facts: Facts, first: bool, taken: dict[str, str], outcome: str
) -> None:
    verdict = judged(facts, replace(RULE, first=first), Outlook(NOON, taken=taken))
    assert verdict.outcome == outcome
    if outcome == "skip":
        assert verdict.reason == 'when = "first": evt_x_7 came before it'


def test_the_quiet_hours_hold_back_what_speaks_and_never_what_acts() -> None:
    rule = replace(
        RULE, actions=("run", "notify", "notify-2", "webhook", "ssh"), quiet=QuietHours(time(11), time(13), UTC)
    )
    verdict = judged(FACTS, rule)
    assert (verdict.outcome, dict(verdict.held)) == (
        "run",
        dict.fromkeys(("notify", "notify-2"), "quiet hours, 11:00-13:00 UTC"),
    )
    assert [verdict.of(action) for action in ("run", "notify")] == [None, "quiet hours, 11:00-13:00 UTC"]


ODD = st.text(alphabet="ab*?[]!-.h\\^\n", max_size=12) | st.text(max_size=12)
MAYBE = st.none() | ODD
SOME = st.lists(ODD, max_size=2).map(tuple)
RANGE = st.none() | st.builds(Bounds, ODD, st.none() | st.integers(), st.none() | st.integers())
MOMENT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(
    facts=st.builds(
        Facts,
        type=st.sampled_from(EVENT_TYPES) | ODD,
        bid=MAYBE,
        bid_name=MAYBE,
        region=MAYBE,
        instance_type=MAYBE,
        instance_type_fid=MAYBE,
        project=ODD,
        project_name=MAYBE,
        provenance=ODD,
        nodes=st.none() | st.integers(),
        limit_cents=st.none() | st.integers(min_value=0),
        age=st.timedeltas(),
        left=st.none() | st.timedeltas(),
    ),
    rules=st.lists(
        st.builds(
            HookRule,
            name=ODD,
            on=st.lists(ODD, max_size=3).map(tuple),
            match=st.builds(
                Match, bid=SOME, region=SOME, type=SOME, project=SOME, provenance=SOME, nodes=RANGE, price=RANGE
            ),
            max_age=st.none() | st.timedeltas(),
            actions=st.just(("run", "notify")),
            first=st.booleans(),
            quiet=st.none() | st.builds(QuietHours, st.times(), st.times()),
        ),
        max_size=3,
    ),
    silences=st.lists(st.builds(Silence, st.integers(), ODD, MAYBE, MOMENT, MOMENT), max_size=2),
    now=MOMENT,
)
def test_routing_never_raises_and_judges_every_rule(
    facts: Facts, rules: list[HookRule], silences: list[Silence], now: datetime
) -> None:
    verdicts = route(facts, rules, Outlook(now, silences))
    assert [verdict.hook for verdict in verdicts] == [rule.name for rule in rules]
    assert all((verdict.reason is None) == (verdict.outcome == "run") for verdict in verdicts)
