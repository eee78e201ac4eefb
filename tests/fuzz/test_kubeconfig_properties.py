"""Whatever a kubeconfig looks like: merging changes our own entries, and not a byte of anybody else's."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from mithril_cli.errors import Failure
from mithril_cli.kubeconfig import document
from mithril_cli.kubeconfig.credentials import Credentials
from mithril_cli.kubeconfig.document import KINDS
from mithril_cli.kubeconfig.merge import merge
from tests.unit import kubeconfig_builders as builders

OURS = {
    (size, host): builders.given("train", host, text)
    for size, text in ((1, builders.REMOTE), (2, builders.TWO))
    for host in ("198.51.100.7", "203.0.113.9")
}
VALUES = {
    "cluster": ("server: https://192.0.2.1", "server: 'https://192.0.2.1'", "server: |-\n  https://192.0.2.1"),
    "context": ("cluster: a\nuser: b", "cluster: a\n# within\nuser: b", "cluster: a\nuser:"),
    "user": ("token: abc", "password: >\n  folded\n  words\n", 'token: "a\\\n  b"', "exec:\n  args:\n  - a\n  - [b]"),
}


@dataclass
class Drawn:
    """A text, and which of its lines nobody may touch."""

    lines: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def add(self, *lines: str, kept: bool = True) -> None:
        self.lines += lines
        self.kept += lines if kept else []


@st.composite
def kubeconfigs(draw: DrawFn) -> tuple[str, Drawn]:
    drawn = Drawn()
    for key in draw(st.permutations(["apiVersion", "kind", "current-context", "x-mine", *KINDS])):
        if draw(st.booleans()):
            drawn.add(draw(st.sampled_from([f"# about {key}", "", "  # set off"])))
        if key in KINDS:
            draw_list(draw, drawn, key)
        elif key == "current-context":
            word = draw(st.sampled_from([None, "", " ''", " cellar", ' "mithril:train"']))
            if word is not None:
                drawn.add(f"{key}:{word}", kept=False)
        else:
            drawn.add(f"{key}: {'v1' if key == 'apiVersion' else 'Config' if key == 'kind' else '{a: [b]}'}")
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return newline.join(drawn.lines) + draw(st.sampled_from(["", newline, newline + "# the end" + newline])), drawn


def draw_list(draw: DrawFn, drawn: Drawn, kind: str) -> None:
    shape = draw(st.sampled_from(["absent", "null", "[]", "flow", "block", "block", "block"]))
    comment = draw(st.sampled_from(["", f"  # all {kind}"]))
    if shape == "absent":
        return
    if shape in ("null", "[]"):
        drawn.add(f"{kind}: {shape}{comment}", kept=False)
        return
    entries = draw(st.lists(st.sampled_from(["cellar", "lab", "ours", "ours"]), min_size=1, max_size=4))
    names = ["mithril:train" if name == "ours" else f"{name}-{place}" for place, name in enumerate(entries)]
    if shape == "flow":
        inner = ", ".join(f"{{name: {name}, {KINDS[kind]}: {{a: b}}}}" for name in names)
        drawn.add(f"{kind}: [{inner}]{comment}", kept=False)
        return
    drawn.add(f"{kind}:{comment}")
    step = draw(st.sampled_from(["", "  ", "    "]))
    for name in names:
        if draw(st.booleans()):
            drawn.add(f"{step}# before {name}")
        draw_entry(draw, drawn, step, name, KINDS[kind])


def draw_entry(draw: DrawFn, drawn: Drawn, step: str, name: str, what: str) -> None:
    ours = name == "mithril:train"
    quote = draw(st.sampled_from(["", "'", '"']))
    lines = [[f"name: {quote}{name}{quote}"]]
    value = draw(st.sampled_from(VALUES[what])).split("\n")
    lines.append([f"{what}:", *(f"  {line}" if line else "" for line in value)])
    flat = [line for part in draw(st.permutations(lines)) for line in part]
    if not ours and not flat[-1].strip().startswith(("folded", "words", "b", "https")) and draw(st.booleans()):
        flat[-1] += "   # behind"
    dash = draw(st.sampled_from(["- ", "-   "]))
    drawn.add(*(f"{step}{'' if not line else (' ' * len(dash) if place else dash) + line}"
                for place, line in enumerate(flat)), kept=not ours)  # fmt: skip


def is_within(few: list[str], many: list[str]) -> bool:
    """Whether all of the first stand in the second, in their order."""
    rest = iter(many)
    return all(line in rest for line in few)


@settings(max_examples=100)
@given(kubeconfigs(), st.sampled_from(sorted(OURS)), st.booleans())
def test_a_merge_changes_nothing_that_is_not_ours(
    made: tuple[str, Drawn], which: tuple[int, str], switch: bool
) -> None:
    (text, drawn), ours = made, OURS[which]
    before = document.read(text)
    after = merge(text, ours, switch=switch)
    assert merge(after, ours, switch=switch) == after
    content = document.read(after)
    assert builders.foreign(content, ours) == {**builders.foreign(before, ours), **absent(content, before, ours)}
    for kind in KINDS:
        assert [entry for entry in content[kind] if ours.owns(entry["name"])] == ours.entries[kind]
    assert content.get("current-context") == ("mithril:train" if switch else before.get("current-context"))
    assert is_within(drawn.kept, after.replace("\r\n", "\n").split("\n"))
    assert after.count("# all") == text.count("# all")
    assert ("\r\n" in text) <= (after.count("\n") == after.count("\r\n"))


def absent(content: document.Object, before: document.Object, ours: Credentials) -> document.Object:
    """The lists that hold nothing of anybody else's."""
    empty: document.Object = {kind: [] for kind in KINDS}
    return {kind: [] for kind in empty if not builders.foreign({kind: before.get(kind)}, ours).get(kind)}


@settings(max_examples=100)
@given(st.text(alphabet="ak:-[]{}'\"#&*!|>,. \n\t\r\ufeffé"), st.booleans())
def test_no_text_at_all_makes_it_stumble(text: str, switch: bool) -> None:
    for whole in (text, f"kind: Config\n{text}", f"clusters:\n- name: a\n{text}"):
        try:
            after = merge(whole, OURS[2, "203.0.113.9"], switch=switch)
        except Failure:
            continue
        assert merge(after, OURS[2, "203.0.113.9"], switch=switch) == after
