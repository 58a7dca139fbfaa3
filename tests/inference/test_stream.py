"""Files of patents to files of predictions: every format, every row, in order, valid or not."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import patent_rows, write_jsonl
from patclass.core.errors import ConfigError, DataError, OutputError
from patclass.data import rows as tables
from patclass.data.cleaning import MAX_CHARS
from patclass.data.table import Row, TableOptions
from patclass.inference import Classifier, Options, files
from patclass.inference.files import FileResult, classify_file, classify_rows, file_task
from patclass.inference.prediction import COLUMNS

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
WORDS = ("antenna circuit voltage", "plough seed harvest", "polymer catalyst acid")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the chunk size, so that a dozen rows are several chunks."""
    monkeypatch.setattr(files, "CHUNK_ROWS", 4)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=5)
    elif path.suffix == ".jsonl":
        write_jsonl(path, rows)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=DELIMITERS[path.suffix])
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Rows with the same keys and types whatever the format."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return [dict.fromkeys(COLUMNS) | json.loads(line) for line in lines]
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file, delimiter=DELIMITERS[path.suffix]))
    for row in rows:
        row.update({key: None for key, cell in row.items() if cell == ""})
        row["top"] = json.loads(row["top"]) if row["top"] else None
        row["confidence"] = float(row["confidence"]) if row["confidence"] else None
    return rows


def patents(count: int) -> list[dict[str, Any]]:
    """Rows of different lengths, so that scoring sorts them differently from the file."""
    return [
        {"id": f"P{n}", "text": " ".join([WORDS[n % 3]] * (1 + 5 * n % 7)) + "."}
        for n in range(count)
    ]


def classified_rows(classifier: Classifier, rows: list[dict[str, Any]], folder: Path) -> list[dict]:
    classify_file(classifier, write(folder / "in.jsonl", rows), folder / "out.jsonl")
    return read(folder / "out.jsonl")


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_every_format_converts_to_every_format(
    classifier: Classifier, tmp_path: Path, source: str, target: str
):
    rows = patents(13)
    rows[6]["text"] = ""
    given, out = write(tmp_path / f"in{source}", rows), tmp_path / f"out{target}"
    assert classify_file(classifier, given, out, Options(k=2)) == FileResult(rows=13, errors=1)
    found = read(out)
    assert [row["id"] for row in found] == [f"P{n}" for n in range(13)]
    assert "no text" in found.pop(6)["error"]
    expected = classifier.classify([row["text"] for row in rows if row["text"]], Options(k=2))
    for row, prediction in zip(found, expected, strict=True):
        assert (row["label"], row["name"], row["error"]) == (
            prediction.label,
            prediction.name,
            None,
        )
        assert row["confidence"] == pytest.approx(prediction.confidence, abs=1e-5)
        assert [entry["label"] for entry in row["top"]] == [top.label for top in prediction.top]
        assert (row["level"], row["section"]) == ("section", prediction.label)
        assert str(row["sure"]) == str(prediction.sure)
    assert sorted(path.name for path in tmp_path.iterdir()) == [given.name, out.name]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 21])
def test_output_has_the_same_rows_in_the_same_order(
    classifier: Classifier, tmp_path: Path, count: int
):
    rows = patent_rows(count, seed=8)
    found = classified_rows(classifier, rows, tmp_path)
    assert [row["id"] for row in found] == [f"P8-{n}" for n in range(count)]
    expected = [classifier.predict([row])[0] for row in rows]
    assert [row["label"] for row in found] == expected
    assert len(set(expected)) == min(3, count)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_without_an_id_get_their_row_number(
    classifier: Classifier, tmp_path: Path, suffix: str
):
    rows = [{"text": row["text"]} for row in patents(6)]
    classify_file(classifier, write(tmp_path / f"in{suffix}", rows), tmp_path / "out.csv")
    assert [row["id"] for row in read(tmp_path / "out.csv")] == list("123456")


def test_numeric_empty_and_repeated_ids_are_distinguished(classifier: Classifier, tmp_path: Path):
    rows = [{"id": i, "text": "gate"} for i in (7, 0, None, "", "7")]
    found = classified_rows(classifier, rows, tmp_path)
    assert [row["id"] for row in found] == ["7", "0", "3", "4", "7"]


