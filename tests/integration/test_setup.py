"""`ml setup` against a marketplace that answers as it is told, on terminals and without them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import answer as daemon_answer
from tests.integration.cli_fake_daemon import serve, status
from tests.integration.cli_terminal import CTRL_C, DOWN, ENTER, Terminal
from tests.integration.setup_rig import KEY, Account, Home, marketplace, settings


@pytest.fixture
def account() -> Iterator[Account]:
    with marketplace() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_new_user_types_the_key_and_picks_a_project(home: Home, account: Account) -> None:
    with Terminal(home.env(), "setup", "--api-url", account.address) as terminal:
        terminal.expect("profile [default]: ")
        terminal.send(ENTER)
        terminal.expect("API key for http://127.0.0.1:")
        terminal.expect(": ")
        terminal.send("fkey_wrong_one" + ENTER)
        terminal.expect("refused the key (401)")
        terminal.expect(": ")
        terminal.send(KEY + ENTER)
        terminal.expect("Esc leaves")
        terminal.send(DOWN + ENTER)
        assert terminal.end() == 0
    assert KEY not in terminal.seen
    assert "fkey_wrong_one" not in terminal.seen
    assert "which project? lab (proj_lab)" in terminal.text
    assert home.file.read_text() == (
        "current_profile: default\nprofiles:\n  default:\n"
        f"    api_key: {KEY}\n    project_id: proj_lab\n    api_url: {account.address}\n"
    )
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.file.parent.stat().st_mode) == 0o700
    assert home.setup("--check").out == "Setup check: READY (api_key=ok, project=ok, billing=ok)\n"


def test_what_is_there_is_kept_by_enter(home: Home, account: Account) -> None:
    home.write(settings(account))
    with Terminal(home.env(), "setup") as terminal:
        terminal.expect("profile (there are: default) [default]: ")
        terminal.send(ENTER)
        terminal.expect("[Enter keeps …cdef]: ")
        terminal.send(ENTER)
        terminal.expect("Esc leaves")
        terminal.send("lab" + ENTER)
        assert terminal.end() == 0
    assert home.file.read_text() == settings(account, project="proj_lab")


@pytest.mark.parametrize(("said", "in_use"), [(ENTER, "work"), ("n" + ENTER, "default")])
def test_another_profile_is_used_only_if_wanted(home: Home, account: Account, said: str, in_use: str) -> None:
    home.write(settings(account))
    with Terminal(
        home.env(), "setup", "--profile", "work", "--project", "lab", "--api-url", account.address
    ) as terminal:
        terminal.expect("API key for")
        terminal.expect("127.0.0.1")
        terminal.expect(": ")
        terminal.send(KEY + ENTER)
        terminal.expect("use work from now on? [Y/n] ")
        terminal.send(said)
        assert terminal.end() == 0
    text = home.file.read_text()
    assert text.startswith(f"# by hand\ncurrent_profile: {in_use}\n")
    assert "  work:\n" in text


@pytest.mark.parametrize("at", ["profile", "API key", "Esc leaves"])
def test_ctrl_c_writes_nothing(home: Home, account: Account, at: str) -> None:
    with Terminal(home.env(), "setup", "--api-url", account.address) as terminal:
        terminal.expect("profile")
        if at != "profile":
            terminal.send(ENTER)
            terminal.expect("API key")
            terminal.expect(": ")
        if at == "Esc leaves":
            terminal.send(KEY + ENTER)
            terminal.expect(at)
        terminal.send(CTRL_C)
        assert terminal.end() == 130
    assert not home.file.exists()


def test_three_refused_keys_are_enough(home: Home, account: Account) -> None:
    with Terminal(home.env(), "setup", "--api-url", account.address, "--profile", "default") as terminal:
        for _ in range(3):
            terminal.expect("API key for")
            terminal.expect("127.0.0.1")
            terminal.expect(": ")
            terminal.send("fkey_no" + ENTER)
        assert terminal.end() == 5
    assert "nothing was written" in terminal.text


def test_a_script_gives_the_key_on_standard_input(home: Home, account: Account) -> None:
    args = ("--profile", "work", "--project", "lab", "--api-url", account.address, "--key-stdin")
    done = home.setup(*args, "--json", typed=f"{KEY}\n")
    assert done.code == 0
    assert json.loads(done.out) == {
        "file": str(home.file),
        "profile": "work",
        "current_profile": "work",
        "api_key": "…cdef",
        "project": {"fid": "proj_lab", "name": "lab"},
        "api_url": account.address,
    }
    assert KEY not in done.out + done.err
    assert home.setup(*args, typed=KEY).out == f"{home.file}: profile work, project lab (proj_lab)\n"


def test_a_script_changes_the_project_and_keeps_the_key(home: Home, account: Account) -> None:
    home.write(settings(account))
    assert home.setup("-p", "lab").code == 0
    assert home.file.read_text() == settings(account, project="proj_lab")


def test_a_second_profile_of_a_script_is_not_used_unless_told(home: Home, account: Account) -> None:
    home.write(settings(account))
    args = ("--profile", "work", "--project", "lab", "--api-url", account.address)
    done = home.setup(*args, "--key-stdin", typed=KEY)
    assert "the profile in use is still default" in done.err
    assert "current_profile: default" in home.file.read_text()
    assert home.setup(*args, "--use").code == 0
    assert "current_profile: work" in home.file.read_text()


@pytest.mark.parametrize(
    ("args", "typed", "code", "words"),
    [
        ((), "", 2, "no key: give it on standard input"),
        (("--key-stdin",), "", 2, "no key on standard input"),
        (("--key-stdin",), "two words\n", 2, "characters that no API key has"),
        (("--key-stdin",), "fkey_wrong\n", 5, "refused the key (401); nothing was written"),
        (("--key-stdin",), KEY, 2, "which project? say --project NAME (there are: demo (proj_demo), lab (proj_lab))"),
        (("--key-stdin", "--project", "x"), KEY, 6, "no project of this key is called x"),
        (("--key-stdin", "--profile", "a\nb"), KEY, 2, "name of a profile"),
        (("--key-stdin", "--api-url", "http://elsewhere.example"), KEY, 2, "must begin with https://"),
        (("--key-stdin", "--api-url", "http://127.0.0.1:9"), KEY, 4, "does not answer (connection refused)"),
        (("--check", "--show"), "", 2, "exclude"),
        (("--check", "--project", "x"), "", 2, "--project is for setting up"),
        (("fkey_as_an_argument",), "", 2, "unrecognized arguments"),
    ],
)
def test_wrong_usage_and_refusals_write_nothing(
    home: Home, account: Account, args: tuple[str, ...], typed: str, code: int, words: str
) -> None:
    env = {} if "--api-url" in args else {"MITHRIL_API_URL": account.address}
    done = home.setup(*args, typed=typed, **env)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not home.file.exists()


def test_the_key_of_one_address_is_never_sent_to_another(home: Home, account: Account) -> None:
    with marketplace() as other:
        home.write(settings(other))
        done = home.setup("--project", "demo", MITHRIL_API_URL=account.address)
        assert done.code == 2
        other.answers["/v2/me"] = (302, account.address.encode())
        assert home.setup("--project", "demo").code == 4
        assert home.setup("--check").code == 1
    assert account.keys == []


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, {"fid": "user_1"}, []])
def test_what_is_no_marketplace_is_told_so(home: Home, account: Account, body: object) -> None:
    account.answers["/v2/me"] = (200, body)
    done = home.setup("--key-stdin", typed=KEY, MITHRIL_API_URL=account.address)
    assert done.code == 4
    assert "is no marketplace" in done.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": {"state": "missing"}}, "takes up the new key within seconds"),
        ({"sandbox": True}, "watches the sandbox"),
        ({}, "systemctl --user restart mithrild"),
        ({"same": True}, "systemctl --user reload mithrild"),
    ],
)
def test_after_writing_it_is_said_how_the_daemon_learns_of_it(
    home: Home, account: Account, changes: dict[str, object], words: str
) -> None:
    home.write(settings(account))
    if changes.pop("same", False):
        changes = {"account": {"api_url": account.address}, "projects": [{"fid": "proj_lab", "name": "lab"}]}
    with serve(home.folder, {"/v1/status": daemon_answer(status(**changes))}):
        done = home.setup("--project", "lab")
    assert done.code == 0
    assert words in done.err


def test_what_goes_before_the_file_is_told(home: Home, account: Account) -> None:
    home.write(settings(account))
    done = home.setup("--project", "lab", MITHRIL_PROJECT="proj_demo", MITHRIL_API_KEY="fkey_env")
    assert done.code == 0
    assert account.keys[0] == f"Bearer {KEY}"  # it is the profile that is written, not the environment
    for variable in ("MITHRIL_PROJECT", "MITHRIL_API_KEY"):
        assert f"{variable} is set in this environment, and goes before the profile" in done.err
