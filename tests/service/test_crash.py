"""Feedback survives crashes: of the service, and of PostgreSQL, killed and restarted."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import text

from helpers import full, wait_until
from patclass.store.database import VARIABLE, Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from postgres import postgres
from service_process import Server, free_port, plain_client, serving, wait_until_ready
from store_rows import prediction

WRITERS = 4
KILLS = full(2, 20)
PREDICTIONS = 50


@dataclass
class Writers:
    """Four clients that send feedback, each until it is acknowledged, during crashes."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def _write(self, writer: int) -> None:
        number = 0
        with plain_client(self.url, timeout=20) as client:
            while not self.stop.is_set():
                key = f"writer-{writer}-{number}"
                if self._send(client, key, prediction(number % PREDICTIONS).id):
                    self.acknowledged.append(key)
                    number += 1

    def _send(self, client: httpx.Client, key: str, prediction_id: str) -> bool:
        body = {"prediction_id": prediction_id, "correct": True, "reviewer": key[:8]}
        try:
            response = client.post("/v1/feedback", json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            time.sleep(0.02)
            return False
        if response.status_code != 201:
            self.refused[response.status_code] += 1
            time.sleep(0.02)
        return response.status_code == 201


def insert_predictions(database: Database) -> None:
    PredictionStore(database).add([prediction(number) for number in range(PREDICTIONS)])


def check_nothing_lost_or_duplicated(database: Database, writers: Writers) -> None:
    stored = Counter(given.key for given in FeedbackStore(database).all())
    assert len(writers.acknowledged) > KILLS * WRITERS / 2
    assert set(stored.values()) == {1}
    assert set(writers.acknowledged) <= set(stored)
    # Requests in progress at a crash may have been stored without an acknowledgement.
    assert len(stored) - len(writers.acknowledged) <= WRITERS


def start(bundle: Path, folder: Path, port: int) -> Server:
    log = folder / "serve.log"
    flags = ["--model", bundle, "--store", "store.db", "--feedback-rate", 10**6, "--port", port]
    with log.open("ab") as sink:
        command = [sys.executable, "-m", "patclass", "serve", *map(str, flags)]
        process = subprocess.Popen(command, stderr=sink, cwd=folder)
    return Server(process, port, log)


def test_a_killed_service_loses_and_duplicates_nothing(exported: Path, tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})
    insert_predictions(database)
    port, rng = free_port(), random.Random(0)
    server = start(exported, tmp_path, port)
    writers = Writers(server.url)
    try:
        with writers.running():
            for _ in range(KILLS):
                before = len(writers.acknowledged)
                wait_until_ready(server)
                wait_until(lambda before=before: len(writers.acknowledged) >= before + WRITERS)
                time.sleep(rng.uniform(0, 0.05))
                os.kill(server.process.pid, signal.SIGKILL)
                assert server.process.wait(60) == -signal.SIGKILL
                server = start(exported, tmp_path, port)
            wait_until_ready(server)
    finally:
        server.process.kill()
        server.process.wait(60)
    check_nothing_lost_or_duplicated(database, writers)
    with database.read() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    database.close()


def test_a_killed_postgresql_loses_and_duplicates_nothing(exported: Path, tmp_path: Path):
    with postgres() as server:
        url = server.new_database()
        database = locate_store(None, {VARIABLE: url})
        insert_predictions(database)
        flags = ("--model", exported, "--feedback-rate", 10**6)
        with serving(tmp_path, *flags, environment={VARIABLE: url}) as service:
            writers = Writers(service.url)
            with writers.running():
                for _ in range(KILLS):
                    before = len(writers.acknowledged)
                    wait_until(lambda before=before: len(writers.acknowledged) >= before + WRITERS)
                    server.stop("immediate")
                    server.start()
            assert service.process.poll() is None
        check_nothing_lost_or_duplicated(database, writers)
        assert set(writers.refused) <= {503}
        database.close()
