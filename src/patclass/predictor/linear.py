"""A linear model on words that is mixed with the encoder. Knows texts and label positions.

Words and pairs of words are known by a hash, their weights by eight bits each: a few hundred
kilobytes that hold no text. Only the features that carry most weight are kept, and the model
is fitted once more on those.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.predictor.arrays import array_of, check_form, parse_arrays

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

# The first characters of a long text describe its subject best.
LINEAR_CHARS = 10_000

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

    FILE: ClassVar[str] = "linear.safetensors"
    REQUIRED: ClassVar[bool] = False

    hashes: npt.NDArray[np.uint32]
    idf: FloatArray
    weights: npt.NDArray[np.int8]
    scales: FloatArray
    intercept: FloatArray

    def log_probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Log-probabilities of the coarsest labels, shape (texts, labels)."""
        logits = np.stack([self._logits(text) for text in texts])
        top = logits.max(axis=1, keepdims=True)
        return np.asarray(
            logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)), np.float32
        )

    def _logits(self, text: str) -> FloatArray:
        """Sublinear TF-IDF, a vector of length one, times the weights; shape (labels,)."""
        places, counts = known_features(text, self.hashes)
        values = (1 + np.log(counts)) * self.idf[places]
        values /= max(1e-12, float(np.linalg.norm(values)))
        # A sum of products: for so few, BLAS now and then reports an invalid value that is none.
        sums = (self.weights[:, places] * values).sum(axis=1)
        return np.asarray(sums * self.scales + self.intercept)

    @classmethod
    def fit(cls, fitting: "Fitting") -> "LinearModel | None":
        """Fit on the rows whose coarsest label is known; None if switched off or without words."""
        from patclass.predictor.linear_fit import fit_linear  # answering needs no scikit-learn

        if not fitting.settings.linear:
            return None
        train = [row for row in fitting.corpus["train"] if row.stratum >= 0]
        validation = [row for row in fitting.corpus["validation"] if row.stratum >= 0]
        return fit_linear(
            [row.text for row in train],
            [row.stratum for row in train],
            len(fitting.tree.at(fitting.tree.levels[0])),
            [row.text for row in validation],
            [row.stratum for row in validation],
            [row.weight for row in train],
        )

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        (folder / self.FILE).write_bytes(save(arrays))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "LinearModel":
        """Read the arrays back.

        :raises ModelError: if the file is damaged or made for other labels.
        """
        labels = len(tree.at(tree.levels[0]))
        try:
            arrays, _ = parse_arrays(data)
            found = array_of(arrays, "intercept", "f", 1).size
            if found != labels:
                raise ModelError(f"{cls.FILE} does not have {labels} labels, but {found}.")
            features = array_of(arrays, "hashes", "u", 1).size
            if not features:
                raise ValueError("it knows no word")
            check_form(
                arrays,
                {
                    "hashes": ("u", (features,)),
                    "idf": ("f", (features,)),
                    "weights": ("i", (labels, features)),
                    "scales": ("f", (labels,)),
                    "intercept": ("f", (labels,)),
                },
            )
        except ValueError as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        return cls(**arrays)


def features_of(text: str) -> Iterator[int]:
    """Hashes of the words and of the pairs of neighbouring words."""
    words = _WORD.findall(text[:LINEAR_CHARS].lower())
    for word in words:
        yield crc32(word.encode())
    for left, right in pairwise(words):
        yield crc32(f"{left} {right}".encode())


def known_features(
    text: str, known: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The places in ``known`` of the features of a text, and how often it has each."""
    counts = Counter(features_of(text))
    hashes = np.fromiter(counts, dtype=np.uint32, count=len(counts))
    places = np.searchsorted(known, hashes)
    places[places == len(known)] = 0
    correct = known[places] == hashes
    return places[correct], np.fromiter(counts.values(), np.float32, len(counts))[correct]
