"""The commands `mithrild run | sandbox | check-config`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from mithrild import __version__
from mithrild.errors import ConfigError, MithrildError
from mithrild.sandbox.arguments import SEED, SPEED, add_arguments, port, speed
from mithrild.wire import EXIT_FAILED, EXIT_USAGE

EXAMPLES = """\
examples:
  mithrild run                               watch what the vendor's own settings name
  mithrild run --config ./config.toml        with hooks of your own
  mithrild run --sandbox                     rehearse: a marketplace in a box, and no account
  mithrild sandbox --port 8810 --speed 60    the marketplace alone
  mithrild check-config                      read the configuration, and do nothing else
"""


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0, 1 for what keeps the daemon from running, 2 for wrong usage or configuration."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.command(args)
    except ConfigError as error:
        for problem in error.problems:
            print(f"mithrild: {problem}", file=sys.stderr)
        return EXIT_USAGE
    except MithrildError as error:
        print(f"mithrild: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="mithrild",
        description="Watches spot bids on the Mithril marketplace, records every change and runs hooks in time.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"mithrild {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="the daemon", description="Runs the daemon until SIGTERM or Ctrl-C.")
    run.add_argument("--config", type=Path, metavar="FILE", help="instead of $XDG_CONFIG_HOME/mithrild/config.toml")
    run.add_argument("--sandbox", action="store_true", help="watch a marketplace in a box, in the same process")
    run.add_argument("--port", type=port, default=0, help="with --sandbox: its port on 127.0.0.1 (any)")
    run.add_argument("--speed", type=speed, default=SPEED, help="with --sandbox: times faster than life (%(default)g)")
    run.add_argument("--seed", type=int, default=SEED, help="with --sandbox: same seed, same market (%(default)s)")
    run.set_defaults(command=_run)

    sandbox = commands.add_parser("sandbox", help="a marketplace in a box, on loopback")
    add_arguments(sandbox)
    sandbox.set_defaults(command=_sandbox)

    check = commands.add_parser("check-config", help="read the configuration, tell all that is wrong, and exit")
    check.add_argument("--config", type=Path, metavar="FILE", help="instead of $XDG_CONFIG_HOME/mithrild/config.toml")
    check.set_defaults(command=_check)
    return parser


def _run(args: argparse.Namespace) -> int:
    # A reload that is asked for before the configuration was even read asks for nothing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    env = dict(os.environ)
    if args.sandbox:
        from mithrild import rehearsal

        rehearsal.run(args.config, env, port=args.port, speed=args.speed, seed=args.seed)
    else:
        from mithrild.app import run
        from mithrild.config import load

        run(load(args.config, env), lambda: load(args.config, env), env)
    return 0


def _sandbox(args: argparse.Namespace) -> int:
    from mithrild.sandbox.server import serve

    return serve(args)


def _check(args: argparse.Namespace) -> int:
    from mithrild.config import check

    return check(args.config, dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
