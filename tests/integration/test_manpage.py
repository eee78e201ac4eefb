"""The manual page: everything of the table is in it, and what reads such pages has nothing to complain about."""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import NoReturn

import pytest

from mithril_cli import commands, manpage
from tests.integration.cli_process import ml

AWKWARD = ".TH x 'y' \\fB \\n[x] \"quoted\" `back` ~ ^ --long-option é 火 \\"


def read(page: str) -> str:
    """The page as a person reads it."""
    program = shutil.which("mandoc") or shutil.which("groff")
    if program is None:
        missing("mandoc")
    words = ["-T", "utf8", "-O", "width=500"] if program.endswith("mandoc") else ["-man", "-Tutf8", "-rLL=500n", "-P-c"]
    done = subprocess.run([program, *words], input=page, capture_output=True, text=True, check=True, timeout=30)
    kept: list[str] = []
    for sign in done.stdout:  # bold and underlined letters are struck over
        if sign == "\b":
            kept.pop()
        else:
            kept.append(sign)
    return unicodedata.normalize("NFC", "".join(kept))


def missing(program: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{program} is missing, and CI is set: install the package {program}")
    pytest.skip(f"{program} is not installed")


def test_it_has_every_command_and_option() -> None:
    done = ml({"PATH": "/usr/bin"}, "man")
    assert (done.code, done.err) == (0, "")
    page = read(done.out)
    for group in commands.GROUPS:
        for command in commands.load(group):
            assert f"ml {group} {command.name}".rstrip() in page
            assert f"{' '.join(command.summary.split())}." in page
            for option in command.options:
                assert ", ".join(option.flags) in page or option.settings["metavar"] in page
            for example, _ in command.examples:
                assert example in page
    for word in commands.HANDED_OVER:
        assert word in page
    assert "130" in page


@pytest.mark.parametrize("words", [("mandoc", "-T", "lint", "-W", "warning"), ("groff", "-man", "-ww", "-z")])
def test_those_who_read_such_pages_have_nothing_to_complain_about(tmp_path: Path, words: tuple[str, ...]) -> None:
    if shutil.which(words[0]) is None:
        missing(words[0])
    page = tmp_path / "ml.1"
    page.write_text(ml({"PATH": "/usr/bin"}, "man").out)
    done = subprocess.run([*words, str(page)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_nothing_in_the_words_means_anything_to_roff() -> None:
    page = f'.TH X 1 "2026-01-01"\n.SH NAME\n{manpage.text(AWKWARD)}\n.PP\n{manpage.text(chr(39) + "start")}\n'
    assert page.isascii()
    shown = read(page)
    assert AWKWARD in shown
    assert "'start" in shown
