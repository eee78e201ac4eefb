"""Trying the credentials with kubectl, where there is one."""

from __future__ import annotations

import os
import re
import subprocess

PATIENCE = 20.0  # seconds for all
REQUEST = "8s"  # for each request; kubectl tries a few times
NOT_THERE, FAILED, PASSED = "no kubectl", "failed", "passed"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def validate(file: str, context: str) -> tuple[str, str]:
    """What came of `kubectl cluster-info`, and in its own words why it failed."""
    argv = [
        "kubectl", f"--kubeconfig={os.path.abspath(file)}", f"--context={context}", f"--request-timeout={REQUEST}",
        "cluster-info",
    ]  # fmt: skip
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        return NOT_THERE, ""
    except subprocess.TimeoutExpired:
        return FAILED, f"no answer within {PATIENCE:g} s"
    except OSError as error:
        return FAILED, f"kubectl cannot be run: {error.strerror}"
    if not done.returncode:
        return PASSED, ""
    said = [_COLOUR.sub("", line).strip() for line in done.stderr.decode("utf-8", "replace").splitlines()]
    # The last lines tell how to diagnose further, if it got so far.
    telling = [line for line in said if line and not line.startswith("To further debug")]
    return FAILED, telling[-1] if telling else f"kubectl ended with {done.returncode}"
