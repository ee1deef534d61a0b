"""The application: the rooms of speech behind the door, upon a running service.

Invariant: whatever stands here is thin; what is decided, is decided below.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from regulars import __version__
from regulars.config import Config, read_config
from regulars.flows.access import Doorkeeper
from regulars.kernel.errors import Problem, RegularsError
from regulars.store.database import working_for
from regulars.web.api import members, orders, programmes, quotes, wallet
from regulars.web.api.calls import House, call_of, may
from regulars.web.door import App, Buckets, Door, Figures, Receive, Scope, Send
from regulars.web.problems import MEDIA_TYPE, Failure, encoded, failure_of, headers_of
from regulars.wiring import Service, open_service

ROUTES = [*orders.ROUTES, *members.ROUTES, *quotes.ROUTES, *wallet.ROUTES, *programmes.ROUTES]
_CODES = {
    401: "no_key",
    403: "not_allowed",
    404: "no_such_route",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


_STRANGERS = (1.0, 60)
"""Keys a second and address that may be tried in vain."""


class Application:
    """ASGI: opens the service when the server starts, and closes it after the last answer."""

    def __init__(self, config: Config | None = None, per_second: float = 200, burst: int = 400) -> None:
        """``per_second`` requests of a key come back, up to ``burst``."""
        self._config = config
        self._rates = Buckets(per_second, burst)
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert self._app is not None, "the server calls lifespan first"
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                service = await stack.enter_async_context(open_service(self._config or read_config()))
            except RegularsError as wrong:
                await send({"type": "lifespan.startup.failed", "message": str(wrong)})
                return
            self._app = await stack.enter_async_context(opened(service, self._rates, Buckets(*_STRANGERS)))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@contextlib.asynccontextmanager
async def opened(service: Service, rates: Buckets, strangers: Buckets) -> AsyncIterator[App]:
    """The application upon a service that is running; who came is written down until the end."""
    doorkeeper = Doorkeeper(service.pool, service.clock)
    figures = Figures()
    app = _litestar(House(service, doorkeeper), figures)
    writing = asyncio.create_task(doorkeeper.keep_writing())
    try:
        yield Door(app, doorkeeper, figures, rates, strangers)  # type: ignore[arg-type]
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


def _litestar(house: House, figures: Figures) -> Litestar:
    app = Litestar(
        route_handlers=[_V1, *_HOUSE],
        exception_handlers={HTTPException: _told_by_litestar, Exception: _told},
        openapi_config=_OPENAPI,
        logging_config=None,
        request_max_body_size=None,  # the door bounds it
    )
    app.state.house = house
    app.state.figures = figures
    return app


@get("/healthz", include_in_schema=False, media_type=MediaType.TEXT)
async def get_health() -> str:
    """Whether the process answers."""
    return "ok"


@get("/readyz", include_in_schema=False, media_type=MediaType.TEXT)
async def get_readiness(request: Request[Any, Any, Any]) -> str:
    """Whether the database answers too."""
    async with working_for(request.app.state.house.service.pool, []) as connection:
        await connection.fetchval("select 1")
    return "ready"


@get("/metrics", include_in_schema=False)
async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """For Prometheus."""
    return Response(generate_latest(request.app.state.figures.registry), media_type=CONTENT_TYPE_LATEST)


_HOUSE: list[Any] = [get_health, get_readiness, get_metrics]
_V1 = Router("/v1", route_handlers=ROUTES, guards=[may], dependencies={"call": Provide(call_of, sync_to_thread=False)})
_OPENAPI = OpenAPIConfig(
    title="Regulars",
    version=__version__,
    path="/openapi",
    use_handler_docstrings=True,
    render_plugins=(),
    components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="A key: rk_...")}),
    security=[{"key": []}],
)


def _told(request: Request[Any, Any, Any], wrong: Exception) -> Response[bytes]:
    return _answer(request, failure_of(wrong))


def _told_by_litestar(request: Request[Any, Any, Any], wrong: HTTPException) -> Response[bytes]:
    """What the framework refuses before a route is reached."""
    extra = wrong.extra if isinstance(wrong.extra, list) else []
    if any(one.get("key") == "data" for one in extra):
        return _answer(request, Failure(400, "malformed", Problem("body", "there is none", "send a JSON object, and its Content-Type")))
    problems = [Problem(_place(one), str(one.get("message", "")), "see /docs for what is expected") for one in extra]
    code = _CODES.get(wrong.status_code, "malformed" if wrong.status_code < 500 else "internal")
    if not problems:
        problems = [Problem("", wrong.detail if wrong.status_code < 500 else "it was written to the log", "see /docs for what there is")]
    if wrong.status_code >= 500:
        return _answer(request, failure_of(wrong))
    return _answer(request, Failure(wrong.status_code, code, *problems, headers=dict(wrong.headers or {})))


def _place(said: dict[str, Any]) -> str:
    source = str(said.get("source", ""))
    return ".".join(part for part in (source, str(said.get("key", ""))) if part)


def _answer(request: Request[Any, Any, Any], failure: Failure) -> Response[bytes]:
    body = encoded(failure, str(request.scope.get("request_id", "")))
    return Response(body, status_code=failure.status, media_type=MEDIA_TYPE, headers=headers_of(failure))
