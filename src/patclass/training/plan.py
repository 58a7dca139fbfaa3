"""The plan of a run: which texts each epoch reads, in which batches, and at which learning rate.

Knows rows, lengths and numbers of steps; no model.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from patclass.core.settings import FitSettings
from patclass.data.examples import Example
from patclass.model.tokenizer import training_batches


def epoch_batches(
    rows: Sequence[Example],
    lengths: npt.NDArray[np.int64],
    settings: FitSettings,
    seed: tuple[int, int],
) -> list[list[int]]:
    """Batches of one text of each row, as positions among the texts and views of all rows.

    :param lengths: tokens of each text and view, shape (texts,).
    :param seed: that of the run, and the epoch: nothing else decides.
    """
    rng = np.random.default_rng(seed)
    texts = draw_texts(rows, settings.field_dropout, rng)
    batches = training_batches(
        [int(length) for length in lengths[texts]], settings.batch_tokens, rng
    )
    return [[texts[place] for place in batch] for batch in batches]


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear rise to ``peak`` over ``warmup`` of all ``steps``, then half a cosine to zero.

    Source of the method: Loshchilov and Hutter 2017 (arXiv:1608.03983).
    """
    rising = max(1, round(steps * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def draw_texts(rows: Sequence[Example], dropout: float, rng: np.random.Generator) -> list[int]:
    """One text of each row, as positions among the texts and views of all rows in their order.

    :param dropout: how often a row that has views is drawn as one of them, each as likely.
    """
    views = np.array([len(row.views) for row in rows], dtype=np.intp)
    texts = np.cumsum(views + 1) - views - 1
    if dropout:
        drawn = rng.random(len(rows)) < dropout
        texts += np.where(drawn & (views > 0), rng.integers(np.maximum(views, 1)) + 1, 0)
    return [int(position) for position in texts]
