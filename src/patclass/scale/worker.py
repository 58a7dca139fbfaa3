"""What each worker does: load the model once, then classify part after part.

Knows a job, no pool of workers.
"""

import copy
import os
import platform
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from patclass.bundle import Bundle, read_bundle
from patclass.core.errors import DataError, OutputError, PatclassError
from patclass.data.table import Row, Table
from patclass.inference import Classifier
from patclass.inference.files import FileTask, classify_rows, open_task
from patclass.scale.job import InputFile, Job, JobFolder, Part, PartResult, Request
from patclass.scale.storage import Storage

# What decides the last bits of an answer.
_PACKAGES = ("patclass", "numpy", "openvino", "tokenizers", "torch", "transformers")


class WorkerError(PatclassError):
    """A worker that cannot do its work, on whatever part."""


def versions() -> dict[str, str]:
    """The versions of what answers here; of Python, the first two numbers."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker is made from, wherever it runs; the job it reads by itself.

    :param folder: path or URL of the job's folder.
    :param model: folder of the bundle.
    :param versions: those of the process that started the job.
    """

    folder: str
    model: str
    device: str
    versions: dict[str, str]


class Worker:
    """Classifies parts of a job, with a model of its own."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Load the model.

        :raises WorkerError: if this machine lacks something that the job needs.
        """
        self.folder = JobFolder(setup.folder)
        try:
            _check_versions(setup.versions)
            self.job = _read_job(self.folder)
            self.classifier = _load(setup, self.job.request.bundle)
        except PatclassError as problem:
            raise WorkerError(f"{socket.gethostname()}: {problem}") from problem
        self.source = Storage.of(self.job.request.source)
        self._file: _OpenFile | None = None

    def run(self, part: Part) -> PartResult:
        """Classify a part into its file, and record that. What fails is told, not raised."""
        began = time.monotonic()
        notes: list[str] = []
        try:
            file = self._open(part.file)
            with self.folder.storage.written(self.job.name_of(part.number)) as target:
                task = file.task(part, target)
                options = self.job.request.prediction_options
                found = classify_rows(self.classifier, task, options, echo=notes.append)
            result = PartResult(
                number=part.number,
                rows=found.rows,
                errors=found.errors,
                seconds=round(time.monotonic() - began, 3),
                # The first says what was recognised, the same for each part of a file.
                notes=tuple(notes if part.after == 0 else notes[1:]),
            )
            self.folder.record(result)
        except PatclassError as problem:
            self.close()
            fatal = not isinstance(problem, DataError)
            where = f"{socket.gethostname()}: " if fatal else ""
            return PartResult(number=part.number, failure=f"{where}{problem}", fatal=fatal)
        return result

    def _open(self, number: int) -> "_OpenFile":
        if self._file is None or self._file.number != number:
            self.close()
            self._file = _OpenFile(self.source, number, self.job.files[number], self.job)
        return self._file

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _check_versions(wanted: dict[str, str]) -> None:
    here = versions()
    for name, there in wanted.items():
        if here.get(name) != there:
            raise WorkerError(
                f"{name} is {here.get(name, 'missing')}, but {there} where the job was started; "
                "install the same version on all machines."
            )


def _read_job(folder: JobFolder) -> Job:
    job = folder.job()
    if job is None:
        raise WorkerError(
            f"{folder.storage.url} is not what it is where the job was started; write to a folder "
            "that all machines share, or to an object store."
        )
    return job


def _load(setup: WorkerSetup, bundle_sha256: str) -> Classifier:
    bundle = read_bundle(Path(setup.model))
    if bundle.sha256 != bundle_sha256:
        raise WorkerError(
            f"{setup.model} is another model here than where the job was started; copy the same "
            "bundle to all machines, or put it on a folder that they share."
        )
    return one_of_many(bundle, setup.device)


def one_of_many(bundle: Bundle, device: str) -> Classifier:
    """The classifier of a process that shares a machine with others: it has one thread."""
    engine = bundle.description.engine
    if engine is None or engine.kind != "openvino":
        import torch

        torch.set_num_threads(1)
    return Classifier(bundle, device, threads=1)


class _OpenFile:
    """A file of the input, from which parts are read one after the other.

    Workers are given parts in their order, so that most files can be read on where the last part
    ended, or a little behind: without that, each part of a long text would be searched from the
    beginning.
    """

    def __init__(self, source: Storage, number: int, file: InputFile, job: Job) -> None:
        self.number = number
        name = "" if source.is_file() else file.name
        with ExitStack() as copies:
            path = copies.enter_context(source.fetched(name))
            if not path.exists():
                raise OutputError(
                    f"{path} is not there, but it is where the job was started; read from a folder "
                    "that all machines share, or from an object store."
                )
            self._task = _task_of(path, job.request)
            self._copies = copies.pop_all()
        self._rows: Iterator[Row] | None = None
        self._read = 0  # rows of the file that were read

    def close(self) -> None:
        """Forget the file, or its copy."""
        self._rows = None
        self._copies.close()

    def task(self, part: Part, target: Path) -> FileTask:
        """The classification of a part."""
        table = replace(self._task.table, read=partial(self._rows_of, self._task.table, part))
        # Of JSON, columns are added as they are met: each part begins with those of the file.
        return replace(self._task, table=table, target=target, own=copy.deepcopy(self._task.own))

    def _rows_of(self, table: Table, part: Part, wanted: Collection[str] | None) -> Iterator[Row]:
        if table.read_after is not None:
            if self._rows is None or self._read != part.after:
                self._rows, self._read = table.read_after(wanted, part.after), part.after
        elif self._rows is None or self._read > part.after:
            self._rows, self._read = table.read(wanted), 0
        for _ in islice(self._rows, part.after - self._read):
            self._read += 1
        for row in islice(self._rows, part.rows):
            self._read += 1
            yield row


def _task_of(path: Path, request: Request) -> FileTask:
    return open_task(
        path,
        Path(f"answers{request.format}"),  # each part has its own
        request.table_options,
        request.text,
        request.columns,
        request.prediction_options.all_codes,
    )


def limit_threads() -> None:
    """Leave libraries that are loaded later one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"


def begin(setup: WorkerSetup) -> Callable[[Part], PartResult]:
    """The worker of a process of its own; one that cannot begin says so of whatever part."""
    limit_threads()
    try:
        return Worker(setup).run
    except PatclassError as problem:
        reason = str(problem)
    return lambda part: PartResult(number=part.number, failure=reason, fatal=True)
