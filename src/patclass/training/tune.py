"""Choosing the settings of a run: many trials, of which the bad ones are ended early.

Knows settings and figures of validation, nothing of how a model is computed. Successive halving
(Jamieson and Talwalkar 2016, arXiv:1502.07943) compares trials after each epoch and lets the better
half go on; which settings are tried next follows from those tried before (tree-structured Parzen
estimator; Bergstra et al. 2011).
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from patclass.core.errors import PatclassError, TrainingError, cannot_write
from patclass.core.files import atomic_write, check_own, check_writable, parse_json, write_json
from patclass.core.progress import progress, silenced
from patclass.core.settings import TrainSettings
from patclass.core.types import Echo
from patclass.data.corpus import load_corpus
from patclass.data.examples import Corpus
from patclass.evaluation.charts import write_trials
from patclass.model.architecture import architecture_of
from patclass.model.base import BaseFiles, resolve_base
from patclass.training.processes import Processes
from patclass.training.setup import make_fit
from patclass.training.start import choose

JOURNAL, SETTINGS = "trials.journal", "settings.json"
BEST, TABLE, PICTURE = "best.toml", "trials.csv", "trials.png"

RANKS = (4, 8, 16, 32)
TARGETS = ("auto", "all-linear")
# From a fifth of the usual learning rate to three times as much.
RATES = (0.2, 3.0)
# Of all layers, and of the most tokens.
PARTS = (1, 2, 4)
SHORTEST = 32


@dataclass(frozen=True)
class Tried:
    """A trial: its settings, and the best score of its epochs; ``whole`` if it ran to the end."""

    number: int
    settings: Mapping[str, Any]
    score: float
    epochs: int
    minutes: float
    whole: bool

    @property
    def values(self) -> str:
        """Its settings as people read them."""
        return ", ".join(
            f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.settings.items()
        )

    @property
    def ended(self) -> str:
        """Where it was ended early, if it was."""
        return "" if self.whole else f", ended after epoch {self.epochs}"


@dataclass(frozen=True)
class Tuning:
    """The trials, best first, and the share of the differences that each setting explains.

    :param importance: empty where too few trials ran to the end.
    """

    trials: Sequence[Tried]
    importance: Mapping[str, float]
    settings: TrainSettings

    @property
    def best(self) -> Tried:
        """The trial with the highest score."""
        return self.trials[0]


def tune(
    settings: TrainSettings, minutes: float, resume: bool = False, echo: Echo = print
) -> Tuning:
    """Try settings of adapter, length and learning rate until the time is over.

    Every trial learns from the same rows and is scored on the validation rows by what ``best_by``
    names, averaged over the levels; test rows are not looked at. What was tried is kept in the
    output folder, so that a search can go on, and several processes that go on with it share it.

    :param minutes: no epoch begins after so many.
    :param resume: go on with the search in the output folder.
    :raises PatclassError: if data, base or settings cannot be used, or no trial got through an
        epoch in time.
    """
    deadline = time.monotonic() + 60 * minutes
    folder = settings.output.output
    base = resolve_base(settings.base.base, settings.base.revision)
    corpus = load_corpus(settings.data, views=settings.fit.field_dropout > 0)
    rows = ", ".join(f"{len(corpus[split]):,} {split}" for split in ("train", "validation"))
    echo(f"data: {corpus.source}, {rows}; base: {base.name}")
    _open(folder, settings, corpus, resume)
    study = _study(folder, settings)
    search = _Search(settings, base, corpus, deadline, folder)
    if not study.trials:
        study.enqueue_trial(search.usual())
    with progress(f"trials for {minutes:g} minutes", unit="trial") as bar:
        while time.monotonic() < deadline:
            with silenced():
                study.optimize(
                    search.objective,
                    n_trials=1,
                    catch=(PatclassError,),
                    callbacks=[lambda study, trial: _tell(trial, echo)],
                )
            bar.update()
    return _finish(study, settings, folder, minutes)


def _open(folder: Path, settings: TrainSettings, corpus: Corpus, resume: bool) -> None:
    """Begin a search or go on with one of the same settings and rows."""
    check_writable(folder)
    check_own(folder, SETTINGS)
    mine = settings.model_dump(mode="json", exclude={"output"}) | {"rows": corpus.fingerprint()}
    place = folder / SETTINGS
    try:
        there = parse_json(place.read_bytes()) if place.is_file() else None
        if there is not None and not resume:
            raise TrainingError(
                f"{folder} holds a search; go on with resume, or choose another output.",
                setting=("resume", "output"),
            )
        if resume and there != mine:
            raise TrainingError(
                f"{folder} holds no search with these settings and rows; leave resume out, or use "
                "the same ones.",
                setting="resume",
            )
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as partial:
            write_json(partial, mine)
    except (OSError, ValueError) as problem:
        raise TrainingError(f"cannot use {folder}: {problem}", setting="output") from problem


def _study(folder: Path, settings: TrainSettings) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        sampler=optuna.samplers.TPESampler(seed=settings.data.seed, multivariate=True),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        study_name="patclass",
        direction="maximize",
        load_if_exists=True,
    )


@dataclass(frozen=True)
class _Search:
    """What all trials share."""

    settings: TrainSettings
    base: BaseFiles
    corpus: Corpus
    deadline: float
    folder: Path

    def usual(self) -> dict[str, Any]:
        """The settings that were given, or the defaults: the first trial."""
        lora, space = self.settings.lora, self.space()
        given = {
            "learning_rate": self._rate(),
            "r": lora.r,
            "targets": lora.targets,
            "lora_layers": lora.lora_layers or space["lora_layers"][0],
            "max_tokens": self.settings.base.max_tokens,
        }
        return {name: value for name, value in given.items() if value in space.get(name, [value])}

    def space(self) -> dict[str, list[Any]]:
        """The values of every setting but the learning rate: parts of what the base has."""
        layers = int(str(self.base.config.get("num_hidden_layers", 1)))
        most = self.settings.base.max_tokens
        return {
            "r": [*RANKS],
            "targets": [*TARGETS],
            "lora_layers": [layers // part for part in PARTS if layers >= part],
            "max_tokens": [most // part for part in PARTS if part == 1 or most >= part * SHORTEST],
        }

    def _rate(self) -> float:
        usual = architecture_of(self.base.config, self.base.name).learning_rate
        return self.settings.fit.learning_rate or usual

    def chosen(self, trial: Trial) -> TrainSettings:
        """The settings of a trial."""
        low, high = (self._rate() * factor for factor in RATES)
        rate = trial.suggest_float("learning_rate", low, high, log=True)
        found = {
            name: trial.suggest_categorical(name, values) for name, values in self.space().items()
        }
        return with_values(self.settings, found | {"learning_rate": rate})

    def objective(self, trial: Trial) -> float:
        """Train with the settings of a trial; the best score of its epochs."""
        settings, parts = choose(self.chosen(trial), self.base, None)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".trial-") as work:
            fit = make_fit(settings, parts, self.corpus, Path(work), None, None, Processes())

            def compare(epoch: int, score: float) -> None:
                trial.report(score, epoch)
                last = epoch == settings.fit.epochs
                if not last and (time.monotonic() > self.deadline or trial.should_prune()):
                    raise optuna.TrialPruned

            fit.on_epoch = compare
            result = fit.run()
            if result.interrupted:
                raise KeyboardInterrupt
            return fit.progress.best_score


def with_values(settings: TrainSettings, values: Mapping[str, Any]) -> TrainSettings:
    """Settings with some values replaced; the scale of the adapter stays twice its rank."""
    more = dict(values)
    if "r" in more:
        more["alpha"] = 2 * more["r"]
    groups: dict[str, dict[str, Any]] = {}
    for name, value in more.items():
        groups.setdefault(settings.fields()[name][0], {})[name] = value
    return settings.model_copy(
        update={
            group: getattr(settings, group).model_copy(update=found)
            for group, found in groups.items()
        }
    )


def _tell(trial: FrozenTrial, echo: Echo) -> None:
    tried = _tried(trial)
    if tried is None:
        echo(f"trial {trial.number + 1}: could not be trained with {trial.params}")
        return
    echo(f"trial {tried.number}: {tried.score:.4f}{tried.ended}; {tried.values}")


def _tried(trial: FrozenTrial) -> Tried | None:
    """A trial that was scored at least once; None of any other."""
    if not trial.intermediate_values or trial.duration is None:
        return None
    return Tried(
        trial.number + 1,
        trial.params,
        max(trial.intermediate_values.values()),
        max(trial.intermediate_values),
        trial.duration.total_seconds() / 60,
        trial.state == TrialState.COMPLETE,
    )


def _finish(study: optuna.Study, settings: TrainSettings, folder: Path, minutes: float) -> Tuning:
    """Sort the trials, say what mattered, and write the settings of the best one."""
    tried = [found for found in map(_tried, study.trials) if found is not None]
    if not tried:
        raise TrainingError(
            f"no trial got through an epoch in {minutes:g} minutes; give more time, or fewer rows.",
            setting="train_rows",
        )
    tried.sort(key=lambda each: (each.whole, each.score), reverse=True)
    tuning = Tuning(tried, _importance(study), with_values(settings, tried[0].settings))
    try:
        with atomic_write(folder / BEST) as partial:
            partial.write_text(_toml(tuning.settings), encoding="utf-8")
        with atomic_write(folder / TABLE) as partial:
            partial.write_text(_csv(tuning), encoding="utf-8")
        with atomic_write(folder / PICTURE) as partial:
            shown = [{"score": each.score, **each.settings} for each in tuning.trials]
            write_trials(shown, tuning.importance, settings.fit.best_by, partial)
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    return tuning


def _importance(study: optuna.Study) -> dict[str, float]:
    whole = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if len({trial.value for trial in whole}) < 4:  # of fewer, nothing can be told
        return {}
    return dict(get_param_importances(study))


def _csv(tuning: Tuning) -> str:
    names = [*tuning.best.settings]
    lines = [["trial", "score", "epochs", "whole", "minutes", *names]]
    lines += [
        [
            *(str(each.number), f"{each.score:.5f}", str(each.epochs), str(each.whole).lower()),
            f"{each.minutes:.2f}",
            *(str(each.settings[name]) for name in names),
        ]
        for each in tuning.trials
    ]
    return "".join(f"{','.join(line)}\n" for line in lines)


def _toml(settings: TrainSettings) -> str:
    """All settings that differ from the defaults, as a file for ``config``."""
    usual, lines = TrainSettings.model_construct().model_dump(mode="json"), []
    for group, values in settings.model_dump(mode="json", exclude={"output"}).items():
        changed = {
            name: value
            for name, value in values.items()
            if value is not None and value != usual[group].get(name)
        }
        if changed:
            lines.append(f"[{group}]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in changed.items()]
    return "".join(f"{line}\n" for line in lines)
