"""What a good configuration becomes: defaults, precedence of each value, hooks, warnings, reload."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.config import DEFAULT_API_URL, Config, Poll, check, load, restart_needed
from mithrild.fleet.bounds import Bounds
from mithrild.fleet.routing import HookRule, Match
from mithrild.wire import EXIT_DONE, EXIT_USAGE

VENDOR = """\
current_profile: work
profiles:
  work: {api_key: fkey_work, project_id: proj_work, api_url: https://work.example.org/}
  home: {api_key: fkey_home, project_id: proj_home}
"""
HOOK = '[[hooks]]\nname = "tell"\non = ["instance.*"]\nrun = ["/bin/sh", "-c", "true"]\n'


class Home:
    """A home folder of its own, and the environment that leads to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / ".config" / "mithrild" / "config.toml"
        self.vendor_file = path / ".config" / "mithril" / "config.yaml"
        self.env = {"HOME": str(path), "PATH": "/usr/bin:/bin"}

    def write(self, toml: str = "", vendor: str | None = None) -> None:
        for file, text in ((self.file, toml), (self.vendor_file, vendor)):
            if text is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                file.chmod(0o600)

    def load(self, **env: str) -> Config:
        return load(None, self.env | env)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def secret(config: Config) -> str | None:
    return config.api_key.get_secret_value() if config.api_key else None


def test_nothing_written_anywhere_is_all_defaults(home: Home) -> None:
    config = home.load()
    assert (config.projects, config.project, config.api_key, config.key_source) == ((), None, None, None)
    assert config.api_url == DEFAULT_API_URL
    assert config.state_dir == home.path / ".local" / "state" / "mithrild"
    assert config.shutdown_grace == timedelta(seconds=5)
    assert config.marketplace.requests_per_minute == 300
    assert config.poll == Poll()
    assert (config.log.level, config.hooks, config.warnings) == ("info", (), ())
    assert config.watched_files == (home.file, home.vendor_file)


def test_xdg_folders_are_followed_and_empty_ones_are_not(home: Home) -> None:
    elsewhere = home.path / "elsewhere"
    (elsewhere / "mithrild").mkdir(parents=True)
    (elsewhere / "mithrild" / "config.toml").write_text('projects = ["there"]\n')
    config = home.load(XDG_CONFIG_HOME=str(elsewhere), XDG_STATE_HOME=str(home.path / "state"))
    assert config.projects == ("there",)
    assert config.state_dir == home.path / "state" / "mithrild"
    assert home.load(XDG_CONFIG_HOME="", XDG_STATE_HOME="").file == home.file


def test_who_uses_the_vendors_tools_configures_nothing(home: Home) -> None:
    home.write(vendor=VENDOR)
    config = home.load()
    assert (secret(config), config.key_source) == ("fkey_work", "config.yaml profile work")
    assert (config.project, config.projects) == ("proj_work", ("proj_work",))
    assert config.api_url == "https://work.example.org"


def test_another_profile_is_asked_for_by_name(home: Home) -> None:
    home.write(vendor=VENDOR)
    config = home.load(MITHRIL_PROFILE="home")
    assert (secret(config), config.project, config.api_url) == ("fkey_home", "proj_home", DEFAULT_API_URL)


@pytest.mark.parametrize("vendor", ["", "{}\n", "profiles:\n", "current_profile:\n", "# nothing\n"])
def test_a_vendors_file_without_profiles_is_fine(home: Home, vendor: str) -> None:
    home.write(vendor=vendor)
    assert home.load().api_key is None


def test_the_profile_called_default_needs_no_current_profile(home: Home) -> None:
    home.write(vendor="profiles:\n  default: {api_key: fkey_d}\n")
    assert home.load().key_source == "config.yaml profile default"


KEY_STEPS: list[tuple[dict[str, str], str, str, str]] = [
    ({"MITHRILD_API_KEY": "fkey_d", "MITHRIL_API_KEY": "fkey_v"}, "fkey_d", "environment MITHRILD_API_KEY", "own"),
    ({"MITHRILD_API_KEY": "", "MITHRIL_API_KEY": "fkey_v"}, "fkey_v", "environment MITHRIL_API_KEY", "own"),
    ({"MITHRIL_API_KEY": " fkey_v\n"}, "fkey_v", "environment MITHRIL_API_KEY", "own"),
    ({"MITHRIL_API_KEY": ""}, "fkey_file", "config.toml", "own"),
    ({}, "fkey_work", "config.yaml profile work", "none"),
    ({}, "fkey_work", "config.yaml profile work", "empty"),
]


@pytest.mark.parametrize(("env", "key", "source", "own"), KEY_STEPS)
def test_the_key_is_the_first_of_its_places(home: Home, env: dict[str, str], key: str, source: str, own: str) -> None:
    toml = {"own": 'api_key = "fkey_file"\n', "none": "", "empty": 'api_key = ""\n'}[own]
    home.write(toml, VENDOR)
    config = home.load(**env)
    assert (secret(config), config.key_source) == (key, source)


@pytest.mark.parametrize(
    ("env", "toml", "url"),
    [
        (
            {"MITHRILD_MARKETPLACE__API_URL": "http://127.0.0.1:1", "MITHRIL_API_URL": "http://[::1]:2"},
            "https://file",
            "http://127.0.0.1:1",
        ),
        ({"MITHRIL_API_URL": "http://[::1]:2/"}, "https://file", "http://[::1]:2"),
        ({"MITHRIL_API_URL": ""}, "https://file/", "https://file"),
        ({}, DEFAULT_API_URL, DEFAULT_API_URL),  # written down, so over the profile, though it is the default
        ({}, None, "https://work.example.org"),
        ({"MITHRIL_API_URL": "http://localhost:8000"}, None, "http://localhost:8000"),
    ],
)
def test_the_address_is_the_first_of_its_places(home: Home, env: dict[str, str], toml: str | None, url: str) -> None:
    home.write(f'[marketplace]\napi_url = "{toml}"\n' if toml else "", VENDOR)
    assert home.load(**env).api_url == url


def test_projects_written_down_stand_over_the_configured_one(home: Home) -> None:
    home.write('projects = ["a", "b", "a"]\n', VENDOR)
    assert home.load().projects == ("a", "b")
    assert home.load(MITHRIL_PROJECT="p").projects == ("a", "b")
    assert home.load(MITHRIL_PROJECT="p").project == "p"
    assert home.load(MITHRILD_PROJECTS="c, d").projects == ("c", "d")
    assert home.load(MITHRILD_PROJECTS='["e,f"]').projects == ("e,f",)


def test_the_configured_project_is_the_first_of_its_places(home: Home) -> None:
    home.write(vendor=VENDOR)
    assert home.load(MITHRIL_PROJECT="by-name").projects == ("by-name",)
    assert home.load(MITHRIL_PROJECT="").projects == ("proj_work",)


def test_variables_stand_over_the_file_key_by_key(home: Home) -> None:
    home.write('shutdown_grace = "1s"\n[poll]\nactive = "2s"\nidle = "40s"\n[log]\nlevel = "error"\n')
    config = home.load(
        MITHRILD_POLL__ACTIVE="250ms",
        MITHRILD_LOG__LEVEL="debug",
        MITHRILD_MARKETPLACE__REQUESTS_PER_MINUTE="600",
        MITHRILD_STATE_DIR="~/there",
        MITHRILD_SHUTDOWN_GRACE="",
    )
    assert config.poll.active == timedelta(milliseconds=250)
    assert config.poll.idle == timedelta(seconds=40)
    assert config.log.level == "debug"
    assert config.marketplace.requests_per_minute == 600
    assert config.state_dir == home.path / "there"
    assert config.shutdown_grace == timedelta(seconds=1)


def test_hooks_may_come_as_json(home: Home) -> None:
    home.write(HOOK)
    hooks = [{"name": "other", "on": ["*"], "run": ["/bin/sh"]}]
    assert [hook.name for hook in home.load(MITHRILD_HOOKS=json.dumps(hooks)).hooks] == ["other"]


def test_names_that_are_no_settings_are_left_alone(home: Home) -> None:
    words = "SOCKET EVENT_ID EVENT_TYPE HOOK ATTEMPT SUBJECT PROJECT BID BID_NAME INSTANCE INSTANCE_NAME HOST REGION"
    words += " INSTANCE_TYPE FROM TO DEADLINE REMAINING_SECONDS"
    config = home.load(**{f"MITHRILD_{word}": "x" for word in words.split()})
    assert config == home.load()
    assert home.load(MITHRILD_SHUTDWON_GRACE="1s").warnings == (
        'environment MITHRILD_SHUTDWON_GRACE: no setting of this name (did you mean "shutdown_grace"?)',
    )


def test_a_hook_with_every_key_becomes_a_rule(home: Home) -> None:
    home.write(
        """
        [[hooks]]
        name = "save"
        on = ["instance.preempting", "bid.*"]
        when = "first"
        run = ["/bin/sh", "-c", "exit 0"]
        timeout = "4m"
        max_age = "1h30m"
        on_late = "skip"
        max_parallel = 2
        tries = 3
        [hooks.match]
        bid = "train-*"
        region = ["us-*", "eu-*"]
        type = "b200-*"
        project = "proj_*"
        provenance = "observed"
        nodes = ">=4"
        price = ">=$10, <$20.50"
        remaining = ">2m"
        """
    )
    [hook] = home.load().hooks
    match = Match(
        ("train-*",),
        ("us-*", "eu-*"),
        ("b200-*",),
        ("proj_*",),
        ("observed",),
        nodes=Bounds(">=4", 4),
        price=Bounds(">=$10, <$20.50", 1000, 2049),
        remaining=Bounds(">2m", 120_001),
    )
    on = ("instance.preempting", "bid.*")
    assert hook.rule() == HookRule("save", on, match, timedelta(minutes=90), ("run",), first=True)
    assert hook.run == ("/bin/sh", "-c", "exit 0")
    assert (hook.timeout, hook.max_parallel, hook.tries) == (timedelta(minutes=4), 2, 3)
    assert hook.model_copy(update={"on_late": "run"}).rule().max_age is None, "late news of any age is acted on"


def test_a_hook_with_what_it_needs_has_defaults(home: Home) -> None:
    home.write(HOOK)
    [hook] = home.load().hooks
    assert hook.rule() == HookRule("tell", ("instance.*",), Match(), timedelta(minutes=10), ("run",))
    assert (hook.timeout, hook.max_parallel, hook.tries) == (timedelta(minutes=1), 4, 10)


def with_program(home: Home, program: str) -> Config:
    home.write(HOOK.replace("/bin/sh", program))
    return home.load(PATH=str(home.path / "bin"))


def test_a_program_is_found_under_the_home_folder_and_on_path(home: Home) -> None:
    program = home.path / "bin" / "save"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    for written in ("~/bin/save", "save", str(program)):
        config = with_program(home, written)
        assert config.hooks[0].run == (str(program), "-c", "true")
        assert config.warnings == ()


@pytest.mark.parametrize(
    ("written", "warning"),
    [
        ("~/bin/save", "/bin/save is not there"),
        ("/nowhere/save", "/nowhere/save is not there"),
        ("~/bin", "/bin is not there"),
        ("~/plain", "/plain is not executable"),
    ],
)
def test_a_program_that_cannot_run_is_a_warning_and_stops_nothing(home: Home, written: str, warning: str) -> None:
    (home.path / "bin").mkdir()
    (home.path / "plain").write_text("")
    [said] = with_program(home, written).warnings
    assert said.startswith(f'{home.file}: hook "tell": run: ')
    assert warning in said
    assert "deliveries will fail" in said


@pytest.mark.parametrize("pattern", ["instance.*", "*", "*.running", "hook.*", "bid.r*", "instance.[pr]*"])
def test_patterns_that_take_in_something_pass_without_a_word(home: Home, pattern: str) -> None:
    home.write(HOOK.replace("instance.*", pattern))
    assert home.load().warnings == ()


def test_a_filter_that_some_event_can_pass_is_taken(home: Home) -> None:
    for on, match in (
        ('["cluster.*"]', '{ region = "us-*", project = "*" }'),
        ('["marketplace.*", "bid.running"]', '{ bid = "*", nodes = ">=1, <=1", price = "0" }'),
        ('["*"]', '{ remaining = "<1m", provenance = ["sim*", "observed"] }'),
        ('["instance.defragmenting"]', '{ bid = "[a-z]*" }'),
        ('["hook.dead"]', '{ bid = "*" }'),
    ):
        home.write(HOOK.replace('["instance.*"]', on) + f"match = {match}\n")
        assert len(home.load().hooks) == 1


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("instance.defragmenting", ""),
        ("instance.defrag*", ""),
        ("instance.preemting", ' (did you mean "instance.preempting"?)'),
    ],
)
def test_an_unknown_status_of_an_instance_passes_with_a_warning(home: Home, pattern: str, hint: str) -> None:
    home.write(HOOK.replace("instance.*", pattern))
    words = f'on: "{pattern}" names a status that this version does not know{hint}'
    assert home.load().warnings == (f'{home.file}: hook "tell": {words}',)


