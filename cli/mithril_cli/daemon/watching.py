"""The lines of `ml daemon status` about the watch: how often it looks, by whose clock, and how late it sees."""

from __future__ import annotations

from mithril_cli import answers, times

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object

PACES = {
    "changing": "something changes",
    "active": "something is allocated",
    "waiting": "bids wait for an auction",
    "idle": "nothing is active",
}
AGREE = 1.0  # seconds between two clocks that nobody need be told of


def facts(status: Object, now: float) -> list[tuple[str, str]]:
    polling, latency = answers.part(status, "polling"), answers.part(status, "latency")
    pairs = [("polling", _polling(polling)), ("requests", _requests(polling))]
    if "auctions" in status:  # an older daemon does not tell
        pairs.append(("auctions", _auctions(answers.part(status, "auctions"), now)))
    ahead = answers.number(answers.part(status, "clock").get("ahead_seconds"))
    if ahead is not None:
        pairs.append(("clocks", _clocks(ahead)))
    if latency:
        pairs += [("seen", _seen(latency)), ("hooks began", _began(latency))]
    return pairs


def _polling(polling: Object) -> str:
    interval = answers.number(polling.get("interval_seconds"))
    every = f"every {interval:.3g} s" if interval is not None else "not yet"
    why = PACES.get(str(polling.get("pace")))
    recent = answers.number(polling.get("polls_last_minute"))
    minute = f", {recent:.0f} polls in the last minute" if recent is not None else ""
    polls, discarded = (answers.words(polling.get(key)) for key in ("polls", "discarded"))
    return f"{every}{f' ({why})' if why else ''}{minute}, {polls} in all, {discarded} not believed"


def _requests(polling: Object) -> str:
    spent, cap = (answers.words(polling.get(key)) for key in ("requests_last_minute", "request_cap"))
    shares = ", ".join(f"{whom} {answers.words(count)}" for whom, count in answers.part(polling, "requests_by").items())
    return f"{spent} of at most {cap} in the last minute{f': {shares}' if shares else ''}"


def _auctions(auctions: Object, now: float) -> str:
    period = answers.number(auctions.get("period_seconds"))
    if period is None:
        return "it is not known yet when they are"
    return f"every {period:.3g} s, the next at {times.local(times.moment(auctions.get('next_at')), now)}"


def _clocks(ahead: float) -> str:
    if abs(ahead) < AGREE:
        return "the marketplace's and ours agree"
    return f"the marketplace's is {_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours"


def _seen(latency: Object) -> str:
    unseen = answers.number(latency.get("unseen"))
    missed = f"; {unseen:.0f} never seen as they happened" if unseen else ""
    return _spread(answers.part(latency, "seen"), "no step that the marketplace has timed") + missed


def _began(latency: Object) -> str:
    left = answers.number(latency.get("least_left_seconds"))
    told = f"; with {_span(left)} left of a notice at the least" if left is not None else ""
    return _spread(answers.part(latency, "hooks"), "none") + told


def _spread(spread: Object, nothing: str) -> str:
    """`1.1 s after the fact, 95 % within 2.4 s, 6.0 s at worst (214 in the last day)`."""
    half, most, worst = (answers.number(spread.get(key)) for key in ("p50", "p95", "worst"))
    if half is None or most is None or worst is None:
        return f"{nothing} in the last day"
    count = answers.words(spread.get("count"))
    return f"{_span(half)} after the fact, 95 % within {_span(most)}, {_span(worst)} at worst ({count} in the last day)"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if abs(seconds) < 60 else ("-" if seconds < 0 else "") + times.duration(abs(seconds))
