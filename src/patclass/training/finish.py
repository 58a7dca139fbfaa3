"""What follows the training: the second opinion, calibration, label sets, the index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from patclass.core.settings import AnswerSettings
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Corpus, Example
from patclass.data.splits import split_off, stratified
from patclass.engines.torch import TorchEngine
from patclass.model.classifier import PatentClassifier, merged
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.calibration import Calibration, fit_calibration, threshold_for
from patclass.predictor.conformal import Conformal, fit_conformal
from patclass.predictor.linear import LinearModel
from patclass.predictor.linear_fit import fit_linear
from patclass.predictor.neighbours import Index, Record, build_index
from patclass.predictor.pipeline import Answers, Pipeline, with_bar
from patclass.predictor.reference import Reference, collect_reference, vocabulary_of
from patclass.predictor.scored import LevelAnswers, answers_at

# With fewer validation rows than this, a half would be too small to calibrate on: the same
# rows then calibrate and are judged by it, which makes the label sets a little too small.
ROWS_TO_HALVE = 200


@dataclass(frozen=True)
class Finished:
    """A model that is ready to answer.

    :param thresholds: for each level the confidence from which on it answers by itself.
    """

    pipeline: Pipeline
    thresholds: dict[str, float]
    conformal: dict[str, Conformal]
    index: Index | None
    reference: Reference


def finish(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    corpus: Corpus,
    settings: AnswerSettings,
    seed: int,
    mixing_weight: float | None = None,
) -> Finished:
    """Fit on train what still needs fitting, and choose the rest on validation.

    :param balance: how much the second opinion counts; None to choose that as well.
    """
    tree, rows = corpus.tree, corpus["validation"]
    linear = _linear(corpus) if settings.linear else None
    pipeline = Pipeline(
        *(tree, TorchEngine(merged(model), tokenizer), tokenizer),
        *(settings.truncation, linear, Calibration.none(tree)),
    )
    answers = with_bar(pipeline, [row.text for row in rows], "scoring validation")
    calibrate = partial(_calibration, tree, rows, mixing_weight)
    everything = np.arange(len(rows))
    pipeline = replace(pipeline, calibration=calibrate(answers, everything))
    levels = _levels(tree, rows, _judged(tree, rows, answers, seed, calibrate))
    conformal = {
        level: fit_conformal(found.probabilities, found.truth.tolist())
        for level, found in levels.items()
    }
    thresholds = {
        level: threshold_for(found.confidences, found.correct) for level, found in levels.items()
    }
    index = _index(pipeline, corpus, answers, settings, seed) if settings.index_rows else None
    learnt = tokenizer.encode([row.text for row in corpus["train"]])
    # As live answers will be calibrated: what is compared must be made in the same way.
    leaves = pipeline.calibration.apply(
        tree, answers.logits[:, : len(tree.paths)], answers.linear_log_probs
    )
    reference = collect_reference(
        *(tree, rows, answers.encodings, answers.embeddings, leaves, vocabulary_of(learnt))
    )
    return Finished(pipeline, thresholds, conformal, index, reference)


def _linear(corpus: Corpus) -> LinearModel | None:
    train = [row for row in corpus["train"] if row.stratum >= 0]
    validation = [row for row in corpus["validation"] if row.stratum >= 0]
    return fit_linear(
        [row.text for row in train],
        [row.stratum for row in train],
        len(corpus.tree.at(corpus.tree.levels[0])),
        [row.text for row in validation],
        [row.stratum for row in validation],
        [row.weight for row in train],
    )


def _calibration(
    tree: LabelTree,
    rows: Sequence[Example],
    mixing_weight: float | None,
    answers: Answers,
    chosen: Positions,
) -> Calibration:
    """What the ``chosen`` of the rows say about how sharp the answers should be."""
    return fit_calibration(
        tree,
        answers.logits[chosen, : len(tree.paths)],
        [_known_leaves(tree, rows[i]) for i in chosen],
        None if answers.linear_log_probs is None else answers.linear_log_probs[chosen],
        mixing_weight,
    )


def _judged(
    tree: LabelTree,
    rows: Sequence[Example],
    answers: Answers,
    seed: int,
    calibrate: Callable[[Answers, Positions], Calibration],
) -> FloatArray:
    """Leaf probabilities of rows, each half calibrated on the other (cross-fitting).

    So every row says how sure answers to rows are that did not calibrate them.
    """
    halves = [np.array(half, dtype=np.intp) for half in _halves(rows, seed)]
    leaves = np.empty((len(rows), len(tree.paths)), dtype=np.float32)
    for half, other in (halves, halves[::-1]):
        linear_log_probs = (
            None if answers.linear_log_probs is None else answers.linear_log_probs[half]
        )
        logits = answers.logits[half, : len(tree.paths)]
        leaves[half] = calibrate(answers, other).apply(tree, logits, linear_log_probs)
    return leaves


def _halves(rows: Sequence[Example], seed: int) -> tuple[Sequence[int], Sequence[int]]:
    if len(rows) < ROWS_TO_HALVE:
        return range(len(rows)), range(len(rows))
    return split_off([row.stratum for row in rows], [row.text for row in rows], 0.5, seed)


def _known_leaves(tree: LabelTree, row: Example) -> tuple[int, ...]:
    """The leaves that a row allows; of a code that the tree lacks, all below its known parent."""
    return tree.leaves_below(_codes(tree, row)) if UNKNOWN_LABEL in row.truth else row.leaves


def _levels(
    tree: LabelTree, rows: Sequence[Example], leaves: FloatArray
) -> dict[str, LevelAnswers]:
    """The answers at each level where any label is known."""
    answers = {level: answers_at(rows, leaves, tree, level) for level in tree.levels}
    return {level: found for level, found in answers.items() if found is not None}


def _index(
    pipeline: Pipeline, corpus: Corpus, held_out: Answers, settings: AnswerSettings, seed: int
) -> Index:
    rows = corpus["train"]
    if len(rows) > settings.index_rows:
        rows = [rows[i] for i in stratified([r.stratum for r in rows], settings.index_rows, seed)]
    encoder = replace(pipeline, linear=None)  # only the states are wanted
    embeddings = with_bar(encoder, [row.text for row in rows], "indexing train").embeddings
    tree = corpus.tree
    records = [
        Record(row.id, row.facts.title if settings.index_titles else None, _codes(tree, row))
        for row in rows
    ]
    return build_index(embeddings, records, held_out.embeddings)


def _codes(tree: LabelTree, row: Example) -> tuple[str, ...]:
    """The codes of a row that the tree knows, coarsest first."""
    known = zip(tree.levels, row.truth, strict=True)
    return tuple(tree.at(level)[t].code for level, t in known if t is not None and t >= 0)
