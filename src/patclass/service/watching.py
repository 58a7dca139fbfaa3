"""A thread that looks at each new window of answers, and rings. Knows metrics, no HTTP."""

import logging
from dataclasses import dataclass

from patclass.monitoring.assess import Assessment
from patclass.monitoring.monitor import Monitor, Watched
from patclass.service.logs import LOGGER, reason_of
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.periodic import Periodic

log = logging.getLogger(LOGGER)

_SECONDS = 2.0


class Watcher:
    """Watches all loaded models that have a reference."""

    def __init__(self, monitor: Monitor, models: Models, metrics: Metrics) -> None:
        self._monitor, self._models, self._metrics = monitor, models, metrics
        self._looks: dict[str, _Look] = {}
        self._well = True
        self._thread = Periodic("watch", _SECONDS, self._work)

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

    def _assess(self, watched: Watched, windows: int, end: int) -> None:
        found = self._monitor.series(watched, windows, end)
        for assessment in found:
            if self._monitor.ring(watched, assessment):
                _tell(watched, assessment)
        if found:
            self._metrics.show_assessment(watched.name, found[-1])


@dataclass(frozen=True)
class _Look:
    """How far a model's answers were looked at; see ``Monitor.end``."""

    version: str
    end: int


def watched_of(model: LoadedModel) -> Watched | None:
    """A loaded model as it is watched; None if its bundle has no reference."""
    reference = model.classifier.bundle.reference
    return None if reference is None else Watched(model.name, model.version, reference)


def _tell(watched: Watched, assessment: Assessment) -> None:
    facts = {
        "model": watched.name,
        "version": watched.version,
        "signals": list(assessment.alarms),
        "rows": assessment.rows,
    }
    log.warning("answers have shifted", extra={"facts": facts})
