"""One pass of the learning loop: look, retrain, judge, promote or say why not."""

from dataclasses import dataclass
from pathlib import Path

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import Registry
from patclass.core.defaults import LEAST_FEEDBACK, WINDOW
from patclass.core.types import Echo
from patclass.learning.gate import Decision
from patclass.learning.promotion import acknowledge_champion, promote, record_decision
from patclass.learning.retrain import (
    RetrainOptions,
    data_of,
    finish_planned,
    registry_lock,
    retrain,
)
from patclass.learning.trial import ModelPair, judge
from patclass.monitoring.monitor import Monitor, MonitoredModel
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import CANDIDATE, ModelStore


@dataclass(frozen=True)
class Pass:
    """What a pass has come to.

    :param alarms: signals that have shifted in the champion's last window.
    :param fresh: verdicts since the last candidate.
    :param decision: None if no candidate was made.
    :param page: the decision as a page.
    """

    alerts: tuple[str, ...]
    fresh: int
    decision: Decision | None = None
    page: Path | None = None


def run_pass(
    registry: Registry,
    database: Database,
    asked: RetrainOptions,
    least: int = LEAST_FEEDBACK,
    window: int = WINDOW,
    echo: Echo = print,
) -> Pass:
    """Do all that there is to do now.

    :param least: how many new verdicts make a new candidate worth its while.
    :raises PatclassError: if something that is needed cannot be used, or another pass is running.
    :raises KeyboardInterrupt: if training was interrupted.
    """
    with registry_lock(registry):
        champion = acknowledge_champion(registry, database)
        finish_planned(registry, database)
        alerts = _look(champion, database, window, echo)
        fresh = len(FeedbackStore(database).all(_considered(database)))
        echo(f"verdicts since the last candidate: {fresh:,} (a new one from {least:,} on)")
        candidate = _waiting(registry, database, champion)
        if candidate is not None:
            echo(f"not yet judged: {candidate.folder}")
        elif fresh < least:
            return Pass(alerts, fresh)
        else:
            candidate = retrain(registry, database, asked, echo=echo)
        if candidate is None:
            raise KeyboardInterrupt  # what was learnt is kept, and gone on with the next time
        pair = ModelPair(champion, candidate)
        decision, page = try_candidate(registry, database, pair, asked)
        echo(decision.text())
        echo(f"the decision: {page}")
        if decision.passed:
            promote(registry, database, candidate, f"gate, {page.name}", champion)
            echo(f"promoted: {candidate.folder}")
        return Pass(alerts, fresh, decision, page)


def try_candidate(
    registry: Registry, database: Database, pair: ModelPair, asked: RetrainOptions
) -> tuple[Decision, Path]:
    """Judge a candidate beside the champion; keep the decision.

    :raises PatclassError: if data, store or a bundle cannot be used.
    """
    decision = judge(pair, data_of(pair.champion, asked.data), database)
    return decision, record_decision(registry, database, decision, pair.candidate)


def _waiting(registry: Registry, database: Database, champion: Bundle) -> Bundle | None:
    """The champion's last successor, if it was made and never came to be judged or crowned."""
    made = [row for row in ModelStore(database).all() if row.parent == champion.fingerprint]
    there = {path.name: path for path in registry.folders()}
    last = made[-1] if made else None
    if last is None or last.state != CANDIDATE or last.folder not in there:
        return None
    return read_bundle(there[last.folder])


def _look(champion: Bundle, database: Database, window: int, echo: Echo) -> tuple[str, ...]:
    if champion.reference is None:
        echo("drift: the champion has no reference to compare with")
        return ()
    watched = MonitoredModel(champion.folder.name, champion.fingerprint, champion.reference)
    last = Monitor(database, window).last(watched)
    if last is None:
        echo(f"drift: fewer than {window:,} answers so far")
        return ()
    shifted = f"shifted: {', '.join(last.alerts)}" if last.alerts else "as usual"
    echo(f"drift: the last {last.rows:,} answers are {shifted}")
    return last.alerts


def _considered(database: Database) -> int:
    """The last verdict that any candidate has considered."""
    return max(
        (row.lineage.get("feedback_until", 0) for row in ModelStore(database).all()), default=0
    )
