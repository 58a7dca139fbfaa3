"""A whole run: settings to data, model, training, evaluation, and a verified bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from patclass.bundle import Bundle
from patclass.bundle.description import LAYOUT, Lineage
from patclass.bundle.golden import verify_in_fresh_process
from patclass.bundle.weights import find_base
from patclass.core.errors import TrainingError, cannot_write
from patclass.core.files import check_own, check_replaceable, check_writable, write_json
from patclass.core.settings import NO_DATA, TrainSettings
from patclass.core.types import Echo
from patclass.data.corpus import load_corpus
from patclass.data.examples import SPLITS, Corpus, FeedbackExample, write_rejects
from patclass.engines.torch import TorchEngine
from patclass.evaluation.cross_validation import FewShotReport
from patclass.evaluation.report import Report, measure
from patclass.model.architecture import Architecture
from patclass.model.base import BaseFiles, resolve_base
from patclass.model.network import Parts, fast_merged
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.fitting import Fitting, fit_components
from patclass.predictor.pipeline import Pipeline
from patclass.predictor.scored import label_sets, score_rows
from patclass.training.categories import Categories
from patclass.training.checkpoint import latest_checkpoint, remove_checkpoints
from patclass.training.estimate import announce
from patclass.training.few_shot import METHODS, FewShot
from patclass.training.loop import BEST, Fit, FitResult
from patclass.training.prefix_cache import remove_cache
from patclass.training.processes import Processes, joined
from patclass.training.save import COMPACT, TrainedModel, describe, save_trained
from patclass.training.setup import make_fit
from patclass.training.start import (
    bare_settings,
    check_few,
    choose,
    descriptions_of,
    start_bundle,
    start_settings,
    unused_few,
)

SETTINGS = "settings.json"


@dataclass(frozen=True)
class RunResult:
    """What a run has brought about.

    ``bundle`` is None if no epoch was finished, or if another process has saved it. With few
    examples ``few_shot`` says how they were learnt, and ``report`` is None if they are too few to
    measure anything.
    """

    bundle: Path | None
    report: Report | None
    fit: FitResult
    few_shot: FewShotReport | None = None


def work_folder(output: Path) -> Path:
    """Where a run keeps its checkpoints, curve and rejects: next to the bundle."""
    return output.with_name(f"{output.name}.run")


@dataclass(frozen=True)
class FeedbackData:
    """Feedback that a model is retrained on.

    :param examples: texts by split, in addition to the rows of the data.
    :param parent: the bundle whose weights training starts from (warm start), at a lower learning
        rate, so that predictions without feedback hardly change. None to train from scratch.
    """

    examples: Mapping[str, Sequence[FeedbackExample]]
    lineage: Lineage
    parent: Bundle | None


def train(
    settings: TrainSettings,
    resume: bool = False,
    restart: bool = False,
    echo: Echo = print,
    feedback: FeedbackData | None = None,
) -> RunResult:
    """Train, evaluate, save and verify.

    :param resume: continue from the last checkpoint of an unfinished run.
    :param restart: discard an unfinished run.
    :param feedback: feedback to train on as well.
    :raises PatclassError: if data, base or settings cannot be used, or training fails.
    """
    check_writable(settings.output.output)
    check_replaceable(settings.output.output, LAYOUT.manifest)
    start = start_bundle(settings.base.base)
    if start is None:
        base = resolve_base(settings.base.base, settings.base.revision)
    else:
        base = find_base(start.folder, start.description)
        settings = start_settings(start, settings)
    settings, parts = choose(settings, base, start)
    with joined(parts.compute.device) as processes:
        return _train(
            settings,
            resume,
            restart,
            echo if processes.first else _quiet,
            feedback,
            start,
            parts,
            processes,
        )


def _quiet(line: str) -> None:
    """What another process says already."""


def _train(
    settings: TrainSettings,
    resume: bool,
    restart: bool,
    echo: Echo,
    feedback: FeedbackData | None,
    start: Bundle | None,
    parts: Parts,
    processes: Processes,
) -> RunResult:
    output = settings.output.output
    parent = None if feedback is None else feedback.parent
    echo(f"device: {parts.compute}")
    if processes.count > 1:
        echo(f"processes: {processes.count}, each computes a share of every batch")
    if settings.fit.mixed_precision and not parts.compute.fast_bfloat16:
        echo("mixed precision: not here, as bfloat16 is no faster than float32")
    descriptions = descriptions_of(settings, start)
    corpus = _load(settings, start, descriptions, feedback)
    _describe(corpus, parts.base, echo)
    if start is not None and not corpus["test"]:
        check_few(settings, resume, processes)
        return _train_few(settings, start, parts.architecture, corpus, descriptions, echo)
    folder = work_folder(output)
    if processes.first:
        _open_work_folder(folder, resume, restart)
        _start_records(folder, settings, corpus, resume, echo)
    processes.wait()
    fit = make_fit(settings, parts, corpus, folder, parent, start, processes)
    if not resume:
        announce(fit, echo)
    result = fit.run(resume)
    if not processes.first:
        return RunResult(None, None, result)
    # An interrupted candidate is resumed; it is never registered half trained.
    if result.best_epoch is None or (feedback is not None and result.interrupted):
        return RunResult(None, None, result)
    report = _finish(settings, parts, corpus, fit, result, start, feedback, echo)
    if not result.interrupted:
        _clear(folder)
    return RunResult(output, report, result)


def _finish(
    settings: TrainSettings,
    parts: Parts,
    corpus: Corpus,
    fit: Fit,
    result: FitResult,
    start: Bundle | None,
    feedback: FeedbackData | None,
    echo: Echo,
) -> Report | None:
    """Fit what stands around the model, evaluate, save; the report is None if interrupted."""
    compact = settings.answer.embed_base
    if compact:
        fit.model.round_to(COMPACT)
    parent = None if feedback is None else feedback.parent
    pipeline = _fit_components(settings, fit, corpus, parent)
    report = None if result.interrupted else _evaluate(pipeline, corpus, echo)
    trained = TrainedModel(
        pipeline,
        fit.model,
        describe(
            settings if start is None else bare_settings(settings, parts),
            parts,
            corpus,
            result.interrupted,
        ),
        report,
        fit.folder / "curve.jsonl",
        parts.base.folder if compact else None,
        None if feedback is None else feedback.lineage,
    )
    save_trained(
        settings.output.output, trained, lambda path: _verify(path, fit, parts.compute.device)
    )
    return report


def _load(
    settings: TrainSettings,
    start: Bundle | None,
    descriptions: Mapping[str, str],
    feedback: FeedbackData | None,
) -> Corpus:
    """The data; undivided if it is few rows to be learnt from a bundle."""
    views = settings.fit.field_dropout > 0
    if start is None or feedback is not None:
        examples = {} if feedback is None else feedback.examples
        return load_corpus(settings.data, feedback=examples, views=views)
    if settings.data.data == NO_DATA and descriptions:
        view = start.description.text.view
        return Categories.of([], descriptions, None, view).corpus
    return load_corpus(
        settings.data, declared=[*descriptions], whole_rows=settings.few.few_rows, views=views
    )


def _train_few(
    settings: TrainSettings,
    start: Bundle,
    architecture: Architecture,
    corpus: Corpus,
    descriptions: Mapping[str, str],
    echo: Echo,
) -> RunResult:
    """Learn from few rows in the way that cross-validation chooses."""
    _echo_rejects(corpus, echo)
    if unused := unused_few(settings, architecture.learning_rate):
        echo(f"note: {', '.join(unused)}: not used where few examples are learnt")
    few = FewShot(Categories.of_corpus(corpus, descriptions), start, settings)
    found = few.compare(METHODS if settings.few.method == "auto" else (settings.few.method,))
    echo("\n" + found.text() + "\n")
    report = few.save(
        settings.output.output,
        found,
        lambda path: verify_in_fresh_process(path, few.parts.compute.device),
    )
    if report is not None:
        echo(report.text() + "\n")
    return RunResult(settings.output.output, report, FitResult(None, False, False), found)


def _describe(corpus: Corpus, base: BaseFiles, echo: Echo) -> None:
    rows = ", ".join(f"{len(corpus[split]):,} {split}" for split in SPLITS)
    echo(f"base: {base.name}{f' @ {base.revision[:12]}' if base.revision else ''}")
    echo(f"data: {corpus.source}, text from {corpus.view}, {rows}")
    for level in corpus.tree.levels:
        codes = corpus.tree.at(level).codes
        shown = [code if len(code) <= 40 else f"{code[:40]}…" for code in codes[:20]]
        names = " ".join(shown) + (" …" if len(codes) > 20 else "")
        echo(f"{level}: {len(codes)} ({names})")
    for note in corpus.notes:
        echo(f"note: {note}")
    for split in ("validation", "test"):
        if leaked := corpus.leaked(split):
            echo(f"warning: {leaked} {split} texts also stand in train")


def _open_work_folder(folder: Path, resume: bool, restart: bool) -> None:
    check_own(folder, SETTINGS)
    unfinished = latest_checkpoint(folder) if folder.exists() else None
    if unfinished and not resume and not restart:
        raise TrainingError(
            f"{folder} holds an unfinished run ({unfinished.name}). Continue with resume, or "
            "discard it with restart.",
            setting=("resume", "restart"),
        )
    try:
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot_write(folder, problem) from problem


def _start_records(
    folder: Path, settings: TrainSettings, corpus: Corpus, resume: bool, echo: Echo
) -> None:
    try:
        if not resume:
            write_json(folder / SETTINGS, settings.model_dump(mode="json"))
        write_rejects(corpus.rejects, folder / "rejects.jsonl")
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    _echo_rejects(corpus, echo)
    if corpus.rejects:
        echo(f"rejected rows are listed in {folder / 'rejects.jsonl'}")


def _echo_rejects(corpus: Corpus, echo: Echo) -> None:
    for reason, count in corpus.reject_counts.items():
        echo(f"rejected: {count:,} rows ({reason})")


def _fit_components(
    settings: TrainSettings, fit: Fit, corpus: Corpus, parent: Bundle | None
) -> Pipeline:
    # The linear model is fitted again; choosing its weights again would change many predictions.
    alike = parent is not None and parent.tree.levels == corpus.tree.levels
    mixing_weights = parent.calibration.mixing_weights if parent and alike else None
    return fit_components(
        Fitting(
            corpus=corpus,
            engine=TorchEngine(fast_merged(fit.model), fit.tokenizer),
            tokenizer=fit.tokenizer,
            settings=settings.answer,
            seed=settings.data.seed,
            mixing_weights=mixing_weights,
        )
    )


def _evaluate(pipeline: Pipeline, corpus: Corpus, echo: Echo) -> Report:
    echo(f"evaluating {len(corpus['test']):,} test rows, model and baselines")
    scored = score_rows(pipeline, corpus["test"], "scoring test")
    sets = label_sets(scored, pipeline.components.get(ConformalSets) or ConformalSets({}))
    report = measure(scored, corpus, "test", corpus.tree.levels[:1], sets)
    echo("\n" + report.text() + "\n")
    return report


def _verify(folder: Path, fit: Fit, device: str) -> None:
    fit.model.to("cpu")  # two models may be more than the device holds
    if device == "cuda":
        torch.cuda.empty_cache()
    verify_in_fresh_process(folder, device)


def _clear(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    remove_checkpoints(folder)
    remove_cache(folder)
    (folder / BEST).unlink(missing_ok=True)