def test_a_file_that_anyone_may_write_is_a_warning(home: Home) -> None:
    home.write(HOOK)
    home.file.chmod(0o646)
    [warning] = home.load().warnings
    assert warning.startswith(f"{home.file}: anyone may write to it")


def test_an_exposed_key_that_is_not_used_is_a_warning(home: Home) -> None:
    home.write(vendor=VENDOR)
    home.vendor_file.chmod(0o640)
    config = home.load(MITHRIL_API_KEY="fkey_env")
    assert config.warnings == (
        f"{home.vendor_file}: api_key: others can read the key in this file; type: chmod 600 {home.vendor_file}",
    )


@pytest.mark.parametrize("source", ["file", "variable", "vendor"])
def test_no_secret_shows(home: Home, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    home.write('api_key = "fkey_hush"\n' if source == "file" else "", "profiles:\n  default: {api_key: fkey_hush}\n")
    env = {"MITHRIL_API_KEY": "fkey_hush"} if source == "variable" else {}
    assert secret(home.load(**env)) == "fkey_hush"
    assert "hush" not in f"{home.load(**env)!r} {home.load(**env)}"
    assert check(None, home.env | env) == EXIT_DONE
    captured = capsys.readouterr()
    assert "hush" not in captured.out + captured.err


def test_check_config_shows_what_the_daemon_would_run_by(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.write(
        HOOK + 'match = { bid = "train-*", region = "us-*" }\n'
        '[[hooks]]\nname = "lost"\non = ["bid.gone"]\nrun = ["/nowhere/x"]\ntimeout = "90s"\n',
        VENDOR,
    )
    assert check(None, home.env) == EXIT_DONE
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        f"file: {home.file}",
        "key: config.yaml profile work",
        "marketplace: https://work.example.org",
        "projects: proj_work",
        f"state: {home.path}/.local/state/mithrild",
        f"backups: every 1d; the last 7 are kept in {home.path}/.local/state/mithrild/backups",
        "hook tell: on instance.* where bid=train-*, region=us-*: run /bin/sh (at most 1m)",
        "hook lost: on bid.gone: run /nowhere/x (at most 1m30s)",
        f'warning: {home.file}: hook "lost": run: /nowhere/x is not there; deliveries will fail until it is',
    ]


def test_check_config_of_nothing_says_where_a_key_is_looked_for(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(None, home.env) == EXIT_DONE
    out = capsys.readouterr().out
    assert f"file: {home.file} (not there: defaults)" in out
    assert "key: none found; looked in the environment (MITHRIL_API_KEY), api_key in" in out


def test_check_config_prints_each_problem_on_a_line(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.write('[poll]\nactve = "1s"\n[log]\nlevel = "loud"\n')
    assert check(None, home.env) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f'{home.file}: poll.actve: unknown key (did you mean "active"?)',
        f"{home.file}: log.level: must be 'debug', 'info', 'warning' or 'error'",
    ]


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        (lambda home: home.load(), []),
        (lambda home: home.load(MITHRIL_API_URL="https://other"), ["marketplace.api_url"]),
        (lambda home: home.load(MITHRILD_STATE_DIR="/other"), ["state_dir"]),
        (lambda home: home.load(MITHRILD_PROJECTS="b,c"), ["projects"]),
        (lambda home: home.load(MITHRILD_PROJECTS="b,a"), []),
        (
            lambda home: home.load(
                MITHRILD_HOOKS="[]",
                MITHRILD_POLL__IDLE="1m",
                MITHRILD_LOG__LEVEL="debug",
                MITHRIL_API_KEY="fkey_new",
                MITHRILD_SHUTDOWN_GRACE="1s",
                MITHRILD_MARKETPLACE__REQUESTS_PER_MINUTE="100",
            ),
            [],
        ),
        (lambda home: home.load(MITHRILD_MARKETPLACE__READ_TIMEOUT="1s"), ["marketplace.read_timeout"]),
        (
            lambda home: home.load(MITHRILD_PROJECTS="c", MITHRIL_API_URL="https://o", MITHRILD_STATE_DIR="/o"),
            ["marketplace.api_url", "state_dir", "projects"],
        ),
    ],
)
def test_what_a_reload_cannot_take(home: Home, change: Callable[[Home], Config], needed: list[str]) -> None:
    home.write('projects = ["a", "b"]\n' + HOOK, VENDOR)
    assert restart_needed(home.load(), change(home)) == needed
