"""Fitting a linear head on fixed embeddings of few examples. Knows embeddings and positions.

Logistic regression whose weights are drawn towards those of a prior instead of towards zero: the
most probable weights under a normal prior around them. The prior of a label is the direction of its
name's embedding. Without an example the head is therefore the similarity to the names, and with
many it is what the examples say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray
from patclass.predictor.drift_reference import EmbeddingSpace

# Chosen on real patents (docs/log.md): how strongly weights are drawn towards the prior, and the
# length of a prior's weights in units of the usual distance of an embedding from the mean.
STRENGTH = 0.3
PRIOR_LENGTH = 3.0

# The bias is hardly held back: it says how frequent a label is.
_BIAS_STRENGTH = 0.01

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """A linear head.

    :param weight: float32 of shape (labels, hidden).
    :param bias: float32 of shape (labels,).
    """

    weight: FloatArray
    bias: FloatArray

    def logits(self, embeddings: FloatArray) -> FloatArray:
        """Logits of embeddings (rows, hidden), shape (rows, labels)."""
        return np.asarray(embeddings @ self.weight.T + self.bias, dtype=np.float32)


def name_prior(names: FloatArray, named: Sequence[bool], space: EmbeddingSpace) -> FloatArray:
    """Directions of labels, shape (labels, hidden): of length one, or zero for one without a name.

    What all names have in common, as that they are short, tells none of them from another.

    :param names: embeddings of the names, shape (labels, hidden).
    """
    rows = np.flatnonzero(named)
    centred = names - (names[rows].mean(axis=0) if len(rows) > 1 else space.mean)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    centred = centred / np.maximum(lengths, 1e-12)
    return np.asarray(np.where(np.asarray(named)[:, None], centred, 0), dtype=np.float32)


def fit_head(
    embeddings: FloatArray,
    labels: Sequence[int],
    prior: FloatArray,
    space: EmbeddingSpace,
    strength: float = STRENGTH,
) -> Head:
    """The most probable head; that of the prior alone without an example.

    A label without an example keeps its prior, as the examples of others say nothing of it.

    :param embeddings: of the examples, shape (rows, hidden).
    :param prior: directions of the labels, shape (labels, hidden); zero for none.
    :param space: of the texts that the encoder was trained on; gives mean and scale.
    """
    scale = _scale(space)
    weights, bias = PRIOR_LENGTH * prior.astype(np.float64), np.zeros(len(prior))
    found = np.unique(np.asarray(labels, dtype=np.intp))
    if len(found) > 1:
        rows = ((embeddings - space.mean) / scale).astype(np.float64)
        targets = np.searchsorted(found, labels)
        weights[found], bias[found] = _most_probable(rows, targets, weights[found], strength)
    weight = weights / scale
    return Head(weight.astype(np.float32), (bias - weight @ space.mean).astype(np.float32))


def _scale(space: EmbeddingSpace) -> float:
    """The root mean square distance of a text from the mean, along the main directions.

    The directions of a space have the length of one by a standard deviation.
    """
    lengths = np.linalg.norm(space.directions, axis=0)
    return float(np.sqrt((1 / np.maximum(lengths, 1e-12) ** 2).sum())) or 1.0


def _most_probable(
    rows: _Floats, targets: npt.NDArray[np.intp], prior: _Floats, strength: float
) -> tuple[_Floats, _Floats]:
    """Weights (labels, hidden) and bias (labels,); a convex problem."""
    from scipy.optimize import minimize  # fitting only; answering does without scipy

    true = np.eye(len(prior))[targets]
    start = rows @ prior.T

    def loss(values: _Floats) -> tuple[float, _Floats]:
        shifts = values.reshape(len(prior), -1)
        change, bias = shifts[:, :-1], shifts[:, -1]
        scores = start + rows @ change.T + bias
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        error = np.exp(scores) - true
        held = strength * np.column_stack([change, _BIAS_STRENGTH * bias])
        gradient = np.column_stack([error.T @ rows, error.sum(axis=0)]) + held
        return -(scores * true).sum() + (held * shifts).sum() / 2, gradient.ravel()

    size = len(prior) * (rows.shape[1] + 1)
    found = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    shifts = found.x.reshape(len(prior), -1)
    return prior + shifts[:, :-1], shifts[:, -1]
