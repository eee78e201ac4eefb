"""What `mithrild sandbox` takes. Light: whoever only reads the command line need not load the market."""

from __future__ import annotations

import argparse

PORT = 8810
SPEED = 60.0
SEED = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port, default=PORT, help="port on 127.0.0.1, 0 for any (%(default)s)")
    parser.add_argument(
        "--speed", type=speed, default=SPEED, help="how many times faster than life things go (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="same seed, same market (%(default)s)")
    parser.add_argument("--ssh", type=endpoint, metavar="HOST:PORT", help="address given for every instance")
    parser.add_argument("--paused", action="store_true", help="hold no auctions: only the control API moves things")
    parser.add_argument("--no-demo", action="store_true", help="start without the demonstration bids")


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def speed(text: str) -> float:
    try:
        times = float(text)
    except ValueError:
        times = 0.0
    if not 0 < times <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; give a number from above 0 to 10000")
    return times


def endpoint(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HOST:PORT")
    return text
