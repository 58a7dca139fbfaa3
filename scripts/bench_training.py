"""Compare number formats of a training step on this processor, and how its parts are computed.

    python scripts/bench_training.py [--base BASE] [--tokens 170] [--rows 12] [--repeats 5]

One thread, in turns, medians of processor time, so that other work on the machine counts little.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from patclass.core.settings import LoraSettings
from patclass.model.attention import use_float32_attention
from patclass.model.base import resolve_base
from patclass.model.device import apply_compute, choose_compute
from patclass.model.fused import fused_adapter
from patclass.model.network import Batch, Parts, PatentClassifier, new_classifier

LABELS = 600
# Every second row is shorter than the longest by this share, as in a real batch.
PADDING = 8


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--tokens", type=int, default=170)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    compute = choose_compute("cpu", "float32")
    apply_compute(compute)
    lora = LoraSettings(r=16, alpha=32, dropout=0.0, targets="all-linear")
    model = new_classifier(Parts(resolve_base(args.base, None), compute), lora, LABELS).train()
    batch = batch_of(model, args.rows, args.tokens)
    seconds = in_turns(steps(model, batch), args.repeats)
    first = next(iter(seconds.values()))
    print(f"{compute}\n\n| step | tokens per second of a core | relative |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {args.rows * args.tokens / taken:,.0f} | {first / taken:.2f} |")


def batch_of(model: PatentClassifier, rows: int, tokens: int) -> Batch:
    """Random ids with some padding."""
    words = model.backbone.get_base_model().config.vocab_size
    mask = torch.ones(rows, tokens, dtype=torch.long)
    mask[::2, tokens - tokens // PADDING :] = 0
    return Batch(torch.randint(words, (rows, tokens)), mask)


def steps(model: PatentClassifier, batch: Batch) -> dict[str, Callable[[], None]]:
    """What is compared: each computes a loss and its gradients."""
    backbone = model.backbone.get_base_model()

    def step(mixed: bool = False, attention: bool = False, adapter: bool = False) -> None:
        backbone.set_attn_implementation("sdpa")
        if attention:
            use_float32_attention(backbone)
        fused = fused_adapter(model.backbone) if adapter else nullcontext()
        with fused:
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                logits = model(batch)
            cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)).backward()
        model.zero_grad()

    return {
        "float32": step,
        "float32, our attention": partial(step, attention=True),
        "float32, our attention, fused adapter": partial(step, attention=True, adapter=True),
        "mixed precision": partial(step, mixed=True),
        "mixed precision, our attention": partial(step, mixed=True, attention=True),
        "mixed precision, our attention, fused adapter": partial(
            step, mixed=True, attention=True, adapter=True
        ),
    }


def in_turns(functions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each, after a first call that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repeats + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            if number:
                taken[name].append(time.process_time() - start)
    return {name: median(times) for name, times in taken.items()}


if __name__ == "__main__":
    main()
