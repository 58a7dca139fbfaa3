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


# By base: how many times as fast a contestant has to be as another.
TARGETS = {
    "minilm": (
        ("patclass", "tuned", 2.5),
        ("patclass, all linear layers", "tuned, all linear layers", 2.5),
    ),
    "smollm2-135m": (
        ("patclass", "original", 8.0),
        ("patclass", "tuned", 1.5),
        ("patclass, 4 layers", "tuned", 4.0),
    ),
}
# By base: what a contestant may take at most of another's memory.
MEMORY = {"smollm2-135m": ("patclass", "tuned", 0.7)}


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
{"".join(lines)}{_targets(section["base"], results)}"""


def _targets(base: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """What was to be reached, where both contestants were measured."""
    lines = []
    for ours, other, wanted in TARGETS.get(base, ()):
        if {ours, other} <= results.keys():
            found = results[ours]["tokens_per_second"] / results[other]["tokens_per_second"]
            said = "held" if found >= wanted else "**missed**"
            lines.append(
                f"| {ours}: times the speed of '{other}' | {found:.2f} | at least {wanted:g} "
                f"| {said} |"
            )
    if base in MEMORY:
        ours, other, wanted = MEMORY[base]
        found = results[ours]["peak"] / results[other]["peak"]
        said = "held" if found <= wanted else "**missed**"
        lines.append(
            f"| {ours}: times the memory of '{other}' | {found:.2f} | at most {wanted:g} | {said} |"
        )
    head = "\n| | measured | wanted | |\n|---|---|---|---|\n"
    return head + "".join(f"{line}\n" for line in lines) if lines else ""


def _row(name: str, result: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    accuracy = result["accuracy"]
    said = "not finished" if accuracy is None else f"{accuracy:.1%}"
    note = f" ({result['note']})" if result["note"] and not name.startswith("patclass") else ""
    times = result["tokens_per_second"] / reference["tokens_per_second"]
    return (
        f"| {NAMES.get(name, name)}{note} | {result['tokens_per_second']:,.0f} | {times:.2f} "
        f"| {result['peak'] / 2**20:,.0f} | {said} |\n"
    )
