"""What a bad configuration is told: every problem at once, each on one line, with its file or variable and its key."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mithrild.config import Hook, load
from mithrild.config.settings import Settings
from mithrild.errors import ConfigError


def hook(**keys: str) -> str:
    """A hook table in which some keys are written differently, or (as "") not at all."""
    written = {"name": '"h"', "on": '["bid.gone"]', "run": '["/bin/sh"]'} | keys
    return "[[hooks]]\n" + "".join(f"{key} = {value}\n" for key, value in written.items() if value)


def problems(home: Path, toml: str | None = None, vendor: str | None = None, **env: str) -> list[str]:
    """The lines that loading gives, with the files' folder left out."""
    folder = home / ".config"
    for name, text in (("mithrild/config.toml", toml), ("mithril/config.yaml", vendor)):
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
    try:
        load(None, {"HOME": str(home), "PATH": "/usr/bin:/bin"} | env)
    except ConfigError as error:
        return [line.replace(f"{folder}/mithrild/", "").replace(f"{folder}/mithril/", "") for line in error.problems]
    return []


RUN_LIST = 'must be a list, since no shell runs it: ["/path/to/program", "argument"]'
IN_FILE: list[tuple[str, str]] = [
    ('[poll]\nactve = "5s"', 'poll.actve: unknown key (did you mean "active"?)'),
    ('project = ["a"]', 'project: unknown key (did you mean "projects"?)'),
    ("[pol]\n", 'pol: unknown key (did you mean "poll"?)'),
    ('[poll]\nprojects = ["a"]', "poll.projects: belongs above the first [table] of the file"),
    ("[log]\nzzz = 1", "log.zzz: unknown key (there are: level)"),
    ('"a\\nb" = 1', "a\\nb: unknown key (there are: "),
    ('projects = "a"', 'projects: must be a list: ["a"]'),
    ("projects = []", "projects: must not be empty"),
    ('projects = [""]', "projects: must not be empty"),
    ("projects = [1]", "projects: must be text in quotes"),
    ("projects = 1", "projects: must be a list"),
    ("poll = 3", "poll: must be a table"),
    ("[poll]\nidle = 30", 'poll.idle: must be a duration in quotes, such as "5s"'),
    ('[poll]\nidle = "30"', 'poll.idle: not a duration: "30" (write it like "250ms"'),
    ('[poll]\nidle = "1ms"', "poll.idle: 1ms is outside 100ms to 7d"),
    ('[poll]\nidle = "8d"', "poll.idle: 8d is outside 100ms to 7d"),
    ('shutdown_grace = "6m"', "shutdown_grace: 6m is outside 0s to 5m"),
    ('[marketplace]\nread_timeout = "0s"', "marketplace.read_timeout: 0s is outside 100ms to 5m"),
    ('[marketplace]\nrequests_per_minute = "300"', "marketplace.requests_per_minute: must be a whole number"),
    ("[marketplace]\nrequests_per_minute = 2.5", "marketplace.requests_per_minute: must be a whole number"),
    ("[marketplace]\nrequests_per_minute = true", "marketplace.requests_per_minute: must be a whole number"),
    ("[marketplace]\nrequests_per_minute = 9", "marketplace.requests_per_minute: must be at least 10"),
    ("[marketplace]\nrequests_per_minute = 100001", "marketplace.requests_per_minute: must be at most 100000"),
    ('[marketplace]\napi_url = "http://api.example.org"', "marketplace.api_url: must begin with https://"),
    ('[marketplace]\napi_url = "http://127.0.0.1.example.org"', "marketplace.api_url: must begin with https://"),
    ('[marketplace]\napi_url = "http://10.0.0.1"', "marketplace.api_url: must begin with https://"),
    ('[marketplace]\napi_url = "ftp://127.0.0.1"', "marketplace.api_url: must begin with https://"),
    ('[marketplace]\napi_url = "api.example.org"', "marketplace.api_url: must be an address such as https://"),
    ('[marketplace]\napi_url = ""', "marketplace.api_url: must be an address such as https://"),
    ('[marketplace]\napi_url = "https://u:p@host"', "marketplace.api_url: must be a bare address"),
    ('[marketplace]\napi_url = "https://host/?x=1"', "marketplace.api_url: must be a bare address"),
    ('[marketplace]\napi_url = "https://host:99999"', "marketplace.api_url: not an address that can be read"),
    ('[marketplace]\napi_url = "https://[host"', "marketplace.api_url: not an address that can be read"),
    ('[log]\nlevel = "loud"', "log.level: must be 'debug', 'info', 'warning' or 'error'"),
    ('state_dir = "here"', "state_dir: must be an absolute path, or one under ~/"),
    ("api_key = 5", "api_key: must be text in quotes"),
    ('api_key = "fkey one"', "api_key: has characters that no API key has"),
    ("hooks = 1", "hooks: must be a list of tables: write [[hooks]]"),
    ("[hooks]\nname = 'x'", "hooks: must be a list of tables: write [[hooks]]"),
    ("hooks = [1]", "hook 1: must be a table"),
    (hook(name=""), "hook 1: name: missing"),
    (hook(name="5"), "hook 1: name: must be text in quotes"),
    (hook(name='"a b"'), 'hook "a b": name: must be 1 to 64 letters'),
    (hook(name='""'), 'hook "": name: must be 1 to 64 letters'),
    (hook(on=""), 'hook "h": on: missing'),
    (hook(on="[]"), 'hook "h": on: must not be empty'),
    (hook(on='"bid.gone"'), 'hook "h": on: must be a list: ["bid.gone"]'),
    (hook(on="[1]"), 'hook "h": on: must be text in quotes'),
    (
        hook(on='["instnace.*"]'),
        'hook "h": on: unknown family of events in "instnace.*" (did you mean "instance"?)',
    ),
    (hook(on='["zzz.running"]'), 'hook "h": on: unknown family of events in "zzz.running" (there are: bid, instance'),
    (hook(on='["bid.plced"]'), 'hook "h": on: unknown event "bid.plced" (did you mean "bid.placed"?)'),
    (hook(on='["cluster.availble"]'), 'unknown event "cluster.availble" (did you mean "cluster.available"?)'),
    (hook(on='["watch.gaps"]'), 'unknown event "watch.gaps" (did you mean "watch.gap"?)'),
    (hook(on='["instance"]'), 'unknown event "instance"'),
    (hook(on='["instance."]'), 'unknown event "instance.": a status is written in lower case'),
    (hook(on='["instance.STATUS_RUNNING"]'), "a status is written in lower case, such as instance.running"),
    (hook(on='["bid.zz*"]'), 'hook "h": on: "bid.zz*" takes in no event'),
    (hook(on='["Bid.*"]'), 'hook "h": on: unknown family of events in "Bid.*" (did you mean "bid"?)'),
    (hook(on='["*.zz"]'), 'hook "h": on: "*.zz" takes in no event'),
    (hook(on='["hook*"]'), '"hook*" takes in no event: news of hooks needs a pattern that begins with "hook."'),
    (hook(on='[""]'), 'hook "h": on: unknown event ""'),
    (hook(run=""), 'hook "h": no action: add one of run, webhook, notify, ssh'),
    (hook(run='"echo hello"'), f'hook "h": run: {RUN_LIST}'),
    (hook(run="[]"), 'hook "h": run: names no program'),
    (hook(run='[""]'), 'hook "h": run: names no program'),
    (hook(run='["bin/x"]'), 'hook "h": run: "bin/x": the program must be an absolute path'),
    (hook(run='["~other/x"]'), 'hook "h": run: "~other/x": the program must be an absolute path'),
    (hook(run='["/bin/sh", "a\\u0000b"]'), 'hook "h": run: a NUL character'),
    (hook(run='["no-such-program"]'), 'hook "h": run: no-such-program is not on PATH'),
    (hook(env='"HOME"'), 'hook "h": env: must be a list: ["HOME"]'),
    (hook(env='["A B"]'), 'hook "h": env: "A B" is not the name of a variable'),
    (hook(env='["MITHRIL_API_KEY"]'), 'hook "h": env: "MITHRIL_API_KEY" is passed to no command'),
    (hook(env='["MITHRILD_HOST"]'), 'hook "h": env: "MITHRILD_HOST" is passed to no command'),
    (hook(run='["/bin/sh", 5]'), 'hook "h": run: must be text in quotes'),
    (hook(notify='"ntfy://s3cret"'), 'hook "h": notify: must be a list: ["ntfy://topic"]'),
    (hook(notify="[]"), 'hook "h": notify: must not be empty'),
    (hook(notify="[5]"), 'hook "h": notify: must be an address in quotes, or a table'),
    (hook(notify='["s3cret"]'), 'hook "h": notify: must be an address such as ntfy://topic'),
    (hook(notify='["nfty://s3cret"]'), 'notify: there is no service "nfty://" (did you mean "ntfy://"?)'),
    (hook(notify='["slack://s3cret"]'), 'notify: what follows "slack://" is not as that service wants it'),
    (hook(notify='["https://example.org/s3cret"]'), 'notify: no service is known at this "https://" address'),
    (hook(notify='["desktop://", { url_env = "NONE" }]'), 'hook "h": notify: the variable NONE is not set'),
    (hook(notify='[{ url_fiel = "x" }]'), 'hook "h": notify.url_fiel: unknown key (did you mean "url_file"?)'),
    (hook(ssh="5"), 'hook "h": ssh: must be a table'),
    (hook(ssh='" "'), 'hook "h": ssh.command: names no command'),
    (hook(ssh="{}"), 'hook "h": ssh.command: missing'),
    (hook(ssh='{ command = "x", node = "first" }'), 'hook "h": ssh.node: unknown key (did you mean "nodes"?)'),
    (hook(ssh='{ command = "x", nodes = "last" }'), "hook \"h\": ssh.nodes: must be 'all' or 'first'"),
    (hook(ssh='{ command = "x", strict = "yes" }'), 'hook "h": ssh.strict: must be true or false'),
    (hook(ssh='{ command = "x", port = 0 }'), 'hook "h": ssh.port: must be at least 1'),
    (hook(ssh='{ command = "x", user = "a b" }'), 'hook "h": ssh.user: "a b" is not the name of a user'),
    (hook(ssh='{ command = "x", jump = "a b" }'), 'hook "h": ssh.jump: "a b" names no machine: write it like'),
    (hook(ssh='{ command = "x", key = "none" }'), 'hook "h": ssh.key: none cannot be read: No such file'),
    (hook(webhook='"http://example.org/x"'), 'hook "h": webhook: must begin with https:// (for plain http, name its'),
    (hook(webhook='"https://"'), 'hook "h": webhook: must be an address such as https://example.org/hook'),
    (hook(webhook='"https://host:99999"'), 'hook "h": webhook: not an address that can be read'),
    (hook(webhook='"https://host/a b"'), 'hook "h": webhook: must be an address such as https://example.org/hook'),
    (hook(webhook='"https://host/#x"'), 'hook "h": webhook: what follows a # is never sent'),
    (hook(webhook='"ftp://host/s3cret"'), 'hook "h": webhook: must begin with https://'),
    (hook(webhook="5"), 'hook "h": webhook: must be an address in quotes, or a table'),
    (hook(webhook="{ url = 5 }"), 'hook "h": webhook.url: must be text in quotes'),
    (hook(webhook="{}"), 'hook "h": webhook: needs one of url, url_file and url_env'),
    (hook(webhook='{ url = "https://x", url_env = "X" }'), 'hook "h": webhook: needs one of url, url_file and url_env'),
    (hook(webhook='{ url = "https://x", uri = "x" }'), 'hook "h": webhook.uri: unknown key (did you mean "url"?)'),
    (hook(webhook='{ url = "https://x", secret_env = "A B" }'), 'hook "h": webhook.secret_env: "A B" is not the name'),
    (hook(webhook='{ url = "https://x", secret_file = "" }'), 'hook "h": webhook.secret_file: names no file'),
    (
        hook(webhook='{ url = "https://x", secret_file = "a", secret_env = "A" }'),
        'hook "h": webhook: has both secret_file and secret_env: one of them is enough',
    ),
    (
        hook(webhook='{ url = "http://x", allow_http = "x" }'),
        'hook "h": webhook.allow_http: must be a list: ["x"]',
    ),
    (hook(webhook='{ url_env = "NOWHERE" }'), 'hook "h": webhook.url_env: the variable NOWHERE is not set'),
    (hook(webhook='{ url_file = "none" }'), 'hook "h": webhook.url_file: none cannot be read: No such file'),
    (
        hook(webhook='{ url = "https://x", secret_file = "none" }'),
        'hook "h": webhook.secret_file: none cannot be read: No such file',
    ),
    (hook(match='{ bids = "x" }'), 'hook "h": match.bids: unknown key (did you mean "bid"?)'),
    (hook(match="{ bid = 5 }"), 'hook "h": match.bid: must be text in quotes'),
    (hook(match='{ bid = "" }'), 'hook "h": match.bid: must not be empty'),
    (hook(match='"x"'), 'hook "h": match: must be a table'),
    (hook(match="{ bid = [] }"), 'hook "h": match.bid: must not be empty'),
    (hook(match='{ bid = ["a", ""] }'), 'hook "h": match.bid: must not be empty'),
    (hook(match='{ bid = ["a", 5] }'), 'hook "h": match.bid: must be text in quotes'),
    (hook(match='{ bid = "tr[z-a]n" }'), 'hook "h": match.bid: "tr[z-a]n" can match nothing: its [ ] is empty'),
    (hook(match='{ node = ">4" }'), 'hook "h": match.node: unknown key (did you mean "nodes"?)'),
    (hook(match='{ remain = ">4m" }'), 'hook "h": match.remain: unknown key (did you mean "remaining"?)'),
    (hook(match='{ nodes = "" }'), 'hook "h": match.nodes: "" is no comparison: write it like ">=4"'),
    (hook(match='{ nodes = "=>4" }'), 'hook "h": match.nodes: "=>4" is no comparison'),
    (hook(match='{ nodes = ">=four" }'), 'hook "h": match.nodes: "four" is no whole number'),
    (hook(match="{ nodes = 4 }"), 'hook "h": match.nodes: must be a comparison in quotes, such as ">=4"'),
    (hook(match='{ nodes = ">=2, <1" }'), 'hook "h": match.nodes: ">=2, <1" can never match'),
    (hook(match='{ nodes = ">2, <3" }'), 'hook "h": match.nodes: ">2, <3" can never match'),
    (hook(match='{ nodes = "<1" }'), 'hook "h": match.nodes: "<1" can never match'),
    (hook(match='{ price = ">=ten" }'), 'hook "h": match.price: "ten" is no price'),
    (hook(match='{ price = ">$1, <=$1" }'), 'hook "h": match.price: ">$1, <=$1" can never match'),
    (hook(match='{ remaining = ">2" }'), 'hook "h": match.remaining: not a duration: "2"'),
    (hook(match='{ remaining = "<1ms" }'), 'hook "h": match.remaining: "<1ms" can never match'),
    (
        hook(match='{ provenance = "live" }'),
        'match.provenance: no event has the provenance "live" (there are: observed',
    ),
    (hook(match='{ provenance = "observd" }'), 'provenance "observd" (did you mean "observed"?)'),
    (
        hook(match='{ remaining = ">2m" }'),
        'hook "h": match.remaining: can never match, since no event of `on` has a dead',
    ),
    (
        hook(on='["marketplace.*"]', match='{ region = "us-*" }'),
        'hook "h": match.region: can never match, since no event of `on` carries a region',
    ),
    (
        hook(on='["cluster.*"]', match='{ bid = "*" }'),
        "match.bid: can never match, since no event of `on` carries a bid",
    ),
    (hook(on='["cluster.*"]', match='{ nodes = "1" }'), "no event of `on` carries a number of nodes"),
    (
        hook(on='["*", "!bid.*", "!instance.*", "!hook.*"]', match='{ type = "h100*" }'),
        "match.type: can never match, since no event of `on` carries a type of instance",
    ),
    (hook(quiet='"23:00-07:00"'), 'hook "h": quiet: holds back notify alone, and this hook has none'),
    (hook(quiet='"at night"'), 'hook "h": quiet: must be hours such as "23:00-07:00", or "23:00-07:00 Europe/Berlin"'),
    (hook(quiet='"23:00-25:00"'), 'hook "h": quiet: must be hours such as'),
    (hook(quiet="23"), 'hook "h": quiet: must be hours such as'),
    (hook(quiet='"07:00-7:00"'), 'hook "h": quiet: begins when it ends'),
    (hook(quiet='"23:00-07:00 Europe/Belrin"'), 'hook "h": quiet: no time zone is called "Europe/Belrin"'),
    (hook(quiet='"23:00-07:00 ../x"'), 'hook "h": quiet: no time zone is called "../x"'),
    (hook(when='"first"'), 'hook "h": when: "first" counts notices, and no event of `on` belongs to one'),
    (hook(when='"last"'), "hook \"h\": when: must be 'first'"),
    (hook(on='["!bid.gone"]'), 'hook "h": on: only leaves events out: say first which to take'),
    (hook(on='["bid.gone", "!bid.*"]'), 'hook "h": on: takes in no event: what it names is left out again by a "!"'),
    (hook(on='["*", "!bid.plced"]'), 'hook "h": on: unknown event "bid.plced" (did you mean "bid.placed"?)'),
    (hook(on='["*", "!!bid.placed"]'), 'hook "h": on: unknown family of events in "!bid.placed"'),
    (hook(timout='"1m"'), 'hook "h": timout: unknown key (did you mean "timeout"?)'),
    (hook(timeout='"5 minutes"'), 'hook "h": timeout: not a duration: "5 minutes"'),
    (hook(timeout='"2d"'), 'hook "h": timeout: 2d is outside 100ms to 1d'),
    (hook(max_age="600"), 'hook "h": max_age: must be a duration in quotes'),
    (hook(max_parallel="0"), 'hook "h": max_parallel: must be at least 1'),
    (hook(mode='"serial"'), "hook \"h\": mode: must be 'parallel', 'queue', 'restart' or 'single'"),
    (hook(tries="101"), 'hook "h": tries: must be at most 100'),
    (hook() + hook() + hook(name='"i"'), 'hook "h": name: 2 hooks have this name; give each its own'),
    ("x = \n", "not valid TOML: Invalid value (at line 1, column 5)"),
    ('[poll]\nidle = "1s"\nidle = "2s"\n', "not valid TOML: Cannot overwrite a value (at line 3"),
    ("x = " + "[" * 5000, "not valid TOML: nested too deep"),
]


