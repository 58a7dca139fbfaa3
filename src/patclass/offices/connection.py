"""Requests to one office: in turn, no faster than it allows, bounded in time and size.

Knows HTTP and waiting, no patents. Keys are in headers alone, which no error repeats.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import SecretStr

from patclass import __version__
from patclass.core.errors import OfficeError
from patclass.offices.settings import on_loopback

MAX_BYTES = 20_000_000
ATTEMPTS = 3
MAX_REDIRECTS = 3
MAX_PAUSE = 3600.0

_RETRIED = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Reply:
    """What an office answered."""

    status: int
    headers: httpx.Headers
    body: bytes


class Deadline:
    """The end of a look-up.

    Nothing begins after it; an office that stops within an answer is waited for once more, as long
    as was left when it was asked.

    :param seconds: from now.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; negative after the end."""
        return self._end - self._clock()


class Pace:
    """When the next request may be sent.

    :param interval: seconds between two requests, which an office may change with every answer.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval = interval
        self._clock = clock
        self._next = clock()

    @property
    def delay(self) -> float:
        """Seconds until then."""
        return max(0.0, self._next - self._clock())

    def sent(self) -> None:
        """A request has just been sent."""
        self._next = max(self._next, self._clock() + self.interval)

    def pause(self, seconds: float) -> None:
        """Send nothing for a while, an hour at most."""
        self._next = max(self._next, self._clock() + min(seconds, MAX_PAUSE))


class Connection:
    """The client of one office. A thread at a time uses it, by ``turn``.

    :param office: name for messages.
    :param url: base address; nothing else is ever sent the headers of a request.
    :param seconds_per_retry_unit: of a Retry-After header, which not every office gives in seconds.
    """

    def __init__(
        self,
        office: str,
        url: str,
        pace: Pace,
        seconds_per_retry_unit: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.office, self.url, self.pace = office, url, pace
        self._unit, self._sleep = seconds_per_retry_unit, sleep
        self._lock = threading.Lock()
        host = urlsplit(url).hostname or ""
        # Uncompressed, so that a small answer cannot become a large one; no proxy to this machine.
        self._client = httpx.Client(
            headers={"User-Agent": f"patclass/{__version__}", "Accept-Encoding": "identity"},
            trust_env=not on_loopback(host),
        )

    def close(self) -> None:
        """Close all connections; nothing may be asked meanwhile or afterwards."""
        self._client.close()

    @contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Wait for the other look-ups at this office: it permits one request at a time.

        :raises OfficeError: if they take too long.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline.left)):
            raise self.busy("too many look-ups wait for it")
        try:
            yield
        finally:
            self._lock.release()

    def get(
        self,
        url: str,
        deadline: Deadline,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """GET an address of the office.

        Redirects are followed to hosts of the same owner, without the headers to other ones.

        :raises OfficeError: if there is no answer before the deadline, or it is not usable.
        """
        for _ in range(1 + MAX_REDIRECTS):
            own = _origin(url) == _origin(self.url)
            reply = self._request("GET", url, deadline, headers if own else {}, params=params)
            if reply.status not in _REDIRECTS:
                return reply
            url, params = _joined(url, reply.headers.get("Location", "")), None
            if not self.owns(url):
                break
        raise self.unavailable("it redirects to an address that is not its own")

    def post(
        self, url: str, deadline: Deadline, headers: Mapping[str, str], data: Mapping[str, str]
    ) -> Reply:
        """POST a form.

        :raises OfficeError: as ``get`` does.
        """
        return self._request("POST", url, deadline, headers, data=data)

    def owns(self, url: str) -> bool:
        """Whether an address is of this office: of its host, or of another within its domain."""
        base = urlsplit(self.url)
        try:
            asked, port = urlsplit(url), urlsplit(url).port
        except ValueError:
            return False
        if asked.scheme != base.scheme or asked.username or asked.password:
            return False
        if asked.hostname == base.hostname:
            return asked.netloc == base.netloc
        labels = (base.hostname or "").split(".")
        # api.uspto.gov and data.uspto.gov; not two machines named by addresses.
        domain = ".".join(labels[1:])
        return (
            len(labels) > 2
            and not labels[-1].isdecimal()
            and port is None
            and (asked.hostname or "").endswith(f".{domain}")
        )

    def _request(
        self, method: str, url: str, deadline: Deadline, headers: Mapping[str, str], **how: object
    ) -> Reply:
        """One request, repeated while the office is unable to answer."""
        problem = "no answer"
        for attempt in range(ATTEMPTS):
            self._await_pace(deadline, problem if attempt else None)
            self.pace.sent()
            try:
                reply = self._send(method, url, deadline, headers, how)
            except httpx.InvalidURL as error:
                raise self.unavailable("it names an address that is not valid") from error
            except httpx.TransportError as error:
                problem = _described(error)
                self.pace.pause(_backoff(attempt))
                continue
            if reply.status not in _RETRIED:
                return reply
            problem = f"it answers with status {reply.status}"
            asked = self.retry_after(reply.headers)
            self.pace.pause(_backoff(attempt) if asked is None else asked)
        raise self.unavailable(problem)

    def _await_pace(self, deadline: Deadline, problem: str | None) -> None:
        delay = self.pace.delay
        if delay < deadline.left:
            if delay:
                self._sleep(delay)
            return
        reason = "" if problem is None else f"{problem}; "
        raise self.busy(f"{reason}the next request may be sent in {max(1, round(delay))} seconds")

    def _send(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        headers: Mapping[str, str],
        how: Mapping[str, object],
    ) -> Reply:
        timeout = httpx.Timeout(max(0.1, deadline.left))
        timeout.connect = min(_CONNECT_SECONDS, timeout.connect or _CONNECT_SECONDS)
        with self._client.stream(
            method,
            url,
            headers=dict(headers),
            timeout=timeout,
            **how,  # type: ignore[arg-type]
        ) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self.unavailable("it answers in a compressed form, which was not asked for")
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise self.unavailable(f"its answer has more than {MAX_BYTES:,} bytes")
                if deadline.left <= 0:
                    raise httpx.ReadTimeout("the deadline has passed")
            return Reply(response.status_code, response.headers, bytes(body))

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that the office asks to wait; None if it does not say."""
        value = headers.get("Retry-After", "").strip()
        if value.isdecimal() and value.isascii():
            return float(value[:12]) * self._unit
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None

    def busy(self, problem: str) -> OfficeError:
        """The error for an office that may answer later."""
        return OfficeError(
            f"the {self.office} is busy: {problem}. Try again later.", reason="office_busy"
        )

    def unavailable(self, problem: str) -> OfficeError:
        """The error for an office that does not answer as expected."""
        host = urlsplit(self.url).hostname
        return OfficeError(
            f"the {self.office} ({host}) cannot be asked: {problem}. Try again later, or classify "
            "the text itself.",
            reason="office_unavailable",
        )


def header_value(secret: SecretStr, variable: str) -> str:
    """A key as it goes into a header.

    :raises OfficeError: if it has other characters than keys have; it is not repeated.
    """
    value = secret.get_secret_value().strip()
    if not value or not value.isascii() or not value.isprintable():
        raise OfficeError(
            f"{variable} is no key: expected printable ASCII characters.",
            reason="office_unavailable",
        )
    return value


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; empty for what is no address."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt, spread so that clients do not return together."""
    return float(2**attempt) * (0.5 + random.random() / 2)


def _described(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return "no connection"
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else "no valid answer"
