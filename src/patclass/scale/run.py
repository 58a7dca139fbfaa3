"""A job from beginning to end: planned or resumed, run by a pool of workers, and summed up."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from filelock import Timeout

from patclass.core.errors import OutputError, cannot_write
from patclass.core.files import file_lock
from patclass.core.progress import progress
from patclass.core.types import Echo
from patclass.scale.job import LOCK, Job, JobFolder, Part, PartResult, Request, Summary, plan_job
from patclass.scale.worker import WorkerError, WorkerSetup, versions

# What runs the parts of a job: given setup, parts, and how many workers.
Pool = Callable[[WorkerSetup, Sequence[Part], int], Iterator[PartResult]]

_MOST_NOTES = 20


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    :param pool: runs the parts.
    :param count: how many work at a time, each with one thread.
    """

    pool: Pool
    count: int
    device: str = "auto"


def run_job(
    request: Request,
    model: str,
    folder: str,
    workers: Workers,
    resume: bool = False,
    echo: Echo = lambda line: None,
) -> Summary:
    """Classify what a request asks for into a folder; each row of the input becomes one.

    A part of the rows that fails, as its file is damaged, does not keep the others from being done;
    to resume the job is to try it again.

    :param model: folder of the bundle, where the workers are.
    :param folder: path or URL of an empty folder, or of one with this job if it is resumed.
    :raises DataError: if the input cannot be read.
    :raises OutputError: if the folder holds anything else, or cannot be written.
    :raises WorkerError: if the workers cannot work.
    """
    place = JobFolder(folder)
    with _locked(place):
        with progress("counting rows", unit="file") as bar:
            plan = partial(plan_job, request, workers.count, bar.update)
            job = place.start(plan, request, resume)
        done = place.records()
        setup = WorkerSetup(folder, model, workers.device, versions())
        results = _run(job, workers, setup, done, echo)
        return place.finish(job, results)


@contextmanager
def _locked(place: JobFolder) -> Iterator[None]:
    """Keep a second process from the same job, where a lock can be had: on a disk."""
    folder = place.storage.local
    with ExitStack() as held:
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(file_lock(folder / LOCK, blocking=False))
            except Timeout as problem:
                raise OutputError(f"another process works on the job in {folder}.") from problem
            except OSError as problem:
                raise cannot_write(folder, problem) from problem
        yield


def _run(
    job: Job,
    workers: Workers,
    setup: WorkerSetup,
    done: dict[int, PartResult],
    echo: Echo,
) -> dict[int, PartResult]:
    results, noted = dict(done), set[str]()
    missing = [part for part in job.parts if part.number not in done]
    before = sum(result.rows for result in done.values())
    with progress("classifying", job.rows, "row", before) as bar:
        for result in workers.pool(setup, missing, workers.count) if missing else ():
            if result.fatal:
                finished = sum(each.failure is None for each in results.values())
                raise WorkerError(
                    f"{result.failure} {finished:,} of {len(job.parts):,} parts are done; when "
                    "this is mended, go on with resume.",
                    setting="resume",
                )
            results[result.number] = result
            for note in result.notes:
                if note not in noted and len(noted) < _MOST_NOTES:
                    noted.add(note)
                    echo(note)
            bar.set_postfix_str(f"{len(results):,} of {len(job.parts):,} parts")
            bar.update(result.rows)
    return results
