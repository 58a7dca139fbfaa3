"""An answer has the same fields in Python, JSON, CSV and Parquet."""

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conftest import patent_rows
from patclass.inference import Classifier, Options, Prediction
from patclass.inference.record import COLUMNS, record_of
from patclass.inference.sinks import SCHEMA, open_sink

EVERYTHING = Options(coverage=0.8, neighbours=2, explain=True)
LISTS = ("path", "top", "set", "tags", "passages", "neighbours", "warnings")


@pytest.fixture(scope="module")
def prediction(tree_classifier: Classifier) -> Prediction:
    return tree_classifier.classify([patent_rows(3, seed=8)[2]], EVERYTHING)[0]


@pytest.fixture(scope="module")
def row(prediction: Prediction) -> dict[str, Any]:
    return record_of(prediction) | {"id": "EP1"}


def plain(value: Any) -> Any:
    """What JSON makes of it."""
    return json.loads(json.dumps(value))


def test_every_field_of_a_prediction_for_a_table_is_in_its_record(
    prediction: Prediction, row: dict[str, Any]
):
    assert tuple(row) == COLUMNS
    flat = {field.name for field in fields(Prediction)} - {
        *("levels", "text", "alternatives", "signals")
    }
    assert flat == set(COLUMNS) - {"id", "error"} - {
        f"{level}{part}" for level in prediction.levels for part in ("", "_confidence")
    }
    assert {name: row[name] for name in flat} == {
        name: value for name, value in asdict(prediction).items() if name in flat
    }


def test_every_level_has_its_label_and_confidence(prediction: Prediction, row: dict[str, Any]):
    for level, best in prediction.levels.items():
        assert (row[level], row[f"{level}_confidence"]) == (best.label, best.confidence)
    assert (row["section"], len(row["class"]), len(row["subclass"])) == ("H", 3, 4)


def test_levels_that_a_model_does_not_know_are_none(classifier: Classifier):
    record = record_of(classifier.classify(["soil and seed"])[0])
    assert record["section"] == record["label"]
    assert record["section_confidence"] == record["confidence"]
    assert (record["class"], record["subclass_confidence"]) == (None, None)
    assert record["set"] is None
    assert (record["neighbours"], record["error"]) == ((), None)


def test_json_lines_have_the_same_fields(row: dict[str, Any], tmp_path: Path):
    with open_sink(tmp_path / "out.jsonl") as sink:
        sink.write([row])
    found = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert found == {k: plain(v) for k, v in row.items() if v is not None and v != ()}


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_separated_values_have_the_same_fields(
    row: dict[str, Any], tmp_path: Path, suffix: str, delimiter: str
):
    with open_sink(tmp_path / f"out{suffix}") as sink:
        sink.write([row])
    with (tmp_path / f"out{suffix}").open(encoding="utf-8", newline="") as file:
        (found,) = csv.DictReader(file, delimiter=delimiter)
    assert tuple(found) == COLUMNS
    for name, value in row.items():
        if name in LISTS:
            assert (json.loads(found[name]) if found[name] else []) == plain(value)
        elif isinstance(value, float):
            assert float(found[name]) == value
        else:
            assert found[name] == ("" if value is None else str(value))


def test_parquet_has_the_same_fields_and_their_types(row: dict[str, Any], tmp_path: Path):
    with open_sink(tmp_path / "out.parquet") as sink:
        sink.write([row])
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.equals(SCHEMA)
    assert plain(table.to_pylist()) == [plain(row)]


def test_predict_prints_the_same_fields(cli, tree_bundle: Path, prediction: Prediction):
    patent = patent_rows(3, seed=8)[2]
    said = cli(
        *("predict", f"{patent['title']}. {patent['abstract']}", "--json", "--model", tree_bundle),
        *("--set", 0.8, "--neighbours", 2, "--explain", "--device", "cpu"),
    )
    record = {name: value for name, value in record_of(prediction).items() if value is not None}
    found = json.loads(said.out)
    assert list(found) == list(record)
    for name in ("label", "level", "sure", "section", "class", "subclass", "read", "warnings"):
        assert found[name] == plain(record[name])
    assert [near["id"] for near in found["neighbours"]] == [n["id"] for n in record["neighbours"]]
