"""Where the secrets of hooks are, and how they are read: when they are needed, from a file or a variable.

A secret is in no error: what is wrong with it is said in words of our own.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

MOST_BYTES = 64 * 1024
SHORTEST_KEY, LONGEST_KEY = 24, 64  # bytes: what Standard Webhooks asks for
MOST_KEYS = 2  # the new one and the old one, while they are being exchanged
SIGNING_ADVICE = 'make one with: echo "whsec_$(openssl rand -base64 32)"'

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Source:
    """A file (an absolute path) or a variable that holds a secret, or the secret itself."""

    file: Path | None = None
    variable: str | None = None
    text: SecretStr | None = None

    def read(self, env: Mapping[str, str]) -> str:
        """The secret without blanks around it. Raises ValueError, whose words are fit for a person."""
        if self.text is not None:
            text = self.text.get_secret_value()
        elif self.file is not None:
            # systemd lets nobody else into that folder, and what it shows as the group's right is an ACL of ours.
            safe = self.file.parent == Path(env.get("CREDENTIALS_DIRECTORY") or "/nowhere")
            text = _of_file(self.file, safe)
        else:
            text = env.get(self.variable or "", "")
        if not text.strip() and self.text is None:
            raise ValueError(f"{self.file} is empty" if self.file else f"the variable {self.variable} is not set")
        return text.strip()


def check_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f'"{name}" is not the name of a variable')
    return name


def check_path(path: str) -> str:
    if not path.strip() or "\0" in path:
        raise ValueError("names no file")
    return path


VariableName = Annotated[str, AfterValidator(check_variable)]
FileName = Annotated[str, AfterValidator(check_path)]


def locate(path: str, home: Path, folder: Path, env: Mapping[str, str]) -> str:
    """An absolute path: of `~/` as under the home, of others as among systemd's credentials, or beside config.toml."""
    if path.startswith("~/"):
        return str(home / path[2:])
    credentials = env.get("CREDENTIALS_DIRECTORY")
    if credentials and not os.path.isabs(path) and (Path(credentials) / path).exists():
        return str(Path(credentials) / path)
    return str(folder / path)


def signing_keys(text: str) -> tuple[bytes, ...]:
    """The keys in a secret as Standard Webhooks writes it, the one that is to stay first. Raises ValueError."""
    words = text.split()
    if not 1 <= len(words) <= MOST_KEYS:
        raise ValueError(f"holds {len(words)} words; one secret is needed, or the new one and the old one")
    return tuple(_key(word) for word in words)


def check_private_key(path: Path) -> None:
    """Raises ValueError for what nobody could log in with: not there, not private, not a key, or locked."""
    # Only those who name a key pay for loading this.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    text = _of_file(path, safe=False)
    load = load_ssh_private_key if "BEGIN OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        load(text.encode(), None)
    except TypeError:
        raise ValueError(f"{path} is locked by a passphrase: unlock it in an agent, and leave key out") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key") from None


def _key(word: str) -> bytes:
    prefix, key = word[:6], word[6:]
    if prefix != "whsec_":
        raise ValueError(f'a signing secret begins with "whsec_"; {SIGNING_ADVICE}')
    try:
        found = base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f'what follows "whsec_" is not base64; {SIGNING_ADVICE}') from None
    if not SHORTEST_KEY <= len(found) <= LONGEST_KEY:
        raise ValueError(
            f"the secret has {len(found)} bytes; it must have {SHORTEST_KEY} to {LONGEST_KEY}; {SIGNING_ADVICE}"
        )
    return found


def _of_file(path: Path, safe: bool) -> str:
    try:
        # Non-blocking, so that a named pipe in the file's place cannot hang anybody.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError(f"{path} is not a file")
            if not safe and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ValueError(f"others can read {path}; type: chmod 600 {shlex.quote(str(path))}")
            if not safe and found.st_uid not in (0, os.geteuid()):
                raise ValueError(f"{path} belongs to another user (uid {found.st_uid})")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES // 1024} KiB: not a secret")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
