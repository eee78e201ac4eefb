"""A marketplace that answers as it is told, and a home in which `ml setup` is typed."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.integration.cli_process import ML, PATIENCE, Done

KEY = "fkey_0123456789abcdef"
USER = {"id": "user-1", "fid": "user_1"}
PROJECTS = [{"fid": "proj_demo", "name": "demo"}, {"fid": "proj_lab", "name": "lab"}]
BILLING = "/users/user-1/billing_check"
NOBODY = {"MITHRIL_API_URL": "http://127.0.0.1:9"}
OK = {"code": "ok", "message": ""}


@dataclass
class Account:
    """`answers` has status and body of each path; `keys` are those that were sent, in order."""

    address: str
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def marketplace() -> Iterator[Account]:
    account = Account("", {"/v2/me": (200, USER), "/v2/projects": (200, PROJECTS), BILLING: (200, OK)})

    class Exchange(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            account.keys.append(self.headers["Authorization"])
            code, body = account.answers.get(self.path, (404, {}))
            if self.headers["Authorization"] != f"Bearer {KEY}":
                code, body = 401, {}
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            if code == 302:
                self.send_header("Location", data.decode())
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        account.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            thread.join(5)


@dataclass
class Home:
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "xdg" / "mithril" / "config.yaml"

    def env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "xdg"),
            "MITHRILD_SOCKET": str(self.folder / "mithrild.sock"),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PYTHONWARNINGS": "error",
            **more,
        }

    def write(self, text: str, mode: int = 0o600) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text)
        self.file.chmod(mode)

    def setup(self, *args: str, typed: str = "", **more: str) -> Done:
        done = subprocess.run(
            [*ML, "setup", *args], env=self.env(**more), input=typed.encode(), capture_output=True, timeout=PATIENCE
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def settings(account: Account, key: str = KEY, project: str = "proj_demo") -> str:
    profile = f"{{api_key: {key}, project_id: {project}, api_url: {account.address}}}"
    return f"# by hand\ncurrent_profile: default\nprofiles:\n  default: {profile}\n"
