"""The drift reference: figures of held-out predictions, which live windows are compared with.

Fitted on the validation rows when a model is trained, and kept in its bundle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example, known_at
from patclass.model.tokenizer import EncodedText

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


def vocabulary_of(rows: Sequence[Sequence[int]]) -> Vocabulary:
    """The tokens that occur in rows of token ids."""
    ids = sorted({token for row in rows for token in row})
    bits = np.zeros(ids[-1] + 1 if ids else 0, dtype=np.uint8)
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
        train = fitting.tokenizer.token_ids([row.text for row in fitting.corpus["train"]])
        return collect_reference(
            tree,
            fitting.corpus["validation"],
            outputs.encodings,
            outputs.embeddings,
            calibration.apply(tree, logits, outputs.linear_log_probs),
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
    def load(cls, folder: Path, tree: LabelTree) -> "DriftReference":
        """Read a reference.

        :raises ModelError: if it is damaged.
        """
        path = folder / cls.FILE
        try:
            arrays = load_file(path)
            with safe_open(path, "numpy") as file:
                about = json.loads(file.metadata()["about"])
            codes = {level: tuple(labels) for level, labels in dict(about["codes"]).items()}
            reference = cls(
                predictions={level: _whole(arrays[f"predictions/{level}"]) for level in codes},
                confidences={level: arrays[f"confidences/{level}"] for level in codes},
                codes=codes,
                accuracy={level: float(share) for level, share in dict(about["accuracy"]).items()},
                chars=arrays["chars"],
                oov_rate=arrays["oov_rate"],
                novelty=arrays["novelty"],
                vocabulary=Vocabulary(arrays["seen"]),
                space=EmbeddingSpace(arrays["mean"], arrays["directions"]),
            )
            reference.check()
        except (OSError, SafetensorError, LookupError, ValueError, TypeError) as problem:
            raise ModelError(f"cannot read {path}: {problem}") from problem
        return reference

    def check(self) -> None:
        """Refuse arrays that do not fit together.

        :raises ValueError: if they do not.
        """
        shapes = {values.shape for values in (self.chars, self.oov_rate, self.novelty)}
        for level, labels in self.codes.items():
            predictions = self.predictions[level]
            shapes |= {predictions.shape, self.confidences[level].shape}
            if not np.isin(predictions, range(-1, len(labels))).all():
                raise ValueError(f"a prediction is no label of the {level}")
        rows = next(iter(shapes))
        fits = len(shapes) == 1 and len(rows) == 1 and rows[0] and self.codes
        hidden, tokens = self.space.mean.shape, self.vocabulary.tokens
        if not fits or self.space.directions.shape[:-1] != hidden or tokens.dtype != np.uint8:
            raise ValueError("its arrays do not fit together")


def _whole(predictions: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    if predictions.dtype.kind != "i":
        raise ValueError(f"predictions are whole numbers, not {predictions.dtype}")
    return predictions.astype(np.int32)


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
