"""Windows of a model's live answers, from the store, one after the other. Knows no HTTP."""

from dataclasses import dataclass

from patclass.core.defaults import WINDOW
from patclass.monitoring.accuracy import what_is_known
from patclass.monitoring.drift import Assessment, assess
from patclass.predictor.reference import DriftReference
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import ALERT, EventStore
from patclass.store.predictions import PredictionStore

# Windows that are made up for at once.
_MOST = 100

# Windows overlap: each begins a quarter of a window after the one before.
STEPS = 4


@dataclass(frozen=True)
class MonitoredModel:
    """A model whose answers are watched.

    :param version: see ``LoadedModel``.
    """

    name: str
    version: str
    reference: DriftReference


class Monitor:
    """Compares sliding windows with the reference; keeps an event for each that rings."""

    def __init__(self, database: Database, window: int = WINDOW) -> None:
        self._predictions = PredictionStore(database)
        self._feedback, self._events = FeedbackStore(database), EventStore(database)
        self.window = window
        self.step = max(1, window // STEPS)

    def answers(self, version: str) -> int:
        """How many predictions a model has given, as far as they are remembered.

        :raises StoreError: if the store cannot be read.
        """
        return self._predictions.count(version)

    def end(self, version: str) -> int:
        """How many of them there are up to the end of the last whole window; 0 if none.

        :raises StoreError: if the store cannot be read.
        """
        beyond = self.answers(version) - self.window
        return self.window + beyond // self.step * self.step if beyond >= 0 else 0

    def steps(self, before: int, end: int) -> int:
        """How many windows to assess at ``end``, at most a hundred; just that one at first.

        :param before: the ``end`` at the last look; 0 if there was none.
        """
        return min(_MOST, max(1, (end - before) // self.step)) if before else 1

    def last(self, watched: MonitoredModel) -> Assessment | None:
        """The last whole window; None if there is none yet.

        :raises StoreError: if the store cannot be read.
        """
        found = self.series(watched, 1)
        return found[0] if found else None

    def series(
        self, watched: MonitoredModel, windows: int, last: int | None = None
    ) -> list[Assessment]:
        """Whole windows, oldest first.

        :param last: the end of the last one, see ``end``; None for the last there is.
        :raises StoreError: if the store cannot be read.
        """
        last = self.end(watched.version) if last is None else last
        if not last:
            return []
        first = max(self.window, last - (windows - 1) * self.step)
        known = what_is_known(self._feedback.all())
        # Read once: windows overlap, and the database counts its way to each.
        rows = self._predictions.window(watched.version, last, self.window + last - first)
        starts = range(0, len(rows) - self.window + 1, self.step)
        parts = [rows[start : start + self.window] for start in starts]
        return [
            assess(watched.reference, [row for _, row in part], part[-1][0], known)
            for part in parts
        ]

    def record_alert(self, watched: MonitoredModel, assessment: Assessment) -> bool:
        """Keep an event for a window with alarms; False if there are none, or it was known.

        :raises StoreError: if it cannot be kept.
        """
        if not assessment.alerts:
            return False
        facts = {
            "model": watched.name,
            "rows": assessment.rows,
            "end": assessment.end.isoformat(),
            "signals": {s.signal: {"p": s.p, "psi": s.psi} for s in assessment.shifts if s.alert},
        }
        key = f"{ALERT} {watched.version} {assessment.number}"
        return self._events.add(ALERT, key, watched.version, facts)
