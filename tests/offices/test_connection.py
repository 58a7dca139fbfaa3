"""Requests wait for their turn, are repeated within bounds, and give keys to nobody else."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import patclass.offices.connection as module
from fake_offices import Answer, FakeOffice
from patclass.core.errors import OfficeError
from patclass.offices.connection import MAX_PAUSE, Connection, Deadline, Pace

KEY = {"X-API-KEY": "secret-94"}


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connection(office: FakeOffice, clock: Clock):
    made = Connection("USPTO", office.url, Pace(1.0, clock), sleep=clock.sleep)
    yield made
    made.close()


def get(connection: Connection, clock: Clock, path: str = "/a", seconds: float = 30):
    return connection.get(f"{connection.url}{path}", Deadline(seconds, clock), KEY)


def test_requests_keep_the_interval(office: FakeOffice, connection: Connection, clock: Clock):
    office.put("/a", b"one")
    for _ in range(3):
        assert get(connection, clock).body == b"one"
    assert clock.slept == [1.0, 1.0]
    clock.now += 5
    get(connection, clock)
    assert clock.slept == [1.0, 1.0]


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_the_office_asks_for_is_kept(
    office: FakeOffice, connection: Connection, clock: Clock, status: int
):
    office.put("/a", Answer(status=status, headers={"Retry-After": "7"}), b"one")
    assert get(connection, clock).body == b"one"
    assert clock.slept == [7.0]


def test_without_a_stated_wait_it_grows(office: FakeOffice, connection: Connection, clock: Clock):
    office.put("/a", Answer(status=502), Answer(status=500), b"one")
    assert get(connection, clock).body == b"one"
    first, second = clock.slept
    assert 0.5 <= first <= 1.0
    assert 1.0 <= second <= 2.0


def test_attempts_are_bounded(office: FakeOffice, connection: Connection, clock: Clock):
    office.put("/a", Answer(b"secret-94", 503))
    with pytest.raises(OfficeError, match="status 503") as error:
        get(connection, clock)
    assert error.value.reason == "office_unavailable"
    assert office.requests == ["/a"] * module.ATTEMPTS
    assert "secret" not in str(error.value)


def test_a_wait_beyond_the_deadline_is_an_error_at_once(
    office: FakeOffice, connection: Connection, clock: Clock
):
    office.put("/a", Answer(status=429, headers={"Retry-After": "60"}))
    with pytest.raises(OfficeError, match=r"status 429; .* in 60 seconds") as error:
        get(connection, clock)
    assert error.value.reason == "office_busy"
    assert clock.slept == []
    with pytest.raises(OfficeError, match="in 60 seconds"):
        get(connection, clock)
    assert office.requests == ["/a"]


def test_no_office_can_suspend_itself_for_ever(clock: Clock):
    pace = Pace(1.0, clock)
    pace.pause(1e18)
    assert pace.delay == MAX_PAUSE


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("\u0665", None)],
)
def test_the_header_retry_after(connection: Connection, value: str, seconds: float | None):
    assert connection.retry_after({"Retry-After": value}) == seconds


def test_retry_after_as_a_date(connection: Connection):
    assert connection.retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


@given(value=st.text(), asked=st.text())
def test_no_header_of_an_office_breaks_a_look_up(value: str, asked: str):
    connection = Connection("EPO", "https://ops.example.org", Pace(0.0), 0.001)
    seconds = connection.retry_after({"Retry-After": value})
    assert seconds is None or seconds >= 0
    assert connection.owns(asked) in (True, False)
    connection.close()


def test_one_look_up_at_a_time(connection: Connection, clock: Clock):
    inside = threading.Event()
    leave = threading.Event()

    def hold() -> None:
        with connection.turn(Deadline(30)):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    with (
        pytest.raises(OfficeError, match="too many look-ups") as error,
        connection.turn(Deadline(0.01)),
    ):
        pass
    assert error.value.reason == "office_busy"
    leave.set()
    thread.join(30)
    with connection.turn(Deadline(0)):
        pass


@pytest.mark.parametrize(
    ("url", "owned"),
    [
        ("https://api.uspto.gov/files/a.xml", True),
        ("https://data-documents.uspto.gov/a?signature=1", True),
        ("https://uspto.gov/a", False),
        ("https://uspto.gov.example.org/a", False),
        ("https://notuspto.gov/a", False),
        ("https://example.org/a", False),
        ("http://api.uspto.gov/a", False),
        ("https://api.uspto.gov:8443/a", False),
        ("https://data.uspto.gov:8443/a", False),
        ("https://user@api.uspto.gov/a", False),
        ("https://169.254.169.254/latest", False),
        ("https://[::1]/a", False),
        ("https://data.uspto.gov:port/a", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_addresses_of_an_office(url: str, owned: bool):
    connection = Connection("USPTO", "https://api.uspto.gov", Pace(0.0))
    assert connection.owns(url) is owned
    connection.close()


def test_a_machine_that_is_named_by_its_address_owns_no_other():
    connection = Connection("USPTO", "https://127.0.0.1", Pace(0.0))
    assert not connection.owns("https://9.0.0.1/a")
    connection.close()


def test_redirects_within_the_office_are_followed(
    office: FakeOffice, connection: Connection, clock: Clock
):
    office.put("/a", Answer(status=302, headers={"Location": "/b"}))
    office.put("/b", b"there")
    assert get(connection, clock).body == b"there"
    assert [headers["x-api-key"] for headers in office.headers] == ["secret-94"] * 2


@pytest.mark.parametrize(
    "location", ["http://localhost:9/x", "https://169.254.169.254/", "", "http://[bad"]
)
def test_redirects_elsewhere_are_not(
    office: FakeOffice, connection: Connection, clock: Clock, location: str
):
    office.put("/a", Answer(status=302, headers={"Location": location}))
    with pytest.raises(OfficeError, match="redirects") as error:
        get(connection, clock)
    assert error.value.reason == "office_unavailable"
    assert set(office.requests) == {"/a"}


def test_the_key_goes_to_the_base_address_alone(
    office: FakeOffice, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """As a signed address of a host of the same owner gets it."""
    connection = Connection("USPTO", office.url, Pace(0.0, clock), sleep=clock.sleep)
    monkeypatch.setattr(connection, "owns", lambda url: True)
    other = office.url.replace("127.0.0.1", "localhost")
    office.put("/a", Answer(status=302, headers={"Location": f"{other}/b"}))
    office.put("/b", b"there")
    try:
        reply = get(connection, clock)
    finally:
        connection.close()
    assert reply.body == b"there"
    assert ["x-api-key" in headers for headers in office.headers] == [True, False]


def test_redirects_are_bounded(office: FakeOffice, connection: Connection, clock: Clock):
    office.put("/a", Answer(status=302, headers={"Location": "/a"}))
    with pytest.raises(OfficeError, match="redirects"):
        get(connection, clock)
    assert len(office.requests) == 1 + module.MAX_REDIRECTS


def test_answers_are_bounded(
    office: FakeOffice,
    connection: Connection,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    office.put("/a", b"x" * 101)
    with pytest.raises(OfficeError, match="more than 100 bytes"):
        get(connection, clock)
    office.put("/a", Answer(b"x", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(OfficeError, match="compressed"):
        get(connection, clock)


def test_an_office_that_cannot_be_reached(clock: Clock):
    connection = Connection("EPO", "http://127.0.0.1:1", Pace(0.0, clock), sleep=clock.sleep)
    with pytest.raises(OfficeError, match=r"the EPO \(127.0.0.1\) .* no connection") as error:
        get(connection, clock)
    connection.close()
    assert error.value.reason == "office_unavailable"


def test_an_office_that_does_not_answer_in_time(office: FakeOffice):
    connection = Connection("EPO", office.url, Pace(0.0))
    office.put("/a", b"late")
    with office.lock:  # the server waits for it
        began = time.monotonic()
        with pytest.raises(OfficeError, match=r"no answer in time"):
            connection.get(f"{office.url}/a", Deadline(0.3), KEY)
        assert time.monotonic() - began < 5
    connection.close()


def test_an_office_that_stops_within_an_answer_is_waited_for_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = threading.Event()

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(10_000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
                time.sleep(0.3)
                client.sendall(b"half")
                stopped.wait(10)

        thread = threading.Thread(target=answer)
        thread.start()
        connection = Connection("EPO", f"http://127.0.0.1:{server.getsockname()[1]}", Pace(0.0))
        began = time.monotonic()
        with pytest.raises(OfficeError, match="no answer in time"):
            connection.get(f"{connection.url}/a", Deadline(0.5), {})
        assert time.monotonic() - began < 5
        connection.close()
        stopped.set()
        thread.join(10)
