"""Merging changes our own entries, and nothing else to the byte."""

from __future__ import annotations

import json

import pytest

from mithril_cli.kubeconfig import document
from mithril_cli.kubeconfig.merge import Unmergeable, merge
from tests.unit.kubeconfig_builders import LOCAL, REMOTE, TWO, given

OURS = """\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: "Q0E="
    server: https://198.51.100.7:6443
  name: mithril:train
contexts:
- context:
    cluster: mithril:train
    user: mithril:train
  name: mithril:train
users:
- name: mithril:train
  user:
    client-certificate-data: "Q0VSVA=="
    client-key-data: S0VZ
"""


@pytest.mark.parametrize("empty", ["", "\n", "{}\n", "---\n", "null\n", "# nothing yet\n", "# nothing yet", "{}"])
def test_a_file_that_says_nothing_becomes_a_whole_kubeconfig(empty: str) -> None:
    made = merge(empty, given(), switch=True)
    assert document.read(made) == {**document.read(OURS), "current-context": "mithril:train"}
    assert "nothing yet" in made or "nothing yet" not in empty
    assert merge(made, given(), switch=True) == made
    assert "current-context" not in merge(empty, given(), switch=False)


def test_new_entries_come_last_in_their_lists_and_all_else_stays_to_the_byte() -> None:
    made = merge(LOCAL, given(), switch=False)
    rest = made
    for block in (
        "- cluster:\n    certificate-authority-data: Q0E=\n    server: https://198.51.100.7:6443\n"
        "  name: mithril:train\n",
        "- context:\n    cluster: mithril:train\n    user: mithril:train\n  name: mithril:train\n",
        "- user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n  name: mithril:train\n",
    ):
        assert block in rest
        rest = rest.replace(block, "", 1)
    assert rest == LOCAL


def test_the_current_context_changes_only_when_it_is_to_and_keeps_its_comment() -> None:
    assert "current-context: cellar   # on purpose\n" in merge(LOCAL, given(), switch=False)
    assert "current-context: mithril:train   # on purpose\n" in merge(LOCAL, given(), switch=True)


def test_merging_twice_is_merging_once() -> None:
    once = merge(LOCAL, given(), switch=True)
    assert merge(once, given(), switch=True) == once
    assert merge(once, given(), switch=False) == once


def test_our_entries_are_replaced_where_they_stand_and_the_comments_around_them_stay() -> None:
    once = merge(LOCAL, given(), switch=False)
    commented = once.replace("  name: mithril:train\ncontexts:", "  name: mithril:train  # ours\n# next\ncontexts:")
    commented = commented.replace("- context:\n    cluster: mithril", "# before ours\n- context:\n    cluster: mithril")
    renewed = merge(commented, given(host="203.0.113.9"), switch=False)
    assert renewed == commented.replace("198.51.100.7", "203.0.113.9")


def test_two_clusters_do_not_touch_each_other_even_if_one_is_called_like_the_second_part_of_another() -> None:
    train2 = given("train-2", host="203.0.113.2")
    text = merge(merge(LOCAL, train2, switch=False), given(text=TWO), switch=True)
    content = document.read(text)
    assert [each["name"] for each in content["clusters"]] == [
        "cellar", "lab", "mithril:train-2", "mithril:train", "mithril:train:2",
    ]  # fmt: skip
    assert merge(text, train2, switch=False) == text


def test_entries_that_the_cluster_no_longer_has_are_removed() -> None:
    two = merge(LOCAL, given(text=TWO), switch=False)
    for style in (two, two.replace("\n", "\r\n")):
        one = merge(style, given(), switch=False)
        assert one.replace("\r\n", "\n") == merge(LOCAL, given(), switch=False)
        assert one.count("\r\n") == (one.count("\n") if style is not two else 0)


