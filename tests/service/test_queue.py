"""The queue: bounded in tokens, accepting complete requests only, without endless waiting."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import wait_until
from patclass.inference.prediction import Options, Prediction, Signals
from patclass.model.tokenizer import BATCH_TOKENS, STEP, EncodedText, Passage, rounded
from patclass.service import queue as queue_module
from patclass.service.metrics import Metrics
from patclass.service.queue import (
    DeadlineError,
    InferenceQueue,
    QueuedPatent,
    QueueFullError,
    predictions_of,
)

SOON, EXPLAIN = 60.0, Options(explain=True)
PLENTY, FAST = 1_000_000, 1e9


def prediction_of(text: str) -> Prediction:
    return Prediction(
        **{"label": text, "name": text, "confidence": 0.5, "level": "class", "sure": True},
        **{
            "path": (),
            "levels": {},
            "top": (),
            "label_set": None,
            "codes": None,
            "read_share": 1.0,
        },
        **{"passages": (), "neighbours": (), "warnings": (), "text": text},
        signals=Signals(),
    )


@dataclass(eq=False)
class FakeClassifier:
    """Predicts each text as its own label once its gate is open; texts that start with ! fail."""

    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def classify_encoded(
        self, texts: Sequence[str], encodings: list[EncodedText], options: Sequence[Options]
    ) -> list[Prediction]:
        assert len(texts) == len(encodings) == len(options)
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        self.begun.set()
        assert self.gate.wait(60)
        time.sleep(self.seconds)
        if any(text.startswith("!") for text in texts):
            raise RuntimeError(texts[0])
        return [prediction_of(text) for text in texts]

    @property
    def processed(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


@dataclass(eq=False)
class FakeModel:
    """A model as the queue sees it."""

    name: str = "default"
    classifier: FakeClassifier = field(default_factory=FakeClassifier)


def job_of(
    model: FakeModel,
    text: str = "text",
    tokens: int = 10,
    seconds: float = SOON,
    options: Options = Options(),  # noqa: B008, which is frozen
    windows: int = 1,
    weight: int | None = None,
) -> QueuedPatent:
    passages = tuple(Passage((1,) * tokens, 0, len(text)) for _ in range(windows))
    encoding = EncodedText(passages, 1.0)
    weight = tokens * windows if weight is None else weight
    now: float = queue_module.time.monotonic()
    return QueuedPatent(model, text, encoding, options, now + seconds, weight)


@pytest.fixture
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for the queue, however slow the machine is."""
    now = time.monotonic()
    monkeypatch.setattr(queue_module, "time", SimpleNamespace(monotonic=lambda: now))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def model() -> Iterator[FakeModel]:
    made = FakeModel()
    yield made
    made.classifier.gate.set()


@pytest.fixture
def idle_queue(metrics: Metrics) -> InferenceQueue:
    """A queue of 100 tokens without worker threads."""
    return InferenceQueue(metrics, 100, FAST, threads=0)


@contextmanager
def one_thread(
    metrics: Metrics, model: FakeModel, speed: float = FAST, threads: int = 1
) -> Iterator[InferenceQueue]:
    """A queue whose only thread is busy with a job until the gate of ``model`` is opened."""
    queue = InferenceQueue(metrics, PLENTY, speed, threads)
    try:
        if threads == 1:
            queue.add([job_of(model, "blocker", 500)])
            assert model.classifier.begun.wait(60)
        yield queue
    finally:
        model.classifier.gate.set()
        queue.close()


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def waiting(metrics: Metrics) -> tuple[float, float]:
    """The numbers of waiting patents and tokens."""
    return value(metrics, "patclass_queue_items"), value(metrics, "patclass_queue_tokens")


def test_the_queue_accepts_exactly_its_capacity(
    idle_queue: InferenceQueue, model: FakeModel, metrics: Metrics
):
    idle_queue.add([job_of(model, tokens=60)])
    idle_queue.add([job_of(model, tokens=40)])
    assert waiting(metrics) == (2, 100)
    with pytest.raises(QueueFullError, match="the queue is full"):
        idle_queue.add([job_of(model, tokens=1)])
    assert waiting(metrics) == (2, 100)