@pytest.mark.parametrize(("toml", "line"), IN_FILE)
def test_a_problem_in_the_file_is_one_line_with_file_and_key(tmp_path: Path, toml: str, line: str) -> None:
    [said] = problems(tmp_path, toml)
    assert said.startswith("config.toml: ")
    assert line in said
    assert said.isprintable()
    assert "s3cret" not in said


IN_ENVIRONMENT: list[tuple[str, str, str]] = [
    ("MITHRILD_POLL__ACTVE", "5s", 'unknown key (did you mean "active"?)'),
    ("MITHRILD_POL__ACTIVE", "5s", 'unknown key (did you mean "poll"?)'),
    ("MITHRILD_POLL__ACTIVE__X", "5s", "active has no keys of its own"),
    ("MITHRILD_POLL", "{}", "names a table; set its keys, such as MITHRILD_POLL__ACTIVE"),
    ("MITHRILD_POLL__ACTIVE", "5", 'not a duration: "5"'),
    ("MITHRILD_POLL__ACTIVE", "1ms", "1ms is outside 100ms to 7d"),
    ("MITHRILD_LOG__LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
    ("MITHRILD_MARKETPLACE__REQUESTS_PER_MINUTE", "many", "must be a whole number"),
    ("MITHRILD_MARKETPLACE__REQUESTS_PER_MINUTE", "1", "must be at least 10"),
    ("MITHRILD_MARKETPLACE__API_URL", "http://example.org", "must begin with https://"),
    ("MITHRILD_PROJECTS", "a,,b", "must not be empty"),
    ("MITHRILD_PROJECTS", "[a", "must be a list in JSON"),
    ("MITHRILD_HOOKS", "tell", "must be a list in JSON"),
    ("MITHRILD_HOOKS", '{"name": "x"}', "must be a list of tables"),
    ("MITHRILD_HOOKS", '[{"name": "x", "on": ["bid.gone"]}]', 'hook "x": no action'),
    ("MITHRILD_API_KEY", "fkey one", "has characters that no API key has"),
    ("MITHRIL_API_KEY", "fkey\none", "has characters that no API key has"),
    ("MITHRIL_API_URL", "http://example.org", "must begin with https://"),
    ("MITHRIL_PROFILE", "nobody", 'no profile "nobody", since there is no config.yaml'),
]


@pytest.mark.parametrize(("name", "value", "line"), IN_ENVIRONMENT)
def test_a_problem_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, line: str) -> None:
    [said] = problems(tmp_path, **{name: value})
    assert said.startswith(f"environment {name}: ")
    assert line in said


