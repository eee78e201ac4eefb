"""`ml ssh` and `ml instance ssh`: into the instances of a bid."""

from __future__ import annotations

import argparse

from mithril_cli import answers, client, nodes, output
from mithril_cli.command import IDENTITY, NAME, PROJECT, Command, Option, project_query, span
from mithril_cli.errors import Usage
from mithril_cli.ssh import known_hosts, run, words
from mithril_cli.ssh.errors import EXIT_SSH, NotReached, beforehand
from mithril_cli.ssh.machine import Machine
from mithril_cli.ssh.wait import Party, until_ready
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mithril_cli.answers import Object

PATIENCE = "15m"
AT_ONCE = ("ConnectTimeout=10",)  # where nothing is waited for, two minutes of a silent address are too long
TOGETHER = ("BatchMode=yes",)  # several programs cannot ask for a passphrase at one terminal


def connect(args: argparse.Namespace, table: Command, prog: str) -> int:
    command = words.remote_command(args, table, prog)
    return beforehand(command and not args.show, lambda: _connect(args, command, prog))


def _connect(args: argparse.Namespace, command: Sequence[str], prog: str) -> int:
    identity = words.checked_identity(args.identity)
    query = project_query(args)
    if args.name is None:
        from mithril_cli.picker import pick_bid

        args.name = pick_bid([*query, ("state", "running")], prog)
    answer = client.get(f"/v1/bids/{client.segment(args.name)}", [*query, ("all", 1)])
    answers.tell_freshness(answer)
    # An interactive shell can be on one node only; a command, and what --show prints, is for all.
    number = 0 if args.node is None and not command and not args.show else args.node
    party = Party(answers.one(answer, "bid"), number, args.project)
    if number is not None and number >= party.size:
        takes, has = ("0", "one instance") if party.size == 1 else (f"0 to {party.size - 1}", f"{party.size} instances")
        raise Usage(f"--node takes {takes}: {party.name} has {has}")
    waiting = not args.no_wait and not args.show
    party.check(whole=waiting)
    kept = known_hosts.path()

    def make(instance: Object, number: int) -> Machine:
        name, fid, address = (answers.words(instance.get(key)) for key in ("name", "fid", "ssh_destination"))
        return Machine(name, fid, address, kept, identity, number, AT_ONCE if args.no_wait else ())

    if waiting:
        party = until_ready(party, make, _again(party.bid), args.timeout)
    machines = [make(one, number) for number, one in party.reachable]
    if args.show:
        for machine in machines:
            words.show(machine.argv(command))
        return _tell_unreached(party)
    alone = number is not None or party.size == 1
    if alone and not machines:
        raise NotReached(f"{party.obstacles[0]}; without --no-wait it is waited for")
    _tell_notices(party)
    if not command:
        run.become(machines[0].argv())
    if alone:
        return run.run_on(machines[0], command)
    return _run_on_all(machines, command, _tell_unreached(party))


def _again(bid: Object) -> Callable[[], Object]:
    """What asks the daemon for this bid as it is now, and says once that the daemon itself knows no better."""
    path = f"/v1/bids/{client.segment(answers.words(bid.get('fid')))}"
    query = [("project", bid.get("project")), ("all", 1)]
    told = False

    def look() -> Object:
        nonlocal told
        answer = client.get(path, [*query, ("waiting", 1)])
        stale = answers.stale_line(answers.part(answer, "freshness"))
        if stale and not told:
            output.note(stale)
        told = bool(stale)
        return answers.one(answer, "bid")

    return look


def _run_on_all(machines: Sequence[Machine], command: Sequence[str], unreached: int) -> int:
    """The highest exit code of all, those included that could not be reached."""
    from mithril_cli.ssh import stream

    programs = [(one.argv(command, TOGETHER), b"[node-%d] " % one.number) for one in machines]
    codes = stream.together(programs, lambda index, code, said: run.tell_why(machines[index], code, said))
    return max([*codes, unreached])


def _tell_unreached(party: Party) -> int:
    """Name every node that cannot be dialled: none is left out without a word. 0 if there is none."""
    obstacles = party.obstacles
    for obstacle in obstacles:
        output.note(f"cannot reach {obstacle}")
    return EXIT_SSH if obstacles else wire.EXIT_DONE


def _tell_notices(party: Party) -> None:
    now = answers.present()
    for _, one in party.reachable:
        left = answers.remaining(one, now)
        if left:
            output.note(f"{answers.words(one.get('name'))} is {nodes.state(one)}: {left} left")


def _command(name: str, prog: str) -> Command:
    table = Command(
        name,
        "Log in to an instance of a bid, or run a command on all of them",
        lambda args: connect(args, table, prog),
        about=(
            "Waits until the instances run and answer on SSH. Without a command this becomes the system's ssh, on\n"
            "node 0 unless --node names another. A command runs on all nodes at once, with the node before each line,\n"
            "and the highest exit code is returned; on one node its output and exit code are returned as they are.\n"
            "\n"
            "Several words of COMMAND reach the program there as they are here; one word alone is a line for the\n"
            "shell there: ml ssh train 'cd /data && ls *.bin'."
        ),
        options=(
            NAME,
            words.COMMAND,
            Option("--node", metavar="INDEX", type=words.index, help="one node, counted from 0 in the order of names"),
            words.SHOW,
            Option("--no-wait", action="store_true", help="dial at once, or fail at once if the instance is not up"),
            Option(
                "--timeout",
                metavar="TIME",
                type=span,
                default=PATIENCE,
                help="how long to wait, in seconds or as 10m (%(default)s)",
            ),
            IDENTITY,
            *PROJECT,
        ),
        examples=(
            (f"{prog} train", "a shell on node 0 of the bid called train"),
            (f"{prog} train --node 1", "a shell on node 1"),
            (f"{prog} train -- nvidia-smi -L", "a command on all nodes"),
            (f"{prog} --node 0 train 'tail -f log | grep loss'", "a line for the shell of one node"),
            (f"{prog} train --show", "the command lines of ssh, to be pasted"),
        ),
    )
    return table


COMMANDS = (_command("", "ml ssh"),)
INSTANCE_SSH = _command("ssh", "ml instance ssh")
