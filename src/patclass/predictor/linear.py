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
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree

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
    def load(cls, folder: Path, tree: LabelTree) -> "LinearModel":
        """Read the arrays back.

        :raises ModelError: if the file is damaged or made for other labels.
        """
        path, labels = folder / cls.FILE, len(tree.at(tree.levels[0]))
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
