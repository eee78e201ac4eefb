"""A cluster's credentials, from its control node into the kubeconfig, and from there into kubectl."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.cluster_server import need_kubectl
from tests.acceptance.kubeconfig_rig import LOCAL, Person
from tests.acceptance.sshd import make_key
from tests.integration.cli_terminal import CTRL_C, Terminal


def test_credentials_are_fetched_saved_merged_and_tried_and_kubectl_works_with_them(person: Person) -> None:
    need_kubectl()
    person.has()
    del person.world.server.asked[:]
    done = person.update("-y")
    assert (done.returncode, done.stderr) == (0, "")
    (backup,) = person.others
    assert re.fullmatch(r"config\.backup\.\d{8}_\d{6}", backup)
    assert (person.folder / backup).read_text() == LOCAL
    assert done.stdout.splitlines() == [
        f"kubeconfig  {person.file}",
        "context     mithril:train",
        "current     mithril:train",
        f"backup      {person.folder / backup}",
        "validation  passed",
    ]
    assert "/api/v1/namespaces/kube-system/services" in person.world.server.asked
    for line in LOCAL.splitlines():
        if line != "current-context: cellar":
            assert f"{line}\n" in person.file.read_text()
    shown = person.kubectl("cluster-info")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"https://127.0.0.1:{person.world.server.port}" in shown.stdout
    for what, names in (("get-clusters", {"NAME", "cellar", "mithril:train"}), ("current-context", {"mithril:train"})):
        assert set(person.kubectl("config", what).stdout.split()) == names


def test_what_is_there_already_is_left_alone_with_its_one_backup(person: Person) -> None:
    person.has()
    assert person.update("-y", "--skip-validation").returncode == 0
    before, text = person.file.stat(), person.file.read_text()
    done = person.update("-y", "--skip-validation", "--json")
    report = json.loads(done.stdout)
    assert (report["changed"], report["backup"], report["validation"]) == (False, None, "skipped")
    after = person.file.stat()
    assert (after.st_ino, after.st_mtime_ns, len(person.others)) == (before.st_ino, before.st_mtime_ns, 1)
    person.world.remote.write_text(person.world.server.kubeconfig())  # another certificate of the same authority
    report = json.loads(person.update("-y", "--skip-validation", "--json", "--no-backup").stdout)
    assert report == {
        "kubeconfig": str(person.file),
        "context": "mithril:train",
        "contexts": ["mithril:train"],
        "changed": True,
        "backup": None,
        "current_context": "mithril:train",
        "validation": "skipped",
        "error": None,
    }
    changed = [
        old for old, new in zip(text.splitlines(), person.file.read_text().splitlines(), strict=True) if old != new
    ]
    assert [line.split(":")[0].strip() for line in changed] == ["client-certificate-data", "client-key-data"]


def test_a_cluster_that_does_not_answer_is_exit_1_and_the_merge_stays(person: Person) -> None:
    need_kubectl()
    person.has()
    person.world.remote.write_text(person.world.server.kubeconfig(ca="bm90IGEgY2VydGlmaWNhdGU="))
    done = person.update("-y")
    assert (done.returncode, "validation  failed" in done.stdout) == (1, True)
    assert done.stderr.startswith("ml: `kubectl --context mithril:train cluster-info` fails: ")
    assert done.stderr.endswith(f"; what was merged stays in {person.file}\n")
    assert done.stderr.count("\n") == 1
    assert person.names[0] == ["cellar", "mithril:train"]
    report = json.loads(person.update("-y", "--json").stdout)
    assert (report["validation"], bool(report["error"])) == ("failed", True)


def test_without_a_terminal_and_without_yes_nobody_is_dialled(person: Person) -> None:
    person.has()
    before = person.world.sshd.logins()
    done = person.update()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "ml: a change of the kubeconfig has to be confirmed, and there is no terminal to ask on: say -y\n"
    )
    assert (person.file.read_text(), person.world.sshd.logins()) == (LOCAL, before)
    assert person.ml("k8s", "update-kubeconfig", "-y").returncode == 2
    assert person.ml("k8s", "update-kubeconfig", "nobodys", "-y").returncode == 6


def test_a_person_is_shown_what_changes_and_may_say_no(person: Person) -> None:
    person.has()
    with Terminal(person.env, "k8s", "update-kubeconfig", "train") as terminal:
        terminal.expect("[y/N]")
        terminal.send("n\r")
        assert terminal.end() == 1
    assert [line.split() for line in terminal.text.splitlines()[1:5]] == [
        ["CHANGE", "WHAT", "NAME", "SERVER"],
        ["add", "cluster", "mithril:train", f"https://127.0.0.1:{person.world.server.port}"],
        ["add", "context", "mithril:train"],
        ["add", "user", "mithril:train"],
    ]
    assert terminal.text.endswith("ml: nothing was changed\n")
    with Terminal(person.env, "k8s", "update-kubeconfig", "train") as terminal:
        terminal.expect("[y/N]")
        terminal.send(CTRL_C)
        assert terminal.end() == 130
    assert (person.file.read_text(), person.others) == (LOCAL, [])


def test_a_cluster_that_is_not_named_is_picked(person: Person) -> None:
    with Terminal(person.env, "k8s", "update-kubeconfig", "--skip-validation") as terminal:
        terminal.expect("which cluster?")
        terminal.send("train\r")
        terminal.expect("so? [y/N]")
        terminal.send("y\r")
        terminal.expect("There is none now. [y/N]")
        terminal.send("y\r")
        assert terminal.end() == 0
    assert person.content["current-context"] == "mithril:train"


def test_two_clusters_are_kept_side_by_side(person: Person) -> None:
    for cluster in ("train", "clust_eval"):
        assert person.ml("k8s", "update-kubeconfig", cluster, "-y", "--skip-validation").returncode == 0
    assert person.names == [["mithril:train", "mithril:eval"]] * 3
    assert person.content["current-context"] == "mithril:eval"


def test_of_several_files_in_the_environment_the_first_that_exists_is_changed_and_holds(person: Person) -> None:
    need_kubectl()
    person.has()
    missing, first = person.folder / "missing", person.folder / "first"
    first.write_text("kind: Config\n")
    several = f"{missing}::{first}:{person.file}"
    done = person.update("-y", "--no-backup", KUBECONFIG=several)
    assert (done.returncode, missing.exists(), person.file.read_text()) == (0, False, LOCAL)
    assert "mithril:train" in first.read_text()
    person.env["KUBECONFIG"] = several
    assert person.kubectl("config", "current-context").stdout == "mithril:train\n"
    assert person.kubectl("cluster-info").returncode == 0
    done = person.update("-y", KUBECONFIG=f"{missing}:{missing}2")
    assert (done.returncode, missing.exists(), Path(f"{missing}2").exists()) == (0, False, True)


def test_a_kubeconfig_in_json_is_understood_by_kubectl_afterwards(person: Person) -> None:
    need_kubectl()
    person.has(json.dumps({"kind": "Config", "apiVersion": "v1", "clusters": [], "users": None}, indent=2))
    assert person.update("-y").returncode == 0
    assert json.loads(person.file.read_text())["current-context"] == "mithril:train"


@pytest.mark.parametrize(
    "text",
    ["- a list\n", "my: notes\n", "kind: Pod\napiVersion: v1\n", "clusters: {a: b}\n", "a: [\n", "kind: Config\n" * 2],
)
def test_a_local_file_that_is_no_kubeconfig_is_refused_before_anybody_is_dialled(person: Person, text: str) -> None:
    person.has(text)
    before = person.world.sshd.logins()
    done = person.update("-y")
    assert (done.returncode, done.stdout, person.world.sshd.logins()) == (1, "", before)
    assert done.stderr.startswith(f"ml: {person.file}: it is no")
    assert done.stderr.endswith("; nothing was changed\n")
    assert (person.file.read_text(), person.others) == (text, [])


def test_a_key_that_is_refused_is_named(person: Person, tmp_path: Path) -> None:
    person.has()
    wrong = make_key(tmp_path / "wrong")
    env = person.world.sshd.client_env(person.env, tmp_path, identity=wrong)
    done = person.update("-y", "-i", str(wrong), **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ml: nothing was changed: the kubeconfig of train was not taken: train refused ")
    assert f"{wrong} (ED25519 SHA256:" in done.stderr
    assert person.update("-y", "--skip-validation", "-i", str(person.world.sshd.key), **env).returncode == 0
    assert person.update("-y", "-i", str(tmp_path / "none")).returncode == 2


def test_a_cluster_without_an_address_and_one_that_has_ended_are_told_so(person: Person) -> None:
    for name, word in (("queued", "has no address yet"), ("old", "is terminated")):
        done = person.ml("k8s", "update-kubeconfig", name, "-y")
        assert (done.returncode, done.stdout, word in done.stderr) == (1, "", True)
    assert not person.folder.exists()
