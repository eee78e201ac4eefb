"""Real shells on a terminal, in which Tab is pressed. `ml` there tells what it was given, a line a call."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pytest

from mithril_cli.completion import scripts

PATIENCE = 30
TAB, ENTER, KILL = "\t", "\r", "\x15"
STARTS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
# What is run in each before anything is typed: an `ml` that shows its words, and the completion.
READY = {
    "bash": "PS1='ready> '; bind 'set bell-style none' 'set enable-bracketed-paste off'\nsource {script}\n"
    "ml() {{ printf 'got:'; printf '<%s>' \"$@\"; echo ':end'; }}\n",
    "zsh": "PS1='ready> '; unsetopt zle_bracketed_paste prompt_cr beep; autoload -Uz compinit; compinit -D -u\n"
    "source {script}\nml() {{ printf 'got:'; printf '<%s>' \"$@\"; echo ':end'; }}\n",
    "fish": "function fish_prompt; echo 'ready> '; end; set -g fish_autosuggestion_enabled 0\nsource {script}\n"
    "function ml; printf 'got:'; printf '<%s>' $argv; echo ':end'; end\n",
}


def need(shell: str) -> str:
    """The shell's path. Where tests are meant to be complete (CI), its absence is a failure."""
    found = shutil.which(shell)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{shell} is missing, and CI is set: install the package {shell}")
        pytest.skip(f"{shell} is not installed")
    return found


class Shell:
    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        script, start = folder / f"ml.{name}", folder / f"start.{name}"
        script.write_text(scripts.script(name))
        start.write_text(READY[name].format(script=script))
        env = {**env, "HOME": str(folder), "TERM": "xterm", "LANG": "C.UTF-8", "HISTFILE": "/dev/null"}
        self._child = pexpect.spawn(
            need(name), STARTS[name], env=env, timeout=PATIENCE, dimensions=(50, 200), encoding="utf-8", cwd=folder
        )
        self._child.delaybeforesend = None
        self._child.sendline(f". {start}")
        self._call("ml started")

    def line(self, typed: str) -> str:
        """What `ml` is given when this is typed (with Tab in it) and Enter pressed."""
        return self._call(typed)

    def _call(self, typed: str) -> str:
        self._child.send(typed)
        self._child.send(ENTER)
        self._child.expect(r"got:(.*?):end")
        assert isinstance(self._child.match, re.Match)
        return str(self._child.match[1])

    def shown(self, typed: str, until: str) -> str:
        """What is shown until a text comes, after this is typed. The line is thrown away."""
        self._child.send(typed)
        self._child.expect_exact(until)
        seen = str(self._child.before) + until
        self._child.send(KILL)
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close(force=True)
