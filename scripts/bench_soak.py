"""Whether memory, descriptors and threads of the service stay flat under half an hour of load.

    python scripts/bench_soak.py [--minutes 30] [--model FOLDER]

A real 'patclass serve' is asked to classify in a closed loop, read as the page reads, given
feedback and reviews, and told to reload its model, all at once; meanwhile it is sampled and /livez
is timed. Writes docs/soak.md, and ends with 1 if anything rose, failed or was lost.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parent / "bench_serve"))
from load import HOST, Server, free_port, serving
from machine import machine

from patclass.store.database import locate_store
from patclass.store.feedback import FeedbackStore

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "soak.md"
EXPORTED = ROOT / "build" / "bench-serve" / "int8"  # made by 'make bench-serve'
CLIENTS, PATENTS = 2, 4  # that classify all the time, and patents in their requests
# Seconds between two steps of the other callers; feedback stays below what one caller may send.
READ_EVERY, FEEDBACK_EVERY, REVIEW_EVERY, RELOAD_EVERY, LIVE_EVERY = 1.0, 1.0, 2.0, 30.0, 0.1
SAMPLES, ROWS = 120, 12  # of a run, and of them in the table
WARM_UP = 1 / 3  # share of a run after which a rise counts
# What counts as flat: the rise after warming up, by a line through the samples.
LIMITS = {"resident memory, MB": 0.05, "descriptors": 0.05, "threads": 0.05}
LEAST = {"resident memory, MB": 15.0, "descriptors": 4.0, "threads": 2.0}
LIVE_P99 = 0.1  # seconds
REVIEWER = "Ada"


@dataclass
class Record:
    """What the callers saw; each writes its own keys, under one lock."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    live: list[tuple[float, float]] = field(default_factory=list)  # when, how long
    predictions: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)  # notes of feedback
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, who: str, answer: httpx.Response) -> httpx.Response:
        """Count an answer."""
        with self.lock:
            self.statuses[who, answer.status_code] += 1
            if answer.status_code not in ALLOWED:
                self.problems.append(f"{who}: {answer.status_code} {answer.text[:300]}")
        return answer


Step = Callable[[httpx.Client, Record, int], None]


def classify(client: httpx.Client, record: Record, number: int) -> None:
    patents = [{"id": str(n), "text": text(PATENTS * number + n)} for n in range(PATENTS)]
    answer = record.note("classify", client.post("/v1/classify", json={"patents": patents}))
    if answer.status_code == httpx.codes.OK:
        ids = [result["prediction_id"] for result in answer.json()["results"]]
        with record.lock:
            record.predictions = [*record.predictions[-200:], *ids]


def read(client: httpx.Client, record: Record, number: int) -> None:
    """As the page does for one visitor."""
    models = record.note("read", client.get("/v1/models")).json()["models"]
    paths = ("labels", "report", "monitor")
    path = f"/v1/models/{models[0]['name']}/{paths[number % len(paths)]}"
    record.note("read", client.get(path))
    body = {"patents": [text(number)], "explain": True, "alternatives": True, "coverage": 0.9}
    record.note("read", client.post("/v1/classify", json=body))


def give_feedback(client: httpx.Client, record: Record, number: int) -> None:
    with record.lock:
        known = record.predictions[-1:]
    for prediction in known:
        note = f"soak-feedback-{number}"
        body = {"prediction_id": prediction, "correct": True, "note": note, "reviewer": "Bob"}
        key = {"Idempotency-Key": note}
        answer = record.note("feedback", client.post("/v1/feedback", json=body, headers=key))
        if answer.status_code == httpx.codes.CREATED:
            record.acknowledged.append(note)


def review(client: httpx.Client, record: Record, number: int) -> None:
    record.note("review", client.get("/v1/reviews", params={"limit": 1}))
    claimed = record.note("review", client.post("/v1/reviews/claim", json={"reviewer": REVIEWER}))
    if claimed.status_code != httpx.codes.OK:
        return
    path = f"/v1/reviews/{claimed.json()['prediction_id']}"
    if number % 5 == 4:
        record.note("review", client.post(f"{path}/release", json={"reviewer": REVIEWER}))
        return
    note = f"soak-decision-{number}"
    body = {"reviewer": REVIEWER, "correct": number % 3 > 0, "note": note}
    key = {"Idempotency-Key": note}
    answer = record.note("review", client.post(f"{path}/decision", json=body, headers=key))
    if answer.status_code == httpx.codes.CREATED:
        record.acknowledged.append(note)


