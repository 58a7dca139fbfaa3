"""Middleware of every request: id, security headers, log line, metrics. Knows ASGI only."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from patclass.service.context import Scope, begin, facts_of, request_id_of
from patclass.service.errors import response
from patclass.service.logs import LOGGER, Spans, no_spans
from patclass.service.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

log = logging.getLogger(LOGGER)

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"


class RequestMiddleware:
    """The outermost middleware: all responses of the service pass through it."""

    def __init__(
        self, app: App, metrics: Metrics, max_body_bytes: int, spans: Spans = no_spans
    ) -> None:
        """Wrap ``app``.

        :param max_body_bytes: of a request's body; more is refused with 413.
        """
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        begin(scope, headers.get("x-request-id"))
        with self._spans(f"{scope['method']} {scope['path']}", headers) as set_attributes:
            set_attributes(await self._handle(scope, receive, send))

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> dict[str, object]:
        """Pass one request on; return the fields of its log line."""
        request_id = request_id_of(scope)
        began = time.perf_counter()
        status = 499  # the client disconnected

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            await send(message)

        try:
            await self._app(scope, self._bounded(scope, receive), send_with_headers)
        except Exception:
            log.exception("failed", extra={"facts": {"request_id": request_id}})
            if status != 499:  # part of the response is sent; only closing the connection is left
                raise
            message = f"internal error; see the log of request {request_id}"
            failed = response(request_id, 500, "internal", message)
            await failed(scope, receive, send_with_headers)
        finally:
            facts = self._account(scope, status, time.perf_counter() - began)
        return facts

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """Limit the size of a body, by its Content-Length and by the bytes received."""
        declared = Headers(scope=scope).get("content-length", "")
        total = int(declared) if declared.isdecimal() else 0
        received = 0

        async def receive_limited() -> Any:
            nonlocal received
            message = None if total > self._max_body_bytes else await receive()
            if message is not None and message["type"] == "http.request":
                received += len(message.get("body", b""))
            if message is None or received > self._max_body_bytes:
                raise HTTPException(413, f"the body has more than {self._max_body_bytes:,} bytes")
            return message

        return receive_limited

    def _account(self, scope: Scope, status: int, seconds: float) -> dict[str, object]:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        facts = {
            "request_id": request_id_of(scope),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1e3, 1),
            "client": (scope.get("client") or ("unknown",))[0],
        }
        facts |= facts_of(scope)
        log.info("request", extra={"facts": facts})
        return facts
