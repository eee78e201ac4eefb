"""`python -m mithrild.sandbox`: the sandbox alone."""

from __future__ import annotations

import argparse
import sys

from mithrild.sandbox.server import add_arguments, serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="mithrild sandbox", description="Serve a marketplace in a box.")
    add_arguments(parser)
    return serve(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
