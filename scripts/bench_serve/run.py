"""Our server beside two rivals, and beside a bare loop over its own engine; writes the page.

    python scripts/bench_serve/run.py shipped    the shipped model (ten minutes)
    python scripts/bench_serve/run.py llama      the shape of Llama-3.2-1B (ten minutes)

All servers run at once and are loaded in turn, so that a slow minute of the machine slows all of
them. Figures are medians over the rounds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from load import Load, Server, closed_loop, free_port, open_loop, serving
from machine import machine
from models import make_minilm
from page import Figures, LlamaFigures, write_page
from texts import PATENTS, long_texts

from patclass.cli.main import main as patclass
from patclass.inference import load as load_bundle
from patclass.inference.prediction import Options

HERE = Path(__file__).parent
WORK = HERE.parents[1] / "build" / "bench-serve"
CLIENTS = 32
ROUNDS, SECONDS = 4, 10.0
TEXTS = 400
LOOP = 64  # texts that a bare loop takes at a time
OVERLOAD = 1.5  # times what the server can do
DEADLINE = 1.5  # times p99 without load
PYTHON = sys.executable


@dataclass(frozen=True)
class Contestant:
    """A server by name, and how it is started."""

    name: str
    command: Callable[[int], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=("shipped", "llama"), help="which model is measured")
    args = parser.parse_args()
    texts = long_texts(TEXTS)
    WORK.mkdir(parents=True, exist_ok=True)
    if args.shape == "llama":
        from llama import measure_llama

        store(measure_llama(WORK, texts), WORK / "llama.json")
    else:
        store(measure_shipped(*shipped_models(), texts), WORK / "shipped.json")
    write_page(WORK / "shipped.json", WORK / "llama.json")


def store(figures: Figures | LlamaFigures, path: Path) -> None:
    path.write_text(json.dumps(vars(figures), indent=2) + "\n", encoding="utf-8")


def shipped_models() -> tuple[Path, Path]:
    """The rivals' folder and our own export, made where they are missing."""
    minilm, exported = WORK / "minilm", WORK / "int8"
    if not (minilm / "config.json").is_file():
        make_minilm(minilm)
    if not (exported / "manifest.json").is_file():
        export(exported)
    return minilm, exported


def export(target: Path) -> None:
    patclass(
        ["export", "shipped", "-o", str(target), "--data", str(PATENTS)], standalone_mode=False
    )


def ours(bundle: Path) -> Contestant:
    return Contestant(
        "patclass",
        lambda port: [
            *(PYTHON, "-m", "patclass", "serve"),
            *("--model", str(bundle), "--port", str(port)),
        ],
    )


def rival(name: str, script: str, model: Path, *flags: str) -> Contestant:
    path = str(HERE / script)
    return Contestant(
        name, lambda port: [PYTHON, path, "--model", str(model), "--port", str(port), *flags]
    )


@contextmanager
def all_running(contestants: Sequence[Contestant]) -> Iterator[Mapping[str, Server]]:
    """All servers at once, by name."""
    with ExitStack() as stack:
        servers = {}
        for contestant in contestants:
            port = free_port()
            log = WORK / f"{contestant.name}.log"
            started = serving(contestant.command(port), port, log, timeout=600)
            servers[contestant.name] = stack.enter_context(started)
            print(f"{contestant.name}: ready", flush=True)
        yield servers


def measure_shipped(minilm: Path, exported: Path, texts: Sequence[str]) -> Figures:
    tokens = load_bundle(exported).bundle.description.text.max_tokens
    limit = ("--max-tokens", str(tokens))
    contestants = [
        rival("original", "rival_original.py", minilm),
        rival("pipeline", "rival_pipeline.py", minilm, *limit, "--workers", "1"),
        rival("pipelines", "rival_pipeline.py", minilm, *limit),
        ours(exported),
    ]
    loops = bare_loops(exported, texts)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    rates |= {contestant.name: [] for contestant in contestants}
    with all_running(contestants) as servers:
        for number in range(ROUNDS + 1):
            for name, server in servers.items():
                found = closed_loop(server.port, texts, CLIENTS, SECONDS)
                print(f"round {number} {name}: {found}", flush=True)
                if number:  # the first one warms up
                    check_all_answered(found)
                    rates[name].append(found.rate)
            for name, loop in loops.items():
                rate = texts_a_second(loop, SECONDS)
                print(f"round {number} {name}: {rate:.2f} texts/s", flush=True)
                if number:
                    rates[name].append(rate)
        peak = {name: server.peak_bytes / 2**20 for name, server in servers.items()}
    calm, busy = latencies(exported, texts, statistics.median(rates["patclass"]))
    return Figures(
        rates=rates,
        calm_p99=calm,
        busy_p99=busy.p99,
        refused=1 - busy.answered / sum(busy.statuses.values()),
        busy_rate=busy.rate,
        cold_start=statistics.median(cold_start(exported) for _ in range(5)),
        peak_megabytes=peak,
        when=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine(),
        weights=load_bundle(exported).bundle.description.engine.weights,
        parity=parity_of(exported),
        tokens=tokens,
        clients=CLIENTS,
    )


def check_all_answered(found: Load) -> None:
    if set(found.statuses) != {200}:
        raise SystemExit(f"not all were answered: {found.statuses}")


def bare_loops(exported: Path, texts: Sequence[str]) -> dict[str, Callable[[], object]]:
    """What is left of a server without HTTP, queue and tokenising: texts read beforehand.

    ``engine`` runs the graph only; ``classifier`` adds linear model, calibration and explanations.
    """
    classifier = load_bundle(exported)
    texts = texts[:LOOP]
    encodings = classifier.encode(texts)
    rows = [passage.ids for encoding in encodings for passage in encoding.passages]
    engine = classifier._pipeline.engine
    options = [Options()] * len(texts)
    return {
        "engine": lambda: engine.run(rows),
        "classifier": lambda: classifier.classify_encoded(texts, encodings, options),
    }


def texts_a_second(loop: Callable[[], object], seconds: float) -> float:
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        loop()
        done += LOOP
    return done / passed


def latencies(exported: Path, texts: Sequence[str], capacity: float) -> tuple[float, Load]:
    """p99 without load, and what comes of too much of it."""
    port = free_port()
    with serving(ours(exported).command(port), port, WORK / "latency.log"):
        closed_loop(port, texts, 4, SECONDS / 2)
        calm = closed_loop(port, texts, 1, 2 * SECONDS).p99
        # Two times, less what passes between a client's clock and the server's.
        deadline = {"X-Deadline-Ms": str(int(1000 * DEADLINE * calm))}
        found = open_loop(port, texts, OVERLOAD * capacity, 2 * SECONDS, headers=deadline)
    print(f"p99 {calm:.3f} s alone; under load {found}", flush=True)
    if not set(found.statuses) <= {200, 429, 504}:
        raise SystemExit(f"unexpected answers under load: {found.statuses}")
    return calm, found


def cold_start(exported: Path) -> float:
    port = free_port()
    with serving(ours(exported).command(port), port, WORK / "cold.log") as server:
        return server.ready_seconds


def parity_of(exported: Path) -> str:
    from patclass.bundle.description import text_of

    return text_of(load_bundle(exported).bundle.description.engine.parity)


if __name__ == "__main__":
    main()
