"""Where the states of usual texts lie, and how far away another one is. Knows states only."""

from dataclasses import dataclass

import numpy as np

from patclass.arrays import FloatArray

DIRECTIONS = 16

# A direction needs so many states to be known well enough.
_ROWS_EACH = 8


@dataclass(frozen=True)
class Space:
    """The centre of usual states, and their main directions.

    :param mean: shape (hidden,).
    :param directions: shape (hidden, directions), each scaled so that usual states vary by one.
    """

    mean: FloatArray
    directions: FloatArray

    def distance(self, states: FloatArray) -> FloatArray:
        """How far states of shape (rows, hidden) are from the centre; usual ones about one.

        The root of the mean square over the directions (a Mahalanobis distance in the main ones).
        """
        if not self.directions.shape[1]:  # of states that do not differ
            return np.ones(len(states), dtype=np.float32)
        along = (states - self.mean) @ self.directions
        return np.asarray(np.sqrt((along**2).mean(axis=1)), dtype=np.float32)


def fit_space(states: FloatArray, most: int | None = None) -> Space:
    """The space of states of shape (rows, hidden).

    :param most: how many directions it may have; by default what so many rows tell of.
    """
    mean = states.mean(axis=0)
    _, spread, axes = np.linalg.svd(states - mean, full_matrices=False)
    deviations = spread / np.sqrt(max(1, len(states) - 1))
    most = _directions(len(states)) if most is None else most
    kept = np.flatnonzero(deviations > 1e-6 * max(1e-12, float(deviations[0])))[:most]
    directions = axes[kept].T / deviations[kept]
    return Space(mean.astype(np.float32), np.asarray(directions, dtype=np.float32))


def held_out_distances(states: FloatArray, folds: int = 5) -> FloatArray:
    """The distance of each state from the space of the others, fold by fold.

    A state is a little nearer to a space that was fitted on it than a new one would be. The
    spaces have as many directions as that of all, or distances would mean something else.
    """
    most = _directions(len(states))
    fold = np.arange(len(states)) % folds
    found = np.ones(len(states), dtype=np.float32)
    for number in range(folds):
        out = fold == number
        if out.any() and not out.all():
            found[out] = fit_space(states[~out], most).distance(states[out])
    return found


def _directions(rows: int) -> int:
    return max(1, min(DIRECTIONS, rows // _ROWS_EACH))
