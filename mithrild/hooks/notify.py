"""The action `notify`: a message to people, by apprise, or on this machine's own desktop.

Each address is an action of its own, so what reached one of them is not sent to it again because another failed.
Nothing tells a passing failure from a lasting one here: each is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping

from mithrild.clock import Clock
from mithrild.config.notifying import DESKTOP, DESKTOP_PROGRAM, LOGGER, apprise, check_notify_address, scheme_of
from mithrild.fleet.message import Message, compose
from mithrild.hooks.action import Job, Result
from mithrild.hooks.command import minimal_environment, run_command
from mithrild.hooks.patience import wait_for
from mithrild.hooks.secrets import Secrets
from mithrild.hooks.threads import Threads

TIMEOUT = 30.0  # seconds for one try
AT_ONCE = 16  # messages under way, of all hooks
MOST_WORDS = 4096
URGENT = ("warning", "failure")


class Notify:
    def __init__(self, clock: Clock, secrets: Secrets) -> None:
        self._clock, self._secrets = clock, secrets
        self._threads = Threads("notify", AT_ONCE)

    async def deliver(self, job: Job) -> Result:
        message = compose(job.events, deadline=job.claim.deadline, now=self._clock.now(), zone=None)
        try:
            url = await asyncio.to_thread(self._secrets.address, job.hook.notified(job.claim.action))
        except ValueError as error:
            return Result("retry", str(error))
        seconds = min(TIMEOUT, job.hook.timeout.total_seconds())
        if scheme_of(url) == DESKTOP:
            return await _on_desktop(message, seconds, job.stop)
        sending = asyncio.create_task(self._threads.call(lambda: _send(url, message)))
        try:
            match await wait_for(sending, job.stop, seconds):
                case "done":
                    return sending.result()
                case "stop":
                    return Result("interrupted", "the daemon is stopping: the message may have been sent")
                case "timeout":
                    return Result("retry", f"{scheme_of(url)} did not answer within {seconds:g} s")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def _send(url: str, message: Message) -> Result:
    """In a thread: apprise waits for its services. What it logs meanwhile is the only reason that it gives."""
    scheme = scheme_of(url)
    with _Overheard() as overheard:
        try:
            check_notify_address(url)
        except ValueError as error:
            return Result("failed", str(error))
        library = apprise()
        asset = library.AppriseAsset(app_id="mithrild", app_desc="mithrild", storage_mode="memory")
        service = library.Apprise.instantiate(url, asset=asset)
        sent = service.notify(title=message.title, body=message.body, notify_type=message.mood)
    said = "\n".join(overheard.lines)[:MOST_WORDS]
    if sent:
        return Result("done", output=said)
    return Result("retry", f"{scheme} did not take the message", said)


async def _on_desktop(message: Message, seconds: float, stop: asyncio.Event) -> Result:
    urgency = "critical" if message.mood in URGENT else "normal"
    program = [DESKTOP_PROGRAM, "--app-name=mithrild", f"--urgency={urgency}", "--", message.title, message.body]
    env: Mapping[str, str] = minimal_environment(os.environ)
    result = await run_command(program, stdin=b"", env=env, timeout=seconds, stop=stop)
    output = result.output.decode("utf-8", "replace")
    if result.outcome in ("done", "interrupted"):
        return Result(result.outcome, result.reason, output)
    return Result("retry", f"{DESKTOP_PROGRAM}: {result.reason}", output)


class _Overheard(logging.Handler):
    """The warnings that the library logs in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(record.getMessage())

    def __enter__(self) -> _Overheard:
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)
