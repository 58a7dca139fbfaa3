"""Short cuts for tests that train."""

from pathlib import Path

from patclass.config import TrainSettings, load_settings
from patclass.training.run import RunResult, train


def tiny_settings(base: Path, data: Path, output: Path, **more: object) -> TrainSettings:
    """Settings under which a tiny model learns the rows of ``patent_rows`` within seconds."""
    flags = {
        "base": str(base),
        "data": str(data),
        "output": output,
        "epochs": 3,
        "batch_tokens": 400,
        "max_tokens": 64,
        "learning_rate": 5e-3,
        "device": "cpu",
        "allow_weak": True,
    }
    return load_settings(flags | more, environment={})


def tiny_run(base: Path, data: Path, output: Path, **more: object) -> RunResult:
    """Train a tiny model silently."""
    return train(tiny_settings(base, data, output, **more), echo=lambda line: None)
