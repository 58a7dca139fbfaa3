"""Connections: heads of requests are bounded, and none waits for ever. Over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.server import ServerState

from patclass.service import protocol
from patclass.service.app import server_config
from patclass.service.bodies import BodyLimits
from patclass.service.metrics import Metrics
from patclass.service.middleware import RequestMiddleware
from patclass.service.protocol import MAX_HEAD, BoundedProtocol
from patclass.service.settings import ServiceSettings

GET = b"GET /small HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /small HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 30_000_000
SHORT = 0.05


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body; ``/unread`` does not read it."""
    length, more = 0, scope["path"] != "/unread"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        more = message["more_body"]
    text = b"x" * LARGE if scope["path"] == "/large" else b"%d" % length
    headers = [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


class Connection:
    """A client's side of a connection, and the server's."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState
    ) -> None:
        self.reader, self.writer, self.state = reader, writer, state

    async def send(self, *parts: bytes) -> None:
        """Send the parts, as far as they are taken."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
        except OSError:
            pass

    async def response(self, *parts: bytes) -> tuple[int, bytes, bytes]:
        """The status, head and body of the next response, after the parts are sent."""
        await self.send(*parts)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head[9:12]), head, await self.reader.readexactly(length)

    async def is_closed(self) -> bool:
        """Wait until the server closes the connection."""
        try:
            return await self.reader.read() == b""
        except OSError:
            return True


def talk(work: Callable[[Connection], Awaitable[Any]]) -> Any:
    """Run ``work`` with a connection to a server."""

    async def run() -> Any:
        limits = BodyLimits(bytes=4_000_000, seconds=60, values=10)
        app = RequestMiddleware(application, Metrics(), limits)
        config = server_config(ServiceSettings(), app)  # type: ignore[arg-type]
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        make = lambda: BoundedProtocol(config, state, {})  # noqa: E731
        async with await loop.create_server(make, "127.0.0.1", 0) as server, asyncio.timeout(30):
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await work(Connection(reader, writer, state))
            finally:
                writer.transport.abort()
                await asyncio.gather(*state.tasks)

    return asyncio.run(run())


def refusal(*parts: bytes) -> tuple[int, str]:
    """The status and the message with which what is sent is refused; it closes the connection."""

    async def work(connection: Connection) -> Any:
        found = await connection.response(*parts)
        assert await connection.is_closed()
        return found

    status, head, body = talk(work)
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    assert b"content-type: application/json" in head
    return status, json.loads(body)["error"]["message"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "LINGER_SECONDS", "WRITE_SECONDS", "SHUTDOWN_SECONDS"):
        monkeypatch.setattr(protocol, name, SHORT)


def test_usual_requests_are_answered_on_one_connection():
    async def work(connection: Connection) -> list[Any]:
        return [
            await connection.response(GET + b"\r\n"),
            await connection.response(b"\r\n" + POST + b"Content-Length: 3\r\n\r\n", b"abc"),
            await connection.response(CHUNKED, b"3;x=y\r\nabc\r\n", b"0\r\nA: b\r\n\r\n"),
            await connection.response(GET + b"X: " + b"a" * (MAX_HEAD - 1000) + b"\r\n\r\n"),
            *[await connection.response(GET[:9], GET[9:], b"A: b\r\n" * 99, b"\r\n")] * 2,
            await connection.response((GET + b"\r\n") * 2),
            await connection.response(),
        ]

    found = talk(work)
    assert [status for status, _, _ in found] == [200] * 8
    assert [body for _, _, body in found[:3]] == [b"0", b"3", b"3"]


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"X: ", *[b"a" * 50_000] * 40],
        [GET, *[b"a: b\r\n" * 10_000] * 40],
        [GET + b"a" * 100_000 + b": b\r\n\r\n"],
        [b"GET /", *[b"a" * 50_000] * 40],
        [CHUNKED, b"1\r\na\r\n0\r\n", *[b"a: b\r\n" * 10_000] * 40],
        [CHUNKED, b"1;", *[b"a" * 50_000] * 40],
    ],
    ids=["a header", "headers", "a name", "a path", "trailers", "a chunk's extension"],
)
def test_what_is_no_body_is_bounded(parts: list[bytes]):
    status, message = refusal(*parts)
    assert status == 431
    assert "65,536 bytes" in message


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 nonsense\r\n\r\n", b"GET /\x01 HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_refused_in_the_usual_form(sent: bytes):
    assert refusal(sent) == (400, "the request is not HTTP/1.1")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sent", [b"G", GET, GET + b"X: a"])
def test_a_head_that_does_not_arrive_is_refused(sent: bytes):
    assert refusal(sent) == (408, f"the headers were not received within {SHORT:g} seconds")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_nothing_arrives_is_closed(sent: bytes):
    async def work(connection: Connection) -> bool:
        await connection.send(sent)
        return await connection.is_closed()

    assert talk(work)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sent", [b"\r\n", b"GET"])
def test_the_next_request_of_a_connection_must_arrive_too(sent: bytes):
    async def work(connection: Connection) -> bool:
        assert (await connection.response(GET + b"\r\n"))[0] == 200
        await connection.send(sent)
        return b"HTTP/1.1 408" in await connection.reader.read() or sent == b"\r\n"

    assert talk(work)


@pytest.mark.usefixtures("short")
def test_a_body_that_nobody_reads_is_not_awaited_for_ever():
    async def work(connection: Connection) -> bool:
        head = POST.replace(b"small", b"unread") + b"Content-Length: 9\r\n\r\n"
        assert (await connection.response(head, b"a"))[0] == 200
        return await connection.is_closed()

    assert talk(work)


@pytest.mark.usefixtures("short")
def test_a_client_that_does_not_read_is_disconnected():
    async def work(connection: Connection) -> bool:
        while not connection.state.connections:
            await asyncio.sleep(0.01)
        await connection.send(GET.replace(b"small", b"large") + b"\r\n")
        while connection.state.connections:
            await asyncio.sleep(0.01)
        return len(await connection.reader.read(LARGE)) < LARGE

    assert talk(work)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "sent", [b"", b"GET", POST + b"Content-Length: 9\r\n\r\na"], ids=["nothing", "head", "body"]
)
def test_a_request_that_has_not_arrived_does_not_delay_a_shutdown(sent: bytes):
    async def work(connection: Connection) -> bool:
        await connection.send(sent)
        await asyncio.sleep(0.01)
        (server_side,) = connection.state.connections
        server_side.shutdown()
        return await connection.is_closed()

    assert talk(work)


@pytest.mark.usefixtures("short")
def test_a_request_that_has_arrived_is_answered_at_a_shutdown():
    async def work(connection: Connection) -> int:
        await connection.send(POST + b"Content-Length: 3\r\n\r\n")
        await asyncio.sleep(0.01)
        (server_side,) = connection.state.connections
        server_side.shutdown()
        status, _, _ = await connection.response(b"abc")
        assert await connection.is_closed()
        return status

    assert talk(work) == 200
