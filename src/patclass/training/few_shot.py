"""Categories from few examples: the way to learn them chosen by cross-validation, and a bundle.

Knows texts with labels and the bundle that they start from; not where either comes from. Every way
gives an ordinary bundle: the base of the bundle that it starts from, an adapter and a linear head.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT
from patclass.core.errors import DataError
from patclass.core.files import check_replaceable, check_writable
from patclass.core.settings import DataSettings, FitSettings, TrainSettings
from patclass.core.types import FloatArray, Positions, softmax
from patclass.data.examples import Example
from patclass.engines.torch import TorchEngine
from patclass.evaluation.cross_validation import (
    REPEATS,
    FewShotReport,
    OutOfFold,
    Splits,
    compare_methods,
    folds_of,
)
from patclass.evaluation.metrics import evaluate
from patclass.evaluation.report import CROSS_VALIDATION, Report, level_report
from patclass.model.network import PatentClassifier, fast_merged
from patclass.predictor.calibration import NEVER, Calibration
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.drift_reference import DriftReference
from patclass.predictor.fitting import Fitting, fit_components
from patclass.predictor.head_fit import Head
from patclass.predictor.linear import LinearModel
from patclass.predictor.pipeline import Pipeline
from patclass.predictor.scored import predictions_at
from patclass.training.categories import Categories, Examples
from patclass.training.few_shot_encoder import COMBINED, EMBEDDINGS, FROZEN, FewShotEncoder
from patclass.training.loop import Fit, Task
from patclass.training.save import COMPACT, TrainedModel, describe, save_trained
from patclass.training.start import (
    SHARES,
    bare_settings,
    check_start,
    start_parts,
    start_settings,
)

LORA = "lora"
METHODS = (*FROZEN, LORA)

# Of an encoder that is tuned on few examples: it begins with a head that fits them, so that small
# steps are enough (linear probing, then fine-tuning; Kumar et al. 2022, arXiv:2202.10054).
TUNING = FitSettings(epochs=6, batch_tokens=1024, checkpoint_steps=1_000_000)
TUNING_FACTOR = 0.2

# Share of the work of a cross-validation that encoding the texts is.
ENCODING_SHARE = 0.6

OnShare = Callable[[float], object]


def cross_validate(
    examples: Examples,
    bundle: Bundle,
    descriptions: Mapping[str, str] | None = None,
    groups: Sequence[str] | None = None,
    on_progress: OnShare = lambda share: None,
    methods: Sequence[str] = FROZEN,
) -> FewShotReport:
    """Compare ways to learn categories by repeated cross-validation, and choose one.

    :param examples: texts with their labels; the label ``none`` is for negative examples.
    :param bundle: its encoder is used; not an exported one.
    :param descriptions: a text for each label that has one; also labels without any example.
    :param groups: by what rows stay on one side, such as families; by default the text.
    :param on_progress: called with the share of the work that is done, 0 to 1.
    :param methods: those to compare.
    :raises DataError: if nothing can be learnt from the examples, saying why.
    :raises ModelError: if the bundle is an exported one.
    """
    task = Categories.of(examples, descriptions or {}, groups, _view(bundle))
    return FewShot(task, bundle, _settings(bundle), on_progress).compare(methods)


def fit_few_shot(
    examples: Examples,
    report: FewShotReport,
    bundle: Bundle,
    output: Path,
    descriptions: Mapping[str, str] | None = None,
    on_progress: OnShare = lambda share: None,
) -> Path:
    """Learn from all examples in the way that ``cross_validate`` chose for them; write a bundle.

    :param report: of the same examples in the same order.
    :return: the folder ``output``, whose bundle was read back and answers as it did.
    :raises DataError: if the report is of other examples.
    :raises OutputError: if it cannot be written.
    """
    task = Categories.of(examples, descriptions or {}, None, _view(bundle))
    few = FewShot(task, bundle, _settings(bundle), on_progress)
    few.save(output, report, lambda folder: read_bundle(folder).verify("cpu"))
    return output


def _view(bundle: Bundle) -> str:
    return bundle.description.text.view


def _settings(bundle: Bundle) -> TrainSettings:
    return start_settings(bundle, TrainSettings(data=DataSettings(data="examples")))


class FewShot:
    """A task with the encoder of a bundle: compares methods, learns from all, writes a bundle."""

    def __init__(
        self,
        task: Categories,
        bundle: Bundle,
        settings: TrainSettings,
        on_progress: OnShare = lambda share: None,
    ) -> None:
        """Find the encoder.

        :param settings: as ``start_settings`` gives them.
        :raises ModelError: if the bundle is an exported one.
        """
        check_start(bundle)
        self.task, self.bundle, self.settings = task, bundle, settings
        self.on_progress = on_progress
        self.parts = start_parts(bundle, settings.base.device)
        self.tree = task.corpus.tree
        encoded = [0]

        def count(more: int) -> None:
            encoded[0] += more
            on_progress(ENCODING_SHARE * encoded[0] / (len(SHARES) * len(task.rows)))

        self._encoders = {
            share: FewShotEncoder(task, bundle, self.parts, settings, share, count)
            for share in SHARES
        }
        self.encoder = self._encoders[SHARES[0]]

    def compare(self, methods: Sequence[str]) -> FewShotReport:
        """Cross-validate methods and choose one.

        :raises DataError: if none of them can learn all labels.
        """
        task = self.task
        if 0 in task.counts:
            # Without its name, a label without examples would never be an answer.
            methods = [method for method in methods if method != EMBEDDINGS]
        if not methods:
            raise DataError(
                f"method {EMBEDDINGS}: the label '{task.codes[task.counts.index(0)]}' has no "
                f"example; give it some, or use {COMBINED}."
            )
        groups = [row.group for row in task.rows]
        repeated = [folds_of(task.labels, groups, seed) for seed in range(REPEATS)]
        if not all(repeated) or len(set(task.labels)) < 2:
            return FewShotReport(
                method=COMBINED if COMBINED in methods else methods[0],
                labels=tuple(task.codes),
                examples=task.counts,
                notes=task.notes,
                adapter_share=self.encoder.share,
            )
        words = self._words(repeated)
        self.encoder, known = self._best_encoder(methods, groups, repeated, words)
        logits = {
            method: known[method] if method in known else self._out_of_fold(method, repeated)
            for method in methods
        }
        found = OutOfFold(self.tree, task.labels, groups, repeated, logits, words)
        self.on_progress(1.0)
        return compare_methods(found, task.counts, task.notes, self.encoder.share)

    def _best_encoder(
        self,
        methods: Sequence[str],
        groups: Sequence[str],
        repeated: Splits,
        words: FloatArray | None,
    ) -> tuple[FewShotEncoder, dict[str, FloatArray]]:
        """That with the least cross-validated loss by the first method that tunes none.

        The logits out of fold by which it was found come with it.

        Categories near those of the bundle are told apart best by what it has learnt, others
        by an encoder nearer to its base.
        """
        method = next((each for each in methods if each in FROZEN), COMBINED)
        found = {}
        for share, encoder in self._encoders.items():
            self.encoder = encoder
            logits = {method: self._out_of_fold(method, repeated)}
            found[share] = OutOfFold(self.tree, self.task.labels, groups, repeated, logits, words)
        best = min(found, key=lambda share: found[share].loss(method))
        return self._encoders[best], dict(found[best].logits)

    def _out_of_fold(self, method: str, repeated: Splits) -> FloatArray:
        """Logits by models that had not seen the rows, shape (repetitions, rows, labels).

        Tuning the encoder takes minutes, so it is not repeated.
        """
        repeated = repeated[:1] if method == LORA else repeated
        found = np.zeros((len(repeated), len(self.task.rows), len(self.task.names)), np.float32)
        for repetition, folds in enumerate(repeated):
            for train, test in folds:
                if method == LORA:
                    texts = [self.task.rows[i].text for i in test]
                    tuned = self._fitting(self._engine_of(self._tuned(train))).pipeline
                    found[repetition, test] = tuned.run(texts).logits
                else:
                    head = self.encoder.head(method, train)
                    found[repetition, test] = head.logits(self.encoder.embeddings[test])
        return found

    def _words(self, repeated: Splits) -> FloatArray | None:
        """Log-probabilities of the linear model on words, in the shape of the logits.

        None if a label has too few examples: to such a model it does not exist.
        """
        rows = self.task.rows
        found = np.zeros((len(repeated), len(rows), len(self.task.names)), np.float32)
        for repetition, folds in enumerate(repeated):
            for train, test in folds:
                fitting = self._fitting(self.encoder.engine, [rows[i] for i in train])
                linear = LinearModel.fit(fitting) if min(self.task.counts) > 1 else None
                if linear is None:
                    return None
                scores = linear.scores([rows[i].text for i in test])
                found[repetition, test] = np.log(softmax(scores))
        return found

    def _tuned(self, rows: Positions) -> PatentClassifier:
        """Encoder and head after training on some of the rows."""
        torch.manual_seed(0)
        model = self._with_head(self.encoder.head(COMBINED, rows))
        examples = [self.task.rows[i] for i in rows]
        rate = self.parts.architecture.learning_rate * TUNING_FACTOR
        with TemporaryDirectory() as folder:
            # There is no other row to choose an epoch by: of these, it is nearly always the last.
            task = Task(examples, examples, self.tree, rate, 0, "few")
            if Fit(model, self.encoder.tokenizer, task, TUNING, Path(folder)).run().interrupted:
                raise KeyboardInterrupt  # a part of the training is no model to compare or keep
        return model

    def _with_head(self, head: Head) -> PatentClassifier:
        model = self.encoder.model()
        with torch.no_grad():
            model.head.weight.copy_(torch.from_numpy(head.weight))
            model.head.bias.copy_(torch.from_numpy(head.bias))
        return model

    def _engine_of(self, model: PatentClassifier) -> TorchEngine:
        return TorchEngine(fast_merged(model), self.encoder.tokenizer)

    def _fitting(
        self,
        engine: TorchEngine,
        rows: Sequence[Example] | None = None,
        out_of_fold: tuple[FloatArray, FloatArray | None] | None = None,
    ) -> Fitting:
        """Components on rows that are both trained on and, out of fold, held out."""
        every = list(self.task.rows if rows is None else rows)
        splits = {"train": every, "validation": every, "test": []}
        corpus = replace(self.task.corpus, splits=splits)
        settings = self.settings.answer
        return Fitting(corpus, engine, self.encoder.tokenizer, settings, 0, out_of_fold=out_of_fold)

    def save(
        self, output: Path, report: FewShotReport, check: Callable[[Path], object]
    ) -> Report | None:
        """Learn from all rows in the chosen way, and write the bundle.

        :param check: called with the finished folder before it takes its place.
        :return: the bundle's report; None if nothing could be cross-validated.
        :raises DataError: if the report is of other examples.
        """
        check_writable(output)
        check_replaceable(output, LAYOUT.manifest)
        if (report.labels, report.examples) != (tuple(self.task.codes), self.task.counts):
            raise DataError("the report is of other examples; cross-validate these.")
        if report.adapter_share not in self._encoders:
            raise DataError(f"the report has the adapter share {report.adapter_share:g}.")
        self.encoder = self._encoders[report.adapter_share]
        every = np.arange(len(self.task.rows))
        model = (
            self._tuned(every)
            if report.method == LORA
            else self._with_head(self.encoder.head(report.method, every))
        )
        embedded = self.bundle.description.base.embedded
        if embedded:
            model.round_to(COMPACT)
        pipeline, measured = self._components(self._engine_of(model), report)
        description = describe(
            bare_settings(self.settings, self.parts), self.parts, self.task.corpus, False
        )
        base = self.parts.base.folder if embedded else None
        trained = TrainedModel(pipeline, model, description, measured, None, base, few_shot=report)
        save_trained(output, trained, check)
        return measured

    def _components(
        self, engine: TorchEngine, report: FewShotReport
    ) -> tuple[Pipeline, Report | None]:
        """The components, and the report on the same predictions by which they are calibrated."""
        if not report.logits:
            return self._unmeasured(engine), None
        words = report.word_log_probs
        out_of_fold = (
            np.array(report.logits, dtype=np.float32),
            None if words is None else np.array(words, dtype=np.float32),
        )
        fitting = self._fitting(engine, out_of_fold=out_of_fold)
        if words is None:
            fitting = replace(
                fitting, settings=fitting.settings.model_copy(update={"linear": False})
            )
        return fit_components(fitting), self._report(fitting, report)

    def _unmeasured(self, engine: TorchEngine) -> Pipeline:
        """Components that promise nothing, as nothing is known: no prediction is sure.

        Without any example, what is usual is taken from the names.
        """
        tree = self.tree
        rows = self.task.rows or [
            Example(code, name, (place,), (place,))
            for place, (code, name) in enumerate(zip(self.task.codes, self.task.names, strict=True))
        ]
        fitting = self._fitting(engine, rows)
        fitting.fitted.append(replace(Calibration.none(tree), thresholds={tree.finest: NEVER}))
        fitting.fitted.append(ConformalSets({}))
        fitting.fitted.append(DriftReference.fit(fitting))
        return fitting.pipeline

    def _report(self, fitting: Fitting, report: FewShotReport) -> Report:
        """The bundle's report: the predictions out of fold instead of a test split of few rows."""
        level, rows = self.tree.finest, self.task.rows
        held_out = fitting.held_out[level]
        raw = predictions_at(rows, softmax(np.array(report.logits, np.float32)), self.tree, level)
        assert raw is not None  # every example has a label
        words = report.word_log_probs
        baselines = {}
        if words is not None:
            probabilities = np.exp(np.array(words, dtype=np.float32))
            baselines["tfidf"] = evaluate(self.task.labels, probabilities, held_out.codes)
        found = level_report(raw, held_out, baselines)
        chosen = {
            "accuracy_interval": report.figures[0].accuracy_interval,
            "macro_f1_interval": report.figures[0].macro_f1_interval,
        }
        found = found.model_copy(update=chosen)
        return Report(
            split=CROSS_VALIDATION,
            train_rows=len(rows),
            leaked_rows=0,
            level=level,
            levels={level: found},
        )
