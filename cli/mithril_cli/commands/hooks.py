"""`ml hooks`: what runs when something happens. Here is the table; each verb is in a module of `mithril_cli.hooks`."""

from __future__ import annotations

from mithril_cli.command import JSON, PROJECT, Command, Option, positive, span, word

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show_list(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import listing

    return listing.run(args)


def enable(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import listing

    return listing.enable(args)


def show_log(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import log

    return log.run(args)


def show_delivery(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import log

    return log.show(args)


def retry(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import again

    return again.retry(args)


def replay(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import again

    return again.replay(args)


def try_out(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import testing

    return testing.run(args)


def explain(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import explain as verb

    return verb.run(args)


def begin_silence(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import silence

    return silence.begin(args)


def end_silence(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import silence

    return silence.end(args)


def show_silences(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import silence

    return silence.show(args)


HOOK = Option("hook", metavar="HOOK", help="a hook's name")
ONE_HOOK = Option("--hook", metavar="HOOK", help="of this hook alone")
TYPE = Option("--type", metavar="TYPE", help="the type of the event, such as instance.preempting")
BID = Option("--bid", metavar="NAME", help="whose it is: a bid's name or fid; without it, a bid that there is not")

COMMANDS = (
    Command(
        "list",
        "The hooks: what keeps them still, and how they do",
        show_list,
        options=(JSON,),
        examples=(("ml hooks list", "are all of them on, and do they work"),),
    ),
    Command(
        "log",
        "What hooks did, or did not do and why, the newest last",
        show_log,
        about=(
            "Every delivery is listed, whatever became of it: done; failed, dead (its tries are used up) or expired\n"
            "(its deadline passed); skipped (too old, silenced, quiet hours, a sibling came first), superseded (its\n"
            "notice was taken back, or is over) or cancelled (its hook is gone, or switched off). -f goes on with\n"
            "each as it ends."
        ),
        options=(
            ONE_HOOK,
            Option("--event", metavar="EVENT", help="for this event: its id, or its sequence number"),
            Option("--failed", action="store_true", help="only what failed, died or expired"),
            Option("--limit", metavar="N", type=positive, help="the newest N; without it 20"),
            Option("-f", "--follow", action="store_true", help="go on with deliveries as they end, until interrupted"),
            JSON,
        ),
        examples=(
            ("ml hooks log --failed", "what did not do what it is for"),
            ("ml hooks log -f --hook save-checkpoint", "each of its deliveries as it ends"),
        ),
    ),
    Command(
        "show",
        "One delivery: each try, when it was, what it printed",
        show_delivery,
        options=(
            Option("delivery", metavar="DELIVERY", help="its id, or the beginning of it"),
            JSON,
        ),
        examples=(("ml hooks show dlv_3f9a2c1b", "why did this one fail"),),
    ),
    Command(
        "retry",
        "Runs deliveries again that failed, died or expired",
        retry,
        about=(
            "Under the id that they had, so that a receiver can tell. What waits for its next try has it now. Neither\n"
            "age, deadline, silence nor quiet hours keep it back: somebody wants it."
        ),
        options=(
            Option("deliveries", metavar="DELIVERY", nargs="+", help="their ids, or the beginnings of them"),
            JSON,
        ),
        examples=(("ml hooks retry dlv_3f9a2c1b", "the script is mended: again"),),
    ),
    Command(
        "replay",
        "An event once more, as it was, for the hooks that take it now",
        replay,
        about=(
            "The very bytes that were rendered when it came. A hook that had it has it again under the same delivery\n"
            "id, one that had not (it is new, or kept still then) under the id that it would have had: the id is made\n"
            "of event, hook and action. Hooks whose on or match leave the event out are left out here too."
        ),
        options=(
            Option("event", metavar="EVENT", help="its id, or its sequence number"),
            Option("--hook", metavar="HOOK", help="for this hook alone"),
            JSON,
        ),
        examples=(("ml hooks replay 1042 --hook record", "the receiver had lost it"),),
    ),
    Command(
        "test",
        "One hook and its real actions, with an event that did not happen",
        try_out,
        about=(
            "Whatever the hook's on and match say: it was named. It is told of its own kind of event unless --type\n"
            "names another, with the provenance simulated. Its output is printed. Exit 1: it failed, or wants\n"
            "another try."
        ),
        options=(HOOK, TYPE, BID, *PROJECT, JSON),
        examples=(
            ("ml hooks test tell-me", "does the message arrive"),
            ("ml hooks test save-checkpoint --bid train", "with the names and addresses of train"),
        ),
    ),
    Command(
        "explain",
        "Which hooks an event concerns, and what keeps back the others",
        explain,
        about="Of an event that came, or with --type or --bid of one that might come now.",
        options=(
            Option("event", metavar="EVENT", nargs="?", help="its id, or its sequence number"),
            TYPE,
            BID,
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml hooks explain 1042", "who was told of it, and why not the others"),
            ("ml hooks explain --type instance.preempting --bid train", "what would run if it came now"),
        ),
    ),
    Command(
        "silence",
        "Hooks keep still for bids of a name, for a while",
        begin_silence,
        about=(
            "Nothing runs for them, whatever happens, not even what acts; with --hook only that hook keeps still.\n"
            "What is held back is listed as skipped, and so is at once what waits for another try. The pattern *\n"
            "takes in what is about no bid, too."
        ),
        options=(
            Option("pattern", metavar="PATTERN", type=word, help="bids by a shell pattern of their name, or a fid"),
            Option("--for", dest="span", metavar="TIME", type=span, help="so long: 90, 30m, 8h, 2d"),
            Option("--until", metavar="TIME", help="until a clock here shows it: 07:00, or 2026-11-24T07:00"),
            Option("--hook", metavar="HOOK", help="this hook alone"),
            JSON,
        ),
        examples=(
            ("ml hooks silence 'train-*' --for 8h", "while these are being moved"),
            ("ml hooks silence '*' --until 07:00 --hook tell-me", "no messages tonight"),
        ),
    ),
    Command(
        "unsilence",
        "Ends a silence",
        end_silence,
        options=(
            Option("which", metavar="SILENCE", help="its number, its pattern, or a pattern of patterns"),
            JSON,
        ),
        examples=(("ml hooks unsilence 3", "that one"), ("ml hooks unsilence '*'", "all of them")),
    ),
    Command(
        "silences",
        "The silences that hold",
        show_silences,
        options=(Option("--all", action="store_true", help="those that are over, too"), JSON),
        examples=(("ml hooks silences", "what is being held back"),),
    ),
    Command(
        "enable",
        "Switches on again the actions that a target had switched off",
        enable,
        options=(HOOK, JSON),
        examples=(("ml hooks enable record", "its receiver is back"),),
    ),
)
