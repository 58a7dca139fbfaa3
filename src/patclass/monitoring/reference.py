"""What answers to usual texts look like: what windows of live ones are compared with.

Made from held-out rows when a model is trained, and kept in its bundle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from patclass.arrays import FloatArray
from patclass.errors import ModelError
from patclass.monitoring.space import Space

FILE = "reference.safetensors"


@dataclass(frozen=True)
class Seen:
    """Which tokens the model has learnt from.

    :param tokens: one bit for each token of the vocabulary, packed.
    """

    tokens: npt.NDArray[np.uint8]

    def unseen(self, ids: Sequence[int]) -> float:
        """The share of tokens that are new to the model."""
        places = np.asarray(ids, dtype=np.int64)
        if not len(places):
            return 0.0
        near = places[places < 8 * len(self.tokens)]
        known = (self.tokens[near >> 3] >> (7 - (near & 7))) & 1
        return 1 - int(known.sum()) / len(places)


def tokens_seen(rows: Sequence[Sequence[int]]) -> Seen:
    """The tokens that occur in rows of token ids."""
    ids = sorted({token for row in rows for token in row})
    bits = np.zeros(ids[-1] + 1 if ids else 0, dtype=np.uint8)
    bits[ids] = 1
    return Seen(np.packbits(bits))


@dataclass(frozen=True)
class Reference:
    """Figures of answers to held-out rows, one value for each row.

    :param answers: for each level the position of the label answered, shape (rows,); -1 for an
        answer that ends above it.
    :param confidences: for each level the confidence of that label, shape (rows,).
    :param codes: for each level its labels, in the order of the positions.
    :param accuracy: for each level where the truth is known the share of right answers.
    :param chars: lengths of the texts, shape (rows,).
    :param unseen: shares of tokens that the model has not learnt from, shape (rows,).
    :param distance: distances of the states, shape (rows,).
    """

    answers: Mapping[str, npt.NDArray[np.int32]]
    confidences: Mapping[str, FloatArray]
    codes: Mapping[str, tuple[str, ...]]
    accuracy: Mapping[str, float]
    chars: FloatArray
    unseen: FloatArray
    distance: FloatArray
    seen: Seen
    space: Space

    @property
    def levels(self) -> tuple[str, ...]:
        """All levels, coarsest first."""
        return tuple(self.codes)

    def counts(self, level: str) -> npt.NDArray[np.int64]:
        """How often each label of a level was answered, shape (labels,)."""
        given = self.answers[level][self.answers[level] >= 0]
        return np.bincount(given, minlength=len(self.codes[level])).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write the reference."""
        about = json.dumps({"codes": dict(self.codes), "accuracy": dict(self.accuracy)})
        arrays: dict[str, npt.NDArray[Any]] = {
            "chars": self.chars,
            "unseen": self.unseen,
            "distance": self.distance,
            "seen": self.seen.tokens,
            "mean": self.space.mean,
            "directions": np.ascontiguousarray(self.space.directions),
        }
        for level in self.levels:
            small = len(self.codes[level]) <= np.iinfo(np.int16).max
            arrays[f"answers/{level}"] = self.answers[level].astype(np.int16 if small else np.int32)
            arrays[f"confidences/{level}"] = self.confidences[level]
        (folder / FILE).write_bytes(save(arrays, {"about": about}))

    @classmethod
    def load(cls, folder: Path) -> "Reference":
        """Read a reference.

        :raises ModelError: if it is damaged.
        """
        path = folder / FILE
        try:
            arrays = load_file(path)
            with safe_open(path, "numpy") as file:
                about = json.loads(file.metadata()["about"])
            codes = {level: tuple(labels) for level, labels in dict(about["codes"]).items()}
            reference = cls(
                answers={level: _whole(arrays[f"answers/{level}"]) for level in codes},
                confidences={level: arrays[f"confidences/{level}"] for level in codes},
                codes=codes,
                accuracy={level: float(share) for level, share in dict(about["accuracy"]).items()},
                chars=arrays["chars"],
                unseen=arrays["unseen"],
                distance=arrays["distance"],
                seen=Seen(arrays["seen"]),
                space=Space(arrays["mean"], arrays["directions"]),
            )
            reference.check()
        except (OSError, SafetensorError, LookupError, ValueError, TypeError) as problem:
            raise ModelError(f"cannot read {path}: {problem}") from problem
        return reference

    def check(self) -> None:
        """Refuse arrays that do not fit together.

        :raises ValueError: if they do not.
        """
        shapes = {values.shape for values in (self.chars, self.unseen, self.distance)}
        for level, labels in self.codes.items():
            answers = self.answers[level]
            shapes |= {answers.shape, self.confidences[level].shape}
            if not np.isin(answers, range(-1, len(labels))).all():
                raise ValueError(f"an answer is no label of the {level}")
        rows = next(iter(shapes))
        fits = len(shapes) == 1 and len(rows) == 1 and rows[0] and self.codes
        hidden, tokens = self.space.mean.shape, self.seen.tokens
        if not fits or self.space.directions.shape[:-1] != hidden or tokens.dtype != np.uint8:
            raise ValueError("its arrays do not fit together")


def _whole(answers: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    if answers.dtype.kind != "i":
        raise ValueError(f"answers are whole numbers, not {answers.dtype}")
    return answers.astype(np.int32)
