"""What is the vendor's goes to the vendor's `ml`, with fake ones of it on PATH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mithril_cli.commands import HANDED_OVER
from tests.integration.cli_process import PATIENCE

OURS = Path(sys.executable).parent / "ml"
TELLS = """\
for word in "$@"; do printf "<%s>" "$word"; done; echo
while read -r line; do echo "$line"; done
echo "said aside" >&2; exit 7"""


def program(folder: Path, body: str, first: str = "#!/bin/sh") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "ml"
    file.write_text(f"{first}\n{body}\n")
    file.chmod(0o755)
    return file


def run(
    path: list[Path], *args: str, typed: str = "", ours: Path = OURS, **more: str
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.pathsep.join(map(str, path)), "HOME": "/nonexistent", "LANG": "C.UTF-8", **more}
    return subprocess.run([str(ours), *args], env=env, input=typed, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("word", HANDED_OVER)
def test_each_command_of_theirs_is_handed_over_as_it_was_typed(tmp_path: Path, word: str) -> None:
    program(tmp_path, TELLS)
    args = ["-h", "two words", "", "a'b\"c", "--", "$HOME", "line\nend", "é"]
    done = run([tmp_path], word, *args, typed="standard input\n")
    assert done.stdout == "".join(f"<{one}>" for one in [word, *args]) + "\nstandard input\n"
    assert done.stderr == "said aside\n"
    assert done.returncode == 7


def test_their_program_takes_the_place_of_ours(tmp_path: Path) -> None:
    program(tmp_path, 'echo $$; trap "echo closed >&2" PIPE; kill -TERM $$')
    process = subprocess.Popen([OURS, "launch"], env={"PATH": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as out:
        assert out.read() == f"{process.pid}\n"
    assert process.wait(PATIENCE) == -signal.SIGTERM


def test_a_closed_pipe_ends_their_program_as_if_we_had_not_been(tmp_path: Path) -> None:
    program(tmp_path, "while :; do echo y; done")
    process = subprocess.Popen([OURS, "logs"], env={"PATH": str(tmp_path)}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(PATIENCE) == -signal.SIGPIPE


def test_every_copy_of_ours_is_passed_by(tmp_path: Path) -> None:
    """The one that runs, links to it, copies of its entry script, and the script of another installation."""
    linked, copied, other, theirs = (tmp_path / name for name in ("linked", "copied", "other", "theirs"))
    for folder in (linked, copied):
        folder.mkdir()
    (linked / "ml").symlink_to(OURS)
    shutil.copy(OURS, copied / "ml")
    program(other, "import sys\nfrom mithril_cli.main import main\nsys.exit(main())", "#!/opt/elsewhere/bin/python3")
    program(theirs, TELLS)
    path = [OURS.parent, linked, copied, other, theirs]
    for ours in (OURS, linked / "ml", copied / "ml"):
        assert run(path, "down", ours=ours).stdout == "<down>\n"
    done = run(path[:-1], "down")
    assert (done.returncode, done.stdout) == (127, "")
    assert "install the package mithril-client" in done.stderr


def test_with_nobody_to_hand_over_to_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()  # a folder is no program
    for path in ([tmp_path], [Path("/nonexistent")], []):
        done = run(path, "launch", "task.yaml")
        assert (done.returncode, done.stdout) == (127, "")
        [line] = done.stderr.splitlines()
        assert line.startswith("ml: `ml launch` is the vendor's, and their `ml` is not on PATH: install")


def test_what_may_not_be_run_or_is_relative_is_passed_by(tmp_path: Path) -> None:
    program(tmp_path / "locked", "exit 1").chmod(0o644)
    program(tmp_path / "theirs", TELLS)
    here = Path(os.path.relpath(program(tmp_path / "here", "exit 1").parent))
    assert run([tmp_path / "locked", here, tmp_path / "theirs"], "stop").stdout == "<stop>\n"


def test_what_cannot_be_run_is_told_in_a_line(tmp_path: Path) -> None:
    program(tmp_path, "", "#!/nonexistent/python3")
    done = run([tmp_path], "queue")
    assert done.returncode == 126
    assert done.stderr == f"ml: {tmp_path}/ml cannot be run: No such file or directory\n"


def wrapper(folder: Path, how: str = "exec ") -> Path:
    return program(folder, f'echo around >&2; {how}{OURS} "$@"')


@pytest.mark.parametrize("how", ["exec ", ""], ids=["instead", "beneath"])
def test_a_wrapper_around_ours_does_not_go_round_for_ever(tmp_path: Path, how: str) -> None:
    wrapper(tmp_path, how)
    done = run([tmp_path], "sky", "status")
    assert done.returncode == 127
    assert 1 < done.stderr.count("around\n") < 10
    assert "goes round in circles" in done.stderr.splitlines()[-1]


def test_behind_a_wrapper_around_ours_theirs_is_found(tmp_path: Path) -> None:
    wrapper(tmp_path / "wrapper")
    program(tmp_path / "theirs", TELLS)
    assert run([tmp_path / "wrapper", tmp_path / "theirs"], "exec", "x").stdout == "<exec><x>\n"


def test_their_program_may_call_ml_again(tmp_path: Path) -> None:
    program(tmp_path, f'[ "$1" = down ] || {OURS} down "$1"; echo "$@"')
    assert run([tmp_path], "launch").stdout == "down launch\nlaunch\n"


def test_the_real_one_is_found(tmp_path: Path) -> None:
    theirs = OURS.parents[2] / ".venv-vendor" / "bin"
    if not (theirs / "ml").exists():
        if os.environ.get("CI"):
            pytest.fail("the vendor's client is missing, and CI is set: make vendor")
        pytest.skip("the vendor's client is not installed: make vendor")
    done = run([OURS.parent, theirs], "launch", "--help", HOME=str(tmp_path))
    assert "mithril/_mcli_entry.py" in done.stderr or "Usage" in done.stdout
