"""`ml setup --check` and `--show`. The key itself is never shown."""

from __future__ import annotations

import os
import shlex

from mithril_cli import output
from mithril_cli.account import check
from mithril_cli.account.questions import masked
from mithril_cli.account.settings import VARIABLES, Settings, read
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    import argparse

COLUMNS = (Column("SETTING"), Column("VALUE", least=12), Column("FROM", least=12))


def show_check(args: argparse.Namespace) -> int:
    """The vendor's line is all of standard output; why, and the daemon's state, are asides."""
    found, daemon = check.check(os.environ), check.daemon_state()
    if args.json:
        words = {"api_key": found.api_key, "project": found.project, "billing": found.billing}
        output.document({"ready": found.ready, **words, "reasons": found.reasons, "daemon": daemon})
    else:
        output.write(found.line + "\n")
        output.flush()
        for part, reason in found.reasons.items():
            output.note(f"{part}: {reason}")
        output.note(check.daemon_line(daemon))
    return wire.EXIT_DONE if found.ready else wire.EXIT_FAILED


def show_settings(args: argparse.Namespace) -> int:
    settings = read(os.environ)
    shown = {**settings.values, "api_url": settings.api_url}
    if settings.key:
        shown["api_key"] = masked(settings.key)
    if args.json:
        values = {name: {"value": shown.get(name), "source": settings.sources.get(name)} for name in VARIABLES}
        head = {"file": settings.file, "profile": settings.profile, "profiles": settings.profiles}
        output.document({**head, **values})
    else:
        there = f"there are: {', '.join(settings.profiles)}" if settings.profiles else "none is written yet"
        rows = [("file", settings.file, ""), ("profile", settings.profile, there)]
        for name in VARIABLES:
            rows.append((name, shown.get(name, "none"), settings.sources.get(name, "default" if name in shown else "")))
        output.write(render(COLUMNS, rows, output.room()))
    _tell_exposed(settings)
    return wire.EXIT_DONE


def _tell_exposed(settings: Settings) -> None:
    if settings.exposed:
        output.note(f"others can read the key in this file; type: chmod 600 {shlex.quote(settings.file)}")
