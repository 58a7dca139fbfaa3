"""The processes of one run: each computes a share of every batch, and only the first one writes.

Knows torch's process groups, no data and no model. They are started by torchrun or 'accelerate
launch'; a run that nothing else was started with is a single process. The gradients of an adapter
are few, so that they are summed at once behind the backward pass, without a wrapper of the model.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from patclass.core import progress
from patclass.core.errors import TrainingError

T = TypeVar("T")

# The others wait while the first one computes what is shared: soft labels, states of lower layers.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Processes:
    """One of the processes of a run."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch: list[T]) -> list[T]:
        """What this process computes of a batch; it may be nothing."""
        return batch[self.rank :: self.count]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            dist.barrier()

    def after_first(self, compute: Callable[[], T]) -> T:
        """Compute what is stored: the others do so behind the first, and find it there."""
        if not self.first:
            self.wait()
        found = compute()
        if self.first:
            self.wait()
        return found

    def sum(self, tensor: torch.Tensor) -> None:
        """Put the sum over all processes into ``tensor``."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter], loss: float) -> float:
        """Sum the gradients of all processes, and their shares of the loss."""
        if self.count == 1:
            return loss
        trained = list(parameters)
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in trained]
        flat = torch.cat([*(part.flatten() for part in parts), parts[0].new_tensor([loss])])
        self.sum(flat)
        sizes = [part.numel() for part in parts]
        for parameter, summed in zip(trained, torch.split(flat[:-1], sizes), strict=True):
            parameter.grad = summed.view_as(parameter)
        return float(flat[-1])


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that were launched together, for as long as they work together.

    :param device: where each of them computes; of several graphics cards each takes its own.
    :raises TrainingError: if they do not find each other.
    """
    count = _number("WORLD_SIZE", 1)
    if count == 1:
        yield Processes()
        return
    found = Processes(_number("RANK", 0), count)
    if device == "cuda":
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as problem:
        raise TrainingError(
            f"{count} processes were launched, but they do not find each other ({problem}); start "
            "them with torchrun or 'accelerate launch'."
        ) from problem
    try:
        with progress.silenced(not found.first):
            yield found
    finally:
        dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdigit():
        raise TrainingError(f"{name} {value!r}: torchrun and 'accelerate launch' set a number.")
    return int(value)
