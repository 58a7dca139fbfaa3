from pathlib import Path

import pyarrow.parquet as pq
import pytest

from patclass.data.parquet import parquet_table
from patclass.inference import Classifier
from patclass.inference.files import classify_file
from patclass.scale.job import JobFolder, Part, plan_job
from patclass.scale.worker import Worker, WorkerError
from scale_jobs import ids_of, request_of, setup_of, write_input


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "in"


def started(source: Path, folder: Path, bundle: Path, **more: object) -> JobFolder:
    place, request = JobFolder(str(folder)), request_of(source, bundle, **more)
    place.start(lambda: plan_job(request, workers=2), request, resume=False)
    return place


@pytest.mark.parametrize("order", [1, -1])
def test_parts_in_any_order_are_the_rows_of_the_input(
    tmp_path: Path, source: Path, bundle: Path, order: int
):
    ids = write_input(source)
    place = started(source, tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    for part in worker.job.parts[::order]:
        result = worker.run(part)
        assert (result.failure, result.rows) == (None, part.rows)
    assert ids_of(tmp_path / "out") == ids
    assert len(place.records()) == len(worker.job.parts)


def test_answers_are_those_of_a_single_file(
    tmp_path: Path, source: Path, bundle: Path, classifier: Classifier
):
    write_input(source)
    started(source / "b.csv", tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    for part in worker.job.parts:
        worker.run(part)
    classify_file(classifier, source / "b.csv", tmp_path / "whole.parquet")
    parts = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("part*"))]
    rows = [row for part in parts for row in part.to_pylist()]
    expected = pq.read_table(tmp_path / "whole.parquet").to_pylist()
    assert [row["label"] for row in rows] == [row["label"] for row in expected]
    assert parts[0].column_names == list(expected[0])
    for row, other in zip(rows, expected, strict=True):
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


def test_a_row_that_cannot_be_classified_has_its_error(tmp_path: Path, source: Path, bundle: Path):
    source.mkdir()
    (source / "a.csv").write_text("id,abstract\na,soil\nb,\nc,acid\n")
    started(source, tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    assert worker.run(worker.job.parts[0]).errors == 1
    assert ids_of(tmp_path / "out") == ["a", "b", "c"]


def test_a_damaged_file_fails_alone_and_leaves_nothing(tmp_path: Path, source: Path, bundle: Path):
    write_input(source)
    started(source, tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    (source / "b.csv").write_bytes(b"\x00\x01\x02" * 50)
    results = [worker.run(part) for part in worker.job.parts]
    failed = [result for result in results if result.failure is not None]
    assert {worker.job.parts[result.number].file for result in failed} == {1}
    assert not any(result.fatal for result in failed)
    assert len(ids_of(tmp_path / "out")) == 150 + 90


def test_a_worker_of_another_version_refuses_to_begin(tmp_path: Path, source: Path, bundle: Path):
    write_input(source)
    started(source, tmp_path / "out", bundle)
    setup = setup_of(tmp_path / "out", bundle, versions={"numpy": "0.1"})
    with pytest.raises(WorkerError, match=r"numpy is \S+, but 0\.1 where the job was started"):
        Worker(setup)


def test_a_model_that_is_not_there_or_another_is_named(
    tmp_path: Path, source: Path, bundle: Path, tree_bundle: Path
):
    write_input(source)
    started(source, tmp_path / "out", bundle)
    with pytest.raises(WorkerError, match="another model here"):
        Worker(setup_of(tmp_path / "out", tree_bundle))
    with pytest.raises(WorkerError, match="nowhere"):
        Worker(setup_of(tmp_path / "out", tmp_path / "nowhere"))


def test_a_folder_that_is_not_shared_is_named(tmp_path: Path, bundle: Path):
    with pytest.raises(WorkerError, match="that all machines share"):
        Worker(setup_of(tmp_path / "elsewhere", bundle))


def test_an_option_that_the_model_does_not_have_ends_the_job(
    tmp_path: Path, source: Path, bundle: Path
):
    write_input(source)
    started(source, tmp_path / "out", bundle, options={"level": "galaxy"})
    worker = Worker(setup_of(tmp_path / "out", bundle))
    result = worker.run(worker.job.parts[0])
    assert result.fatal
    assert "galaxy" in (result.failure or "")


def test_a_file_that_is_missing_on_this_machine_ends_the_job(
    tmp_path: Path, source: Path, bundle: Path
):
    write_input(source)
    started(source, tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    (source / "a.parquet").unlink()
    result = worker.run(worker.job.parts[0])
    assert result.fatal
    assert "all machines share" in (result.failure or "")


@pytest.mark.parametrize("after", [0, 1, 39, 40, 41, 149, 150, 151])
def test_parquet_is_read_from_any_row_on(source: Path, after: int):
    ids = write_input(source)[:150]
    table = parquet_table(source / "a.parquet")
    assert table.read_after is not None
    rows = list(table.read_after({"id"}, after))
    assert [row.fields["id"] for row in rows] == ids[after:]
    assert [row.number for row in rows] == list(range(after + 1, 151))


def test_the_number_of_rows_is_that_of_the_plan_even_if_a_file_grew(
    tmp_path: Path, source: Path, bundle: Path
):
    write_input(source)
    started(source / "deep" / "c.jsonl", tmp_path / "out", bundle)
    worker = Worker(setup_of(tmp_path / "out", bundle))
    assert worker.run(Part(number=0, file=0, after=10, rows=5)).rows == 5
    assert ids_of(tmp_path / "out") == [f"p{280 + place}" for place in range(10, 15)]
