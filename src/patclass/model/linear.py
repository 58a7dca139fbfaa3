"""A linear model on words, as a second opinion beside the encoder. Knows texts and positions.

Words and pairs of words are known by a hash, their weights by eight bits each: a few hundred
kilobytes that hold no text. Only the features that carry most weight are kept, and the model
is fitted once more on those.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from patclass.arrays import FloatArray
from patclass.errors import ModelError

FILE = "linear.safetensors"

# The opinion is on what a text is about; the head of a long one says that best.
LINEAR_CHARS = 10_000
MAX_FEATURES = 40_000
STRENGTHS = (1.0, 4.0, 16.0)

_WORD = re.compile(r"\w\w+")
_ARRAYS = ("hashes", "idf", "weights", "scales", "intercept")


@dataclass(frozen=True)
class LinearModel:
    """Logistic regression on TF-IDF.

    :param hashes: the known features, uint32 in rising order, shape (features,).
    :param idf: their inverse document frequencies, shape (features,).
    :param weights: int8 of shape (labels, features), in units of ``scales`` (labels,).
    :param intercept: shape (labels,).
    """

    hashes: npt.NDArray[np.uint32]
    idf: FloatArray
    weights: npt.NDArray[np.int8]
    scales: FloatArray
    intercept: FloatArray

    def log_probabilities(self, texts: Sequence[str]) -> FloatArray:
        """The opinion on each text: log probabilities of shape (texts, labels)."""
        features = _weigh(_count(texts, self.hashes), self.idf)
        logits = features @ (self.weights * self.scales[:, None]).T + self.intercept
        top = logits.max(axis=1, keepdims=True)
        return np.asarray(
            logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)), np.float32
        )

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        (folder / FILE).write_bytes(save(arrays))

    @classmethod
    def load(cls, folder: Path, labels: int) -> "LinearModel":
        """Read the arrays back.

        :raises ModelError: if the file is damaged or made for other labels.
        """
        path = folder / FILE
        try:
            arrays = load_file(path)
            model = cls(**arrays)
        except (OSError, SafetensorError, TypeError) as problem:
            raise ModelError(f"cannot read {path}: {problem}") from problem
        features = model.hashes.shape[0] if model.hashes.ndim else 0
        shapes = {
            "hashes": (features,),
            "idf": (features,),
            "weights": (labels, features),
            "scales": (labels,),
            "intercept": (labels,),
        }
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise ModelError(f"{path} does not have {labels} labels, or is damaged.")
        return model


def fit_linear(
    train: Sequence[str],
    labels: Sequence[int],
    kinds: int,
    validation: Sequence[str],
    validation_labels: Sequence[int],
) -> LinearModel | None:
    """Fit on ``train``; the strength of regularisation is chosen on ``validation``.

    :param kinds: the number of labels; one without a row is never this model's opinion.
    :return: None if the texts have not one word in common.
    """
    found = Counter(feature for text in train for feature in set(_features(text)))
    least = 2 if len(train) > 1000 else 1
    known = np.array(sorted(h for h, n in found.items() if n >= least), dtype=np.uint32)
    if not len(known) or len(set(labels)) < 2:
        return None
    counts, unseen = _count(train, known), _count(validation, known)
    idf = _idf(counts)
    features = _weigh(counts, idf)
    best, best_accuracy = None, -1.0
    for strength in tqdm(STRENGTHS, desc="fitting the linear model", disable=None):
        model = _fit(features, labels, strength)
        accuracy = model.score(_weigh(unseen, idf), validation_labels)
        if accuracy > best_accuracy:
            best, best_accuracy = model, accuracy
    assert best is not None
    if len(known) > MAX_FEATURES:
        kept = np.sort(np.argsort(-np.abs(best.coef_).max(axis=0), kind="stable")[:MAX_FEATURES])
        known, idf = known[kept], idf[kept]
        best = _fit(_weigh(counts[:, kept], idf), labels, best.C)
    return _compress(best, known, idf, kinds)


def _features(text: str) -> Iterator[int]:
    """Hashes of the words and of the pairs of neighbouring words."""
    words = _WORD.findall(text[:LINEAR_CHARS].lower())
    for word in words:
        yield crc32(word.encode())
    for left, right in pairwise(words):
        yield crc32(f"{left} {right}".encode())


def _count(texts: Sequence[str], known: npt.NDArray[np.uint32]) -> sp.csr_matrix:
    """How often each known feature occurs in each text."""
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        counts = Counter(_features(text))
        hashes = np.fromiter(counts, dtype=np.uint32, count=len(counts))
        places = np.searchsorted(known, hashes)
        places[places == len(known)] = 0
        hits = known[places] == hashes
        columns.append(places[hits])
        values.append(np.fromiter(counts.values(), np.float32, len(counts))[hits])
        rows.append(np.full(int(hits.sum()), row))
    if not len(texts):
        return sp.csr_matrix((0, len(known)), dtype=np.float32)
    cells = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(cells, shape=(len(texts), len(known)), dtype=np.float32)


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


def _fit(features: sp.csr_matrix, labels: Sequence[int], strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # A weight more or less in the fourth digit does not change the opinion.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=200).fit(features, labels)


def _compress(
    model: LogisticRegression, known: npt.NDArray[np.uint32], idf: FloatArray, kinds: int
) -> LinearModel:
    """Eight bits a weight; two labels are one row of weights to scikit-learn."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    scales = np.ones(kinds, dtype=np.float32)
    weights = np.zeros((kinds, len(known)), dtype=np.int8)
    # A label without a row gets no probability worth mentioning.
    offsets = np.full(kinds, -20.0, dtype=np.float32)
    for row, label in enumerate(model.classes_):
        scales[label] = max(1e-9, float(np.abs(coefficients[row]).max()) / 127)
        weights[label] = np.round(coefficients[row] / scales[label])
        offsets[label] = intercept[row]
    return LinearModel(known, idf.astype(np.float32), weights, scales, offsets)
