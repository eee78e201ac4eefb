"""Commands on the instances themselves, by a real sshd: what they get, what is kept of them, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.hooks import ssh_session
from mithrild.hooks.dispatcher import Dispatcher
from tests.acceptance.sshd import Sshd, make_key
from tests.integration.ssh_hook_rig import USER, Rig, rig
from tests.integration.store_builders import PREEMPTING, a_bid, deliveries, sql, until


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def there(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with rig(tmp_path, sshd, monkeypatch) as made:
        yield made


def lives(pid: str) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_command_gets_the_event_and_the_variables_and_its_words_are_kept(there: Rig) -> None:
    there.see(there.node())
    told = '[ "$MITHRILD_BID_NAME" = "name-of-bid_1" ] && echo "$MITHRILD_INSTANCE_NAME it\'s $MITHRILD_TO" >&2'
    command = f"cat > {there.folder}/stdin; {told}; exit 3"
    assert there.deliver(there.hook(command)) == ("failed", "exit code 3", "train-1 it's starting\n", 3)
    ((body,),) = sql(there.database, "SELECT body FROM events")
    assert (there.folder / "stdin").read_text() == body + "\n"
    there.see(there.node(status="STATUS_RUNNING"))
    assert there.deliver(there.hook("true")) == ("done", None, "", 0)


def test_hostile_names_are_words_to_the_shell_there_and_nothing_more(there: Rig) -> None:
    name = 'it\'s `id` $(id) "q" ; exit 9 # \n & | > \\ ünïcode'
    there.see(there.node(name=name))
    state, _, output, code = there.deliver(there.hook('printf %s "$MITHRILD_INSTANCE_NAME"'))
    assert (state, output, code) == ("done", name, 0)


def test_first_key_is_accepted_under_the_fid_where_ssh_itself_finds_it(there: Rig) -> None:
    there.see(there.node())
    assert there.deliver(there.hook("true"))[0] == "done"
    [line] = there.known_hosts.read_text().splitlines()
    assert line.startswith("inst_1 ")
    options = [f"UserKnownHostsFile={there.known_hosts}", "HostKeyAlias=inst_1", "StrictHostKeyChecking=yes"]
    arguments = [word for option in (*options, "IdentityAgent=none") for word in ("-o", option)]
    where = ["-F", "/dev/null", "-i", str(there.sshd.key), "-p", str(there.sshd.port), f"{USER}@127.0.0.1"]
    subprocess.run(["ssh", *arguments, *where, "true"], check=True, capture_output=True)


def test_key_that_ssh_has_accepted_is_known_here_hashed_or_not(there: Rig) -> None:
    public = (there.sshd.folder / "host_key.pub").read_text().split()
    there.known_hosts.parent.mkdir(parents=True)
    there.known_hosts.write_text(f"other ssh-ed25519 AAAA\n# a comment\ninst_1 {public[0]} {public[1]}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(there.known_hosts)], check=True, capture_output=True)
    before = there.known_hosts.read_text()
    assert "inst_1" not in before
    there.see(there.node())
    assert there.deliver(there.hook("true", strict=True))[0] == "done"
    assert there.known_hosts.read_text() == before


def test_strict_accepts_no_key_that_is_not_known(there: Rig) -> None:
    there.see(there.node())
    state, reason, _, _ = there.deliver(there.hook("true", strict=True))
    assert (state, reason.partition("SHA256:")[0]) == ("failed", "its host key ")
    assert reason.endswith(" is not known, and strict is set")
    assert not there.known_hosts.exists()


def test_changed_key_is_a_final_failure_and_news_once_for_each_change(there: Rig, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    kind, key, _ = (tmp_path / "other.pub").read_text().split()
    there.known_hosts.parent.mkdir(parents=True)
    there.known_hosts.write_text(f"inst_1 {kind} {key}\n")
    for status in ("STATUS_STARTING", "STATUS_RUNNING"):
        there.see(there.node(status=status))
        hook = there.hook(f"touch {tmp_path}/ran").model_copy(update={"on": ("instance.starting", "instance.running")})
        state, reason, output, _ = there.deliver(hook)
        assert (state, output) == ("failed", "")
        assert reason.startswith("its host key has changed from SHA256:")
    assert not (tmp_path / "ran").exists()
    [(body,)] = sql(there.database, "SELECT body FROM events WHERE type = 'instance.host_key_changed'")
    event = json.loads(body)
    assert (event["subject"], event["data"]["bid"]["name"]) == ("inst_1", "name-of-bid_1")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "other.pub")], check=True, capture_output=True, text=True
    )
    assert event["data"]["from"] == shown.stdout.split()[1]
    assert event["data"]["to"].startswith("SHA256:")


def test_exit_75_is_tried_again_and_other_codes_are_not(there: Rig) -> None:
    there.see(there.node())
    assert there.deliver(there.hook("exit 75")) == (
        "pending",
        "asked to be tried again (exit code 75)",
        "",
        75,
    )


def test_key_that_is_refused_is_tried_again(there: Rig, tmp_path: Path) -> None:
    there.see(there.node())
    stranger = make_key(tmp_path / "stranger")
    state, reason, _, _ = there.deliver(there.hook("true", key=str(stranger), timeout="1s"))
    assert state == "pending"
    assert reason == f"{USER}@127.0.0.1 port {there.sshd.port} refuses the key"


def test_command_that_takes_too_long_is_ended_there(there: Rig, tmp_path: Path) -> None:
    there.see(there.node())
    hook = there.hook(f"echo $$ > {tmp_path}/pid; exec sleep 1000", timeout="1s")
    assert there.deliver(hook)[:2] == ("failed", "took longer than 1 s: ended")
    assert not lives((tmp_path / "pid").read_text().strip())


def test_stop_ends_the_command_there_and_hands_the_delivery_back(there: Rig, tmp_path: Path) -> None:
    there.see(there.node())

    async def stop(dispatcher: Dispatcher) -> None:
        await until((tmp_path / "pid").exists)
        await dispatcher.stop(timedelta(0))

    state, reason, _, _ = there.deliver(there.hook(f"echo $$ > {tmp_path}/pid; exec sleep 1000"), stop)
    assert (state, reason) == ("pending", "the daemon is stopping: ended")
    assert deliveries(there.database, "attempts") == [(0,)]
    assert not lives((tmp_path / "pid").read_text().strip())


def test_what_a_command_leaves_behind_does_not_hold_the_try(there: Rig) -> None:
    there.see(there.node())
    assert there.deliver(there.hook("echo begun; sleep 30 & exit 0"))[:3] == ("done", None, "begun\n")


def test_output_is_kept_up_to_its_limit(there: Rig) -> None:
    there.see(there.node())
    state, _, output, _ = there.deliver(there.hook("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end"))
    assert state == "done"
    assert len(output) < 70_000
    assert output.endswith("end\n")


def test_connection_that_is_lost_is_tried_again_since_nobody_knows(there: Rig) -> None:
    there.see(there.node())
    state, reason, output, _ = there.deliver(there.hook("echo said; sleep 0.2; kill -9 $PPID; sleep 30"))
    assert (state, reason) == ("pending", "the connection was lost: nobody knows how far it came")
    assert output == "said\n"


def test_nothing_of_a_lost_try_is_at_work_when_the_next_begins(there: Rig, tmp_path: Path) -> None:
    there.see(there.node())
    lost = f"(setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' &) ; sleep 0.2; kill -9 $PPID"
    assert there.deliver(there.hook(lost))[0] == "pending"
    pid = (tmp_path / "pid").read_text().strip()
    assert lives(pid)
    sql(there.database, "UPDATE deliveries SET next_at = created_at")
    state, _, output, _ = there.deliver(there.hook(f"grep -s State: /proc/{pid}/status || true"))
    assert (state, output) in (("done", ""), ("done", "State:\tZ (zombie)\n"))


def test_all_nodes_of_a_bid_run_it_and_a_retry_repeats_only_what_is_not_done(there: Rig, tmp_path: Path) -> None:
    there.see(a_bid(status="Preempting", instance_quantity=2), there.node(1, PREEMPTING), there.node(2, PREEMPTING),
              of="bid.preempting")  # fmt: skip
    command = f'echo "$MITHRILD_INSTANCE" >> {tmp_path}/ran; [ $MITHRILD_INSTANCE = inst_1 ] || exit 75'
    state, reason, output, code = there.deliver(there.hook(command))
    assert (state, code) == ("pending", 75)
    assert reason == "train-2: asked to be tried again (exit code 75)"
    assert output == "--- train-1\n--- train-2\n"
    assert sorted((tmp_path / "ran").read_text().split()) == ["inst_1", "inst_2"]
    sql(there.database, "UPDATE deliveries SET next_at = created_at")
    assert there.deliver(there.hook(command.replace("75", "0")))[:2] == ("done", None)
    assert sorted((tmp_path / "ran").read_text().split()) == ["inst_1", "inst_2", "inst_2"]


def test_first_node_alone_is_asked_for(there: Rig, tmp_path: Path) -> None:
    there.see(a_bid(status="Preempting", instance_quantity=2), of="bid.preempting")
    state, _, output, _ = there.deliver(there.hook("echo $MITHRILD_INSTANCE_NAME", nodes="first"))
    assert (state, output) == ("done", "train-1\n")


def test_bid_without_instances_has_nobody_to_run_it(there: Rig) -> None:
    there.see(a_bid("bid_2"), of="bid.*")
    assert there.deliver(there.hook("true"))[:2] == ("failed", "there is no instance that could answer")


def test_a_machine_is_reached_through_another(there: Rig) -> None:
    there.see(there.node())
    # Both are the same sshd; the key of the one in between comes from ~/.ssh/config.
    config = f"Host 127.0.0.1\n  IdentityFile {there.sshd.key}\n  Port {there.sshd.port}\n  User {USER}\n"
    (there.folder / ".ssh" / "config").write_text(config)
    before = there.sshd.logins()
    assert there.deliver(there.hook("echo there", jump="127.0.0.1"))[:3] == ("done", None, "there\n")
    assert there.sshd.logins() == before + 2
    names = [line.split()[0] for line in there.known_hosts.read_text().splitlines()]
    assert names == [f"[127.0.0.1]:{there.sshd.port}", "inst_1"]


def test_what_is_left_out_comes_from_the_users_own_configuration(there: Rig) -> None:
    lines = ("Host machine", "HostName 127.0.0.1", f"Port {there.sshd.port}", f"User {USER}")
    config = "\n".join((*lines, f"IdentityFile {there.sshd.key}", ""))
    (there.folder / ".ssh" / "config").write_text(config)
    there.see(there.node(ssh_destination="machine"))
    assert there.deliver(there.hook("echo there", key=None))[:3] == ("done", None, "there\n")


def test_own_default_key_is_offered(there: Rig) -> None:
    os.symlink(there.sshd.key, there.folder / ".ssh" / "id_ed25519")
    there.see(there.node())
    assert there.deliver(there.hook("echo there", key=None))[:3] == ("done", None, "there\n")


@pytest.mark.parametrize(
    ("config", "address", "reason"),
    [
        ("Host *\n  ProxyCommand nc %h %p\n", None, "ProxyCommand of ~/.ssh/config is not used here: name a jump host"),
        ("", "-oProxyCommand=x", "'-oProxyCommand=x' is no address that ssh could dial"),
    ],
)
def test_ways_that_are_not_gone(there: Rig, config: str, address: str | None, reason: str) -> None:
    (there.folder / ".ssh" / "config").write_text(config)
    there.see(there.node(ssh_destination=address or there.sshd.address))
    assert there.deliver(there.hook("true", timeout="100ms"))[:2] == ("pending", reason)


def test_limits_are_limits() -> None:
    """One attempt to get in is bounded by the steps it is made of."""
    assert ssh_session.CONNECT + 2 * ssh_session.GREETING + 2 * ssh_session.LOGIN < 60
