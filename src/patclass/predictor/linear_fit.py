"""Fitting the linear model on words. Knows examples and a tree's groups, scipy and scikit-learn.

Below each node a classifier for each child is fitted against its siblings, by the squared hinge
loss in the dual, whose cost depends on the words of the rows and not on all known words (Hsieh et
al. 2008; liblinear). A row teaches the levels down to which its label is known.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from patclass.core.progress import track
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.predictor.calibration import known_groups, parents_of
from patclass.predictor.linear import LinearModel, features_of, known_features

MAX_FEATURES = 50_000
MAX_WEIGHTS = 300_000
STRENGTHS = (0.5, 2.0, 8.0)

# The score of a label without a row: it gets no probability worth mentioning.
_ABSENT = -20.0


class _Level(NamedTuple):
    """What one level is fitted on, or tested on.

    :param rows: those that know their group, shape (rows,).
    :param y_true: their groups, shape (rows,).
    :param weights: how much each of them counts, shape (rows,).
    :param parents: the group above each group, shape (groups,).
    """

    rows: Positions
    y_true: Positions
    weights: FloatArray
    parents: Positions


class _Classifiers(NamedTuple):
    """One for each group of a level; shapes are (groups, features) and (groups,)."""

    weights: sp.csr_matrix
    intercept: FloatArray


def fit_linear(
    tree: LabelTree, train: Sequence[Example], validation: Sequence[Example]
) -> LinearModel | None:
    """Fit on ``train``; each level's strength of regularisation is chosen on ``validation``.

    :return: None if the texts have not one word in common, or all rows the same coarsest label.
    """
    known, levels = _features(train), _levels(tree, train)
    if not len(known) or len(np.unique(levels[0].y_true)) < 2:
        return None
    counts, unseen = _count(train, known), _count(validation, known)
    idf = _idf(counts)
    features, held_out = _weigh(counts, idf), _weigh(unseen, idf)
    tests = _levels(tree, validation)
    strengths, found = [], []
    for level, test in track(
        list(zip(levels, tests, strict=True)), "fitting the linear model", unit="level"
    ):
        strength, classifiers = _best(features, level, held_out, test)
        strengths.append(strength)
        found.append(classifiers)
    if len(known) > MAX_FEATURES:
        kept = _heaviest(found, MAX_FEATURES)
        known, idf = known[kept], idf[kept]
        features = _weigh(counts[:, kept], idf)
        found = [_fit(features, *each) for each in zip(levels, strengths, strict=True)]
    return _compress(found, known, idf)


def _levels(tree: LabelTree, examples: Sequence[Example]) -> list[_Level]:
    found = []
    for depth, groups in enumerate(tree.groups):
        rows, y_true = known_groups(groups, [row.leaves for row in examples])
        weights = np.array([examples[row].weight for row in rows], dtype=np.float32)
        found.append(_Level(rows, y_true, weights, parents_of(tree, depth)))
    return found


def _features(examples: Sequence[Example]) -> npt.NDArray[np.uint32]:
    """The features that occur in two texts, or in one where there are few texts; rising."""
    found = Counter(feature for row in examples for feature in set(features_of(row.text)))
    least = 2 if len(examples) > 1000 else 1
    return np.array(sorted(h for h, n in found.items() if n >= least), dtype=np.uint32)


def _count(examples: Sequence[Example], known: npt.NDArray[np.uint32]) -> sp.csr_matrix:
    """How often each known feature occurs in each text."""
    found = [known_features(row.text, known) for row in examples]
    rows = np.repeat(np.arange(len(found)), [len(places) for places, _ in found])
    columns = np.concatenate([places for places, _ in found] or [np.empty(0, np.intp)])
    values = np.concatenate([counts for _, counts in found] or [np.empty(0, np.float32)])
    return sp.csr_matrix((values, (rows, columns)), shape=(len(found), len(known)))


def _idf(counts: sp.csr_matrix) -> FloatArray:
    rows = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + rows)) + 1, dtype=np.float32)


def _weigh(counts: sp.csr_matrix, idf: FloatArray) -> sp.csr_matrix:
    """Sublinear TF-IDF with rows of length one."""
    weighed = counts.copy()
    weighed.data = (1 + np.log(weighed.data)) * idf[weighed.indices]
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1))).ravel()
    scale = sp.diags_array(1 / np.maximum(lengths, 1e-12), dtype=np.float32)
    return sp.csr_matrix(scale @ weighed)


def _best(
    features: sp.csr_matrix, level: _Level, held_out: sp.csr_matrix, test: _Level
) -> tuple[float, _Classifiers]:
    """The strength with the highest accuracy, and the classifiers fitted with it."""
    fitted = {strength: _fit(features, level, strength) for strength in STRENGTHS}
    accuracies = {s: _accuracy(found, held_out, test) for s, found in fitted.items()}
    strength = max(STRENGTHS, key=lambda each: accuracies[each])
    return strength, fitted[strength]


def _accuracy(classifiers: _Classifiers, features: sp.csr_matrix, test: _Level) -> float:
    """The share of the rows whose group scores higher than its siblings."""
    if not len(test.rows):
        return 0.0
    scores = (features[test.rows] @ classifiers.weights.T).toarray() + classifiers.intercept
    siblings = test.parents == test.parents[test.y_true][:, None]
    return float((np.where(siblings, scores, -np.inf).argmax(axis=1) == test.y_true).mean())


def _fit(features: sp.csr_matrix, level: _Level, strength: float) -> _Classifiers:
    """Classifiers among the children of each node of which two have rows."""
    shape = (len(level.parents), features.shape[1])
    intercept = np.zeros(shape[0], dtype=np.float32)
    blocks = [sp.coo_matrix(shape, dtype=np.float32)]
    for parent in np.unique(level.parents[level.y_true]):
        here = level.parents[level.y_true] == parent
        children = np.unique(level.y_true[here])
        intercept[level.parents == parent] = _ABSENT
        intercept[children] = 0
        below = features[level.rows[here]]
        words = np.unique(below.indices)
        if len(children) < 2 or not len(words):
            continue
        weights, intercept[children] = _classify(
            below[:, words], level.y_true[here], level.weights[here], strength
        )
        places = np.repeat(children, len(words)), np.tile(words, len(children))
        blocks.append(sp.coo_matrix((weights.ravel(), places), shape))
    parts = [np.concatenate([getattr(b, part) for b in blocks]) for part in ("data", "row", "col")]
    return _Classifiers(sp.csr_matrix((parts[0], (parts[1], parts[2])), shape), intercept)


def _classify(
    features: sp.csr_matrix, labels: Positions, weights: FloatArray, strength: float
) -> tuple[FloatArray, FloatArray]:
    """Weights (labels, features) and intercepts (labels,), labels in rising order."""
    with warnings.catch_warnings():
        # Thirty passes over the rows are enough: more would fit contradictory labels better.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LinearSVC(C=strength, dual=True, tol=0.1, max_iter=30, random_state=0)
        model.fit(features, labels, sample_weight=weights)
    coefficients, intercept = model.coef_, np.asarray(model.intercept_)
    if len(model.classes_) == 2:  # one row of weights to scikit-learn
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercept = np.append(-intercept, intercept) / 2
    return coefficients.astype(np.float32), intercept.astype(np.float32)


def _heaviest(levels: Sequence[_Classifiers], count: int) -> Positions:
    """The features with the largest weight on any level, in rising order."""
    largest = np.max([abs(level.weights).max(axis=0).toarray()[0] for level in levels], axis=0)
    return np.sort(np.argsort(-largest, kind="stable")[:count])


def _compress(
    levels: Sequence[_Classifiers], known: npt.NDArray[np.uint32], idf: FloatArray
) -> LinearModel:
    """The largest weights of all levels, in eight bits each."""
    weights = sp.csr_matrix(sp.vstack([level.weights for level in levels]))
    if weights.nnz > MAX_WEIGHTS:
        least = -np.partition(-np.abs(weights.data), MAX_WEIGHTS - 1)[MAX_WEIGHTS - 1]
        weights.data[np.abs(weights.data) < least] = 0
    scales = np.maximum(1e-9, abs(weights).max(axis=1).toarray().ravel() / 127).astype(np.float32)
    rows = np.repeat(np.arange(len(scales)), np.diff(weights.indptr))
    weights.data = np.round(weights.data / scales[rows])
    weights.eliminate_zeros()
    by_feature = weights.tocsc()
    whole = np.min_scalar_type(len(scales))
    return LinearModel(
        hashes=known,
        idf=idf.astype(np.float32),
        counts=np.diff(by_feature.indptr).astype(whole),
        groups=by_feature.indices.astype(whole),
        weights=by_feature.data.astype(np.int8),
        scales=scales,
        intercept=np.concatenate([level.intercept for level in levels]),
    )
