"""What is made of a kubectl that does not say yes. The real one is tried in tests/acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest

from mithril_cli.kubeconfig import kubectl
from tests.acceptance.harness import write_hook

BODIES = (
    ("echo '\033[0;32mall is well\033[0m'; echo warning >&2", ("passed", "")),
    ("echo first >&2; printf '\033[31mrefused\033[0m\n\nTo further debug, dump\n' >&2; exit 1", ("failed", "refused")),
    ("exit 3", ("failed", "kubectl ended with 3")),
    ("exec sleep 60", ("failed", "no answer within 0.3 s")),
)


@pytest.mark.parametrize(("body", "found"), BODIES)
def test_what_kubectl_says_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, found: tuple[str, str]
) -> None:
    write_hook(tmp_path, "kubectl", f'echo "$@" > {tmp_path}/words\n{body}')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    if "sleep" in body:
        monkeypatch.setattr(kubectl, "PATIENCE", 0.3)
    assert kubectl.validate("/home/me/config", "mithril:a b") == found
    words = (tmp_path / "words").read_text()
    assert words == "--kubeconfig=/home/me/config --context=mithril:a b --request-timeout=8s cluster-info\n"


def test_one_that_cannot_be_run_has_failed_and_none_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubectl.validate("/home/me/config", "mithril:train") == ("no kubectl", "")
    (tmp_path / "kubectl").write_text("no program")
    (tmp_path / "kubectl").chmod(0o644)
    assert kubectl.validate("/home/me/config", "mithril:train") == (
        "failed",
        "kubectl cannot be run: Permission denied",
    )
