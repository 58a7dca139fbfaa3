"""A linear model on words, mixed with the encoder at every level. Knows texts and a tree's groups.

Words and pairs of words are known by a hash, their weights by eight bits each: about a megabyte
that holds no text. Only the features that carry most weight are kept, the model is fitted once
more on those, and of its weights again only the largest are kept (as DiSMEC does; Babbar and
Schölkopf 2017, arXiv:1609.02521).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.predictor.arrays import Arrays, array_of, check_form, parse_arrays

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

# The first characters of a long text describe its subject best.
LINEAR_CHARS = 10_000

_WORD = re.compile(r"\w\w+")
_ARRAYS = ("hashes", "idf", "counts", "groups", "weights", "scales", "intercept")


@dataclass(frozen=True)
class LinearModel:
    """Sparse linear classifiers on TF-IDF, one for the groups below each node of the tree.

    The groups of all levels stand one after another, coarsest level first, in the order of
    ``LabelTree.groups``. The weights are sorted by feature.

    :param hashes: the known features, uint32 in rising order, shape (features,).
    :param idf: their inverse document frequencies, shape (features,).
    :param counts: how many groups have a weight for each feature, shape (features,).
    :param groups: the group of each weight, shape (weights,).
    :param weights: int8 of shape (weights,), in units of the ``scales`` of their groups (groups,).
    :param intercept: shape (groups,).
    """

    FILE: ClassVar[str] = "linear.safetensors"
    REQUIRED: ClassVar[bool] = False

    hashes: npt.NDArray[np.uint32]
    idf: FloatArray
    counts: npt.NDArray[np.unsignedinteger]
    groups: npt.NDArray[np.unsignedinteger]
    weights: npt.NDArray[np.int8]
    scales: FloatArray
    intercept: FloatArray

    def scores(self, texts: Sequence[str]) -> FloatArray:
        """How well each group fits, compared with its siblings; shape (texts, groups)."""
        return np.stack([self._scores(text) for text in texts]).astype(np.float32)

    def _scores(self, text: str) -> npt.NDArray[np.float64]:
        places, values = weighed_features(text, self.hashes, self.idf)
        counts = self.counts[places].astype(np.intp)
        ends = np.cumsum(counts)
        every = np.repeat(self._ends[places] - ends, counts) + np.arange(counts.sum())
        products = self.weights[every] * np.repeat(values, counts)
        groups = self.groups[every].astype(np.intp)
        sums = np.bincount(groups, products, minlength=len(self.intercept))
        return np.asarray(sums * self.scales + self.intercept)

    @cached_property
    def _ends(self) -> Positions:
        """Where the weights of each feature end, shape (features,)."""
        return np.asarray(np.cumsum(self.counts, dtype=np.intp))

    @classmethod
    def fit(cls, fitting: "Fitting") -> "LinearModel | None":
        """Fit each level on the rows that know it; None if switched off or without words."""
        from patclass.predictor.linear_fit import fit_linear  # answering needs no scikit-learn

        if not fitting.settings.linear:
            return None
        return fit_linear(fitting.tree, fitting.corpus["train"], fitting.corpus["validation"])

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        (folder / self.FILE).write_bytes(save(arrays))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "LinearModel":
        """Read the arrays back.

        :raises ModelError: if the file is damaged or made for other labels.
        """
        labels = sum(int(groups.max()) + 1 for groups in tree.groups)
        try:
            arrays, _ = parse_arrays(data)
            found = array_of(arrays, "intercept", "f", 1).size
            if found != labels:
                raise ModelError(f"{cls.FILE} does not have {labels} labels, but {found}.")
            _check(arrays, labels)
        except ValueError as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        return cls(**arrays)


def _check(arrays: Arrays, labels: int) -> None:
    """Refuse arrays that do not belong together.

    :raises ValueError: naming the first.
    """
    features = array_of(arrays, "hashes", "u", 1).size
    weights = array_of(arrays, "weights", "i", 1).size
    if not features:
        raise ValueError("it knows no word")
    check_form(
        arrays,
        {
            "hashes": ("u", (features,)),
            "idf": ("f", (features,)),
            "counts": ("u", (features,)),
            "groups": ("u", (weights,)),
            "weights": ("i", (weights,)),
            "scales": ("f", (labels,)),
            "intercept": ("f", (labels,)),
        },
    )
    if int(arrays["counts"].max()) > weights or int(arrays["counts"].sum()) != weights:
        raise ValueError(f"counts do not add up to the {weights} weights")
    if weights and int(arrays["groups"].max()) >= labels:
        raise ValueError(f"groups has a number beyond the {labels} labels")


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


def weighed_features(
    text: str, known: npt.NDArray[np.uint32], idf: FloatArray
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The places in ``known`` of a text's features and their TF-IDF.

    Frequencies are sublinear (one plus their logarithm), and the vector is of length one.
    """
    places, counts = known_features(text, known)
    values = (1 + np.log(counts)) * idf[places]
    return places, values / max(1e-12, float(np.linalg.norm(values)))
