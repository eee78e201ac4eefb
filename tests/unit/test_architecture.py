"""ARCHITECTURE.md shows the state tables as they are in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mithrild.fleet import lifecycle

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


@pytest.mark.parametrize(
    ("noun", "table"),
    [("bid", lifecycle.BID), ("instance", lifecycle.INSTANCE), ("cluster", lifecycle.CLUSTER)],
)
def test_the_diagram_is_generated_from_the_table(noun: str, table: lifecycle.Table) -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    sections = re.findall(rf"<!-- diagram: {noun} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    expected = f"```mermaid\n{lifecycle.diagram(table)}\n```"
    assert [section.strip() for section in sections] == [expected], f"the section should read:\n{expected}"
