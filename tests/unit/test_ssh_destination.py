"""Where the marketplace says that a machine is, in every form that it may take."""

from __future__ import annotations

import pytest

from mithril_cli.ssh.destination import Destination, parse
from mithril_cli.ssh.errors import NotReached


@pytest.mark.parametrize(
    ("text", "host", "port", "user"),
    [
        ("203.0.113.7", "203.0.113.7", None, "ubuntu"),
        ("203.0.113.7:2222", "203.0.113.7", 2222, "ubuntu"),
        ("gpu-7.example.org", "gpu-7.example.org", None, "ubuntu"),
        ("root@203.0.113.7", "203.0.113.7", None, "root"),
        ("root@203.0.113.7:2222", "203.0.113.7", 2222, "root"),
        ("me@corp.org@host:22", "host", 22, "me@corp.org"),
        ("[2001:db8::7]:2222", "2001:db8::7", 2222, "ubuntu"),
        ("[2001:db8::7]", "2001:db8::7", None, "ubuntu"),
        ("2001:db8::7", "2001:db8::7", None, "ubuntu"),
        ("fe80::7%eth0", "fe80::7%eth0", None, "ubuntu"),
        ("root@2001:db8::7", "2001:db8::7", None, "root"),
        ("root@[::1]:2222", "::1", 2222, "root"),
        (" host \n", "host", None, "ubuntu"),
    ],
)
def test_every_form_of_an_address_is_understood(text: str, host: str, port: int | None, user: str) -> None:
    assert parse(text) == Destination(host, port, user)


@pytest.mark.parametrize(
    "text",
    [
        "", "@host", "host:", "host:0", "host:65536", "host:-1", "host:2x", "host:２２", ":22", "[::1", "[::1]22",
        "[]:22", "-oProxyCommand=reboot", "-l@host", "root@-host", "ho st", "host;reboot", "host$(reboot)", "a`b`@host",
        "u:p@host", "host\x00", "höst", "x" * 300,
    ],
)  # fmt: skip
def test_what_is_no_address_is_never_dialled(text: str) -> None:
    with pytest.raises(NotReached, match="no address that ssh could dial") as caught:
        parse(text)
    assert caught.value.exit_code == 255
