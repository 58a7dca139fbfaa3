"""From a request's patents to predictions: checked, read, queued, waited for. Knows no routes."""

import asyncio
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request

from patclass.core.errors import ConfigError, DataError
from patclass.inference.explain import MAX_SENTENCES
from patclass.inference.prediction import Options, Prediction
from patclass.model.tokenizer import EncodedText
from patclass.service.background import Shadow
from patclass.service.context import began_at, note
from patclass.service.errors import Problem
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.queue import DeadlineError, Job, Queue, QueueFullError, answers_to
from patclass.service.settings import ServiceSettings
from patclass.service.storage import Recorder, row_of

DEADLINE = "X-Deadline-Ms"
NEIGHBOURS = 5

# More characters than this are tokenised beside the event loop, which others wait for.
_AT_ONCE = 20_000

FeedbackRow = str | Mapping[str, str | None]


@dataclass(frozen=True)
class Answer:
    """A prediction, and the id by which it is remembered."""

    id: str
    prediction: Prediction


@dataclass(frozen=True)
class Answered:
    """Who answered, and what: for each patent an answer, or why there is none."""

    model: LoadedModel
    results: list[Answer | DataError]


def model_named(models: Models, name: str | None) -> LoadedModel:
    """A model by its name, the default for None.

    :raises Problem: if it is not loaded yet, or there is none.
    """
    if not models.ready:
        raise Problem(503, "not_ready", "the models are being loaded", {"Retry-After": "1"})
    try:
        return models.get(name)
    except ConfigError as problem:
        raise Problem(404, "unknown_model", str(problem)) from problem


class Answering:
    """The way of every patent through the service."""

    def __init__(
        self,
        settings: ServiceSettings,
        models: Models,
        queue: Queue,
        metrics: Metrics,
        recorder: Recorder,
        shadow: Shadow,
    ) -> None:
        self._settings, self._models = settings, models
        self._queue, self._metrics = queue, metrics
        self._recorder, self._shadow = recorder, shadow

    async def answer(
        self, request: Request, patents: Sequence[FeedbackRow], name: str | None, options: Options
    ) -> Answered:
        """Answer patents, in order, with one model.

        :raises Problem: if the request as a whole is refused.
        """
        deadline = began_at(request.scope) + self._seconds(request)
        model = self._model(name, options)
        texts = [self._text(model, patent) for patent in patents]
        usable = [text for text in texts if isinstance(text, str)]
        encodings = await self._read(model, usable)
        jobs = [
            Job(model, text, reading, options, deadline, _weight(reading, options))
            for text, reading in zip(usable, encodings, strict=True)
        ]
        tokens = sum(job.weight for job in jobs)
        note(request.scope, model=model.name, version=model.version)
        note(request.scope, items=len(texts), tokens=tokens)
        if self._settings.log_texts:
            note(request.scope, texts=usable)
        if jobs:
            self._admit(jobs, tokens)
        predictions = await self._wait(request, jobs) if jobs else []
        found = iter(self._remember(model, predictions, began_at(request.scope)))
        return Answered(model, [t if isinstance(t, DataError) else next(found) for t in texts])

    def _remember(
        self, model: LoadedModel, predictions: Sequence[Prediction], began: float
    ) -> list[Answer]:
        """Account for predictions that are given to somebody now."""
        answers = [Answer(secrets.token_hex(16), prediction) for prediction in predictions]
        seconds = time.monotonic() - began
        keep = self._settings.keep_texts
        rows = [row_of(a.id, model, a.prediction, seconds, keep) for a in answers]
        self._recorder.add(rows)
        self._shadow.add(rows, [prediction.text for prediction in predictions])
        for prediction in predictions:
            self._metrics.count(model.name, prediction)
        return answers

    def _seconds(self, request: Request) -> float:
        given = request.headers.get(DEADLINE)
        if given is None:
            return self._settings.deadline
        if not given.isdecimal() or not 0 < int(given) <= 600_000:
            raise Problem(422, "invalid", f"{DEADLINE}: expected 1 to 600000 milliseconds")
        return min(self._settings.deadline, int(given) / 1000)

    def _model(self, name: str | None, options: Options) -> LoadedModel:
        model = model_named(self._models, name)
        try:
            model.classifier.check(options)
        except ConfigError as problem:
            raise Problem(422, "invalid", str(problem).removeprefix("--")) from problem
        return model

    def _text(self, model: LoadedModel, patent: FeedbackRow) -> str | DataError:
        """The text of a patent, bounded before anything else looks at it."""
        length = len(patent) if isinstance(patent, str) else sum(map(len, _filled(patent)))
        most = self._settings.max_chars
        if length > most:
            return DataError(
                f"the text has {length:,} characters; at most {most:,} are accepted. Give the "
                "title and the abstract, or cut it."
            )
        try:
            return model.classifier.text_of(patent)
        except DataError as problem:
            return problem

    async def _read(self, model: LoadedModel, texts: Sequence[str]) -> list[EncodedText]:
        if not texts:
            return []
        began = time.perf_counter()
        if sum(map(len, texts)) <= _AT_ONCE:
            encodings = model.classifier.read(texts)
        else:
            encodings = await asyncio.to_thread(model.classifier.read, texts)
        seconds = (time.perf_counter() - began) / len(texts)
        for _ in texts:
            self._metrics.stage_seconds.labels("tokenise").observe(seconds)
        return encodings

    def _admit(self, jobs: Sequence[Job], tokens: int) -> None:
        if tokens > self._queue.most_tokens:
            self._metrics.refused.labels("too_large").inc(len(jobs))
            raise Problem(
                *(413, "request_too_large"),
                f"the request has {tokens:,} tokens; the whole queue holds "
                f"{self._queue.most_tokens:,}. Send fewer patents at a time.",
            )
        try:
            self._queue.add(jobs)
        except QueueFullError as full:
            self._metrics.refused.labels("queue_full").inc(len(jobs))
            wait = {"Retry-After": str(max(1, math.ceil(full.retry_after)))}
            raise Problem(429, "queue_full", str(full), wait) from full

    async def _wait(self, request: Request, jobs: Sequence[Job]) -> list[Prediction]:
        """Wait for answers, but not for longer than somebody listens."""
        answers = asyncio.ensure_future(answers_to(jobs))
        leaving = asyncio.ensure_future(_left(request))
        reason: str | None = "gone"
        try:
            left = min(job.deadline for job in jobs) - time.monotonic()
            await asyncio.wait(
                (answers, leaving), timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
            )
            if answers.done():
                reason = "failed"
                found = answers.result()
                reason = None
                return found
            if leaving.done():
                raise Problem(499, "deadline_exceeded", "nobody listens any more")
            reason = "deadline"
            raise DeadlineError
        except DeadlineError as late:
            raise Problem(504, "deadline_exceeded", "not answered within the deadline") from late
        finally:
            leaving.cancel()
            if reason is not None:
                answers.cancel()
                self._queue.drop(jobs, reason)


async def _left(request: Request) -> None:
    """Return when the client has gone away. The body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _filled(patent: Mapping[str, str | None]) -> list[str]:
    return [value for value in patent.values() if value]


def _weight(reading: EncodedText, options: Options) -> int:
    tokens = sum(len(passage.ids) for passage in reading.passages)
    # An explanation reads the text once more without each of its sentences.
    again = options.explain and len(reading.passages) == 1
    return tokens * (2 + MAX_SENTENCES) if again else tokens
