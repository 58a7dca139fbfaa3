"""A job: which rows are classified how, in which parts, and which of these are done.

Its folder holds ``part-000000.parquet`` and so on, in the order of the input, and beside them what
begins with an underscore, which readers of such folders leave out: ``_job.json``, a record in
``_parts`` for each part that is done, and ``_summary.json`` in the end. A part is written before
its record, so a part without one is done again, and gets the same name.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from patclass.core.errors import DataError, OutputError
from patclass.core.types import OnProgress
from patclass.data.formats import is_table
from patclass.data.rows import open_table
from patclass.data.table import TableOptions
from patclass.inference.prediction import Options
from patclass.scale.storage import Storage, StoredFile

JOB, RECORDS, SUMMARY, LOCK = "_job.json", "_parts", "_summary.json", "_job.lock"

# As many rows are lost at most, by each worker, when everything stops at once: a part is done whole
# or not at all. All workers together should lose no more than this share of a job.
LOST_SHARE = 0.05
LEAST_ROWS, MOST_ROWS = 64, 10_000


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(_Stored):
    """A file of the input.

    :param rows: None where only reading all of it would tell: archives of patent documents.
    """

    name: str
    size: int
    modified: int
    rows: int | None


class Part(_Stored):
    """Rows of a file that one worker classifies into one file.

    :param file: its position in the job's list.
    :param after: the rows of the file before the first of the part.
    :param rows: None for all rows that follow.
    """

    number: int
    file: int
    after: int
    rows: int | None


class PartResult(_Stored):
    """What became of a part.

    :param failure: why it was not written; the job goes on with the others.
    :param fatal: as well, but no other part would fare better.
    :param notes: what was noticed of the input.
    """

    number: int
    rows: int = 0
    errors: int = 0
    seconds: float = 0.0
    failure: str | None = None
    fatal: bool = False
    notes: tuple[str, ...] = ()


class Request(_Stored):
    """What is asked of a job, without its files; a job that is resumed asks the same.

    :param bundle: hash of the model's files.
    :param text: the columns that texts are made of; None for those of the model.
    :param columns: of the input, that are repeated; None for all.
    :param table: what overrules the recognition of tables.
    :param format: suffix of the files that are written.
    """

    source: str
    bundle: str
    options: dict[str, Any]
    text: str | None
    columns: tuple[str, ...] | None
    table: dict[str, Any]
    format: str

    @cached_property
    def prediction_options(self) -> Options:
        """The options of each prediction."""
        return Options(**self.options)

    @cached_property
    def table_options(self) -> TableOptions:
        """What overrules the recognition of each file."""
        return TableOptions(**self.table)


class Job(_Stored):
    """A request with the files that were there, and the parts that they were cut into."""

    format: Literal[1] = 1
    request: Request
    files: tuple[InputFile, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int | None:
        """Rows of the input, if all files tell."""
        counts = [file.rows for file in self.files]
        return None if None in counts else sum(count or 0 for count in counts)

    def name_of(self, part: int) -> str:
        """The name of a part's file."""
        return f"part-{part:06}{self.request.format}"


class Summary(_Stored):
    """A job that is over, and those of its parts that failed."""

    rows: int
    errors: int
    parts: int
    failed: dict[int, str]


def plan_job(request: Request, workers: int, on_progress: OnProgress = lambda files: None) -> Job:
    """List the input's files, count their rows and cut them into parts.

    :param workers: how many parts may be worked on at once.
    :param on_progress: called with the number of files that were counted.
    :raises DataError: if there is no input, or some of its files cannot be read.
    """
    source = Storage.of(request.source)
    files, unreadable = [], []
    for file in _tables(source):
        try:
            files.append(_count(source, file, request.table_options))
        except DataError as problem:
            unreadable.append(str(problem))
        on_progress(1)
    if unreadable:
        more = f" ({len(unreadable) - 1:,} more files cannot be read.)" * (len(unreadable) > 1)
        raise DataError(f"{unreadable[0]}{more}")
    return Job(request=request, files=tuple(files), parts=tuple(_parts(files, workers)))


def _tables(source: Storage) -> list[StoredFile]:
    files = source.files()
    if source.is_file():
        return files
    tables = [file for file in files if is_table(Path(file.name))]
    if not tables:
        raise DataError(
            f"{source.url} holds no table and no patent documents, but {len(files):,} other files."
        )
    return tables


