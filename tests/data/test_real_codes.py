"""Codes as exports write them, in the inputs shared for tests."""

import csv
from pathlib import Path

import pytest

from conftest import SHARED
from patclass.core.errors import DataError
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.labels import label_scheme

CASES = SHARED / "cases"
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the shared inputs are not on this machine"
)


def sections(path: Path) -> dict[str, str]:
    """The section of each usable row, by its id."""
    corpus = load_corpus(DataSettings(data=str(path), labels="section"))
    labels = corpus.tree.at("section")
    return {row.id: labels[row.y_true[0]].code for split in corpus.splits.values() for row in split}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("WIPO ST.8", "st8"),
        ("fixed columns of the IPC", "ipcr"),
        ("version dates of the USPTO", "uspto-date"),
        ("joined codes of HUPD", "hupd"),
        ("codes separated by spaces", "space-list"),
        ("editorial prefix", "editorial"),
        ("tags of section Y", "y10t"),
    ],
)
def test_every_row_has_its_section(kind: str, name: str):
    path = CASES / f"codes-{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        y_true = {row["id"]: row["section_true"] for row in csv.DictReader(file)}
    assert sections(path) == y_true, kind


def test_rows_whose_codes_disagree_are_ambiguous():
    with pytest.raises(DataError, match=r"no usable training row \(ambiguous label: 24\)"):
        sections(CASES / "codes-mixed.csv")


@pytest.mark.parametrize(
    ("name", "column"), [("patentsview-cpc", "cpc_section"), ("patentsview-split", "section")]
)
def test_columns_of_one_level_each_are_joined(name: str, column: str):
    path = CASES / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sections(path) == {row["patent_id"]: row[column] for row in rows}
    scheme = label_scheme("cpc", list(rows[0]), {}, finest="subclass")
    parts = [
        row.get("cpc_subclass") or row["section"] + row["ipc_class"] + row["subclass"]
        for row in rows
    ]
    assert [scheme.label_of(row).code for row in rows] == parts
