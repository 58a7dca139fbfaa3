"""A file's patents on their way through the service, beside the page that started them.

A job goes on when the page is left, and waits when the service is busy or away. Jobs live in the
memory of the page's process; the oldest give way.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patclass.ui.api import Api
from patclass.ui.problems import Trouble

# Enough patents at a time to keep the service busy, few enough to see progress.
CHUNK = 16
KEPT = 20
# For so long a service that is away is waited for.
PATIENCE = 600.0

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
    began: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    waiting: str | None = None
    stopped: str | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def total(self) -> int:
        """How many patents there are."""
        return len(self.patents)

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
        while self.running:
            if self._cancelled.is_set():
                self.stopped = "Stopped by you."
                return
            chunk = self.patents[self.done : self.done + CHUNK]
            try:
                found = self._answer(api, chunk)
            except Trouble as trouble:
                self.stopped = trouble.sentence
                return
            self.results += found

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
            return self._patiently(lambda: api.classify(patents, self.model, k=1))
        except Trouble as trouble:
            if trouble.kind != "large":
                raise
            if len(patents) == 1:
                return [_failed(str(patents[0]["id"]), trouble.sentence)]
        half = len(patents) // 2
        return self._classify(api, patents[:half]) + self._classify(api, patents[half:])

    def _patiently(self, ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Ask until there is an answer; busy and absent services are waited for.

        :raises Trouble: if waiting does not help, or has been too long.
        """
        since = time.monotonic()
        while True:
            try:
                found = ask()
            except Trouble as trouble:
                if not trouble.passes or self._too_long(since):
                    raise
                self.waiting = trouble.sentence
                before = time.monotonic()
                self._cancelled.wait(trouble.wait or 1.0)
                self.waited += time.monotonic() - before
                if self._cancelled.is_set():
                    raise Trouble("input", "Stopped by you.") from trouble
            else:
                self.waiting = None
                return found

    def _too_long(self, since: float) -> bool:
        return time.monotonic() - since > PATIENCE


def _failed(number: str, why: str) -> dict[str, Any]:
    return {"id": number, "error": {"code": "unreadable", "message": why}}


class Jobs:
    """The jobs of all who use the page, each known only by its own id."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, job: Job, api: Api) -> Job:
        """Keep ``job`` and run it beside the page."""
        with self._lock:
            finished = [id for id, known in self._jobs.items() if not known.running]
            for id in finished[: max(0, len(self._jobs) + 1 - KEPT)]:
                del self._jobs[id]
            self._jobs[job.id] = job
        threading.Thread(target=job.run, args=(api,), name=f"job-{job.id}", daemon=True).start()
        return job

    def get(self, id: str | None) -> Job | None:
        """A job by its id, if it is still known."""
        return self._jobs.get(id or "")
