"""`mithrild run --sandbox`: a marketplace in a box and the daemon that watches it, in one process.

It has a state folder, a socket and a key of its own, so it never meets the real record. Each run starts a
new marketplace, and so a new record: the old one describes bids that ended with their process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from loguru import logger
from pydantic import SecretStr

from mithrild.app import App, set_up_logs
from mithrild.config import Config, Hook, load
from mithrild.errors import MithrildError
from mithrild.wire import SOCKET_NAME, state_home

FOLDER = "mithrild-sandbox"
NOMINAL_AUCTION = 120.0  # seconds between two auctions, before speed


def run(config_file: Path | None, env: Mapping[str, str], *, port: int, speed: float, seed: int) -> None:
    """Until SIGTERM or SIGINT. Raises MithrildError."""
    from mithrild.sandbox import server  # only those who rehearse pay for loading it

    folder = Path(state_home(dict(env))).absolute() / FOLDER
    own = {**env, "MITHRILD_SOCKET": str(_socket_folder(env, folder) / SOCKET_NAME)}  # never the real daemon's
    sandbox = server.build(speed=speed, seed=seed)

    async def both() -> None:
        async with AsyncExitStack() as stack:
            try:
                address = await stack.enter_async_context(server.running(sandbox, port))
            except OSError as error:
                raise MithrildError(f"the sandbox cannot listen on port {port}: {error.strerror}") from None

            def configure() -> Config:
                return _configuration(config_file, own, folder, address, sandbox.key, sandbox.project, speed)

            config = configure()
            set_up_logs(config)
            logger.info("the sandbox is at {}; its control API is {}/sandbox/state", address, address)

            def ready(path: str) -> None:
                # Whoever uses the real thing may have this set, and the sandbox knows nothing of their projects.
                unset = "MITHRIL_PROJECT= " if env.get("MITHRIL_PROJECT") else ""
                line = f"{unset}MITHRILD_SOCKET={path} {_ml()} instance list"
                sys.stderr.write(f"\n  In a second terminal:  {line}\n\n")
                sys.stderr.flush()

            await App(config, configure, own, on_ready=ready, new_record=True).run()

    asyncio.run(both())


def _socket_folder(env: Mapping[str, str], folder: Path) -> Path:
    runtime = env.get("XDG_RUNTIME_DIR")
    return Path(runtime) / FOLDER if runtime and Path(runtime).is_dir() else folder


def _configuration(
    file: Path | None, env: Mapping[str, str], folder: Path, address: str, key: str, project: str, speed: float
) -> Config:
    """The user's own hooks if a file is named, else three that show what hooks are for. Never a real key."""
    away = {name: value for name, value in env.items() if not name.startswith("MITHRIL_")}
    if file is None:
        away["XDG_CONFIG_HOME"] = str(folder / "no-config")
    config = load(file, away | {"MITHRIL_API_KEY": key, "MITHRIL_API_URL": address, "MITHRIL_PROJECT": project})
    auction = timedelta(seconds=max(NOMINAL_AUCTION / speed, 0.25))
    quarter = timedelta(milliseconds=250)
    return replace(
        config,
        state_dir=folder,
        api_key=SecretStr(key),
        key_source="the sandbox",
        projects=(project,),
        marketplace=config.marketplace.model_copy(update={"api_url": address, "requests_per_minute": 6000}),
        poll=config.poll.model_copy(
            update={"changing": quarter, "active": quarter, "idle": quarter, "prices": auction, "clusters": auction}
        ),
        # Its record is thrown away at the next start; and whoever asks for a backup wants it beside that.
        backup=config.backup.model_copy(update={"every": None, "folder": None}),
        hooks=config.hooks if file else _example_hooks(folder),
    )


def _example_hooks(folder: Path) -> tuple[Hook, ...]:
    words = {
        "save-checkpoint": ["instance.preempting"],
        "tell-me": ["bid.preempting", "bid.reprieved", "bid.running"],
        "resume": ["instance.running", "instance.reprieved"],
    }
    return tuple(
        Hook(name=name, on=tuple(on), run=(sys.executable, "-m", "mithrild.example_hook", str(folder / "hooks.log")))
        for name, on in words.items()
    )


def _ml() -> str:
    beside = Path(sys.executable).with_name("ml")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
