"""Retraining: a candidate from the champion's settings and data, and the feedback so far.

A plan of the run is written first, so that an interrupted run resumes with the same feedback.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT, Lineage
from patclass.bundle.registry import Registry
from patclass.core.errors import BundleError, DataError, TrainingError
from patclass.core.files import atomic_write, write_json
from patclass.core.settings import FEEDBACK_WEIGHT, DataSettings, OutputSettings, TrainSettings
from patclass.core.types import Echo
from patclass.data.corpus import load_corpus
from patclass.learning.training_data import (
    GATE,
    TRAIN,
    VALIDATION,
    CorpusTexts,
    FeedbackParts,
    split_feedback,
)
from patclass.store.database import Database
from patclass.store.history import CANDIDATE, EventStore, ModelRow, ModelStore
from patclass.training.checkpoint import latest_checkpoint
from patclass.training.loop import OtherRunError
from patclass.training.run import FeedbackData, train, work_folder

PLAN = "retrain.json"
LOCK = ".retrain.lock"


class Plan(BaseModel):
    """``retrain.json``: the candidate in training, so that an interrupted run can resume."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    parent: str
    feedback_until: int
    weight: float


@dataclass(frozen=True)
class RetrainOptions:
    """Options of retraining.

    :param weight: weight of an example of feedback in training; a row of the data has 1.
    :param data: where the champion's data is now; None if it was not moved.
    """

    weight: float = FEEDBACK_WEIGHT
    data: str | None = None


def data_settings_of(bundle: Bundle, data: str | None) -> DataSettings:
    """A bundle's data settings, with another source of the data unless ``data`` is None."""
    settings = bundle.description.data_settings()
    return settings if data is None else settings.model_copy(update={"data": data})


@contextmanager
def registry_lock(registry: Registry) -> Iterator[None]:
    """Exclude other processes that retrain in this registry, until the block or process ends.

    :raises BundleError: if the registry has no champion.
    :raises TrainingError: if another process is retraining.
    """
    registry.champion()
    with ExitStack() as stack:
        try:
            stack.enter_context(registry.lock(LOCK, blocking=False))
        except Timeout as problem:
            raise TrainingError(
                f"another 'patclass retrain' or 'patclass loop' is running in {registry.folder}; "
                "wait until it ends."
            ) from problem
        yield


def retrain(
    registry: Registry,
    database: Database,
    options: RetrainOptions,
    restart: bool = False,
    echo: Echo = print,
) -> Bundle | None:
    """Train a candidate in the registry; None if training was interrupted.

    :param restart: start again from scratch, discarding an unfinished candidate.
    :raises PatclassError: if there is no champion, no feedback to train on, or training fails.
    """
    champion = read_bundle(registry.champion())
    recovered = recover_candidate(registry, database)
    if recovered is not None and not restart and _matches(recovered.lineage, champion, options):
        echo("the candidate was trained before, by a process that ended before recording it")
        return recovered
    data = data_settings_of(champion, options.data)
    corpus_texts = CorpusTexts.of(load_corpus(data))
    plan = None if restart else _unfinished(registry, champion, options)
    until = None if plan is None else plan.feedback_until
    parts = split_feedback(database, corpus_texts, options.weight, until)
    _report(parts, echo)
    if not parts.examples[TRAIN]:
        raise DataError(
            "there is no feedback to train on: none with a text and a correct label is stored yet. "
            "Let the service keep texts (keep_texts), or import some (patclass feedback import).",
            setting="keep_texts",
        )
    resume = plan is not None
    if plan is None:
        plan = _write_plan(registry, champion, parts, options)
    settings = _settings(registry, champion, data, plan)
    lineage = Lineage(
        parent=champion.fingerprint,
        feedback_from=parts.first,
        feedback_until=parts.last,
        rows=parts.counts,
        left_out=parts.left_out,
        weight=options.weight,
    )
    # An exported champion has no adapter to start from: its candidate is trained from scratch.
    parent = champion if champion.description.engine is None else None
    examples = {part: parts.examples[part] for part in (TRAIN, VALIDATION)}
    feedback = FeedbackData(examples, lineage, parent)
    try:
        result = train(settings, resume, not resume, echo, feedback)
    except OtherRunError:  # a text was purged, or the data has changed
        echo("the checkpoint was trained on other rows; starting again from scratch")
        result = train(settings, False, True, echo, feedback)
    if result.bundle is None or result.fit.interrupted:
        return None
    return _record_candidate(registry, database, read_bundle(result.bundle), lineage)


