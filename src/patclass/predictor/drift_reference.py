"""The drift reference: figures of held-out predictions, which live windows are compared with.

Fitted on the validation rows when a model is trained, and kept in its bundle.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from patclass.core.errors import ModelError
from patclass.core.files import parse_json
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example, known_at
from patclass.model.token_rows import TokenRows
from patclass.model.tokenizer import EncodedText, Ids
from patclass.predictor.arrays import Form, array_of, check_form, parse_arrays

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

DIRECTIONS = 16

# Rows needed for each direction, for its spread to be estimated well enough.
_ROWS_EACH = 8


@dataclass(frozen=True)
class EmbeddingSpace:
    """Mean and main directions of the embeddings of held-out texts.

    :param mean: shape (hidden,).
    :param directions: shape (hidden, directions), each scaled to unit variance on held-out texts.
    """

    mean: FloatArray
    directions: FloatArray

    def novelty(self, embeddings: FloatArray) -> FloatArray:
        """Novelty score of embeddings of shape (rows, hidden); about one for held-out texts.

        The root of the mean square over the directions (a Mahalanobis distance in the main ones).
        """
        if not self.directions.shape[1]:  # the embeddings do not differ
            return np.ones(len(embeddings), dtype=np.float32)
        along = (embeddings - self.mean) @ self.directions
        return np.asarray(np.sqrt((along**2).mean(axis=1)), dtype=np.float32)


def fit_embedding_space(embeddings: FloatArray, most: int | None = None) -> EmbeddingSpace:
    """Fit the space of embeddings of shape (rows, hidden).

    :param most: upper bound on the directions; by default what so many rows support.
    """
    mean = embeddings.mean(axis=0)
    _, spread, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
    deviations = spread / np.sqrt(max(1, len(embeddings) - 1))
    most = _directions(len(embeddings)) if most is None else most
    kept = np.flatnonzero(deviations > 1e-6 * max(1e-12, float(deviations[0])))[:most]
    directions = axes[kept].T / deviations[kept]
    return EmbeddingSpace(mean.astype(np.float32), np.asarray(directions, dtype=np.float32))


def held_out_novelty(embeddings: FloatArray, folds: int = 5) -> FloatArray:
    """Novelty scores by cross-validation: each row by a space fitted without its fold.

    A row scores slightly lower in a space that was fitted on it. Every space has as many
    directions as that of all rows, or scores would not be comparable.
    """
    most = _directions(len(embeddings))
    fold = np.arange(len(embeddings)) % folds
    found = np.ones(len(embeddings), dtype=np.float32)
    for number in range(folds):
        out = fold == number
        if out.any() and not out.all():
            found[out] = fit_embedding_space(embeddings[~out], most).novelty(embeddings[out])
    return found


def _directions(rows: int) -> int:
    return max(1, min(DIRECTIONS, rows // _ROWS_EACH))


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that occur in the training texts.

    :param tokens: one bit for each token of the vocabulary, packed.
    """

    tokens: npt.NDArray[np.uint8]

    def oov_rate(self, ids: Sequence[int]) -> float:
        """Out-of-vocabulary rate: the share of tokens that no training text has."""
        places = np.asarray(ids, dtype=np.int64)
        if not len(places):
            return 0.0
        near = places[places < 8 * len(self.tokens)]
        known = (self.tokens[near >> 3] >> (7 - (near & 7))) & 1
        return 1 - int(known.sum()) / len(places)


def vocabulary_of(rows: Iterable[Ids | Sequence[int]]) -> Vocabulary:
    """The tokens that occur in rows of token ids."""
    empty = np.empty(0, dtype=np.int32)
    ids = np.unique(np.concatenate([empty, *(np.asarray(row, np.int32) for row in rows)]))
    bits = np.zeros(ids[-1] + 1 if len(ids) else 0, dtype=np.uint8)
    bits[ids] = 1
    return Vocabulary(np.packbits(bits))


