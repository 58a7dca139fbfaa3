"""The same patents in the forms that databases give: the same texts, and so the same answers."""

import csv
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import SHARED, patent_rows, write_jsonl
from patclass.data.cleaning import clean
from patclass.data.rows import open_table
from patclass.data.text import TextView
from patclass.inference import Classifier

PLAIN = patent_rows(6, seed=8)
VIEW = TextView(("title", "abstract"))

shared = pytest.mark.skipif(
    not (SHARED / "cases").is_dir(), reason="the shared inputs are not on this machine"
)


def fields_of(path: Path) -> list[dict[str, Any]]:
    """The fields of the rows of a table, all of which are readable."""
    rows = list(open_table(path).rows())
    assert [row.error for row in rows if row.error] == []
    return [row.fields for row in rows]


def localised(text: str) -> list[dict[str, object]]:
    """A field of the public data of Google Patents."""
    german = {"text": "Eine Vorrichtung.", "language": "de", "truncated": False}
    return [german, {"text": text, "language": "en", "truncated": False}]


def write_bigquery(folder: Path) -> Path:
    rows = [
        {
            "publication_number": row["id"],
            "title_localized": localised(row["title"]),
            "abstract_localized": localised(row["abstract"]),
        }
        for row in PLAIN
    ]
    return write_jsonl(folder / "rows.jsonl", rows)


def write_bytes(folder: Path) -> Path:
    columns = {name: [row[name].encode() for row in PLAIN] for name in ("title", "abstract")}
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def write_html(folder: Path) -> Path:
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "abstract"])
        for row in PLAIN:
            words = html.escape(row["abstract"]).replace(" with ", "&nbsp;<b>with</b> ")
            writer.writerow(
                [f"<i>{row['title']}</i>", f'<div lang="EN">\n<p id="a">{words}</p></div>']
            )
    return folder / "rows.csv"


def write_array(folder: Path) -> Path:
    rows = [{"application_number": row["id"], **row, "claims": "1. A loom."} for row in PLAIN]
    (folder / "rows.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return folder / "rows.json"


@pytest.mark.parametrize("write", [write_bigquery, write_bytes, write_html, write_array])
def test_a_form_of_a_table_changes_no_answer(
    write: Callable[[Path], Path], classifier: Classifier, tmp_path: Path
):
    found = fields_of(write(tmp_path))
    assert [VIEW.text_of(fields) for fields in found] == [VIEW.text_of(row) for row in PLAIN]
    for given, plain in zip(classifier.classify(found), classifier.classify(PLAIN), strict=True):
        assert (given.label, given.confidence) == (plain.label, pytest.approx(plain.confidence))


def test_claims_in_a_list_are_read_as_one_text(classifier: Classifier, tmp_path: Path):
    claims = [[row["title"], None, row["abstract"]] for row in PLAIN]
    pq.write_table(pa.table({"claims": claims}), tmp_path / "rows.parquet")
    joined = [{"claims": f"{row['title']} {row['abstract']}"} for row in PLAIN]
    found = fields_of(tmp_path / "rows.parquet")
    assert [*map(classifier.text_of, found)] == [*map(classifier.text_of, joined)]
    assert classifier.predict(found) == classifier.predict(joined)


@shared
@pytest.mark.parametrize(
    ("name", "count"),
    [("bigquery.jsonl", 20), ("binary.parquet", 8), ("html.csv", 12), ("hupd.json", 20)],
)
def test_shared_patents_have_the_text_of_their_plain_twins(name: str, count: int):
    table = pq.read_table(SHARED / "data" / "patents-test.parquet", columns=["title", "abstract"])
    twins = {row["title"]: VIEW.text_of(row) for row in table.to_pylist() if row["title"]}
    found = fields_of(SHARED / "cases" / name)
    assert [VIEW.text_of(row) for row in found] == [twins[clean(row["title"])] for row in found]
    assert len(found) == count


@shared
def test_shared_lists_of_claims_are_texts():
    for fields in fields_of(SHARED / "cases" / "list-claims.parquet"):
        text = VIEW.text_of_patent(fields)
        assert text.startswith("1. ")
        assert not set("[]'") & {text[0], text[-1]}
        assert text == " ".join(" ".join(fields["claims"]).split())
