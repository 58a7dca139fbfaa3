"""The classifier: scikit-learn's methods on texts and fields."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import patclass
from conftest import patent_rows
from patclass.core.errors import BundleError, ConfigError, DataError
from patclass.data.cleaning import MAX_CHARS
from patclass.inference import Classifier, Options, Prediction, ScoredLabel, load
from patclass.inference.prediction import MIN_ALTERNATIVE, PassageShare

CIRCUIT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."
SOIL = "A device with plough seed harvest crop soil tillage cow milking garment shoe."
ACID = "A device with polymer catalyst alkyl acid reaction compound enzyme alloy solvent."


def test_the_package_exports_the_inference_api(bundle: Path):
    predictions = patclass.load(str(bundle), device="cpu").classify([CIRCUIT], Options(k=1))
    assert isinstance(predictions[0], patclass.Prediction)


def test_it_learns_its_labels(classifier: Classifier):
    assert classifier.classes_ == ["A", "C", "H"]
    assert classifier.predict(patent_rows(9, seed=8)) == ["A", "C", "H"] * 3


def test_probabilities_are_rows_that_sum_to_one(classifier: Classifier):
    probabilities = classifier.predict_proba([SOIL, ACID, CIRCUIT, "x"])
    assert probabilities.shape == (4, 3)
    assert probabilities.dtype == np.float32
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(classifier: Classifier):
    alone = np.concatenate([classifier.predict_proba([text]) for text in (SOIL, "x", CIRCUIT)])
    together = classifier.predict_proba([SOIL, "x", CIRCUIT])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_no_patents_give_no_predictions(classifier: Classifier):
    assert classifier.predict_proba([]).shape == (0, 3)
    assert classifier.predict([]) == []
    assert classifier.classify([]) == []
    assert classifier.classify([], Options(coverage=0.8, neighbours=3, explain=True)) == []


def test_labels_are_sorted_by_probability(classifier: Classifier):
    patent = patent_rows(3, seed=8)[2]
    probabilities = classifier.predict_proba([patent])[0]
    prediction = classifier.classify([patent], Options(k=2))[0]
    first, second = prediction.top
    assert first == ScoredLabel("H", "Electricity", float(probabilities.max()))
    assert first.confidence > second.confidence
    assert prediction == Prediction(
        label="H",
        name="Electricity",
        confidence=first.confidence,
        level="section",
        sure=True,
        path=(first,),
        levels={"section": first},
        top=(first, second),
        label_set=None,
        codes=None,
        read_share=1.0,
        passages=(PassageShare(0, len(classifier.text_of(patent)), 0.0),),
        neighbours=(),
        warnings=(),
        text=classifier.text_of(patent),
        signals=prediction.signals,
    )
    assert prediction.signals.oov_rate == 0
    assert prediction.signals.novelty == pytest.approx(1, abs=0.9)


@pytest.mark.parametrize(("k", "labels"), [(1, 1), (3, 3), (100, 3)])
def test_k_may_exceed_the_number_of_labels(classifier: Classifier, k: int, labels: int):
    assert len(classifier.classify([CIRCUIT], Options(k=k))[0].top) == labels


def test_alternatives_are_listed_by_level_and_probability(classifier: Classifier):
    prediction = classifier.classify([CIRCUIT], Options(k=1, alternatives=True))[0]
    probabilities = classifier.predict_proba([CIRCUIT])[0]
    assert prediction.alternatives is not None
    assert list(prediction.alternatives) == ["section"]
    named = prediction.alternatives["section"]
    assert named[0] == prediction.top[0]
    confidences = [candidate.confidence for candidate in named]
    assert confidences == sorted(probabilities[probabilities >= MIN_ALTERNATIVE], reverse=True)


@pytest.mark.parametrize(
    ("patent", "text"),
    [
        ("  two\n words ", "two words"),
        ({"text": "whole", "title": "T", "abstract": "A"}, "T. A"),
        ({"text": "whole", "claims": "C"}, "whole"),
        ({"title": "T", "abstract": "A"}, "T. A"),
        ({"title": "T", "abstract": None}, "T"),
        ({"abstract": "A"}, "A"),
        ({"claims": "1. A pump.", "description": "D"}, "1. A pump."),
        ({"title": "", "abstract": " ", "description": "D"}, "D"),
        ({"text": 42}, "42"),
    ],
)
def test_the_text_of_a_patent_is_found_in_its_fields(classifier: Classifier, patent, text: str):
    assert classifier.text_of(patent) == text


def test_fields_predict_like_the_text_built_from_them(classifier: Classifier):
    fields = {"title": "The antenna and gate", "abstract": CIRCUIT}
    text = f"The antenna and gate. {CIRCUIT}"
    np.testing.assert_array_equal(
        classifier.predict_proba([fields]), classifier.predict_proba([text])
    )


@pytest.mark.parametrize("patent", ["", " \n\t", {}, {"text": None}, {"summary": "words"}])
def test_a_missing_text_is_an_error_that_names_the_fields(classifier: Classifier, patent):
    with pytest.raises(DataError, match=r"no text.*abstract"):
        classifier.predict([CIRCUIT, patent])


def test_a_text_over_the_limit_is_an_error_that_names_the_limit(classifier: Classifier):
    with pytest.raises(DataError, match=r"1,000,001 characters; at most 1,000,000"):
        classifier.predict(["x" * (MAX_CHARS + 1)])


def test_a_text_at_the_limit_is_classified(classifier: Classifier):
    assert len(classifier.predict(["circuit " * (MAX_CHARS // 8)])) == 1


@pytest.mark.parametrize("text", ["a\0b", "半導体装置", "\u202e x \u200b", "\x1b[31m", "🧪" * 50])
def test_unusual_characters_are_classified(classifier: Classifier, text: str):
    assert len(classifier.predict([text])) == 1


@pytest.mark.parametrize("patent", ["\ud800 circuit", {"abstract": "circuit \udcff"}])
def test_a_lone_surrogate_is_classified_or_refused_with_a_message(classifier: Classifier, patent):
    with suppress(DataError):
        assert len(classifier.predict([patent])) == 1


def test_progress_advances_by_every_row(classifier: Classifier):
    counted: list[int] = []
    classifier.predict_proba([SOIL] * 7, on_progress=counted.append)
    assert sum(counted) == 7
    classifier.classify([SOIL] * 5, on_progress=counted.append)
    assert sum(counted) == 12


def test_a_folder_that_is_not_a_bundle_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(BundleError, match="is not a bundle"):
        load(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_unavailable_device_is_an_error(bundle: Path):
    with pytest.raises(ConfigError, match="cuda"):
        load(bundle, "cuda")
