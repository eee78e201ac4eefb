"""`ml setup` itself: asks for what was not said, tries it at the marketplace, and writes it down."""

from __future__ import annotations

import os

from mithril_cli import output, picker
from mithril_cli.account import check, profiles, questions
from mithril_cli.account.file import BrokenSettings
from mithril_cli.account.marketplace import Away, KeyRefused, Marketplace
from mithril_cli.account.settings import DEFAULT_URL, VARIABLES, Settings, check_url, read
from mithril_cli.errors import Failure, Usage
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from mithril_cli.answers import Object

TRIES = 3
PROG = "ml setup"


class NoProject(Failure):
    exit_code = wire.EXIT_NOT_FOUND


def set_up(args: argparse.Namespace) -> int:
    env, asking = os.environ, picker.on_terminal()
    held = read(env, args.profile or "default")
    usual = env.get("MITHRIL_PROFILE") or held.current or "default"
    name = args.profile or (questions.profile(usual, held.profiles) if asking else usual)
    if not name.strip() or not name.isprintable():
        raise Usage("the name of a profile has to be something that can be read")
    held = read(env, name)
    url = _url(args.api_url, env, held)
    # A key belongs to its address: the one that is there is never sent to another.
    keep = held.key if url == held.api_url.rstrip("/") else None
    key, marketplace, user = _sign_in(url, keep, asking=asking, from_input=args.key_stdin)
    fid, title = _project(args.project, marketplace.projects(), held.project, asking=asking)
    in_use = held.current or ("default" if "default" in held.profiles else None)
    use = args.use or in_use in (None, name) or (asking and questions.agrees(f"use {clean(name)} from now on?"))
    kept_url = url if url != DEFAULT_URL or "api_url" in held.values else None
    profiles.write(held.file, name, {"api_key": key, "project_id": fid, "api_url": kept_url}, use=use)
    in_use = name if use else in_use
    if args.json:
        output.document(
            {
                "file": held.file,
                "profile": name,
                "current_profile": in_use,
                "api_key": questions.masked(key),
                "project": {"fid": fid, "name": title},
                "api_url": url,
            }
        )
    else:
        output.write(f"{clean(held.file)}: profile {clean(name)}, project {clean(title)} ({clean(fid)})\n")
    if not use:
        output.note(f"the profile in use is still {in_use}; --use, or MITHRIL_PROFILE={name}, takes this one")
    _tell_the_rest(env, name, url, fid, _unbilled(marketplace, user), use=use)
    return wire.EXIT_DONE


def _url(said: str | None, env: Mapping[str, str], held: Settings) -> str:
    if said:
        try:
            return check_url(said, "--api-url")
        except BrokenSettings as error:
            raise Usage(str(error)) from None
    if env.get("MITHRIL_API_URL"):
        return check_url(env["MITHRIL_API_URL"], "environment MITHRIL_API_URL")
    return check_url(held.api_url, held.sources.get("api_url", ""))


def _sign_in(url: str, keep: str | None, *, asking: bool, from_input: bool) -> tuple[str, Marketplace, Object]:
    """A key that the marketplace takes, and whose it is."""
    if not asking and not from_input and not keep:
        raise Usage(f"no key: give it on standard input ({PROG} --key-stdin), or run this on a terminal")
    given = questions.key_from_input() if from_input and not asking else keep or ""
    for left in reversed(range(TRIES if asking else 1)):
        key = questions.key(url, keep) if asking else given
        marketplace = Marketplace(url, key)
        try:
            return key, marketplace, marketplace.user()
        except KeyRefused as error:
            if not left:
                raise KeyRefused(f"{error}; nothing was written") from None
            output.note(str(error))
        except Away as error:
            raise Away(f"{error}; nothing was written") from None
    raise AssertionError


def _project(
    said: str | None, projects: list[tuple[str, str]], present: str | None, *, asking: bool
) -> tuple[str, str]:
    there = ", ".join(f"{name} ({fid})" for fid, name in projects)
    if not projects:
        raise NoProject("this key has no project: make one at the marketplace first; nothing was written")
    wanted = said or (None if asking else present)
    if wanted:
        found = check.named(projects, wanted)
        if len(found) == 1:
            return found[0]
        many = "more than one project is" if found else "no project of this key is"
        raise NoProject(f"{many} called {wanted} (there are: {there}); nothing was written")
    if len(projects) == 1:
        return projects[0]
    if not asking:
        raise Usage(f"which project? say --project NAME (there are: {there}); nothing was written")
    fid = questions.project(PROG, projects, present)
    return fid, dict(projects)[fid]


def _unbilled(marketplace: Marketplace, user: Object) -> str | None:
    try:
        code = marketplace.billing(user)
    except (KeyRefused, Away):
        return None  # `--check` tells
    return None if code == "ok" else code


def _tell_the_rest(
    env: Mapping[str, str], name: str, url: str, project: str, unbilled: str | None, *, use: bool
) -> None:
    """What stands between this and working with it."""
    if unbilled:
        output.note(f"billing is not ready ({unbilled}): the marketplace may refuse to place bids")
    for variable in (*VARIABLES.values(), "MITHRIL_PROFILE"):
        if env.get(variable) and not (variable == "MITHRIL_PROFILE" and env[variable] == name):
            output.note(f"{variable} is set in this environment, and goes before the profile")
    if not use:
        return
    state = check.daemon_state()
    if not state["running"]:
        output.note(str(state["reason"]))
    elif state["sandbox"]:
        output.note("the daemon that answers here watches the sandbox, and keeps to it")
    elif state["key"] in ("missing", "refused"):
        output.note("the daemon takes up the new key within seconds")
    elif state["api_url"] != url or project not in state["projects"]:
        output.note("the daemon still watches what it did: systemctl --user restart mithrild (or stop it and start it)")
    else:
        output.note("the daemon takes up a new key when told: systemctl --user reload mithrild (or send it SIGHUP)")
