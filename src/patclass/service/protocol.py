"""The server's side of a connection: bounds on heads of requests and on idling. Knows no routes."""

import asyncio
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from patclass.service.errors import Code, response

# Bytes of a request's line and headers; also of what else arrives without being a body.
MAX_HEAD = 65_536

# Seconds in which the head of a request must arrive.
HEAD_SECONDS = 10.0

# Seconds in which the rest of a body must arrive that is not read, after its response.
LINGER_SECONDS = 5.0

# Seconds for which a client may read nothing while a response waits.
WRITE_SECONDS = 30.0

# Seconds at a shutdown in which the rest of a request must arrive, and responses must be read.
SHUTDOWN_SECONDS = 2.0

_TOO_LARGE = f"the request line and the headers have more than {MAX_HEAD:,} bytes"


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 in which no connection waits for ever, and no head is kept that is too large.

    The time of a body that is read is bounded by ``bodies``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._unparsed = 0  # bytes since the parser last recognised something
        self._in_head = self._in_body = False
        self._arrival: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, not for ever."""
        super().connection_made(transport)
        self._await_arrival(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """End all timers."""
        super().connection_lost(exc)
        self._arrived()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what arrives, within the bounds."""
        self._unparsed += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unparsed > MAX_HEAD:
            self._refuse(431, "bad_request", _TOO_LARGE)
        elif self._arrival is None and not self._in_body and (self._in_head or self._unparsed):
            self._await_arrival(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """A part of the request's address."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._in_head, self._in_body, self._unparsed = False, True, 0
        self._arrived()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived."""
        self._in_body, self._unparsed = False, 0
        self._arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The request is answered; what is left of its body is awaited, but not for long."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._in_body and is_last:
            self._await_arrival(LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed."""
        if self._head_bytes > MAX_HEAD:
            self._refuse(431, "bad_request", _TOO_LARGE)
        else:
            self._refuse(400, "bad_request", "the request is not HTTP/1.1")

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        self._writing = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether or not its client reads the rest."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def shutdown(self) -> None:
        """Close the connection after its response; soon, if its request has not arrived."""
        super().shutdown()
        self.loop.call_later(SHUTDOWN_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self._in_body or not self._is_answering():
            self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _count_head(self, size: int) -> None:
        self._unparsed = 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            raise ValueError(_TOO_LARGE)  # the parser then calls send_400_response

    def _await_arrival(self, seconds: float) -> None:
        self._arrived()
        self._arrival = self.loop.call_later(seconds, self._expire, seconds)

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _expire(self, seconds: float) -> None:
        self._arrival = None
        if self._is_answering():  # an earlier request of the connection
            self._await_arrival(seconds)
        elif self._in_head:
            message = f"the headers were not received within {seconds:g} seconds"
            self._refuse(408, "bad_request", message)
        else:
            self.transport.abort()

    def _refuse(self, status: int, code: Code, message: str) -> None:
        """Answer what never becomes a request, and close the connection."""
        request_id = secrets.token_hex(8)
        refusal = response(request_id, status, code, message)
        headers = [
            *self.server_state.default_headers,
            *refusal.raw_headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + bytes(refusal.body))
        self.transport.close()
