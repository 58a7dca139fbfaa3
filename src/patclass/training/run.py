"""A whole run: settings to data, model, training, evaluation, and a verified bundle."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from patclass import __version__
from patclass.bundle import Bundle
from patclass.bundle.description import (
    LAYOUT,
    BaseInfo,
    DataInfo,
    Description,
    Lineage,
    RunSettings,
    TextInfo,
)
from patclass.bundle.golden import verify_in_fresh_process
from patclass.bundle.writer import COMPACT_ADAPTER, Content, write_bundle
from patclass.core.errors import ModelError, TrainingError, cannot_write
from patclass.core.files import check_own, check_replaceable, check_writable, write_json
from patclass.core.settings import TrainSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import SPLITS, Corpus, FeedbackExample, write_rejects
from patclass.evaluation.report import Report, measure
from patclass.model.adapter import round_adapter
from patclass.model.architecture import architecture_of
from patclass.model.base import BaseFiles, resolve_base
from patclass.model.classifier import Parts, go_on, new_classifier
from patclass.model.device import apply_compute, choose_compute
from patclass.model.packing import PACKED, is_packed
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.scored import label_sets, score_rows
from patclass.training.checkpoint import latest_checkpoint, remove_checkpoints
from patclass.training.finish import Finished, finish
from patclass.training.loop import BEST, Fit, FitResult, Task

Echo = Callable[[str], object]

SETTINGS = "settings.json"


@dataclass(frozen=True)
class RunResult:
    """What a run has brought about; ``bundle`` is None if no epoch was finished."""

    bundle: Path | None
    report: Report | None
    fit: FitResult


def work_folder(output: Path) -> Path:
    """Where a run keeps its checkpoints, curve and rejects: beside the bundle."""
    return output.with_name(f"{output.name}.run")


@dataclass(frozen=True)
class FeedbackData:
    """What people have said, for a model that learns from it.

    :param judged: texts by split, on top of the data's own.
    :param parent: the bundle whose weights it begins with, at a gentler rate: so answers that
        nobody has objected to hardly change. None to begin anew.
    """

    judged: Mapping[str, Sequence[FeedbackExample]]
    lineage: Lineage
    parent: Bundle | None


# The peak rate of a model that goes on from its parent, beside that of one that begins anew.
WARM_START_FACTOR = 0.1


def train(
    settings: TrainSettings,
    resume: bool = False,
    restart: bool = False,
    echo: Echo = print,
    people: FeedbackData | None = None,
) -> RunResult:
    """Tune, evaluate, save and verify.

    :param resume: go on from the last checkpoint of an unfinished run.
    :param restart: throw an unfinished run away.
    :param people: verdicts to learn from as well.
    :raises PatclassError: if data, base or settings cannot be used, or training fails.
    """
    output = settings.output.output
    check_writable(output)
    check_replaceable(output, LAYOUT.manifest)
    base = resolve_base(settings.base.base, settings.base.revision)
    settings, parts = _decide(settings, base)
    echo(f"device: {parts.compute}")
    if settings.fit.mixed_precision and not parts.compute.fast_bfloat16:
        echo("mixed precision: not here, as bfloat16 is no faster than float32")
    corpus = load_corpus(settings.data, judged={} if people is None else people.judged)
    _describe(corpus, base, echo)
    folder = _open_work_folder(output, resume, restart)
    _start_records(folder, settings, corpus, resume, echo)
    parent = None if people is None else people.parent
    fit = _make_fit(settings, parts, corpus, folder, parent)
    result = fit.run(resume)
    # Half a candidate is none: it is gone on with, not put beside whole ones.
    if result.best_epoch is None or (people is not None and result.interrupted):
        return RunResult(None, None, result)
    compact = settings.answer.embed_base
    if compact:
        round_adapter(fit.model.backbone, COMPACT_ADAPTER)
    # The second opinion learns anew; were it also weighed anew, it would change many answers.
    mixing_weight = None if parent is None else parent.calibration.mixing_weight
    finished = finish(
        fit.model, fit.tokenizer, corpus, settings.answer, settings.data.seed, mixing_weight
    )
    report = None if result.interrupted else _evaluate(finished, corpus, echo)
    content = Content(
        finished.pipeline,
        fit.model,
        finished.thresholds,
        finished.conformal,
        finished.index,
        finished.reference,
        _description(settings, parts, corpus, result.interrupted),
        report,
        folder / "curve.jsonl",
        parts.base.folder if compact else None,
        None if people is None else people.lineage,
    )
    write_bundle(output, content, lambda folder: _prove(folder, fit, parts.compute.device))
    if not result.interrupted:
        _clear(folder)
    return RunResult(output, report, result)


def _decide(settings: TrainSettings, base: BaseFiles) -> tuple[TrainSettings, Parts]:
    """Replace every ``auto`` of the computation by what was chosen here."""
    traits = architecture_of(base.config, base.name)
    limit = traits.max_positions
    if limit is not None and settings.base.max_tokens > limit:
        raise ModelError(
            f"--max-tokens {settings.base.max_tokens}: base '{base.name}' reads at most {limit}."
        )
    if settings.answer.embed_base and not is_packed(base.folder / PACKED):
        raise ModelError(
            f"--embed-base: base '{base.name}' is not packed; a copy of it in every bundle would "
            "be as large as the base. Pack it first (scripts/compact_base.py)."
        )
    compute = choose_compute(settings.base.device, settings.base.precision, traits.stored)
    apply_compute(compute)
    chosen = settings.base.model_copy(
        update={"device": compute.device, "precision": compute.precision}
    )
    rate = settings.fit.learning_rate or traits.learning_rate
    fit = settings.fit.model_copy(update={"learning_rate": rate})
    if settings.answer.embed_base:
        base = replace(base, name=base.folder.name)  # where it once lay is of no use to anybody
    return settings.model_copy(update={"base": chosen, "fit": fit}), Parts(base, compute)


def _describe(corpus: Corpus, base: BaseFiles, echo: Echo) -> None:
    rows = ", ".join(f"{len(corpus[split]):,} {split}" for split in SPLITS)
    echo(f"base: {base.name}{f' @ {base.revision[:12]}' if base.revision else ''}")
    echo(f"data: {corpus.source}, text from {corpus.view}, {rows}")
    for level in corpus.tree.levels:
        codes = corpus.tree.at(level).codes
        names = " ".join(codes[:20]) + (" …" if len(codes) > 20 else "")
        echo(f"{level}: {len(codes)} ({names})")
    for note in corpus.notes:
        echo(f"note: {note}")
    for split in ("validation", "test"):
        if leaked := corpus.leaked(split):
            echo(f"warning: {leaked} {split} texts also stand in train")


def _open_work_folder(output: Path, resume: bool, restart: bool) -> Path:
    folder = work_folder(output)
    check_own(folder, SETTINGS)
    unfinished = latest_checkpoint(folder) if folder.exists() else None
    if unfinished and not resume and not restart:
        raise TrainingError(
            f"{folder} holds an unfinished run ({unfinished.name}). Go on with --resume, or "
            "throw it away with --restart."
        )
    try:
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    return folder


def _start_records(
    folder: Path, settings: TrainSettings, corpus: Corpus, resume: bool, echo: Echo
) -> None:
    try:
        if not resume:
            write_json(folder / SETTINGS, settings.model_dump(mode="json"))
        write_rejects(corpus.rejects, folder / "rejects.jsonl")
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    for reason, count in corpus.reject_counts.items():
        echo(f"rejected: {count:,} rows ({reason})")
    if corpus.rejects:
        echo(f"rejected rows are listed in {folder / 'rejects.jsonl'}")


def _make_fit(
    settings: TrainSettings, parts: Parts, corpus: Corpus, folder: Path, parent: Bundle | None
) -> Fit:
    torch.manual_seed(settings.data.seed)
    model = new_classifier(
        parts, settings.lora, corpus.tree.outputs, settings.fit.gradient_checkpointing
    )
    tokenizer = TextTokenizer.load(parts.base.folder, settings.base.max_tokens)
    rate = settings.fit.learning_rate
    assert rate is not None  # _decide has filled it in
    if parent is not None:
        rate *= WARM_START_FACTOR
        go_on(model, parent.folder / LAYOUT.adapter, parent.folder, _shared(corpus, parent))
    task = Task(
        corpus["train"],
        corpus["validation"],
        corpus.tree,
        rate,
        settings.data.seed,
        _run_id(settings, parts.base, corpus),
    )
    autocast = settings.fit.mixed_precision and parts.compute.fast_bfloat16
    return Fit(model, tokenizer, task, settings.fit, folder, autocast)


def _shared(corpus: Corpus, parent: Bundle) -> dict[int, int]:
    """The outputs that a model shares with its parent, by their paths; tags by their codes."""
    here, there = (
        (*tree.paths, *((code,) for code in tree.tags.codes)) for tree in (corpus.tree, parent.tree)
    )
    places = {path: place for place, path in enumerate(there)}
    return {place: places[path] for place, path in enumerate(here) if path in places}


def _run_id(settings: TrainSettings, base: BaseFiles, corpus: Corpus) -> str:
    """A hash over all that decides a run's weights; checkpoint intervals do not."""
    decisive = settings.model_dump(
        mode="json", exclude={"output": True, "answer": True, "data": {"data", "data_name"}}
    )
    decisive["fit"].pop("checkpoint_steps")
    parts = [decisive, base.sha256, corpus.fingerprint()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _evaluate(finished: Finished, corpus: Corpus, echo: Echo) -> Report:
    echo(f"evaluating {len(corpus['test']):,} test rows, model and baselines")
    scored = score_rows(finished.pipeline, corpus["test"], "scoring test")
    sets = label_sets(scored, finished.conformal)
    report = measure(scored, corpus, "test", corpus.tree.levels[:1], sets)
    echo("\n" + report.text() + "\n")
    return report


def _description(
    settings: TrainSettings, parts: Parts, corpus: Corpus, interrupted: bool
) -> Description:
    base, traits = parts.base, parts.architecture
    return Description(
        patclass=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
        base=BaseInfo(
            name=base.name,
            revision=base.revision,
            sha256=base.sha256,
            model_type=traits.model_type,
            embedded=settings.answer.embed_base,
        ),
        pooling=traits.pooling.value,
        precision=parts.compute.precision,
        text=TextInfo(
            view=str(corpus.view),
            max_tokens=settings.base.max_tokens,
            truncation=settings.answer.truncation,
        ),
        labels=corpus.tree.outputs,
        data=DataInfo(
            source=settings.data.data_name or corpus.source,
            fingerprint=corpus.fingerprint(),
            rows={split: len(corpus[split]) for split in SPLITS},
            rejects=corpus.reject_counts,
        ),
        interrupted=interrupted,
        settings=RunSettings(
            data=settings.data,
            base=settings.base,
            lora=settings.lora,
            fit=settings.fit,
            answer=settings.answer,
        ),
    )


def _prove(folder: Path, fit: Fit, device: str) -> None:
    fit.model.to("cpu")  # two models may be more than the device holds
    if device == "cuda":
        torch.cuda.empty_cache()
    verify_in_fresh_process(folder, device)


def _clear(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    remove_checkpoints(folder)
    (folder / BEST).unlink(missing_ok=True)
