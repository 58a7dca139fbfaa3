"""``patclass train`` as a contestant, in a process of its own: see job.py."""

import tempfile
import time
from pathlib import Path
from typing import Any

from job import Job, Result, main, peak_bytes

from patclass.core.settings import TrainSettings
from patclass.training.loop import Fit
from patclass.training.run import train


def measure(job: Job) -> Result:
    """Train with the loop's own means; what is not training is not counted."""
    found: dict[str, Any] = {"validation": 0.0}
    honest_run, honest_validate = Fit.run, Fit._validate

    def run(fit: Fit, resume: bool = False) -> Any:
        start = time.perf_counter()
        result = honest_run(fit, resume)
        found["seconds"] = time.perf_counter() - start - found["validation"]
        found["tokens"] = sum(len(fit.rows[p]) for e in fit.plan for batch in e for p in batch)
        found["peak"] = peak_bytes()
        return result

    def validate(fit: Fit) -> Any:
        start = time.perf_counter()
        figures = honest_validate(fit)
        found["validation"] += time.perf_counter() - start
        return figures

    Fit.run, Fit._validate = run, validate
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        result = train(settings(job, Path(folder) / "model"), echo=lines.append)
    assert result.report is not None
    said = next((line for line in lines if line.startswith("estimate: ")), "")
    return Result(
        found["tokens"] / found["seconds"],
        found["seconds"],
        found["peak"],
        result.report.model.accuracy,
        said.removeprefix("estimate: "),
    )


def settings(job: Job, output: Path) -> TrainSettings:
    """The encoder alone, as the rival is."""
    flags = {
        "data": job.data,
        "labels": "label",
        "text": "abstract",
        "base": job.base,
        "max_tokens": job.max_tokens,
        "epochs": job.epochs,
        "learning_rate": job.rate,
        "targets": job.targets,
        "lora_layers": job.layers,
        "linear": False,
        "index_rows": 0,
        "allow_weak": True,
        "output": output,
    }
    return TrainSettings.load(flags, environment={})


if __name__ == "__main__":
    main(measure)
