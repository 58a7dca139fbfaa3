"""What a model has to beat, fitted on the same rows: the majority and TF-IDF + regression.

Of rows with several labels it is a regression for each label against all other rows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from patclass.core.progress import track
from patclass.core.types import FloatArray, Positions
from patclass.evaluation.calibration import BoolArray
from patclass.evaluation.metrics import Metrics, evaluate
from patclass.evaluation.multilabel import (
    MultilabelMetrics,
    evaluate_multilabel_levels,
    micro_f1,
    micro_f1_threshold,
)

# Inverse regularisation, chosen on validation so that the baseline is a fair one.
STRENGTHS = (1.0, 4.0, 16.0)

# Words beyond this many characters of a text are not counted: bigrams of full descriptions
# would need more memory than the model itself.
BASELINE_CHARS = 10_000

# The regression has a weight for each word and label, and each step of the fit passes over all
# of them. Above this many labels it is given half the precision, fewer steps, fewer words and
# one strength less, or it would take hours and gigabytes. The strongest regularisation goes:
# it pays off with few words only.
MANY_LABELS = 50
MANY_LABELS_STRENGTHS = (4.0, 16.0)
MANY_LABELS_WEIGHTS = 10_000_000


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with the positions of their labels; negative ones stand for labels not known."""

    texts: Sequence[str]
    labels: Sequence[int] | npt.NDArray[np.intp]


def majority(train: LabelledTexts, test: LabelledTexts, codes: Sequence[str]) -> Metrics:
    """The label frequencies of train as the answer to everything.

    :raises ValueError: if there are no rows to fit or to test on.
    """
    model = DummyClassifier(strategy="prior").fit(np.zeros((len(train.texts), 1)), train.labels)
    probabilities = model.predict_proba(np.zeros((len(test.texts), 1)))
    return _metrics(test, probabilities, model.classes_, codes)


def tfidf_regression(
    train: LabelledTexts, validation: LabelledTexts, test: LabelledTexts, codes: Sequence[str]
) -> Metrics:
    """Logistic regression on TF-IDF of words and word pairs, its strength from validation.

    Where there is nothing to go by, no word or only one label in train, it is the majority.
    """
    vectorizer = _vectorizer(len(train.texts), len(codes))
    try:
        features = vectorizer.fit_transform(_heads(train))
    except ValueError:  # not one word in all the texts
        return majority(train, test, codes)
    if len(set(train.labels)) < 2:
        return majority(train, test, codes)
    seen = vectorizer.transform(_heads(validation)) if len(validation.texts) else None
    strengths = MANY_LABELS_STRENGTHS if len(codes) > MANY_LABELS else STRENGTHS
    chosen, best = None, -1.0
    for strength in track(strengths, "fitting the TF-IDF baseline", unit="fit"):
        model = _fit(features, train.labels, strength, 100 if len(codes) > MANY_LABELS else 300)
        accuracy = 0.0 if seen is None else float(model.score(seen, validation.labels))
        if accuracy > best:
            chosen, best = model, accuracy
    assert chosen is not None
    unseen = vectorizer.transform(_heads(test))
    return _metrics(test, chosen.predict_proba(unseen), chosen.classes_, codes)


def _vectorizer(rows: int, labels: int) -> TfidfVectorizer:
    many = labels > MANY_LABELS
    return TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2 if rows > 1000 else 1,
        max_features=MANY_LABELS_WEIGHTS // labels if many else None,
        sublinear_tf=True,
        dtype=np.float32 if many else np.float64,
    )


def _heads(rows: "LabelledTexts | MultilabelTexts") -> list[str]:
    return [text[:BASELINE_CHARS] for text in rows.texts]


def _fit(
    features: object, labels: Sequence[int] | npt.NDArray[np.intp], strength: float, steps: int
) -> LogisticRegression:
    with warnings.catch_warnings():
        # A weight more or less in the fourth digit does not change what the baseline says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=steps).fit(features, labels)


