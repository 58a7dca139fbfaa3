"""Exports of databases and tables as programs write them, in the inputs shared for tests."""

from pathlib import Path

import pytest

from conftest import SHARED
from patclass.data.rows import open_table
from patclass.data.table import Row
from patclass.data.text import TextView

pytestmark = pytest.mark.skipif(
    not (SHARED / "files").is_dir(), reason="the shared inputs are not on this machine"
)


def read(name: str) -> tuple[dict[str, str], list[Row]]:
    """The roles and the rows of a shared file; every row is readable."""
    folder = next(part for part in ("cases", "files") if (SHARED / part / name).is_file())
    table = open_table(SHARED / folder / name)
    rows = list(table.rows())
    assert [row.error for row in rows if row.error] == []
    return dict(table.roles), rows


def texts(rows: list[Row]) -> int:
    """How many rows have a text."""
    view = TextView(("title", "abstract"))
    return sum(bool(view.text_of_patent(row.fields)) for row in rows)


@pytest.mark.parametrize(
    ("kind", "name", "rows", "roles"),
    [
        ("Lens, short", "lens.csv", 20, {"id": "Display Key", "cpc": "CPC Classifications"}),
        ("Lens, real", "lens-export-abstract.csv", 130, {"id": "Display Key", "title": "Title"}),
        ("Google Patents", "google.csv", 20, {"id": "id", "title": "title"}),
        ("Espacenet", "espacenet-headeronly.csv", 20, {"id": "Publication number", "cpc": "CPC"}),
        ("J-PlatPat", "jplatpat-list.csv", 273, {"id": "文献番号", "ipc": "FI"}),
        ("PATENTSCOPE, XLS", "patentscope-resultlist.xls", 613, {"ipc": "I P C"}),
        ("PatentsView, TSV", "g_patent_abstract.tsv", 20, {"abstract": "patent_abstract"}),
        ("semicolons", "semicolon.csv", 20, {"title": "title"}),
        ("UTF-16 with tabs", "utf16.csv", 20, {"id": "id"}),
        ("Windows-1252", "cp1252.csv", 20, {"id": "id"}),
        ("delimiters at the end", "trailing-delimiter.csv", 8, {"id": "id"}),
        ("spaces in names", "spaced-headers.csv", 8, {"title": "title"}),
        ("a quotation mark not closed", "unclosed.tsv", 30, {"id": "id"}),
        ("a name twice", "duplicate-headers.csv", 8, {"abstract": "abstract"}),
        ("XLSX", "plain.xlsx", 8, {"id": "id"}),
        ("XLSX with an empty first row", "blank-first-row.xlsx", 8, {"id": "id"}),
        ("HUPD, JSON", "hupd.json", 20, {"title": "title", "abstract": "abstract"}),
    ],
)
def test_every_row_is_read_with_its_columns(kind: str, name: str, rows: int, roles: dict[str, str]):
    found, read_rows = read(name)
    assert len(read_rows) == rows, kind
    assert roles.items() <= found.items(), kind
    assert texts(read_rows) == rows, kind


def test_a_list_of_publications_gives_the_first_as_id():
    _, rows = read("espacenet-headeronly.csv")
    assert rows[0].id == "US7000001B2"


@pytest.mark.parametrize("packed", ["gz", "zip"])
def test_a_packed_export_is_read_alike(packed: str, tmp_path: Path):
    import gzip
    import zipfile

    content = (SHARED / "cases" / "lens.csv").read_bytes()
    path = tmp_path / f"lens.csv.{packed}"
    if packed == "gz":
        path.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("lens.csv", content)
    assert [row.fields for row in open_table(path).rows()] == [
        row.fields for row in read("lens.csv")[1]
    ]
