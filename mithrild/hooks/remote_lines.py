"""The lines that the login shell of a machine is given to read. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from mithrild.hooks.survivors import DELIVERY_MARK

LONGEST_VALUE = 1000  # characters of a variable: all of them share one line, which may have 128 KiB


def command_line(command: str, variables: Mapping[str, str]) -> str:
    """The hook's own line, read by the login shell there, with the variables set.

    sshd mostly refuses variables that are sent beside a command. Quoted like this, every shell reads them alike.
    """
    values = {name: value[:LONGEST_VALUE].replace("\0", "") for name, value in variables.items()}
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    return f'exec env {settings} "$SHELL" -c {shlex.quote(command)}'


_ENDING = """\
n=0
while left=$(grep -ls {mark} /proc/[0-9]*/environ); [ -n "$left" ] && [ $n -lt 20 ]; do
  signal=TERM; [ $n -lt 10 ] || signal=KILL
  for file in $left; do file=${{file%/environ}}; kill -$signal "${{file#/proc/}}"; done
  sleep 0.2; n=$((n + 1))
done 2>/dev/null"""


def ending_line(delivery: str) -> str:
    """Ends what runs with the delivery's mark in its environment, which children inherit: SIGTERM, and two seconds
    later SIGKILL. What has changed its user (sudo) is out of reach."""
    return f"sh -c {shlex.quote(_ENDING.format(mark=shlex.quote(f'{DELIVERY_MARK}={delivery}')))}"
