"""Logistic regression on few or many examples, its strength by cross-validation. Knows features."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from patclass.core.types import Positions

# Dense or sparse, shape (rows, features).
Features: TypeAlias = Any

STRENGTHS = (1.0, 4.0, 16.0, 64.0)
FOLDS = 5


def answers(
    features: Features, labels: Positions, groups: Positions, unseen: Features
) -> Positions:
    """Labels of unseen rows.

    :param groups: rows that stay in one fold, such as patents of a family, shape (rows,).
    """
    folds = min(FOLDS, int(np.bincount(labels).min()))
    search = GridSearchCV(
        LogisticRegression(max_iter=1000),
        {"C": STRENGTHS},
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=0),
        scoring="f1_macro",
    )
    return np.asarray(search.fit(features, labels, groups=groups).predict(unseen))


def tfidf(texts: Sequence[str], unseen: Sequence[str]) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Words and word pairs of examples, and those of them that unseen texts have."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return vectorizer.fit_transform(texts), vectorizer.transform(unseen)


def draw(labels: Positions, each: int, generator: np.random.Generator) -> Positions:
    """Row numbers of ``each`` rows of every label."""
    drawn = [
        generator.choice(np.flatnonzero(labels == label), each, replace=False)
        for label in np.unique(labels)
    ]
    return np.concatenate(drawn)


def numbered(names: Sequence[str]) -> npt.NDArray[np.intp]:
    """A number for each distinct name."""
    return np.unique(np.asarray(names), return_inverse=True)[1]