@dataclass(frozen=True)
class DriftReference:
    """Figures of predictions to held-out rows, one value for each row.

    :param predictions: for each level the position of the predicted label, shape (rows,); -1 for an
        path that ends above it.
    :param confidences: for each level the confidence of that label, shape (rows,).
    :param codes: for each level its labels, in the order of the positions.
    :param accuracy: for each level where the truth is known the share of correct predictions.
    :param chars: lengths of the texts, shape (rows,).
    :param oov_rate: out-of-vocabulary rates of the texts, shape (rows,).
    :param novelty: novelty scores of the embeddings, shape (rows,).
    """

    FILE: ClassVar[str] = "reference.safetensors"
    REQUIRED: ClassVar[bool] = True

    predictions: Mapping[str, npt.NDArray[np.int32]]
    confidences: Mapping[str, FloatArray]
    codes: Mapping[str, tuple[str, ...]]
    accuracy: Mapping[str, float]
    chars: FloatArray
    oov_rate: FloatArray
    novelty: FloatArray
    vocabulary: Vocabulary
    space: EmbeddingSpace

    @property
    def levels(self) -> tuple[str, ...]:
        """All levels, coarsest first."""
        return tuple(self.codes)

    def counts(self, level: str) -> npt.NDArray[np.int64]:
        """How often each label of a level was predicted, shape (labels,)."""
        given = self.predictions[level][self.predictions[level] >= 0]
        return np.bincount(given, minlength=len(self.codes[level])).astype(np.int64)

    @classmethod
    def fit(cls, fitting: "Fitting") -> "DriftReference":
        """From the validation rows, predicted with what is calibrated so far."""
        tree, outputs = fitting.tree, fitting.validation
        logits = outputs.logits[:, : len(tree.paths)]
        calibration = fitting.pipeline.calibration
        train = TokenRows(fitting.tokenizer, [row.text for row in fitting.corpus["train"]])
        return collect_reference(
            tree,
            fitting.corpus["validation"],
            outputs.encodings,
            outputs.embeddings,
            calibration.apply(tree, logits, outputs.linear_scores),
            vocabulary_of(train),
        )

    def save(self, folder: Path) -> None:
        """Write the reference."""
        about = json.dumps({"codes": dict(self.codes), "accuracy": dict(self.accuracy)})
        arrays: dict[str, npt.NDArray[Any]] = {
            "chars": self.chars,
            "oov_rate": self.oov_rate,
            "novelty": self.novelty,
            "seen": self.vocabulary.tokens,
            "mean": self.space.mean,
            "directions": np.ascontiguousarray(self.space.directions),
        }
        for level in self.levels:
            small = len(self.codes[level]) <= np.iinfo(np.int16).max
            whole = np.int16 if small else np.int32
            arrays[f"predictions/{level}"] = self.predictions[level].astype(whole)
            arrays[f"confidences/{level}"] = self.confidences[level]
        (folder / self.FILE).write_bytes(save(arrays, {"about": about}))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "DriftReference":
        """Read a reference.

        :raises ModelError: if it is damaged, or was made for other labels.
        """
        try:
            arrays, texts = parse_arrays(data)
            accuracy = _parse_about(texts.get("about", ""), tree)
            rows = array_of(arrays, "chars", "f", 1).size
            hidden, directions = array_of(arrays, "directions", "f", 2).shape
            seen = array_of(arrays, "seen", "u", 1)
            form: Form = dict.fromkeys(("chars", "oov_rate", "novelty"), ("f", (rows,)))
            form["mean"], form["directions"] = ("f", (hidden,)), ("f", (hidden, directions))
            form["seen"] = ("u", seen.shape)
            for level in tree.levels:
                form[f"confidences/{level}"] = ("f", (rows,))
                form[f"predictions/{level}"] = ("i", (rows,))
            check_form(arrays, form)
            if not rows or seen.dtype != np.uint8:
                raise ValueError("it has no row, or no bits of tokens")
            for level in tree.levels:
                predictions, count = arrays[f"predictions/{level}"], len(tree.at(level))
                if not -1 <= predictions.min() <= predictions.max() < count:
                    raise ValueError(f"a prediction is no label of the {level}")
        except ValueError as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        return cls(
            predictions={x: arrays[f"predictions/{x}"].astype(np.int32) for x in tree.levels},
            confidences={x: arrays[f"confidences/{x}"] for x in tree.levels},
            codes={level: tuple(tree.at(level).codes) for level in tree.levels},
            accuracy=accuracy,
            chars=arrays["chars"],
            oov_rate=arrays["oov_rate"],
            novelty=arrays["novelty"],
            vocabulary=Vocabulary(seen),
            space=EmbeddingSpace(arrays["mean"], arrays["directions"]),
        )


