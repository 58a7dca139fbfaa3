"""What a model has to beat, fitted on the same rows: the majority and TF-IDF + regression."""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from patclass.arrays import FloatArray
from patclass.data.corpus import Example
from patclass.evaluation.metrics import Metrics, evaluate

# Inverse regularisation, chosen on validation so that the rival is a fair one.
STRENGTHS = (1.0, 4.0, 16.0)

# Words beyond this many characters of a text are not counted: bigrams of full descriptions
# would need more memory than the model itself.
BASELINE_CHARS = 10_000


def majority(train: Sequence[Example], test: Sequence[Example], codes: Sequence[str]) -> Metrics:
    """The label frequencies of train as the answer to everything."""
    model = DummyClassifier(strategy="prior")
    model.fit(np.zeros((len(train), 1)), [row.label for row in train])
    probabilities = model.predict_proba(np.zeros((len(test), 1)))
    return _metrics(test, probabilities, model.classes_, codes)


def tfidf_regression(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    codes: Sequence[str],
) -> Metrics:
    """Logistic regression on TF-IDF of words and word pairs, its strength from validation."""
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2 if len(train) > 1000 else 1, sublinear_tf=True
    )
    try:
        features = vectorizer.fit_transform(row.text[:BASELINE_CHARS] for row in train)
    except ValueError:  # not one word in all the texts: there is nothing to go by
        return majority(train, test, codes)
    seen = vectorizer.transform(row.text[:BASELINE_CHARS] for row in validation)
    chosen, best = None, -1.0
    for strength in tqdm(STRENGTHS, desc="fitting the TF-IDF baseline", disable=None):
        model = _fit(features, [row.label for row in train], strength)
        accuracy = float(model.score(seen, [row.label for row in validation]))
        if accuracy > best:
            chosen, best = model, accuracy
    assert chosen is not None
    unseen = vectorizer.transform(row.text[:BASELINE_CHARS] for row in test)
    return _metrics(test, chosen.predict_proba(unseen), chosen.classes_, codes)


def _fit(features: object, labels: list[int], strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # A weight more or less in the fourth digit does not change what the baseline says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=300).fit(features, labels)


def _metrics(
    test: Sequence[Example], probabilities: FloatArray, classes: Sequence[int], codes: Sequence[str]
) -> Metrics:
    """Spread over all labels: train may lack some that the label set has."""
    spread = np.zeros((len(test), len(codes)), dtype=np.float32)
    spread[:, np.asarray(classes)] = probabilities
    return evaluate([row.label for row in test], spread, codes)
