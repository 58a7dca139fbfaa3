"""Nothing acknowledged is lost, and nothing waits for a database without end."""

import os
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from helpers import wait_until
from patclass.core.errors import ConfigError, StoreError
from patclass.service import app
from patclass.store.consensus import Feedback
from patclass.store.database import VARIABLE, Database, locate_store
from patclass.store.feedback import FeedbackStore
from postgres import Postgres
from service_here import service_client
from service_process import TEXT, Server, serving
from store_rows import ID


def feedback_on(number: int) -> Feedback:
    return Feedback(ID(number), True, predicted_label="A", text_sha256=f"{number:064x}")


def stored_keys(database: Database) -> set[str]:
    found = {row.key for row in FeedbackStore(database).all()}
    database.close()
    return found


# A SQLite file that is moved or replaced


def move(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


def move_with_its_log(file: Path) -> None:
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        file.with_name(name).rename(file.with_name(f"elsewhere-{name}"))


def replace(file: Path) -> None:
    os.replace(file.with_name("backup.db"), file)


def restore(file: Path) -> None:
    file.unlink()
    shutil.copy(file.with_name("backup.db"), file)


def delete_its_log(file: Path) -> None:
    file.with_name("store.db-wal").unlink()


@pytest.mark.parametrize(
    "happens", [move, move_with_its_log, Path.unlink, replace, restore, delete_its_log]
)
def test_feedback_is_not_acknowledged_once_the_file_is_another(
    tmp_path: Path, happens: Callable[[Path], None]
):
    file = tmp_path / "store.db"
    database = locate_store(file, {})
    store = FeedbackStore(database)
    store.add("before", feedback_on(1))
    database.checkpoint()
    shutil.copy(file, tmp_path / "backup.db")
    store.add("between", feedback_on(2))
    assert database.available
    happens(file)
    for number in (3, 4):  # nor later
        with pytest.raises(StoreError, match="was moved, replaced or deleted"):
            store.add(f"after-{number}", feedback_on(number))
    assert not database.available
    with pytest.raises(StoreError):
        store.all()
    database.close()


def test_a_file_that_is_replaced_while_it_is_written_is_noticed(tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})
    with pytest.raises(StoreError, match="moved"), database.write():
        move(tmp_path / "store.db")
    database.close()


def test_no_file_is_created_where_one_was_moved_away(tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})
    store = FeedbackStore(database)
    store.add("before", feedback_on(1))
    move_with_its_log(tmp_path / "store.db")
    with pytest.raises(StoreError):
        store.add("after", feedback_on(2))
    assert not (tmp_path / "store.db").exists()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / f"elsewhere-{name}").rename(tmp_path / name)
    store.add("after", feedback_on(2))  # it was put back
    database.close()
    assert stored_keys(locate_store(tmp_path / "store.db", {})) == {"before", "after"}


def test_other_processes_and_many_threads_do_not_look_like_another_file(tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})

    def use(number: int) -> None:
        other = locate_store(tmp_path / "store.db", {})
        for each in range(5):
            FeedbackStore(database).add(f"key-{number}-{each}", feedback_on(number))
            FeedbackStore(other).all()
            other.checkpoint()
        other.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored_keys(database)) == 40


def test_the_store_is_readable_by_its_owner_alone(tmp_path: Path):
    before = os.umask(0)
    try:
        database = locate_store(tmp_path / "store.db", {})
        FeedbackStore(database).add("key", feedback_on(1))
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    database.close()


# Databases that are none


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:store?mode=memory&cache=shared&uri=true",
        "sqlite:///store.db?mode=memory",
        "sqlite+pysqlite:///:memory:",
    ],
)
def test_a_database_without_a_file_is_refused(url: str):
    with pytest.raises(ConfigError, match="with the name of a file"):
        locate_store(None, {VARIABLE: url})


def test_a_file_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="store :memory:"):
        locate_store(Path(":memory:"), {})
    with pytest.raises(StoreError, match="is no regular file"):
        FeedbackStore(locate_store(Path(os.devnull), {})).all()


@pytest.mark.parametrize("name", ["a ?b.db", "file:a.db", "a%20b#c.db", "ä;x=1.db"])
def test_any_other_name_is_that_of_a_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    database = locate_store(Path(name), {})
    FeedbackStore(database).add("key", feedback_on(1))
    assert (tmp_path / name).is_file()
    database.close()


# Passwords

SECRET = "hush:@/?#%h"
ENCODED = "hush%3A%40%2F%3F%23%25h"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{ENCODED}@127.0.0.1:1/patents",
        f"postgresql://ada@127.0.0.1:1/patents?password={ENCODED}",
        f"postgresql://ada:x@127.0.0.1:1/patents?sslpassword={ENCODED}&sslmode={ENCODED}",
        f"postgresql://127.0.0.1:1/patents?user=ada&target_session_attrs={ENCODED}",
    ],
)
def test_a_password_is_in_no_message(url: str):
    database = locate_store(None, {VARIABLE: url})
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/patents") as found:
        FeedbackStore(database).all()
    for message in (str(found.value), database.location):
        assert "hush" not in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hush/patents",
        "postgresql://ada:top@hush@127.0.0.1:1/patents",
        "postgresql://ada:x@127.0.0.1:hush/patents",
        "postgres//ada:hush@host/patents",
        "mysql://ada:hush@host/patents",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_without_repeating_it(url: str):
    with pytest.raises(ConfigError, match="%40 for an @") as found:
        locate_store(None, {VARIABLE: url})
    assert "hush" not in str(found.value)


