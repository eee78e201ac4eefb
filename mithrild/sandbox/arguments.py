"""What `mithrild sandbox` takes. Light: whoever only reads the command line need not load the market."""

from __future__ import annotations

import argparse

PORT = 8810
SPEED = 60.0
SEED = 7


EPILOG = """\
examples:
  mithrild sandbox                                  at http://127.0.0.1:8810, sixty times faster than life
  mithrild sandbox --speed 1 --paused               nothing moves but what you move
  mithrild sandbox --ssh 127.0.0.1:2222             every instance and cluster says it is there

make things happen (no key needed; BID is a name or a fid):
  curl -X POST localhost:8810/sandbox/bids/BID/preempt      allocate, preempt, reprieve, relocate, pause, terminate;
                                                            held until: release
  curl localhost:8810/sandbox/clock  --json '{"advance_seconds": 300}'
  curl localhost:8810/sandbox/prices --json '{"instance_type": "it_b200usc5a01", "spot_price": "$30.00"}'
  curl localhost:8810/sandbox/faults --json '{"path": "/v2/instances*", "kind": "status", "status": 503, "count": 3}'
  curl localhost:8810/sandbox/timeline                      all that really happened, in order
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=port, default=PORT, help="port on 127.0.0.1, 0 for any (%(default)s)")
    parser.add_argument(
        "--speed", type=speed, default=SPEED, help="how many times faster than life things go (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="same seed, same market (%(default)s)")
    parser.add_argument(
        "--ssh", type=endpoint, metavar="HOST:PORT", help="address given for every instance and cluster"
    )
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
