"""Start a server, put a load on it, measure. Costs it little of the processor they share.

Requests are bytes made beforehand, sent over kept HTTP/1.1 connections; of an answer, only what
HTTP needs is read.
"""

import asyncio
import contextlib
import http.client
import itertools
import json
import random
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HOST = "127.0.0.1"
PREDICT = "/predict"
BROKEN = 0  # stands for a status where there was no answer: refused, cut off, or too late
BUSY = 429
KEEP_ALIVE_SECONDS = 2.0  # uvicorn closes after five


@dataclass(frozen=True)
class Load:
    """What came of a load."""

    statuses: dict[int, int]
    seconds: float  # from the first request to the last answer
    latencies: list[float]  # seconds of every 200, ascending
    own_seconds: float  # processor time that the generator took for itself

    @property
    def answered(self) -> int:
        """Texts that were answered with 200."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Texts answered with 200 in a second."""
        return self.answered / self.seconds

    @property
    def median(self) -> float:
        """Seconds that half of the answers took at most."""
        return self.quantile(0.5)

    @property
    def p95(self) -> float:
        """Seconds that 95 % of the answers took at most."""
        return self.quantile(0.95)

    @property
    def p99(self) -> float:
        """Seconds that 99 % of the answers took at most."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> float:
        """Seconds that ``share`` of the answers took at most; nan without any."""
        if not self.latencies:
            return float("nan")
        return self.latencies[min(int(share * self.answered), self.answered - 1)]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} x {status}" for status, count in self.statuses.items())
        return (
            f"{self.rate:.2f} texts/s, median {self.median:.3f} s, p95 {self.p95:.3f} s, "
            f"p99 {self.p99:.3f} s ({counts})"
        )


@dataclass
class _Record:
    """Answers as they come in."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)
    last: float = 0.0

    async def take(self, asked: Awaitable[int], since: float, timeout: float) -> int:
        """Wait for a status and note it with the seconds since ``since``."""
        try:
            async with asyncio.timeout(timeout):
                status = await asked
        except (OSError, EOFError):
            status = BROKEN
        self.last = time.perf_counter()
        self.statuses[status] += 1
        if status == http.client.OK:
            self.latencies.append(self.last - since)
        return status


class _Connection:
    """A kept connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle_until = 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer to ``request``."""
        # A server may close a connection that was idle, even while a request is on its way: that
        # is no failure of the service, and clients give such connections up earlier.
        if self._streams and (self._streams[0].at_eof() or time.monotonic() > self._idle_until):
            self.close()
        if not self._streams:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        whole = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(_length(head))
            whole = b"\r\nconnection: close" not in head
            self._idle_until = time.monotonic() + KEEP_ALIVE_SECONDS
        finally:
            if not whole:
                self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams:
            self._streams[1].close()
            self._streams = None


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        raise RuntimeError(f"the load needs answers with a Content-Length, not {head!r}")
    return int(rest.split(b"\r\n", 1)[0])


def closed_loop(
    port: int,
    texts: Sequence[str],
    clients: int,
    seconds: float,
    *,
    headers: Mapping[str, str] | None = None,
    busy_wait: float = 0.1,
    timeout: float = 60.0,
    path: str = PREDICT,
) -> Load:
    """``clients`` that each ask again as soon as they are answered.

    Nothing is begun after ``seconds``; what is under way then is waited for and counts.

    :param busy_wait: seconds that a client waits after a 429.
    :param timeout: seconds after which an answer counts as broken.
    """
    requests = itertools.cycle(_requests(port, texts, headers, path))

    async def client(record: _Record, connection: _Connection) -> None:
        end = record.start + seconds
        while (now := time.perf_counter()) < end:
            status = await record.take(connection.ask(next(requests)), now, timeout)
            if status in (BUSY, BROKEN):
                await asyncio.sleep(min(busy_wait, max(0.0, end - time.perf_counter())))

    async def drive(record: _Record) -> None:
        async with _connections(port, clients) as opened, asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(client(record, connection))

    return _measure(drive)


def open_loop(
    port: int,
    texts: Sequence[str],
    rate: float,
    seconds: float,
    *,
    seed: int = 0,
    connections: int = 64,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    path: str = PREDICT,
) -> Load:
    """Texts that arrive at random, ``rate`` a second, whether or not the server keeps up.

    Latency counts from the arrival, so waiting for one of the ``connections`` is a part of it.
    """
    requests = itertools.cycle(_requests(port, texts, headers, path))
    arrivals = list(_arrivals(rate, seconds, seed))

    async def drive(record: _Record) -> None:
        # Last in, first out: few connections carry a load that needs few.
        pool: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()

        async def ask(request: bytes) -> int:
            connection = await pool.get()
            try:
                return await connection.ask(request)
            finally:
                pool.put_nowait(connection)

        async with _connections(port, connections) as opened, asyncio.TaskGroup() as group:
            for connection in opened:
                pool.put_nowait(connection)
            for arrival in arrivals:
                due = record.start + arrival
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                group.create_task(record.take(ask(next(requests)), due, timeout))

    return _measure(drive)


