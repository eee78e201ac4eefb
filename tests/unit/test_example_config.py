"""config.example.toml: it loads as it is, it names every key there is and none that there is not, and the
defaults that it shows are the defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from mithrild.config import load
from mithrild.config.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
# Keys without a default, or whose example is no default.
NO_DEFAULTS = {"projects", "api_key", "state_dir", "hooks.name", "hooks.on", "hooks.run"}


def keys_of_models(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys_of_models(kind, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.get_default(call_default_factory=True)
    return found


def keys_of_table(table: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        inner = value[0] if isinstance(value, list) and isinstance(value[0], dict) else value
        found |= keys_of_table(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {prefix + name}
    return found


def uncommented() -> str:
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def test_it_loads_as_it_is_and_changes_nothing(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": ""}
    shown, default = load(EXAMPLE, env), load(None, env)
    assert not shown.warnings
    for name in ("projects", "shutdown_grace", "state_dir", "api_key", "marketplace", "poll", "log", "hooks"):
        assert getattr(shown, name) == getattr(default, name), name


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    assert keys_of_table(tomllib.loads(uncommented())) == set(keys_of_models())


def test_its_examples_are_valid_and_its_defaults_are_true(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(uncommented())
    file.chmod(0o600)
    config = load(file, {"HOME": str(tmp_path), "PATH": ""})
    [hook] = config.hooks
    shown = {
        "shutdown_grace": config.shutdown_grace,
        **{f"marketplace.{key}": value for key, value in config.marketplace},
        **{f"poll.{key}": value for key, value in config.poll},
        **{f"log.{key}": value for key, value in config.log},
        **{f"hooks.{key}": value for key, value in hook if key != "match"},
    }
    defaults = {key: value for key, value in keys_of_models().items() if not key.startswith("hooks.match.")}
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
