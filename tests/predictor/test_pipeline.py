"""From texts to probabilities: pooled passages, progress, and unusual texts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patclass.core.types import softmax
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.engines.torch import TorchEngine
from patclass.inference import Classifier
from patclass.model.tokenizer import MAX_WINDOWS, TRUNCATIONS, TextTokenizer, Truncation
from patclass.predictor.calibration import Calibration
from patclass.predictor.components import Components
from patclass.predictor.linear_fit import fit_linear
from patclass.predictor.pipeline import Pipeline, run_with_progress
from tiny_parts import TEXTS, tiny_classifier

TOKENS = 24
NODES = (("Y",),)
TREE = LabelTree(("section",), (("A",), ("H",)), {"A": "A", "H": "H", "Y": "Y"}, NODES)
LONG = " ".join(
    f"The {word} has a {other} and soil {number}."
    for number, (word, other) in enumerate([("antenna", "gate"), ("plough", "cow")] * 10)
)


@pytest.fixture(scope="module")
def pipeline(tiny_bert: Path) -> Pipeline:
    """A tiny model with two leaves and a node, uncalibrated, without a linear model."""
    tokenizer = TextTokenizer.load(tiny_bert, TOKENS)
    return Pipeline(
        TREE,
        TorchEngine(tiny_classifier(tiny_bert), tokenizer),
        tokenizer,
        "head",
        Components([Calibration.none(TREE)]),
    )


def read_by(pipeline: Pipeline, truncation: Truncation) -> Pipeline:
    return replace(pipeline, truncation=truncation)


def test_shapes_are_those_that_are_documented(pipeline: Pipeline):
    found = pipeline.run([*TEXTS, LONG])
    assert found.logits.shape == (4, 3)
    assert found.raw.shape == found.leaves.shape == (4, 2)
    assert found.nodes.shape == (4, 1)
    assert found.embeddings.shape == (4, 32)
    assert found.linear_scores is None
    assert [part.shape for part in found.passages] == [(1, 3)] * 4
    assert len(found.encodings) == 4
    assert {a.dtype for a in (found.logits, found.leaves, found.nodes, found.embeddings)} == {
        np.dtype(np.float32)
    }


def test_leaves_share_a_softmax_and_nodes_are_independent(pipeline: Pipeline):
    found = pipeline.run(TEXTS)
    np.testing.assert_allclose(found.raw, softmax(found.logits[:, :2]), atol=1e-6)
    np.testing.assert_allclose(found.leaves, found.raw, atol=1e-6)
    np.testing.assert_allclose(found.nodes, 1 / (1 + np.exp(-found.logits[:, 2:])), atol=1e-6)


def test_the_head_policy_encodes_the_first_tokens(pipeline: Pipeline):
    texts = [*TEXTS, LONG, ""]
    expected = pipeline.engine.run(pipeline.tokenizer.token_ids(texts)).logits
    np.testing.assert_allclose(pipeline.run(texts).logits, expected, atol=1e-5)


def test_windows_average_their_logits_and_embeddings(pipeline: Pipeline):
    by_windows = read_by(pipeline, "windows")
    found = by_windows.run([TEXTS[1], LONG, TEXTS[0]])
    passages = [len(part) for part in found.passages]
    assert passages[0] == passages[2] == 1
    assert 3 < passages[1] <= MAX_WINDOWS
    np.testing.assert_allclose(found.logits[1], found.passages[1].mean(axis=0), atol=1e-5)
    rows = [passage.ids for passage in found.encodings[1].passages]
    apart = pipeline.engine.run(rows)
    np.testing.assert_allclose(found.passages[1], apart.logits, atol=1e-4)
    np.testing.assert_allclose(found.embeddings[1], apart.embeddings.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.leaves[1], softmax(found.logits[1:2, :2])[0], atol=1e-5)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_a_prediction_does_not_depend_on_the_other_texts(
    pipeline: Pipeline, truncation: Truncation
):
    chosen = read_by(pipeline, truncation)
    texts = [*TEXTS, LONG, "0123", "半導体装置"]
    together = chosen.run(texts)
    for number, text in enumerate(texts):
        alone = chosen.run([text])
        np.testing.assert_allclose(alone.logits[0], together.logits[number], atol=1e-4)
        assert alone.encodings[0] == together.encodings[number]


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_short_texts_are_encoded_alike_by_every_policy(pipeline: Pipeline, truncation: Truncation):
    found = read_by(pipeline, truncation).run(TEXTS[1:2])
    np.testing.assert_allclose(found.logits, pipeline.run(TEXTS[1:2]).logits, atol=1e-6)
    assert found.encodings[0].share == 1


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_progress_adds_up_to_the_number_of_texts(
    pipeline: Pipeline, truncation: Truncation, count: int
):
    advances: list[int] = []
    texts = [(LONG, *TEXTS)[number % 4] for number in range(count)]
    read_by(pipeline, truncation).run(texts, advances.append)
    assert sum(advances) == count
    assert min(advances) >= 0


def test_progress_advances_in_steps_for_many_texts(pipeline: Pipeline):
    advances: list[int] = []
    read_by(pipeline, "windows").run([LONG] * 60, advances.append)
    assert len(advances) > 3
    assert all(part < 60 for part in advances)


def test_a_progress_bar_changes_no_prediction(pipeline: Pipeline):
    found = run_with_progress(pipeline, TEXTS, "scoring")
    np.testing.assert_array_equal(found.logits, pipeline.run(TEXTS).logits)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_no_texts_give_no_predictions(pipeline: Pipeline, truncation: Truncation):
    advances: list[int] = []
    found = read_by(pipeline, truncation).run([], advances.append)
    assert found.logits.shape == (0, 3)
    assert found.leaves.shape == (0, 2)
    assert sum(advances) == 0


def test_a_classifier_returns_an_empty_list_for_an_empty_list(
    classifier: Classifier, tree_classifier: Classifier
):
    for any_of in (classifier, tree_classifier):
        advances: list[int] = []
        assert any_of.classify([], on_progress=advances.append) == []
        assert sum(advances) == 0
        assert any_of.predict_proba([]).shape == (0, len(any_of.classes_))


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("text", ["", "...", "🧪", "\x01", "半", "0"])
def test_a_text_without_words_is_classified(pipeline: Pipeline, truncation: Truncation, text: str):
    found = read_by(pipeline, truncation).run([text, TEXTS[0]])
    assert np.isfinite(found.logits).all()
    assert found.leaves[0].sum() == pytest.approx(1, abs=1e-5)
    assert found.encodings[0].share == 1
    assert [len(part) for part in found.passages] == [1, 1] or truncation == "windows"


@pytest.mark.parametrize("text", ["...", "🧪", "半導体", "0123"])
def test_the_linear_model_accepts_a_text_without_known_words(pipeline: Pipeline, text: str):
    rows = [
        Example("P", words, (leaf,), (leaf,))
        for leaf, words in enumerate(["soil seed", "gate voltage"])
    ]
    linear = fit_linear(TREE, rows * 4, rows)
    assert linear is not None
    both = replace(pipeline, components=Components([linear, Calibration((1.0,), (1.0,))]))
    found = both.run([text, "soil", "gate"])
    assert found.linear_scores is not None
    assert found.linear_scores.shape == (3, 2)
    np.testing.assert_allclose(found.linear_scores[0], linear.intercept, atol=1e-5)
    assert np.isfinite(found.leaves).all()
    assert found.leaves[1, 0] > found.raw[1, 0]
    assert found.leaves[2, 1] > found.raw[2, 1]


def test_calibration_changes_probabilities_and_nothing_else(pipeline: Pipeline):
    flat = replace(pipeline, components=Components([Calibration((0.1,))]))
    before, after = pipeline.run(TEXTS), flat.run(TEXTS)
    np.testing.assert_array_equal(before.logits, after.logits)
    np.testing.assert_array_equal(before.raw, after.raw)
    np.testing.assert_allclose(after.leaves, softmax(0.1 * before.logits[:, :2]), atol=1e-5)
