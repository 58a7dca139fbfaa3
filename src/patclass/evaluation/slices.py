"""Where a model is wrong: slices of the rows, and its most confident mistakes."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from patclass.core.types import Frozen
from patclass.data.examples import Example
from patclass.evaluation.calibration import BoolArray
from patclass.evaluation.intervals import Interval, wilson
from patclass.predictor.scored import LabelledPredictions

MAX_YEAR_GROUPS = 5
MAX_SOURCES = 10

# Names of groups, and the group of each row as a position among them.
Groups = tuple[list[str], npt.NDArray[np.intp]]


class Slice(Frozen):
    """Accuracy on the rows of one group; with few rows the interval is wide."""

    kind: str
    name: str
    rows: int
    accuracy: float
    interval: Interval


def slices(rows: Sequence[Example], correct: BoolArray) -> tuple[Slice, ...]:
    """Slices of each kind that the data says something of, each kind in its natural order.

    :param correct: whether the prediction of each row is correct, shape (rows,).
    """
    kinds = {
        "text length": _lengths([len(row.text) for row in rows]),
        "year": _years([row.facts.year for row in rows]),
        "source": _sources([row.facts.source for row in rows]),
    }
    return tuple(
        _slice(kind, name, correct[group == place])
        for kind, (names, group) in kinds.items()
        for place, name in enumerate(names)
        if (group == place).any()
    )


def _slice(kind: str, name: str, correct: BoolArray) -> Slice:
    rows, right = len(correct), int(correct.sum())
    return Slice(
        kind=kind, name=name, rows=rows, accuracy=right / rows, interval=wilson(right, rows)
    )


def _lengths(lengths: Sequence[int]) -> Groups:
    """Four groups between the quartiles; fewer if many texts are equally long."""
    bounds = sorted({int(q) for q in np.quantile(lengths, [0.25, 0.5, 0.75])} - {max(lengths)})
    if not bounds:
        return [f"{max(lengths):,} characters"], np.zeros(len(lengths), dtype=np.intp)
    names = [
        f"up to {bounds[0]:,} characters",
        *(f"{low + 1:,} to {high:,} characters" for low, high in pairwise(bounds)),
        f"more than {bounds[-1]:,} characters",
    ]
    return names, np.searchsorted(bounds, lengths)


def _years(years: Sequence[int | None]) -> Groups:
    """Each year by itself, or up to five spans of about as many rows each."""
    known = np.array([year for year in years if year is not None], dtype=np.intp)
    if not len(known):
        return [], np.full(len(years), -1)
    bounds = np.unique(known)
    if len(bounds) > MAX_YEAR_GROUPS:
        shares = np.arange(1, MAX_YEAR_GROUPS + 1) / MAX_YEAR_GROUPS
        bounds = np.unique(np.quantile(known, shares, method="inverted_cdf"))
    group = np.searchsorted(bounds, known)
    spans = [known[group == place] for place in range(len(bounds))]
    names = [_span(int(span.min()), int(span.max())) for span in spans]
    groups = np.full(len(years), len(names))
    groups[[year is not None for year in years]] = group
    return [*names, "not known"], groups


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _sources(sources: Sequence[str | None]) -> Groups:
    """The most frequent sources, the rest together."""
    counts = Counter(source for source in sources if source is not None)
    if not counts:
        return [], np.full(len(sources), -1)
    names = [source for source, _ in counts.most_common(MAX_SOURCES)]
    place = {source: position for position, source in enumerate(names)}
    others, unknown = len(names), len(names) + 1
    groups = [unknown if source is None else place.get(source, others) for source in sources]
    return [*names, "other sources", "not known"], np.array(groups)


MAX_MISTAKES = 25


class Mistake(Frozen):
    """A confident wrong prediction.

    ``true`` is None if the tree has no such label; ``second`` is the next best label, None if
    there is only one label.
    """

    id: str
    title: str | None
    true: str | None
    predicted: str
    confidence: float
    second: str | None


def mistakes(predictions: LabelledPredictions, most: int = MAX_MISTAKES) -> tuple[Mistake, ...]:
    """Wrong predictions, the most confident first; equal ones in the order of the rows."""
    wrong = np.flatnonzero(~predictions.correct)
    order = np.argsort(-predictions.confidences[wrong], kind="stable")[:most]
    return tuple(_mistake(predictions, int(place)) for place in wrong[order])


def _mistake(predictions: LabelledPredictions, place: int) -> Mistake:
    row = predictions.rows[place]
    y_true, y_pred = predictions.y_true[place], predictions.y_pred[place]
    others = predictions.probabilities[place].copy()
    others[y_pred] = -1
    return Mistake(
        id=row.id,
        title=row.facts.title,
        true=predictions.codes[y_true] if y_true >= 0 else None,
        predicted=predictions.codes[y_pred],
        confidence=float(predictions.confidences[place]),
        second=predictions.codes[int(others.argmax())] if len(others) > 1 else None,
    )
