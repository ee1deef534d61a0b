"""The door: one layer around everything - request ids, keys, rates, sizes, times, security headers, figures, and a way out for errors.

Invariant: nothing behind the door sees a request without a caller who may come in, and no answer leaves without its headers. Logs hold no
personal data: routes, never addresses; keys by their id.
"""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

from regulars.flows.access import Caller, Refused
from regulars.kernel.errors import Problem
from regulars.web.problems import MEDIA_TYPE, Failure, encoded, failure_of, headers_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MOST = 2 * 2**20
BODY_SECONDS = 15.0
"""How long a body may take to arrive."""

_NAMED = re.compile(rb"^[A-Za-z0-9_.-]{8,80}$")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)
_log = logging.getLogger("regulars.web")


class Keeper(Protocol):
    """Whoever knows keys again."""

    async def opens(self, shown: str, address: str) -> Caller | Refused:
        """Whose key was shown, or why it does not open."""


class Figures:
    """What is counted of requests, as Prometheus reads it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.registry = CollectorRegistry()
        self.requests = Counter("regulars_requests", "Answers by route and status.", ("method", "route", "status"), registry=self.registry)
        self.seconds = Histogram("regulars_request_seconds", "Time to the end of the answer.", ("route",), registry=self.registry)


class Buckets:
    """How many requests each caller has left: ``per_second`` come back, up to ``burst``."""

    def __init__(self, per_second: float, burst: int) -> None:
        """Everybody begins with a full bucket."""
        self.per_second = per_second
        self.burst = burst
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, whose: str) -> tuple[bool, int, int]:
        """Whether one is left, how many remain, and the seconds until one is there again."""
        now = time.monotonic()
        if len(self._left) > 50_000:
            self._left = {who: (left, at) for who, (left, at) in self._left.items() if now - at < self.burst / self.per_second}
        left, at = self._left.get(whose, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.per_second)
        is_taken = left >= 1
        left -= is_taken
        self._left[whose] = (left, now)
        return is_taken, int(left), 0 if left >= 1 else max(1, round((1 - left) / self.per_second))


class Door:
    """Around an ASGI application."""

    def __init__(self, app: App, keeper: Keeper, figures: Figures, rates: Buckets, strangers: Buckets) -> None:
        """``rates`` of whoever shows a key, ``strangers`` of those who show none that opens."""
        self._app = app
        self._keeper = keeper
        self._figures = figures
        self._rates = rates
        self._strangers = strangers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Visit(scope, send).go(self, receive)

    async def let_in(self, visit: "_Visit", receive: Receive) -> None:
        """Through the door, or a failure."""
        scope = visit.scope
        if scope["path"].startswith("/v1"):
            await self._know(visit)
        await self._app(scope, _bounded(scope, receive), visit.send)

    async def _know(self, visit: "_Visit") -> None:
        address = visit.scope["client"][0] if visit.scope.get("client") else ""
        caller = await self._keeper.opens(visit.header(b"authorization"), address)
        if isinstance(caller, Refused):
            is_taken, *_ = self._strangers.take(address)
            if not is_taken:
                raise Failure(
                    429, "too_many_requests", Problem("", "too many keys that do not open", "wait a minute"), headers={"Retry-After": "60"}
                )
            raise Failure(401, "no_key", Problem("Authorization", caller.what, caller.hint), headers={"WWW-Authenticate": "Bearer"})
        visit.who = caller.key_id
        is_taken, left, wait = self._rates.take(caller.key_id)
        window = round(self._rates.burst / self._rates.per_second)
        visit.extra += [
            (b"ratelimit-policy", b'"key";q=%d;w=%d' % (self._rates.burst, window)),
            (b"ratelimit", b'"key";r=%d;t=%d' % (left, wait)),
        ]
        if not is_taken:
            problem = Problem(
                "", "this key asks faster than it may", f"at most {self._rates.per_second:g} requests a second in the long run"
            )
            raise Failure(429, "too_many_requests", problem, headers={"Retry-After": str(wait)})
        visit.scope["caller"] = caller

    def count(self, visit: "_Visit") -> None:
        """One answer more."""
        seconds = time.perf_counter() - visit.begun
        route = visit.scope.get("path_template") or "none"
        self._figures.requests.labels(visit.scope["method"] if route != "none" else "any", route, visit.status).inc()
        self._figures.seconds.labels(route).observe(seconds)
        if _log.isEnabledFor(logging.INFO):
            line = {"route": route, "method": visit.scope["method"], "status": visit.status, "ms": round(seconds * 1e3, 1)}
            _log.info(json.dumps({"request_id": visit.id, "key": visit.who, **line}))


class _Visit:
    """One request on its way."""

    __slots__ = ("_send", "begun", "extra", "id", "is_answered", "scope", "status", "who")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self._send = send
        self.begun = time.perf_counter()
        said = self.header(b"x-request-id").encode("latin-1")
        self.id = said.decode() if _NAMED.match(said) else secrets.token_hex(8)
        self.extra: list[tuple[bytes, bytes]] = [(b"x-request-id", self.id.encode())]
        self.status = 0
        self.who = ""
        self.is_answered = False
        scope["request_id"] = self.id

    def header(self, name: bytes) -> str:
        """A header of the request; empty without."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return ""

    async def go(self, door: Door, receive: Receive) -> None:
        """In, and out again by the same door whatever happens."""
        try:
            await door.let_in(self, receive)
        except Exception as wrong:
            if self.is_answered:
                raise  # half an answer cannot become another
            await self._fail(failure_of(wrong))
        finally:
            door.count(self)

    async def send(self, message: Message) -> None:
        """What the application answers, with the headers of the house."""
        if message["type"] == "http.response.start":
            self.is_answered = True
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            headers += [pair for pair in (*_SECURITY, *self.extra) if pair[0] not in there]
            message = {**message, "headers": headers}
        await self._send(message)

    async def _fail(self, failure: Failure) -> None:
        body = encoded(failure, self.id)
        headers = [(name.lower().encode(), value.encode()) for name, value in headers_of(failure).items()]
        headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": failure.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """``receive``, as long as the body is neither too long nor too slow."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > BODY_MOST:
            raise _too_large()
    got, until = 0, time.monotonic() + BODY_SECONDS

    async def bounded() -> Message:
        nonlocal got
        if got < 0:
            return await receive()
        try:
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise Failure(408, "too_slow", Problem("body", f"it did not arrive within {BODY_SECONDS:g} s", "send it again")) from None
        got += len(message.get("body", b""))
        if got > BODY_MOST:
            raise _too_large()
        if not message.get("more_body"):
            got = -1  # from now on only the end of the connection is waited for
        return message

    return bounded


def _too_large() -> Failure:
    return Failure(413, "too_large", Problem("body", f"it is larger than {BODY_MOST:,} bytes", "send it in parts"))
