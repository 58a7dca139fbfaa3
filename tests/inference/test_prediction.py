"""A prediction has the same fields in Python, JSON, CSV and Parquet; contributions of passages."""

import csv
import json
from dataclasses import asdict, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import patent_rows
from patclass.core.errors import ConfigError
from patclass.cpc.levels import LEVELS as CPC_LEVELS
from patclass.cpc.tree import LabelTree
from patclass.data.table import Row
from patclass.inference import Classifier, Options, Prediction
from patclass.inference.prediction import (
    COLUMNS,
    DEFAULT_THRESHOLD,
    MAX_SENTENCES,
    ScoredLabel,
    check_level,
    choose_level,
    contributions,
    path_to,
    record_of,
    scored_labels,
    thresholds_of,
)
from patclass.inference.sinks import SCHEMA, OwnColumns, open_sink
from patclass.model.tokenizer import MAX_WINDOWS, Truncation
from patclass.predictor.pipeline import Pipeline

PATHS = (("A", "A01", "A01B"), ("A", "A01", "A01C"), ("H", "H01", "H01L"))
TREE = LabelTree(
    ("section", "class", "subclass"), PATHS, {code: code for path in PATHS for code in path}
)
BEST = {"section": 0.95, "class": 0.8, "subclass": 0.6}


def at(section: float, class_: float, subclass: float) -> dict[str, float]:
    return {"section": section, "class": class_, "subclass": subclass}


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        pytest.param(at(0.9, 0.7, 0.5), ("subclass", True), id="all are sure"),
        pytest.param(at(0.9, 0.7, 0.9), ("class", True), id="down to the class"),
        pytest.param(at(0.9, 0.9, 0.9), ("section", True), id="the section only"),
        pytest.param(at(0.99, 0.9, 0.9), ("section", False), id="not even the section"),
        pytest.param(at(1.01, 1.01, 1.01), ("section", False), id="no confidence is enough"),
        pytest.param(at(0.95, 0.8, 0.6), ("subclass", True), id="just reached"),
        pytest.param(at(0.99, 0.9, 0.5), ("subclass", True), id="the deepest one alone"),
        pytest.param(at(0, 0, 0), ("subclass", True), id="anything is enough"),
    ],
)
def test_auto_predicts_at_the_deepest_sure_level(
    thresholds: dict[str, float], expected: tuple[str, bool]
):
    assert choose_level(BEST, "auto", thresholds) == expected


@pytest.mark.parametrize("level", ["section", "class", "subclass"])
@pytest.mark.parametrize(("threshold", "sure"), [(0.5, True), (0.99, False)])
def test_a_requested_level_is_predicted_whether_sure_or_not(
    level: str, threshold: float, sure: bool
):
    thresholds = dict.fromkeys(BEST, threshold)
    assert choose_level(BEST, level, thresholds) == (level, sure)


def test_the_thresholds_of_the_bundle_apply_unless_one_is_given():
    known = {"section": 0.7, "class": 1.01}
    assert thresholds_of(TREE, known, None) == at(0.7, 1.01, DEFAULT_THRESHOLD)
    assert thresholds_of(TREE, known, 0.5) == at(0.5, 0.5, 0.5)
    assert thresholds_of(TREE, {}, 0.0) == at(0.0, 0.0, 0.0)
    assert thresholds_of(TREE, {"label": 0.1}, None) == dict.fromkeys(BEST, DEFAULT_THRESHOLD)


@pytest.mark.parametrize("given", [-0.1, 1.1, 90, float("nan")])
def test_a_threshold_that_is_not_a_probability_is_refused(given: float):
    with pytest.raises(ConfigError, match=rf"^threshold {given:g}: expected a probability"):
        thresholds_of(TREE, {}, given)


@pytest.mark.parametrize("level", ["section", "class", "subclass"])
def test_known_levels_are_accepted(level: str):
    check_level(TREE, level)


@pytest.mark.parametrize("level", ["group", "Section", "", "label", "auto"])
def test_an_unknown_level_is_refused_with_the_known_ones(level: str):
    with pytest.raises(ConfigError, match=rf"^level {level}: .* section, class, subclass"):
        check_level(TREE, level)


# Section A sums to more than H; its "other" leaf and H01L are each more probable than A01B.
FOLDED = LabelTree(
    TREE.levels,
    (("A",), ("A", "A01", "A01B"), ("A", "A01", "A01C"), ("B",), ("H", "H01", "H01L")),
    {code: code for code in ("A", "A01", "A01B", "A01C", "B", "H", "H01", "H01L")},
)


def sums_of(*leaves: float) -> dict[str, np.ndarray]:
    probabilities = np.array([leaves], dtype=np.float32)
    return {level: FOLDED.sums(probabilities, level)[0] for level in FOLDED.levels}


@pytest.mark.parametrize(
    ("leaves", "start", "expected"),
    [
        pytest.param((0.3, 0.15, 0.1, 0, 0.45), (), ("A", "A01", "A01B"), id="below the best"),
        pytest.param((0.1, 0.05, 0.1, 0, 0.75), (), ("H", "H01", "H01L"), id="one branch"),
        pytest.param((0.3, 0.15, 0.1, 0, 0.45), ("H",), ("H", "H01", "H01L"), id="from a node"),
        pytest.param((0, 0.2, 0.1, 0.7, 0), (), ("B",), id="nothing below"),
        pytest.param((0, 0, 0, 0, 1), ("A", "A01", "A01C"), ("A", "A01", "A01C"), id="the end"),
    ],
)
def test_the_best_label_of_a_level_is_chosen_below_that_of_the_level_above(
    leaves: tuple[float, ...], start: tuple[str, ...], expected: tuple[str, ...]
):
    assert FOLDED.descend(sums_of(*leaves), start) == expected


