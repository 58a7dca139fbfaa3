"""How long a run will take and how much memory it needs, before it starts.

A few short steps are measured that change nothing. Knows a run, not where it comes from.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psutil
import torch

from patclass.core.types import Echo
from patclass.model.layer_stack import layers_of
from patclass.model.machine import free_memory, gibibytes
from patclass.model.prefix import Prefix
from patclass.training.loop import Fit

# Tokens of a measured step on a processor, where a longer one is as fast by the token.
SAMPLE_TOKENS = 1024
# The C library keeps what batches of other shapes have freed, so that a process grows to about
# three times what a step keeps (docs/log.md); the allocator of a graphics card hardly does.
GROWTH = {"cpu": 3.0, "cuda": 1.2, "mps": 1.2}
# The speed depends on the length of the texts: it is measured for the short third of the batches,
# the middle one and the long one.
THIRDS = 3


@dataclass(frozen=True)
class Estimate:
    """What a run needs: seconds until the last epoch is validated, and bytes at the peak."""

    seconds: float
    memory: int
    epochs: int

    def __str__(self) -> str:
        epochs = "one epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"{_duration(self.seconds)} for {epochs}, {gibibytes(self.memory)} of memory"


def announce(fit: Fit, echo: Echo) -> Estimate:
    """Say what a run will need; have it compute activations twice where memory would not do."""
    room = free_memory(fit.model.device.type) + _held(fit)
    found = estimate(fit)
    if found.memory > room and not fit.model.base.is_activation_checkpointing:
        echo(
            f"gradient checkpointing: on, as {gibibytes(found.memory)} of memory would be needed "
            f"and {gibibytes(room)} are there"
        )
        fit.model.checkpoint_layers()
        found = estimate(fit)
    echo(f"estimate: {found}")
    if found.memory > room:
        echo(
            f"warning: {gibibytes(room)} of memory are there; lower batch_tokens (now "
            f"{fit.settings.batch_tokens}) or use a smaller base"
        )
    return found


def estimate(fit: Fit) -> Estimate:
    """Measure a few short steps; weights and random numbers stay as they are."""
    every = (batch for epoch in fit.plan for batch in epoch)
    batches = sorted(every, key=lambda batch: fit.padded(batch) / len(batch))
    samples = [
        _sample(fit, batches[(2 * third + 1) * len(batches) // (2 * THIRDS)])
        for third in range(THIRDS)
    ]
    fit.model.train()
    devices = [fit.model.device] if fit.model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), fit.computing():
        with _states(fit, samples) as of_states:
            fixed, by_token = _activations(fit, samples[-1])  # a first step, which is not timed
            steps = [_by_token(fit, sample, fit.learn) for sample in samples]
            scoring = _by_token(fit, samples[THIRDS // 2], _without_gradients(fit))
        fit.model.zero_grad()
    seconds = sum(
        steps[number * THIRDS // len(batches)] * fit.padded(batch)
        for number, batch in enumerate(batches)
    )
    seconds += scoring * fit.settings.epochs * sum(fit.validation_lengths)
    seconds += of_states * sum(len(fit.rows[position]) for position in fit.used)
    kept = fixed + by_token * max(map(fit.padded, batches))
    memory = _held(fit) + GROWTH[fit.model.device.type] * kept + _of_optimizer(fit)
    return Estimate(seconds, round(memory), fit.settings.epochs)


def _sample(fit: Fit, batch: list[int]) -> list[int]:
    """As many texts of a batch as are worth measuring."""
    if fit.model.device.type != "cpu":
        return batch
    longest = fit.padded(batch) // len(batch)
    return batch[-max(1, SAMPLE_TOKENS // longest) :]  # the longest one is the last


def _by_token(fit: Fit, batch: list[int], compute: Callable[[list[int]], object]) -> float:
    """Seconds for a token of a batch, padding included."""
    start = time.perf_counter()
    compute(batch)
    if fit.model.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / fit.padded(batch)


def _without_gradients(fit: Fit) -> Callable[[list[int]], object]:
    return torch.no_grad()(fit.logits)


class _Sampled:
    """States of the lower layers of a few texts, as ``PrefixCache`` gives them."""

    def __init__(self, fit: Fit, prefix: Prefix, batches: Sequence[list[int]]) -> None:
        self._prefix = prefix
        self._states = {
            place: states[: len(fit.rows[place])]
            for batch in batches
            for place, states in zip(batch, _computed(fit, prefix, batch), strict=True)
        }

    def given(self, batch: list[int]) -> AbstractContextManager[None]:
        """Have the model begin with the states of a batch."""
        return self._prefix.given_rows([self._states[place] for place in batch])


def _computed(fit: Fit, prefix: Prefix, batch: list[int]) -> torch.Tensor:
    with torch.autocast(prefix.device.type, torch.bfloat16, enabled=fit.autocast):
        return prefix.compute(fit.batch(batch))


@contextmanager
def _states(fit: Fit, batches: Sequence[list[int]]) -> Iterator[float]:
    """Have steps start from stored states, if those of the run will; yield a token's seconds."""
    prefix = fit.frozen_prefix()
    if prefix is None:
        yield 0.0
        return
    seconds = _by_token(fit, batches[0], lambda batch: _computed(fit, prefix, batch))
    fit.prefix = _Sampled(fit, prefix, batches)
    try:
        yield seconds
    finally:
        fit.prefix = None


def _activations(fit: Fit, batch: list[int]) -> tuple[float, float]:
    """Bytes kept for the backward pass: those of any step, and those of a token."""
    base = fit.model.base
    if not base.is_activation_checkpointing:
        return _kept(fit, batch)
    # What is kept between the layers, and of one layer at a time all of it.
    between = _kept(fit, batch)
    base.activation_checkpointing_disable()
    whole = _kept(fit, batch)
    fit.model.checkpoint_layers()
    count = len(layers_of(base))
    return between[0] + whole[0] / count, between[1] + whole[1] / count


def _kept(fit: Fit, batch: list[int]) -> tuple[float, float]:
    whole, half = (_saved_bytes(fit, part) for part in (batch, batch[len(batch) // 2 :]))
    tokens = fit.padded(batch) - fit.padded(batch[len(batch) // 2 :])
    if not tokens:  # a single text
        return 0.0, whole / fit.padded(batch)
    by_token = (whole - half) / tokens
    return whole - by_token * fit.padded(batch), by_token


def _saved_bytes(fit: Fit, batch: list[int]) -> int:
    """Bytes of what a step keeps for its backward pass, but for the model's own weights."""
    known = {each.untyped_storage().data_ptr() for each in fit.model.parameters()}
    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            kept += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fit.learn(batch)
    return kept


def _held(fit: Fit) -> int:
    """Bytes that this process holds already."""
    if fit.model.device.type == "cuda":
        return torch.cuda.memory_allocated()
    return int(psutil.Process().memory_info().rss)


def _of_optimizer(fit: Fit) -> int:
    """Bytes of gradients and of both moments of AdamW."""
    return 3 * sum(each.nbytes for each in fit.model.trainable().values())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