def reload(client: httpx.Client, record: Record, number: int) -> None:
    record.note("reload", client.post("/v1/models/reload"))


def look(client: httpx.Client, record: Record, number: int) -> None:
    start = time.perf_counter()
    record.note("livez", client.get("/livez"))
    record.live.append((start, time.perf_counter() - start))


CALLERS: Sequence[tuple[Step, float]] = (
    *[(classify, 0.0)] * CLIENTS,
    (read, READ_EVERY),
    (give_feedback, FEEDBACK_EVERY),
    (review, REVIEW_EVERY),
    (reload, RELOAD_EVERY),
    (look, LIVE_EVERY),
)
# Besides success: a full queue, no case to review, a case that was decided meanwhile.
ALLOWED = {200, 201, 404, 409, 429}

_SAMPLE = resources.files("patclass") / "sample" / "train.jsonl"
_ROWS = [json.loads(line) for line in _SAMPLE.read_text(encoding="utf-8").splitlines()]


def text(number: int) -> str:
    """One of many texts, none of which comes twice."""
    row = _ROWS[number % len(_ROWS)]
    return f"{row['title']}. {row['abstract']} It is shown in figure {number}."


def call(step: Step, every: float, port: int, record: Record, ended: threading.Event) -> None:
    """Repeat a step until the end; what it raises is a problem of the run."""
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60, trust_env=False) as client:
        for number in itertools.count():
            begin = time.perf_counter()
            try:
                step(client, record, number)
            except (httpx.HTTPError, KeyError, ValueError) as problem:
                record.problems.append(f"{step.__name__}: {problem!r}")
            if ended.wait(max(0.0, every - (time.perf_counter() - begin))):
                return


@dataclass(frozen=True)
class Sample:
    """The service at one time."""

    seconds: float
    figures: dict[str, float]


def sampled(server: Server, seconds: float) -> Iterator[Sample]:
    process, start = psutil.Process(server.pid), time.perf_counter()
    for number in range(1, SAMPLES + 1):
        time.sleep(max(0.0, number * seconds / SAMPLES - (time.perf_counter() - start)))
        with process.oneshot():
            figures = (process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())
        yield Sample(time.perf_counter() - start, dict(zip(LIMITS, figures, strict=True)))


def run(model: str, seconds: float, folder: Path) -> tuple[list[Sample], Record, float, int]:
    """The samples, what the callers saw, when it began, and how much feedback was lost."""
    port, record, ended = free_port(), Record(), threading.Event()
    store = folder / "soak.db"
    command = [sys.executable, "-m", "patclass", "serve", "--port", str(port), "--keep-texts"]
    command += ["--model", model, "--store", str(store)]
    with serving(command, port, folder / "serve.log", timeout=600) as server:
        start = time.perf_counter()
        callers = [
            threading.Thread(target=call, args=(step, every, port, record, ended))
            for step, every in CALLERS
        ]
        for caller in callers:
            caller.start()
        try:
            samples = list(sampled(server, seconds))
        finally:
            ended.set()
            for caller in callers:
                caller.join()
    stored = {row.feedback.note for row in FeedbackStore(locate_store(store, {})).iterate()}
    return samples, record, start, len(set(record.acknowledged) - stored)


def rise(samples: Sequence[Sample], name: str) -> float:
    """How much a figure rose from the end of the warm-up to the end, by a line through them."""
    late = samples[int(WARM_UP * len(samples)) :]
    times = [sample.seconds for sample in late]
    line = statistics.linear_regression(times, [sample.figures[name] for sample in late])
    return line.slope * (times[-1] - times[0])


def p99(live: Sequence[float]) -> float:
    return sorted(live)[int(0.99 * len(live))] if live else float("nan")


