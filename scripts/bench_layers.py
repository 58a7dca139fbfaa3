"""What it costs and loses to adapt only the upper layers, on the shared patents.

    python scripts/bench_layers.py DATA [--base BASE] [--layers 4 3 2] [--rows 6000] [--epochs 3]

Each run learns sections with the same settings, seed and rows, in a process that does nothing else.
"""

import argparse
import tempfile
import time
from pathlib import Path

from patclass.core.settings import TrainSettings
from patclass.training.run import train, work_folder


def main() -> None:
    """Print a table in Markdown, a line when a run is finished."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="patents to learn from, with a test split")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 3, 2])
    parser.add_argument("--rows", type=int, default=6000, help="training rows")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=128)
    args = parser.parse_args()
    print(
        "| layers | accuracy, 95 % | macro F1 | loss | minutes of training |\n|---|---|---|---|---|"
    )
    for layers in (None, *args.layers):
        with tempfile.TemporaryDirectory() as folder:
            print(measured(args, layers, Path(folder) / "model"), flush=True)


def measured(args: argparse.Namespace, layers: int | None, output: Path) -> str:
    """A line of the table: figures on test rows, and the time until the last validation."""
    flags = {
        "data": args.data,
        "labels": "section",
        "base": args.base,
        "max_tokens": args.max_tokens,
        "train_rows": args.rows,
        "validation_rows": 1000,
        "epochs": args.epochs,
        "r": 16,
        "alpha": 32,
        "dropout": 0.0,
        "targets": "all-linear",
        "lora_layers": layers,
        "mixed_precision": True,
        "linear": False,  # it would hide what the encoder loses
        "index_rows": 0,
        "output": output,
    }
    start = time.time()
    settings = TrainSettings.load(flags, environment={})
    result = train(settings, echo=lambda line: None)
    if result.report is None:
        raise SystemExit("interrupted")
    minutes = ((work_folder(output) / "curve.jsonl").stat().st_mtime - start) / 60
    figures, interval = result.report.model, result.report.levels["section"].accuracy_interval
    return (
        f"| {layers or 'all'} | {figures.accuracy:.1%} ({interval.low:.1%} to {interval.high:.1%}) "
        f"| {figures.macro_f1:.3f} | {figures.loss:.3f} | {minutes:.1f} |"
    )


if __name__ == "__main__":
    main()
