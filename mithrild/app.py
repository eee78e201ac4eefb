"""The only place that builds the parts and joins them: start order, signals, stop order.

Start: lock, record, what the last daemon left, socket, watch, hooks; READY once the socket answers.
Stop, the other way round: no new polls, no new hooks, the running ones get their grace, then the socket.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loguru import logger

from mithrild import __version__, logs, systemd
from mithrild.api.answers import Parts
from mithrild.api.feed import Feed
from mithrild.api.server import build, make_server
from mithrild.api.socket import BoundSocket, bind
from mithrild.clock import Bearings, Clock, SystemClock
from mithrild.config import Config, restart_needed
from mithrild.errors import ConfigError, ForeignAccount, MithrildError
from mithrild.fleet.event import stamp
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.lock import StateLock
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.marketplace.transport import Tickets
from mithrild.memory import share_one_heap
from mithrild.store.database import Database
from mithrild.store.latency import Latencies
from mithrild.watcher.archive import Archive
from mithrild.watcher.cadence import Cadence
from mithrild.watcher.desk import Desk
from mithrild.watcher.disk import mind_the_disk
from mithrild.watcher.upkeep import Upkeep
from mithrild.watcher.watch import Watch

RECORD = "mithrild.db"
STOP_TAKES = 20.0  # seconds beside the grace of the hooks: KILL after TERM, the last answers, the last commit
WRITE_LIMIT = 120.0  # seconds; SQLite itself waits for a lock for 10
THREADS = 32
# Seconds that a thread may keep the interpreter while others wait. SQLite gives it away for every row, so that a poll,
# a claim or a settlement of hundreds of rows beside a busy thread would wait hundreds of times for Python's own 5 ms.
SWITCH = 0.0005
FILES_EVERY = 5.0  # seconds between looks at the files that hold a key, while the key is refused

Reload = Callable[[], Config]


class App:
    """One daemon. `reload` reads the configuration anew; `on_ready` is told when the socket answers; with
    `new_record` the one that stands is removed first, by the holder of the lock."""

    def __init__(
        self,
        config: Config,
        reload: Reload,
        env: Mapping[str, str],
        *,
        clock: Clock | None = None,
        on_ready: Callable[[str], None] = lambda path: None,
        new_record: bool = False,
    ) -> None:
        self._config, self._reload, self._env, self._on_ready = config, reload, env, on_ready
        self._started_with, self._new_record = config, new_record
        self._keys = {config.api_key.get_secret_value()} if config.api_key else set()
        self._clock = clock or SystemClock()
        self._started_at: datetime = self._clock.now()
        self._stop = asyncio.Event()
        self._fatal: MithrildError | None = None
        self._restart_needed: list[str] = []
        self._budget = RequestBudget(self._clock, config.marketplace.requests_per_minute)
        self._on_new_config: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises MithrildError for what keeps it from starting, or from going on."""
        config = self._config
        sys.setswitchinterval(SWITCH)
        # What waits for another program's lock on the record must not take the places of what reads it.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        with StateLock(config.state_dir):
            if self._new_record:
                for suffix in ("", "-wal", "-shm"):
                    (config.state_dir / (RECORD + suffix)).unlink(missing_ok=True)
            database = Database(config.state_dir / RECORD, self._clock)
            if database.restored_from is not None:
                logger.warning(
                    "the record was restored from the backup of {}: what happened since is looked up, and seen anew",
                    stamp(database.restored_from),
                )
            try:
                database.claim_for(config.api_url, None)
                await self._serve(database)
            finally:
                # Commits run in threads: the record is closed after the last of them.
                await asyncio.get_running_loop().shutdown_default_executor()
                database.close()
        if self._fatal is not None:
            raise self._fatal

    async def _serve(self, database: Database) -> None:
        feed, bearings = Feed(database), Bearings(self._clock)
        dispatcher = Dispatcher(
            database,
            lambda: self._config.hooks,
            self._clock,
            run=secrets.token_hex(4),
            env=self._env,
            keys=lambda: self._keys,
            on_commit=feed.wake,
            bearings=bearings,
        )

        def on_commit() -> None:
            feed.wake()
            dispatcher.wake()

        await dispatcher.recover()
        marketplace = Marketplace(
            self._config.api_url,
            self._config.api_key,
            clock=self._clock,
            tickets=Tickets(),
            budget=self._budget,
            connect_timeout=self._config.marketplace.connect_timeout.total_seconds(),
            read_timeout=self._config.marketplace.read_timeout.total_seconds(),
        )
        cadence = Cadence(self._clock)
        bound = bind(self._env, listen_fds=systemd.listen_fds())
        watch = Watch(
            lambda: self._config,
            marketplace,
            self._budget,
            database,
            cadence,
            self._clock,
            bearings=bearings,
            host=socket.gethostname(),
            on_commit=on_commit,
            on_foreign_account=self._give_up,
        )
        upkeep = Upkeep(lambda: self._config, database, self._clock, lambda: marketplace.skew)
        parts = Parts(
            database=database,
            feed=feed,
            clock=self._clock,
            config=lambda: self._config,
            health=watch.health,
            desk=Desk(
                marketplace,
                database,
                watch.recorder,
                self._clock,
                lambda: cadence.look_at_once("poll"),
                lambda: self._config.poll.active.total_seconds(),
            ),
            archive=Archive(marketplace, self._budget, watch.health, self._clock),
            upkeep=upkeep,
            latencies=Latencies(database, self._clock),
            daemon=lambda: self._facts(bound),
            host=socket.gethostname(),
            wake=on_commit,
            end_rehearsal=dispatcher.end_rehearsal,
        )
        server = make_server(build(parts))
        watch.begin()
        upkeep.begin(cadence)
        self._on_new_config = lambda: cadence.look_at_once("upkeep")
        self._take_signals(watch, dispatcher)
        tasks = [
            asyncio.create_task(server.serve_on(bound)),
            asyncio.create_task(dispatcher.serve()),
            asyncio.create_task(self._feed_watchdog(database)),
            asyncio.create_task(self._watch_files(watch, dispatcher)),
            asyncio.create_task(mind_the_disk(database, self._clock, on_commit)),
        ]
        try:
            await _until_started(server, tasks[0])
            cadence.start()
            logger.info("mithrild {} answers at {}", __version__, bound.path)
            systemd.notify_ready()
            self._on_ready(bound.path)
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            stopping.cancel()
        finally:
            systemd.notify_stopping(self._config.shutdown_grace.total_seconds() + STOP_TAKES)
            logger.info("stopping")
            await cadence.stop()
            await upkeep.stop()
            await watch.stop()
            await dispatcher.stop(self._config.shutdown_grace)
            feed.close()
            server.should_exit = True
            await asyncio.wait(tasks[:2], timeout=10)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bound.close()
            await marketplace.aclose()

    def _take_signals(self, watch: Watch, dispatcher: Dispatcher) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._take_configuration, watch, dispatcher)

    def _take_configuration(self, watch: Watch, dispatcher: Dispatcher) -> None:
        """Takes the new configuration, or keeps the old one and says why. What is new to a hook is not news."""
        systemd.notify_reloading()
        try:
            self._take(self._reload(), watch, dispatcher)
        except ConfigError as error:
            for problem in error.problems:
                logger.error("{}", problem)
            logger.error("the configuration stays as it was")
        finally:
            systemd.notify_ready()

    def _take(self, new: Config, watch: Watch, dispatcher: Dispatcher) -> None:
        self._restart_needed = restart_needed(self._started_with, new)
        self._config = new = self._effective(new)
        if new.api_key is not None:
            self._keys.add(new.api_key.get_secret_value())
        logs.setup(new.log.level, sorted(self._keys))  # requests with an old key may be under way
        for warning in new.warnings:
            logger.warning("{}", warning)
        self._budget.cap = new.marketplace.requests_per_minute
        watch.new_key()
        dispatcher.wake()
        self._on_new_config()
        logger.info("the configuration was read again: {} hooks", len(new.hooks))
        if self._restart_needed:
            logger.warning("these take effect only after a restart: {}", ", ".join(self._restart_needed))

    def _effective(self, new: Config) -> Config:
        """The new settings, but for those that need a restart. The key belongs to its address: a new key is
        never sent to the old one."""
        old = self._started_with
        moved = new.api_url != old.api_url
        return replace(
            new,
            state_dir=old.state_dir,
            projects=old.projects,
            project=old.project,
            marketplace=new.marketplace.model_copy(update={"api_url": old.api_url}),
            api_key=self._config.api_key if moved else new.api_key,
            key_source=self._config.key_source if moved else new.key_source,
        )

    async def _watch_files(self, watch: Watch, dispatcher: Dispatcher) -> None:
        """While there is no good key, a change of the files that hold one is taken up without being told."""
        seen = _marks(self._config.watched_files)
        while True:
            await self._clock.sleep(FILES_EVERY)
            now = _marks(self._config.watched_files)
            if now != seen and watch.health.key in ("missing", "refused"):
                logger.info("a file that may hold the key has changed")
                self._take_configuration(watch, dispatcher)
            seen = now

    async def _feed_watchdog(self, database: Database) -> None:
        """Tells systemd that the loop turns and that every write attempt ends, well or badly: an outage or a full
        disk is no reason to be killed, a thread that hangs with the write lock is."""
        interval = systemd.watchdog_interval()
        while True:
            await self._clock.sleep(interval or 60.0)
            since = database.writing_since
            if since is None or time.monotonic() - since < WRITE_LIMIT:
                systemd.notify_watchdog()
            else:
                logger.error("a write has hung for {:.0f} s; only a restart helps", time.monotonic() - since)

    def _give_up(self, error: ForeignAccount) -> None:
        self._fatal = error
        self._stop.set()

    def _facts(self, bound: BoundSocket) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": stamp(self._started_at),
            "uptime_seconds": max(now - self._started_at, timedelta(0)).total_seconds(),
            "socket": bound.path,
            "restart_needed": self._restart_needed,
            "sandbox": self._config.state_dir.name == "mithrild-sandbox",
            "requests": {
                "requests_last_minute": self._budget.spent(),
                "request_cap": self._budget.cap,
                "requests_by": self._budget.spent_by(),
            },
        }


def set_up_logs(config: Config) -> None:
    secret = [config.api_key.get_secret_value()] if config.api_key else []
    logs.setup(config.log.level, secret)


def run(config: Config, reload: Reload, env: Mapping[str, str]) -> None:
    """The daemon, from here to its end. Raises MithrildError."""
    share_one_heap()
    set_up_logs(config)
    for warning in config.warnings:
        logger.warning("{}", warning)
    asyncio.run(App(config, reload, env).run())


async def _until_started(server: Any, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            await serving
            raise MithrildError("the local API did not start")
        await asyncio.sleep(0.005)


def _marks(files: tuple[Path, ...]) -> list[tuple[int, int] | None]:
    marks: list[tuple[int, int] | None] = []
    for file in files:
        try:
            found = file.stat()
            marks.append((found.st_mtime_ns, found.st_ino))
        except OSError:
            marks.append(None)
    return marks
