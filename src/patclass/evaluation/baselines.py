"""What a model has to beat, fitted on the same rows: the majority and TF-IDF + regression."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from patclass.core.progress import track
from patclass.core.types import FloatArray
from patclass.evaluation.metrics import Metrics, evaluate

# Inverse regularisation, chosen on validation so that the baseline is a fair one.
STRENGTHS = (1.0, 4.0, 16.0)

# Words beyond this many characters of a text are not counted: bigrams of full descriptions
# would need more memory than the model itself.
BASELINE_CHARS = 10_000

# The regression has a weight for each word and label, and each step of the fit passes over all
# of them. Above this many labels it is given half the precision, fewer steps, fewer words and
# one strength less, or it would take hours and gigabytes. The strongest regularisation goes:
# it pays off with few words only.
MANY_LABELS = 50
MANY_LABELS_STRENGTHS = (4.0, 16.0)
MANY_LABELS_WEIGHTS = 10_000_000


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with the positions of their labels; negative ones stand for labels not known."""

    texts: Sequence[str]
    labels: Sequence[int] | npt.NDArray[np.intp]


def majority(train: LabelledTexts, test: LabelledTexts, codes: Sequence[str]) -> Metrics:
    """The label frequencies of train as the answer to everything.

    :raises ValueError: if there are no rows to fit or to test on.
    """
    model = DummyClassifier(strategy="prior").fit(np.zeros((len(train.texts), 1)), train.labels)
    probabilities = model.predict_proba(np.zeros((len(test.texts), 1)))
    return _metrics(test, probabilities, model.classes_, codes)


def tfidf_regression(
    train: LabelledTexts, validation: LabelledTexts, test: LabelledTexts, codes: Sequence[str]
) -> Metrics:
    """Logistic regression on TF-IDF of words and word pairs, its strength from validation.

    Where there is nothing to go by, no word or only one label in train, it is the majority.
    """
    vectorizer = _vectorizer(len(train.texts), len(codes))
    try:
        features = vectorizer.fit_transform(_heads(train))
    except ValueError:  # not one word in all the texts
        return majority(train, test, codes)
    if len(set(train.labels)) < 2:
        return majority(train, test, codes)
    seen = vectorizer.transform(_heads(validation)) if len(validation.texts) else None
    strengths = MANY_LABELS_STRENGTHS if len(codes) > MANY_LABELS else STRENGTHS
    chosen, best = None, -1.0
    for strength in track(strengths, "fitting the TF-IDF baseline", unit="fit"):
        model = _fit(features, train.labels, strength, 100 if len(codes) > MANY_LABELS else 300)
        accuracy = 0.0 if seen is None else float(model.score(seen, validation.labels))
        if accuracy > best:
            chosen, best = model, accuracy
    assert chosen is not None
    unseen = vectorizer.transform(_heads(test))
    return _metrics(test, chosen.predict_proba(unseen), chosen.classes_, codes)


def _vectorizer(rows: int, labels: int) -> TfidfVectorizer:
    many = labels > MANY_LABELS
    return TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2 if rows > 1000 else 1,
        max_features=MANY_LABELS_WEIGHTS // labels if many else None,
        sublinear_tf=True,
        dtype=np.float32 if many else np.float64,
    )


def _heads(rows: LabelledTexts) -> list[str]:
    return [text[:BASELINE_CHARS] for text in rows.texts]


def _fit(
    features: object, labels: Sequence[int] | npt.NDArray[np.intp], strength: float, steps: int
) -> LogisticRegression:
    with warnings.catch_warnings():
        # A weight more or less in the fourth digit does not change what the baseline says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=steps).fit(features, labels)


def _metrics(
    test: LabelledTexts, probabilities: FloatArray, classes: Sequence[int], codes: Sequence[str]
) -> Metrics:
    """Spread over all labels: train may lack some that the label set has."""
    spread = np.zeros((len(test.texts), len(codes)), dtype=np.float32)
    spread[:, np.asarray(classes)] = probabilities
    return evaluate(np.asarray(test.labels), spread, codes)
