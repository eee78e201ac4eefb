"""The command line and the daemon read the vendor's settings alike; what is written leaves the rest as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mithril_cli.account import profiles
from mithril_cli.account.file import BrokenSettings, config_file, replace
from mithril_cli.account.questions import masked
from mithril_cli.account.settings import DEFAULT_URL, read
from mithril_cli.errors import Failure
from mithrild.config import load
from mithrild.errors import ConfigError

TWO = """
current_profile: work
profiles:
  default: {api_key: fkey_default, project_id: proj_default}
  work:
    api_key: " fkey_work "
    project_id: proj_work
    api_url: https://work.example/
"""
CASES: list[tuple[str | None, dict[str, str]]] = [
    (None, {}),
    ("", {}),
    (TWO, {}),
    (TWO, {"MITHRIL_PROFILE": "default"}),
    (TWO, {"MITHRIL_PROFILE": ""}),
    (TWO, {"MITHRIL_PROFILE": "other"}),
    (None, {"MITHRIL_PROFILE": "other"}),
    (TWO, {"MITHRIL_API_KEY": "fkey_env", "MITHRIL_PROJECT": "by name", "MITHRIL_API_URL": "http://127.0.0.1:1/"}),
    (TWO, {"MITHRIL_API_KEY": "", "MITHRIL_PROJECT": "", "MITHRIL_API_URL": ""}),
    (TWO, {"MITHRIL_API_KEY": " fkey_env\n"}),
    (TWO, {"MITHRIL_API_KEY": "two words"}),
    (TWO, {"MITHRIL_API_URL": "http://elsewhere.example"}),
    (TWO, {"MITHRIL_API_URL": "https://user@elsewhere.example"}),
    (TWO, {"MITHRIL_API_URL": "ftp://elsewhere.example"}),
    (TWO, {"MITHRIL_API_URL": "https://[::1"}),
    (TWO, {"MITHRIL_API_URL": "http://[::1]:8810//"}),
    (TWO, {"MITHRIL_API_URL": "https://a b"}),
    ("profiles: {default: {api_key: fkey_only}}", {}),
    ("profiles: {default: {api_key: '  '}}", {}),
    ("profiles: {default: {api_key: 5}}", {}),
    ("profiles: {default: {project_id: [1]}}", {}),
    ("profiles: {default: null}", {}),
    ("profiles: {default: 5}", {}),
    ("profiles: {default: {api_url: nowhere}}", {}),
    ("profiles: {default: {api_url: nowhere}}", {"MITHRIL_API_URL": "https://api.example"}),
    ("profiles: null", {}),
    ("profiles: [1]", {}),
    ("current_profile: 5\nprofiles: {}", {}),
    ("current_profile: gone\nprofiles: {}", {}),
    ("current_profile: ''\nprofiles: {default: {api_key: fkey_x}}", {}),
    ("profiles: {1: {api_key: fkey_x}}", {"MITHRIL_PROFILE": "1"}),
    ("a: b: c", {}),
    ("a: 1\na: 2", {}),
    ("- 1", {}),
    ("{" * 3000, {}),
    ("when: 2026-99-99", {}),
    ("profiles: {default: &d {api_key: fkey_x}, work: {<<: *d, project_id: proj_y}}\ncurrent_profile: work", {}),
]


def home(folder: Path, text: str | None) -> dict[str, str]:
    file = folder / "mithril" / "config.yaml"
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
        file.chmod(0o600)
    return {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder / "none")}


@pytest.mark.parametrize(("text", "env"), CASES)
def test_the_daemon_and_the_command_line_agree(tmp_path: Path, text: str | None, env: dict[str, str]) -> None:
    env = home(tmp_path, text) | env
    try:
        theirs = load(None, env)
    except ConfigError:
        with pytest.raises(BrokenSettings):
            read(env)
        return
    ours = read(env)
    assert ours.key == (theirs.api_key and theirs.api_key.get_secret_value())
    assert ours.project == theirs.project
    assert ours.api_url == theirs.api_url


@pytest.mark.parametrize("env", [{"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "/x"}, {}])
def test_they_look_into_the_same_file(env: dict[str, str]) -> None:
    env = {"HOME": "/home/me"} | env
    assert config_file(env) == str(load(None, env).watched_files[1])


def test_no_value_shows_in_what_is_said_of_a_broken_file(tmp_path: Path) -> None:
    for place, text in enumerate(
        ("api_key: fkey_secret: x", "profiles: {default: {api_key: [fkey_secret]}}", "\tfkey_secret")
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        with pytest.raises(BrokenSettings) as refused:
            read(home(folder, text))
        assert "fkey_secret" not in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    env = home(tmp_path, "")
    file = Path(config_file(env))
    for content in (b"\xff", b"#" * 2_000_000):
        file.write_bytes(content)
        with pytest.raises(BrokenSettings):
            read(env)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BrokenSettings, match="not a file"):
        read(env)


KEPT = """\
# mine
current_profile: default   # the usual one
other: [1, 2]
profiles:
    default: # by hand
        api_key: "fkey_old"
        project_id: proj_demo
        extra: 5   # unknown to us
    two: &t {api_key: fkey_x, project_id: proj_x}
    three: *t
