"""Whoever was interrupted, deceived and killed has the same record in the end as whoever watched all the time.

MITHRILD_SCRIPTS says how many scripts are drawn, MITHRILD_SEED from what; they are shared out among tests that can run
side by side. hypothesis prints a script that failed, the shortest that it can find: it belongs into `kept.py`.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from loguru import logger

from tests.acceptance.fault_table import THOROUGH, is_played
from tests.crash.points import AT_START, POINTS
from tests.equivalence.deliveries import mistakes
from tests.equivalence.kept import KEPT
from tests.equivalence.moves import CLOCKS, DEATHS, NETWORK, Away, Force, Move, Place, Script, Slay, Watch, scripts
from tests.equivalence.truth import differences
from tests.equivalence.world import World, in_world

SCRIPTS = int(os.environ.get("MITHRILD_SCRIPTS", "10"))
SEED = int(os.environ.get("MITHRILD_SEED", "0"))
SHARES = 4
PLAYED = [name for at, name in enumerate(KEPT) if is_played(at)]
IN_ITS_WORK = [point for point in POINTS if point not in AT_START]
SLAIN = ["before the commit", "between effect and record"]


def play(script: Script) -> None:
    """Fails where the record is not what happened, or where a hook did what it should not have done."""

    async def story(world: World) -> None:
        for move in script.moves:
            await move.happen(world)
        await world.calm()
        wrong = list(differences(world, but_for_loops=True))
        assert not wrong, "\n".join(wrong)
        await world.look_through()
        wrong = list(differences(world)) or list(mistakes(world))
        assert not wrong, "\n".join(wrong)

    random.seed(0)  # of the daemon's jitter
    logger.disable("mithrild")  # a script of hours says thousands of lines, and takes seconds for it
    try:
        with tempfile.TemporaryDirectory() as folder:
            in_world(Path(folder), story, ahead=script.ahead)
    finally:
        logger.enable("mithrild")


@pytest.mark.parametrize("share", range(SHARES))
def test_the_record_is_what_happened(share: int, record_property: Callable[[str, object], None]) -> None:
    count = len(range(share, SCRIPTS, SHARES))
    moves = 0

    # The first script that is tried is always the simplest that there is: it does not count.
    @seed(SEED + share)
    @settings(
        max_examples=count + 1,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(script=scripts(NETWORK, CLOCKS, DEATHS))
    def all_scripts(script: Script) -> None:
        nonlocal moves
        moves += len(script.moves)
        play(script)

    if count:
        all_scripts()
    record_property("counted", f"{count} scripts of {moves} moves, seed {SEED + share}")


@pytest.mark.parametrize("name", PLAYED)
def test_a_script_that_once_failed(name: str) -> None:
    play(KEPT[name])


@pytest.mark.parametrize("point", IN_ITS_WORK if THOROUGH else SLAIN)
def test_a_process_that_is_killed_loses_nothing(point: str) -> None:
    """The others drop the daemon's objects. Here it is a process of its own, and the kill is the kernel's."""
    moves: list[Move] = [Watch(2), Away(130.0), Place(), Slay(point, 1), Force(0, "preempt"), Slay(point, 2), Watch(1)]
    play(Script(moves))
