"""The inference queue, bounded in tokens, and the threads that work on it.

Knows models and clocks, no HTTP. A patent is refused if the queue is full, or if at the recent
speed its deadline could not be met; so what is accepted is classified in time.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from patclass.inference.prediction import Options, Prediction
from patclass.model.tokenizer import BATCH_TOKENS, EncodedText, rounded
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel

# A patent waits for its whole batch: close to its deadline the batch is half as large.
_URGENT_SECONDS = 1.0

# For the time outside of the queue, and for variations of the speed.
_MARGIN = 1.25

# Weight of the last batch in the moving average of the speed.
_SPEED_WEIGHT = 0.1


class QueueFullError(Exception):
    """The queue has no room, or the deadline could not be met.

    :ivar retry_after: seconds after which to try again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full; try again in {retry_after:.1f} seconds")
        self.retry_after = retry_after


class DeadlineError(Exception):
    """The deadline of an accepted patent passed before it was classified."""


@dataclass(eq=False)
class QueuedPatent:
    """An encoded patent in the queue, and the future of its prediction.

    :param deadline: by the monotonic clock.
    :param weight: tokens to compute, with those of repeated passes for an explanation.
    """

    model: LoadedModel
    text: str
    encoding: EncodedText
    options: Options
    deadline: float
    weight: int
    added: float = field(default_factory=time.monotonic)
    result: "Future[Prediction]" = field(default_factory=Future)

    @property
    def width(self) -> int:
        """The padded length for batching; 0 if it has several passages and gets its own batch."""
        passages = self.encoding.passages
        return rounded(len(passages[0].ids)) if len(passages) == 1 else 0


class InferenceQueue:
    """A first-in, first-out queue with worker threads."""

    def __init__(self, metrics: Metrics, capacity: int, speed: float, threads: int) -> None:
        """Start the threads, two per stream: one computes while one returns results.

        :param capacity: how many tokens may wait.
        :param speed: tokens per second, measured before.
        """
        self.capacity = capacity
        self.speed = speed
        self._metrics = metrics
        self._streams = max(1, threads // 2)
        self._waiting: deque[QueuedPatent] = deque()
        self._tokens = self._running = 0
        self._closing = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"infer-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, patents: Sequence[QueuedPatent]) -> None:
        """Queue all patents, or none.

        :raises QueueFullError: if they do not fit, or a deadline could not be met.
        """
        weight = sum(patent.weight for patent in patents)
        with self._changed:
            excess = self._tokens + weight - self.capacity
            if excess > 0:
                raise QueueFullError(excess / self.speed)
            heaviest = max(patent.weight for patent in patents)
            deadline = min(patent.deadline for patent in patents)
            late = self._seconds_to(weight, heaviest) - deadline + time.monotonic()
            if late > 0:
                raise QueueFullError(late)
            self._waiting.extend(patents)
            self._tokens += weight
            self._update_metrics()
            self._changed.notify(len(patents))

    def _seconds_to(self, weight: int, heaviest: int) -> float:
        """Seconds until ``weight`` more tokens would be computed.

        :param heaviest: tokens of the heaviest patent of them, which is computed by one stream at
            its share of the speed.
        """
        ahead = self._tokens + self._running + weight - heaviest
        return _MARGIN * (ahead + heaviest * self._streams) / self.speed

    def drop(self, patents: Sequence[QueuedPatent], reason: str) -> None:
        """Remove patents that still wait.

        :param reason: the label under which they are counted.
        """
        removed = set(map(id, patents))
        with self._changed:
            kept = deque(patent for patent in self._waiting if id(patent) not in removed)
            dropped = len(self._waiting) - len(kept)
            self._waiting = kept
            self._tokens = sum(patent.weight for patent in kept)
            self._update_metrics()
        if dropped:
            self._metrics.refused.labels(reason).inc(dropped)

    def close(self) -> None:
        """Classify what waits, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _update_metrics(self) -> None:
        self._metrics.queue_tokens.set(self._tokens)
        self._metrics.queue_items.set(len(self._waiting))

    def _work(self) -> None:
        while self._classify_next():
            pass  # a batch in a variable here would keep a replaced model until the next request

    def _classify_next(self) -> bool:
        """Wait for a batch and classify it; return whether there was one."""
        batch = self._take()
        began = time.monotonic()
        weight = sum(patent.weight for patent in batch)
        in_time = [patent for patent in batch if self._is_in_time(patent, began)]
        self._classify(in_time)
        with self._changed:
            self._running -= weight
            seconds = time.monotonic() - began
            # Each thread has its share of the machine's speed.
            speed = len(self._threads) * weight / max(1e-4, seconds)
            busy = self._tokens and len(in_time) == len(batch)
            self.speed += _SPEED_WEIGHT * (speed - self.speed) if busy else 0
        return bool(batch)

    def _take(self) -> list[QueuedPatent]:
        """The oldest patent, with others of its model and length up to the size of a batch."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return []
                self._changed.wait()
            first = self._waiting.popleft()
            batch = [first]
            if first.width and not first.options.explain:
                urgent = first.deadline - time.monotonic() < _URGENT_SECONDS
                size = max(1, BATCH_TOKENS // (2 if urgent else 1) // first.width)
                for patent in tuple(self._waiting):
                    if len(batch) == size:
                        break
                    if (patent.model, patent.width) == (first.model, first.width) and not (
                        patent.options.explain
                    ):
                        batch.append(patent)
                        self._waiting.remove(patent)
            weight = sum(patent.weight for patent in batch)
            self._tokens -= weight
            self._running += weight
            self._update_metrics()
            return batch

    def _is_in_time(self, patent: QueuedPatent, now: float) -> bool:
        self._metrics.stage_seconds.labels("queue").observe(now - patent.added)
        if not patent.result.set_running_or_notify_cancel():
            return False
        if now > patent.deadline:
            self._metrics.refused.labels("deadline").inc()
            patent.result.set_exception(DeadlineError())
            return False
        return True

    def _classify(self, batch: Sequence[QueuedPatent]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            predictions = batch[0].model.classifier.classify_encoded(
                [patent.text for patent in batch],
                [patent.encoding for patent in batch],
                [patent.options for patent in batch],
            )
        except Exception as error:  # whatever it is, the waiting requests must fail with it
            for patent in batch:
                patent.result.set_exception(error)
            return
        seconds = time.monotonic() - began
        for patent, prediction in zip(batch, predictions, strict=True):
            self._metrics.stage_seconds.labels("infer").observe(seconds)
            self._metrics.tokens.labels(patent.model.name).inc(patent.weight)
            patent.result.set_result(prediction)


async def predictions_of(patents: Sequence[QueuedPatent]) -> list[Prediction]:
    """The predictions of queued patents, in order.

    :raises DeadlineError: if the deadline of one has passed.
    """
    futures = [asyncio.wrap_future(patent.result) for patent in patents]
    return list(await asyncio.gather(*futures))
