"""The loss over a tree of labels, and the learning rate of each step."""

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from patclass.data.examples import Example


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear rise to ``peak`` over ``warmup`` of all ``steps``, then half a cosine to zero.

    Source of the method: Loshchilov and Hutter 2017 (arXiv:1608.03983).
    """
    rising = max(1, round(steps * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def tree_loss(logits: torch.Tensor, examples: Sequence[Example], leaves: int) -> torch.Tensor:
    """Weighted mean negative log-likelihood of what is known of each label, in nats.

    One softmax runs over the leaves. A label known only as far as a node has the summed
    probability of the leaves below it, so its loss is that sum's negative logarithm (partial
    labels; Cour et al. 2011, JMLR 12). Tags are independent; rows that do not know theirs
    count for nothing there.

    :param logits: float of shape (rows, leaves + tags).
    """
    allowed = torch.zeros(logits.shape[0], leaves, dtype=torch.bool)
    for row, example in enumerate(examples):
        allowed[row, list(example.leaves)] = True
    outside = ~allowed.to(logits.device)
    scores = logits[:, :leaves]
    likelihood = scores.masked_fill(outside, -torch.inf).logsumexp(1) - scores.logsumexp(1)
    weights = scores.new_tensor([example.weight for example in examples])
    return _tag_loss(logits[:, leaves:], examples) - (weights * likelihood).sum() / weights.sum()


def _tag_loss(logits: torch.Tensor, examples: Sequence[Example]) -> torch.Tensor:
    """Mean over the tags that are known; zero if none is."""
    known = [
        (row, tag, float(carried))
        for row, example in enumerate(examples)
        for tag, carried in enumerate(example.tags)
        if carried is not None
    ]
    if not known:
        return logits.new_zeros(())
    rows, tags, carried = zip(*known, strict=True)
    target = torch.tensor(carried, device=logits.device)
    return binary_cross_entropy_with_logits(logits[list(rows), list(tags)], target)
