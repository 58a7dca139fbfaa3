"""A well made server with the means of transformers: what a tuned patclass has to beat.

    python scripts/bench_serve/rival_pipeline.py --model FOLDER --port N

The adapter is merged, nothing is padded, and precision and parallelism are those that prove
fastest here when it starts; name them (--precision, --workers) to start without the trial.
FOLDER comes from ``models.py``.
"""

import argparse
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from folders import MERGED
from pydantic import BaseModel
from transformers import pipeline

PRECISIONS = ("float32", "bfloat16")
CORES = len(os.sched_getaffinity(0))

ROUNDS, PATIENCE = 4, 5.0  # of the trial, and after how many seconds it is enough

# Texts of the trial: short, middling and long ones, as patents are.
TRIAL = [" ".join(["a valve seat with a spring"] * times) for times in (10, 20, 30, 40, 50)]

Answer = dict[str, Any]


class Patent(BaseModel):
    """The body of a request."""

    text: str


def load(folder: Path, precision: str, max_tokens: int) -> Callable[[str], Answer]:
    """What answers one text."""
    classify = pipeline(
        "text-classification",
        model=str(folder / MERGED),
        dtype=getattr(torch, precision),
        truncation=True,
        max_length=max_tokens,
    )

    lock, running = threading.Lock(), 0

    def answer(text: str) -> Answer:
        nonlocal running
        with lock:
            running += 1
            # A text alone gets all cores: 33 ms instead of 42 with one of two in a bare loop, no
            # gain seen over HTTP. Texts side by side get a core each: 21 ms instead of 28.
            torch.set_num_threads(max(1, CORES // running))
        try:
            with torch.inference_mode():
                found = classify(text)[0]
        finally:
            with lock:
                running -= 1
        return {"prediction": found["label"], "confidence": round(found["score"], 6)}

    return answer


def seconds_a_text(answer: Callable[[str], Answer], workers: int) -> float:
    """Seconds a text, of the best round, with as many texts at a time as there are workers."""
    texts = TRIAL * workers
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(answer, texts[:workers]))  # warms up
        times: list[float] = []
        while len(times) < ROUNDS and sum(times) < PATIENCE:
            start = time.perf_counter()
            list(pool.map(answer, texts))
            times.append(time.perf_counter() - start)
    return min(times) / len(texts)


def fastest_precision(folder: Path, max_tokens: int) -> str:
    costs = {}
    for precision in PRECISIONS:
        costs[precision] = seconds_a_text(load(folder, precision, max_tokens), workers=1)
        gc.collect()  # two copies of a large model would not fit
    return tell_fastest("precision", costs)


def fastest_workers(answer: Callable[[str], Answer]) -> int:
    """How many texts at a time: threads of several texts need not wait for each other."""
    counts = sorted({1, max(1, CORES // 2), CORES})
    return int(tell_fastest("workers", {str(n): seconds_a_text(answer, n) for n in counts}))


def tell_fastest(what: str, costs: dict[str, float]) -> str:
    best = min(costs, key=lambda name: costs[name])
    listed = ", ".join(f"{name} {cost * 1000:.1f} ms" for name, cost in costs.items())
    print(f"{what}: {best} ({listed} a text)", flush=True)
    return best


def application(answer: Callable[[str], Answer], workers: int) -> FastAPI:
    @asynccontextmanager
    async def bounded(_: FastAPI) -> AsyncIterator[None]:
        # The threads that run ``def`` endpoints are the workers; the rest waits its turn.
        current_default_thread_limiter().total_tokens = workers
        yield

    app = FastAPI(lifespan=bounded)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(patent: Patent) -> JSONResponse:
        # Any other return value would queue for a thread once more, to be checked there.
        return JSONResponse(answer(patent.text))

    return app


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, default=224)
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), default="auto")
    parser.add_argument("--workers", type=int, default=0, help="texts at a time; 0: by trial")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    precision = args.precision
    if precision == "auto":
        precision = fastest_precision(args.model, args.max_tokens)
    answer = load(args.model, precision, args.max_tokens)
    workers = args.workers or fastest_workers(answer)
    answer(TRIAL[-1])  # the first answer is slow; nobody should wait for it
    uvicorn.run(application(answer, workers), host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
