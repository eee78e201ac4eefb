"""What the vendor's client does badly when it merges a kubeconfig, and ours must not."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.cluster_server import need_kubectl
from tests.acceptance.kubeconfig_rig import BANNER, LOCAL, Person, mode
from tests.integration.cli_terminal import Terminal


def test_no_key_is_ever_in_a_temporary_folder_or_a_file_that_others_can_read(person: Person) -> None:
    person.has()
    person.file.chmod(0o644)
    person.umask = 0
    before = person.temporary.stat().st_mtime_ns  # changes with every file that is made or removed in it
    assert person.update("-y", "--skip-validation").returncode == 0
    assert person.temporary.stat().st_mtime_ns == before
    (backup,) = person.others
    assert (mode(person.file), mode(person.folder / backup)) == (0o600, 0o600)


def test_a_folder_that_is_made_for_it_is_the_persons_alone(person: Person) -> None:
    person.umask = 0
    assert person.update("-y", "--skip-validation").returncode == 0
    assert (mode(person.folder), mode(person.file)) == (0o700, 0o600)


def test_whoever_reads_the_config_meanwhile_finds_the_old_one_or_the_new_one(person: Person) -> None:
    person.has()
    with person.file.open() as held:
        assert person.update("-y", "--skip-validation").returncode == 0
        assert held.read() == LOCAL  # the old file is as it was, and another is in its place
        assert os.fstat(held.fileno()).st_ino != person.file.stat().st_ino


WHOLE = "kind: Config\nclusters: []\n"
CUT = 'cat() { head -c 700 "$HOME/.kube/config"; kill -9 $$; }'


@pytest.mark.parametrize(
    ("remote", "login", "said"),
    [
        ("", "", "it has no clusters"),
        ("# nothing\n", "", "it has no clusters"),
        (WHOLE, "", "it has no clusters"),
        (None, CUT, "ssh ended with 255"),
        (None, f"{CUT.replace('kill -9 $$', 'exit 0')}", "the answer was cut short"),
        ("apiVersion: v1\nclusters:\n- cluster:\n    server: 'https", "", "it is not valid YAML (line 4)"),
        ("sudo: a password is required\n", "", "it is no kubeconfig"),
        ("just: something\n", "", "it is no kubeconfig"),
    ],
)
def test_an_empty_a_cut_or_a_broken_answer_changes_nothing(
    person: Person, remote: str | None, login: str, said: str
) -> None:
    person.has()
    if remote is not None:
        person.world.remote.write_text(remote)
    person.world.login(login)
    done = person.update("-y")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ml: nothing was changed: the kubeconfig of train was not taken: {said}\n"
    assert (person.file.read_text(), person.others) == (LOCAL, [])


def test_a_control_node_without_a_kubeconfig_is_told_of_and_nothing_is_made(person: Person) -> None:
    person.world.remote.unlink()
    done = person.update("-y")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ml: nothing was changed: ")
    assert done.stderr.endswith(": No such file or directory\n")
    assert not person.folder.exists()


def test_a_login_banner_before_the_yaml_is_survived(person: Person) -> None:
    assert person.ml("k8s", "ssh", "train", "true").stdout == f"{BANNER}\n"
    assert person.update("-y", "--skip-validation").returncode == 0
    assert person.names == [["mithril:train"]] * 3


def test_the_current_context_is_not_switched_unasked(person: Person) -> None:
    person.has()
    assert person.update("-y", "--keep-context", "--skip-validation").returncode == 0
    assert person.content["current-context"] == "cellar"
    person.has()
    with Terminal(person.env, "k8s", "update-kubeconfig", "train", "--skip-validation") as terminal:
        terminal.expect(f"Change {person.file} so? [y/N]")
        terminal.send("y\r")
        terminal.expect("Make mithril:train the current context? It is cellar now. [y/N]")
        assert person.file.read_text() == LOCAL
        terminal.send("\r")
        assert terminal.end() == 0
    assert person.names[1] == ["cellar", "mithril:train"]
    assert person.content["current-context"] == "cellar"


def test_the_current_context_is_switched_for_who_says_so(person: Person) -> None:
    person.has()
    with Terminal(person.env, "k8s", "update-kubeconfig", "train", "--skip-validation") as terminal:
        terminal.expect("so? [y/N]")
        terminal.send("y\r")
        terminal.expect("now. [y/N]")
        terminal.send("yes\r")
        assert terminal.end() == 0
    assert person.content["current-context"] == "mithril:train"


def test_it_merges_without_kubectl_and_says_that_it_was_not_tried(person: Person) -> None:
    person.has()
    tools, _, _ = person.env["PATH"].partition(os.pathsep)  # `ssh` is there, and nothing else
    done = person.update("-y", PATH=tools)
    assert (done.returncode, done.stderr) == (0, "ml: there is no kubectl on PATH, so that it was not tried\n")
    assert person.names[0] == ["cellar", "mithril:train"]


def test_several_contexts_on_the_control_node_do_not_hinder_each_other(person: Person) -> None:
    """The vendor's calls all of them the same, and kubectl refuses to merge that."""
    need_kubectl()
    text = person.world.server.kubeconfig()
    for kind, other in (("clusters", "- {name: b, cluster: {server: 'https://10.0.0.2'}}"),
                        ("contexts", "- {name: b, context: {cluster: b, user: b}}"),
                        ("users", "- {name: b, user: {token: t}}")):  # fmt: skip
        text = text.replace(f"{kind}:\n", f"{kind}:\n{other}\n")
    person.world.remote.write_text(text)
    done = person.update("-y")
    assert (done.returncode, done.stderr) == (0, "")
    assert person.names == [["mithril:train", "mithril:train:2"]] * 3
    assert person.kubectl("cluster-info").returncode == 0
