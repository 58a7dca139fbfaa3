"""Middleware of every request: id, Host, HEAD, headers, log line, metrics. Knows ASGI only."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from patclass.service.bodies import BodyLimits, Receive, bounded
from patclass.service.context import Scope, begin, facts_of, request_id_of
from patclass.service.errors import response
from patclass.service.logs import LOGGER, Spans, no_spans
from patclass.service.metrics import Metrics

Message = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

log = logging.getLogger(LOGGER)

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"

# Characters of a path in the log.
_LOGGED_PATH = 200


class RequestMiddleware:
    """The outermost middleware: all responses of the service pass through it."""

    def __init__(
        self, app: App, metrics: Metrics, limits: BodyLimits, spans: Spans = no_spans
    ) -> None:
        """Wrap ``app``.

        :param limits: of a request's body; what exceeds them is refused.
        """
        self._app = app
        self._metrics = metrics
        self._limits = limits
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
        is_head = scope["method"] == "HEAD"
        # The same state in both; only the copy gets the route.
        inner = {**scope, "method": "GET"} if is_head else scope

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            app = self._app if _has_host(scope) else _refuse_host
            await app(inner, bounded(scope, receive, self._limits), send_with_headers)
        except Exception:
            log.exception("failed", extra={"facts": {"request_id": request_id}})
            if status != 499:  # part of the response is sent; only closing the connection is left
                raise
            message = f"internal error; see the log of request {request_id}"
            failed = response(request_id, 500, "internal", message)
            await failed(scope, receive, send_with_headers)
        finally:
            route = getattr(inner.get("route"), "path", "none")
            facts = self._account(scope, route, status, time.perf_counter() - began)
        return facts

    def _account(self, scope: Scope, route: str, status: int, seconds: float) -> dict[str, object]:
        self._metrics.requests.labels(route, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        facts = {
            "request_id": request_id_of(scope),
            "method": scope["method"],
            "path": scope["path"][:_LOGGED_PATH],
            "status": status,
            "ms": round(seconds * 1e3, 1),
            "client": (scope.get("client") or ("unknown",))[0],
        }
        facts |= facts_of(scope)
        log.info("request", extra={"facts": facts})
        return facts


def _has_host(scope: Scope) -> bool:
    """Whether the request names its host once, as HTTP/1.1 demands."""
    named = sum(name == b"host" for name, _ in scope["headers"])
    return named == 1 or (named == 0 and scope.get("http_version") == "1.0")


async def _refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    message = "expected the header Host, once"
    refusal = response(request_id_of(scope), 400, "bad_request", message)
    await refusal(scope, receive, send)
