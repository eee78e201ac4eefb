"""Real processes under `run_command`: how they end, what they print, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mithrild.hooks.command import CommandResult, _words, minimal_environment, run_command
from mithrild.hooks.kept import HALF
from mithrild.hooks.pipes import Output, open_pipe
from mithrild.hooks.survivors import survivors

ENV = {"PATH": os.environ["PATH"]}
LONG = 60.0  # far beyond any healthy run of these commands; only a hang meets it


def sh(script: str, *, stdin: bytes = b"", timeout: float = LONG, **rest: Any) -> Coroutine[Any, Any, CommandResult]:
    return run_command(["/bin/sh", "-c", script], stdin=stdin, env=ENV, timeout=timeout, **rest)


def run_sh(script: str, *, stdin: bytes = b"", timeout: float = LONG, **rest: Any) -> CommandResult:
    return asyncio.run(sh(script, stdin=stdin, timeout=timeout, **rest))


async def until(condition: Callable[[], object]) -> None:
    for _ in range(int(LONG / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def alive(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def zombies() -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state == "Z" and int(parent) == os.getpid():
            found.append(stat.parent.name)
    return found


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("line", "outcome", "exit_code", "number", "reason"),
    [
        ("exit 0", "done", 0, None, None),
        ("exit 75", "retry", 75, None, "asked to be tried again (exit code 75)"),
        ("exit 1", "failed", 1, None, "exit code 1"),
        ("exit 255", "failed", 255, None, "exit code 255"),
        ("kill -KILL $$", "failed", None, 9, "ended by signal 9"),
    ],
)
def test_end_decides_outcome(
    line: str, outcome: str, exit_code: int | None, number: int | None, reason: str | None
) -> None:
    result = run_sh(line)
    assert (result.outcome, result.exit_code, result.signal, result.reason) == (
        outcome,
        exit_code,
        number,
        reason,
    )


def test_input_environment_and_arguments_arrive_as_given() -> None:
    code = "import os, sys; print(sys.argv[1:], sys.stdin.read(), sorted(os.environ))"
    result = asyncio.run(
        run_command(
            [sys.executable, "-c", code, "$HOME; *", ""],
            stdin="ünd".encode(),
            env={"ONE": "1", "LC_ALL": "C.UTF-8"},
            timeout=LONG,
        )
    )
    assert result.output.decode() == "['$HOME; *', ''] ünd ['LC_ALL', 'ONE']\n"


def test_output_holds_both_streams_in_order() -> None:
    assert run_sh("echo a; echo b >&2; echo c").output == b"a\nb\nc\n"


def test_command_has_its_own_session_and_no_descriptor_of_ours() -> None:
    result = run_sh("cut -d' ' -f1,5,6 /proc/self/stat; ls /proc/self/fd; echo $$")
    stat, *descriptors, shell = result.output.decode().split("\n")[:-1]
    _pid, group, session = stat.split()
    assert group == session == shell
    assert descriptors == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


@pytest.mark.parametrize("line", ["exit 0", "exec <&-; echo closed", "head -c 1 >/dev/null"])
def test_input_that_is_not_read_is_no_failure(line: str) -> None:
    assert run_sh(line, stdin=b"x" * 1_000_000).outcome == "done"


def test_input_larger_than_a_pipe_arrives_whole() -> None:
    assert run_sh("wc -c", stdin=b"x" * 3_000_000).output.strip() == b"3000000"


def test_reader_that_waits_for_the_end_of_its_input_gets_it() -> None:
    assert run_sh("cat; echo end", stdin=b"").output == b"end\n"


def test_huge_output_is_drained_and_its_middle_left_out() -> None:
    tracemalloc.start()
    try:
        result = run_sh("printf begin; head -c 100000000 /dev/zero; printf finish")
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.outcome == "done"
    head, line, tail = result.output.split(b"\n")
    assert (len(head), len(tail)) == (HALF, HALF)
    assert head.startswith(b"begin\0")
    assert tail.endswith(b"\0finish")
    assert line == f"[{100_000_011 - 2 * HALF} bytes left out]".encode()
    assert peak < 4_000_000


def test_output_of_exactly_the_limit_is_kept_whole() -> None:
    result = run_sh(f"head -c {2 * HALF} /dev/zero")
    assert result.output == bytes(2 * HALF)


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    result = run_sh(f"sleep 1000 & echo $! > {tmp_path}/child; echo up; wait", timeout=1.5)
    assert (result.outcome, result.reason) == ("failed", "took longer than 1.5s: ended")
    assert (result.signal, result.output) == (signal.SIGTERM, b"up\n")
    assert not alive(int((tmp_path / "child").read_text()))


def stopped_when_up(line: str, up: Path, *, kill_after: float) -> CommandResult:
    """Runs `line` and sets the stop event as soon as it has made the file `up`."""

    async def scene() -> CommandResult:
        stop = asyncio.Event()
        running = asyncio.create_task(sh(line, stop=stop, kill_after=kill_after))
        await until(up.exists)
        stop.set()
        return await running

    return asyncio.run(scene())


def test_stop_interrupts(tmp_path: Path) -> None:
    line = f"sleep 1000 & echo $! > {tmp_path}/child; touch {tmp_path}/up; wait"
    result = stopped_when_up(line, tmp_path / "up", kill_after=LONG)
    assert (result.outcome, result.reason) == ("interrupted", "the daemon is stopping: ended")
    assert result.signal == signal.SIGTERM
    assert not alive(int((tmp_path / "child").read_text()))


def test_ended_command_has_time_to_clean_up(tmp_path: Path) -> None:
    # A long-lived child would do harm: a shell that has a trap swallows a SIGTERM between its fork and its exec.
    line = f"trap 'echo saved; exit 3' TERM; touch {tmp_path}/up; while :; do sleep 0.01; done"
    result = stopped_when_up(line, tmp_path / "up", kill_after=LONG)
    assert (result.outcome, result.exit_code) == ("interrupted", 3)
    assert result.output.endswith(b"saved\n")


def test_whoever_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    line = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; touch {tmp_path}/up; while :; do sleep 1; done"
    result = stopped_when_up(line, tmp_path / "up", kill_after=0.2)
    assert (result.outcome, result.signal) == ("interrupted", signal.SIGKILL)
    assert not alive(int((tmp_path / "child").read_text()))


def test_stopped_process_is_ended_without_being_killed(tmp_path: Path) -> None:
    told = f"(until grep -q '^State:.T' /proc/$$/status; do sleep 0.01; done; touch {tmp_path}/up) &"
    line = f"trap 'exit 5' TERM; {told} kill -STOP $$"
    result = stopped_when_up(line, tmp_path / "up", kill_after=LONG)
    assert (result.outcome, result.exit_code) == ("interrupted", 5)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0.2s"), (5, "5s"), (90, "1m30s"), (240, "4m"), (3600, "60m")])
def test_timeout_is_told_in_the_words_of_the_configuration(seconds: float, words: str) -> None:
    assert _words(seconds) == words


def test_nothing_is_started_once_stop_is_set(tmp_path: Path) -> None:
    async def scene() -> CommandResult:
        stop = asyncio.Event()
        stop.set()
        return await sh(f"touch {tmp_path}/started", stop=stop)

    result = asyncio.run(scene())
    assert (result.outcome, result.reason) == ("interrupted", "not started: the daemon is stopping")
    assert not (tmp_path / "started").exists()


def test_stop_that_never_comes_changes_nothing() -> None:
    async def scene() -> CommandResult:
        return await sh("exit 75", stop=asyncio.Event())

    assert asyncio.run(scene()).outcome == "retry"


def test_programs_that_cannot_start_say_why(tmp_path: Path) -> None:
    plain = script(tmp_path / "plain", "#!/bin/sh\n", mode=0o644)
    lost = script(tmp_path / "lost", "#!/no/such/interpreter\n")
    shapeless = script(tmp_path / "shapeless", "echo hello\n")
    cases = {
        "/no/such/program": "no such file",
        "no-such-program": "not found in PATH (/nowhere)",
        plain: "not an executable file (chmod +x)",
        str(tmp_path): "not an executable file (chmod +x)",
        lost: "the interpreter that its first line names is missing",
        shapeless: "neither a program nor a script: its first line must name an interpreter, as in #!/bin/sh",
    }
    for program, what in cases.items():
        result = asyncio.run(run_command([program], stdin=b"x", env={"PATH": "/nowhere"}, timeout=LONG))
        assert (result.outcome, result.reason) == ("failed", f"cannot start {program}: {what}")
        assert (result.exit_code, result.signal, result.output) == (None, None, b"")


@pytest.mark.parametrize(
    ("arguments", "env", "what"),
    [
        (["a\0b"], ENV, "an argument or variable holds a NUL byte"),
        ([], {"A": "b\0"}, "an argument or variable holds a NUL byte"),
        (["x" * 10_000_000], ENV, "its arguments and environment are too long"),
    ],
)
def test_arguments_that_cannot_be_passed_say_why(arguments: list[str], env: dict[str, str], what: str) -> None:
    result = asyncio.run(run_command(["/bin/true", *arguments], stdin=b"", env=env, timeout=LONG))
    assert (result.outcome, result.reason) == ("failed", f"cannot start /bin/true: {what}")


def test_program_that_is_being_written_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    with program.open("r+b"):
        result = asyncio.run(run_command([str(program)], stdin=b"", env=ENV, timeout=LONG))
    assert (result.outcome, result.reason) == ("retry", f"cannot start {program} now: Text file busy")


@pytest.mark.parametrize(("code", "outcome"), [(0, "done"), (75, "retry"), (4, "failed")])
def test_children_left_behind_are_ended_and_told(tmp_path: Path, code: int, outcome: str) -> None:
    line = f"for i in 1 2; do sleep 1000 & echo $! >> {tmp_path}/children; done; echo out; exit {code}"
    result = run_sh(line)
    assert (result.outcome, result.exit_code, result.output) == (outcome, code, b"out\n")
    assert result.reason is not None
    assert result.reason.endswith("left 2 processes behind; they were ended")
    children = (tmp_path / "children").read_text().split()
    assert len(children) == 2
    assert not any(alive(int(child)) for child in children)


def test_child_left_behind_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    line = f"(trap '' TERM; echo up > {tmp_path}/up; exec sleep 1000) & echo $! > {tmp_path}/child"
    result = run_sh(f"{line}; while [ ! -s {tmp_path}/up ]; do sleep 0.01; done", kill_after=0.2)
    assert (result.outcome, result.reason) == ("done", "left 1 process behind; it was ended")
    assert not alive(int((tmp_path / "child").read_text()))


def test_child_that_ends_soon_after_is_waited_for_and_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mithrild.hooks.command._CHILDREN_GRACE", LONG)
    result = run_sh("(sleep 0.1; echo late) & echo early")
    assert (result.outcome, result.reason, result.output) == ("done", None, b"early\nlate\n")


def test_child_that_left_the_group_holds_nothing_up(tmp_path: Path) -> None:
    line = f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 1000' & "
    result = run_sh(f"{line} while [ ! -s {tmp_path}/child ]; do sleep 0.01; done; echo out")
    child = int((tmp_path / "child").read_text())
    try:
        assert alive(child)
        assert (result.outcome, result.reason, result.output) == ("done", None, b"out\n")
    finally:
        os.kill(child, signal.SIGKILL)


def test_child_that_left_the_group_and_prints_for_ever_holds_nothing_up(tmp_path: Path) -> None:
    line = f"setsid sh -c 'echo $$ > {tmp_path}/child; exec yes' & "
    result = run_sh(f"{line} while [ ! -s {tmp_path}/child ]; do sleep 0.01; done")
    child = int((tmp_path / "child").read_text())
    # With its pipe closed it may be gone already, by SIGPIPE.
    if alive(child):
        os.kill(child, signal.SIGKILL)
    assert result.outcome == "done"


ZOMBIE = """
import os, sys, time
if os.fork() == 0:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.setsid()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    time.sleep(1000)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def test_zombie_that_nobody_reaps_is_nothing_left_behind(tmp_path: Path) -> None:
    """Its parent left the group and waits for nothing; the zombie is a member for as long as that lives."""
    argv = [sys.executable, "-c", ZOMBIE, str(tmp_path / "parent")]
    result = asyncio.run(run_command(argv, stdin=b"", env=ENV, timeout=LONG))
    parent = int((tmp_path / "parent").read_text())
    try:
        assert alive(parent)
        assert (result.outcome, result.reason) == ("done", None)
    finally:
        os.kill(parent, signal.SIGKILL)