IN_VENDORS_FILE: list[tuple[str, str]] = [
    ("a: b: c\n", "config.yaml: not valid YAML (at line 1, column 5)"),
    ("profiles: {default: {api_key: fkey_1, api_key: fkey_2}}\n", "config.yaml: not valid YAML (at line 1"),
    ("- a\n", "config.yaml: must be a table of settings"),
    ("profiles: [a]\n", "config.yaml: profiles: must be a table"),
    ("profiles: {default: fkey_1}\n", "config.yaml: profiles.default: must be a table"),
    ("profiles: {default: {api_key: 12345}}\n", "config.yaml: profiles.default.api_key: must be text"),
    ("profiles: {default: {project_id: [a]}}\n", "config.yaml: profiles.default.project_id: must be text"),
    ("profiles: {default: {api_key: 'fkey 1'}}\n", "config.yaml: profiles.default.api_key: has characters"),
    ("profiles: {default: {api_url: 'http://x'}}\n", "config.yaml: profiles.default.api_url: must begin with"),
    ("current_profile: wrok\nprofiles: {work: {}}\n", 'current_profile: no profile "wrok" (did you mean "work"?)'),
    ("current_profile: a\n", 'config.yaml: current_profile: no profile "a" (there are: none)'),
    ("current_profile: 5\n", "config.yaml: current_profile: must be text"),
    ("a: !!python/object:os.system x\n", "config.yaml: not valid YAML (at line 1"),
    ("a: 2024-99-99\n", "config.yaml: not valid YAML"),
    ("a: &x [*x\n", "config.yaml: not valid YAML"),
    ("[" * 1500, "config.yaml: not valid YAML"),
]


