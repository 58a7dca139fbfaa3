"""One pass of the learning loop: check for drift, retrain, evaluate, and promote or refuse."""

from dataclasses import dataclass
from pathlib import Path

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import Registry
from patclass.core.settings import LEAST_FEEDBACK, WINDOW
from patclass.core.types import Echo
from patclass.learning.gate import Decision
from patclass.learning.promotion import (
    ModelPair,
    evaluate_candidate,
    promote,
    record_decision,
    sync_champion,
)
from patclass.learning.retrain import (
    RetrainOptions,
    data_settings_of,
    recover_candidate,
    registry_lock,
    retrain,
)
from patclass.monitoring.monitor import Monitor, MonitoredModel
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import CANDIDATE, ModelStore


@dataclass(frozen=True)
class PassResult:
    """The result of one pass.

    :param alerts: signals that have drifted in the champion's latest window.
    :param new_feedback: rows of feedback since the last candidate.
    :param decision: None if no candidate was evaluated.
    :param page: the decision as a page.
    """

    alerts: tuple[str, ...]
    new_feedback: int
    decision: Decision | None = None
    page: Path | None = None


def run_pass(
    registry: Registry,
    database: Database,
    options: RetrainOptions,
    min_feedback: int = LEAST_FEEDBACK,
    window: int = WINDOW,
    echo: Echo = print,
) -> PassResult:
    """Run one pass of the loop.

    :param min_feedback: rows of new feedback from which on a candidate is trained.
    :param window: of the drift detection, in predictions.
    :raises PatclassError: if something that is needed cannot be used, or another pass is running.
    :raises KeyboardInterrupt: if training was interrupted.
    """
    with registry_lock(registry):
        champion = sync_champion(registry, database)
        recover_candidate(registry, database)
        alerts = _check_drift(champion, database, window, echo)
        new_feedback = len(FeedbackStore(database).all(after=_last_considered(database)))
        echo(f"feedback since the last candidate: {new_feedback:,} (minimum {min_feedback:,})")
        candidate = _unevaluated_candidate(registry, database, champion)
        if candidate is not None:
            echo(f"not yet evaluated: {candidate.folder}")
        elif new_feedback < min_feedback:
            return PassResult(alerts, new_feedback)
        else:
            candidate = retrain(registry, database, options, echo=echo)
        if candidate is None:
            raise KeyboardInterrupt  # the next pass resumes from the checkpoint
        pair = ModelPair(champion, candidate)
        decision, page = evaluate_and_record(registry, database, pair, options)
        echo(decision.text())
        echo(f"decision: {page}")
        if decision.passed:
            promote(registry, database, candidate, f"gate, {page.name}", champion)
            echo(f"promoted: {candidate.folder}")
        return PassResult(alerts, new_feedback, decision, page)


def evaluate_and_record(
    registry: Registry, database: Database, pair: ModelPair, options: RetrainOptions
) -> tuple[Decision, Path]:
    """Evaluate a candidate against the champion; record the decision.

    :raises PatclassError: if data, store or a bundle cannot be used.
    """
    decision = evaluate_candidate(pair, data_settings_of(pair.champion, options.data), database)
    return decision, record_decision(registry, database, decision, pair.candidate)


def _unevaluated_candidate(
    registry: Registry, database: Database, champion: Bundle
) -> Bundle | None:
    """The latest candidate trained from the champion, if it was neither refused nor promoted."""
    trained = [row for row in ModelStore(database).all() if row.parent == champion.fingerprint]
    folders = {path.name: path for path in registry.folders()}
    last = trained[-1] if trained else None
    if last is None or last.state != CANDIDATE or last.folder not in folders:
        return None
    return read_bundle(folders[last.folder])


def _check_drift(champion: Bundle, database: Database, window: int, echo: Echo) -> tuple[str, ...]:
    """The signals that have drifted in the champion's latest window."""
    if champion.reference is None:
        echo("drift: the champion has no reference to compare with")
        return ()
    model = MonitoredModel(champion.folder.name, champion.fingerprint, champion.reference)
    last = Monitor(database, window).last(model)
    if last is None:
        echo(f"drift: fewer than {window:,} predictions so far")
        return ()
    signals = f"alert for {', '.join(last.alerts)}" if last.alerts else "no alert"
    echo(f"drift: {signals} in the last {last.rows:,} predictions")
    return last.alerts


def _last_considered(database: Database) -> int:
    """Number of the last row of feedback that any candidate was trained on or evaluated by."""
    numbers = (row.lineage.get("feedback_until", 0) for row in ModelStore(database).all())
    return max(numbers, default=0)
