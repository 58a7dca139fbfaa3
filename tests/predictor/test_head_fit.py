"""A linear head from few examples, with names as prior: by itself, and at both ends."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from patclass.core.types import FloatArray
from patclass.predictor import head_fit
from patclass.predictor.drift_reference import EmbeddingSpace
from patclass.predictor.head_fit import fit_head, name_prior

HIDDEN = 6
SPACE = EmbeddingSpace(np.full(HIDDEN, 2.0, np.float32), np.eye(HIDDEN, 2, dtype=np.float32))
NO_PRIOR = np.zeros((3, HIDDEN), dtype=np.float32)


def drawn(rows: int, seed: int = 0) -> tuple[FloatArray, list[int]]:
    """Embeddings of three labels, each with an axis of its own."""
    labels = [row % 3 for row in range(rows)]
    noise = np.random.default_rng(seed).normal(2, 0.7, (rows, HIDDEN))
    noise[np.arange(rows), labels] += 2
    return noise.astype(np.float32), labels


def test_without_a_prior_it_is_logistic_regression(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(head_fit, "_BIAS_STRENGTH", 1e-9)  # scikit-learn does not hold it back
    embeddings, labels = drawn(60)
    head = fit_head(embeddings, labels, NO_PRIOR, SPACE, strength=0.5)
    scaled = (embeddings - SPACE.mean) / np.sqrt(2)  # two directions of deviation one
    other = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000).fit(scaled, labels)
    logits, expected = head.logits(embeddings), other.decision_function(scaled)
    logits -= logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(logits, expected - expected.mean(axis=1, keepdims=True), atol=0.01)


def test_without_an_example_it_is_the_similarity_to_the_names():
    names = np.array([[4, 2, 2, 2, 2, 2], [2, 5, 2, 2, 2, 2], [2, 2, 3, 2, 2, 2]], np.float32)
    prior = name_prior(names, [True] * 3, SPACE)
    np.testing.assert_allclose(np.linalg.norm(prior, axis=1), 1, atol=1e-6)
    head = fit_head(names[:0], [], prior, SPACE)
    assert head.logits(names).argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(head.logits(SPACE.mean[None]), 0, atol=1e-5)


def test_many_examples_overrule_wrong_names():
    embeddings, labels = drawn(600)
    wrong = np.eye(3, HIDDEN, k=1, dtype=np.float32)
    right = fit_head(embeddings, labels, wrong, SPACE).logits(embeddings).argmax(axis=1) == labels
    few = fit_head(embeddings[:3], labels[:3], wrong, SPACE).logits(embeddings).argmax(axis=1)
    assert right.mean() > 0.85 > (few == labels).mean()


def test_a_label_without_an_example_keeps_its_name():
    embeddings, labels = drawn(60)
    seen = [row for row, label in enumerate(labels) if label < 2]
    prior = np.eye(3, HIDDEN, dtype=np.float32)
    head = fit_head(embeddings[seen], [labels[row] for row in seen], prior, SPACE)
    third = head.logits(embeddings).argmax(axis=1)[np.array(labels) == 2]
    assert (third == 2).mean() > 0.7


def test_a_label_without_a_name_has_no_direction():
    names = np.ones((3, HIDDEN), dtype=np.float32)
    names[0, 0] = 3
    prior = name_prior(names, [True, False, True], SPACE)
    assert not prior[1].any()
    np.testing.assert_allclose(prior[0], -prior[2], atol=1e-6)  # what they share is left out
    alone = name_prior(names, [True, False, False], SPACE)
    assert alone[0].any()
    assert not alone[1:].any()
