"""`mithrild run`, killed from within at a named point: `doomed.py POINT NTH run --config FILE`.

The kill is a real SIGKILL of the real program; only the moment is chosen.
"""

from __future__ import annotations

import os
import signal
import sys

from mithrild.__main__ import main
from tests.crash.points import lay


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    lay(sys.argv[1], int(sys.argv[2]), die)
    sys.exit(main(sys.argv[3:]))
