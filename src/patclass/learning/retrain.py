"""A candidate: the champion's settings, its data, and what people have said since.

A run that was stopped goes on where it was: what it learns from is written down first.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT, Lineage
from patclass.bundle.registry import Registry
from patclass.core.defaults import FEEDBACK_WEIGHT
from patclass.core.errors import BundleError, DataError, TrainingError
from patclass.core.files import atomic_write, write_json
from patclass.core.settings import DataSettings, OutputSettings, TrainSettings
from patclass.data.corpus import load_corpus
from patclass.learning.training_data import GATE, TRAIN, VALIDATION, FeedbackParts, Known, gather
from patclass.store.database import Database
from patclass.store.history import CANDIDATE, EventStore, ModelRow, ModelStore
from patclass.training.checkpoint import latest_checkpoint
from patclass.training.loop import OtherRunError
from patclass.training.run import FeedbackData, train, work_folder

Echo = Callable[[str], object]

PLAN = "retrain.json"
LOCK = ".retrain.lock"


class Plan(BaseModel):
    """``retrain.json``: the candidate that is being made, so that it can be gone on with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    parent: str
    feedback_until: int
    weight: float


@dataclass(frozen=True)
class RetrainOptions:
    """How to retrain.

    :param weight: what a verdict counts beside a row of the data.
    :param data: where the champion's data is now; None for where it was.
    """

    weight: float = FEEDBACK_WEIGHT
    data: str | None = None


def data_of(bundle: Bundle, data: str | None) -> DataSettings:
    """A bundle's data settings, with its data in another place if that is given."""
    settings = bundle.description.data_settings()
    return settings if data is None else settings.model_copy(update={"data": data})