@pytest.mark.parametrize("field", ["text", "title", "abstract", "claims", "description"])
def test_any_text_field_of_a_patent_is_enough(classifier: Classifier, tmp_path: Path, field: str):
    text = patent_rows(1, seed=8)[0]["abstract"]
    found = classified_rows(classifier, [{field: text}], tmp_path)
    assert (found[0]["label"], found[0]["error"]) == (classifier.predict([text])[0], None)


def test_fields_are_read_as_in_training(classifier: Classifier, tmp_path: Path):
    rows = patent_rows(9, seed=5)
    found = classified_rows(classifier, rows, tmp_path)
    expected = classifier.classify([f"{row['title']}. {row['abstract']}" for row in rows])
    assert [row["confidence"] for row in found] == pytest.approx(
        [each.confidence for each in expected], abs=1e-5
    )


def test_malformed_json_lines_become_rows_with_an_error(classifier: Classifier, tmp_path: Path):
    lines = [
        b'{"id": "good", "text": "antenna circuit"}',
        b'{"id": "cut off", "text": "ante',
        b'["no", "object"]',
        b'{"id": "latin", "text": "gr\xf6\xdfe"}',
        b'{"id": "empty", "text": "  "}',
        json.dumps({"id": "long", "text": "x" * (MAX_CHARS + 1)}).encode(),
        b'{"id": "null", "text": null}',
        '{"id": "last", "text": "antenna circuit, größer"}'.encode(),
    ]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(lines))
    result = classify_file(classifier, source, tmp_path / "out.jsonl")
    assert result == FileResult(rows=8, errors=6)
    found = read(tmp_path / "out.jsonl")
    ids = [row["id"] for row in found]
    assert ids == ["good", "2", "3", "4", "empty", "long", "null", "last"]
    assert [row["error"] is None for row in found] == [n in (0, 7) for n in range(8)]
    assert all(row["label"] is None and row["top"] is None for row in found[1:7])
    reasons = ("not JSON", "not a JSON object", "not UTF-8", "no text", "1,000,001", "no text")
    for row, reason in zip(found[1:7], reasons, strict=True):
        assert reason in row["error"]


def test_malformed_csv_rows_become_rows_with_an_error(classifier: Classifier, tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_bytes(
        b"id,text\na,antenna\nb,one,two\nc,gr\xf6\xdfe\nd\ne,circuit \xc3\xb6\xc3\xb6\n"
    )
    assert classify_file(classifier, source, tmp_path / "out.csv") == FileResult(5, 3)
    found = read(tmp_path / "out.csv")
    assert [row["label"] is None for row in found] == [False, True, True, True, False]
    assert found[1]["error"].startswith("line 3: more cells")
    assert "not UTF-8" in found[2]["error"]
    assert "no text" in found[3]["error"]
    assert [row["id"] for row in found] == list("abcde")
    assert (found[1]["text"], found[2]["text"]) == ("one", "gr\ufffd\ufffde")


# Neither a tokenizer nor a UTF-8 file accepts a lone surrogate, but JSON can represent one.
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("field", ["text", "id"])
def test_a_lone_surrogate_in_one_row_does_not_affect_the_others(
    classifier: Classifier, tmp_path: Path, field: str, suffix: str
):
    rows = [{"id": row["id"], "text": row["abstract"]} for row in patent_rows(6, seed=8)]
    expected = classifier.predict(rows[3:])
    rows[2][field] = "circuit \ud800"
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / f"out{suffix}"
    assert classify_file(classifier, source, target).rows == 6
    assert [row["label"] for row in read(target)][3:] == expected


# The strings of a Parquet file need not be UTF-8.
def test_a_parquet_text_that_is_not_utf8_does_not_crash(classifier: Classifier, tmp_path: Path):
    offsets, data = b"\0\0\0\0\2\0\0\0\7\0\0\0", b"\xff\xfewords"
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(offsets), pa.py_buffer(data))
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    with suppress(DataError):
        result = classify_file(classifier, tmp_path / "in.parquet", tmp_path / "out.csv")
        assert result == FileResult(2, 1)


