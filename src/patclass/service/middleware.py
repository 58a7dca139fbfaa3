"""What happens to every request: an id, headers, a line in the log, a count. Knows ASGI."""

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
NOTHING = "default-src 'none'; frame-ancestors 'none'"


class Watch:
    """The outermost layer: nothing leaves the service without having passed here."""

    def __init__(
        self, app: App, metrics: Metrics, most_bytes: int, spans: Spans = no_spans
    ) -> None:
        """Wrap ``app``.

        :param most_bytes: of a request's body.
        """
        self._app = app
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        begin(scope, headers.get("x-request-id"))
        with self._spans(f"{scope['method']} {scope['path']}", headers) as tell:
            tell(await self._handle(scope, receive, send))

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> dict[str, object]:
        """Pass one request on; what there is to say of it."""
        request_id = request_id_of(scope)
        began = time.perf_counter()
        status = 499  # who asked went away

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", NOTHING)
            await send(message)

        try:
            await self._app(scope, self._bounded(scope, receive), answer)
        except Exception:
            log.exception("failed", extra={"facts": {"request_id": request_id}})
            if status != 499:  # half an answer is out; only the connection can tell
                raise
            message = f"something broke; it is in the log as request {request_id}"
            failed = response(request_id, 500, "internal", message)
            await failed(scope, receive, answer)
        finally:
            facts = self._account(scope, status, time.perf_counter() - began)
        return facts

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """Receive a body only as far as it may go, by its own word or by count."""
        announced = Headers(scope=scope).get("content-length", "")
        total = int(announced) if announced.isdecimal() else 0
        seen = 0

        async def receive_some() -> Any:
            nonlocal seen
            message = None if total > self._most_bytes else await receive()
            if message is not None and message["type"] == "http.request":
                seen += len(message.get("body", b""))
            if message is None or seen > self._most_bytes:
                raise HTTPException(413, f"more than {self._most_bytes:,} bytes are not accepted")
            return message

        return receive_some

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