def test_capacity_is_counted_by_weight_rather_than_length(
    idle_queue: InferenceQueue, model: FakeModel
):
    with pytest.raises(QueueFullError):
        idle_queue.add([job_of(model, tokens=1, weight=101)])
    idle_queue.add([job_of(model, tokens=1_000, weight=100)])


def test_a_request_is_accepted_completely_or_not_at_all(
    idle_queue: InferenceQueue, model: FakeModel, metrics: Metrics
):
    idle_queue.add([job_of(model, tokens=50)])
    with pytest.raises(QueueFullError):
        idle_queue.add([job_of(model, tokens=20) for _ in range(3)])
    assert waiting(metrics) == (1, 50)
    idle_queue.add([job_of(model, tokens=25) for _ in range(2)])
    assert waiting(metrics) == (3, 100)


def test_a_full_queue_reports_when_to_retry(metrics: Metrics, model: FakeModel):
    queue = InferenceQueue(metrics, 100, 10.0, threads=0)
    queue.add([job_of(model, tokens=100)])
    with pytest.raises(QueueFullError) as full:
        queue.add([job_of(model, tokens=20)])
    assert full.value.retry_after == pytest.approx(2.0)
    assert "2.0 seconds" in str(full.value)


@pytest.mark.usefixtures("_frozen")
def test_a_job_that_would_miss_its_deadline_is_refused_immediately(
    metrics: Metrics, model: FakeModel
):
    queue = InferenceQueue(metrics, PLENTY, 125.0, threads=0)  # 100 with the safety margin
    queue.add([job_of(model, tokens=200)])
    with pytest.raises(QueueFullError) as full:
        queue.add([job_of(model, tokens=100, seconds=2.5)])
    assert full.value.retry_after == pytest.approx(0.5)
    queue.add([job_of(model, tokens=100, seconds=3.5)])
    assert waiting(metrics) == (2, 300)


@pytest.mark.usefixtures("_frozen")
def test_the_earliest_deadline_of_a_request_counts(metrics: Metrics, model: FakeModel):
    queue = InferenceQueue(metrics, PLENTY, 125.0, threads=0)  # 100 with the safety margin
    with pytest.raises(QueueFullError):
        queue.add([job_of(model, tokens=50), job_of(model, tokens=50, seconds=0.9)])
    assert waiting(metrics) == (0, 0)


