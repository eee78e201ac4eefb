"""The command line of `ssh`."""

from __future__ import annotations

import subprocess

import pytest

from mithril_cli.ssh.argv import remote_line, ssh_argv
from mithril_cli.ssh.destination import Destination, parse
from mithril_cli.ssh.errors import NotReached


def line(place: Destination | None = None, **changes: object) -> list[str]:
    settings = {"alias": "inst_7", "known_hosts": "/state/known_hosts", **changes}
    return ssh_argv(place or Destination("203.0.113.7"), **settings)  # type: ignore[arg-type]


def test_a_host_key_is_kept_under_the_fid_and_a_new_one_is_taken_only_once() -> None:
    assert line() == [
        "ssh",
        "-o", "HostKeyAlias=inst_7",
        "-o", "UserKnownHostsFile=/state/known_hosts",
        "-o", "StrictHostKeyChecking=accept-new",
        "--", "ubuntu@203.0.113.7",
    ]  # fmt: skip


def test_a_port_that_the_marketplace_does_not_name_is_left_to_the_persons_own_configuration() -> None:
    assert "-p" not in line(parse("root@203.0.113.7"))
    assert line(parse("203.0.113.7:22"))[:3] == ["ssh", "-p", "22"]


def test_host_and_port_are_given_apart_and_the_user_goes_with_the_host() -> None:
    words = line(parse("root@[2001:db8::7]:2222"))
    assert words[:3] == ["ssh", "-p", "2222"]
    assert words[-2:] == ["--", "root@2001:db8::7"]


def test_a_key_that_is_named_is_the_only_one_that_is_offered() -> None:
    assert line(identity="/keys/mine")[1:5] == ["-i", "/keys/mine", "-o", "IdentitiesOnly=yes"]


def test_options_come_before_the_end_of_options_and_the_command_after_it() -> None:
    words = line(options=["BatchMode=yes"], command=["-x", "y"])
    assert words[-5:] == ["-o", "BatchMode=yes", "--", "ubuntu@203.0.113.7", "-x y"]


@pytest.mark.parametrize("alias", ["", "a b", "a,b", "*", "a\nb", "inst_ü", "a/b"])
def test_a_fid_that_would_be_more_than_a_name_in_the_file_of_host_keys_is_refused(alias: str) -> None:
    with pytest.raises(NotReached):
        line(alias=alias)


@pytest.mark.parametrize(
    "command",
    [
        ["printf", "[%s]", "a b", "", "'", '"', "$HOME", "`x`", "*", "a\nb", "ü", "--", "-n", "\\", "!"],
        ["printf", "%s", 'print("a b")'],
    ],
)
def test_several_words_reach_the_program_as_they_were_typed(command: list[str]) -> None:
    there = subprocess.run(["/bin/sh", "-c", remote_line(command)], capture_output=True, text=True, check=True).stdout
    here = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert there == here


def test_one_word_is_a_line_for_the_shell_there() -> None:
    assert remote_line(["cd /data && ls *.bin"]) == "cd /data && ls *.bin"
    assert remote_line([]) == ""
