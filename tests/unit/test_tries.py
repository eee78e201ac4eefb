"""What becomes of a delivery after a try."""

from __future__ import annotations

from typing import Any

import pytest

from mithrild.fleet.tries import Ending, Next, after


@pytest.mark.parametrize(
    ("ending", "rest", "follows"),
    [
        ("done", {}, Next("done", "why")),
        ("failed", {}, Next("failed", "why")),
        ("off", {}, Next("failed", "why")),
        ("retry", {}, Next("pending", "why", 5.0)),
        ("retry", {"tries": 4}, Next("pending", "why", 40.0)),
        ("retry", {"tries": 4, "retry_after": 90}, Next("pending", "why", 90.0)),
        ("retry", {"tries": 5}, Next("dead", "why; that was try 5 of 5")),
        ("retry", {"tries": 1, "most": 1}, Next("dead", "why; that was try 1 of 1")),
        # A notice is tried until its deadline, however few tries a hook has.
        ("retry", {"tries": 1, "left": 200}, Next("pending", "why", 2.0)),
        ("retry", {"tries": 5, "left": 200}, Next("pending", "why", 40.0)),
        ("retry", {"tries": 99, "left": 20}, Next("pending", "why", 19.0)),
        ("retry", {"left": 1}, Next("expired", "why; its deadline leaves no time for another try")),
        ("retry", {"left": -5}, Next("expired", "why; its deadline leaves no time for another try")),
        # Nobody knows how far it came, so it is tried again, whatever was counted.
        ("interrupted", {}, Next("pending", "why", 0.0, counts=False)),
        ("interrupted", {"tries": 5}, Next("pending", "why", 0.0, counts=False)),
        ("interrupted", {"left": -5}, Next("pending", "why", 0.0, counts=False)),
        ("put_off", {"tries": 10, "retry_after": 30.0}, Next("pending", "why", 30.0, counts=False)),
    ],
)
def test_what_follows(ending: Ending, rest: dict[str, Any], follows: Next) -> None:
    values = {"tries": 1, "most": 5, "left": None, "draw": 0.0} | rest
    assert after(ending, "why", **values) == follows
