"""Threads beside the requests: the registry's champion, drift alerts, the shadow model."""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from patclass.core.errors import PatclassError
from patclass.inference.prediction import AUTO, Options
from patclass.monitoring.drift import Assessment
from patclass.monitoring.monitor import Monitor, MonitoredModel
from patclass.service.logs import LOGGER, reason_of
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.storage import Recorder, row_of
from patclass.store.predictions import PredictionRow

# That the end of a service waits for one of its threads.
END_SECONDS = 1.0


class Periodic:
    """Calls ``work`` every few seconds; ``work`` must not raise."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds, self._call = seconds, work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread after what it is doing now, or with the process if that takes longer."""
        self._ending.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._call()


log = logging.getLogger(LOGGER)

_FOLLOW_SECONDS = 1.0


class Follower:
    """Loads the models anew when a place leads to another bundle than the one that answers."""

    def __init__(self, models: Models, load: Callable[[], object]) -> None:
        """Start the thread.

        :param load: loads the models; what fails there is told there.
        """
        self._models, self._load = models, load
        self._refused: tuple[object, ...] = ()
        self._thread = Periodic("follow", _FOLLOW_SECONDS, self.look)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def look(self) -> None:
        """Load, if there is something else to load that was not refused before."""
        if not self._models.ready:
            return
        try:
            there = self._models.places()
        except PatclassError:  # damaged just now: what is loaded goes on answering
            return
        loaded = tuple(model.folder for model in self._models.loaded())
        if there == loaded:
            self._refused = ()  # what was refused may be tried again, if it is promoted again
        if there in (loaded, self._refused):
            return
        try:
            self._load()
        except PatclassError:
            self._refused = there
        except Exception as problem:  # no memory, a library that is missing: it was not told yet
            log.error("models not loaded", extra={"facts": {"reason": repr(problem)}})
            self._refused = there


_WATCH_SECONDS = 2.0


class Watcher:
    """Watches all loaded models that have a reference."""

    def __init__(self, monitor: Monitor, models: Models, metrics: Metrics) -> None:
        self._monitor, self._models, self._metrics = monitor, models, metrics
        self._looks: dict[str, _Look] = {}
        self._well = True
        self._thread = Periodic("watch", _WATCH_SECONDS, self._work)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def _work(self) -> None:
        try:
            for model in self._models.loaded():
                self.look(model)
            self._well = True
        except Exception as problem:  # whatever it is, the next look may succeed
            if self._well:  # said once, not every time
                log.error("answers not watched", extra={"facts": {"reason": reason_of(problem)}})
            self._well = False

    def look(self, model: LoadedModel) -> None:
        """Assess the windows that are new since the last look; the first time the last one.

        :raises StoreError: if the store cannot be used.
        """
        before = self._looks.get(model.name)
        if before is None or before.version != model.version:
            self._metrics.forget_assessment(model.name)
            before = _Look(model.version, 0)
        self._looks[model.name] = before
        watched = watched_of(model)
        if watched is None:
            return
        end = self._monitor.end(watched.version)
        if end != before.end:
            self._assess(watched, self._monitor.steps(before.end, end), end)
            # Only now: a window whose alarm could not be kept is looked at once more.
            self._looks[model.name] = _Look(model.version, end)

    def _assess(self, watched: MonitoredModel, windows: int, end: int) -> None:
        found = self._monitor.series(watched, windows, end)
        for assessment in found:
            if self._monitor.record_alert(watched, assessment):
                _tell(watched, assessment)
        if found:
            self._metrics.show_assessment(watched.name, found[-1])


@dataclass(frozen=True)
class _Look:
    """How far a model's answers were looked at; see ``Monitor.end``."""

    version: str
    end: int


def watched_of(model: LoadedModel) -> MonitoredModel | None:
    """A loaded model as it is watched; None if its bundle has no reference."""
    reference = model.classifier.bundle.reference
    return None if reference is None else MonitoredModel(model.name, model.version, reference)


def _tell(watched: MonitoredModel, assessment: Assessment) -> None:
    facts = {
        "model": watched.name,
        "version": watched.version,
        "signals": list(assessment.alerts),
        "rows": assessment.rows,
    }
    log.warning("answers have shifted", extra={"facts": facts})


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
