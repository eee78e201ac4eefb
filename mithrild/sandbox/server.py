"""Serves the sandbox: as a command of its own, or inside another process on a port of its own. Loopback only."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from mithrild.sandbox.app import create_app
from mithrild.sandbox.arguments import SEED, SPEED
from mithrild.sandbox.catalog import KEY, PROJECT
from mithrild.sandbox.faults import Connections, Faults
from mithrild.sandbox.ledger import Ledger
from mithrild.sandbox.market import Market

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One marketplace. `app` starts and stops its market with its lifespan."""

    app: FastAPI
    market: Market
    key: str
    project: str
    faults: Faults
    ledger: Ledger
    connections: Connections = field(repr=False)


def build(
    *,
    speed: float = SPEED,
    seed: int = SEED,
    ssh: str | None = None,
    key: str = KEY,
    market: bool = True,
    demo: bool = True,
    wall: Callable[[], float] = time.time,
) -> Sandbox:
    """A new marketplace in memory.

    `ssh` (HOST:PORT) is the address that every instance gives as its own. `market=False` holds no auctions until
    the control API unpauses them; `demo=False` starts without bids. `wall` gives seconds since the epoch.
    """
    place = Market(speed=speed, seed=seed, ssh=ssh, running=market, demo=demo, wall=wall)
    faults, ledger, connections = Faults(), Ledger(), Connections()
    app = create_app(place, key, faults, ledger, connections)
    return Sandbox(app, place, key, PROJECT, faults, ledger, connections)


@contextlib.asynccontextmanager
async def running(sandbox: Sandbox, port: int = 0) -> AsyncIterator[str]:
    """Serve the sandbox in this event loop, without touching the process's signals. Yields its address.

    Raises OSError if the port is taken.
    """
    listener = _listen(port)
    server = _Server(_config(sandbox))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                await serving
                raise RuntimeError("the sandbox did not start")
            await asyncio.sleep(0.005)
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


def serve(args: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code."""
    sandbox = build(speed=args.speed, seed=args.seed, ssh=args.ssh, market=not args.paused, demo=not args.no_demo)
    try:
        asyncio.run(_until_signal(sandbox, args.port))
    except OSError as error:
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        sys.stderr.write(f"mithrild sandbox: cannot listen on port {args.port}: {why}. Choose another with --port.\n")
        return 1
    return 0


async def _until_signal(sandbox: Sandbox, port: int) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(sandbox, port) as address:
        sys.stdout.write(
            f"Sandbox at {address} (key {sandbox.key}): export MITHRIL_API_URL={address}"
            f" MITHRIL_API_KEY={sandbox.key} MITHRIL_PROJECT={sandbox.project}\n"
        )
        sys.stdout.flush()
        await stop.wait()


class _Server(uvicorn.Server):
    """A server that leaves the signals to its caller: uvicorn would end the process by the signal it got."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(sandbox: Sandbox) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox.app,
        http=sandbox.connections.protocol(),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        log_config=None,
        date_header=False,  # the app dates its answers by the marketplace's clock
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


def _listen(port: int) -> socket.socket:
    # Named outright, because asyncio sets TCP_NODELAY only where it reads TCP; without, every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
