"""From the patents of a request to predictions: check, encode, queue, wait. Knows no routes."""

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fastapi import Request

from patclass.core.errors import ConfigError, DataError, OfficeError
from patclass.inference.classifier import Patent
from patclass.inference.prediction import MAX_SENTENCES, Options, Prediction
from patclass.model.tokenizer import EncodedText
from patclass.offices.patent import OfficePatent
from patclass.service.background import Shadow
from patclass.service.context import began_at, note
from patclass.service.errors import ApiError
from patclass.service.lookups import Found, Lookups
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.queue import (
    DeadlineError,
    InferenceQueue,
    QueuedPatent,
    QueueFullError,
    predictions_of,
)
from patclass.service.settings import ServiceSettings
from patclass.service.storage import Recorder, row_of

Value = TypeVar("Value")

# More characters than this are read, cleaned and tokenised in a thread, so that the event loop is
# not blocked.
_INLINE_CHARS = 20_000


@dataclass(frozen=True)
class ServedPrediction:
    """A prediction and the id under which it is stored.

    :param patent: what was looked up, if the patent was named by its number.
    """

    id: str
    prediction: Prediction
    patent: OfficePatent | None = None


@dataclass(frozen=True)
class ServedBatch:
    """The results of a request: for each patent a prediction, or the error of its text."""

    model: LoadedModel
    results: list[ServedPrediction | DataError | OfficeError]


async def computed(chars: int, work: Callable[[], Value]) -> Value:
    """What ``work`` returns; it is called in a thread if it takes long.

    :param chars: that it reads.
    """
    return work() if chars <= _INLINE_CHARS else await asyncio.to_thread(work)


def model_named(models: Models, name: str | None) -> LoadedModel:
    """A loaded model by its name, the default for None.

    :raises ApiError: if the models are not loaded yet, or there is none of that name.
    """
    if not models.ready:
        raise ApiError(503, "not_ready", "the models are being loaded", {"Retry-After": "1"})
    try:
        return models.get(name)
    except ConfigError as error:
        raise ApiError(404, "unknown_model", str(error)) from error


