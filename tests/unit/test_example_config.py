"""config.example.toml: it loads as it is, it names every key there is and none that there is not, and the
defaults that it shows are the defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mithrild.config import Config, load
from mithrild.config.problems import table_in
from mithrild.config.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
# Keys without a default, or whose example is no default.
NO_DEFAULTS = {
    "projects",
    "api_key",
    "state_dir",
    "backup.folder",
    "hooks.name",
    "hooks.on",
    "hooks.run",
    "hooks.when",
    "hooks.quiet",
}
SECRET = "whsec_" + "c2VjcmV0" * 4


def keys_of_models(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        table = table_in(field.annotation)
        if table is not None:
            found |= keys_of_models(table, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.get_default(call_default_factory=True)
    return found


def keys_of_table(table: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        tables = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
        for inner in tables:
            found |= keys_of_table(inner, f"{prefix}{name}.")
        if not tables:
            found.add(prefix + name)
    return found


def uncommented() -> str:
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def loaded(folder: Path) -> Config:
    """The example with everything in it uncommented, and the files that it names."""
    files = {"config.toml": uncommented(), "record.secret": SECRET, ".config/mithrild/slack.url": "slack://a/b/c"}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return load(folder / "config.toml", {"HOME": str(folder), "PATH": ""})


def test_it_loads_as_it_is_and_changes_nothing(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": ""}
    shown, default = load(EXAMPLE, env), load(None, env)
    assert not shown.warnings
    for name in (
        "projects",
        "shutdown_grace",
        "state_dir",
        "api_key",
        "marketplace",
        "poll",
        "keep",
        "backup",
        "log",
        "hooks",
    ):
        assert getattr(shown, name) == getattr(default, name), name


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    shown, known = keys_of_table(tomllib.loads(uncommented())), set(keys_of_models())
    assert shown <= known
    # What cannot stand beside another key is told in words.
    missing = {key for key in known - shown if f"`{key.rpartition('.')[2]}`" not in EXAMPLE.read_text()}
    assert not missing


def test_its_examples_are_valid_and_its_defaults_are_true(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    shown = {
        "shutdown_grace": config.shutdown_grace,
        **{f"marketplace.{key}": value for key, value in config.marketplace},
        **{f"poll.{key}": value for key, value in config.poll},
        **{f"keep.{key}": value for key, value in config.keep},
        **{f"backup.{key}": value for key, value in config.backup},
        **{f"log.{key}": value for key, value in config.log},
        **{f"hooks.{key}": getattr(hook, key) for hook in config.hooks for key in hook.model_fields_set},
    }
    defaults = {key: value for key, value in keys_of_models().items() if key.count(".") < 2 and key in shown}
    assert {key: shown[key] for key in defaults if key not in NO_DEFAULTS} == {
        key: value for key, value in defaults.items() if key not in NO_DEFAULTS
    }


def test_every_key_stands_under_a_comment() -> None:
    """A line above a key, or above the keys that it shares a comment with, says what the key is for."""
    bare = []
    explained = False
    for line in EXAMPLE.read_text().splitlines():
        if re.match(r"(# )?[a-z_]+ = ", line):
            if not explained:
                bare.append(line)
        else:
            explained = line.startswith("#") and not re.match(r"# \[", line)
    assert not bare
