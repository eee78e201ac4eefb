"""The end of a try: what is written down of it, what is said of it, and whether it is news."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

from mithrild.config import Hook
from mithrild.fleet import tries
from mithrild.hooks.action import Result
from mithrild.hooks.secrets import Secrets
from mithrild.store import news, switches
from mithrild.store.outbox import Claim, Outcome


def scrubbed(result: Result, secrets: Secrets) -> Result:
    """The same without a secret in it: from here on it is kept, shown and logged."""
    reason = None if result.reason is None else secrets.scrub(result.reason)
    return replace(result, reason=reason, output=secrets.scrub(result.output))


def judge(hook: Hook, claim: Claim, result: Result, now: datetime, overtaken: str | None = None) -> Outcome:
    """What becomes of the delivery. `overtaken`: why it was told to end: something newer came, its drill is over."""
    if overtaken is not None and result.ending in ("interrupted", "retry", "put_off"):
        return Outcome("superseded", result.ending, overtaken, output=result.output, progress=result.progress)
    follows = tries.after(
        result.ending,
        result.reason,
        tries=claim.tries,
        most=hook.tries,
        left=None if claim.deadline is None else (claim.deadline - now).total_seconds(),
        draw=random.random(),  # noqa: S311  # jitter
        retry_after=result.retry_after,
    )
    return Outcome(
        follows.state,
        result.ending,
        follows.reason,
        exit_code=result.exit_code,
        signal=result.signal,
        output=result.output,
        next_at=None if follows.gap is None else now + timedelta(seconds=follows.gap),
        counts=follows.counts,
        progress=result.progress,
    )


def writes_of(press: news.Press, hook: Hook, claim: Claim, result: Result, outcome: Outcome) -> list[news.Write]:
    """What is to be written beside an end that nobody would want to miss."""
    why = outcome.reason or ""
    writes = [news.of_host_key(press, one.instance, one.before, one.after) for one in result.changed]
    if outcome.state == "dead":
        writes.append(news.of_hook(press, claim, "dead", why))
    if outcome.outcome == "off":
        off = switches.Off(press.now, why, hook.mark(claim.action))
        writes.append(news.of_hook(press, claim, "disabled", why))
        writes.append(lambda connection: switches.switch_off(connection, (hook.name, claim.action), off))
    return writes


def label(hook: Hook, claim: Claim) -> str:
    """What the log calls it. Which action it is matters where there are several."""
    return f"hook {hook.name}" + (f" ({claim.action})" if len(hook.actions) > 1 else "")


def summary(outcome: Outcome) -> str:
    """Why, and the last line that was printed or answered: the rest is kept with the delivery."""
    lines = (outcome.output or "").split("\n")
    last = next((line.strip()[:200] for line in reversed(lines) if line.strip()), None)
    return (f": {outcome.reason}" if outcome.reason else "") + (f" ({last})" if last else "")