def test_an_unreadable_unused_parquet_column_is_ignored(classifier: Classifier, tmp_path: Path):
    filed = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["antenna"], "filed": filed}), tmp_path / "in.parquet")
    result = classify_file(classifier, tmp_path / "in.parquet", tmp_path / "out.csv")
    assert result == FileResult(1, 0)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_without_rows_gives_a_file_without_rows(
    classifier: Classifier, tmp_path: Path, suffix: str
):
    source = tmp_path / f"in{suffix}"
    if suffix == ".csv":
        source.write_text("id,text\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), source)
    target = tmp_path / f"out{suffix}"
    assert classify_file(classifier, source, target) == FileResult(0, 0)
    assert read(target) == []


def corrupt_parquet(path: Path) -> Path:
    """A file whose footer and first rows are fine and whose third row group is not."""
    rows = [{"id": str(n), "text": f"antenna {n}"} for n in range(900)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(1)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * chunk.total_compressed_size)
    return path


def interrupt(rows: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("existing", [None, "earlier predictions"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_midway_leaves_the_output_file_unchanged(
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    existing: str | None,
):
    monkeypatch.setattr(files, "CHUNK_ROWS", 200)
    source, target = corrupt_parquet(tmp_path / "in.parquet"), tmp_path / f"out{suffix}"
    if existing is not None:
        target.write_text(existing, encoding="utf-8")
    done: list[int] = []
    with pytest.raises(DataError, match=r"in\.parquet is corrupt after row [1-9]"):
        classify_file(classifier, source, target, on_progress=done.append)
    assert sum(done) > 0
    assert (target.read_text(encoding="utf-8") if target.exists() else None) == existing
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "options",
    [Options(level="class"), Options(threshold=2), Options(coverage=0.999), Options(coverage=1)],
    ids=str,
)
def test_unsupported_options_are_refused_before_a_row_is_read(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Options
):
    source = write(tmp_path / "in.csv", patents(3))
    monkeypatch.setattr(files, "_chunks", interrupt)
    with pytest.raises(ConfigError):
        classify_file(classifier, source, tmp_path / "out.csv", options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_sets_neighbours_and_passages_are_written_with_the_predictions(
    tree_classifier: Classifier, tmp_path: Path
):
    rows = patent_rows(9, seed=8)
    rows[4] |= {"title": "", "abstract": ""}
    options = Options(level="class", coverage=0.8, neighbours=2, explain=True)
    source = write(tmp_path / "in.jsonl", rows)
    result = classify_file(tree_classifier, source, tmp_path / "out.parquet", options)
    assert result == FileResult(9, 1)
    bad, good = [], []
    for row in read(tmp_path / "out.parquet"):
        (bad if row["error"] else good).append(row)
    assert all(row["level"] == "class" and row["label"] == row["class"] for row in good)
    assert all(row["label_set"] and len(row["neighbours"]) == 2 for row in good)
    assert all(len(row["passages"]) == 2 for row in good)
    assert [entry["label"] for entry in good[0]["path"]] == ["A", good[0]["class"]]
    (failed,) = ({key for key, value in row.items() if value is not None} for row in bad)
    assert failed == {*rows[4], "error"}


def test_an_interruption_leaves_no_output_file(classifier: Classifier, tmp_path: Path):
    source = write(tmp_path / "in.csv", patents(9))
    with pytest.raises(KeyboardInterrupt):
        classify_file(classifier, source, tmp_path / "out.csv", on_progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_the_input_is_refused_as_output(
    classifier: Classifier, tmp_path: Path, link: Callable[[Path, Path], None] | None
):
    source = target = write(tmp_path / "in.csv", patents(3))
    before = source.read_bytes()
    if link is not None:
        target = tmp_path / "out.csv"
        link(source, target)
    with pytest.raises(OutputError, match="is the input itself"):
        classify_file(classifier, source, target)
    assert source.read_bytes() == before


def test_rows_are_read_in_chunks(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    taken: list[int] = []
    ahead: list[int] = []

    def rows(wanted: object) -> Iterator[Row]:
        for number in range(1, 51):
            taken.append(number)
            yield Row(number, {"text": "antenna"})

    def on_progress(count: int) -> None:
        nonlocal done
        done += count
        ahead.append(len(taken) - done)

    done = 0
    task = file_task(write(tmp_path / "in.csv", patents(1)), tmp_path / "out.csv")
    task = replace(task, table=replace(task.table, read=rows))
    result = classify_rows(classifier, task, on_progress=on_progress)
    assert result.rows == done == 50
    assert len(ahead) == 13
    assert max(ahead) == 0


def test_predictions_are_written_as_they_arrive(classifier: Classifier, tmp_path: Path):
    sizes: list[int] = []

    def on_progress(rows: int) -> None:
        sizes.extend(path.stat().st_size for path in tmp_path.glob(".out.partial*"))

    source = write(tmp_path / "in.jsonl", patents(400))
    classify_file(classifier, source, tmp_path / "out.jsonl", on_progress=on_progress)
    # The file buffers some kilobytes; a list of all predictions would leave it empty to the end.
    assert len(sizes) == 100
    assert 0 < sizes[50] < sizes[-1]


def test_the_answers_stand_beside_the_columns_of_the_file(classifier: Classifier, tmp_path: Path):
    rows = [{"No": "EP1", "Kurz": "antenna circuit", "label": "mine"}]
    source, target = write(tmp_path / "in.csv", rows), tmp_path / "out.csv"
    options = TableOptions(id="No", abstract="Kurz")
    assert classify_file(classifier, source, target, table=options) == FileResult(1, 0)
    (row,) = read(target)
    assert list(row)[:4] == ["No", "Kurz", "label (input)", "id"]
    assert (row["Kurz"], row["label (input)"], row["id"]) == ("antenna circuit", "mine", "EP1")
    assert row["label"] == classifier.predict(["antenna circuit"])[0]


def test_the_text_may_be_stated(classifier: Classifier, tmp_path: Path):
    rows = [{"title": "plough seed harvest", "a": "antenna circuit", "b": "voltage"}]
    source = write(tmp_path / "in.jsonl", rows)
    classify_file(classifier, source, tmp_path / "out.jsonl", text="a+b", columns=["b"])
    (row,) = read(tmp_path / "out.jsonl")
    (expected,) = classifier.classify(["antenna circuit. voltage"])
    assert (row["label"], row["confidence"]) == (expected.label, pytest.approx(expected.confidence))
    assert (row["b"], "a" in row, "title" in row) == ("voltage", False, False)
    with pytest.raises(DataError, match="no column 'c' for the text"):
        classify_file(classifier, source, tmp_path / "out.jsonl", text="a+c")


def test_a_file_is_recognised_once(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[Path] = []
    monkeypatch.setattr(files, "open_table", lambda *args: opened.append(args[0]) or table)
    source = write(tmp_path / "in.csv", patents(3))
    table = tables.open_table(source)
    assert classify_file(classifier, source, tmp_path / "out.csv").rows == 3
    assert opened == [source]


def test_the_first_chunk_is_small_and_long_texts_make_small_chunks(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "CHUNK_ROWS", 64)
    done: list[int] = []
    source = write(tmp_path / "in.jsonl", [{"text": "antenna " * 40}] * 200)
    classify_file(classifier, source, tmp_path / "out.csv", on_progress=done.append)
    assert done == [16, 32, 64, 64, 24]
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 1000)
    done.clear()
    classify_file(classifier, source, tmp_path / "out.csv", on_progress=done.append)
    assert max(done) == 4


def test_what_may_have_been_read_wrongly_is_said_after_the_rows(
    classifier: Classifier, tmp_path: Path
):
    source, lines = tmp_path / "in.csv", []
    source.write_text('id,text\n1,antenna\n2,"never closed\n3,voltage\n', encoding="utf-8")
    assert classify_file(classifier, source, tmp_path / "out.csv", echo=lines.append).rows == 3
    assert lines[0].startswith("in.csv: read as ','")
    assert lines[1].startswith("in.csv: 1 record with quotation marks that do not fit, e.g. line 3")
    assert len(lines) == 2
