"""Predictions of a model of the whole tree: levels, sets, neighbours, explanations, warnings."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from conftest import patent_rows, tree_rows, write_jsonl
from helpers import tiny_run
from patclass.core.errors import ConfigError, DataError
from patclass.cpc.levels import code_path
from patclass.inference import AnswerWarning, Classifier, Options, Prediction, load
from patclass.predictor.pipeline import Pipeline

LEVELS = ("section", "class", "subclass")
PATENTS = patent_rows(12, seed=8)
CIRCUIT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."


def classify_one(classifier: Classifier, text: object, **options: object) -> Prediction:
    return classifier.classify([text], Options(**options))[0]


def test_the_tree_matches_the_training_rows(tree_classifier: Classifier):
    tree = tree_classifier.tree
    assert tree.levels == LEVELS
    assert tree.at("section").codes == ["A", "C", "H"]
    assert tree.at("class").codes == ["A01", "A02", "C01", "C02", "H01", "H02"]
    assert ("C",) in tree.paths  # C07 was too rare
    assert ("Y", "Y02", "Y02E") in tree.nodes
    assert tree_classifier.classes_ == ["A01B", "A02B", "C01B", "C02B", "H01B", "H02B"]


def test_it_learns_its_sections(tree_classifier: Classifier):
    assert tree_classifier.predict(PATENTS, "section") == ["A", "C", "H"] * 4


def test_probabilities_of_a_level_are_sums_of_the_level_below(tree_classifier: Classifier):
    texts = [*PATENTS, "Soil.", "0123", "半導体"]
    section, class_, subclass = (tree_classifier.predict_proba(texts, level) for level in LEVELS)
    np.testing.assert_allclose(section.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(class_, subclass, atol=1e-6)  # each class has one subclass here
    for column in (0, 2):  # A and H have no "other"
        pair = class_[:, 2 * column : 2 * column + 2].sum(axis=1)
        np.testing.assert_allclose(section[:, column], pair, atol=1e-5)
    assert (class_[:, 2:4].sum(axis=1) < section[:, 1]).all()
    np.testing.assert_array_equal(tree_classifier.predict_proba(texts), subclass)


@pytest.mark.parametrize("level", ["auto", *LEVELS])
def test_the_path_ends_at_the_predicted_label(tree_classifier: Classifier, level: str):
    for prediction in tree_classifier.classify(PATENTS, Options(level=level)):
        codes = [step.label for step in prediction.path]
        assert codes[-1] == prediction.label
        assert all(below.startswith(above) for above, below in pairwise(codes))
        confidences = [step.confidence for step in prediction.path]
        assert confidences == sorted(confidences, reverse=True)
        assert prediction.path[-1] == prediction.top[0] == prediction.levels[prediction.level]
        assert len(prediction.path) == LEVELS.index(prediction.level) + 1


@pytest.mark.parametrize("level", ["auto", *LEVELS])
def test_the_best_label_of_each_level_is_below_that_of_the_level_above(
    tree_classifier: Classifier, level: str
):
    for prediction in tree_classifier.classify(PATENTS, Options(level=level)):
        codes = [prediction.levels[name].label for name in LEVELS]
        assert codes[2].startswith(codes[1])
        assert codes[1].startswith(codes[0])


def test_levels_are_consistent_when_the_best_class_is_in_another_section(
    tree_classifier: Classifier, monkeypatch: pytest.MonkeyPatch
):
    """Section A sums to more than H, but none of its classes is as probable as H01."""
    shares = {"A01B": 0.28, "A02B": 0.27, "H01B": 0.4}
    leaves = [shares.get(path[-1], 0.0125) for path in tree_classifier.tree.paths]
    real = Pipeline.run_encoded

    def patched_run(self, texts, encodings, on_progress=lambda rows: None):
        outputs = real(self, texts, encodings, on_progress)
        object.__setattr__(outputs, "leaves", np.array([leaves] * len(texts), np.float32))
        return outputs

    monkeypatch.setattr(Pipeline, "run_encoded", patched_run)
    prediction = classify_one(tree_classifier, CIRCUIT)
    codes = [prediction.levels[name].label for name in LEVELS]
    assert codes[0] == "A"
    assert all(code.startswith(above) for above, code in pairwise(codes))
    # At level class the most probable class is predicted, with its own section.
    at_class = classify_one(tree_classifier, CIRCUIT, level="class")
    assert [step.label for step in at_class.path] == ["H", "H01"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_requested_level_is_predicted(tree_classifier: Classifier, level: str):
    for prediction in tree_classifier.classify(PATENTS, Options(level=level, k=100)):
        assert prediction.level == level
        assert [entry.label for entry in prediction.top] == sorted(
            tree_classifier.tree.at(level).codes,
            key={entry.label: -entry.confidence for entry in prediction.top}.__getitem__,
        )


@pytest.mark.parametrize(
    ("threshold", "level", "sure"),
    [(0, "subclass", True), (0.9, "section", True), (1, "section", False)],
)
def test_a_threshold_determines_the_depth_of_auto(
    tree_classifier: Classifier, threshold: float, level: str, sure: bool
):
    prediction = classify_one(tree_classifier, "Soil and catalyst.", threshold=0)
    assert prediction.level == "subclass"
    prediction = classify_one(
        tree_classifier, PATENTS[2] if threshold < 1 else "Soil.", threshold=threshold
    )
    assert (prediction.level, prediction.sure) == (level, sure)


def test_an_unsure_prediction_says_so(tree_classifier: Classifier):
    prediction = classify_one(tree_classifier, "Soil and catalyst for the circuit.", threshold=1)
    assert not prediction.sure
    assert ("low_confidence", "not even the section is sure: have it reviewed") in [
        (warning.code, warning.message) for warning in prediction.warnings
    ]


@pytest.mark.parametrize("level", ["group", "label", "Section", ""])
def test_an_unknown_level_is_refused_with_the_known_ones(tree_classifier: Classifier, level: str):
    for call in (
        lambda: tree_classifier.classify([CIRCUIT], Options(level=level)),
        lambda: tree_classifier.predict_proba([CIRCUIT], level or "?"),
        lambda: tree_classifier.predict([CIRCUIT], level or "?"),
    ):
        with pytest.raises(ConfigError, match="has section, class, subclass"):
            call()


def test_there_are_no_probabilities_of_an_undecided_level(tree_classifier: Classifier):
    with pytest.raises(ConfigError, match="section, class, subclass"):
        tree_classifier.predict_proba([CIRCUIT], "auto")


@pytest.mark.parametrize("level", LEVELS)
def test_a_label_set_contains_the_prediction_and_is_sorted(tree_classifier: Classifier, level: str):
    for prediction in tree_classifier.classify(PATENTS, Options(level=level, coverage=0.8)):
        assert prediction.label_set
        assert prediction.label_set[0].label == prediction.label
        confidences = [entry.confidence for entry in prediction.label_set]
        assert confidences == sorted(confidences, reverse=True)


def test_label_sets_have_about_the_requested_coverage(tree_classifier: Classifier):
    rows = [row for row in tree_rows(300, seed=21) if row["main_code"][:3] != "C07"]
    predictions = tree_classifier.classify(
        [{"title": row["title"], "abstract": row["abstract"]} for row in rows],
        Options(level="class", coverage=0.8),
    )
    held = [
        row["main_code"][:3] in [entry.label for entry in prediction.label_set]
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    # With eighteen held-out rows, the coverage of 0.8 holds on average, not for every model.
    assert np.mean(held) > 0.6
    assert max(len(prediction.label_set) for prediction in predictions) <= 4


@pytest.mark.parametrize(("coverage", "named"), [(0.99, "at most 0.947"), (1.5, "between 0 and 1")])
def test_an_unattainable_coverage_is_refused(
    tree_classifier: Classifier, coverage: float, named: str
):
    with pytest.raises(ConfigError, match=named):
        classify_one(tree_classifier, CIRCUIT, coverage=coverage)


def test_neighbours_are_training_patents_the_most_similar_first(tree_classifier: Classifier):
    known = {row["id"]: row for row in tree_rows(90, seed=1)}
    same = 0
    for prediction in tree_classifier.classify(PATENTS, Options(neighbours=3)):
        assert len(prediction.neighbours) == 3
        for near in prediction.neighbours:
            assert near.title == known[near.id]["title"]
            assert near.codes[0] == known[near.id]["main_code"][0]
            same += near.codes[0] == prediction.label[0]
        similarities = [near.similarity for near in prediction.neighbours]
        assert similarities == sorted(similarities, reverse=True)
    assert same > 3 * len(PATENTS) / 2  # a third of them would be of the same section by chance


def test_more_neighbours_than_patents_returns_all_patents(tree_classifier: Classifier):
    assert len(classify_one(tree_classifier, CIRCUIT, neighbours=100).neighbours) == 90


def test_a_training_patent_is_its_own_nearest(tree_classifier: Classifier):
    for row in tree_rows(5, seed=1):
        fields = {"title": row["title"], "abstract": row["abstract"]}
        near = classify_one(tree_classifier, fields, neighbours=1).neighbours[0]
        assert near.id == row["id"]
        assert near.similarity == pytest.approx(1, abs=0.02)


def test_all_codes_are_given_on_request(tree_classifier: Classifier):
    assert classify_one(tree_classifier, CIRCUIT).codes is None
    codes = classify_one(tree_classifier, CIRCUIT, all_codes=True, recall=0.99).codes
    assert codes
    assert [code.level for code in codes] == sorted(
        (code.level for code in codes), key=LEVELS.index
    )
    probabilities = {code.code: code.probability for code in codes}
    for code in codes:
        assert 0 < code.probability < 1
        parents = code_path(code.code)[:-1]
        assert all(probabilities[parent] >= code.probability for parent in parents)


def test_the_prediction_and_its_ancestors_have_the_main_role(tree_classifier: Classifier):
    for prediction in tree_classifier.classify(PATENTS, Options(all_codes=True, precision=0.99)):
        main = [code.code for code in prediction.codes if code.role == "main"]
        assert main == [step.label for step in prediction.path]


def test_more_recall_never_gives_fewer_codes(tree_classifier: Classifier):
    def given(recall: float) -> int:
        options = Options(all_codes=True, recall=recall)
        return sum(len(found.codes) for found in tree_classifier.classify(PATENTS, options))

    assert given(0.3) <= given(0.6) <= given(0.95)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": 0.8}, "precision: it chooses among all codes; ask for all_codes too"),
        ({"all_codes": True, "precision": 0.8, "recall": 0.8}, "precision and recall"),
        ({"all_codes": True, "precision": 1.0}, r"precision 1: expected a share from 0\.05 to"),
        ({"all_codes": True, "recall": 0.0}, r"recall 0: expected a share from 0\.05 to 0\.99"),
    ],
)
def test_what_codes_cannot_be_chosen_by_is_refused(
    tree_classifier: Classifier, options: dict[str, object], message: str
):
    with pytest.raises(ConfigError, match=message):
        classify_one(tree_classifier, CIRCUIT, **options)


def test_a_model_with_one_label_a_patent_gives_no_codes(classifier: Classifier):
    with pytest.raises(ConfigError, match="all_codes: this model knows one label a patent"):
        classify_one(classifier, CIRCUIT, all_codes=True)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        pytest.param("Bearing.", "few_words", "only one word", id="one word"),
        pytest.param("0123456789 3.14", "no_letters", "no letters", id="digits only"),
        pytest.param("半導体装置とその製造方法。", "other_script", "another script", id="Japanese"),
        pytest.param(
            f"{CIRCUIT} " * 60, "partly_read", r"only \d+% of the text was read", id="long text"
        ),
    ],
)
def test_warnings_explain_why_a_prediction_is_uncertain(
    tree_classifier: Classifier, text: str, code: str, message: str
):
    prediction = classify_one(tree_classifier, text)
    (warning,) = [each for each in prediction.warnings if each.code == code]
    assert re.search(message, warning.message)


def test_ordinary_patents_rarely_have_warnings(tree_classifier: Classifier):
    warned = [
        bool(prediction.warnings) for prediction in tree_classifier.classify(patent_rows(60, 9))
    ]
    assert sum(warned) <= 12


def test_few_agreeing_neighbours_are_a_warning(
    tree_classifier: Classifier, monkeypatch: pytest.MonkeyPatch
):
    """The nearest patents are all in A, whatever the model predicts."""
    near = classify_one(tree_classifier, PATENTS[0], neighbours=60).neighbours
    soil = [neighbour for neighbour in near if neighbour.codes[0] == "A"][:10]
    assert len(soil) == 10
    index = tree_classifier.bundle.neighbours
    monkeypatch.setattr(type(index), "nearest", lambda self, embeddings, k: [list(soil)])
    prediction = classify_one(tree_classifier, PATENTS[2])
    message = f"only 0 of the {len(soil)} most similar patents are in H"
    assert AnswerWarning("neighbours_disagree", message) in prediction.warnings


def truncated_splits(folder: Path, **letters: int) -> None:
    """Rows whose main code is truncated to the given number of characters in each split."""
    for split, count, seed in (("train", 90, 1), ("validation", 18, 2), ("test", 24, 3)):
        rows = [
            row | {"main_code": row["main_code"][: letters[split]]}
            for row in patent_rows(count, seed)
        ]
        write_jsonl(folder / f"{split}.jsonl", rows)


def test_symbols_without_subclasses_make_a_tree_without_that_level(tiny_bert: Path, tmp_path: Path):
    truncated_splits(tmp_path, train=3, validation=3, test=3)
    tiny_run(tiny_bert, tmp_path, tmp_path / "model", labels="cpc", epochs=1)
    shallow = load(tmp_path / "model", "cpu")
    prediction = classify_one(shallow, CIRCUIT, threshold=0)
    assert (prediction.level, len(prediction.label)) == ("class", 3)
    assert shallow.tree.levels == ("section", "class")
    assert shallow.predict_proba([CIRCUIT]).shape == (1, 6)


def test_a_level_without_validation_labels_is_predicted_without_a_set(
    tiny_bert: Path, tmp_path: Path
):
    truncated_splits(tmp_path, train=4, validation=1, test=4)
    tiny_run(tiny_bert, tmp_path, tmp_path / "model", labels="cpc", epochs=1)
    coarse = load(tmp_path / "model", "cpu")
    assert coarse.bundle.calibration.inverse_temperatures[1:] == (1.0, 1.0)
    assert (
        set(coarse.bundle.calibration.thresholds)
        == set(coarse.bundle.conformal.levels)
        == {"section"}
    )
    assert classify_one(coarse, CIRCUIT, level="section", coverage=0.5).label_set
    assert classify_one(coarse, CIRCUIT, level="class").level == "class"
    # An unattainable coverage is refused and not ignored.
    with pytest.raises(ConfigError, match="class"):
        classify_one(coarse, CIRCUIT, level="class", coverage=0.5)
    deep = classify_one(coarse, CIRCUIT, threshold=0.0, coverage=0.5)
    assert (deep.level, deep.label_set) == ("subclass", None)
    assert any(warning.code == "no_label_set" for warning in deep.warnings)


def test_an_invalid_patent_in_a_batch_is_refused(tree_classifier: Classifier):
    with pytest.raises(DataError, match="no text"):
        tree_classifier.classify([CIRCUIT, {"title": ""}])
