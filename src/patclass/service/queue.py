"""Patents that wait to be answered, bounded in tokens, and the threads that answer them.

Knows models and clocks, no HTTP. A patent is refused at the door if the queue is full, or if by
the speed of the last minutes it could not be answered in time; so what is accepted is answered.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from patclass.data.batches import BATCH_TOKENS, rounded
from patclass.inference.prediction import Options, Prediction
from patclass.model.tokenizer import EncodedText
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel

# A patent waits for its whole batch: who is in a hurry is answered by half of one.
_HURRY = 1.0  # seconds to the deadline

# What else happens to a patent, and how much the speed varies from moment to moment.
_MARGIN = 1.25

# How much the speed of the last batch counts against that of the ones before.
_FRESH = 0.1


class QueueFullError(Exception):
    """Refused at the door.

    :ivar retry_after: seconds after which there should be room.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full; there should be room in {retry_after:.1f} seconds")
        self.retry_after = retry_after


class DeadlineError(Exception):
    """Accepted, but its time ran out before it was answered."""


@dataclass(eq=False)
class Job:
    """One patent on its way.

    :param deadline: when it must be answered, by the monotonic clock.
    :param weight: tokens that answering it takes, repeated readings for explanations included.
    """

    model: LoadedModel
    text: str
    reading: EncodedText
    options: Options
    deadline: float
    weight: int
    added: float = field(default_factory=time.monotonic)
    result: "Future[Prediction]" = field(default_factory=Future)

    @property
    def width(self) -> int:
        """The padded length by which it can share a batch; passages apart cannot."""
        passages = self.reading.passages
        return rounded(len(passages[0].ids)) if len(passages) == 1 else 0


class Queue:
    """A queue in the order of arrival, emptied by a few threads."""

    def __init__(self, metrics: Metrics, most_tokens: int, speed: float, threads: int) -> None:
        """Start the threads, two for each stream: one reads an answer while one is computed.

        :param most_tokens: how many tokens may wait.
        :param speed: tokens a second, measured before.
        """
        self.most_tokens = most_tokens
        self.speed = speed
        self._metrics = metrics
        self._streams = max(1, threads // 2)
        self._waiting: deque[Job] = deque()
        self._tokens = self._running = 0
        self._closing = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"answer-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, jobs: Sequence[Job]) -> None:
        """Let all of them wait, or none.

        :raises QueueFull: if they do not fit, or could not be answered in time.
        """
        weight = sum(job.weight for job in jobs)
        with self._changed:
            over = self._tokens + weight - self.most_tokens
            if over > 0:
                raise QueueFullError(over / self.speed)
            last = max(job.weight for job in jobs)
            late = self._wait(weight, last) - min(j.deadline for j in jobs) + time.monotonic()
            if late > 0:
                raise QueueFullError(late)
            self._waiting.extend(jobs)
            self._tokens += weight
            self._show()
            self._changed.notify(len(jobs))

    def _wait(self, weight: int, last: int) -> float:
        """Seconds until so many more tokens would be answered.

        :param last: the heaviest patent of them: it is computed on one core, at its share of the
            speed.
        """
        ahead = self._tokens + self._running + weight - last
        return _MARGIN * (ahead + last * self._streams) / self.speed

    def drop(self, jobs: Sequence[Job], reason: str) -> None:
        """Forget those that still wait.

        :param reason: under which they are counted.
        """
        gone = set(map(id, jobs))
        with self._changed:
            kept = deque(job for job in self._waiting if id(job) not in gone)
            dropped = len(self._waiting) - len(kept)
            self._waiting = kept
            self._tokens = sum(job.weight for job in kept)
            self._show()
        if dropped:
            self._metrics.refused.labels(reason).inc(dropped)

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _show(self) -> None:
        self._metrics.queue_tokens.set(self._tokens)
        self._metrics.queue_items.set(len(self._waiting))

    def _work(self) -> None:
        while batch := self._take():
            began = time.monotonic()
            weight = sum(job.weight for job in batch)
            alive = [job for job in batch if self._in_time(job, began)]
            self._answer(alive)
            with self._changed:
                self._running -= weight
                seconds = time.monotonic() - began
                # Each thread sees its own share of the machine's speed.
                seen = len(self._threads) * weight / max(1e-4, seconds)
                full = self._tokens and len(alive) == len(batch)
                self.speed += _FRESH * (seen - self.speed) if full else 0

    def _take(self) -> list[Job]:
        """The oldest job, with others of its model and length as far as a batch goes."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return []
                self._changed.wait()
            first = self._waiting.popleft()
            batch = [first]
            if first.width and not first.options.explain:
                hurry = first.deadline - time.monotonic() < _HURRY
                most = max(1, BATCH_TOKENS // (2 if hurry else 1) // first.width)
                for job in tuple(self._waiting):
                    if len(batch) == most:
                        break
                    if (job.model, job.width) == (first.model, first.width) and not (
                        job.options.explain
                    ):
                        batch.append(job)
                        self._waiting.remove(job)
            weight = sum(job.weight for job in batch)
            self._tokens -= weight
            self._running += weight
            self._show()
            return batch

    def _in_time(self, job: Job, now: float) -> bool:
        self._metrics.stage_seconds.labels("queue").observe(now - job.added)
        if not job.result.set_running_or_notify_cancel():
            return False
        if now > job.deadline:
            self._metrics.refused.labels("deadline").inc()
            job.result.set_exception(DeadlineError())
            return False
        return True

    def _answer(self, batch: Sequence[Job]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            found = batch[0].model.classifier.answer(
                [job.text for job in batch],
                [job.reading for job in batch],
                [job.options for job in batch],
            )
        except Exception as problem:  # whatever it is, those who wait must hear of it
            for job in batch:
                job.result.set_exception(problem)
            return
        seconds = time.monotonic() - began
        for job, prediction in zip(batch, found, strict=True):
            self._metrics.stage_seconds.labels("infer").observe(seconds)
            self._metrics.tokens.labels(job.model.name).inc(job.weight)
            job.result.set_result(prediction)


async def answers_to(jobs: Sequence[Job]) -> list[Prediction]:
    """The predictions of jobs that were added, in order.

    :raises TooLate: if one was not answered in time.
    """
    waiting = [asyncio.wrap_future(job.result) for job in jobs]
    return list(await asyncio.gather(*waiting))
