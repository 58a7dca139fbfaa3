"""Access to the store outside of the event loop, and recording of predictions."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import ParamSpec, TypeVar

from fastapi import Request

from patclass.core.errors import StoreError
from patclass.data.text import text_sha256
from patclass.inference.prediction import Prediction
from patclass.service.context import note
from patclass.service.errors import ApiError
from patclass.service.logs import LOGGER, reason_of
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel
from patclass.store.database import RowError
from patclass.store.predictions import PredictionRow, PredictionStore

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A request waits so long for the store; the store itself times out sooner unless its server hangs.
TIMEOUT_SECONDS = 20.0

# Also the number of connections for requests.
_THREADS = 8


def store_threads() -> ThreadPoolExecutor:
    """Threads for the store alone, so that a store that hangs blocks nothing else."""
    return ThreadPoolExecutor(_THREADS, "store")


async def in_store(
    request: Request,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call ``work`` in a thread of the store.

    :raises ApiError: if the store is unavailable.
    """
    threads: Executor = request.app.state.store_threads
    call = partial(copy_context().run, work, *args, **kwargs)
    try:
        future = asyncio.get_running_loop().run_in_executor(threads, call)
        return await asyncio.wait_for(future, TIMEOUT_SECONDS)
    except TimeoutError as error:
        note(request.scope, reason=f"the store has not responded for {TIMEOUT_SECONDS:g} seconds")
        raise ApiError(503, "not_stored", "the store does not respond; try again") from error
    except StoreError as error:
        note(request.scope, reason=str(error))
        message = "the store is unavailable; see the log"
        raise ApiError(503, "not_stored", message) from error


def row_of(
    prediction_id: str,
    model: LoadedModel,
    prediction: Prediction,
    seconds: float,
    keep_text: bool = False,
    shadow_of: str | None = None,
) -> PredictionRow:
    """A prediction as a row of the store.

    :param seconds: from the request to the prediction.
    :param shadow_of: id of the served prediction, if this is of the shadow model.
    """
    return PredictionRow(
        id=prediction_id,
        created=datetime.now(UTC),
        model=model.name,
        version=model.version,
        level=prediction.level,
        label=prediction.label,
        confidence=prediction.confidence,
        sure=prediction.sure,
        levels={level: (b.label, b.confidence) for level, b in prediction.levels.items()},
        text_sha256=text_sha256(prediction.text),
        chars=len(prediction.text),
        latency_ms=1000 * seconds,
        text=prediction.text if keep_text else None,
        shadow_of=shadow_of,
        **vars(prediction.signals),
    )


log = logging.getLogger(LOGGER)

MAX_WAITING = 20_000
MAX_CHARS_WAITING = 50_000_000
_BATCH_ROWS = 1000
_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_END_SECONDS = 2.0


class Recorder:
    """Writes predictions to the store in the order in which they were served, in a thread."""

    def __init__(
        self,
        store: PredictionStore,
        metrics: Metrics,
        max_waiting: int = MAX_WAITING,
        max_chars: int = MAX_CHARS_WAITING,
    ) -> None:
        self._store, self._metrics, self._max_waiting = store, metrics, max_waiting
        self._chars_left = max_chars
        self._waiting: dict[str, PredictionRow] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[PredictionRow]) -> None:
        """Queue rows for writing; those beyond the limit are dropped and counted."""
        with self._changed:
            room = max(0, self._max_waiting - len(self._waiting))
            self._waiting.update((row.id, self._limited(row)) for row in rows[:room])
            self._drop(len(rows[room:]))
            self._changed.notify()

    def _limited(self, row: PredictionRow) -> PredictionRow:
        """The row, without its text if too many characters wait."""
        if _text_chars(row) > self._chars_left:
            self._metrics.texts_dropped.inc()
            return replace(row, text=None)
        self._chars_left -= _text_chars(row)
        return row

    def find(self, prediction_id: str) -> PredictionRow | None:
        """A served prediction, whether it is written yet or not.

        :raises StoreError: if the store cannot be read.
        """
        with self._changed:
            waiting = self._waiting.get(prediction_id)
        return waiting or self._store.get(prediction_id)

    def close(self) -> None:
        """Write what waits, within two seconds; then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_END_SECONDS)
        with self._changed:
            left, self._waiting = len(self._waiting), {}
            self._drop(left)
        if left:
            log.error("predictions not stored", extra={"facts": {"predictions": left}})

    def _drop(self, rows: int) -> None:
        self._metrics.recorded.labels("dropped").inc(rows)
        self._metrics.recording.set(len(self._waiting))

    def _work(self) -> None:
        succeeded = True
        while rows := self._next(_GATHER_SECONDS if succeeded else _RETRY_SECONDS):
            succeeded = self._write(rows, log_failure=succeeded)

    def _next(self, seconds: float) -> list[PredictionRow]:
        """Wait for rows to write; empty when all are written and the recorder is closing."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, seconds)
            return list(islice(self._waiting.values(), _BATCH_ROWS))

    def _write(self, rows: Sequence[PredictionRow], log_failure: bool) -> bool:
        """Write rows; return whether that succeeded."""
        try:
            self._add(rows)
        except Exception as error:  # whatever it is, the next attempt may succeed
            if log_failure:  # once, not at every attempt
                log.error(
                    "predictions not stored yet", extra={"facts": {"reason": reason_of(error)}}
                )
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _RETRY_SECONDS)
            return False
        self._done(rows, "stored")
        return True

    def _add(self, rows: Sequence[PredictionRow]) -> None:
        """Write rows; one that can never be written is dropped."""
        try:
            self._store.add(rows)
        except RowError as error:
            if len(rows) == 1:
                log.error("prediction not stored", extra={"facts": {"reason": str(error)}})
                self._done(rows, "dropped")
                return
            for row in rows:
                self._add([row])

    def _done(self, rows: Sequence[PredictionRow], outcome: str) -> None:
        with self._changed:
            done = [row for row in rows if self._waiting.pop(row.id, None) is not None]
            self._chars_left += sum(map(_text_chars, done))
            self._metrics.recorded.labels(outcome).inc(len(done))
            self._metrics.recording.set(len(self._waiting))


def _text_chars(row: PredictionRow) -> int:
    return len(row.text or "")
