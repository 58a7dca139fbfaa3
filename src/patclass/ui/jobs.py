"""Batch jobs: the patents of a file are classified in the background of the page.

A job continues when its page is left, and waits while the service is busy or unavailable. Jobs
live in the memory of the page's process; the oldest finished ones are dropped.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patclass.ui.client import Api, PageError

# Patents in a request: enough to keep the service busy, few enough to show progress.
CHUNK = 16
# Jobs that are kept, running or not.
MAX_JOBS = 20
MAX_RUNNING = 8
# Seconds for which one request is repeated.
MAX_WAIT = 600.0
# How often a chunk may be refused as busy before it is halved.
_MAX_REFUSALS = 3
_CANCELLED = "Cancelled."

# Fields that the results table needs; all others would fill the memory.
_FIELDS = (
    "id",
    "label",
    "name",
    "confidence",
    "sure",
    "section",
    "class",
    "class_confidence",
    "subclass",
    "subclass_confidence",
    "read_share",
    "warnings",
    "error",
)

log = logging.getLogger(__name__)

Patent = Mapping[str, str | None]


@dataclass
class BatchJob:
    """The patents of one file and their results so far.

    :param patents: a string in place of a patent says why its row cannot be read.
    :param titles: titles of the model's codes.
    :param own: the cells of the file as Parquet, for the results.
    :param title_column: the column of the file that is shown beside the results.
    :param total: number of patents, which themselves are dropped when the job ends.
    :param started: seconds of the monotonic clock.
    :param waited: seconds spent waiting for the service.
    :param waiting_for: why the job waits now.
    :param stop_reason: why the job ended before all patents were classified.
    """

    name: str
    model: str
    patents: Sequence[Patent | str]
    titles: Mapping[str, str] = field(default_factory=dict)
    own: bytes | None = None
    title_column: str | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    results: list[dict[str, Any]] = field(default_factory=list)
    total: int = field(init=False)
    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    waiting_for: str | None = None
    stop_reason: str | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.total = len(self.patents)

    @property
    def done(self) -> int:
        """Number of patents that were classified or failed."""
        return len(self.results)

    @property
    def running(self) -> bool:
        """Whether more results will come."""
        return self.stop_reason is None and self.done < self.total

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the average time per patent; None before the first result."""
        working = time.monotonic() - self.started - self.waited
        return working / self.done * (self.total - self.done) if self.done else None

    def cancel(self) -> None:
        """Stop after the current request."""
        self._cancelled.set()

    def run(self, api: Api) -> None:
        """Classify all patents in their order; a result that failed says why."""
        try:
            self._run(api)
        except Exception:  # would be lost with the thread
            log.exception("a batch job failed")
            self.stop_reason = "An internal error occurred. The log of the page has the details."
        self.waiting_for, self.patents = None, ()

    def _run(self, api: Api) -> None:
        while self.running:
            if self._cancelled.is_set():
                self.stop_reason = _CANCELLED
                return
            chunk = self.patents[self.done : self.done + CHUNK]
            try:
                results = self._results(api, chunk)
            except PageError as error:
                self.stop_reason = error.message
                return
            self.results += map(_reduced, results)

    def _results(self, api: Api, chunk: Sequence[Patent | str]) -> list[dict[str, Any]]:
        readable = [patent for patent in chunk if not isinstance(patent, str)]
        results = iter(self._classify(api, readable) if readable else ())
        first = self.done + 1
        return [
            _failed(str(first + offset), patent) if isinstance(patent, str) else next(results)
            for offset, patent in enumerate(chunk)
        ]

    def _classify(self, api: Api, patents: Sequence[Patent]) -> list[dict[str, Any]]:
        """Results in order; a request that is too large is split, a single patent then fails."""
        single = len(patents) == 1
        try:
            return self._with_retries(lambda: api.classify(patents, self.model, k=1), single)
        except PageError as error:
            if error.kind != "too_large":
                raise
            if single:
                return [_failed(str(patents[0]["id"]), error.message)]
        half = len(patents) // 2
        return self._classify(api, patents[:half]) + self._classify(api, patents[half:])

    def _with_retries(
        self, request: Callable[[], list[dict[str, Any]]], single: bool
    ) -> list[dict[str, Any]]:
        """Repeat a request while the service is busy or unavailable.

        :param single: whether the request has one patent and cannot be split.
        :raises PageError: if a retry cannot help, or ``MAX_WAIT`` has passed.
        """
        since, refusals = time.monotonic(), 0
        while True:
            try:
                results = request()
            except PageError as error:
                if not error.transient or time.monotonic() - since > MAX_WAIT:
                    raise
                refusals += error.kind == "busy"
                if refusals > _MAX_REFUSALS and not single:
                    # A slow model may never classify so many within its deadline.
                    raise PageError("too_large", error.message) from error
                self._wait(error)
            else:
                self.waiting_for = None
                return results

    def _wait(self, error: PageError) -> None:
        self.waiting_for = error.message
        before = time.monotonic()
        self._cancelled.wait(error.retry_after or 1.0)
        self.waited += time.monotonic() - before
        if self._cancelled.is_set():
            raise PageError("cancelled", _CANCELLED) from error


def _reduced(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in _FIELDS if name in result}


def _failed(id: str, message: str) -> dict[str, Any]:
    return {"id": id, "error": {"code": "unreadable", "message": message}}


class BatchJobs:
    """The jobs of all visitors; a job is found by its id only, which cannot be guessed."""

    def __init__(self) -> None:
        self._jobs: dict[str, BatchJob] = {}
        self._lock = threading.Lock()

    def start(self, job: BatchJob, api: Api) -> BatchJob:
        """Keep ``job`` and run it in a thread of its own.

        :raises PageError: if ``MAX_RUNNING`` others run.
        """
        with self._lock:
            if sum(other.running for other in self._jobs.values()) >= MAX_RUNNING:
                raise PageError(
                    "busy", "Too many files are being classified. Try again in a few minutes."
                )
            finished = [id for id, other in self._jobs.items() if not other.running]
            for id in finished[: max(0, len(self._jobs) + 1 - MAX_JOBS)]:
                del self._jobs[id]
            self._jobs[job.id] = job
        threading.Thread(target=job.run, args=(api,), name=f"job-{job.id}", daemon=True).start()
        return job

    def get(self, id: str | None) -> BatchJob | None:
        """The job with this id, if it is still kept."""
        return self._jobs.get(id or "")
