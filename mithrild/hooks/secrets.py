"""The secrets of hooks: read when they are needed, and taken out of everything that is kept or logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from mithrild.config import Hook
from mithrild.config.addresses import Address
from mithrild.config.secrets import Source

SHORTEST = 6  # a shorter word is in half of all texts, and is no secret
TOKEN_LENGTH = 16
TELLING = frozenset({"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"})  # words in names of variables
HIDDEN = "***"


class Secrets:
    """Remembers what it has read, so that `scrub` knows what must not be seen."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._hidden: tuple[str, ...] = ()

    def learn(self, hooks: Iterable[Hook]) -> None:
        """Reads what these hooks name, so that none of them can print what belongs to another. Reads files."""
        for hook in hooks:
            self.hide(self._env.get(name, "") for name in hook.env if TELLING & set(name.upper().split("_")))
            for address in (*([hook.webhook] if hook.webhook else ()), *(hook.notify or ())):
                with suppress(ValueError):
                    self.address(address)
            if hook.webhook is not None and hook.webhook.secret is not None:
                with suppress(ValueError):
                    self.read(hook.webhook.secret)

    def read(self, source: Source) -> str:
        """Raises ValueError, whose words hold nothing of the secret."""
        text = source.read(self._env)
        self.hide(word for whole in text.split() for word in (whole, whole.removeprefix("whsec_")))
        return text

    def address(self, address: Address) -> str:
        """An address, from wherever it stands. Raises ValueError."""
        text = self.read(address.source)
        self.hide(_telling_parts(text))
        return text

    def hide(self, words: Iterable[str]) -> None:
        found = {word for word in words if len(word) >= SHORTEST}.union(self._hidden)
        # The longest first: one secret may hold another.
        self._hidden = tuple(sorted(found, key=lambda word: (-len(word), word)))

    def scrub(self, text: str) -> str:
        for word in self._hidden:
            text = text.replace(word, HIDDEN)
        return text


def _telling_parts(url: str) -> Iterable[str]:
    """The whole, and what programs print of it when something goes wrong."""
    yield url
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from (part for part in (parts.username, parts.password) if part)
    # To the services of notifications a token is often what stands in the host's place.
    places = [
        *parts.path.split("/"),
        parts.query,
        *(() if parts.scheme.startswith("http") else (parts.hostname or "",)),
    ]
    yield from (part for part in places if _is_like_a_token(part))


def _is_like_a_token(part: str) -> bool:
    """Words such as "hooks" or "mithril" are in half of all texts."""
    return len(part) >= TOKEN_LENGTH or any(sign.isdigit() for sign in part)
