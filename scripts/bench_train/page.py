"""The part of docs/benchmarks.md about training, written by the benchmark itself."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench_serve"))
from machine import machine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
TITLE = "# Benchmarks of training\n"

NAMES = {
    "original": "the original recipe: Trainer + PEFT, float32, padded to 512 tokens, one at a time",
    "tuned": "Trainer + PEFT made well: number format and batch size by trial, texts of like "
    "length together, no other padding",
}


@dataclass(frozen=True)
class Section:
    """What was measured of one base, by contestant."""

    base: str
    when: str
    arguments: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]


def write_section(section: Section, work: Path) -> None:
    """Keep the figures, and write those of all bases that were ever measured here."""
    stored = work / f"{Path(section.base).name}.json"
    stored.write_text(json.dumps(asdict(section) | {"machine": machine()}), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*.json"))]
    found = [_text(part) for part in parts if "results" in part]
    PAGE.write_text(page.partition(TITLE)[0].rstrip() + f"\n\n{TITLE}\n" + "\n".join(found))


def _text(section: Mapping[str, Any]) -> str:
    arguments, results = section["arguments"], section["results"]
    reference = results["tuned"]
    lines = [_row(name, result, reference) for name, result in results.items()]
    names = ("rows", "epochs", "max_tokens", "test_rows")
    rows, epochs, most, test = (arguments[name] for name in names)
    return f"""## {section["base"]}

`make bench-train`, {section["when"]}, on {section["machine"]}.
Sections of the shared patents, {rows:,} rows, {epochs} epochs, {most} tokens, rank 8, learning rate
{arguments["rate"]:g}, no linear model; {test:,} test rows. Tokens are those of the texts, without
padding.

| training | tokens a second | times the second line | peak memory, MB | accuracy |
|---|---|---|---|---|
{"".join(lines)}"""


def _row(name: str, result: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    accuracy = result["accuracy"]
    said = "not finished" if accuracy is None else f"{accuracy:.1%}"
    note = f" ({result['note']})" if result["note"] and not name.startswith("patclass") else ""
    times = result["tokens_per_second"] / reference["tokens_per_second"]
    return (
        f"| {NAMES.get(name, name)}{note} | {result['tokens_per_second']:,.0f} | {times:.2f} "
        f"| {result['peak'] / 2**20:,.0f} | {said} |\n"
    )