@contextmanager
def registry_lock(registry: Registry) -> Iterator[None]:
    """Keep others who train here out; the system lets them in again when this process ends.

    :raises TrainingError: if somebody does already.
    """
    with (registry.champion().parent / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise TrainingError(
                f"another 'patclass retrain' or 'loop' is at work in {registry.folder}."
            ) from problem
        yield


def retrain(
    registry: Registry,
    database: Database,
    asked: RetrainOptions,
    restart: bool = False,
    echo: Echo = print,
) -> Bundle | None:
    """Make a candidate in the registry; None if it was interrupted.

    :param restart: throw an unfinished candidate away.
    :raises PatclassError: if there is no champion, nothing to learn from, or training fails.
    """
    champion = read_bundle(registry.champion())
    made = finish_planned(registry, database)
    if made is not None and not restart and _fits(made.lineage, champion, asked):
        echo("it was made before, by a process that ended before it could say so")
        return made
    data = data_of(champion, asked.data)
    known = Known.of(load_corpus(data))
    plan = None if restart else _unfinished(registry, champion, asked)
    until = None if plan is None else plan.feedback_until
    material = gather(database, known, asked.weight, until)
    _describe(material, echo)
    if not material.judged[TRAIN]:
        raise DataError(
            "there is nothing to learn from: no verdict with a text and a label is kept yet. "
            "Collect some with 'patclass serve --keep-texts', or 'patclass feedback import'."
        )
    resume = plan is not None
    if plan is None:
        plan = _plan(registry, champion, material, asked)
    settings = _settings(registry, champion, data, plan)
    lineage = Lineage(
        parent=champion.fingerprint,
        feedback_from=material.first,
        feedback_until=material.last,
        rows=material.rows,
        left_out=material.left_out,
        weight=asked.weight,
    )
    # An exported champion has no adapter to go on from: its successor begins anew.
    parent = champion if champion.description.engine is None else None
    people = FeedbackData(
        {part: material.judged[part] for part in (TRAIN, VALIDATION)}, lineage, parent
    )
    try:
        result = train(settings, resume, not resume, echo, people)
    except OtherRunError:  # a text was forgotten, or the data is another
        echo("what was learnt so far was learnt from other rows; starting anew")
        result = train(settings, False, True, echo, people)
    if result.bundle is None or result.fit.interrupted:
        return None
    return _finish(registry, database, read_bundle(result.bundle), lineage)


def finish_planned(registry: Registry, database: Database) -> Bundle | None:
    """Have the store know a candidate whose maker died between writing it and saying so.

    :raises PatclassError: if the plan is damaged, or the store cannot be used.
    """
    plan = _read_plan(registry)
    if plan is None or not (registry.folder / plan.folder / LAYOUT.manifest).is_file():
        return None
    try:
        bundle = read_bundle(registry.folder / plan.folder)
    except BundleError:  # 'patclass models list' shows it
        return None
    if bundle.lineage is None or bundle.lineage.parent != plan.parent:
        return None
    return _finish(registry, database, bundle, bundle.lineage)


def _fits(begun: Plan | Lineage | None, champion: Bundle, asked: RetrainOptions) -> bool:
    """Whether a candidate was begun from this champion, in the way that is asked for."""
    kind = (champion.fingerprint, asked.weight)
    return begun is not None and (begun.parent, begun.weight) == kind


def _describe(material: FeedbackParts, echo: Echo) -> None:
    rows = material.rows
    echo(
        f"people: {rows[TRAIN]:,} texts to learn from, {rows[VALIDATION]:,} to validate on, "
        f"{rows[GATE]:,} kept back to judge by"
    )
    for reason, count in material.left_out.items():
        echo(f"people: {count:,} texts left out ({reason})")


def _unfinished(registry: Registry, champion: Bundle, asked: RetrainOptions) -> Plan | None:
    """The candidate that was being made, if it is of the same kind and has a checkpoint."""
    plan = _read_plan(registry)
    if plan is None or not _fits(plan, champion, asked):
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


def _plan(
    registry: Registry, champion: Bundle, material: FeedbackParts, asked: RetrainOptions
) -> Plan:
    if (dropped := _read_plan(registry)) is not None:
        shutil.rmtree(work_folder(registry.folder / dropped.folder), ignore_errors=True)
        with suppress(OSError):  # it is no empty folder
            (registry.folder / dropped.folder).rmdir()
    plan = Plan(
        folder=registry.next_folder().name,
        parent=champion.fingerprint,
        feedback_until=material.last,
        weight=asked.weight,
    )
    with atomic_write(registry.folder / PLAN) as partial:
        write_json(partial, plan.model_dump())
    return plan


def _settings(
    registry: Registry, champion: Bundle, data: DataSettings, plan: Plan
) -> TrainSettings:
    stored = champion.description.settings
    # Where the champion was made there may have been a GPU.
    auto = {"device": "auto"} | (
        {} if stored.base.precision == "float32" else {"precision": "auto"}
    )
    base = stored.base.model_copy(update=auto)
    if champion.description.base.embedded:
        folder = _unpacked_base(registry, champion)
        base = base.model_copy(update={"base": str(folder), "revision": None})
    return TrainSettings(
        data=data,
        base=base,
        lora=stored.lora,
        fit=stored.fit,
        answer=stored.answer,
        output=OutputSettings(output=registry.folder / plan.folder),
    )


def _unpacked_base(registry: Registry, champion: Bundle) -> Path:
    """The base that travels in the champion, with the tokenizer that it shares with it."""
    folder = registry.folder / "base" / champion.description.base.sha256[:12]
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        with suppress(FileNotFoundError):
            shutil.rmtree(partial)
        shutil.copytree(champion.folder / LAYOUT.base, partial)
        shutil.copyfile(champion.folder / LAYOUT.tokenizer, partial / LAYOUT.tokenizer)
        partial.rename(folder)
    return folder


def _finish(registry: Registry, database: Database, bundle: Bundle, lineage: Lineage) -> Bundle:
    facts = lineage.model_dump() | {"data": bundle.description.data.fingerprint}
    row = ModelRow(bundle.fingerprint, bundle.folder.name, lineage.parent, CANDIDATE, facts)
    ModelStore(database).add(row)
    EventStore(database).add("retrained", f"retrained {row.version}", row.version, facts)
    (registry.folder / PLAN).unlink(missing_ok=True)
    return bundle
