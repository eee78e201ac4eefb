"""Programs that somebody else could change are not run."""

import os
from pathlib import Path

import pytest

from mithrild.config import load
from mithrild.config.programs import exposed
from mithrild.errors import ConfigError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "save"
    path.parent.mkdir(mode=0o755)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_own_programs_and_those_of_the_system_are_safe(program: Path) -> None:
    assert exposed(program) is None
    assert exposed(Path("/bin/sh")) is None
    assert exposed(program.parent / "missing") is None


@pytest.mark.parametrize("what", ["file", "folder", "folder above"])
def test_what_others_may_write_to_is_exposed(program: Path, what: str) -> None:
    place = {"file": program, "folder": program.parent, "folder above": program.parent.parent}[what]
    place.chmod(0o777)
    assert exposed(program) == f"anyone may write to {place}; type: chmod o-w {place}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to any group")
def test_what_a_group_may_write_to_is_exposed_unless_the_group_is_the_users_alone(program: Path) -> None:
    program.chmod(0o775)
    assert exposed(program) is None
    os.chown(program, -1, 65_001)
    assert exposed(program) == f"its group may write to {program}; type: chmod g-w {program}"


def test_sticky_folder_is_safe_but_a_file_in_it_may_not_be(program: Path) -> None:
    program.parent.chmod(0o1777)
    assert exposed(program) is None
    program.chmod(0o757)
    assert exposed(program) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_exposed(program: Path) -> None:
    os.chown(program, 65_001, -1)
    assert exposed(program) == f"{program} belongs to another user (uid 65001), who may write to it"


def test_links_are_followed_one_by_one(program: Path, tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "link").symlink_to(program)
    (tmp_path / "first").symlink_to("open/link")
    assert exposed(tmp_path / "first") is None
    open_folder.chmod(0o777)
    assert exposed(tmp_path / "first") == f"anyone may write to {open_folder}; type: chmod o-w {open_folder}"


def test_links_that_go_round_have_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert exposed(tmp_path / "a") is None  # there is nothing that could be run


def test_it_is_refused_when_the_configuration_is_loaded(program: Path, tmp_path: Path) -> None:
    program.chmod(0o777)
    file = tmp_path / "config.toml"
    file.write_text(f'[[hooks]]\nname = "h"\non = ["*"]\nrun = ["{program}"]\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": str(tmp_path)})
    line = f'{file}: hook "h": run: anyone may write to {program}; type: chmod o-w {program}'
    assert caught.value.problems == [line]
