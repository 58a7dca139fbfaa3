"""Fitting the components around a trained model. Knows a corpus and an engine, no files."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from patclass.core.settings import AnswerSettings
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Corpus, Example, split_off
from patclass.engines.base import Engine
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.calibration import Calibration, fit_calibration
from patclass.predictor.components import COMPONENTS, Component, Components
from patclass.predictor.pipeline import Pipeline, PipelineOutputs, run_with_progress
from patclass.predictor.scored import LabelledPredictions, predictions_at

# With fewer validation rows than this, a half would be too small to calibrate on: the same rows
# then both calibrate and are held out, which makes label sets a little too small.
ROWS_TO_HALVE = 200


@dataclass(frozen=True)
class Fitting:
    """What components are fitted on, and those that are fitted already.

    :param engine: computes the trained model.
    :param mixing_weights: for each level the weight of the linear model's scores relative to the
        logits; None to choose them on validation.
    :param out_of_fold: where the validation rows are those of train: logits, and scores of the
        linear model if there is one, by models that had not seen them (cross-validation).
    """

    corpus: Corpus
    engine: Engine
    tokenizer: TextTokenizer
    settings: AnswerSettings
    seed: int
    mixing_weights: Sequence[float] | None = None
    fitted: list[Component] = field(default_factory=list)
    out_of_fold: tuple[FloatArray, FloatArray | None] | None = None

    @property
    def tree(self) -> LabelTree:
        """The labels."""
        return self.corpus.tree

    @property
    def pipeline(self) -> Pipeline:
        """What predicts with the components fitted so far."""
        components = Components(self.fitted)
        return Pipeline(
            self.tree, self.engine, self.tokenizer, self.settings.truncation, components
        )

    @property
    def encoder(self) -> Pipeline:
        """The pipeline without components, where only embeddings are wanted."""
        return replace(self.pipeline, components=Components())

    @cached_property
    def validation(self) -> PipelineOutputs:
        """Outputs for the validation rows, from the first component on that asks for them."""
        texts = [row.text for row in self.corpus["validation"]]
        outputs = run_with_progress(self.pipeline, texts, "scoring validation")
        if self.out_of_fold is None:
            return outputs
        logits, linear_scores = self.out_of_fold
        return replace(outputs, logits=logits, linear_scores=linear_scores)

    def calibrate(self, rows: Positions) -> Calibration:
        """Temperatures, smoothing and mixing weights fitted on some of the validation rows."""
        outputs, examples = self.validation, self.corpus["validation"]
        linear = outputs.linear_scores
        if self.out_of_fold is not None:
            labels = np.array([examples[row].leaves[0] for row in rows])
            return calibrate_few(
                self.tree, outputs.logits[rows], labels, None if linear is None else linear[rows]
            )
        return fit_calibration(
            self.tree,
            outputs.logits[rows, : len(self.tree.paths)],
            [possible_leaves(self.tree, examples[row]) for row in rows],
            None if linear is None else linear[rows],
            self.mixing_weights,
        )

    @cached_property
    def held_out(self) -> dict[str, LabelledPredictions]:
        """Calibrated outputs to the validation rows, by level where any label is known."""
        rows, leaves = self.corpus["validation"], self.held_out_leaves
        predictions = {
            level: predictions_at(rows, leaves, self.tree, level) for level in self.tree.levels
        }
        return {level: found for level, found in predictions.items() if found is not None}

    @cached_property
    def held_out_leaves(self) -> FloatArray:
        """Calibrated leaf probabilities of the validation rows, shape (rows, leaves).

        Each half of the rows is calibrated on the other half (cross-fitting), so that the
        confidence of a row never depends on its own label.
        """
        outputs, rows = self.validation, self.corpus["validation"]
        halves = [np.array(half, dtype=np.intp) for half in _halves(rows, self.seed)]
        leaves = np.empty((len(rows), len(self.tree.paths)), dtype=np.float32)
        for half, other in (halves, halves[::-1]):
            leaves[half] = self.calibrate(other).apply(
                self.tree,
                outputs.logits[half, : len(self.tree.paths)],
                None if outputs.linear_scores is None else outputs.linear_scores[half],
            )
        return leaves


def calibrate_few(
    tree: LabelTree,
    logits: FloatArray,
    labels: Positions,
    linear_scores: FloatArray | None = None,
) -> Calibration:
    """Calibrate on few rows, as if one more prediction had been wrong than were.

    Where few are all right, the most likely confidence would be one. Adding a mistake is Laplace's
    rule of succession; it is made where the confidence is usual, for the second best label.

    :param logits: of shape (rows, leaves), by models that had not seen the rows.
    :param labels: the leaf of each row.
    """
    order = np.argsort(logits.max(axis=1) - np.log(np.exp(logits).sum(axis=1)))
    usual = order[len(order) // 2]
    rows = np.append(np.arange(len(logits)), usual)
    leaves = np.append(labels, np.argsort(logits[usual])[-2])
    linear = None if linear_scores is None else linear_scores[rows]
    return fit_calibration(tree, logits[rows], [(leaf,) for leaf in leaves.tolist()], linear)


def fit_components(fitting: Fitting) -> Pipeline:
    """Fit every component on the list, in its order."""
    for kind in COMPONENTS:
        component = kind.fit(fitting)
        if component is not None:
            fitting.fitted.append(component)
    return fitting.pipeline


def _halves(rows: Sequence[Example], seed: int) -> tuple[Sequence[int], Sequence[int]]:
    if len(rows) < ROWS_TO_HALVE:
        return range(len(rows)), range(len(rows))
    return split_off([row.stratum for row in rows], [row.group for row in rows], 0.5, seed)


def possible_leaves(tree: LabelTree, row: Example) -> tuple[int, ...]:
    """The leaves of which one is true; of a code that the tree lacks, all below its parent."""
    return tree.leaves_below(known_codes(tree, row)) if UNKNOWN_LABEL in row.y_true else row.leaves


def known_codes(tree: LabelTree, row: Example) -> tuple[str, ...]:
    """The codes of a row that the tree knows, coarsest first."""
    levels = zip(tree.levels, row.y_true, strict=True)
    return tuple(tree.at(level)[t].code for level, t in levels if t is not None and t >= 0)