@pytest.mark.usefixtures("_frozen")
def test_jobs_in_progress_count_in_full(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        queue.speed = 125.0  # 500 tokens are in progress: up to another 5 seconds
        with pytest.raises(QueueFullError):
            queue.add([job_of(model, tokens=100, seconds=5.9)])
        queue.add([job_of(model, tokens=100, seconds=6.1)])


@pytest.mark.usefixtures("_frozen")
def test_one_patent_is_computed_on_one_core(metrics: Metrics, model: FakeModel):
    model.classifier.gate.set()
    queue = InferenceQueue(metrics, PLENTY, 125.0, threads=8)  # on four cores
    with pytest.raises(QueueFullError):
        queue.add([job_of(model, tokens=100, seconds=3.9)])
    queue.add([job_of(model, tokens=100, seconds=4.1)])
    queue.close()


def test_a_job_past_its_deadline_fails_and_is_not_processed(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        late, punctual = job_of(model, "late"), job_of(model, "punctual")
        queue.add([late])
        queue.add([punctual])
        late.deadline = 0.0
        model.classifier.gate.set()
        with pytest.raises(DeadlineError):
            late.result.result(60)
        assert punctual.result.result(60).label == "punctual"
    assert model.classifier.processed == ["blocker", "punctual"]
    assert value(metrics, "patclass_refused_items_total", reason="deadline") == 1


def test_jobs_are_processed_in_order_of_arrival(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        lengths = [STEP * (1 + number % 3) for number in range(9)]
        jobs = [
            job_of(model, f"{number}", length, options=EXPLAIN)
            for number, length in enumerate(lengths)
        ]
        for job in jobs:
            queue.add([job])
        model.classifier.gate.set()
        assert [job.result.result(60).label for job in jobs] == [str(n) for n in range(9)]
    assert model.classifier.batches[1:] == [[str(number)] for number in range(9)]


def test_a_batch_shares_a_model_and_a_padded_length(metrics: Metrics, model: FakeModel):
    other = FakeModel("other", model.classifier)
    with one_thread(metrics, model) as queue:
        plan = [
            *(("short 1", model, 1), ("long 1", model, STEP + 1), ("other 1", other, 1)),
            *(("short 2", model, STEP), ("long 2", model, 2 * STEP), ("other 2", other, STEP)),
            *(("short 3", model, 2), ("longest", model, 2 * STEP + 1)),
        ]
        queue.add([job_of(whose, text, tokens) for text, whose, tokens in plan])
        model.classifier.gate.set()
    assert model.classifier.batches[1:] == [
        ["short 1", "short 2", "short 3"],
        ["long 1", "long 2"],
        ["other 1", "other 2"],
        ["longest"],
    ]


@pytest.mark.parametrize("tokens", [1, STEP, STEP + 1, 200, BATCH_TOKENS, 3 * BATCH_TOKENS])
def test_a_batch_respects_the_limit_of_padded_tokens(
    metrics: Metrics, model: FakeModel, tokens: int
):
    most = max(1, BATCH_TOKENS // rounded(tokens))
    with one_thread(metrics, model) as queue:
        queue.add([job_of(model, f"{number}", tokens) for number in range(2 * most + 1)])
        model.classifier.gate.set()
    assert [len(batch) for batch in model.classifier.batches[1:]] == [most, most, 1]
    assert model.classifier.processed[1:] == [str(number) for number in range(2 * most + 1)]


def test_tight_deadlines_are_processed_in_smaller_batches(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        queue.speed = 1e6
        queue.add([job_of(model, f"{number}", 32, seconds=0.9) for number in range(16)])
        model.classifier.gate.set()
    assert [len(batch) for batch in model.classifier.batches[1:]] == [8, 8]


def test_explanations_and_windows_are_processed_separately(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        queue.add(
            [
                *(job_of(model, "plain 1"), job_of(model, "explained 1", options=EXPLAIN)),
                *(job_of(model, "windows 1", windows=3), job_of(model, "plain 2")),
                *(job_of(model, "explained 2", options=EXPLAIN),),
                *(job_of(model, "windows 2", windows=3),),
            ]
        )
        model.classifier.gate.set()
    assert model.classifier.batches[1:] == [
        ["plain 1", "plain 2"],
        *(["explained 1"], ["windows 1"], ["explained 2"], ["windows 2"]),
    ]


def test_waiting_requests_share_a_batch(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        for number in range(3):
            queue.add([job_of(model, f"{number}")])
        model.classifier.gate.set()
    assert model.classifier.batches[1:] == [["0", "1", "2"]]


def test_dropped_jobs_free_capacity_and_are_not_processed(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        queue.capacity = 100
        dropped, remaining = (
            [job_of(model, "gone", 30), job_of(model, "gone", 30)],
            job_of(model, "remaining", 40),
        )
        queue.add(dropped)
        queue.add([remaining])
        queue.drop(dropped, "gone")
        assert waiting(metrics) == (1, 40)
        queue.add([job_of(model, "next", 60)])
        model.classifier.gate.set()
    assert sorted(model.classifier.processed) == ["blocker", "next", "remaining"]
    assert value(metrics, "patclass_refused_items_total", reason="gone") == 2


def test_dropping_jobs_that_are_not_waiting_changes_nothing(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        done = job_of(model, "done")
        queue.add([done])
        queue.drop([job_of(model, "never added")], "gone")
        model.classifier.gate.set()
        done.result.result(60)
        queue.drop([done], "gone")
        assert waiting(metrics) == (0, 0)
    assert value(metrics, "patclass_refused_items_total", reason="gone") == 0


def test_a_cancelled_job_is_not_processed(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        jobs = [job_of(model, f"{number}") for number in range(3)]
        queue.add(jobs)
        assert jobs[1].result.cancel()
        model.classifier.gate.set()
        with pytest.raises(CancelledError):
            jobs[1].result.result(60)
    assert model.classifier.batches[1:] == [["0", "2"]]


def test_an_error_reaches_every_job_of_the_batch_and_the_thread_continues(
    metrics: Metrics, model: FakeModel
):
    with one_thread(metrics, model) as queue:
        broken = [job_of(model, "!one"), job_of(model, "two")]
        fine = job_of(model, "fine", 100)
        queue.add(broken)
        queue.add([fine])
        model.classifier.gate.set()
        for job in broken:
            with pytest.raises(RuntimeError, match="!one"):
                job.result.result(60)
        assert fine.result.result(60).label == "fine"
        again = job_of(model, "again")
        queue.add([again])
        assert again.result.result(60).label == "again"
    assert len(model.classifier.threads) == 1
    assert value(metrics, "patclass_tokens_total", model="default") == 500 + 100 + 10


def test_closing_processes_waiting_jobs_and_stops_the_threads(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        jobs = [job_of(model, f"{number}", 100) for number in range(9)]
        queue.add(jobs)
        closing = threading.Thread(target=queue.close)
        closing.start()
        assert not any(job.result.done() for job in jobs)
        model.classifier.gate.set()
        closing.join(10)
        assert not closing.is_alive()
        assert [job.result.result(0).label for job in jobs] == [str(n) for n in range(9)]
        assert not any(thread.is_alive() for thread in queue._threads)
        queue.close()  # closing twice is allowed


def test_an_empty_queue_closes_immediately(metrics: Metrics):
    InferenceQueue(metrics, 100, FAST, threads=3).close()


def test_several_threads_work_concurrently(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model, threads=3) as queue:
        for number in range(3):
            queue.add([job_of(model, f"{number}")])
            wait_until(lambda: len(model.classifier.batches) == number + 1)  # noqa: B023
        model.classifier.gate.set()
    assert len(model.classifier.threads) == 3


def test_predictions_are_counted(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        queue.add([job_of(model, "a", 7, weight=70), job_of(model, "b", 8)])
        model.classifier.gate.set()
    assert value(metrics, "patclass_tokens_total", model="default") == 500 + 78
    for stage in ("queue", "infer"):
        assert value(metrics, "patclass_stage_seconds_count", stage=stage) == 3


def test_the_speed_estimate_follows_full_batches(metrics: Metrics, model: FakeModel):
    model.classifier.seconds = 0.02
    with one_thread(metrics, model, speed=1e6) as queue:
        jobs = [job_of(model, f"{number}", BATCH_TOKENS) for number in range(12)]
        queue.add(jobs)
        model.classifier.gate.set()
        jobs[-1].result.result(60)
        # 512 tokens in 20 milliseconds are 25,600 per second; each batch contributes a tenth.
        assert 25_000 < queue.speed < 0.5e6


def test_the_speed_estimate_can_rise(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model, speed=100.0) as queue:
        queue.add([job_of(model, f"{number}", BATCH_TOKENS, 600) for number in range(9)])
        model.classifier.gate.set()
        wait_until(lambda: queue.speed > 1_000)


def test_small_batches_do_not_change_the_speed_estimate(metrics: Metrics, model: FakeModel):
    model.classifier.gate.set()
    model.classifier.seconds = 0.005
    with one_thread(metrics, model, speed=1e6) as queue:
        for number in range(5):
            wait_until(lambda: not queue._tokens + queue._running)
            queue.add([job_of(model, f"{number}", 1)])
        assert queue.speed == 1e6


@pytest.mark.parametrize("kind", ["late", "cancelled"])
def test_failed_jobs_do_not_change_the_speed_estimate(
    metrics: Metrics, model: FakeModel, kind: str
):
    with one_thread(metrics, model) as queue:
        dead = [job_of(model, "dead", BATCH_TOKENS) for _ in range(50)]
        queue.add(dead)
        queue.add([job_of(model, "last", BATCH_TOKENS)])
        if kind == "late":
            for job in dead:
                job.deadline = 0.0
        else:
            assert all(job.result.cancel() for job in dead)
        queue.speed = 10_000.0
        model.classifier.seconds = 0.05
        model.classifier.gate.set()
        wait_until(lambda: "last" in model.classifier.processed)
        assert queue.speed < 20_000


def test_predictions_are_returned_in_the_order_of_their_jobs(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        jobs = [job_of(model, f"{number}", 100 - 30 * number) for number in range(3)]
        queue.add(jobs)
        model.classifier.gate.set()
        found = asyncio.run(predictions_of(jobs))
    assert [prediction.label for prediction in found] == ["0", "1", "2"]


def test_one_late_job_fails_the_whole_request(metrics: Metrics, model: FakeModel):
    with one_thread(metrics, model) as queue:
        jobs = [job_of(model, "punctual"), job_of(model, "late")]
        queue.add(jobs)
        jobs[1].deadline = 0.0
        model.classifier.gate.set()
        with pytest.raises(DeadlineError):
            asyncio.run(predictions_of(jobs))


def test_a_disconnected_client_cancels_its_waiting_jobs(metrics: Metrics, model: FakeModel):
    async def wait_briefly(jobs: Sequence[QueuedPatent]) -> None:
        async with asyncio.timeout(0.02):
            await predictions_of(jobs)

    with one_thread(metrics, model) as queue:
        jobs = [job_of(model, "gone")]
        queue.add(jobs)
        with pytest.raises(TimeoutError):
            asyncio.run(wait_briefly(jobs))
        assert jobs[0].result.cancelled()
        model.classifier.gate.set()
    assert model.classifier.processed == ["blocker"]


REQUESTS = st.lists(
    st.tuples(
        st.lists(  # the patents of a request: text, tokens, model, windows, explained
            st.tuples(
                *(st.sampled_from(["fine", "!broken"]), st.integers(1, 3 * STEP)),
                *(st.integers(0, 1), st.integers(1, 2), st.booleans()),
            ),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from(["wait", "cancel", "drop", "hurry"]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(REQUESTS, st.integers(1, 3), st.integers(1, 800))
def test_counters_return_to_zero_when_all_jobs_are_done(
    requests: list[tuple[list[tuple[str, int, int, int, bool]], str]], threads: int, most: int
):
    metrics, classifier = Metrics(), FakeClassifier()
    models = [FakeModel("first", classifier), FakeModel("second", classifier)]
    queue = InferenceQueue(metrics, most, FAST, threads)
    accepted: list[QueuedPatent] = []
    dropped: list[QueuedPatent] = []
    for number, (patents, fate) in enumerate(requests):
        jobs = [
            job_of(
                *(models[whose], text, tokens, 0.0 if fate == "hurry" else SOON),
                *(Options(explain=explained), windows),
            )
            for text, tokens, whose, windows, explained in patents
        ]
        try:
            queue.add(jobs)
        except QueueFullError:
            assert not any(job.result.done() for job in jobs)
            continue
        assert waiting(metrics)[1] <= most
        accepted += jobs
        if fate == "cancel":
            for job in jobs:
                job.result.cancel()
        if fate == "drop":
            queue.drop(jobs, "gone")
            dropped += jobs
        if number == len(requests) // 2:
            classifier.gate.set()
    classifier.gate.set()
    queue.close()
    assert (queue._tokens, queue._running, len(queue._waiting)) == (0, 0, 0)
    assert waiting(metrics) == (0, 0)
    refused = value(metrics, "patclass_refused_items_total", reason="gone")
    left = [job for job in accepted if not job.result.done()]
    assert len(left) == refused
    assert set(map(id, left)) <= set(map(id, dropped))
    finished = [j for j in accepted if j.result.done() and not j.result.cancelled()]
    good = sum(job.weight for job in finished if job.result.exception() is None)
    names = [model.name for model in models]
    assert sum(value(metrics, "patclass_tokens_total", model=name) for name in names) == good


@pytest.mark.parametrize("text", ["text", "!fails"])
def test_idle_threads_keep_no_model(metrics: Metrics, text: str):
    queue = InferenceQueue(metrics, PLENTY, FAST, threads=1)
    model = FakeModel()
    model.classifier.gate.set()
    job, kept = job_of(model, text), weakref.ref(model)
    queue.add([job])
    job.result.exception(60)
    del model, job
    try:
        wait_until(lambda: (gc.collect(), kept() is None)[1])
    finally:
        queue.close()
