"""What the README says is run by a test is run by that test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKS = re.findall(r"\[([^\]]+)\]\((tests/[^)]+\.py)\)", (ROOT / "README.md").read_text())


@pytest.mark.parametrize(("words", "file"), sorted(set(LINKS)))
def test_each_test_that_is_named_is_there(words: str, file: str) -> None:
    name = f"test_{words.replace(' ', '_')}"
    assert f"def {name}(" in (ROOT / file).read_text()


def test_there_are_such_links() -> None:
    assert len(LINKS) > 30
