"""How the file on this machine is chosen, locked, saved and replaced."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from mithril_cli.errors import Failure
from mithril_cli.kubeconfig import files

BEFORE, AFTER = b"kind: Config\n", b"kind: Config\nusers: []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_bytes(BEFORE)
    return path


def change(file: Path, before: bytes | None = BEFORE, *, backup: bool = False) -> str | None:
    return files.change(str(file), before, AFTER, backup=backup)


def beside(file: Path) -> list[str]:
    return sorted(each.name for each in file.parent.iterdir() if each != file)


def test_the_file_is_the_homes_own_or_the_one_that_kubectl_would_change(tmp_path: Path) -> None:
    for name in ("there", "too"):
        (tmp_path / name).touch()
    at = {name: str(tmp_path / name) for name in ("there", "too", "not", "neither")}
    for named, chosen in (
        (None, "/home/me/.kube/config"),
        ("", "/home/me/.kube/config"),
        (":", "/home/me/.kube/config"),
        (at["not"], at["not"]),
        (f"{at['not']}:{at['there']}:{at['too']}", at["there"]),
        (f":{at['too']}:{at['there']}", at["too"]),
        (f"{at['not']}:{at['neither']}:", at["neither"]),
    ):
        assert files.choose({"HOME": "/home/me", **({} if named is None else {"KUBECONFIG": named})}) == chosen
    assert files.choose({"HOME": "/home/me", "KUBECONFIG": "mine"}) == os.path.abspath("mine")


def test_what_is_written_is_private_before_it_is_in_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace = os.replace

    def look(source: str, target: str) -> None:
        seen.append((stat.S_IMODE(os.stat(source).st_mode), os.path.dirname(source), Path(source).read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    before = os.umask(0)
    try:
        change(file)
    finally:
        os.umask(before)
    assert seen == [(0o600, str(file.parent), AFTER)]
    assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes(), beside(file)) == (0o600, AFTER, [])


def test_a_write_that_fails_leaves_everything_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(Failure, match="No space left on device; nothing was changed"):
                change(file, backup=name == "fsync")
        assert (file.read_bytes(), beside(file)) == (BEFORE, [])


def test_a_link_is_kept_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "kube").mkdir()
    target, link = tmp_path / "dotfiles" / "kubeconfig", tmp_path / "kube" / "config"
    target.write_bytes(BEFORE)
    link.symlink_to("../dotfiles/kubeconfig")
    saved = change(link, backup=True)
    assert (os.readlink(link), target.read_bytes()) == ("../dotfiles/kubeconfig", AFTER)
    assert saved is not None
    assert os.path.dirname(saved) == str(link.parent)  # not among the dotfiles, which others may read
    assert beside(target) == []
    link.unlink()
    link.symlink_to(tmp_path / "new" / "config")  # leads nowhere yet
    change(link, None)
    assert (tmp_path / "new" / "config").read_bytes() == AFTER
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_backup_never_takes_the_place_of_another(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "20261124_104857")
    (file.parent / "config.backup.20261124_104857_2").write_text("mine")
    saved = []
    for _ in range(3):
        file.write_bytes(BEFORE)
        saved.append(change(file, backup=True))
    names = [f"{file}.backup.20261124_104857{more}" for more in ("", "_3", "_4")]
    assert saved == names
    assert all(Path(name).read_bytes() == BEFORE and stat.S_IMODE(os.stat(name).st_mode) == 0o600 for name in names)
    assert (file.parent / "config.backup.20261124_104857_2").read_text() == "mine"


def test_a_file_that_was_changed_meanwhile_is_left_alone(file: Path) -> None:
    file.write_bytes(b"theirs")
    for before in (BEFORE, None):
        with pytest.raises(Failure, match="changed by another program meanwhile"):
            change(file, before, backup=True)
    assert (file.read_bytes(), beside(file)) == (b"theirs", [])
    file.unlink()
    with pytest.raises(Failure, match="changed by another program meanwhile"):
        change(file)
    assert not file.exists()


def test_the_lock_of_kubectl_is_respected_and_given_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0.1)
    lock = Path(f"{file}.lock")
    lock.touch()
    with pytest.raises(Failure, match=f"If none is, remove {lock}"):
        change(file)
    assert (file.read_bytes(), lock.exists()) == (BEFORE, True)
    lock.unlink()
    change(file)
    assert not lock.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_file_stays_its_owners_when_root_changes_it(file: Path) -> None:
    os.chown(file, 1234, 2345)
    saved = change(file, backup=True)
    assert saved is not None
    for each in (file, Path(saved)):
        assert (each.stat().st_uid, each.stat().st_gid) == (1234, 2345)


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    pipe, loop, large = tmp_path / "pipe", tmp_path / "loop", tmp_path / "large"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with large.open("wb") as stream:
        stream.truncate(files.MOST_BYTES + 1)
    for path, said in (
        (pipe, "is no file"),
        (tmp_path, "Is a directory"),
        (loop, "symbolic links"),
        (large, "larger than 10 MB"),
    ):
        with pytest.raises(Failure, match=said):
            files.read(str(path))
    assert files.read(str(tmp_path / "none")) is None
