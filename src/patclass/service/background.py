"""Background threads: reload of changed models, drift alerts, the shadow model."""

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

# How long the end of the service waits for a thread.
END_SECONDS = 1.0


class Periodic:
    """Calls ``work`` every few seconds; ``work`` must not raise."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds, self._call = seconds, work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread after its current call, or with the process if that takes longer."""
        self._ending.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._call()


log = logging.getLogger(LOGGER)

_RELOAD_SECONDS = 1.0


class ModelReloader:
    """Reloads the models when a location points to another bundle than the loaded one."""

    def __init__(self, models: Models, load: Callable[[], object]) -> None:
        """Start the thread.

        :param load: loads the models, and logs a ``PatclassError``.
        """
        self._models, self._load = models, load
        self._asked = False
        self._failed: tuple[object, ...] = ()
        self._thread = Periodic("reload", _RELOAD_SECONDS, self.check)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def ask(self) -> None:
        """Reload at the next check, once; takes no lock, since handlers of signals ask."""
        self._asked = True

    def check(self) -> None:
        """Reload if asked to, or if there are other bundles, which have not failed before."""
        if not self._models.ready:
            return
        if self._asked:
            self._asked = False
            self._try()
            return
        try:
            current = self._models.places()
        except PatclassError:  # the registry is damaged now; the loaded models stay
            return
        loaded = tuple(model.folder for model in self._models.loaded())
        if current == loaded:
            self._failed = ()  # may be tried again, if it is promoted again
        if current not in (loaded, self._failed) and not self._try():
            self._failed = current

    def _try(self) -> bool:
        """Load; return whether that succeeded."""
        try:
            self._load()
        except PatclassError:
            return False
        except Exception as error:  # no memory, a missing library: not logged yet
            log.error("models not loaded", extra={"facts": {"reason": repr(error)}})
            return False
        return True


_DRIFT_SECONDS = 2.0


class DriftWatcher:
    """Assesses new windows of all loaded models that have a reference."""

    def __init__(self, monitor: Monitor, models: Models, metrics: Metrics) -> None:
        self._monitor, self._models, self._metrics = monitor, models, metrics
        self._checkpoints: dict[str, _Checkpoint] = {}
        self._succeeded = True
        self._thread = Periodic("drift", _DRIFT_SECONDS, self._work)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def _work(self) -> None:
        try:
            for model in self._models.loaded():
                self.check(model)
            self._succeeded = True
        except Exception as error:  # whatever it is, the next check may succeed
            if self._succeeded:  # once, not at every check
                log.error("drift not checked", extra={"facts": {"reason": reason_of(error)}})
            self._succeeded = False

    def check(self, model: LoadedModel) -> None:
        """Assess the windows since the previous check; the first time the last window.

        :raises StoreError: if the store cannot be used.
        """
        previous = self._checkpoints.get(model.name)
        if previous is None or previous.version != model.version:
            self._metrics.clear_assessment(model.name)
            previous = _Checkpoint(model.version, 0)
        self._checkpoints[model.name] = previous
        monitored = monitored_model(model)
        if monitored is None:
            return
        end = self._monitor.end(monitored.version)
        if end != previous.end:
            self._assess(monitored, self._monitor.steps(previous.end, end), end)
            # After the assessment: a window whose alert could not be stored is assessed again.
            self._checkpoints[model.name] = _Checkpoint(model.version, end)

    def _assess(self, model: MonitoredModel, windows: int, end: int) -> None:
        assessments = self._monitor.series(model, windows, end)
        for assessment in assessments:
            if self._monitor.record_alert(model, assessment):
                _log_alert(model, assessment)
        if assessments:
            self._metrics.set_assessment(model.name, assessments[-1])


@dataclass(frozen=True)
class _Checkpoint:
    """Up to where a model's predictions were assessed; see ``Monitor.end``."""

    version: str
    end: int


def monitored_model(model: LoadedModel) -> MonitoredModel | None:
    """A loaded model with its reference; None if its bundle has no reference."""
    reference = model.classifier.bundle.reference
    return None if reference is None else MonitoredModel(model.name, model.version, reference)


def _log_alert(model: MonitoredModel, assessment: Assessment) -> None:
    facts = {
        "model": model.name,
        "version": model.version,
        "signals": list(assessment.alerts),
        "rows": assessment.rows,
    }
    log.warning("drift alert", extra={"facts": facts})


NAME = "shadow"
MAX_WAITING = 200


class Shadow:
    """Classifies served texts with a second model, and stores its predictions for comparison."""

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self.model: LoadedModel | None = None
        self._recorder, self._metrics = recorder, metrics
        self._waiting: deque[tuple[PredictionRow, str]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=NAME, daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[PredictionRow], texts: Sequence[str]) -> None:
        """Queue texts for the shadow model, if it is of another version, as far as they fit."""
        if self.model is None:
            return
        version = self.model.version  # may have become the champion meanwhile
        others = [pair for pair in zip(rows, texts, strict=True) if pair[0].version != version]
        with self._changed:
            room = MAX_WAITING - len(self._waiting)
            self._waiting.extend(others[:room])
            self._metrics.shadow.labels("left_out").inc(max(0, len(others) - room))
            self._changed.notify()

    def close(self) -> None:
        """End the thread; texts that wait are left out."""
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
                served, text = self._waiting.popleft()
            if self.model is not None:
                self._classify(self.model, served, text)

    def _classify(self, model: LoadedModel, served: PredictionRow, text: str) -> None:
        began = time.monotonic()
        # At the level that was served, so that the labels can be compared.
        level = served.level if served.level in model.classifier.tree.levels else AUTO
        try:
            (prediction,) = model.classifier.classify([text], Options(level=level))
        except Exception as error:  # whatever it is, the service goes on
            log.error("shadow model failed", extra={"facts": {"reason": repr(error)}})
            self._metrics.shadow.labels("failed").inc()
            return
        seconds = time.monotonic() - began
        row = row_of(secrets.token_hex(16), model, prediction, seconds, shadow_of=served.id)
        self._recorder.add([row])
        self._metrics.shadow.labels("same" if row.label == served.label else "differs").inc()
