"""`ml setup`: the key and the project, in the file that the vendor's programs read too."""

from __future__ import annotations

from mithril_cli.command import JSON, Command, Option
from mithril_cli.errors import Usage

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

WRITING = ("profile", "project", "api_url", "key_stdin", "use")


def run(args: argparse.Namespace) -> int:
    if not (args.check or args.show):
        from mithril_cli.account.setting_up import set_up

        return set_up(args)
    if args.check and args.show:
        raise Usage("--check and --show exclude each other; try: ml setup -h")
    for name in WRITING:
        if getattr(args, name):
            raise Usage(f"--{name.replace('_', '-')} is for setting up, not for looking; try: ml setup -h")
    from mithril_cli.account import showing

    return showing.show_check(args) if args.check else showing.show_settings(args)


COMMANDS = (
    Command(
        "",
        "Set up the API key and the project, or check them",
        run,
        about=(
            "Writes ${XDG_CONFIG_HOME:-~/.config}/mithril/config.yaml, which the vendor's programs and the daemon\n"
            "read too. The environment goes before it: MITHRIL_API_KEY, MITHRIL_PROJECT, MITHRIL_API_URL, and\n"
            "MITHRIL_PROFILE for the name of the profile. On a terminal it asks for what was not said; the key is\n"
            "tried at the marketplace before anything is written, and never given as an argument."
        ),
        options=(
            Option("--check", action="store_true", help="check the key, the project and billing; exit 1 if not ready"),
            Option("--show", action="store_true", help="show what is in force and where it is from"),
            Option("--profile", metavar="NAME", help="the profile to write (default: the one in use)"),
            Option("-p", "--project", metavar="PROJECT", help="the project, by name or fid"),
            Option("--api-url", metavar="URL", help="the marketplace's address, if it is not the usual one"),
            Option("--key-stdin", action="store_true", help="read the key from standard input"),
            Option("--use", action="store_true", help="make the profile the one in use"),
            JSON,
        ),
        examples=(
            ("ml setup", "asks for the key, then for the project"),
            ("ml setup --check", "is everything there to work with"),
            ("ml setup --profile work --project lab --key-stdin < key.txt", "in a script"),
            ("ml setup --profile work --use", "another profile from now on"),
        ),
    ),
)
