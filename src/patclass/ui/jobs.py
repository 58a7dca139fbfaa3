"""A file's patents on their way through the service, beside the page that started them.

A job goes on when the page is left, and waits when the service is busy or away. Jobs live in the
memory of the page's process; the oldest give way.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patclass.ui.client import Api, Trouble

# Enough patents at a time to keep the service busy, few enough to see progress.
CHUNK = 16
KEPT = 20
# For so long a service that is away is waited for.
PATIENCE = 600.0
# Files that are worked on at the same time.
MOST_RUNNING = 8
_BY_YOU = "Stopped by you."
_REFUSALS = 3  # of a chunk, before it is halved

# What the table of answers needs of a result; the rest would fill the memory.
_FIELDS = (
    *("id", "label", "name", "confidence", "sure", "section", "class", "class_confidence"),
    *("subclass", "subclass_confidence", "read", "warnings", "error"),
)

log = logging.getLogger(__name__)

Patent = Mapping[str, str | None]


@dataclass
class Job:
    """Patents of one file, and the answers so far."""

    name: str
    model: str
    patents: Sequence[Patent | str]  # a text instead of a patent says why a row cannot be read
    titles: Mapping[str, str] = field(default_factory=dict)  # of the model's codes
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    results: list[dict[str, Any]] = field(default_factory=list)
    total: int = field(init=False)  # patents; they themselves are let go in the end
    began: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    waiting: str | None = None
    stopped: str | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.total = len(self.patents)

    @property
    def done(self) -> int:
        """How many have been answered or failed."""
        return len(self.results)

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self.stopped is None and self.done < self.total

    @property
    def seconds_left(self) -> float | None:
        """How long it will take by the pace so far; None while there is none."""
        working = time.monotonic() - self.began - self.waited
        return working / self.done * (self.total - self.done) if self.done else None

    def cancel(self) -> None:
        """Stop after the patents that are being answered."""
        self._cancelled.set()

    def run(self, api: Api) -> None:
        """Answer all, in order; what cannot be answered says why."""
        try:
            self._run(api)
        except Exception:  # of a thread, nobody would see it
            log.exception("a job failed")
            self.stopped = "Something broke on the page; whoever runs it finds it in the log."
        self.waiting, self.patents = None, ()

    def _run(self, api: Api) -> None:
        while self.running:
            if self._cancelled.is_set():
                self.stopped = _BY_YOU
                return
            chunk = self.patents[self.done : self.done + CHUNK]
            try:
                found = self._answer(api, chunk)
            except Trouble as trouble:
                self.stopped = trouble.sentence
                return
            self.results += map(_kept, found)

    def _answer(self, api: Api, chunk: Sequence[Patent | str]) -> list[dict[str, Any]]:
        usable = [patent for patent in chunk if not isinstance(patent, str)]
        answers = iter(self._classify(api, usable) if usable else ())
        first = self.done + 1
        return [
            _failed(str(first + place), patent) if isinstance(patent, str) else next(answers)
            for place, patent in enumerate(chunk)
        ]

    def _classify(self, api: Api, patents: Sequence[Patent]) -> list[dict[str, Any]]:
        """Answers in order; what is too much at once goes in halves, or fails alone."""
        try:
            alone = len(patents) == 1
            return self._patiently(lambda: api.classify(patents, self.model, k=1), alone)
        except Trouble as trouble:
            if trouble.kind != "large":
                raise
            if alone:
                return [_failed(str(patents[0]["id"]), trouble.sentence)]
        half = len(patents) // 2
        return self._classify(api, patents[:half]) + self._classify(api, patents[half:])

    def _patiently(
        self, ask: Callable[[], list[dict[str, Any]]], alone: bool
    ) -> list[dict[str, Any]]:
        """Ask until there is an answer; busy and absent services are waited for.

        :param alone: whether it is about one patent, of which less cannot be asked.
        :raises Trouble: if waiting does not help, or has been too long.
        """
        since, busy = time.monotonic(), 0
        while True:
            try:
                found = ask()
            except Trouble as trouble:
                if not trouble.passes or self._too_long(since):
                    raise
                busy += trouble.kind == "busy"
                if busy > _REFUSALS and not alone:  # a slow model may never manage so many in time
                    raise Trouble("large", trouble.sentence) from trouble
                self.waiting = trouble.sentence
                before = time.monotonic()
                self._cancelled.wait(trouble.wait or 1.0)
                self.waited += time.monotonic() - before
                if self._cancelled.is_set():
                    raise Trouble("input", _BY_YOU) from trouble
            else:
                self.waiting = None
                return found

    def _too_long(self, since: float) -> bool:
        return time.monotonic() - since > PATIENCE


def _kept(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in _FIELDS if name in result}


def _failed(number: str, why: str) -> dict[str, Any]:
    return {"id": number, "error": {"code": "unreadable", "message": why}}


class Jobs:
    """The jobs of all who use the page, each known only by its own id."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, job: Job, api: Api) -> Job:
        """Keep ``job`` and run it beside the page.

        :raises Trouble: if too many others run.
        """
        with self._lock:
            if sum(known.running for known in self._jobs.values()) >= MOST_RUNNING:
                raise Trouble(
                    "busy", "Other files are being worked on. Try again in a few minutes."
                )
            finished = [id for id, known in self._jobs.items() if not known.running]
            for id in finished[: max(0, len(self._jobs) + 1 - KEPT)]:
                del self._jobs[id]
            self._jobs[job.id] = job
        threading.Thread(target=job.run, args=(api,), name=f"job-{job.id}", daemon=True).start()
        return job

    def get(self, id: str | None) -> Job | None:
        """A job by its id, if it is still known."""
        return self._jobs.get(id or "")