@pytest.mark.parametrize(
    ("level", "code", "path"),
    [
        ("section", "A", ("A",)),
        ("section", "B", ("B",)),
        ("class", "A01", ("A", "A01")),
        ("subclass", "A01C", ("A", "A01", "A01C")),
    ],
)
def test_a_label_has_its_ancestors(level: str, code: str, path: tuple[str, ...]):
    assert path_to(FOLDED, level, code) == path


def test_candidates_have_the_titles_and_probabilities_of_their_level():
    probabilities = np.array([0.25, 0.75], dtype=np.float32)
    tree = LabelTree(TREE.levels, PATHS, dict(TREE.names) | {"A": "Needs", "H": "Volts"})
    found = scored_labels(tree, "section", probabilities, np.array([1, 0]))
    assert found == (ScoredLabel("H", "Volts", 0.75), ScoredLabel("A", "Needs", 0.25))
    assert all(type(candidate.confidence) is float for candidate in found)


EVERYTHING = Options(coverage=0.8, neighbours=2, explain=True, all_codes=True)
ALL = OwnColumns(answers=COLUMNS)
LISTS = ("path", "top", "label_set", "codes", "passages", "neighbours", "warnings")


@pytest.fixture(scope="module")
def prediction(tree_classifier: Classifier) -> Prediction:
    return tree_classifier.classify([patent_rows(3, seed=8)[2]], EVERYTHING)[0]


@pytest.fixture(scope="module")
def row(prediction: Prediction) -> dict[str, Any]:
    return record_of(prediction) | {"id": "EP1"}


def json_value(value: Any) -> Any:
    """The value after a JSON round trip."""
    return json.loads(json.dumps(value))


def test_the_record_of_a_prediction_has_every_table_field(
    prediction: Prediction, row: dict[str, Any]
):
    assert tuple(row) == COLUMNS
    flat = {field.name for field in fields(Prediction)} - {
        *("levels", "text", "alternatives", "signals")
    }
    assert flat == set(COLUMNS) - {"id", "error"} - {
        f"{level}{part}" for level in CPC_LEVELS for part in ("", "_confidence")
    }
    assert {name: row[name] for name in flat} == {
        name: value for name, value in asdict(prediction).items() if name in flat
    }


def test_every_level_has_its_label_and_confidence(prediction: Prediction, row: dict[str, Any]):
    for level, best in prediction.levels.items():
        assert (row[level], row[f"{level}_confidence"]) == (best.label, best.confidence)
    assert (row["section"], len(row["class"]), len(row["subclass"])) == ("H", 3, 4)


def test_unknown_levels_are_none(classifier: Classifier):
    record = record_of(classifier.classify(["soil and seed"])[0])
    assert record["section"] == record["label"]
    assert record["section_confidence"] == record["confidence"]
    assert (record["class"], record["subclass_confidence"]) == (None, None)
    assert record["label_set"] is None
    assert (record["neighbours"], record["error"]) == ((), None)


def test_json_lines_have_the_same_fields(row: dict[str, Any], tmp_path: Path):
    with open_sink(tmp_path / "out.jsonl", ALL) as sink:
        sink.write([Row(1)], [row])
    found = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert found == {k: json_value(v) for k, v in row.items() if v is not None and v != ()}


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_csv_and_tsv_have_the_same_fields(
    row: dict[str, Any], tmp_path: Path, suffix: str, delimiter: str
):
    with open_sink(tmp_path / f"out{suffix}", ALL) as sink:
        sink.write([Row(1)], [row])
    with (tmp_path / f"out{suffix}").open(encoding="utf-8", newline="") as file:
        (found,) = csv.DictReader(file, delimiter=delimiter)
    assert tuple(found) == COLUMNS
    for name, value in row.items():
        if name in LISTS:
            assert (json.loads(found[name]) if found[name] else []) == json_value(value)
        elif isinstance(value, float):
            assert float(found[name]) == value
        else:
            assert found[name] == ("" if value is None else str(value))


def test_parquet_has_the_same_fields_and_their_types(row: dict[str, Any], tmp_path: Path):
    with open_sink(tmp_path / "out.parquet", ALL) as sink:
        sink.write([Row(1)], [row])
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.equals(SCHEMA)
    assert json_value(table.to_pylist()) == [json_value(row)]


def test_predict_prints_the_same_fields(cli, tree_bundle: Path, prediction: Prediction):
    patent = patent_rows(3, seed=8)[2]
    outcome = cli(
        *(
            "predict",
            f"{patent['title']}. {patent['abstract']}",
            "--format",
            "json",
            "--model",
            tree_bundle,
        ),
        *("--coverage", 0.8, "--neighbours", 2, "--explain", "--all-codes", "--device", "cpu"),
    )
    record = {name: value for name, value in record_of(prediction).items() if value is not None}
    found = json.loads(outcome.out)
    assert list(found) == list(record)
    for name in (
        "label",
        "level",
        "sure",
        "section",
        "class",
        "subclass",
        "read_share",
        "warnings",
    ):
        assert found[name] == json_value(record[name])
    assert [near["id"] for near in found["neighbours"]] == [n["id"] for n in record["neighbours"]]


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
    bare = replace(pipeline.calibration, linear_weights=())
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
