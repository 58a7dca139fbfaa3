"""Passages: their offsets in the text, and their contributions to the prediction."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from patclass.inference import Classifier, Options, Prediction
from patclass.inference.explain import MAX_SENTENCES, contributions
from patclass.model.tokenizer import MAX_WINDOWS, Truncation
from patclass.predictor.pipeline import Pipeline

PLAIN = "It comprises a device and the above."
CIRCUIT = "An antenna circuit with voltage inductor gate amplifier signal electrode."
SOIL = "A plough seed harvest crop soil tillage cow milking garment shoe."


def explained(classifier: Classifier, text: str, level: str = "auto") -> Prediction:
    return classifier.classify([text], Options(level=level, explain=True))[0]


def pipeline_of(classifier: Classifier, truncation: Truncation) -> Pipeline:
    return replace(classifier.bundle.load_pipeline("cpu"), truncation=truncation)


def parts_of(pipeline: Pipeline, text: str, label: str):
    outputs = pipeline.run([text])
    level = pipeline.tree.levels[0]
    return contributions(pipeline, text, outputs.encodings[0], outputs.passages[0], level, label)


def test_sentences_cover_the_encoded_text_without_gaps(classifier: Classifier):
    text = f"{CIRCUIT} {PLAIN} {SOIL}"
    parts = explained(classifier, text).passages
    assert [text[part.start : part.end].strip() for part in parts] == [CIRCUIT, PLAIN, SOIL]
    assert parts[0].start == 0
    assert parts[-1].end == len(text)
    assert all(a.end == b.start for a, b in pairwise(parts))


@pytest.mark.parametrize("order", [(CIRCUIT, SOIL), (SOIL, CIRCUIT)])
@pytest.mark.parametrize(("label", "own"), [("H", CIRCUIT), ("A", SOIL)])
def test_a_supporting_sentence_contributes_positively_and_a_contrary_one_negatively(
    classifier: Classifier, order: tuple[str, str], label: str, own: str
):
    parts = parts_of(pipeline_of(classifier, "head"), " ".join(order), label)
    shares = dict(zip(order, (part.contribution for part in parts), strict=True))
    (other,) = set(order) - {own}
    assert shares[own] > 0 > shares[other]


def test_a_contribution_is_the_probability_lost_without_the_sentence(classifier: Classifier):
    text = f"{CIRCUIT} {SOIL}"
    pipeline = pipeline_of(classifier, "head")
    mine, other = parts_of(pipeline, text, "C")
    rest = [text[mine.end :], text[: other.start]]
    whole, *without = np.log(pipeline.run([text, *rest]).leaves[:, 1])
    assert [mine.contribution, other.contribution] == pytest.approx(
        [whole - part for part in without], abs=1e-4
    )


@pytest.mark.parametrize("text", ["Soil", "soil and seed.", "...", "?", "0123", "半導体装置。"])
def test_a_single_sentence_is_the_only_passage(classifier: Classifier, text: str):
    (part,) = explained(classifier, text).passages
    assert (part.start, part.end, part.contribution) == (0, len(text), 0.0)


def test_excess_sentences_are_merged_at_the_end(classifier: Classifier):
    text = " ".join(f"soil {n};" for n in range(3 * MAX_SENTENCES))
    parts = explained(classifier, text).passages
    assert 1 < len(parts) <= MAX_SENTENCES
    assert parts[-1].end <= len(text)


def test_text_beyond_the_encoding_is_not_explained(classifier: Classifier):
    text = f"{CIRCUIT} " * 50
    prediction = explained(classifier, text)
    assert prediction.read_share < 0.5
    assert prediction.passages[-1].end / len(text.strip()) == pytest.approx(
        prediction.read_share, abs=0.02
    )


def test_offsets_are_reported_without_contributions_too(classifier: Classifier):
    text = f"{CIRCUIT} {SOIL}"
    assert [
        (part.start, part.end, part.contribution)
        for part in classifier.classify([text])[0].passages
    ] == [(0, len(text), 0.0)]


def test_windows_are_explained_separately(classifier: Classifier):
    pipeline = pipeline_of(classifier, "windows")
    text = f"{SOIL} " * 6 + f"{CIRCUIT} " * 6
    parts = parts_of(pipeline, text.strip(), "H")
    assert 3 <= len(parts) <= MAX_WINDOWS
    assert parts[0].start == 0
    assert parts[-1].end == len(text.strip())
    assert all(a.start < b.start < a.end for a, b in pairwise(parts))
    assert parts[0].contribution < 0 < parts[-1].contribution


def test_windows_are_compared_with_the_mean_of_all(classifier: Classifier):
    pipeline = pipeline_of(classifier, "windows")
    text = f"{SOIL} " * 6 + f"{CIRCUIT} " * 6
    passages = pipeline.run([text]).passages[0]
    bare = replace(pipeline.calibration, linear_weight=0.0)
    own = np.log(bare.apply(pipeline.tree, passages)[:, 0])
    together = np.log(bare.apply(pipeline.tree, passages.mean(axis=0)[None])[0, 0])
    found = [part.contribution for part in parts_of(pipeline, text, "A")]
    assert found == pytest.approx((own - together).tolist(), abs=1e-3)


def test_head_and_tail_are_one_passage_across_the_whole_text(classifier: Classifier):
    pipeline = pipeline_of(classifier, "head+tail")
    text = f"{SOIL} " * 10 + CIRCUIT
    (passage,) = pipeline.run([text]).encodings[0].passages
    assert (passage.start, passage.end) == (0, len(text))
    assert parts_of(pipeline, text, "A")[-1].end == len(text)


@pytest.mark.parametrize("level", ["section", "class", "subclass"])
def test_every_level_can_be_explained(tree_classifier: Classifier, level: str):
    prediction = explained(tree_classifier, f"{CIRCUIT} {SOIL}", level)
    assert prediction.level == level
    assert len(prediction.passages) == 2
    assert all(np.isfinite(part.contribution) for part in prediction.passages)
