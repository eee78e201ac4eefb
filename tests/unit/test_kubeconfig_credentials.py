"""What is taken from a control node's kubeconfig, and what is not."""

from __future__ import annotations

import pytest

from mithril_cli.kubeconfig import answer, credentials
from mithril_cli.kubeconfig.document import KINDS, Unreadable
from tests.unit.kubeconfig_builders import REMOTE, TWO, given


def test_every_cluster_context_and_user_is_renamed_and_the_current_one_has_the_plain_name() -> None:
    taken = given(text=TWO)
    assert taken.context == "mithril:train"
    assert taken.entries == {
        "clusters": [
            {"cluster": {"server": "https://198.51.100.7"}, "name": "mithril:train"},
            {"cluster": {"server": "https://198.51.100.7:7443/sub"}, "name": "mithril:train:2"},
        ],
        "contexts": [
            {
                "context": {"cluster": "mithril:train", "user": "mithril:train", "namespace": "team"},
                "name": "mithril:train",
            },
            {"context": {"cluster": "mithril:train:2", "user": "mithril:train:2"}, "name": "mithril:train:2"},
        ],
        "users": [
            {"user": {"token": "one-token"}, "name": "mithril:train"},
            {"user": {"token": "two-token"}, "name": "mithril:train:2"},
        ],
    }


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("198.51.100.7", "https://198.51.100.7:6443"),
        ("control.example.org", "https://control.example.org:6443"),
        ("2001:db8::1", "https://[2001:db8::1]:6443"),
        ("fe80::1%eth0", "https://[fe80::1%25eth0]:6443"),
    ],
)
def test_the_server_is_where_the_cluster_is_reached_at_its_own_port(host: str, server: str) -> None:
    assert given(host=host).entries["clusters"][0]["cluster"]["server"] == server


def test_without_a_current_context_the_first_is_meant() -> None:
    for line in ("current-context: main\n", ""):
        text = TWO.replace("current-context: main\n", line.replace("main", "nobody"))
        assert given(text=text).entries["users"][0]["user"] == {"token": "two-token"}


def test_only_our_own_names_are_ours() -> None:
    taken = given()
    for name in ("mithril:train", "mithril:train:2", "mithril:train:10"):
        assert taken.owns(name)
    for name in ("mithril:train-2", "mithril:train:", "mithril:train:x", "mithril:train:²", "mithril:trains", "train"):
        assert not taken.owns(name)
    assert not taken.owns(3)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (REMOTE, "", "no clusters"),
        (REMOTE, "cat: no such file\n", "no kubeconfig"),
        (REMOTE, "<html>\n", "no kubeconfig"),
        (REMOTE, "kind: Config\n", "no clusters"),
        ("users:", "people:", "no users"),
        ("contexts:", "context:", "no contexts"),
        ("kind: Config", "kind: Secret", "another kind"),
        ("https://10.0.0.1:6443", "unix:///run/api", "no address"),
        ("https://10.0.0.1:6443", "https://10.0.0.1:none", "no address"),
        ("https://10.0.0.1:6443", "''", "no address"),
        ("https://10.0.0.1:6443", "42", "no text"),
        ("user: kubernetes-admin", "user: somebody", "not there"),
        ("cluster: kubernetes\n", "cluster: other\n", "not there"),
        ("cluster: kubernetes\n", "cluster: [kubernetes]\n", "not there"),
        ("client-key-data: S0VZ", "client-key-data: 42", "no text"),
        ("client-key-data: S0VZ", "token: !!binary aGk=", "no text"),
        ("client-key-data: S0VZ", "as-user-extra: {a: [.inf]}", "values that no kubeconfig has"),
        ("client-key-data: S0VZ", "as-user-extra: {1: a}", "values that no kubeconfig has"),
        ("client-key-data: S0VZ", "client-key: /etc/kubernetes/pki/admin.key", "file of the control node"),
        ("client-key-data: S0VZ", "tokenFile: /home/me/.ssh/id_ed25519", "file of the control node"),
        ("certificate-authority-data: Q0E=", "certificate-authority: /etc/ca", "file of the control node"),
        ("client-key-data: S0VZ", "exec: {command: sh, args: [-c, 'rm -rf ~']}", "run a program on this machine"),
        ("client-key-data: S0VZ", "auth-provider: {name: x, config: {cmd-path: sh}}", "run a program on this machine"),
        ("preferences: {}", "preferences: &a {}\nextensions: *a", "aliases"),
        ("- name: kubernetes-admin\n", "- name: 7\n", "not as they should be"),
        ("  user:\n", "  person:\n", "not as they should be"),
        ("clusters:\n", "clusters:\n- {name: kubernetes, cluster: {server: https://a}}\n", "not as they should be"),
        ("client-key-data: S0VZ", "client-key-data: 'S0VZ", "not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_no_whole_kubeconfig_or_reaches_into_this_machine_is_not_taken(old: str, new: str, word: str) -> None:
    assert old in REMOTE
    with pytest.raises(Unreadable, match=word) as refused:
        credentials.take(REMOTE.replace(old, new), "train", "198.51.100.7")
    assert "S0VZ" not in str(refused.value)


def test_aliases_that_would_grow_without_end_are_not_followed() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    with pytest.raises(Unreadable, match="aliases"):
        credentials.take(REMOTE + text, "train", "198.51.100.7")


def test_a_large_kubeconfig_is_taken_whole() -> None:
    more = "".join(f"- {{name: c{n}, cluster: {{server: 'https://10.0.0.1'}}}}\n" for n in range(20))
    taken = given(text=REMOTE.replace("contexts:\n", more + "contexts:\n"))
    assert [len(taken.entries[kind]) for kind in KINDS] == [21, 1, 1]


MARK = "mithril-0123"


@pytest.mark.parametrize("banner", [b"", b"Welcome!\n", b"no end of line", b"---\nkind: Config\n", b"\xff\xfe\n"])
@pytest.mark.parametrize("content", ["kind: Config\n", "kind: Config", "", "\n\n"])
def test_the_file_is_found_behind_whatever_a_login_says(banner: bytes, content: str) -> None:
    said = banner + f"\n{MARK}-begin\n{content}\n{MARK}-end\n".encode()
    assert answer.unwrap(said, MARK) == content


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"", "cut short"),
        (b"kind: Config\n", "cut short"),
        (f"\n{MARK}-begin\nkind: Config\n".encode(), "cut short"),
        (f"\n{MARK}-begin\nkind: Config\n{MARK}-en".encode(), "cut short"),
        (f"kind: Config\n{MARK}-end\n".encode(), "cut short"),
        (f"\n{MARK}-begin\n\xff\n{MARK}-end\n".encode("latin-1"), "not UTF-8"),
        (f"\n{MARK}-begin\n{'x' * 1_000_001}\n{MARK}-end\n".encode(), "larger than 1 MB"),
    ],
)
def test_an_answer_that_is_not_whole_is_told_from_one_that_is(said: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        answer.unwrap(said, MARK)
