import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.core.errors import DataError, OutputError
from patclass.scale.job import (
    LEAST_ROWS,
    LOST_SHARE,
    MOST_ROWS,
    RECORDS,
    InputFile,
    Job,
    JobFolder,
    Part,
    PartResult,
    _parts,
    plan_job,
)
from scale_jobs import ROWS, request_of, write_input


def files_of(counts: list[int | None]) -> list[InputFile]:
    return [
        InputFile(name=f"{place}.csv", size=1, modified=1, rows=rows)
        for place, rows in enumerate(counts)
    ]


@given(st.lists(st.one_of(st.none(), st.integers(0, 200_000)), max_size=6), st.integers(1, 100))
def test_each_row_is_in_exactly_one_part(counts: list[int | None], workers: int):
    parts = _parts(files_of(counts), workers)
    assert [part.number for part in parts] == list(range(len(parts)))
    for position, rows in enumerate(counts):
        own = [part for part in parts if part.file == position]
        if rows is None:
            assert [(part.after, part.rows) for part in own] == [(0, None)]
            continue
        end = 0
        for part in own:
            assert part.after == end
            assert part.rows is not None
            assert 1 <= part.rows <= MOST_ROWS
            end += part.rows
        assert end == rows


@pytest.mark.parametrize(("rows", "workers"), [(10_000, 2), (100_000, 4), (10_000_000, 50)])
def test_no_more_is_lost_than_a_part_of_each_worker(rows: int, workers: int):
    size = max(part.rows or 0 for part in _parts(files_of([rows]), workers))
    assert size * workers <= LOST_SHARE * rows


def test_small_jobs_are_not_cut_into_crumbs():
    assert len(_parts(files_of([LEAST_ROWS + 1]), 8)) == 2


def test_a_plan_counts_all_files(tmp_path: Path, bundle: Path):
    write_input(tmp_path)
    (tmp_path / "notes.doc").write_text("no table")
    job = plan_job(request_of(tmp_path, bundle), workers=2)
    assert {file.name: file.rows for file in job.files} == ROWS
    assert job.rows == sum(ROWS.values())
    assert job.name_of(3) == "part-000003.parquet"


def test_files_that_cannot_be_read_are_told_before_anything_is_written(
    tmp_path: Path, bundle: Path
):
    write_input(tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"bad\.parquet .*1 more files cannot be read"):
        plan_job(request_of(tmp_path, bundle), workers=2)


def test_a_folder_without_tables_is_refused(tmp_path: Path, bundle: Path):
    (tmp_path / "notes.doc").write_text("no table")
    with pytest.raises(DataError, match="holds no table"):
        plan_job(request_of(tmp_path, bundle), workers=2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_input(tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def job(source: Path, bundle: Path) -> Job:
    return plan_job(request_of(source, bundle), workers=2)


@pytest.fixture
def folder(tmp_path: Path, job: Job) -> JobFolder:
    """The folder of a job that was started."""
    place = JobFolder(str(tmp_path / "out"))
    place.start(lambda: job, job.request, resume=False)
    return place


def never() -> Job:
    raise AssertionError("the input is counted once")


def test_a_job_is_resumed_as_it_was_planned(folder: JobFolder, job: Job):
    assert folder.start(never, job.request, resume=True) == job


def test_resuming_where_nothing_is_starts_a_job(tmp_path: Path, job: Job):
    place = JobFolder(str(tmp_path / "new"))
    assert place.start(lambda: job, job.request, resume=True) == job


def test_a_job_that_is_there_is_not_begun_again(folder: JobFolder, job: Job):
    with pytest.raises(OutputError, match=r"0 of 8 parts of it done; go on with resume"):
        folder.start(never, job.request, resume=False)


def test_another_request_is_another_job(folder: JobFolder, job: Job):
    other = job.request.model_copy(update={"bundle": "0", "format": ".csv"})
    with pytest.raises(OutputError, match="another job: its bundle, format differ"):
        folder.start(never, other, resume=True)


def test_changed_files_make_another_job(folder: JobFolder, job: Job, source: Path):
    os.utime(source / "b.csv", (1, 1))
    with pytest.raises(OutputError, match="its files of the input differ"):
        folder.start(never, job.request, resume=True)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, job: Job):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files \(thesis.txt\)"):
        JobFolder(str(tmp_path / "out")).start(never, job.request, resume=True)


def test_a_job_of_another_version_is_refused(folder: JobFolder, job: Job):
    folder.storage.write("_job.json", json.dumps(job.model_dump() | {"format": 2}))
    with pytest.raises(OutputError, match="of another version"):
        folder.start(never, job.request, resume=True)


def test_records_say_what_is_done(folder: JobFolder):
    result = PartResult(number=3, rows=10, errors=1, notes=("a",))
    folder.record(result)
    assert folder.records() == {3: result}
    folder.storage.write(f"{RECORDS}/000003.json", "{")
    with pytest.raises(OutputError, match=r"000003\.json is damaged; delete it"):
        folder.records()


def test_the_summary_adds_up_what_is_done(folder: JobFolder, job: Job):
    results = {
        0: PartResult(number=0, rows=10, errors=1),
        1: PartResult(number=1, rows=5),
        2: PartResult(number=2, failure="b.csv is corrupt"),
    }
    summary = folder.finish(job, results)
    assert (summary.rows, summary.errors, summary.parts) == (15, 1, len(job.parts))
    assert summary.failed == {2: "b.csv is corrupt"}
    stored = json.loads(folder.storage.read("_summary.json") or b"")
    assert stored["failed"] == {"2": "b.csv is corrupt"}


def test_parts_keep_their_meaning(job: Job):
    """Stored jobs are read by later versions."""
    assert job.parts[0] == Part(number=0, file=0, after=0, rows=64)
    assert set(json.loads(job.model_dump_json())) == {"format", "request", "files", "parts"}
