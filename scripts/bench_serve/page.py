"""The page of figures, docs/benchmarks.md, written by the benchmark itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

TARGETS = {"original": 10.0, "pipeline": 2.5, "pipelines": 2.5}
OVERHEAD, START, LATENCY, LLAMA = 0.15, 3.0, 2.0, 6.0


@dataclass(frozen=True)
class Figures:
    """What was measured with the shipped model; texts a second, seconds, megabytes."""

    rates: Mapping[str, float]
    spread: Mapping[str, list[float]]
    bare: float
    calm_p99: float
    busy_p99: float
    refused: float
    busy_rate: float
    cold_start: float
    peak_megabytes: Mapping[str, float]
    weights: str
    parity: str
    tokens: int
    clients: int


@dataclass(frozen=True)
class LlamaFigures:
    """Texts a second of the shape of Llama-3.2-1B."""

    original: float
    ours: float
    precision: str


NAMES = {
    "original": "the original description: transformers + adapter, float32, padded to 512, one "
    "at a time",
    "pipeline": "well made: transformers text-classification pipeline, adapter merged, bfloat16 or "
    "float32 by trial, no padding, one at a time with all cores",
    "pipelines": "the same made better still: as many at a time as a trial finds fastest",
    "patclass": "patclass serve",
}


def write_page(figures: Figures, llama: LlamaFigures | None, machine: str) -> None:
    PAGE.write_text(_page(figures, llama, machine), encoding="utf-8")


def _page(figures: Figures, llama: LlamaFigures | None, machine: str) -> str:
    own = figures.rates["patclass"]
    rows = "".join(
        f"| {NAMES[name]} | {rate:.1f} ({figures.spread[name][0]:.1f} to "
        f"{figures.spread[name][1]:.1f}) | {figures.peak_megabytes[name]:,.0f} |\n"
        for name, rate in figures.rates.items()
    )
    ratios = "".join(
        _line(f"times as many texts as {name}", own / figures.rates[name], wanted, "at least")
        for name, wanted in TARGETS.items()
    )
    overhead = figures.bare / own - 1
    return f"""# Benchmarks of the service

Written by `make bench-serve` on {datetime.now(UTC):%Y-%m-%d}, on {machine}. The machine also makes
the load. Figures are only comparable within a run.

The shipped model, exported for int8 as `{figures.weights}`. Every text has 256 tokens or more, of
which {figures.tokens} are read; {figures.clients} clients, each asking again when it is answered.

| server | texts a second, median (range) | peak memory, MB |
|---|---|---|
{rows}
| | measured | wanted | |
|---|---|---|---|
{ratios}{
        _line(
            "p99 under 1.5 times the capacity over p99 alone, of what is accepted",
            figures.busy_p99 / figures.calm_p99,
            LATENCY,
            "at most",
        )
    }\
{
        _line(
            "time that HTTP, queue, tokens, opinion and evidence add to a bare engine loop",
            overhead,
            OVERHEAD,
            "at most",
        )
    }\
{_line("seconds from a cold start to the first answer", figures.cold_start, START, "at most")}\
{_llama(llama)}
p99 alone is {figures.calm_p99 * 1000:.0f} ms. Under load, arrivals are random at 1.5
times the capacity and clients send `X-Deadline-Ms` with 1.5 times that;
{figures.refused:.0%} of their texts were refused (a third is more than can be done), the others
answered, {figures.busy_rate:.0f} a second.

## Beside the model that was exported

```text
{figures.parity}
```
"""


def _line(what: str, measured: float, wanted: float, how: str) -> str:
    held = measured >= wanted if how == "at least" else measured <= wanted
    return f"| {what} | {measured:.2f} | {how} {wanted:g} | {'held' if held else '**missed**'} |\n"


def _llama(found: LlamaFigures | None) -> str:
    if found is None:
        return ""
    what = f"shape of Llama-3.2-1B ({found.precision}): times as many texts as the original"
    return _line(what, found.ours / found.original, LLAMA, "at least")
