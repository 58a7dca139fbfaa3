"""What is measured, and what comes of it: passed between processes as JSON."""

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Job:
    """One training to be measured.

    :param base: folder of the pretrained model.
    :param data: folder of train.jsonl, validation.jsonl and test.jsonl, with abstract and label.
    :param targets: linear layers with an adapter, as patclass names them.
    :param layers: adapt so many upper layers; None for all.
    :param recipe: of the rival: 'original', 'tuned', or 'trial' to find what is fastest.
    :param bf16: whether the rival computes in bfloat16 autocast, and otherwise in float32.
    :param batch: texts of a step of the rival.
    :param steps: stop after so many steps, and measure no accuracy.
    """

    name: str
    base: str
    data: str
    epochs: int
    max_tokens: int
    rate: float
    targets: str
    layers: int | None = None
    recipe: str | None = None
    bf16: bool = False
    batch: int = 1
    steps: int | None = None


@dataclass(frozen=True)
class Result:
    """Real tokens a second, seconds of training, bytes at the peak, accuracy on test rows.

    :param note: what a trial has chosen, or what was said beforehand.
    """

    tokens_per_second: float
    seconds: float
    peak: int
    accuracy: float | None
    note: str = ""


def peak_bytes() -> int:
    """The most memory that this process has held, of a graphics card where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(measure: Callable[[Job], Result]) -> None:
    """Read a job from the first argument, write the result to the second."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(asdict(measure(job))), encoding="utf-8")