def _metrics(
    test: LabelledTexts, probabilities: FloatArray, classes: Sequence[int], codes: Sequence[str]
) -> Metrics:
    """Spread over all labels: train may lack some that the label set has."""
    spread = np.zeros((len(test.texts), len(codes)), dtype=np.float32)
    spread[:, np.asarray(classes)] = probabilities
    return evaluate(np.asarray(test.labels), spread, codes)


# Each label has a regression of its own, of which only the scores are kept, so words need not be
# few. A fit takes a third of a second with 25,000 rows.
ONE_VS_REST_FEATURES = 100_000

# The strength is chosen by the most frequent labels, which decide micro F1; fitting them all once
# for each strength would take three times as long.
FREQUENT_LABELS = 40

# A label with fewer training rows is never chosen and ranks last.
LEAST_ROWS = 5


@dataclass(frozen=True)
class MultilabelTexts:
    """Texts with the labels that they carry, shape (rows, labels)."""

    texts: Sequence[str]
    y_true: BoolArray


def tfidf_one_vs_rest(
    train: MultilabelTexts,
    validation: MultilabelTexts,
    test: MultilabelTexts,
    levels: Sequence[str],
    depths: Positions,
) -> dict[str, MultilabelMetrics]:
    """A logistic regression on TF-IDF for each label against the rest; figures by level.

    Its strength, and for each level the score from which on labels are chosen, are those with the
    highest micro F1 on validation.

    :param depths: the level of each label, as its position in ``levels``, shape (labels,).
    :raises ValueError: if there is not one word in train, or no row in validation or test.
    """
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2 if len(train.texts) > 1000 else 1,
        max_features=ONE_VS_REST_FEATURES,
        sublinear_tf=True,
    )
    features = vectorizer.fit_transform(_heads(train))
    seen, unseen = (vectorizer.transform(_heads(rows)) for rows in (validation, test))
    strength = _strength(features, train.y_true, seen, validation.y_true)
    learnt = np.flatnonzero(train.y_true.sum(axis=0) >= LEAST_ROWS)
    scores = _one_vs_rest(features, train.y_true, learnt, strength, sp.vstack([seen, unseen]))
    held_out, scores = np.split(scores, [len(validation.texts)])
    chosen = np.zeros(test.y_true.shape, dtype=np.bool_)
    for depth in range(len(levels)):
        there = depths == depth
        lowest = micro_f1_threshold(validation.y_true[:, there], held_out[:, there])
        chosen[:, there] = scores[:, there] >= lowest
    return evaluate_multilabel_levels(levels, depths, test.y_true, scores, chosen)


def _strength(
    features: sp.csr_matrix, y_true: BoolArray, seen: sp.csr_matrix, y_seen: BoolArray
) -> float:
    """The strength with the highest micro F1 of the frequent labels on validation."""
    rows = y_true.sum(axis=0)
    frequent = np.argsort(-rows, kind="stable")[:FREQUENT_LABELS]
    once = np.ones((1, len(y_seen)), dtype=np.float32)
    found = {}
    for strength in STRENGTHS:
        scores = _one_vs_rest(features, y_true, frequent, strength, seen)[:, frequent]
        chosen = scores >= micro_f1_threshold(y_seen[:, frequent], scores)
        found[strength] = float(micro_f1(y_seen[:, frequent], chosen, once)[0])
    return max(found, key=found.__getitem__)


def _one_vs_rest(
    features: sp.csr_matrix,
    y_true: BoolArray,
    learnt: Positions,
    strength: float,
    unseen: sp.csr_matrix,
) -> FloatArray:
    """Log odds of the labels ``learnt`` for unseen rows, shape (rows, labels); others rank last.

    What all rows carry is certain.
    """
    scores = np.full((unseen.shape[0], y_true.shape[1]), -np.inf, dtype=np.float32)
    scores[:, y_true.all(axis=0)] = np.inf
    model = LogisticRegression(C=strength, solver="liblinear", dual=True, tol=0.1, random_state=0)
    for label in track(learnt.tolist(), "fitting TF-IDF, one label against the rest", unit="label"):
        if 0 < y_true[:, label].sum() < len(y_true):
            scores[:, label] = model.fit(features, y_true[:, label]).decision_function(unseen)
    return scores
