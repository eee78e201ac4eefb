"""What a person sees: colours and widths on a real terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithril_cli.text import width
from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, ago, answer, bid, serve
from tests.integration.cli_process import ml_on_terminal


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    listed = [
        bid(0, state="preempting", deadline=ago(seconds=-200)),
        bid(1, name="火車" * 40),
        bid(2, name="evil\x1b]0;title\x07\u202e" * 9),
    ]
    answers = {
        "/v1/bids": answer({"freshness": FRESH, "bids": listed}),
        "/v1/bids/bid_1": answer({"freshness": FRESH, "bid": bid(1), "transitions": []}),
    }
    with serve(tmp_path, {**answers}) as running:
        yield running


def bare(seen: str) -> list[str]:
    return re.sub(r"\x1b\[\d*m", "", seen).splitlines()


def test_states_are_coloured_on_a_terminal_only_where_that_is_welcome(daemon: FakeDaemon) -> None:
    args = ("instance", "list")
    assert "\x1b[31mpreempting" in ml_on_terminal(daemon.env(), *args).out
    for refusing in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        assert "\x1b" not in ml_on_terminal(daemon.env(**refusing), *args).out
    assert "\x1b[31m" in ml_on_terminal(daemon.env(NO_COLOR=""), *args).out


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 60, 80, 120, 300])
def test_a_table_fits_the_terminal(daemon: FakeDaemon, columns: int) -> None:
    lines = bare(ml_on_terminal(daemon.env(), "instance", "list", columns=columns).out)
    assert len(lines) == 4
    assert max(map(width, lines)) <= columns
    if columns >= 60:
        assert "STATE" in lines[0]
        assert "preempting 3m1" in lines[1]


def test_columns_of_the_environment_goes_before_the_terminals(daemon: FakeDaemon) -> None:
    lines = bare(ml_on_terminal(daemon.env(COLUMNS="50"), "instance", "list", columns=200).out)
    assert max(map(width, lines)) <= 50


def test_a_page_fits_the_terminal(daemon: FakeDaemon) -> None:
    lines = bare(ml_on_terminal(daemon.env(), "instance", "info", "bid_1", columns=50).out)
    assert max(map(width, lines)) <= 50


def test_types_of_one_name_are_told_apart_on_a_narrow_terminal(tmp_path: Path) -> None:
    kind = {"name": "b200-192gb.sxm.8x", "gpu_count": 8, "gpu_type": "B200", "spot_price": "$12.80"}
    rows = [{**kind, "region": region} for region in ("us-central1-a", "us-central5-a")]
    with serve(tmp_path, {"/v1/types": answer({"freshness": FRESH, "types": rows})}) as daemon:
        lines = ml_on_terminal(daemon.env(), "instance", "list-types", columns=40).out.splitlines()[1:]
    assert [line.split()[1:] for line in lines] == [["us-central1-a", "$12.80"], ["us-central5-a", "$12.80"]]
