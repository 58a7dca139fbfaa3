"""What training minimises, and how much each row counts. Knows label positions and logits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from patclass.cpc.tree import LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Example
from patclass.predictor.all_codes import carried_nodes

# A patent's codes are many answers and its main code is one: without this, the sum over the former
# would drown the latter.
CODES_WEIGHT = 0.05


def tree_loss(
    logits: torch.Tensor,
    examples: Sequence[Example],
    tree: LabelTree,
    soft: torch.Tensor | None = None,
    share: float = 0.5,
    whole: Sequence[Example] | None = None,
) -> torch.Tensor:
    """Weighted mean negative log-likelihood of what is known of each label, in nats.

    One softmax runs over the leaves. A label known only as far as a node has the summed
    probability of the leaves below it, so its loss is that sum's negative logarithm (partial
    labels; Cour et al. 2011, JMLR 12). The codes that patents carry are a second task.

    :param logits: float of shape (rows, leaves + nodes).
    :param soft: a teacher's probabilities of the leaves, shape (rows, leaves); their cross-entropy
        takes ``share`` of the place of the labels' likelihood.
    :param whole: the examples of the whole batch, if these are a part of it: the losses of its
        parts then add up to that of all.
    """
    whole = examples if whole is None else whole
    leaves = len(tree.paths)
    allowed = torch.zeros(logits.shape[0], leaves, dtype=torch.bool)
    for row, example in enumerate(examples):
        allowed[row, list(example.leaves)] = True
    outside = ~allowed.to(logits.device)
    scores = logits[:, :leaves]
    likelihood = scores.masked_fill(outside, -torch.inf).logsumexp(1) - scores.logsumexp(1)
    weights = scores.new_tensor([example.weight for example in examples])
    if soft is not None:
        taught = (soft.to(scores) * scores.log_softmax(1)).sum(1)
        likelihood = (1 - share) * likelihood + share * taught
    all_weights = scores.new_tensor([example.weight for example in whole])
    main = -(weights * likelihood).sum() / all_weights.sum()
    return main + CODES_WEIGHT * codes_loss(logits[:, leaves:], examples, tree, whole)


def codes_loss(
    logits: torch.Tensor,
    examples: Sequence[Example],
    tree: LabelTree,
    whole: Sequence[Example] | None = None,
) -> torch.Tensor:
    """Mean negative log-likelihood of all codes of the rows where they are known; zero if none is.

    Each node has a probability given its parent, so it is learnt from the rows that carry its
    parent; those of the coarsest level are learnt from all.

    :param logits: of the nodes, shape (rows, nodes).
    :param whole: as in ``tree_loss``.
    """
    counted = sum(example.carried is not None for example in whole or examples)
    known = [row for row, example in enumerate(examples) if example.carried is not None]
    if not known or not tree.nodes:
        return logits.new_zeros(())
    carried, asked = carried_nodes([examples[row] for row in known], tree)
    losses = binary_cross_entropy_with_logits(
        logits[known], torch.from_numpy(carried).to(logits), reduction="none"
    )
    return (losses * torch.from_numpy(asked).to(logits)).sum() / counted


def balanced(rows: Sequence[Example], exponent: float) -> list[Example]:
    """Rows of rare labels with more weight, of frequent ones with less.

    At each level a row counts (rows per label / rows of its label) ** ``exponent``: 0 for all
    rows alike, 1 for all labels alike. Its weight is the mean over the levels where its label is
    known, so that rows known to different depths compare.
    """
    if exponent == 0:
        return list(rows)
    levels = [Counter(level) for level in zip(*(row.y_true for row in rows), strict=True)]
    for counts in levels:
        for unknown in (None, UNKNOWN_LABEL):
            counts.pop(unknown, None)

    def factor(row: Example) -> float:
        found = [
            (counts.total() / len(counts) / counts[label]) ** exponent
            for counts, label in zip(levels, row.y_true, strict=True)
            if label in counts
        ]
        return float(np.mean(found)) if found else 1.0

    return [replace(row, weight=row.weight * factor(row)) for row in rows]
