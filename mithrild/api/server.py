"""HTTP/1.1 over the Unix socket: the routes, and the server that answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import uvicorn
from loguru import logger
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mithrild.api import (
    backups,
    bids,
    clusters,
    deliveries,
    events,
    explaining,
    fleet,
    hooks,
    inventory,
    rehearsals,
    replaying,
    silences,
    status,
    writes,
)
from mithrild.api.answers import Parts, Refusal, answer, of_marketplace, refuse
from mithrild.api.peer import PeerCheckedProtocol
from mithrild.api.socket import BoundSocket
from mithrild.errors import MarketplaceError, StoreError
from mithrild.fleet.order import NameTaken, NoSuch, Unfit
from mithrild.wire import API_VERSION

READS: dict[str, Callable[[Parts, Request], Response]] = {
    "/status": status.show_status,
    "/instances": fleet.list_instances,
    "/types": inventory.list_types,
    "/clusters": clusters.list_clusters,
    "/events": events.list_events,
    "/events/{event}/explain": explaining.explain_event,
    "/explain": explaining.explain_imagined,
    "/deliveries": deliveries.list_deliveries,
    "/deliveries/{delivery}": deliveries.show_delivery,
    "/hooks": hooks.list_hooks,
    "/silences": silences.list_silences,
    "/backups": backups.list_backups,
}
# These change something, or may ask the marketplace and wait for it.
QUESTIONS: dict[tuple[str, str], Callable[[Parts, Request], Awaitable[Response]]] = {
    ("GET", "/bids"): bids.list_bids,
    ("GET", "/bids/{bid:name}/history"): bids.show_history,
    ("GET", "/bids/{bid:name}"): bids.show_bid,
    ("POST", "/bids"): writes.place_bid,
    ("PATCH", "/bids/{bid:name}"): writes.change_bid,
    ("DELETE", "/bids/{bid:name}"): writes.cancel_bid,
    ("POST", "/backups"): backups.make_backup,
    ("GET", "/clusters/{cluster:name}"): clusters.show_cluster,
    ("GET", "/ssh-keys"): inventory.list_ssh_keys,
    ("POST", "/deliveries/retry"): deliveries.retry,
    ("POST", "/events/{event}/replay"): replaying.replay,
    ("POST", "/hooks/{hook}/test"): rehearsals.test_hook,
    ("POST", "/hooks/{hook}/enable"): hooks.enable_hook,
    ("POST", "/silences"): silences.begin_silence,
    ("DELETE", "/silences/{which:name}"): silences.end_silence,
    ("POST", "/drills"): rehearsals.begin_drill,
    ("POST", "/drills/{drill}/end"): rehearsals.end_drill,
    ("DELETE", "/drills/{drill}"): rehearsals.interrupt_drill,
}


class _Name(Convertor[str]):
    """A bid's name in an address, still escaped: it may hold slashes and line breaks."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("name", _Name())


def build(parts: Parts) -> ASGIApp:
    """The application. Every read runs in a thread, on a connection of its own."""

    def route(method: str, path: str, handle: Callable[[Parts, Request], Awaitable[Response]]) -> Route:
        async def endpoint(request: Request) -> Response:
            if request.query_params.get("waiting") == "1":
                parts.desk.somebody_waits()
            asking = handle(parts, request)
            return await (_while_heard(request, asking) if method == "GET" else asking)

        return Route(f"/{API_VERSION}{path}", endpoint, methods=[method])

    def in_thread(handle: Callable[[Parts, Request], Response]) -> Callable[[Parts, Request], Awaitable[Response]]:
        return lambda parts, request: asyncio.to_thread(handle, parts, request)

    class Stream:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await events.stream_events(parts, scope, receive, send)

    routes = [Route(f"/{API_VERSION}/events/stream", Stream(), methods=["GET"])]
    routes += [route("GET", path, in_thread(handle)) for path, handle in READS.items()]
    routes += [route(method, path, handle) for (method, path), handle in QUESTIONS.items()]
    handlers = {
        Refusal: _refused,
        Unfit: _unfit,
        MarketplaceError: _marketplace,
        HTTPException: _http,
        StoreError: _store,
        Exception: _broken,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]  # invariance
    app.router.redirect_slashes = False
    return _Door(app)


async def _while_heard(request: Request, asking: Awaitable[Response]) -> Response:
    """The answer, as long as somebody waits for it: for one who hung up nothing more is asked of the marketplace."""

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answering, gone = asyncio.ensure_future(asking), asyncio.ensure_future(hung_up())
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else Response(status_code=499)
    finally:
        answering.cancel()
        gone.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


class _Door:
    """A page in a browser must not reach the daemon, through whatever proxy: it cannot hide these headers. And
    addresses are taken apart as they were sent: a bid that is called `train/history` is not the history of train."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and {b"origin", b"referer"} & {name for name, _ in scope["headers"]}:
            refusal = refuse(Refusal("refused", "requests with Origin or Referer are refused: no browser may ask"))
            await refusal(scope, receive, send)
            return
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await self._app(scope, receive, send)


def _refused(request: Request, error: Refusal) -> Response:
    return refuse(error)


_UNFIT: dict[type[Unfit], str] = {NameTaken: "conflict", NoSuch: "not_found"}


def _unfit(request: Request, error: Unfit) -> Response:
    code = next((code for kind, code in _UNFIT.items() if isinstance(error, kind)), "bad_request")
    return refuse(Refusal(code, str(error), choices=list(error.choices), what=error.what))


def _marketplace(request: Request, error: MarketplaceError) -> Response:
    return refuse(of_marketplace(error))


def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        return refuse(Refusal("not_found", f"there is no {request.url.path}; see /{API_VERSION}/status"))
    return answer({"error": {"code": "bad_request", "message": str(error.detail)}}, error.status_code)


def _store(request: Request, error: StoreError) -> Response:
    logger.error("{}", error)
    return refuse(Refusal("internal", str(error)))


def _broken(request: Request, error: Exception) -> Response:
    """A defect of ours. Starlette raises it again after this answer, and uvicorn logs it."""
    return refuse(Refusal("internal", "the daemon has met a defect of its own; its log says more"))


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is the daemon's decision."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve_on(self, socket: BoundSocket) -> None:
        await self.serve(sockets=[socket.socket])


def make_server(app: ASGIApp) -> Server:
    return Server(
        uvicorn.Config(
            app,
            http=PeerCheckedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
