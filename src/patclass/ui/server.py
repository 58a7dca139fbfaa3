"""Who may use the page and what a browser may load for it. Knows Streamlit's server, no view."""

from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from patclass.offices.settings import hostname_of, on_loopback

SCRIPT = Path(__file__).with_name("app.py")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

# Whatever a label, a card or a title contains, a browser asks no host but this one. The page
# compiles its charts and writes its styles while it runs.
_POLICY = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
)
_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    # A window that opens the page gets no handle of it, and so cannot send it messages.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_WRONG_HOST = (
    "The page does not answer under this host name. Ask for it by the address that it listens on, "
    "or start it with 'patclass ui --allowed-hosts NAME'.\n"
)
_WRONG_ORIGIN = (
    "Another web page may not use this one. A proxy must pass on the header Host as it receives "
    "it.\n"
)


class Guard:
    """Refuses requests for other host names and from other web pages, before Streamlit sees them.

    Streamlit looks at the host of WebSockets only, and asks a host on the internet for its own
    address when the origin of one is another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._names: list[str] = st.get_option("server.allowedHosts")
        self._is_local = on_loopback(st.get_option("server.address") or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the page answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        problem = self._problem(Headers(scope=scope))
        if problem is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await WebSocketClose(reason=problem)(scope, receive, send)
        else:
            await PlainTextResponse(problem, 403)(scope, receive, send_guarded)

    def _problem(self, headers: Headers) -> str | None:
        """Why a request is refused; None if it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._answers_for(hostname_of(host)):
            return _WRONG_HOST
        return None if origin is None or origin.partition("://")[2] == host else _WRONG_ORIGIN

    def _answers_for(self, name: str | None) -> bool:
        if name is None:
            return False
        if not self._names:
            return not self._is_local or on_loopback(name)
        return any(
            name == allowed or (allowed[:2] == "*." and name.endswith(allowed[1:]))
            for allowed in map(str.lower, self._names)
        )


MIDDLEWARE = (Middleware(Guard),)
