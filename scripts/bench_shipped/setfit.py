"""SetFit's method on an encoder of ours: contrastive pairs first, then a regression.

Tunstall et al. 2022, "Efficient few-shot learning without prompts" (arXiv:2209.11055), with the
settings of the paper and its library: 20 pairs of equal and 20 of different labels for each
example, cosine similarity loss, one epoch of batches of 16 pairs, all weights, AdamW with a
learning rate of 2e-5 that rises over a tenth of the steps and falls to zero. Products are in
bfloat16 where that is faster, as in our own training, and attention has no dropout, with which
torch does not fuse it (a step would take twice as long).
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup
from transformers.models.bert.modeling_bert import BertSelfAttention

from patclass.core.progress import track
from patclass.core.types import Positions
from patclass.model.attention import use_float32_attention
from patclass.model.device import probe_cpu
from patclass.model.network import Batch, PatentClassifier
from patclass.model.tokenizer import TextTokenizer

ITERATIONS = 20
BATCH = 16
LEARNING_RATE = 2e-5
WEIGHT_DECAY = 0.01
WARM_UP = 0.1

Pair = tuple[int, int, float]


def pairs(labels: Positions, iterations: int, generator: np.random.Generator) -> list[Pair]:
    """Two row numbers each, and 1 for equal labels or 0 for different ones, shuffled.

    Each row is paired ``iterations`` times with either kind.
    """
    found: list[Pair] = []
    for row in np.tile(np.arange(len(labels)), iterations).tolist():
        same = np.flatnonzero((labels == labels[row]) & (np.arange(len(labels)) != row))
        other = np.flatnonzero(labels != labels[row])
        found += [
            (row, int(generator.choice(rows)), target)
            for rows, target in ((same, 1.0), (other, 0.0))
            if len(rows)
        ]
    return [found[place] for place in generator.permutation(len(found)).tolist()]


def contrast(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    texts: list[str],
    labels: Positions,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> None:
    """Train the backbone in place, so that texts of a label are near each other."""
    torch.manual_seed(seed)
    todo = pairs(labels, iterations, np.random.default_rng(seed))
    batches = [todo[start : start + BATCH] for start in range(0, len(todo), BATCH)]
    ids = tokenizer.token_ids(texts)
    weights = list(model.backbone.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    warm_up = int(WARM_UP * len(batches))
    schedule = get_linear_schedule_with_warmup(optimizer, warm_up, len(batches))
    use_float32_attention(model.backbone)
    model.train()
    for module in model.backbone.modules():
        if isinstance(module, BertSelfAttention):
            module.dropout.p = 0.0
    for loss in track(_losses(model, tokenizer, ids, batches), "SetFit", len(batches), "step"):
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def _losses(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    ids: list[list[int]],
    batches: list[list[Pair]],
) -> Iterator[torch.Tensor]:
    """The loss of each batch; a text that stands in it several times is computed once."""
    for batch in batches:
        firsts, seconds, targets = zip(*batch, strict=True)
        rows = sorted({*firsts, *seconds})
        place = {row: number for number, row in enumerate(rows)}
        padded = Batch.of(tokenizer.pad([ids[row] for row in rows])).to(model.device)
        with torch.autocast("cpu", torch.bfloat16, enabled=probe_cpu().bfloat16):
            embeddings = model.embed(padded).float()
        left, right = ([place[row] for row in side] for side in (firsts, seconds))
        likeness = functional.cosine_similarity(embeddings[left], embeddings[right])
        yield functional.mse_loss(likeness, torch.tensor(targets, device=model.device))
