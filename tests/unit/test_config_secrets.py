"""Secrets of hooks: where they are looked for, who may read them, and what one has to look like."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mithrild.config import load
from mithrild.config.secrets import check_private_key, locate, signing_keys
from mithrild.errors import ConfigError

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
HOOK = """[[hooks]]
name = "h"
on = ["*"]
webhook = { url = "https://example.org/t0ken", WHERE }
"""


def told(home: Path, where: str, **env: str) -> list[str]:
    """What loading says of a webhook with this secret."""
    file = home / ".config" / "mithrild" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HOOK.replace("WHERE", where))
    try:
        load(None, {"HOME": str(home), "PATH": "/usr/bin"} | env)
    except ConfigError as error:
        return [line.removeprefix(f'{file}: hook "h": webhook.') for line in error.problems]
    return []


def a_file(path: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_it_is_taken_from_a_file_beside_the_configuration_or_from_a_variable(tmp_path: Path) -> None:
    a_file(tmp_path / ".config" / "mithrild" / "webhook.secret", f"{SECRET}\n")
    a_file(tmp_path / "keys" / "mine")
    assert told(tmp_path, 'secret_file = "webhook.secret"') == []
    assert told(tmp_path, 'secret_file = "~/keys/mine"') == []
    assert told(tmp_path, f'secret_file = "{tmp_path}/keys/mine"') == []
    assert told(tmp_path, 'secret_env = "MINE"', MINE=SECRET) == []
    assert told(tmp_path, 'secret_env = "MINE"', MINE=f"{SECRET} {SECRET}") == []


def test_credentials_of_systemd_come_first_and_their_mode_is_systemds(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    a_file(credentials / "mine", mode=0o440)
    assert told(tmp_path, 'secret_file = "mine"', CREDENTIALS_DIRECTORY=str(credentials)) == []
    assert told(tmp_path, 'secret_file = "mine"') == [
        f"secret_file: {tmp_path}/.config/mithrild/mine cannot be read: No such file or directory"
    ]
    env = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert locate("other", tmp_path, tmp_path / "etc", env) == f"{tmp_path}/etc/other"
    assert locate("/abs/mine", tmp_path, tmp_path / "etc", env) == "/abs/mine"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = a_file(tmp_path / "my secret", mode=mode)
    assert told(tmp_path, f'secret_file = "{file}"') == [
        f"secret_file: others can read {file}; type: chmod 600 '{file}'"
    ]


def test_what_is_no_file_or_no_text_is_refused(tmp_path: Path) -> None:
    file = a_file(tmp_path / "x", "")
    assert told(tmp_path, f'secret_file = "{file}"') == [f"secret_file: {file} is empty"]
    file.write_bytes(b"\xff")
    assert told(tmp_path, f'secret_file = "{file}"') == [f"secret_file: {file} is not UTF-8 text"]
    file.write_bytes(b"x" * 100_000)
    assert told(tmp_path, f'secret_file = "{file}"') == [f"secret_file: {file} is larger than 64 KiB: not a secret"]
    assert told(tmp_path, f'secret_file = "{tmp_path}"') == [f"secret_file: {tmp_path} cannot be read: Is a directory"]
    assert told(tmp_path, 'secret_file = "/dev/null"') == ["secret_file: /dev/null is not a file"]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("hush", 'a signing secret begins with "whsec_"'),
        (base64.b64encode(b"s" * 32).decode(), 'a signing secret begins with "whsec_"'),
        ("whsec_hush!", 'what follows "whsec_" is not base64'),
        ("whsec_" + base64.b64encode(b"s" * 23).decode(), "the secret has 23 bytes; it must have 24 to 64"),
        ("whsec_" + base64.b64encode(b"s" * 65).decode(), "the secret has 65 bytes; it must have 24 to 64"),
        (f"{SECRET} {SECRET} {SECRET}", "holds 3 words; one secret is needed, or the new one and the old one"),
    ],
)
def test_what_nobody_could_check_a_signature_by_is_refused_and_not_quoted(
    tmp_path: Path, secret: str, words: str
) -> None:
    [said] = told(tmp_path, 'secret_env = "MINE"', MINE=secret)
    assert said.startswith(f"secret_env: {words}")
    assert not any(word.removeprefix("whsec_") in said for word in secret.split())


def test_key_that_nobody_could_log_in_with_is_refused(tmp_path: Path) -> None:
    for name, phrase in (("open", ""), ("locked", "a phrase")):
        arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", str(tmp_path / name)]
        subprocess.run(arguments, check=True, capture_output=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    a_file(tmp_path / "pem", pem.decode())
    check_private_key(tmp_path / "open")
    check_private_key(tmp_path / "pem")
    a_file(tmp_path / "nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n")
    (tmp_path / "open.pub").chmod(0o600)
    a_file(tmp_path / "shown", (tmp_path / "open").read_text(), 0o644)
    for name, words in (
        ("locked", "is locked by a passphrase: unlock it in an agent, and leave key out"),
        ("nonsense", "is not a private key"),
        ("open.pub", "is not a private key"),
        ("none", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(ValueError, match=f"/{name} {words}"):
            check_private_key(tmp_path / name)
    with pytest.raises(ValueError, match="others can read"):
        check_private_key(tmp_path / "shown")


@pytest.mark.parametrize("length", [24, 25, 26, 64])
def test_keys_of_every_length_are_read_with_and_without_padding(length: int) -> None:
    key = bytes(range(length))
    written = base64.b64encode(key).decode()
    assert signing_keys(f"whsec_{written}") == signing_keys(f"whsec_{written.rstrip('=')}") == (key,)


def test_address_too_is_taken_from_a_file_or_a_variable(tmp_path: Path) -> None:
    toml = HOOK.replace('url = "https://example.org/t0ken", WHERE', "WHERE")
    file = tmp_path / ".config" / "mithrild" / "config.toml"
    url = a_file(tmp_path / "url", "https://example.org/t0ken\n")
    file.parent.mkdir(parents=True)
    file.write_text(toml.replace("WHERE", f'url_file = "{url}"'))
    [hook] = load(None, {"HOME": str(tmp_path)}).hooks
    assert hook.webhook is not None
    assert hook.webhook.shown == f"in {url}"
    url.write_text("http://example.org/t0ken")
    with pytest.raises(ConfigError, match=r"webhook.url_file: must begin with https://") as caught:
        load(None, {"HOME": str(tmp_path)})
    assert "t0ken" not in str(caught.value)