"""


def test_writing_a_profile_leaves_everything_else_as_it_was(tmp_path: Path) -> None:
    file = Path(config_file(home(tmp_path, KEPT)))
    file.chmod(0o644)
    profiles.write(str(file), "default", {"api_key": "fkey_new", "project_id": "proj_demo", "api_url": None}, use=False)
    assert file.read_text() == KEPT.replace("fkey_old", "fkey_new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["config.yaml"]


def test_an_alias_is_parted_from_what_it_stood_for(tmp_path: Path) -> None:
    env = home(tmp_path, KEPT)
    profiles.write(config_file(env), "three", {"api_key": "fkey_three"}, use=True)
    assert read(env).key == "fkey_three"
    assert read(env).project == "proj_x"
    assert read(env, "two").key == "fkey_x"


@pytest.mark.parametrize("name", ["default", "with blank: and # signs", "1", "null", "é"])
def test_a_first_profile_makes_file_and_folder_private(tmp_path: Path, name: str) -> None:
    env = home(tmp_path / "new", None)
    values = {"api_key": "123", "project_id": "null", "api_url": "http://127.0.0.1:1"}
    profiles.write(config_file(env), name, values, use=True)
    settings = read(env)
    assert (settings.profile, settings.current, settings.values) == (name, name, values)
    folder = Path(config_file(env)).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(config_file(env)).stat().st_mode) == 0o600
    assert load(None, env).api_url == "http://127.0.0.1:1"


def test_a_link_is_kept_and_what_it_leads_to_replaced(tmp_path: Path) -> None:
    env = home(tmp_path, "")
    file, real = Path(config_file(env)), tmp_path / "dotfiles.yaml"
    file.unlink()
    real.write_text(KEPT)
    file.symlink_to(real)
    profiles.write(str(file), "new", {"api_key": "fkey_new"}, use=False)
    assert file.is_symlink()
    assert real.read_text().startswith(KEPT)


@pytest.mark.parametrize("text", ["a: b: c", "profiles: [1]", "- 1"])
def test_a_broken_file_is_not_written_over(tmp_path: Path, text: str) -> None:
    file = Path(config_file(home(tmp_path, text)))
    with pytest.raises(Failure):
        profiles.write(str(file), "default", {"api_key": "fkey_new"}, use=True)
    assert file.read_text() == text


def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    env = home(tmp_path, KEPT)
    file = Path(config_file(env))
    with pytest.raises(Failure, match="cannot be written"):
        replace(str(file / "below"), "text")
    assert file.read_text() == KEPT


def test_of_a_key_only_the_end_is_shown() -> None:
    assert masked("fkey_0123456789abcd") == "…abcd"
    assert masked("fkey_ab") == "…"
    assert masked(None) == "none"


def test_the_usual_address_is_the_daemons(tmp_path: Path) -> None:
    assert read(home(tmp_path, None)).api_url == DEFAULT_URL == load(None, home(tmp_path, None)).api_url
