"""Predictions on their way to the store, off the way of requests. Knows rows, no HTTP.

A thread writes what has gathered, many rows at once. While the store is away they wait, up to a
bound; what is beyond it, or still waits at the end, is dropped and counted. So are texts, where so
many letters wait already; their rows are kept without. An answer never waits.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from patclass.service.logs import LOGGER, reason_of
from patclass.service.metrics import Metrics
from patclass.store.database import RowError
from patclass.store.predictions import PredictionRow, PredictionStore

log = logging.getLogger(LOGGER)

MOST_WAITING = 20_000
MOST_LETTERS = 50_000_000
_AT_ONCE = 1000
_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_END_SECONDS = 2.0


class Recorder:
    """Keeps predictions in the order in which they were given."""

    def __init__(
        self,
        store: PredictionStore,
        metrics: Metrics,
        most_waiting: int = MOST_WAITING,
        most_letters: int = MOST_LETTERS,
    ) -> None:
        self._store, self._metrics, self._most = store, metrics, most_waiting
        self._letters = most_letters  # for which there is room
        self._waiting: dict[str, PredictionRow] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[PredictionRow]) -> None:
        """Have rows written soon."""
        with self._changed:
            room = max(0, self._most - len(self._waiting))
            self._waiting.update((row.id, self._fitting(row)) for row in rows[:room])
            self._drop(len(rows[room:]))
            self._changed.notify()

    def _fitting(self, row: PredictionRow) -> PredictionRow:
        """A row with its text, if there is room for that."""
        if _letters(row) > self._letters:
            self._metrics.texts_dropped.inc()
            return replace(row, text=None)
        self._letters -= _letters(row)
        return row

    def find(self, prediction_id: str) -> PredictionRow | None:
        """A prediction that was given, whether it is written by now or not.

        :raises StoreError: if the store cannot be read.
        """
        with self._changed:
            waiting = self._waiting.get(prediction_id)
        return waiting or self._store.get(prediction_id)

    def close(self) -> None:
        """Write what waits, if the store lets that be done soon; then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_END_SECONDS)
        with self._changed:
            left, self._waiting = len(self._waiting), {}
            self._drop(left)
        if left:
            log.error("predictions not kept", extra={"facts": {"predictions": left}})

    def _drop(self, rows: int) -> None:
        self._metrics.recorded.labels("dropped").inc(rows)
        self._metrics.recording.set(len(self._waiting))

    def _work(self) -> None:
        well = True
        while rows := self._next(_GATHER_SECONDS if well else _RETRY_SECONDS):
            well = self._write(rows, well)

    def _next(self, seconds: float) -> list[PredictionRow]:
        """What is to be written now; nothing once that is all."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, seconds)
            return list(islice(self._waiting.values(), _AT_ONCE))

    def _write(self, rows: Sequence[PredictionRow], well: bool) -> bool:
        """Write rows; whether that worked."""
        try:
            self._add(rows)
        except Exception as problem:  # whatever it is, the next attempt may succeed
            if well:  # said once, not at every attempt
                log.error("predictions wait", extra={"facts": {"reason": reason_of(problem)}})
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _RETRY_SECONDS)
            return False
        self._done(rows, "kept")
        return True

    def _add(self, rows: Sequence[PredictionRow]) -> None:
        """Keep rows; where one can never be kept it is dropped, so that the others can."""
        try:
            self._store.add(rows)
        except RowError as problem:
            if len(rows) == 1:
                log.error("prediction not kept", extra={"facts": {"reason": str(problem)}})
                self._done(rows, "dropped")
                return
            for row in rows:
                self._add([row])

    def _done(self, rows: Sequence[PredictionRow], how: str) -> None:
        with self._changed:
            done = [row for row in rows if self._waiting.pop(row.id, None) is not None]
            self._letters += sum(map(_letters, done))
            self._metrics.recorded.labels(how).inc(len(done))
            self._metrics.recording.set(len(self._waiting))


def _letters(row: PredictionRow) -> int:
    return len(row.text or "")
