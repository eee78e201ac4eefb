"""Which addresses a notification can be sent to: those of apprise, which is loaded by whoever has one, and `desktop://`.

Nothing of an address is shown but its scheme: the rest is mostly a token.
"""

from __future__ import annotations

import logging
import re
import warnings
from difflib import get_close_matches
from functools import cache
from shutil import which
from types import ModuleType

DESKTOP = "desktop"  # ours: apprise reaches desktops by libraries that are not on the package index
DESKTOP_PROGRAM = "notify-send"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
LOGGER = "apprise"


@cache
def apprise() -> ModuleType:
    """The library with all its services: a second and 45 MB, for those who notify. It is silenced, since it logs what
    it could not read, and that may be a token."""
    logger = logging.getLogger(LOGGER)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings(action="ignore"):  # of what it imports itself
        import apprise as library

        library.plugins.N_MGR.load_modules()  # type: ignore[no-untyped-call]  # this one has no types
    return library


def scheme_of(url: str) -> str | None:
    found = _SCHEME.match(url)
    return found[1].lower() if found else None


def check_notify_address(url: str) -> None:
    """Raises ValueError for what no message can be sent to."""
    scheme = scheme_of(url)
    if scheme is None:
        raise ValueError("must be an address such as ntfy://topic (https://appriseit.com has them all)")
    if scheme == DESKTOP:
        return
    library = apprise()
    if scheme in ("http", "https"):  # some services are known by the address that they give to their users
        if library.Apprise.instantiate(url) is None:
            raise ValueError(f'no service is known at this "{scheme}://" address; a receiver of your own is a webhook')
        return
    known = {str(name) for name in library.plugins.N_MGR.schemas(include_disabled=True)}
    if scheme not in known:
        near = get_close_matches(scheme, [*known, DESKTOP], n=1, cutoff=0.75)
        hint = f' (did you mean "{near[0]}://"?)' if near else ""
        raise ValueError(f'there is no service "{scheme}://"{hint}')
    if library.Apprise.instantiate(url) is None:
        if scheme not in library.plugins.N_MGR.schemas(include_disabled=False):
            raise ValueError(f'"{scheme}://" needs a library that is not installed here')
        raise ValueError(f'what follows "{scheme}://" is not as that service wants it')


def remark(url: str) -> str | None:
    """What a message to this address lacks on this machine."""
    if scheme_of(url) == DESKTOP and which(DESKTOP_PROGRAM) is None:
        return f"desktop:// needs {DESKTOP_PROGRAM}, which is not installed; deliveries will fail until it is"
    return None