# A server that hangs


class HangingServer:
    """A PostgreSQL server behind a relay that can stop to pass anything on."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._passing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._passing.set()
        port = self._listener.getsockname()[1]
        self.url = self._target.set(port=port).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """Accept connections and bytes, and say nothing."""
        self._passing.clear()

    def resume(self) -> None:
        self._passing.set()

    def close(self) -> None:
        self.resume()
        for each in (self._listener, *self._sockets):
            # The threads that read from it return.
            with_shutdown(each)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target.port or 0))
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                self._passing.wait()
                sink.sendall(content)
        with_shutdown(sink)


def with_shutdown(each: socket.socket) -> None:
    """Close a socket from which another thread may be reading."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@pytest.fixture
def hanging(postgres_server: Postgres) -> Iterator[HangingServer]:
    server = HangingServer(postgres_server.new_database())
    yield server
    server.close()


def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ada:hush@127.0.0.1:{silent.getsockname()[1]}/patents"
        database = locate_store(None, {VARIABLE: url}, patience=1)
        with pytest.raises(StoreError, match="timeout"):
            FeedbackStore(database).add("key", feedback_on(1))
    assert not database.available


def hang_within_a_transaction(server: HangingServer, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("SELECT 1"))
        server.hang()  # before the commit


def test_a_server_that_falls_silent_is_given_up(hanging: HangingServer):
    database = locate_store(None, {VARIABLE: hanging.url}, patience=0.3)
    store = FeedbackStore(database)
    store.add("before", feedback_on(1))
    with pytest.raises(StoreError, match="the server does not answer"):
        hang_within_a_transaction(hanging, database)
    hanging.resume()
    store.add("after", feedback_on(2))
    assert stored_keys(database) == {"before", "after"}


def test_closing_ends_what_waits_for_a_server(hanging: HangingServer):
    """Else the process could not end: the threads of the store are waited for."""
    database = locate_store(None, {VARIABLE: hanging.url})
    store = FeedbackStore(database)
    store.add("before", feedback_on(1))
    failures: list[str] = []

    def write() -> None:
        with pytest.raises(StoreError) as found:
            hang_within_a_transaction(hanging, database)
        failures.append(str(found.value))

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: not hanging._passing.is_set())
    database.close()
    thread.join(60)
    assert "does not answer" in failures[0]


def send(client: httpx.Client, prediction_id: str, key: str) -> int:
    body = {"prediction_id": prediction_id, "correct": True}
    return client.post("/v1/feedback", json=body, headers={"Idempotency-Key": key}).status_code


def available(client: httpx.Client) -> bool:
    return "patclass_store_available 1.0" in client.get("/metrics").text


def users_of_the_store() -> set[threading.Thread]:
    names = ("store", "record", "drift")
    return {thread for thread in threading.enumerate() if thread.name.startswith(names)}


def test_predictions_go_on_while_the_store_hangs(
    exported: Path, hanging: HangingServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, hanging.url)
    monkeypatch.setattr(app, "STORE_SECONDS", 0.3)
    before = users_of_the_store()
    with service_client(exported) as client:
        first = client.post("/predict", json={"text": TEXT}).json()["prediction_id"]
        assert send(client, first, "feedback-1") == 201
        assert available(client)
        hanging.hang()
        assert send(client, first, "feedback-2") == 503
        assert not available(client)
        second = client.post("/predict", json={"text": TEXT})
        assert (second.status_code, client.get("/readyz").status_code) == (200, 200)
        hanging.resume()
        assert send(client, first, "feedback-2") == 201
        assert available(client)
        hanging.hang()
    wait_until(lambda: users_of_the_store() <= before)
    hanging.resume()
    keys = stored_keys(locate_store(None, {VARIABLE: hanging.url}))
    assert keys == {"feedback-1", "feedback-2"}


@pytest.mark.full
def test_a_service_ends_while_its_store_hangs(
    exported: Path, hanging: HangingServer, tmp_path: Path
):
    environment = {VARIABLE: hanging.url}
    with (
        serving(tmp_path, "--model", exported, environment=environment) as server,
        server.client() as client,
    ):
        predicted = client.post("/predict", json={"text": TEXT}).json()["prediction_id"]
        assert send(client, predicted, "feedback-1") == 201
        hanging.hang()
        threads = [
            threading.Thread(target=refused, args=(server, predicted, f"feedback-{n}"))
            for n in range(2, 12)
        ]
        for thread in threads:
            thread.start()
        assert client.post("/predict", json={"text": TEXT}).status_code == 200
        assert server.terminate(20) in (0, -signal.SIGTERM)
        for thread in threads:
            thread.join()


def refused(server: Server, prediction_id: str, key: str) -> None:
    """Send feedback that is not acknowledged."""
    with server.client() as client, suppress(httpx.TransportError):
        assert send(client, prediction_id, key) in (500, 503)