def _count(source: Storage, file: StoredFile, options: TableOptions) -> InputFile:
    if source.local is None and file.name.lower().endswith(".parquet"):
        # Its end tells; nothing else is fetched.
        return InputFile(**asdict(file), rows=source.parquet_rows(file.name))
    with source.fetched("" if source.is_file() else file.name) as path:
        table = open_table(path, options)
        # Documents are as slow to count as to read: 0 says that nobody knows.
        rows: int | None = table.estimate() or None
        if rows is not None and table.read_after is None:
            rows = sum(1 for _ in table.read(set()))
    return InputFile(**asdict(file), rows=rows)


def part_size(rows: float, workers: int) -> int:
    """Rows of a part at most, where so many rows are shared by so many workers."""
    return min(MOST_ROWS, max(LEAST_ROWS, int(rows * LOST_SHARE / workers)))


def _parts(files: Sequence[InputFile], workers: int) -> list[Part]:
    size = part_size(sum(file.rows or 0 for file in files), workers)
    parts: list[Part] = []
    for position, file in enumerate(files):
        starts = range(0, file.rows, size) if file.rows is not None else (0,)
        for after in starts:
            rows = None if file.rows is None else min(size, file.rows - after)
            parts.append(Part(number=len(parts), file=position, after=after, rows=rows))
    return parts


class JobFolder:
    """The folder that a job writes to."""

    def __init__(self, url: str) -> None:
        """:raises ConfigError: if the URL is of no known kind."""
        self.storage = Storage.of(url)

    def job(self) -> Job | None:
        """The job that the folder holds, if any.

        :raises OutputError: if it is none that this version can read.
        """
        content = self.storage.read(JOB)
        if content is None:
            return None
        try:
            return Job.model_validate_json(content)
        except ValidationError as problem:
            raise OutputError(
                f"{self.storage.url}: {JOB} is damaged, or of another version of patclass. Choose "
                "another folder."
            ) from problem

    def start(self, plan: Callable[[], Job], request: Request, resume: bool) -> Job:
        """The job to do: a new one, or that of the folder if it is the same.

        :param plan: lists and counts the input, where that was not done yet.
        :raises OutputError: if the folder holds anything else, or cannot be written.
        """
        job = self.job()
        if job is None:
            self._check_empty()
            job = plan()
            self.storage.write(JOB, job.model_dump_json(indent=1) + "\n")
            return job
        if not resume:
            done = len(self.records())
            raise OutputError(
                f"{self.storage.url} holds a job already, {done:,} of {len(job.parts):,} parts of "
                "it done; go on with resume, or choose another folder.",
                setting="resume",
            )
        self._check_same(job, request)
        return job

    def _check_empty(self) -> None:
        there = self.storage.names("") - {LOCK}
        if there:
            raise OutputError(
                f"{self.storage.url} holds other files ({', '.join(sorted(there)[:3])}); choose "
                "an empty folder or a new one."
            )

    def _check_same(self, job: Job, request: Request) -> None:
        stored, wanted = job.request.model_dump(), request.model_dump()
        other = [name for name, value in stored.items() if value != wanted[name]]
        if not other:
            files = [StoredFile(f.name, f.size, f.modified) for f in job.files]
            other = ["files of the input"] * (files != _tables(Storage.of(request.source)))
        if other:
            raise OutputError(
                f"{self.storage.url} holds another job: its {', '.join(other)} differ. Choose "
                "another folder, or start it as it was."
            )

    def records(self) -> dict[int, PartResult]:
        """The parts that are done, by their numbers.

        :raises OutputError: if a record is damaged.
        """
        found = {}
        for name in sorted(self.storage.names(RECORDS)):
            if not name.startswith("."):
                content = self.storage.read(f"{RECORDS}/{name}") or b""
                try:
                    record = PartResult.model_validate_json(content)
                except ValidationError as problem:
                    raise OutputError(
                        f"{self.storage.url}: {RECORDS}/{name} is damaged; delete it, and the part "
                        "is classified again.",
                    ) from problem
                found[record.number] = record
        return found

    def record(self, result: PartResult) -> None:
        """Record that a part is done.

        :raises OutputError: if it cannot be written.
        """
        self.storage.write(f"{RECORDS}/{result.number:06}.json", result.model_dump_json() + "\n")

    def finish(self, job: Job, results: dict[int, PartResult]) -> Summary:
        """Write and return what became of the job.

        :raises OutputError: if it cannot be written.
        """
        done = [result for result in results.values() if result.failure is None]
        failed = {r.number: r.failure for r in results.values() if r.failure is not None}
        summary = Summary(
            rows=sum(result.rows for result in done),
            errors=sum(result.errors for result in done),
            parts=len(job.parts),
            failed=failed,
        )
        self.storage.write(SUMMARY, json.dumps(summary.model_dump(), indent=2) + "\n")
        return summary