def _parse_about(text: str, tree: LabelTree) -> dict[str, float]:
    """The accuracy of each level.

    :raises ValueError: if it is damaged, or the labels are others than those of ``tree``.
    """
    about = parse_json(text.encode())
    codes, accuracy = (
        (about.get("codes"), about.get("accuracy")) if isinstance(about, dict) else (None, None)
    )
    if codes != {level: tree.at(level).codes for level in tree.levels}:
        raise ValueError(f"its labels are not those of the {', '.join(tree.levels)}")
    if not isinstance(accuracy, dict) or not accuracy.keys() <= codes.keys():
        raise ValueError("it does not state the accuracy of its levels")
    if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in accuracy.values()):
        raise ValueError("an accuracy is not between 0 and 1")
    return {level: float(share) for level, share in accuracy.items()}


MOST_ROWS = 5000


def collect_reference(
    tree: LabelTree,
    rows: Sequence[Example],
    encodings: Sequence[EncodedText],
    embeddings: FloatArray,
    leaves: FloatArray,
    vocabulary: Vocabulary,
) -> DriftReference:
    """The reference of held-out rows; of very many, ``MOST_ROWS`` from all over the file.

    :param embeddings: pooled embeddings of the rows, shape (rows, hidden).
    :param leaves: calibrated leaf probabilities, shape (rows, leaves).
    """
    if len(rows) > MOST_ROWS:  # files are often sorted, so no end of one stands for it
        kept = np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.intp)
        rows, encodings = [rows[i] for i in kept], [encodings[i] for i in kept]
        embeddings, leaves = embeddings[kept], leaves[kept]
    sums = {level: tree.sums(leaves, level) for level in tree.levels}
    shape = (len(tree.levels), len(rows))
    places, shares = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for row in range(len(rows)):
        path = tree.descend({level: table[row] for level, table in sums.items()})
        for depth, (level, code) in enumerate(zip(tree.levels, path, strict=False)):
            places[depth, row] = place = tree.at(level).index(code)
            shares[depth, row] = sums[level][row, place]
    return DriftReference(
        predictions=dict(zip(tree.levels, places, strict=True)),
        confidences=dict(zip(tree.levels, shares, strict=True)),
        codes={level: tuple(tree.at(level).codes) for level in tree.levels},
        accuracy=_accuracy(tree.levels, rows, places),
        chars=np.array([len(row.text) for row in rows], dtype=np.float32),
        oov_rate=np.array(
            [vocabulary.oov_rate(encoding.ids) for encoding in encodings], dtype=np.float32
        ),
        novelty=held_out_novelty(embeddings),
        vocabulary=vocabulary,
        space=fit_embedding_space(embeddings),
    )


def _accuracy(
    levels: Sequence[str], rows: Sequence[Example], predictions: npt.NDArray[np.int32]
) -> dict[str, float]:
    """The accuracy of the predictions, where the truth is known."""
    found = {}
    for depth, level in enumerate(levels):
        known, y_true = known_at(rows, depth)
        given = predictions[depth, known] >= 0
        if given.any():
            found[level] = float((predictions[depth, known] == y_true)[given].mean())
    return found
