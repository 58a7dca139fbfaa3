"""Rows with a wrong label are listed for review, in any format."""

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import patent_rows, tree_rows, write_jsonl
from helpers import Cli

COLUMNS = [
    *("id", "title", "label", "label_name", "suggested", "suggested_name"),
    *("label_probability", "suggested_probability", "text", "decision"),
]
WRONG = ("P1-3", "P1-31", "P1-62")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Patents, three of which have the code of another one."""
    folder = tmp_path / "patents"
    folder.mkdir()
    rows = [
        row | ({"main_code": "H01B 1/00" if row["main_code"][0] != "H" else "A01B 1/00"})
        if row["id"] in WRONG
        else row
        for row in patent_rows(150, seed=1)
    ]
    write_jsonl(folder / "train.jsonl", rows)
    for split, seed in (("validation", 2), ("test", 3)):
        write_jsonl(folder / f"{split}.jsonl", patent_rows(12, seed))
    return folder


def read(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_wrong_labels_are_listed_first_in_every_format(
    cli: Cli, data: Path, tmp_path: Path, suffix: str
):
    target = tmp_path / f"disputed{suffix}"
    outcome = cli("audit", "-o", target, "--data", data)
    assert outcome.code == 0
    assert "note: train.jsonl: read as JSON lines; id, title, abstract" in outcome.err
    found = read(target)
    assert all(list(row) == COLUMNS for row in found)
    assert {row["id"] for row in found[:3]} == set(WRONG)
    by_id = {row["id"]: row for row in found}
    assert (by_id["P1-3"]["label"], by_id["P1-3"]["suggested"]) == ("H", "A")
    assert by_id["P1-3"]["suggested_name"] == "Human necessities"
    assert float(by_id["P1-3"]["suggested_probability"]) > 0.5
    assert by_id["P1-3"]["text"].startswith(by_id["P1-3"]["title"])
    assert not by_id["P1-3"]["decision"]
    first = f"{target}: {len(found)} of 150 labels are disputed (section)"
    assert outcome.out.splitlines()[0] == first
    assert re.search(r"^estimated share of wrong labels, the highest: [ACH] \d", outcome.out, re.M)


def test_the_requested_level_is_audited(cli: Cli, tmp_path: Path):
    for split, count, seed in (("train", 90, 1), ("validation", 12, 2), ("test", 12, 3)):
        write_jsonl(tmp_path / f"{split}.jsonl", tree_rows(count, seed))
    more = ("--data", tmp_path, "--labels", "cpc", "--level", "class", "--folds", 3)
    outcome = cli("audit", "-o", tmp_path / "out" / "disputed.jsonl", *more)
    assert outcome.code == 0, outcome.err
    # Three rows are of a class that is too rare to be a label.
    assert re.search(r"of 87 labels are disputed \(class\)", outcome.out)
    assert all(len(row["label"]) == 3 for row in read(tmp_path / "out" / "disputed.jsonl"))


@pytest.mark.parametrize("name", ["disputed.xlsx", "disputed.txt", "disputed"])
def test_a_format_that_cannot_be_written_is_refused(
    cli: Cli, data: Path, tmp_path: Path, name: str
):
    outcome = cli("audit", "-o", tmp_path / name, "--data", data)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "no known format" in outcome.err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("level", ["class", "auto", "nonsense"])
def test_a_level_missing_from_the_labels_is_refused(
    cli: Cli, data: Path, tmp_path: Path, level: str
):
    outcome = cli("audit", "-o", tmp_path / "disputed.csv", "--data", data, "--level", level)
    assert outcome.code == 2
    assert f"level {level}" in outcome.err
    assert "section" in outcome.err
    assert not (tmp_path / "disputed.csv").exists()


def test_fewer_rows_than_folds_are_audited_or_refused_with_a_message(cli: Cli, tmp_path: Path):
    for split, count, seed in (("train", 6, 1), ("validation", 3, 2), ("test", 3, 3)):
        write_jsonl(tmp_path / f"{split}.jsonl", patent_rows(count, seed))
    outcome = cli("audit", "-o", tmp_path / "disputed.csv", "--data", tmp_path, "--folds", 20)
    assert outcome.code in (0, 2)
    assert "Traceback" not in outcome.err
