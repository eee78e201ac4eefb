"""Tab, pressed in real shells: what comes into the line, and that none of it is ever run."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, answer, bid, refusal, serve, status
from tests.integration.cli_process import ml
from tests.integration.cli_shells import Shell, need

ROOT = Path(__file__).resolve().parents[2]
# From a name to the beginning of it that is typed.
NAMES = {
    "train": "tra",
    "two words": "tw",
    "quo'te": "quo",
    'dou"ble': "dou",
    "back\\slash": "bac",
    "dollar$HOME": "dol",
    "tick`touch ran`": "tic",
    "$(touch ran)": "\\$",
    "semi;touch ran": "sem",
    "amp&touch ran": "amp",
    "pipe|touch ran": "pip",
    "more>ran": "mor",
    "bang!!": "ban",
    "glob*": "glo",
    "br{a,b}": "br",
    "~root": "\\~",
    "#hash": "\\#",
    "colon:b": "colon:",
    "equal=b": "equal=",
    "at@x": "at@",
    "per%cent": "per",
    "火車": "火",
}
UNSEEN = {"evil\x1b]0;title\x07": 990, "new\nline": 991, "\u202eback": 992, "-rf": 993}
SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    bids = [bid(number, name=name) for number, name in enumerate(NAMES)]
    bids += [bid(number, name=name) for name, number in UNSEEN.items()]
    types = [
        {"fid": "it_b200", "name": "b200-192gb.sxm.8x", "region": "us-central5-a", "spot_price": "$6.20"},
        {"fid": "it_h100", "name": "h100-80gb.sxm.8x", "region": "us-central1-a", "spot_price": "$2.20"},
    ]
    clusters = [{"fid": "clust_1", "name": "main", "state": "available", "region": "us-central5-a"}]
    answers = {
        "/v1/bids": answer({"freshness": FRESH, "bids": bids}),
        "/v1/types": answer({"freshness": FRESH, "types": types}),
        "/v1/clusters": answer({"freshness": FRESH, "clusters": clusters}),
        "/v1/ssh-keys": answer({"ssh_keys": [{"fid": "sshkey_1", "name": "laptop", "required": False}]}),
        "/v1/status": answer(status()),
        "/v1/hooks": answer({"hooks": [{"name": "save-checkpoint", "on": ["instance.preempting"]}]}),
        "/v1/deliveries": answer(
            {"deliveries": [{"id": "dlv_3f9a2c1b", "hook": "save-checkpoint", "state": "failed"}]}
        ),
        "/v1/silences": answer({"silences": [{"id": 37, "pattern": "train-*"}]}),
    }
    with serve(tmp_path, {**answers}) as running:
        yield running


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, daemon: FakeDaemon, tmp_path: Path) -> Iterator[Shell]:
    with Shell(request.param, tmp_path, daemon.env(PYTHONPATH=f"{ROOT}:{ROOT / 'cli'}")) as running:
        yield running


def test_any_name_comes_into_the_line_as_it_is_and_none_is_run(shell: Shell, tmp_path: Path) -> None:
    for name, typed in NAMES.items():
        assert shell.line(f"ml instance info {typed}\t") == f"<instance><info><{name}>", name
    assert not (tmp_path / "ran").exists()


def test_inside_quotes_a_name_stays_what_it_is(shell: Shell) -> None:
    assert shell.line("ml instance info 'two\t") == "<instance><info><two words>"
    assert shell.line('ml instance info "two\t') == "<instance><info><two words>"


def test_words_options_and_values_are_completed(shell: Shell) -> None:
    for typed, words in {
        "inst\tinfo --js\t": "<instance><info><--json>",
        "hist\ttra\t": "<history><train>",
        "instance list --lim\t5": "<instance><list><--limit><5>",
        "instance list -s pree\t": "<instance><list><-s><preempting>",
        "instance list --project=res\t": "<instance><list><--project=research>",
        "instance create -i b2\t": "<instance><create><-i><b200-192gb.sxm.8x>",
        "instance create -i h100-80gb.sxm.8x -r us-\t": "<instance><create><-i><h100-80gb.sxm.8x><-r><us-central1-a>",
        "instance create --k8s ma\t": "<instance><create><--k8s><main>",
        "instance create --ssh-key la\t": "<instance><create><--ssh-key><laptop>",
        "events --type cluster.av\t": "<events><--type><cluster.available>",
        "hooks show dlv_3\t": "<hooks><show><dlv_3f9a2c1b>",
        "hooks log --hook sa\t": "<hooks><log><--hook><save-checkpoint>",
        "hooks unsilence 3\t": "<hooks><unsilence><37>",
        "completion fi\t": "<completion><fish>",
        "lau\t": "<launch>",
    }.items():
        assert shell.line(f"ml {typed}") == words


def test_files_are_completed_where_a_file_is_wanted(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "boot script.sh").touch()
    assert shell.line("ml instance create --startup-script boo\t") == (
        "<instance><create><--startup-script><boot script.sh>"
    )
    assert shell.line("ml instance info boo\t") == "<instance><info><boo>"


def test_no_name_reaches_the_terminal_raw(shell: Shell) -> None:
    until = "bid_993" if shell.name == "bash" else r"\u202eback"  # the others show what each fid stands for
    seen = shell.shown("ml instance info bid_99\t\t", until)
    assert "\x1b]0;title" not in seen
    assert "\u202e" not in seen
    assert shell.line("ml instance info bid_990\t") == "<instance><info><bid_990>"


def test_without_a_daemon_nothing_is_completed_and_nothing_is_said(shell: Shell, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = refusal(500, "internal", "what")
    assert shell.line("ml instance info tra\t") == "<instance><info><tra>"


def test_of_several_the_common_beginning_comes_into_the_line(daemon: FakeDaemon, tmp_path: Path) -> None:
    bids = [bid(number, name=name) for number, name in enumerate(["my run 1", "my run 2"])]
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": bids})
    with Shell("bash", tmp_path, daemon.env(PYTHONPATH=f"{ROOT}:{ROOT / 'cli'}")) as shell:
        assert shell.line("ml instance info my\t2\t") == "<instance><info><my run 2>"
        assert r"my\ run\ 1" in shell.shown("ml instance info my\t\t\t", r"my\ run\ 2")


def complete(daemon: FakeDaemon, line: str) -> list[str]:
    done = ml(daemon.env(), "__complete", "bash", line)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def test_names_that_nobody_could_type_are_offered_by_their_fid(daemon: FakeDaemon) -> None:
    offered = complete(daemon, "ml instance info ")
    assert {f"bid_{number}" for number in UNSEEN.values()} <= set(offered)
    assert len(offered) == len(NAMES) + len(UNSEEN)
    assert set(complete(daemon, "ml instance info bid_")) == {
        f"bid_{number}" for number in [*range(len(NAMES)), *UNSEEN.values()]
    }


def test_the_project_that_was_named_is_asked_for(daemon: FakeDaemon) -> None:
    complete(daemon, "ml instance info -p 'my lab' tra")
    complete(daemon, "ml history tra")
    first, second = daemon.requests
    assert (first.one("project"), first.one("all"), first.one("details")) == ("my lab", None, "0")
    assert (second.one("project"), second.one("all"), second.one("limit")) == (None, "1", "500")


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200 OK\r\n\r\n[]", b"garbage", answer({"bids": [1]})])
def test_whatever_goes_wrong_nothing_is_said(daemon: FakeDaemon, answered: bytes) -> None:
    daemon.answers["/v1/bids"] = answered
    assert complete(daemon, "ml instance info ") == []


def test_strange_lines_are_no_trouble(daemon: FakeDaemon) -> None:
    for line in ("", "ml", "ml ", "ml nothing x ", "ml instance nothing ", "ml instance info $(x) ", "ml 'x", "ml \\"):
        complete(daemon, line)
    for args in ([], ["bash"], ["nosuch", "x"], ["zsh"], ["zsh", "", ""]):
        done = ml(daemon.env(), "__complete", *args)
        assert (done.code, done.err) == (0, "")


def test_a_silent_daemon_is_not_waited_for(daemon: FakeDaemon) -> None:
    speaks = threading.Event()

    def silent(_: object) -> bytes:
        speaks.wait()
        return b""

    daemon.answers["/v1/bids"] = silent
    try:
        assert complete(daemon, "ml instance info ") == []  # while the daemon is silent still
    finally:
        speaks.set()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_sound(shell: str, tmp_path: Path) -> None:
    done = ml({"PATH": "/usr/bin"}, "completion", shell)
    assert (done.code, done.err) == (0, "")
    script = tmp_path / "script"
    script.write_text(done.out)
    subprocess.run([need(shell), "-n", str(script)], check=True, timeout=30)
    assert ml({"PATH": "/usr/bin"}, "completion", "csh").code == 2
