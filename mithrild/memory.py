"""One heap for all threads, so that what one has freed is used by the next."""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def share_one_heap() -> None:
    """To be called before there are threads.

    glibc gives threads heaps of their own against waiting for each other, and each heap keeps what its largest answer
    once took: with two dozen threads that read the record this is 20 MB more in two minutes. Threads of Python seldom
    run at once. Other C libraries have no such setting, and are left alone.
    """
    try:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
    except (AttributeError, OSError):
        return
