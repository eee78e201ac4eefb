"""What takes too long for a person who waits: everything at its most thorough, hundreds of scripts, thousands of kills.

Run it: `make nightly`, or `make nightly PARTS="scripts kills"` for some. It can be interrupted: run again, it goes on
where it was, with the same seed, and tries again what failed. After the last part, or when the code has changed, it
begins a new night. MITHRILD_SCRIPTS and MITHRILD_KILLS say how many, MITHRILD_SEED from what.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.crash.points import POINTS
from tests.crash.test_kill import BY_CHANCE

ROOT = Path(__file__).resolve().parents[2]
NIGHT = ROOT / ".nightly"
SCRIPTS = int(os.environ.get("MITHRILD_SCRIPTS", "200"))
KILLS = int(os.environ.get("MITHRILD_KILLS", "2000"))
SCRIPTS_AT_ONCE, KILLS_AT_ONCE = 20, 100  # in one part: what an interruption may cost
WORKERS = "4"
WANTED = frozenset(sys.argv[1:])  # the first words of parts; all of them if none is named


@dataclass(frozen=True)
class Part:
    name: str
    words: tuple[str, ...]  # for pytest
    env: dict[str, str]


@dataclass
class Result:
    passed: bool
    seconds: float
    counted: list[str] = field(default_factory=list)
    end: str = ""  # pytest's last line


@dataclass
class Night:
    """What is known of a night. Written down after each part."""

    code: str
    seed: int
    done: dict[str, Result] = field(default_factory=dict)

    def keep(self) -> None:
        NIGHT.mkdir(exist_ok=True)
        fresh = NIGHT / "night.json.new"
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.replace(NIGHT / "night.json")


def parts(seed: int) -> list[Part]:
    """Those that are wanted."""
    return [part for part in _all_parts(seed) if not WANTED or part.name.split()[0] in WANTED]


def _all_parts(seed: int) -> Iterator[Part]:
    apart = ("tests/equivalence", "tests/crash")
    yield Part("everything", tuple(f"--ignore={folder}" for folder in apart), {"MITHRILD_THOROUGH": "1"})
    yield Part("kept scripts", apart[:1], {"MITHRILD_THOROUGH": "1", "MITHRILD_SCRIPTS": "0"})
    for number, count in _pieces(SCRIPTS, SCRIPTS_AT_ONCE):
        env = {"MITHRILD_SCRIPTS": str(count), "MITHRILD_SEED": str(seed + 1000 * number)}
        yield Part(f"scripts {number}", (apart[0], "-k", "what_happened"), env)
    for number, count in _pieces(KILLS, KILLS_AT_ONCE):
        env = {"MITHRILD_KILLS": str(count), "MITHRILD_SEED": str(seed + 1000 * number)}
        yield Part(f"kills {number}", apart[1:], env)


def _pieces(whole: int, piece: int) -> Iterator[tuple[int, int]]:
    for number, begun in enumerate(range(0, whole, piece), start=1):
        yield number, min(piece, whole - begun)


def run(part: Part) -> Result:
    log = NIGHT / f"{part.name.replace(' ', '-')}.log"
    words = [sys.executable, "-m", "pytest", "-q", "-n", WORKERS, *part.words]
    begun = time.monotonic()
    with log.open("w") as sink:
        done = subprocess.run(words, cwd=ROOT, env=os.environ | part.env, stdout=sink, stderr=subprocess.STDOUT)
    lines = log.read_text(errors="replace").splitlines()
    counted = [line.partition("counted: ")[2] for line in lines if ": counted: " in line]
    end = next((line.strip("= ") for line in reversed(lines) if line.strip()), "")
    if done.returncode:
        print("\n".join(line for line in lines if line.startswith(("E  ", "FAILED", "ERROR", "seed "))))
    return Result(done.returncode == 0, time.monotonic() - begun, counted, end)


def code() -> str:
    """Changes when the code does, or the tests."""
    digest = hashlib.sha256()
    files = [ROOT / "pyproject.toml", *(file for folder in ("mithrild", "cli", "tests") for file in _python(folder))]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _python(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def tonight() -> Night:
    now = code()
    try:
        told = json.loads((NIGHT / "night.json").read_text())
        night = Night(told["code"], told["seed"], {name: Result(**one) for name, one in told["done"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        night = Night("", 0)
    over = all(name in night.done and night.done[name].passed for name in (part.name for part in parts(night.seed)))
    if night.code == now and not over:
        print(f"going on with the night of seed {night.seed}: {len(night.done)} parts are done")
        return night
    night = Night(now, int(os.environ.get("MITHRILD_SEED", random.randrange(10**6) * 10**6)))
    print(f"a new night, seed {night.seed}")
    night.keep()
    return night


def summary(night: Night) -> str:
    """Of what is done by now."""
    results = [(part, night.done[part.name]) for part in parts(night.seed) if part.name in night.done]
    lines = [line for _, result in results for line in result.counted]
    scripts = sum(int(found[1]) for line in lines if (found := re.match(r"(\d+) scripts", line)))
    died: Counter[str] = Counter()
    for line in lines:
        if found := re.match(r"\d+ kills \(([^)]*)\)", line):
            for piece in found[1].split(", "):
                count, _, where = piece.partition(" ")
                died[where] += int(count)
    failed = [part.name for part, result in results if not result.passed]
    minutes = sum(result.seconds for _, result in results) / 60
    return "\n".join(
        [
            f"seed {night.seed}, {minutes:.0f} minutes",
            *(f"{part.name}: {result.end}" for part, result in results if not result.counted),
            f"scripts: {scripts}",
            f"kills: {died.total()}",
            *(f"  {died[point]:5} {point}" for point in (*POINTS, BY_CHANCE) if died),
            "failed: " + (", ".join(failed) or "nothing"),
        ]
    )


def main() -> int:
    night = tonight()
    try:
        play(night)
    except KeyboardInterrupt:
        print(f"{summary(night)}\ninterrupted; make nightly goes on where it was")
        return 130
    print(summary(night))
    return 0 if all(night.done[part.name].passed for part in parts(night.seed)) else 1


def play(night: Night) -> None:
    """What is not done yet, or failed."""
    for part in parts(night.seed):
        if part.name in night.done and night.done[part.name].passed:
            continue
        told = " ".join(f"{name}={value}" for name, value in part.env.items())
        print(f"{part.name} ({told}) ...", flush=True)
        result = run(part)
        night.done[part.name] = result
        night.keep()
        print(f"{part.name}: {'passed' if result.passed else 'FAILED'} in {result.seconds:.0f} s: {result.end}")
        for line in result.counted:
            print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
