"""Texts to logits. Knows the model and its tokenizer, not what the columns mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from patclass.arrays import FloatArray
from patclass.data.batches import scoring_batches
from patclass.model.classifier import PatentClassifier
from patclass.model.tokenizer import TextTokenizer

# Batching gains nothing on a CPU beyond a few full rows; this bounds memory as well.
SCORING_TOKENS = 4096


@dataclass(frozen=True)
class Outputs:
    """What a model makes of rows: pooled states (rows, hidden), logits (rows, outputs)."""

    states: FloatArray
    logits: FloatArray


@torch.inference_mode()
def run(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    rows: Sequence[Sequence[int]],
    advance: Callable[[int], object] = lambda rows: None,
) -> Outputs:
    """States and logits of rows of token ids, in order, both float32.

    :param advance: called with the number of rows after each batch, for progress bars.
    """
    training = model.training
    model.eval()
    states = np.empty((len(rows), model.head.in_features), dtype=np.float32)
    logits = np.empty((len(rows), model.head.out_features), dtype=np.float32)
    for batch in scoring_batches([len(row) for row in rows], SCORING_TOKENS):
        padded = tokenizer.pad([rows[position] for position in batch]).to(model.device)
        embedded = model.embed(padded)
        states[batch] = embedded.float().cpu().numpy()
        logits[batch] = model.answer(embedded).cpu().numpy()
        advance(len(batch))
    model.train(training)
    return Outputs(states, logits)


def score(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    advance: Callable[[int], object] = lambda rows: None,
) -> FloatArray:
    """Logits of the head of each text, in order: float32 of shape (texts, outputs)."""
    return run(model, tokenizer, tokenizer.encode(texts), advance).logits
