"""The page of figures, docs/benchmarks.md, written by the benchmark itself."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

TARGETS = {"original": 10.0, "pipeline": 2.5, "pipelines": 2.5}
OVERHEAD, START, LATENCY, LLAMA = 0.15, 3.0, 2.0, 6.0


@dataclass(frozen=True)
class Figures:
    """What was measured with the shipped model; texts a second, seconds, megabytes.

    :param rates: of every server and loop, one of each round.
    """

    rates: Mapping[str, Sequence[float]]
    calm_p99: float
    busy_p99: float
    refused: float
    busy_rate: float
    cold_start: float
    peak_megabytes: Mapping[str, float]
    when: str
    machine: str
    weights: str
    parity: str
    tokens: int
    clients: int

    def rate(self, name: str) -> float:
        """Texts a second, the median of all rounds."""
        return statistics.median(self.rates[name])

    def times(self, name: str) -> float:
        """How many times as many texts our server answers as ``name``."""
        return _times(self.rates["patclass"], self.rates[name])

    def added(self, more: str, less: str) -> float:
        """Time a text that ``more`` takes beyond ``less``, as a share of the bare engine's."""
        rounds = zip(*(self.rates[name] for name in ("engine", more, less)), strict=True)
        return statistics.median(engine / slow - engine / fast for engine, slow, fast in rounds)


@dataclass(frozen=True)
class LlamaFigures:
    """Texts a second in the shape of Llama-3.2-1B, one of each round."""

    rates: Mapping[str, Sequence[float]]
    precision: str
    weights: str
    clients: int
    when: str
    machine: str

    def times(self, name: str) -> float:
        """How many times as many texts ``name`` answers as the original."""
        return _times(self.rates[name], self.rates["original"])


NAMES = {
    "original": "the original description: transformers + adapter, float32, padded to 512, one "
    "at a time",
    "pipeline": "well made: transformers text-classification pipeline, adapter merged, bfloat16 or "
    "float32 by trial, no padding, one at a time with all cores",
    "pipelines": "the same made better still: as many at a time as a trial finds fastest",
    "patclass": "patclass serve",
    "classifier": "no server: the classifier, tokens made beforehand (linear model, calibration)",
    "engine": "no server: the bare engine, tokens made beforehand",
}


def write_page(shipped: Path, llama: Path) -> None:
    """Write what was measured last; the shipped model must have been."""
    figures = Figures(**json.loads(shipped.read_text(encoding="utf-8")))
    found = llama.is_file() and LlamaFigures(**json.loads(llama.read_text(encoding="utf-8")))
    _, title, training = PAGE.read_text(encoding="utf-8").partition("\n# Benchmarks of training\n")
    page = _page(figures) + (_llama(found) if found else "")
    PAGE.write_text(page + title + training, encoding="utf-8")  # that part is of another script


def _page(figures: Figures) -> str:
    rows = "".join(_row(name, figures) for name in NAMES)
    ratios = "".join(
        _line(f"times as many texts as {name}", figures.times(name), wanted, "at least")
        for name, wanted in TARGETS.items()
    )
    return f"""# Benchmarks of the service

The machine also makes the load. Figures are only comparable within a run.

## The shipped model

`make bench-serve`, {figures.when}, on {figures.machine}.

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
            "time that HTTP, queue and tokenising add, in times of the bare engine's",
            figures.added("patclass", "classifier"),
            OVERHEAD,
            "at most",
        )
    }\
{_line("seconds from a cold start to the first answer", figures.cold_start, START, "at most")}
Linear model, calibration and explanations add {
        figures.added("classifier", "engine"):.2f} times the time of
the bare engine. p99 alone is {figures.calm_p99 * 1000:.0f} ms. Under load, arrivals are
random at 1.5 times the capacity and clients send `X-Deadline-Ms` with 1.5 times that;
{figures.refused:.0%} of their texts were refused (a third is more than can be done), the others
answered, {figures.busy_rate:.0f} a second.

Beside the model that was exported:

```text
{figures.parity}
```
"""


def _times(own: Sequence[float], other: Sequence[float]) -> float:
    """How many times the rate of another; rounds are compared in pairs."""
    return statistics.median(ours / its for ours, its in zip(own, other, strict=True))


def _row(name: str, figures: Figures) -> str:
    rates, peak = figures.rates[name], figures.peak_megabytes.get(name)
    spread = f"{min(rates):.1f} to {max(rates):.1f}"
    memory = "" if peak is None else f"{peak:,.0f}"
    return f"| {NAMES[name]} | {figures.rate(name):.1f} ({spread}) | {memory} |\n"


def _line(what: str, measured: float, wanted: float, how: str) -> str:
    held = measured >= wanted if how == "at least" else measured <= wanted
    return f"| {what} | {measured:.2f} | {how} {wanted:g} | {'held' if held else '**missed**'} |\n"


def _llama(found: LlamaFigures) -> str:
    names = {
        "original": NAMES["original"],
        "trained": f"patclass serve, as it was trained, in {found.precision}",
        "exported": f"patclass serve, exported for int8 as `{found.weights}`",
    }
    rows = "".join(
        f"| {names[name]} | {statistics.median(rates):.2f} ({min(rates):.2f} to "
        f"{max(rates):.2f}) | {found.times(name):.1f} |\n"
        for name, rates in found.rates.items()
    )
    return f"""
## The shape of Llama-3.2-1B

`make bench-serve-llama`, {found.when}, on {found.machine}. Random weights, the same texts, of which
256 tokens are read; {found.clients} clients.

| server | texts a second, median (range) | times the original |
|---|---|---|
{rows}
| | measured | wanted | |
|---|---|---|---|
{_line("times as many texts as original, exported", found.times("exported"), LLAMA, "at least")}"""