@dataclass(frozen=True)
class Verdict:
    """One promise, and whether it was held."""

    what: str
    found: str
    wanted: str
    held: bool


def verdicts(
    samples: Sequence[Sample], record: Record, start: float, lost: int
) -> Iterator[Verdict]:
    for name, share in LIMITS.items():
        middle = statistics.median(sample.figures[name] for sample in samples)
        limit, risen = max(LEAST[name], share * middle), rise(samples, name)
        yield Verdict(f"rise of {name}", f"{risen:+.1f}", f"at most {limit:.1f}", risen <= limit)
    minutes: dict[int, list[float]] = {}
    for when, took in record.live:
        minutes.setdefault(int((when - start) / 60), []).append(took)
    worst = max(map(p99, minutes.values()))
    limit = f"at most {LIVE_P99 * 1000:.0f}"
    found = f"{worst * 1000:.0f}"
    yield Verdict("p99 of /livez in the worst minute, ms", found, limit, worst <= LIVE_P99)
    failed = len(record.problems)
    yield Verdict("requests that failed", str(failed), "none", not failed)
    yield Verdict("acknowledged feedback that is not stored", str(lost), "none", not lost)


def page(
    samples: Sequence[Sample], record: Record, start: float, found: Sequence[Verdict], model: str
) -> str:
    """The page of this run."""
    rows = []
    for index in range(len(samples) // ROWS - 1, len(samples), len(samples) // ROWS):
        sample = samples[index]
        begin = samples[index - len(samples) // ROWS + 1].seconds
        live = [took for when, took in record.live if begin <= when - start <= sample.seconds]
        figures = " | ".join(f"{value:,.0f}" for value in sample.figures.values())
        rows.append(f"| {sample.seconds / 60:.1f} | {figures} | {p99(live) * 1000:.0f} |")
    counts: dict[str, list[str]] = {}
    for (who, code), count in sorted(record.statuses.items()):
        counts.setdefault(who, []).append(f"{count:,} x {code}")
    return "\n".join(
        [
            "# Soak",
            "",
            f"`make bench-soak`, {datetime.now(UTC):%Y-%m-%d}, on {machine()}.",
            "",
            f"{samples[-1].seconds:,.0f} seconds of mixed load on {model}, all at once: "
            f"{CLIENTS} clients that",
            f"classify {PATENTS} patents a request in a closed loop, a reader as the page is one, "
            "feedback every second,",
            f"a review every two, a reload every {RELOAD_EVERY:.0f} seconds. The machine also "
            "makes the load. A rise is that",
            f"of a line through the samples after the first {WARM_UP:.0%} of the time.",
            "",
            "| | measured | wanted | |",
            "|---|---|---|---|",
            *(
                f"| {v.what} | {v.found} | {v.wanted} | {'held' if v.held else '**missed**'} |"
                for v in found
            ),
            "",
            f"| minutes | {' | '.join(LIMITS)} | p99 of /livez, ms |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "| caller | answers |",
            "|---|---|",
            *(f"| {who} | {', '.join(seen)} |" for who, seen in counts.items()),
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--model", help="a bundle; by default the export of 'make bench-serve'")
    parser.add_argument("--output", type=Path, default=PAGE, help="page to write")
    args = parser.parse_args()
    exported = (EXPORTED / "manifest.json").is_file()
    model = args.model or (str(EXPORTED) if exported else "shipped")
    named = "the shipped model, exported for int8" if model == str(EXPORTED) else f"`{model}`"
    with tempfile.TemporaryDirectory() as folder:
        samples, record, start, lost = run(model, 60 * args.minutes, Path(folder))
    found = list(verdicts(samples, record, start, lost))
    args.output.write_text(page(samples, record, start, found, named), encoding="utf-8")
    for verdict in found:
        held = "held" if verdict.held else "MISSED"
        print(f"{verdict.what}: {verdict.found} (wanted {verdict.wanted}): {held}")
    print(*record.problems[:10], sep="\n")
    return 0 if all(verdict.held for verdict in found) else 1


if __name__ == "__main__":
    sys.exit(main())
