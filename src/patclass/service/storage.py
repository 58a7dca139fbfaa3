"""Work with the store beside the event loop: predictions as rows, and writing them."""

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
from patclass.service.errors import Problem
from patclass.service.logs import LOGGER, reason_of
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel
from patclass.store.database import RowError
from patclass.store.predictions import PredictionRow, PredictionStore

Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")

# That a request waits for the store, which itself gives up sooner unless its server hangs.
SECONDS = 20.0

# No more connections than that are opened for requests.
_THREADS = 8


def store_threads() -> ThreadPoolExecutor:
    """Threads of the store's own, so that a store that hangs holds up nothing else."""
    return ThreadPoolExecutor(_THREADS, "store")


async def in_store(
    request: Request,
    work: Callable[Arguments, Found],
    *given: Arguments.args,
    **named: Arguments.kwargs,
) -> Found:
    """Do something with the store beside the event loop.

    :raises Problem: if the store cannot be used.
    """
    threads: Executor = request.app.state.store_threads
    call = partial(copy_context().run, work, *given, **named)
    try:
        work_done = asyncio.get_running_loop().run_in_executor(threads, call)
        return await asyncio.wait_for(work_done, SECONDS)
    except TimeoutError as problem:
        note(request.scope, reason=f"the store has not answered for {SECONDS:g} seconds")
        raise Problem(503, "not_kept", "the store does not answer now; try again") from problem
    except StoreError as problem:
        note(request.scope, reason=str(problem))
        message = "the store cannot be used now; see the log"
        raise Problem(503, "not_kept", message) from problem


def row_of(
    prediction_id: str,
    model: LoadedModel,
    prediction: Prediction,
    seconds: float,
    keep_text: bool = False,
    shadow_of: str | None = None,
) -> PredictionRow:
    """What is remembered of a prediction.

    :param seconds: from the request to the answer.
    :param shadow_of: the prediction that was given instead.
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
        levels={level: (c.label, c.confidence) for level, c in prediction.levels.items()},
        text_sha256=text_sha256(prediction.text),
        chars=len(prediction.text),
        latency_ms=1000 * seconds,
        text=prediction.text if keep_text else None,
        shadow_of=shadow_of,
        **vars(prediction.signals),
    )


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
