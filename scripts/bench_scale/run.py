"""Classification at scale: workers as processes and on Ray, a bare loop, and a plain pipeline.

    python scripts/bench_scale/run.py DATA [--rows 100000] [--workers 1 2 4]

Rows are made from those of DATA, as often as needed. Contestants follow one another, each in a
process of its own. Rates are rows a second of one worker while it works on a part, and of all, from
the start of the process to its end. The model is the shipped one, exported; the pipeline is that of
transformers with a head on the same base, in batches of 16 under Ray Data. Writes
build/bench-scale/results.md, and measured.json for simulate.py.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "bench-scale"
MODEL, INPUT = WORK / "model", WORK / "input"
FILES = 8

# The bare loop and the rival, as somebody would write them in an hour.
BARE = """
import sys, time, resource
import pyarrow.parquet as pq, pyarrow as pa
from pathlib import Path
from patclass.bundle import read_bundle
from patclass.inference import Classifier
from patclass.inference.prediction import record_of

source, model, out = map(Path, sys.argv[1:])
classifier = Classifier(read_bundle(model), "cpu", threads=1)
out.mkdir()
began, rows = time.monotonic(), 0
for number, path in enumerate(sorted(source.glob("*.parquet"))):
    for place, batch in enumerate(pq.ParquetFile(path).iter_batches(256)):
        patents = batch.to_pylist()
        answers = [record_of(found) for found in classifier.classify(patents)]
        kept = [{k: a[k] for k in ("label", "confidence", "level")} for a in answers]
        pq.write_table(pa.Table.from_pylist(kept), out / f"{number}-{place}.parquet")
        rows += len(patents)
print("rate", rows / (time.monotonic() - began))
"""
PIPELINE = """
import os, sys, time
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from transformers import pipeline

source, base, out, workers = sys.argv[1:]

class Answer:
    def __init__(self):
        import torch
        torch.set_num_threads(1)
        self.pipe = pipeline("text-classification", base, batch_size=16, truncation=True,
                             max_length=224)
    def __call__(self, batch):
        began = time.monotonic()
        texts = [f"{t}. {a}" for t, a in zip(batch["title"], batch["abstract"])]
        found = self.pipe(texts)
        batch["label"] = [answer["label"] for answer in found]
        batch["seconds"] = [(time.monotonic() - began) / len(texts)] * len(texts)
        return batch

ray.init(num_cpus=int(workers) + 1, include_dashboard=False, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
rows = ray.data.read_parquet(source)
rows.map_batches(
    Answer, batch_size=256, compute=ray.data.ActorPoolStrategy(size=int(workers)), num_cpus=1
).write_parquet(out)
import pyarrow.parquet as pq
seconds = pq.read_table(out, columns=["seconds"])["seconds"].to_numpy()
print("rate", len(seconds) / seconds.sum())
"""


@dataclass
class Found:
    """Rows a second of one worker, of all with the start, and the starter's memory in MiB."""

    workers: int
    of_one: float
    of_all: float
    memory: float


def main() -> None:
    """Measure every contestant and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of patents, with test rows in Parquet")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    make_input(args.data, args.rows)
    if not (MODEL / "manifest.json").is_file():
        patclass("export", "shipped", "-o", MODEL, "--data", args.data)
    base = make_pipeline()
    found: dict[str, Found] = {"bare loop": script(args.rows, 1, BARE, INPUT, MODEL)}
    for workers in args.workers:
        found[f"processes, {workers}"] = job(args.rows, workers, "local")
        found[f"Ray, {workers}"] = job(args.rows, workers, "ray")
    most = max(count for count in args.workers if count <= (os.cpu_count() or 1))
    found[f"pipeline of transformers, {most}"] = script(
        args.rows, most, PIPELINE, INPUT, base, more=(most,)
    )
    table = "\n".join(lines(found))
    print(table)
    (WORK / "results.md").write_text(f"{args.rows:,} rows\n\n{table}\n")


def make_input(data: Path, rows: int) -> None:
    """So many rows in a few files; ids are numbered."""
    table = pq.read_table(next(data.glob("*test.parquet")), columns=["title", "abstract"])
    for file in INPUT.glob("*.parquet"):
        file.unlink()
    INPUT.mkdir(exist_ok=True)
    for number in range(FILES):
        start, stop = (rows * place // FILES for place in (number, number + 1))
        taken = table.take([place % len(table) for place in range(start, stop)])
        ids = pa.array([f"r{place}" for place in range(start, stop)])
        pq.write_table(taken.append_column("id", ids), INPUT / f"{number}.parquet")


def make_pipeline() -> Path:
    """A classifier of transformers on the same base, with a head that nobody has trained."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from patclass.model.base import resolve_base

    folder = WORK / "pipeline"
    if not folder.is_dir():
        base = resolve_base("minilm", None).folder
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=8)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def job(rows: int, workers: int, engine: str) -> Found:
    """``patclass classify`` into a new folder."""
    out = new_folder()
    began = time.monotonic()
    memory = patclass(
        *("classify", INPUT, "-o", out, "--model", MODEL, "--engine", engine),
        *("--workers", workers),
    )
    wall = time.monotonic() - began
    records = [json.loads(path.read_text()) for path in out.glob("_parts/*.json")]
    assert sum(record["rows"] for record in records) == rows
    seconds = sum(record["seconds"] for record in records)
    if engine == "ray":
        kept = {"documents": rows, "tokens": 150, "workers": workers, "seconds": wall}
        (WORK / "measured.json").write_text(json.dumps(kept))
    return show(f"{engine} {workers}", Found(workers, rows / seconds, rows / wall, memory))


def script(rows: int, workers: int, text: str, *paths: Path, more: tuple[int, ...] = ()) -> Found:
    """One of the scripts above, which prints its own rate."""
    out, began = new_folder(), time.monotonic()
    printed, memory = run(sys.executable, "-c", text, *paths, out, *more)
    wall = time.monotonic() - began
    rate = float(printed.rpartition("rate")[2])
    return show(text.strip().splitlines()[0], Found(workers, rate, rows / wall, memory))


def show(name: str, found: Found) -> Found:
    print(name, found, flush=True)
    return found


def new_folder() -> Path:
    return WORK / f"out-{time.monotonic_ns()}"


def patclass(*arguments: object) -> float:
    return run(sys.executable, "-m", "patclass", *arguments)[1]


def run(*arguments: object) -> tuple[str, float]:
    """What a process prints, and the most memory that it alone held, in MiB."""
    environment = os.environ | {"RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        list(map(str, arguments)), env=environment, stdout=subprocess.PIPE, text=True
    )
    # Asked for again and again: what the system counts as a child's peak begins with the memory of
    # the process that it was forked from.
    most, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        with suppress(psutil.Error):
            most = max(most, watched.memory_info().rss)
        time.sleep(0.2)
    assert process.returncode == 0, arguments
    assert process.stdout is not None
    return process.stdout.read(), most / 2**20


def lines(found: dict[str, Found]) -> list[str]:
    bare = found["bare loop"].of_one
    table = [
        "| what, workers | rows/s of one worker | beside the bare loop | rows/s of all, with start "
        "| memory of the starter, MiB |",
        "|---|---|---|---|---|",
    ]
    for name, one in found.items():
        table.append(
            f"| {name} | {one.of_one:.1f} | {one.of_one / bare:.2f} | {one.of_all:.1f} | "
            f"{one.memory:,.0f} |"
        )
    return table


if __name__ == "__main__":
    main()
