"""Which targets are left alone for now. In memory alone: after a start every target is tried."""

from __future__ import annotations

import random

from mithrild.clock import Clock
from mithrild.fleet.circuit import Admits, Circuit, admits, after
from mithrild.fleet.tries import Ending


class Circuits:
    """A target is a program, a receiver's host, a service: whatever several deliveries fail at together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[str, Circuit] = {}

    def admits(self, target: str | None) -> Admits:
        """What may be tried at it now. Without a target that others share: everything."""
        return "all" if target is None else admits(self._of.get(target, Circuit()), self._clock.monotonic())

    def note(self, target: str | None, ending: Ending) -> bool:
        """A try ended. Only a target that asked for another try, or did not answer, has not been reached. Whether it
        had been left alone, and is not any more."""
        if target is None or ending in ("interrupted", "put_off"):
            return False
        before = self._of.get(target, Circuit())
        circuit = after(
            before,
            reached=ending != "retry",
            now=self._clock.monotonic(),
            draw=random.random(),  # noqa: S311  # jitter
        )
        if circuit.failures:
            self._of[target] = circuit
        else:
            self._of.pop(target, None)
        return before.until is not None and circuit.until is None

    def seconds_to_a_look(self) -> float | None:
        """Until the next target that is left alone is tried again."""
        now = self._clock.monotonic()
        ends = [
            circuit.until - now for circuit in self._of.values() if circuit.until is not None and circuit.until > now
        ]
        return min(ends, default=None)