def test_last_words_are_kept_though_the_loop_never_came_to_read_them() -> None:
    async def scene() -> bytes:
        with ExitStack() as files:
            printing, printed = open_pipe(files)
            output = Output(printing)
            printed.write(b"last words")
            output.take_the_rest()
            output.close()
            return output.kept()

    assert asyncio.run(scene()) == b"last words"


def test_cancelling_kills_the_group(tmp_path: Path) -> None:
    async def scene() -> None:
        line = f"trap '' TERM; sleep 1000 & echo $$ $! > {tmp_path}/pids; mv {tmp_path}/pids {tmp_path}/up; wait"
        running = asyncio.create_task(sh(line))
        await until((tmp_path / "up").exists)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        main, child = map(int, (tmp_path / "up").read_text().split())
        assert str(main) not in os.listdir("/proc")  # reaped as well
        await until(lambda: not alive(child))

    asyncio.run(scene())


def test_cancelling_at_any_step_of_the_start_leaves_nothing() -> None:
    async def cancelled_after(steps: int) -> None:
        argv = ["/bin/sh", "-c", "sleep 1000 & wait"]
        env = {**ENV, "CANCEL_TEST": str(steps)}
        running = asyncio.create_task(run_command(argv, stdin=b"", env=env, timeout=LONG))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: not survivors("CANCEL_TEST", [str(steps)]))

    async def scene() -> None:
        before = open_files()
        for steps in range(12):
            await cancelled_after(steps)
        assert open_files() == before

    asyncio.run(scene())
    assert zombies() == []


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_leaks_however_commands_end() -> None:
    async def scene() -> None:
        before = open_files()
        for _ in range(3):
            results = await asyncio.gather(
                sh("exit 0", stdin=b"x" * 200_000),
                sh("exit 1"),
                sh("kill -KILL $$"),
                sh("sleep 1000", timeout=0.05, kill_after=1),
                sh("sleep 1000 & exit 0"),
                run_command(["/no/such/program"], stdin=b"", env=ENV, timeout=LONG),
            )
            assert [result.outcome for result in results] == [
                "done",
                *["failed"] * 3,
                "done",
                "failed",
            ]
        assert open_files() == before

    asyncio.run(scene())
    assert zombies() == []


def test_many_run_at_once_and_none_gets_the_output_of_another() -> None:
    async def scene() -> list[CommandResult]:
        return await asyncio.gather(*(sh("cat", stdin=f"number {n}".encode()) for n in range(60)))

    assert [result.output for result in asyncio.run(scene())] == [f"number {n}".encode() for n in range(60)]


def test_runs_on_a_loop_of_another_thread() -> None:
    results: list[CommandResult] = []
    thread = threading.Thread(target=lambda: results.append(run_sh("cat; exit 75", stdin=b"hello")))
    thread.start()
    thread.join(LONG)
    assert [(result.outcome, result.output) for result in results] == [("retry", b"hello")]


def test_minimal_environment_has_no_secret() -> None:
    kept = {"PATH": "/bin", "HOME": "/home/me", "LC_TIME": "C", "TZ": "UTC", "XDG_RUNTIME_DIR": "/run/user/1"}
    dropped = {"MITHRIL_API_KEY": "fkey_x", "AWS_SECRET_ACCESS_KEY": "x", "NOTIFY_SOCKET": "/x", "PYTHONPATH": "x"}
    assert minimal_environment({**kept, **dropped}) == kept