def test_a_kubeconfig_in_json_stays_json() -> None:
    plain = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cellar", "cluster": {"server": "https://192.0.2.1"}}],
        "users": None,
        "current-context": "",
    }
    for indent in (None, 4):
        text = json.dumps(plain, indent=indent)
        two = merge(text, given("tra\u00adin", text=TWO), switch=True)
        content = json.loads(two)
        assert content == document.read(two)
        assert content["clusters"][0] == plain["clusters"][0]  # type: ignore[index]
        assert content["current-context"] == "mithril:tra\u00adin"
        one = merge(two, given("tra\u00adin"), switch=True)
        assert [each["name"] for each in json.loads(one)["clusters"]] == ["cellar", "mithril:tra\u00adin"]
        assert merge(one, given("tra\u00adin"), switch=True) == one


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("clusters: # all\nkind: Config\n", "clusters: # all\n- cluster:"),
        ("clusters: []   # all\nkind: Config\n", "clusters:    # all\n- cluster:"),
        ("clusters: null\nkind: Config\n", "clusters: \n- cluster:"),
        ("clusters: [\n  ]\nkind: Config\n", "clusters: \n- cluster:"),
        ("kind: Config\nclusters:", "clusters:\n- cluster:"),
        ("kind: Config", "kind: Config\nclusters:\n- cluster:"),
        ("kind: Config\nclusters:\n  - {name: a, cluster: {}}", "- {name: a, cluster: {}}\n  - cluster:\n      cert"),
        ("kind: Config\nclusters: [{name: a}]  # x\n", 'clusters: [{name: a}, {"cluster": {'),
        ("kind: Config\nclusters:\n-\n  # odd\n  name: a\n# z\n", "-\n  # odd\n  name: a\n- cluster:"),
        ("kind: Config\ncurrent-context:   # none\n", "current-context: mithril:train   # none\n"),
        ("kind: Config\ncurrent-context: ''\n", "current-context: mithril:train\n"),
        ("\ufeffkind: Config\n", "\ufeffkind: Config\nclusters:\n"),
        ("---\nkind: Config\n...\n# over\n", "kind: Config\nclusters:\n"),
        ("kind: Config\nusers:\n- name: x\n  user:\n    token: |\n      abc\n# z\n", "      abc\n- user:"),
        ("kind: Config\nusers: &them\n- name: x\nextensions: *them\nclusters:\n", "extensions: *them\n"),
        ("  kind: Config\n  clusters: []\n", "  kind: Config\n  clusters: \n  - cluster:"),
    ],
)
def test_lists_are_filled_however_they_are_written(before: str, after: str) -> None:
    if "*them" in before:
        with pytest.raises(Unmergeable):  # what is added for us would be added elsewhere too
            merge(before, given(), switch=True)
        return
    made = merge(before, given(), switch=True)
    assert after in made
    content = document.read(made)
    assert content["current-context"] == "mithril:train"
    assert [content[kind][-1]["name"] for kind in document.KINDS] == ["mithril:train"] * 3
    assert merge(made, given(), switch=True) == made
    assert all(comment in made for comment in ("# all", "# none", "# odd", "# over", "# z") if comment in before)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n", "just words\n", "42\n", "foo: bar\n", "kind: Pod\napiVersion: v1\n", "clusters: {a: b}\n",
        "clusters: [a]\n", "clusters: [{cluster: {}}]\n", "current-context: [a]\n", "kind: Config\n---\nkind: Config\n",
        "kind: Config\nkind: Config\n", "clusters: [\n", "\x00", "kind: Config\n\tbad: tab\n",
        "clusters: [2024-99-99]\n", "a: " + "[" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(document.Unreadable) as refused:
        merge(text, given(), switch=True)
    assert "bar" not in str(refused.value)


def test_words_that_old_readers_take_for_numbers_or_truths_are_quoted() -> None:
    text = REMOTE.replace("S0VZ", '"0777"').replace("Q0VSVA==", "'yes'").replace("Q0E=", "'1e5'")
    made = merge("", given("on", text=text), switch=True)
    for quoted in ('"0777"', '"yes"', '"1e5"'):
        assert quoted in made
    odd = merge("", given("a: b #c\n'\"\u2028\U0001f600"), switch=True)
    assert document.read(odd)["current-context"] == "mithril:a: b #c\n'\"\u2028\U0001f600"
