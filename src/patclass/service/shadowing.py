"""A candidate in the shadow: it answers what the champion has answered, and nobody sees it.

Knows the recorder, no HTTP. It works one text at a time, after the answer was given; what it
cannot keep up with is left out and counted, so live answers wait for nothing.
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence

from patclass.inference.answer import AUTO, Options
from patclass.service.logs import LOGGER
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel
from patclass.service.periodic import END_SECONDS
from patclass.service.recording import Recorder
from patclass.service.rows import row_of
from patclass.store.predictions import PredictionRow

log = logging.getLogger(LOGGER)

NAME = "shadow"
MOST_WAITING = 200


class Shadow:
    """Answers again, and has its answers kept beside those that were given."""

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self.model: LoadedModel | None = None
        self._recorder, self._metrics = recorder, metrics
        self._waiting: deque[tuple[PredictionRow, str]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=NAME, daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[PredictionRow], texts: Sequence[str]) -> None:
        """Have texts answered again, if another model is in the shadow and has room to wait."""
        if self.model is None:
            return
        version = self.model.version  # that may have become the champion meanwhile
        others = [pair for pair in zip(rows, texts, strict=True) if pair[0].version != version]
        with self._changed:
            room = MOST_WAITING - len(self._waiting)
            self._waiting.extend(others[:room])
            self._metrics.shadow.labels("left_out").inc(max(0, len(others) - room))
            self._changed.notify()

    def close(self) -> None:
        """End the thread; what waits is left out."""
        with self._changed:
            self._closing = True
            self._metrics.shadow.labels("left_out").inc(len(self._waiting))
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                live, text = self._waiting.popleft()
            if self.model is not None:
                self._answer(self.model, live, text)

    def _answer(self, model: LoadedModel, live: PredictionRow, text: str) -> None:
        began = time.monotonic()
        # At the level that was answered, so that both say how they name the same thing.
        level = live.level if live.level in model.classifier.tree.levels else AUTO
        try:
            (prediction,) = model.classifier.classify([text], Options(level=level))
        except Exception as problem:  # whatever it is, live answers go on, and so does the shadow
            log.error("shadow failed", extra={"facts": {"reason": repr(problem)}})
            self._metrics.shadow.labels("failed").inc()
            return
        seconds = time.monotonic() - began
        row = row_of(secrets.token_hex(16), model, prediction, seconds, shadow_of=live.id)
        self._recorder.add([row])
        self._metrics.shadow.labels("same" if row.label == live.label else "differs").inc()