class ClassificationService:
    """Classifies the patents of requests through the inference queue."""

    def __init__(
        self,
        settings: ServiceSettings,
        models: Models,
        queue: InferenceQueue,
        metrics: Metrics,
        recorder: Recorder,
        shadow: Shadow,
        lookups: Lookups,
    ) -> None:
        self._settings, self._models, self._lookups = settings, models, lookups
        self._queue, self._metrics = queue, metrics
        self._recorder, self._shadow = recorder, shadow

    async def classify(
        self,
        request: Request,
        patents: Sequence[Patent],
        model_name: str | None,
        options: Options,
        deadline_ms: int | None,
    ) -> ServedBatch:
        """Classify patents, in order, with one model; those with a ``number`` are looked up.

        :param deadline_ms: milliseconds from the start of the request, if the client set any.
        :raises ApiError: if the request as a whole is refused.
        """
        seconds = self._settings.deadline
        if deadline_ms is not None:
            seconds = min(seconds, deadline_ms / 1000)
        deadline = began_at(request.scope) + seconds
        model = self._checked_model(model_name, options)
        left = deadline - time.monotonic()
        found = await self._lookups.find(patents, model.classifier.view.columns, left)
        chars = sum(map(_length, found))
        texts = await computed(chars, lambda: [self._text(model, patent) for patent in found])
        usable = [text for text in texts if isinstance(text, str)]
        encodings = await self._encode(model, usable)
        queued = [
            QueuedPatent(model, text, encoding, options, deadline, _weight(encoding, options))
            for text, encoding in zip(usable, encodings, strict=True)
        ]
        tokens = sum(patent.weight for patent in queued)
        note(request.scope, model=model.name, version=model.version)
        note(request.scope, items=len(texts), tokens=tokens)
        if lookups := sum(isinstance(each, OfficePatent | OfficeError) for each in found):
            note(request.scope, lookups=lookups)
        if self._settings.log_texts:
            note(request.scope, texts=usable)
        if queued:
            self._enqueue(queued, tokens)
        predictions = await self._wait(request, queued) if queued else []
        began = began_at(request.scope)
        recorded = await computed(chars, lambda: self._record(model, predictions, began))
        served = iter(recorded)
        return ServedBatch(
            model,
            [
                replace(next(served), patent=patent if isinstance(patent, OfficePatent) else None)
                if isinstance(text, str)
                else text
                for patent, text in zip(found, texts, strict=True)
            ],
        )

    def _record(
        self, model: LoadedModel, predictions: Sequence[Prediction], began: float
    ) -> list[ServedPrediction]:
        """Store and count predictions, and pass them to the shadow model."""
        served = [ServedPrediction(secrets.token_hex(16), each) for each in predictions]
        seconds = time.monotonic() - began
        keep_text = self._settings.keep_texts
        rows = [row_of(s.id, model, s.prediction, seconds, keep_text) for s in served]
        self._recorder.add(rows)
        self._shadow.add(rows, [prediction.text for prediction in predictions])
        for prediction in predictions:
            self._metrics.count(model.name, prediction)
        return served

    def _checked_model(self, name: str | None, options: Options) -> LoadedModel:
        model = model_named(self._models, name)
        try:
            model.classifier.check_options(options)
        except ConfigError as error:
            raise ApiError(422, "invalid", str(error)) from error
        return model

    def _text(self, model: LoadedModel, patent: Found) -> str | DataError | OfficeError:
        """The text of a patent; its length is checked before anything else."""
        if isinstance(patent, OfficeError):
            return patent
        if isinstance(patent, OfficePatent):
            patent = patent.fields(self._settings.max_chars)
        try:
            check_length(_length(patent), self._settings.max_chars)
            return model.classifier.text_of(patent)
        except DataError as error:
            return error

    async def _encode(self, model: LoadedModel, texts: Sequence[str]) -> list[EncodedText]:
        if not texts:
            return []
        began = time.perf_counter()
        chars = sum(map(len, texts))
        encodings = await computed(chars, lambda: model.classifier.encode(texts))
        seconds = (time.perf_counter() - began) / len(texts)
        for _ in texts:
            self._metrics.stage_seconds.labels("tokenise").observe(seconds)
        return encodings

    def _enqueue(self, patents: Sequence[QueuedPatent], tokens: int) -> None:
        if tokens > self._queue.capacity:
            self._metrics.refused.labels("too_large").inc(len(patents))
            raise ApiError(
                413,
                "request_too_large",
                f"the request has {tokens:,} tokens; the queue holds at most "
                f"{self._queue.capacity:,}. Send fewer patents per request.",
            )
        try:
            self._queue.add(patents)
        except QueueFullError as error:
            self._metrics.refused.labels("queue_full").inc(len(patents))
            headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
            raise ApiError(429, "queue_full", str(error), headers) from error

    async def _wait(self, request: Request, patents: Sequence[QueuedPatent]) -> list[Prediction]:
        """Wait for predictions until the deadline, or until the client disconnects."""
        predictions = asyncio.ensure_future(predictions_of(patents))
        disconnected = asyncio.ensure_future(_disconnected(request))
        drop_reason: str | None = "gone"
        try:
            left = min(patent.deadline for patent in patents) - time.monotonic()
            await asyncio.wait(
                (predictions, disconnected),
                timeout=max(0.0, left),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if predictions.done():
                drop_reason = "failed"
                result = predictions.result()
                drop_reason = None
                return result
            if disconnected.done():
                raise ApiError(499, "deadline_exceeded", "the client has disconnected")
            drop_reason = "deadline"
            raise DeadlineError
        except DeadlineError as error:
            message = "the deadline passed before the prediction was ready"
            raise ApiError(504, "deadline_exceeded", message) from error
        finally:
            disconnected.cancel()
            if drop_reason is not None:
                predictions.cancel()
                self._queue.drop(patents, drop_reason)


async def _disconnected(request: Request) -> None:
    """Return when the client has disconnected. The body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def check_length(chars: int, most: int) -> None:
    """Refuse a text that is too long.

    :raises DataError: if it has more characters than ``most``.
    """
    if chars > most:
        raise DataError(
            f"the text has {chars:,} characters; at most {most:,} are accepted. Use the title and "
            "the abstract, or shorten it."
        )


def _length(patent: Found) -> int:
    """The characters that were sent of a patent."""
    if isinstance(patent, Mapping):
        return sum(len(value) for value in patent.values() if value)
    return len(patent) if isinstance(patent, str) else 0


def _weight(encoding: EncodedText, options: Options) -> int:
    """Tokens to compute for a patent."""
    tokens = sum(len(passage.ids) for passage in encoding.passages)
    # An explanation classifies the text again without each of its sentences.
    by_sentence = options.explain and len(encoding.passages) == 1
    return tokens * (2 + MAX_SENTENCES) if by_sentence else tokens
