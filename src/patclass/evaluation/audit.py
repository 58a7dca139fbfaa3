"""Which labels of the data are probably wrong. Knows texts and labels, not the model.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating
uncertainty in dataset labels", arXiv:1911.00068): each row is scored by
a model that has not seen it, and each label gets a threshold of its own, the mean probability
of the label among the rows that carry it. Whoever is confident by that measure in another
label disputes the row's own.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from patclass.core.files import atomic_write
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelSet
from patclass.data.examples import Example
from patclass.data.formats import file_format

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Labels = Sequence[int] | npt.NDArray[np.integer]

# One weight per word and label has to fit into memory several times, also with 700 labels.
WORDS = 20_000

# Words beyond this many characters of a text are not counted.
AUDIT_CHARS = 10_000

# Inverse regularisation, not tuned: thresholds are means of the probabilities themselves, so a
# model that is surer throughout raises them as well.
STRENGTH = 4.0


class Dispute(BaseModel):
    """A row whose label another one confidently contradicts.

    ``margin`` is the label's probability less that of the suggested one: the lower, the
    surer the objection. It can be positive where the label is one that the model is used to
    be surer of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    position: int
    label: int
    suggested: int
    label_probability: float
    suggested_probability: float
    margin: float


def out_of_fold(
    texts: Sequence[str],
    labels: _Labels,
    n_classes: int,
    folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> FloatArray:
    """Probabilities of shape (rows, n_classes), each row's by a model fitted without its fold.

    The model is a logistic regression on TF-IDF of words. Texts that are equal but for case
    share a fold, so that duplicates do not vouch for each other.

    :param labels: positions of the rows' labels, below ``n_classes``.
    :param on_progress: called with the number of rows after each fold, for progress bars.
    :raises ValueError: if there are no rows, texts and labels differ in number, a label is
        out of range, or there are fewer than two folds.
    """
    given = _positions(labels, n_classes)
    if len(texts) != len(given):
        raise ValueError(f"rows differ: {len(texts)} texts, {len(given)} labels")
    if folds < 2:
        raise ValueError(f"folds must be at least 2, not {folds}")
    fold_of = _folds([text.lower() for text in texts], given, folds, seed)
    features = _features(texts)
    found = np.zeros((len(given), n_classes), dtype=np.float32)
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        rest = np.flatnonzero(fold_of != fold)
        if len(held):
            found[held] = _opinion(features, given, rest, held, n_classes)
        on_progress(len(held))
    return found


def disputed(labels: _Labels, probabilities: FloatArray) -> list[Dispute]:
    """Rows whose most probable confident label is not their own, the surest first.

    A label k is confident about a row if the row's probability of k reaches the mean of that
    among the rows labelled k. Rows are ranked by their margin, equal ones by position.

    :param probabilities: out-of-fold ones, shape (rows, labels).
    :raises ValueError: if there are no rows, labels and probabilities do not fit together, or
        a probability is no number.
    """
    given, shares = _checked(labels, probabilities)
    suggested = _confident(given, shares)
    rows = np.flatnonzero((suggested >= 0) & (suggested != given))
    own, other = shares[rows, given[rows]], shares[rows, suggested[rows]]
    return [
        Dispute(
            position=int(rows[i]),
            label=int(given[rows[i]]),
            suggested=int(suggested[rows[i]]),
            label_probability=float(own[i]),
            suggested_probability=float(other[i]),
            margin=float(own[i] - other[i]),
        )
        for i in np.argsort(own - other, kind="stable")
    ]


def confident_joint(labels: _Labels, probabilities: FloatArray) -> FloatArray:
    """Estimated rows by label (down) and true label (across), shape (labels, labels).

    Rows without a confident label are left out of the count; the rest are then scaled so that
    each row of the table adds up to the number of rows that carry its label.

    :raises ValueError: as for :func:`disputed`.
    """
    given, shares = _checked(labels, probabilities)
    suggested = _confident(given, shares)
    counted = suggested >= 0
    joint = np.zeros((shares.shape[1], shares.shape[1]))
    np.add.at(joint, (given[counted], suggested[counted]), 1)
    support = np.bincount(given, minlength=shares.shape[1])
    scale = support / np.maximum(joint.sum(axis=1), 1)
    return np.asarray(joint * scale[:, np.newaxis], dtype=np.float32)


def label_noise(labels: _Labels, probabilities: FloatArray) -> dict[int, float]:
    """Share of each label's rows that is estimated to be wrong; labels without rows lack one.

    It is as good as the out-of-fold model: a label with so few rows that no model can learn it
    looks wrong throughout, and so does one that is hard to tell from its neighbours.

    :param probabilities: out-of-fold ones, shape (rows, labels).
    :raises ValueError: as for :func:`disputed`.
    """
    joint = confident_joint(labels, probabilities).astype(np.float64)
    support = joint.sum(axis=1)
    return {
        int(label): float(1 - joint[label, label] / support[label])
        for label in np.flatnonzero(support)
    }


def _confident(given: _Ints, shares: _Floats) -> _Ints:
    """The most probable of each row's confident labels; its own if it ties, -1 if none is."""
    confident = np.where(shares >= _thresholds(given, shares), shares, -1.0)
    best = confident.argmax(axis=1)
    rows = np.arange(len(given))
    own = confident[rows, given] == confident[rows, best]
    return np.where(confident[rows, best] < 0, -1, np.where(own, given, best)).astype(np.int64)


def _thresholds(given: _Ints, shares: _Floats) -> _Floats:
    """Mean probability of each label among its own rows; out of reach where it has none."""
    own = shares[np.arange(len(given)), given]
    n_classes = shares.shape[1]
    support = np.bincount(given, minlength=n_classes)
    means = np.bincount(given, weights=own, minlength=n_classes) / np.maximum(support, 1)
    # Rounding must not lift the mean of equal numbers above them: every label with rows has
    # one that reaches its threshold.
    largest = np.zeros(n_classes)
    np.maximum.at(largest, given, own)
    return np.where(support > 0, np.minimum(means, largest), np.inf)


def _folds(keys: Sequence[str], given: _Ints, folds: int, seed: int) -> _Ints:
    """The fold of each row: equal keys together, the rows of each label spread evenly.

    Distinct keys are dealt out like cards, label by label, without a new start for each: a
    label with fewer rows than folds thus does not always land in the first ones.
    """
    groups: dict[str, list[int]] = {}
    for row in np.random.default_rng(seed).permutation(len(keys)):
        groups.setdefault(keys[row], []).append(int(row))
    dealt = sorted(groups.values(), key=lambda rows: int(given[min(rows)]))
    fold_of = np.empty(len(keys), dtype=np.int64)
    for turn, rows in enumerate(dealt):
        fold_of[rows] = turn % folds
    return fold_of


def _features(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """TF-IDF of all texts (sparse). Word frequencies tell no labels, so folds may share them."""
    vectorizer = TfidfVectorizer(
        max_features=WORDS,
        min_df=2 if len(texts) > 1000 else 1,
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        features: npt.NDArray[np.float32] = vectorizer.fit_transform(
            text[:AUDIT_CHARS] for text in texts
        )
    except ValueError:  # not one word in all the texts: every row looks the same
        return np.zeros((len(texts), 1), dtype=np.float32)
    return features


def _opinion(
    features: npt.NDArray[np.float32], given: _Ints, rest: _Ints, held: _Ints, n_classes: int
) -> FloatArray:
    """Probabilities of shape (held, n_classes): of the rows ``held``, by a model of ``rest``."""
    found = np.zeros((len(held), n_classes), dtype=np.float32)
    classes = np.unique(given[rest])
    if not len(classes):  # one text is all there is
        found[:] = 1 / n_classes
    elif len(classes) == 1:
        found[:, classes] = 1
    else:
        with warnings.catch_warnings():
            # A weight more or less in the fourth digit does not change who is disputed.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=STRENGTH, max_iter=100, tol=1e-3)
            model.fit(features[rest], given[rest])
        found[:, model.classes_] = model.predict_proba(features[held])
    return found


def _positions(labels: _Labels, n_classes: int) -> _Ints:
    given = np.asarray(labels)
    if not given.size:
        raise ValueError("nothing to audit: no rows")
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(f"expected a row of whole numbers, not {given.dtype} of {given.shape}")
    if given.min() < 0 or given.max() >= n_classes:
        raise ValueError(
            f"labels run from {given.min()} to {given.max()}, but there are {n_classes} of them"
        )
    return given.astype(np.int64)


def _checked(labels: _Labels, probabilities: FloatArray) -> tuple[_Ints, _Floats]:
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2:
        raise ValueError(f"expected probabilities of shape (rows, labels), not {shares.shape}")
    given = _positions(labels, shares.shape[1])
    if len(shares) != len(given):
        raise ValueError(f"rows differ: {len(given)} labels, {len(shares)} of probabilities")
    if not np.isfinite(shares).all() or shares.min() < 0:
        raise ValueError("a probability is negative or no finite number")
    return given, shares


# Enough of a text to judge by; the whole of it is found by its id.
EXCERPT = 400


def write_disputes(
    disputes: Sequence[Dispute], rows: Sequence[Example], labels: LabelSet, target: Path
) -> None:
    """Write one row for each dispute, with an empty column ``decision`` to fill in.

    :raises DataError: if the suffix of ``target`` is no known format.
    :raises OutputError: if it cannot be written.
    """
    suffix = file_format(target)
    table = pa.Table.from_pylist([_record(d, rows[d.position], labels) for d in disputes], _SCHEMA)
    with atomic_write(target) as partial:
        if suffix == ".parquet":
            pq.write_table(table, partial)
        elif suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
            partial.write_text("".join(lines), encoding="utf-8")
        else:
            delimiter = "\t" if suffix == ".tsv" else ","
            options = pyarrow.csv.WriteOptions(delimiter=delimiter)
            pyarrow.csv.write_csv(table, partial, options)


_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("label", pa.string()),
        ("label_name", pa.string()),
        ("suggested", pa.string()),
        ("suggested_name", pa.string()),
        ("label_probability", pa.float64()),
        ("suggested_probability", pa.float64()),
        ("text", pa.string()),
        ("decision", pa.string()),
    ]
)


def _record(dispute: Dispute, row: Example, labels: LabelSet) -> dict[str, object]:
    label, suggested = labels[dispute.label], labels[dispute.suggested]
    return {
        "id": row.id,
        "title": row.facts.title,
        "label": label.code,
        "label_name": label.name,
        "suggested": suggested.code,
        "suggested_name": suggested.name,
        "label_probability": round(dispute.label_probability, 4),
        "suggested_probability": round(dispute.suggested_probability, 4),
        "text": row.text[:EXCERPT],
    }
