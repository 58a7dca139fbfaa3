"""How fast training is, beside the libraries that it could be made with: docs/benchmarks.md.

    python scripts/bench_train/run.py DATA [--base minilm] [--rows 1500] [--epochs 2]

Every contestant trains in a process of its own, one after the other, with the same rows, epochs and
learning rate, rank 8 and the encoder alone; the order is as printed. The original recipe of a large
base is too slow to be finished: its speed is measured over a few steps (--original-steps).
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from job import Job, Result
from page import Section, write_section

from patclass.core.settings import TrainSettings
from patclass.data.corpus import load_corpus
from patclass.model.base import resolve_base

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / "build" / "bench-train"
VALIDATION_ROWS = 100
# Linear layers with an adapter: those that PEFT takes of the architecture, or all.
TARGETS = {"auto": "", "all-linear": ", all linear layers"}


def main() -> None:
    """Measure one base and write its section of the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="patents with train, validation and test rows")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max-tokens", type=int, default=224)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--targets", nargs="+", choices=[*TARGETS], default=[*TARGETS])
    parser.add_argument("--test-rows", type=int, default=1000)
    parser.add_argument("--layers", type=int, help="upper layers, adapted alone with stored states")
    parser.add_argument("--original-steps", type=int, help="of the original recipe; default: all")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    data = prepared(args)
    results: dict[str, Result] = {}
    for job in jobs(args, str(data)):
        if job.recipe == "tuned":  # a trial has its own process, as its memory must not count
            bf16, batch = json.loads(measured(replace(job, recipe="trial")).note)
            job = replace(job, bf16=bf16, batch=batch)
        results[job.name] = measured(job)
        print(f"{job.name}: {results[job.name]}", flush=True)
    found = {name: asdict(result) for name, result in results.items()}
    section = Section(args.base, f"{datetime.now(UTC):%Y-%m-%d}", vars(args), found)
    write_section(section, WORK)


def prepared(args: argparse.Namespace) -> Path:
    """The rows of all contestants, as texts with their section."""
    folder = WORK / f"rows-{args.rows}"
    folder.mkdir(exist_ok=True)
    flags = {
        "data": args.data,
        "labels": "section",
        "train_rows": args.rows,
        "validation_rows": VALIDATION_ROWS,
        "test_rows": args.test_rows,
    }
    corpus = load_corpus(TrainSettings.load(flags, environment={}).data)
    codes = corpus.tree.at("section").codes
    for split in ("train", "validation", "test"):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for row in corpus[split]:
                found = {"id": row.id, "abstract": row.text, "label": codes[row.y_true[0]]}
                file.write(json.dumps(found) + "\n")
    return folder


def jobs(args: argparse.Namespace, data: str) -> list[Job]:
    """The contestants, the slowest first."""
    base = str(resolve_base(args.base).folder)
    common = (base, data, args.epochs, args.max_tokens, args.rate)
    found = [Job("original", *common, "auto", recipe="original", steps=args.original_steps)]
    for recipe in ("tuned", None):
        for targets in args.targets:
            name = f"{recipe or 'patclass'}{TARGETS[targets]}"
            found.append(Job(name, *common, targets, recipe=recipe))
    if args.layers:
        found.append(Job(f"patclass, {args.layers} layers", *common, "auto", layers=args.layers))
    return found


def measured(job: Job) -> Result:
    """What a process of its own finds."""
    description, answer = WORK / "job.json", WORK / "result.json"
    description.write_text(json.dumps(asdict(job)), encoding="utf-8")
    script = HERE / ("rival.py" if job.recipe else "ours.py")
    subprocess.run([sys.executable, script, description, answer], check=True)
    return Result(**json.loads(answer.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