def _arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Times of a Poisson process, always the same ones for a seed."""
    source = random.Random(seed)
    arrival = source.expovariate(rate)
    while arrival < seconds:
        yield arrival
        arrival += source.expovariate(rate)


@contextlib.asynccontextmanager
async def _connections(port: int, count: int) -> AsyncIterator[list[_Connection]]:
    opened = [_Connection(port) for _ in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def _measure(drive: Callable[[_Record], Awaitable[None]]) -> Load:
    async def run() -> _Record:
        record = _Record()
        await drive(record)
        return record

    own = time.process_time()
    record = asyncio.run(run())
    return Load(
        statuses=dict(sorted(record.statuses.items())),
        seconds=max(record.last - record.start, 1e-9),
        latencies=sorted(record.latencies),
        own_seconds=time.process_time() - own,
    )


def _requests(
    port: int, texts: Sequence[str], headers: Mapping[str, str] | None, path: str
) -> list[bytes]:
    """A whole request for each text, as it goes over the wire."""
    if not texts:
        raise ValueError("a load needs texts")
    lines = [f"Host: {HOST}:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *lines, "Content-Length: "]).encode()
    bodies = [json.dumps({"text": text}).encode() for text in texts]
    return [head + f"{len(body)}\r\n\r\n".encode() + body for body in bodies]


def ask(
    port: int,
    path: str = PREDICT,
    text: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> tuple[int, bytes]:
    """Status and body of one answer: to a POST of ``text``, or to a GET without one.

    :raises OSError: if there is no answer.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        if text is None:
            connection.request("GET", path, headers=dict(headers or {}))
        else:
            body = json.dumps({"text": text})
            kind = {"Content-Type": "application/json"}
            connection.request("POST", path, body, kind | dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as problem:
        raise ConnectionError(f"no answer from port {port}: {problem}") from problem
    finally:
        connection.close()


def wait_until_ready(
    port: int,
    path: str,
    timeout: float,
    text: str | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Ask until the first 200.

    :raises TimeoutError: if it does not come in time, or ``alive`` says that it never will.
    """
    end = time.perf_counter() + timeout
    while alive() and (left := end - time.perf_counter()) > 0:
        with contextlib.suppress(OSError):
            if ask(port, path, text, timeout=left)[0] == http.client.OK:
                return
        time.sleep(0.02)
    raise TimeoutError(f"no 200 from port {port}{path} in {timeout:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class _PeakMemory(threading.Thread):
    """The most memory that a process and its children were seen to hold together.

    Pages that they share, such as weights mapped from a file, count in each of them.
    """

    def __init__(self, pid: int, every: float = 0.2) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._every = every
        self._done = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        """Look until stopped, or until the process has gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            while not self._done.wait(self._every):
                family = [self._process, *self._process.children(recursive=True)]
                self.bytes = max(self.bytes, sum(map(_resident, family)))

    def stop(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    pid: int
    ready_seconds: float  # from its start to its first 200
    log: Path  # what it prints
    _memory: _PeakMemory

    @property
    def peak_bytes(self) -> int:
        """The most resident memory so far."""
        return self._memory.bytes


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    text: str = "A drill bit for boreholes has a steel body with cutters.",
    path: str = PREDICT,
    timeout: float = 300.0,
    grace: float = 15.0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server by its command line, ready to answer; stopped in the end.

    Ready means that ``text`` was answered with 200: some servers listen before they can answer.

    :param grace: seconds that it has after SIGTERM.
    :raises RuntimeError: if it does not become ready; with the end of what it printed.
    """
    with log.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        memory = _PeakMemory(process.pid)
        memory.start()
        try:
            try:
                wait_until_ready(port, path, timeout, text, lambda: process.poll() is None)
            except TimeoutError as problem:
                ended = process.poll()
                why = problem if ended is None else f"the server ended with {ended}"
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"{why}; it printed:\n{tail}") from problem
            yield Server(port, process.pid, time.perf_counter() - start, log, memory)
        finally:
            memory.stop()
            _stop(process, grace)


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
