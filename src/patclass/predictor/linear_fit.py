"""Fitting the linear model on words. Knows texts and positions, scipy and scikit-learn."""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from patclass.core.progress import track
from patclass.core.types import FloatArray
from patclass.predictor.linear import LinearModel, features_of, known_features

MAX_FEATURES = 40_000
STRENGTHS = (1.0, 4.0, 16.0)


def fit_linear(
    train: Sequence[str],
    labels: Sequence[int],
    n_classes: int,
    validation: Sequence[str],
    validation_labels: Sequence[int],
    weights: Sequence[float] | None = None,
) -> LinearModel | None:
    """Fit on ``train``; the strength of regularisation is chosen on ``validation``.

    :param n_classes: number of labels; one without a row is never predicted.
    :param weights: how much each row of ``train`` counts; None for all the same.
    :return: None if the texts have not one word in common.
    """
    found = Counter(feature for text in train for feature in set(features_of(text)))
    least = 2 if len(train) > 1000 else 1
    known = np.array(sorted(h for h, n in found.items() if n >= least), dtype=np.uint32)
    if not len(known) or len(set(labels)) < 2:
        return None
    counts, unseen = _count(train, known), _count(validation, known)
    idf = _idf(counts)
    features = _weigh(counts, idf)
    best, best_accuracy = None, -1.0
    for strength in track(STRENGTHS, "fitting the linear model", unit="fit"):
        model = _fit(features, labels, strength, weights)
        accuracy = model.score(_weigh(unseen, idf), validation_labels)
        if accuracy > best_accuracy:
            best, best_accuracy = model, accuracy
    assert best is not None
    if len(known) > MAX_FEATURES:
        kept = np.sort(np.argsort(-np.abs(best.coef_).max(axis=0), kind="stable")[:MAX_FEATURES])
        known, idf = known[kept], idf[kept]
        best = _fit(_weigh(counts[:, kept], idf), labels, best.C, weights)
    return _compress(best, known, idf, n_classes)


def _count(texts: Sequence[str], known: npt.NDArray[np.uint32]) -> sp.csr_matrix:
    """How often each known feature occurs in each text."""
    found = [known_features(text, known) for text in texts]
    rows = np.repeat(np.arange(len(texts)), [len(places) for places, _ in found])
    columns = np.concatenate([places for places, _ in found] or [np.empty(0, np.intp)])
    values = np.concatenate([counts for _, counts in found] or [np.empty(0, np.float32)])
    return sp.csr_matrix((values, (rows, columns)), shape=(len(texts), len(known)))


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


def _fit(
    features: sp.csr_matrix, labels: Sequence[int], strength: float, weights: Sequence[float] | None
) -> LogisticRegression:
    with warnings.catch_warnings():
        # The fourth digit of a weight does not change the prediction.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=200)
        return model.fit(features, labels, sample_weight=weights)


def _compress(
    model: LogisticRegression, known: npt.NDArray[np.uint32], idf: FloatArray, n_classes: int
) -> LinearModel:
    """Eight bits a weight; two labels are one row of weights to scikit-learn."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    scales = np.ones(n_classes, dtype=np.float32)
    weights = np.zeros((n_classes, len(known)), dtype=np.int8)
    # A label without a row gets no probability worth mentioning.
    offsets = np.full(n_classes, -20.0, dtype=np.float32)
    for row, label in enumerate(model.classes_):
        scales[label] = max(1e-9, float(np.abs(coefficients[row]).max()) / 127)
        weights[label] = np.round(coefficients[row] / scales[label])
        offsets[label] = intercept[row]
    return LinearModel(known, idf.astype(np.float32), weights, scales, offsets)
