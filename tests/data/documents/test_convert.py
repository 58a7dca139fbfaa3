import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import office_documents as office
from patclass.core.errors import DataError, OutputError
from patclass.data.documents import convert as module
from patclass.data.documents.convert import SCHEMA, convert, rejects_path
from patclass.data.rows import open_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of documents, one of them a design, and one of something else."""
    folder = tmp_path / "in"
    folder.mkdir()
    grants = [office.grant(str(number)) for number in range(11000001, 11000006)]
    (folder / "a.xml").write_text("".join(grants) + office.grant("900001", "S1"))
    (folder / "b.txt").write_text(office.GREENBOOK)
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_documents_of_a_folder_become_one_table(tmp_path: Path, folder: Path):
    target = tmp_path / "out.parquet"
    result = convert([folder], target)
    table = pq.read_table(target)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table["id"].to_pylist() == [*(f"US1100000{n}B2" for n in range(1, 6)), "US4000001A"]
    assert (result.documents, result.ignored) == (6, (folder / "notes.txt",))
    (reject,) = map(json.loads, rejects_path(target).read_text().splitlines())
    assert (reject["source"], reject["id"]) == ("a.xml", "US900001S1")
    assert result.rejects == {reject["reason"]: 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        "out.parquet",
        "out.rejects.jsonl",
    ]


def test_the_table_is_read_as_one_of_patents(tmp_path: Path, folder: Path):
    convert([folder], tmp_path / "out.parquet")
    table = open_table(tmp_path / "out.parquet")
    assert {"id", "title", "abstract", "claims", "description", "cpc", "date"} <= set(table.roles)
    row = next(table.rows())
    assert row.fields["claims"][0] == office.CLAIM


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_conversion_goes_on_and_gives_the_same(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, stop: int
):
    monkeypatch.setattr(module, "_PART_CHARS", 10)
    calls = 0

    def interrupt(documents: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop + 1:  # the first call says what was there
            raise KeyboardInterrupt

    convert([folder], tmp_path / "whole.parquet")
    with pytest.raises(KeyboardInterrupt):
        convert([folder], tmp_path / "out.parquet", on_progress=interrupt)
    assert not (tmp_path / "out.parquet").exists()
    result = convert([folder], tmp_path / "out.parquet")
    assert result.resumed == stop
    assert pq.read_table(tmp_path / "out.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))
    rejects = [rejects_path(tmp_path / f"{name}.parquet").read_text() for name in ("out", "whole")]
    assert rejects[0] == rejects[1]


def test_parts_of_other_files_are_not_gone_on_with(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_merge", lambda *parts: None)
    convert([folder / "a.xml"], tmp_path / "out.parquet")
    monkeypatch.undo()
    with pytest.raises(OutputError, match="other files"):
        convert([folder], tmp_path / "out.parquet")
    assert convert([folder], tmp_path / "out.parquet", restart=True).documents == 6


def test_damaged_parts_are_named(tmp_path: Path, folder: Path):
    (tmp_path / "out.parquet.parts").mkdir()
    (tmp_path / "out.parquet.parts" / "state.json").write_text('{"version": 7}')
    with pytest.raises(OutputError, match=r"out\.parquet\.parts is damaged"):
        convert([folder], tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("notes.txt", "o.parquet", "no patent documents in .*notes.txt. Expected XML"),
        ("a.xml", "o.csv", "Parquet; give it the suffix .parquet"),
        ("missing", "o.parquet", "cannot read .*missing: No such file"),
    ],
)
def test_wrong_inputs_are_told(
    folder: Path, tmp_path: Path, source: str, target: str, message: str
):
    with pytest.raises(DataError, match=message):
        convert([folder / source], tmp_path / target)


def test_only_rejected_documents_give_an_empty_table(tmp_path: Path):
    (tmp_path / "a.xml").write_text(office.grant(kind="S1"))
    assert convert([tmp_path / "a.xml"], tmp_path / "o.parquet").documents == 0
    assert pq.read_table(tmp_path / "o.parquet").num_rows == 0


def test_a_damaged_file_costs_no_other(tmp_path: Path, folder: Path):
    (folder / "a.zip").write_bytes(b"PK\x03\x04 no archive, though it begins as one")
    result = convert([folder], tmp_path / "out.parquet")
    assert (result.documents, result.damaged) == (6, True)
    first = json.loads(rejects_path(tmp_path / "out.parquet").read_text().splitlines()[-1])
    assert first["source"] in ("a.zip", "a.xml")
    assert result.rejects["a damaged file; what follows in it is lost"] == 1


def test_a_table_of_another_format_is_refused(tmp_path: Path, folder: Path):
    convert([folder], tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    pq.write_table(
        table.replace_schema_metadata({"patclass.documents": "2"}), tmp_path / "new.parquet"
    )
    with pytest.raises(DataError, match=r"format 2, and this version .* format 1; make it again"):
        open_table(tmp_path / "new.parquet")
