"""Windows of a model's live predictions, read from the store. Knows no HTTP."""

from dataclasses import dataclass

from patclass.core.settings import WINDOW
from patclass.monitoring.accuracy import reviewed_texts
from patclass.monitoring.drift import Assessment, assess
from patclass.predictor.drift_reference import DriftReference
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import ALERT, EventStore
from patclass.store.predictions import PredictionStore

# At most so many windows are assessed at once after a gap.
_MAX_WINDOWS = 100

# Windows overlap: each begins a quarter of a window after the previous one.
STEPS = 4


@dataclass(frozen=True)
class MonitoredModel:
    """A model whose predictions are monitored.

    :param version: its fingerprint, see ``LoadedModel``.
    """

    name: str
    version: str
    reference: DriftReference


class Monitor:
    """Compares sliding windows with the reference; records an event for each alert."""

    def __init__(self, database: Database, window: int = WINDOW) -> None:
        self._predictions = PredictionStore(database)
        self._feedback, self._events = FeedbackStore(database), EventStore(database)
        self.window = window
        self.step = max(1, window // STEPS)

    def count(self, version: str) -> int:
        """How many predictions of a model are in the store.

        :raises StoreError: if the store cannot be read.
        """
        return self._predictions.count(version)

    def end(self, version: str) -> int:
        """How many of them there are up to the end of the last complete window; 0 if none.

        :raises StoreError: if the store cannot be read.
        """
        after_first = self.count(version) - self.window
        return self.window + after_first // self.step * self.step if after_first >= 0 else 0

    def steps(self, before: int, end: int) -> int:
        """How many windows to assess up to ``end``, at most a hundred; one the first time.

        :param before: the ``end`` of the previous check; 0 if there was none.
        """
        return min(_MAX_WINDOWS, max(1, (end - before) // self.step)) if before else 1

    def last(self, model: MonitoredModel) -> Assessment | None:
        """The last complete window; None if there is none yet.

        :raises StoreError: if the store cannot be read.
        """
        windows = self.series(model, 1)
        return windows[0] if windows else None

    def series(
        self, model: MonitoredModel, windows: int, last: int | None = None
    ) -> list[Assessment]:
        """Complete windows, oldest first.

        :param last: the end of the last one, see ``end``; None for the last one in the store.
        :raises StoreError: if the store cannot be read.
        """
        last = self.end(model.version) if last is None else last
        if not last:
            return []
        first = max(self.window, last - (windows - 1) * self.step)
        reviewed = reviewed_texts(self._feedback.all())
        # Windows overlap, so their rows are read once.
        rows = self._predictions.window(model.version, last, self.window + last - first)
        starts = range(0, len(rows) - self.window + 1, self.step)
        parts = [rows[start : start + self.window] for start in starts]
        return [
            assess(model.reference, [row for _, row in part], part[-1][0], reviewed)
            for part in parts
        ]

    def record_alert(self, model: MonitoredModel, assessment: Assessment) -> bool:
        """Record an event for a window with alerts; False if it has none or is on record.

        :raises StoreError: if the event cannot be written.
        """
        if not assessment.alerts:
            return False
        facts = {
            "model": model.name,
            "rows": assessment.rows,
            "end": assessment.end.isoformat(),
            "signals": {s.signal: {"p": s.p, "psi": s.psi} for s in assessment.shifts if s.alert},
        }
        key = f"{ALERT} {model.version} {assessment.number}"
        return self._events.add(ALERT, key, model.version, facts)
