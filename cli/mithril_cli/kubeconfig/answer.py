"""What is run on the control node, and what of its answer is the file. Pure.

A login may have things to say first, on the same stream: the file stands between two lines that nobody else
writes. The second is written only after all of the file was.
"""

from __future__ import annotations

from mithril_cli.kubeconfig.document import Unreadable

MOST_BYTES = 1_000_000


def command(mark: str) -> str:
    """The line for the shell there, whichever shell it is. `mark` is letters and digits that nobody can foresee."""
    return f"printf '\\n%s\\n' {mark}-begin; cat ~/.kube/config && printf '\\n%s\\n' {mark}-end"


def unwrap(said: bytes, mark: str) -> str:
    """The file in what was said. Raises Unreadable."""
    _, begin, rest = said.partition(f"\n{mark}-begin\n".encode())
    content, end, _ = rest.rpartition(f"\n{mark}-end\n".encode())
    if not begin or not end:
        raise Unreadable("the answer was cut short")
    if len(content) > MOST_BYTES:
        raise Unreadable("it is larger than 1 MB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8 text") from None
