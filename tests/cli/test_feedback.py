"""``patclass feedback``."""

import json
from pathlib import Path

import pytest

from helpers import Cli
from patclass.data.text import text_sha256
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from store_rows import ID, prediction

TEXT = "A bandage with a grüne border."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with feedback on two predictions, one of them without a stored text."""
    database = locate_store(tmp_path / "store.db", {})
    about = {"predicted_label": "A", "version": "v1"}
    PredictionStore(database).add([prediction(1, text_sha256=text_sha256(TEXT))])
    with_text = Feedback(ID(1), True, text=TEXT, text_sha256=text_sha256(TEXT), **about)
    FeedbackStore(database).add("with-text", with_text)
    without = Feedback(ID(2), False, "G06", text_sha256=f"{2:064x}", **about)
    FeedbackStore(database).add("without", without)
    database.close()
    return tmp_path / "store.db"


def rows(file: Path) -> list[FeedbackRow]:
    database = locate_store(file, {})
    found = FeedbackStore(database).all()
    database.close()
    return found


def test_feedback_is_copied_from_store_to_store(cli: Cli, file: Path, tmp_path: Path):
    target, other = tmp_path / "feedback.jsonl", tmp_path / "other.db"
    assert cli("feedback", "export", "-o", target, "--store", file).code == 0
    done = cli("feedback", "import", target, "--store", other)
    assert (done.code, done.out) == (0, "2 added, 0 known\n")
    assert rows(other) == rows(file)
    assert cli("feedback", "import", target, "--store", other).out == "0 added, 2 known\n"


def test_feedback_is_copied_through_standard_streams(cli: Cli, file: Path, tmp_path: Path):
    done = cli("feedback", "export", "-o", "-", "--store", file)
    assert [json.loads(line)["key"] for line in done.out.splitlines()] == ["with-text", "without"]
    for encoding in ("utf-8-sig", "utf-16"):  # as shells write redirected output
        store, raw = tmp_path / f"{encoding}.db", done.out.encode(encoding)
        again = cli("feedback", "import", "-", "--store", store, stdin=raw)
        assert again.out == "2 added, 0 known\n"


@pytest.mark.parametrize("name", ["label-studio", "argilla"])
def test_only_feedback_with_a_text_is_exported_to_annotation_tools(
    cli: Cli, file: Path, tmp_path: Path, name: str
):
    target = tmp_path / "tasks.json"
    done = cli("feedback", "export", "-o", target, "--format", name, "--store", file)
    assert (done.code, done.out) == (0, f"{target}: written\n")
    assert "left out: 1 rows of feedback whose text is not stored\n" in done.err
    assert len(json.loads(target.read_text(encoding="utf-8"))) == 1
    back = cli("feedback", "import", target, "--format", name, "--store", file)
    assert back.code == 0
    assert back.out.startswith("0 added")


def test_an_invalid_import_is_a_one_line_error(cli: Cli, file: Path):
    done = cli("feedback", "import", "-", "--store", file, stdin=b"{}\n")
    assert done.code == 2
    assert done.err == "error: nothing was imported: line 1: key: field required.\n"
    assert len(rows(file)) == 2


def test_what_an_import_reads_and_leaves_out_is_printed(cli: Cli, file: Path, tmp_path: Path):
    result = {"from_name": "topic", "type": "choices", "value": {"choices": ["G06F 3/01"]}}
    annotations = [{"id": 1, "result": [result], "created_at": "2026-11-01T10:00:00Z"}]
    tasks = [{"data": data, "annotations": annotations} for data in ({"prediction_id": ID(1)}, {})]
    source = tmp_path / "annotated.json"
    source.write_text(json.dumps(tasks), encoding="utf-8")
    done = cli("feedback", "import", source, "--format", "label-studio", "--store", file)
    assert (done.code, done.out) == (0, "1 added, 0 known\n")
    assert done.err == (
        f"{source}: labels from 'topic' (choices)\nleft out: 1 tasks without prediction_id; "
        "have the service classify their texts first\n"
    )
    assert rows(file)[-1].feedback.label == "G06F3/01"


def test_an_import_that_is_no_text_is_named(cli: Cli, file: Path, tmp_path: Path):
    (tmp_path / "feedback.jsonl").write_bytes(b"a\x81")
    done = cli("feedback", "import", tmp_path / "feedback.jsonl", "--store", file)
    assert done.code == 2
    assert "feedback.jsonl: no text in UTF-8" in done.err


def test_a_missing_file_is_named(cli: Cli, file: Path, tmp_path: Path):
    done = cli("feedback", "import", tmp_path / "nosuch.jsonl", "--store", file)
    assert done.code == 2
    assert "cannot read" in done.err
    assert "nosuch.jsonl" in done.err


def test_a_folder_that_cannot_be_written_is_named(cli: Cli, file: Path):
    done = cli("feedback", "export", "-o", file / "below.jsonl", "--store", file)
    assert done.code == 2
    assert done.err.startswith("error: cannot write ")