@pytest.mark.parametrize(("vendor", "line"), IN_VENDORS_FILE)
def test_a_problem_in_the_vendors_file_is_one_line_and_quotes_no_key(tmp_path: Path, vendor: str, line: str) -> None:
    [said] = problems(tmp_path, vendor=vendor)
    assert line in said
    assert "fkey" not in said


def test_an_unknown_profile_of_the_environment_names_file_and_profiles(tmp_path: Path) -> None:
    vendor = "profiles: {work: {}, home: {}}\n"
    assert problems(tmp_path, vendor=vendor, MITHRIL_PROFILE="zzz") == [
        'environment MITHRIL_PROFILE: no profile "zzz" in config.yaml (there are: work, home)'
    ]


def test_all_problems_of_all_sources_come_at_once(tmp_path: Path) -> None:
    toml = 'shutdown_grace = 5\n[poll]\nactve = "1s"\n' + hook(on='["bid.x", "pid.*"]', run="") + hook(tries="0")
    said = problems(
        tmp_path,
        toml,
        vendor="profiles: 5\n",
        MITHRILD_LOG__LEVEL="loud",
        MITHRIL_API_URL="nowhere",
        MITHRIL_API_KEY="fkey hush",
    )
    for start in (
        "config.toml: shutdown_grace: ",
        "config.toml: poll.actve: ",
        'config.toml: hook "h": on: unknown event "bid.x"',
        'config.toml: hook "h": on: unknown family of events in "pid.*"',
        'config.toml: hook "h": no action',
        'config.toml: hook "h": tries: ',
        'config.toml: hook "h": name: 2 hooks',
        "config.yaml: profiles: ",
        "environment MITHRILD_LOG__LEVEL: ",
        "environment MITHRIL_API_URL: ",
        "environment MITHRIL_API_KEY: ",
    ):
        assert len([line for line in said if line.startswith(start)]) == 1, start
    assert len(said) == 11
    assert "hush" not in "".join(said)


