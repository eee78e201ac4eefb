"""The vendor's own settings: its `config.yaml`, and the profile in it that is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mithrild.config.sources import read_text


@dataclass
class Vendor:
    file: Path
    profile: str | None = None
    api_key: SecretStr | None = None
    project: str | None = None
    api_url: str | None = None
    exposed: str | None = None  # what to do where others can read the key
    problems: list[str] = field(default_factory=list)

    def place(self, key: str) -> str:
        return f"{self.file}: profiles.{self.profile}.{key}"


def read_vendor(file: Path, env: Mapping[str, str]) -> Vendor:
    """Never raises. Nothing of the file's values goes into a problem: any of them may be a key."""
    vendor = Vendor(file)
    wanted = env.get("MITHRIL_PROFILE") or None
    text = read_text(file)
    if text.trouble:
        vendor.problems.append(f"{file}: {text.trouble}")
    if text.content is None:
        if wanted and not text.trouble:
            vendor.problems.append(f'environment MITHRIL_PROFILE: no profile "{wanted}", since there is no {file}')
        return vendor
    content = _parse(vendor, text.content)
    if content is not None:
        _take_profile(vendor, content, wanted)
    if "api_key" in text.content:
        vendor.exposed = text.exposed(file)
    return vendor


def _parse(vendor: Vendor, text: str) -> dict[Any, Any] | None:
    where = ""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        # Only the place: the parser's own words quote the file.
        if error.problem_mark is not None:
            where = f" (at line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1})"
    except (YAMLError, ValueError, RecursionError):  # ValueError: a date or number that is none
        pass
    else:
        if content is None:
            return {}
        if isinstance(content, dict):
            return content
        vendor.problems.append(f"{vendor.file}: must be a table of settings")
        return None
    vendor.problems.append(f"{vendor.file}: not valid YAML{where}")
    return None


def _take_profile(vendor: Vendor, content: dict[Any, Any], wanted: str | None) -> None:
    profiles = content.get("profiles")
    if profiles is None:
        profiles = {}
    if not isinstance(profiles, dict):
        vendor.problems.append(f"{vendor.file}: profiles: must be a table")
        return
    current = content.get("current_profile")
    if current is not None and not isinstance(current, str):
        vendor.problems.append(f"{vendor.file}: current_profile: must be text")
        return
    name = wanted or current or "default"
    if name not in profiles:
        if wanted or current:
            place = "environment MITHRIL_PROFILE" if wanted else f"{vendor.file}: current_profile"
            names = [str(profile) for profile in profiles]
            near = get_close_matches(name, names, n=1)
            hint = f' (did you mean "{near[0]}"?)' if near else f" (there are: {', '.join(names) or 'none'})"
            suffix = f" in {vendor.file}" if wanted else ""
            vendor.problems.append(f'{place}: no profile "{name}"{suffix}{hint}')
        return
    vendor.profile = name
    profile = profiles[name]
    if not isinstance(profile, dict):
        vendor.problems.append(f"{vendor.file}: profiles.{name}: must be a table")
        return
    key = _text(vendor, profile, "api_key")
    vendor.api_key = SecretStr(key) if key else None
    vendor.project = _text(vendor, profile, "project_id")
    vendor.api_url = _text(vendor, profile, "api_url")


def _text(vendor: Vendor, profile: dict[Any, Any], key: str) -> str | None:
    value = profile.get(key)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    vendor.problems.append(f"{vendor.place(key)}: must be text")
    return None
