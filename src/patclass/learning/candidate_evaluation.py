"""Evaluation of a candidate against the champion on the same rows. Knows bundles and data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.bundle import Bundle
from patclass.core.errors import BundleError
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import Corpus, known_at
from patclass.learning.gate import Decision, LevelPredictions, PairedPredictions, decide
from patclass.learning.training_data import GATE, CorpusTexts, FeedbackParts, split_feedback
from patclass.monitoring.accuracy import code_at
from patclass.predictor.pipeline import run_with_progress
from patclass.store.database import Database

# One model's predictions at each level, and the labels of each level, coarsest first.
PredictionsByLevel = Mapping[str, LevelPredictions]
LabelsByLevel = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ModelPair:
    """The champion and a candidate that may replace it."""

    champion: Bundle
    candidate: Bundle

    @property
    def names(self) -> tuple[str, str]:
        """Their versions."""
        return self.champion.fingerprint, self.candidate.fingerprint


def evaluate_candidate(pair: ModelPair, data: DataSettings, database: Database) -> Decision:
    """Compare both models on the test rows of the data and on the gate's part of the feedback.

    :raises PatclassError: if data, store or a bundle cannot be used, or the models have no level
        in common.
    """
    corpus = load_corpus(data)
    feedback = split_feedback(database, CorpusTexts.of(corpus), weight=1.0)
    levels = _shared_levels(pair, corpus)
    test_texts = [row.text for row in corpus["test"]]
    texts = test_texts + [example.text for example in feedback.examples[GATE]]
    champion = _predict(pair.champion, texts, levels, "champion")
    candidate = _predict(pair.candidate, texts, levels, "candidate")

    test, gate = range(len(test_texts)), range(len(test_texts), len(texts))
    held_out = {}
    for level in levels:
        rows = _test_rows(corpus, level, champion[level].take(test), candidate[level].take(test))
        if rows.y_true:
            held_out[level] = rows

    labels = {level: _labels_of(pair, level) for level in levels}
    coarsest = {levels[0]: labels[levels[0]]}
    gate_champion = {level: champion[level].take(gate) for level in levels}
    gate_candidate = {level: candidate[level].take(gate) for level in levels}
    return decide(
        pair.names,
        held_out,
        coarsest_feedback=_feedback_rows(feedback, coarsest, gate_champion, gate_candidate),
        finest_feedback=_feedback_rows(feedback, labels, gate_champion, gate_candidate),
    )


def _shared_levels(pair: ModelPair, corpus: Corpus) -> list[str]:
    """The levels of the data at which both models predict, coarsest first."""
    bundles = (pair.champion, pair.candidate)
    shared = [level for level in corpus.tree.levels if all(level in b.tree.levels for b in bundles)]
    if not shared:
        levels = " and ".join(
            f"{b.fingerprint} predicts {', '.join(b.tree.levels)}" for b in bundles
        )
        raise BundleError(
            f"{levels}; the data has {', '.join(corpus.tree.levels)}: there is no level at which "
            "the models can be compared. Use data that has one."
        )
    return shared


def _labels_of(pair: ModelPair, level: str) -> frozenset[str]:
    """The labels of a level that at least one of the models has."""
    return frozenset().union(*(b.tree.at(level).codes for b in (pair.champion, pair.candidate)))


def _predict(
    bundle: Bundle, texts: Sequence[str], levels: Sequence[str], role: str
) -> dict[str, LevelPredictions]:
    """A model's predictions for all texts, by level."""
    leaves = run_with_progress(bundle.load_pipeline(), texts, f"scoring {role}").leaves
    predictions = {}
    for level in levels:
        probabilities = bundle.tree.sums(leaves, level)
        codes = bundle.tree.at(level).codes
        labels = [codes[int(position)] for position in probabilities.argmax(axis=1)]
        predictions[level] = LevelPredictions(labels, probabilities.max(axis=1))
    return predictions


def _test_rows(
    corpus: Corpus, level: str, champion: LevelPredictions, candidate: LevelPredictions
) -> PairedPredictions:
    """The test rows whose label at a level is known."""
    depth, labels = corpus.tree.levels.index(level), corpus.tree.at(level)
    known, y_true = known_at(corpus["test"], depth)
    positions = known[y_true >= 0].tolist()  # the others' labels are not in the tree
    codes = [labels[label].code for label in y_true[y_true >= 0]]
    return PairedPredictions(codes, champion.take(positions), candidate.take(positions))


def _feedback_rows(
    feedback: FeedbackParts,
    labels: LabelsByLevel,
    champion: PredictionsByLevel,
    candidate: PredictionsByLevel,
) -> PairedPredictions:
    """The gate's examples of feedback, each at the finest of some levels that it reaches.

    :param labels: of each of these levels, coarsest first.
    """
    y_true: list[str] = []
    sampled: list[bool] = []
    rows: list[tuple[int, str]] = []
    for position, example in enumerate(feedback.examples[GATE]):
        finest = _finest_label(example.code, labels)
        if finest is None:
            continue
        level, label = finest
        y_true.append(label)
        sampled.append(example.id in feedback.sampled)
        rows.append((position, level))
    return PairedPredictions(
        y_true, _take_at_levels(champion, rows), _take_at_levels(candidate, rows), sampled
    )


def _finest_label(code: str, labels: LabelsByLevel) -> tuple[str, str] | None:
    """The finest level that a code reaches, and its label there; None if it reaches none."""
    finest = None
    for level, labels_of_level in labels.items():
        label = code_at(level, code, labels_of_level)
        if label is not None:
            finest = (level, label)
    return finest


def _take_at_levels(
    predictions: PredictionsByLevel, rows: Sequence[tuple[int, str]]
) -> LevelPredictions:
    """The predictions of some rows, given as position and level."""
    confidences = [predictions[level].confidences[position] for position, level in rows]
    return LevelPredictions(
        [predictions[level].labels[position] for position, level in rows],
        np.array(confidences, dtype=np.float32),
    )