def recover_candidate(registry: Registry, database: Database) -> Bundle | None:
    """Record a finished candidate whose process died before recording it; None if there is none.

    :raises PatclassError: if the plan is damaged, or the store cannot be used.
    """
    plan = _read_plan(registry)
    if plan is None or not (registry.folder / plan.folder / LAYOUT.manifest).is_file():
        return None
    try:
        bundle = read_bundle(registry.folder / plan.folder)
    except BundleError:  # 'patclass models list' reports it
        return None
    if bundle.lineage is None or bundle.lineage.parent != plan.parent:
        return None
    return _record_candidate(registry, database, bundle, bundle.lineage)


def _matches(candidate: Plan | Lineage | None, champion: Bundle, options: RetrainOptions) -> bool:
    """Whether a candidate is trained from this champion with these options."""
    expected = (champion.fingerprint, options.weight)
    return candidate is not None and (candidate.parent, candidate.weight) == expected


def _report(parts: FeedbackParts, echo: Echo) -> None:
    counts = parts.counts
    echo(
        f"feedback: {counts[TRAIN]:,} texts for training, {counts[VALIDATION]:,} for validation, "
        f"{counts[GATE]:,} held out for the gate"
    )
    for reason, count in parts.left_out.items():
        echo(f"feedback: {count:,} texts left out ({reason})")


def _unfinished(registry: Registry, champion: Bundle, options: RetrainOptions) -> Plan | None:
    """The plan of an interrupted run that matches and has a checkpoint."""
    plan = _read_plan(registry)
    if plan is None or not _matches(plan, champion, options):
        return None
    work = work_folder(registry.folder / plan.folder)
    return plan if work.is_dir() and latest_checkpoint(work) else None


def _read_plan(registry: Registry) -> Plan | None:
    path = registry.folder / PLAN
    try:
        return Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as problem:
        raise TrainingError(f"{path} is damaged: {problem}. Remove it.") from problem


def _write_plan(
    registry: Registry, champion: Bundle, parts: FeedbackParts, options: RetrainOptions
) -> Plan:
    """Plan a new run, and discard the one planned before."""
    discarded = _read_plan(registry)
    if discarded is not None:
        shutil.rmtree(work_folder(registry.folder / discarded.folder), ignore_errors=True)
        with suppress(OSError):  # a finished candidate is not an empty folder
            (registry.folder / discarded.folder).rmdir()
    plan = Plan(
        folder=registry.next_folder().name,
        parent=champion.fingerprint,
        feedback_until=parts.last,
        weight=options.weight,
    )
    with atomic_write(registry.folder / PLAN) as partial:
        write_json(partial, plan.model_dump())
    return plan


def _settings(
    registry: Registry, champion: Bundle, data: DataSettings, plan: Plan
) -> TrainSettings:
    stored = champion.description.settings
    # The champion may have been trained on a machine with a GPU.
    hardware = {"device": "auto"}
    if stored.base.precision != "float32":
        hardware["precision"] = "auto"
    base = stored.base.model_copy(update=hardware)
    if champion.description.base.embedded:
        folder = _unpacked_base(registry, champion)
        base = base.model_copy(update={"base": str(folder), "revision": None})
    return TrainSettings(
        data=data,
        base=base,
        lora=stored.lora,
        # The champion knows what its teacher did, and reviewers know better than the teacher.
        fit=stored.fit.model_copy(update={"teacher": None}),
        answer=stored.answer,
        output=OutputSettings(output=registry.folder / plan.folder),
    )


def _unpacked_base(registry: Registry, champion: Bundle) -> Path:
    """A folder with the base that is embedded in the champion, and its tokenizer."""
    folder = registry.folder / "base" / champion.description.base.sha256[:12]
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        with suppress(FileNotFoundError):
            shutil.rmtree(partial)
        shutil.copytree(champion.folder / LAYOUT.base, partial)
        shutil.copyfile(champion.folder / LAYOUT.tokenizer, partial / LAYOUT.tokenizer)
        partial.rename(folder)
    return folder


def _record_candidate(
    registry: Registry, database: Database, bundle: Bundle, lineage: Lineage
) -> Bundle:
    """Store a new candidate, and remove the plan of its run."""
    details = lineage.model_dump() | {"data": bundle.description.data.fingerprint}
    row = ModelRow(bundle.fingerprint, bundle.folder.name, lineage.parent, CANDIDATE, details)
    ModelStore(database).add(row)
    EventStore(database).add("retrained", f"retrained {row.version}", row.version, details)
    (registry.folder / PLAN).unlink(missing_ok=True)
    return bundle
