"""What the daemon loads: what is large is loaded by those who use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LARGE = ("apprise", "requests", "paramiko", "mithrild.sandbox", "alembic", "fastapi")
HOOKS = """
[[hooks]]
name = "h"
on = ["*"]
run = ["/bin/true"]
webhook = "https://example.org/hook"
ssh = "true"
"""
CODE = """
import json, sys
from pathlib import Path
import mithrild.app
from mithrild.config import load
load(Path(sys.argv[1]), {"HOME": "/nowhere"})
print(json.dumps(sorted(sys.modules)))
"""


def loaded(folder: Path, hooks: str) -> set[str]:
    file = folder / "config.toml"
    file.write_text(hooks)
    run = subprocess.run([sys.executable, "-c", CODE, str(file)], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_nothing_large_is_loaded_that_no_hook_uses(tmp_path: Path) -> None:
    assert loaded(tmp_path, HOOKS).isdisjoint(LARGE)


def test_whoever_notifies_by_apprise_loads_it_to_have_the_addresses_checked(tmp_path: Path) -> None:
    assert "apprise" in loaded(tmp_path, HOOKS + 'notify = ["json://127.0.0.1/"]\n')
    assert "apprise" not in loaded(tmp_path, HOOKS + 'notify = ["desktop://"]\n')
