"""When a target is left alone, and when it is looked at again."""

from __future__ import annotations

import pytest

from mithrild.fleet.circuit import FAILURES, Circuit, admits, after


def failed(times: int, draw: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(times):
        circuit = after(circuit, reached=False, now=1000.0, draw=draw)
    return circuit


@pytest.mark.parametrize(
    ("times", "until"),
    [(0, None), (FAILURES - 1, None), (5, 1015.0), (6, 1030.0), (7, 1060.0), (8, 1120.0), (9, 1150.0), (99, 1150.0)],
)
def test_after_some_failures_in_a_row_it_is_left_alone_ever_longer(times: int, until: float | None) -> None:
    assert failed(times) == Circuit(times, until)


def test_one_success_ends_it() -> None:
    assert after(failed(20), reached=True, now=1000.0, draw=0.5) == Circuit()


def test_what_is_let_through() -> None:
    assert admits(failed(4), 1000.0) == "all"
    assert admits(failed(5), 1000.0) == "urgent"
    assert admits(failed(5), 1014.9) == "urgent"
    assert admits(failed(5), 1015.0) == "one"