def test_a_value_of_the_environment_hides_a_bad_one_of_the_file(tmp_path: Path) -> None:
    assert problems(tmp_path, '[log]\nlevel = "loud"\n', MITHRILD_LOG__LEVEL="info") == []


def test_a_named_file_must_be_there_the_default_one_need_not(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    load(None, env)
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as caught:
        load(missing, env)
    assert caught.value.problems == [f"{missing}: no such file"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "my config.toml"
    file.write_text('api_key = "fkey_hush"\n')
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": str(tmp_path)})
    advice = f"chmod 600 '{file}'"
    assert caught.value.problems == [f"{file}: api_key: others can read the key in this file; type: {advice}"]


def test_a_key_in_a_broken_file_is_refused_too_and_a_comment_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    env = {"HOME": str(tmp_path)}
    file.write_text('api_key = "fkey_hush"\nx =\n')
    file.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(file, env)
    assert ["not valid TOML" in caught.value.problems[0], "chmod 600" in caught.value.problems[1]] == [True, True]
    file.write_text('api_key = """fkey_hush"""\n')
    with pytest.raises(ConfigError, match="chmod 600"):
        load(file, env)
    file.write_text('# api_key = "fkey_hush"\napi_key = ""\n')
    assert load(file, env).api_key is None


def test_a_vendors_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "mithril" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("profiles: {default: {api_key: fkey_hush}}\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": str(tmp_path)})
    assert caught.value.problems == [f"{file}: api_key: others can read the key in this file; type: chmod 600 {file}"]


def test_files_that_are_no_files_or_no_text_are_said(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    binary, large, pipe = tmp_path / "binary", tmp_path / "large", tmp_path / "pipe"
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b"#" * 1_000_001)
    os.mkfifo(pipe)
    for path, words in (
        (tmp_path, "cannot be read: Is a directory"),
        (binary, "not UTF-8 text"),
        (large, "larger than 1 MB"),
        (pipe, "not a file"),
    ):
        with pytest.raises(ConfigError, match=words):
            load(path, env)


TOML_VALUES = st.sampled_from(
    ["1", "-1", "true", "1.5", '"x"', '""', "[]", "[1]", '["x"]', "{}", "{ bid = 1 }", "12:00:00", "nan", '"5s"']
)
TOML_KEYS = st.sampled_from(
    [*Settings.model_fields, "poll.active", "log.level", "marketplace.api_url", "hooks.name", "nothing"]
)
HOOK_KEYS = st.sampled_from([*Hook.model_fields, "nothing"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top=st.dictionaries(TOML_KEYS, TOML_VALUES, max_size=4),
    hooks=st.lists(st.dictionaries(HOOK_KEYS, TOML_VALUES, max_size=5), max_size=2),
)
def test_any_values_are_taken_or_told_in_single_lines(
    tmp_path: Path, top: dict[str, str], hooks: list[dict[str, str]]
) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in top.items())
    text += "".join("[[hooks]]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for keys in hooks)
    for line in problems(tmp_path, text):
        assert line.startswith("config.toml: ")
        assert line.isprintable()
        assert "Input should" not in line  # a word of the library's that we did not put into ours
