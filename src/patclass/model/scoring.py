"""Texts to logits. Knows the model and its tokenizer, not what the columns mean."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from patclass.arrays import FloatArray
from patclass.data.batches import scoring_batches
from patclass.model.classifier import PatentClassifier
from patclass.model.tokenizer import TextTokenizer

# Batching gains nothing on a CPU beyond a few full rows; this bounds memory as well.
SCORING_TOKENS = 4096


@torch.inference_mode()
def score(
    model: PatentClassifier,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    advance: Callable[[int], object] = lambda rows: None,
) -> FloatArray:
    """Logits of each text, in order: float32 of shape (texts, labels).

    :param advance: called with the number of rows after each batch, for progress bars.
    """
    training = model.training
    model.eval()
    rows = tokenizer.encode(texts)
    logits = np.empty((len(texts), model.head.out_features), dtype=np.float32)
    for batch in scoring_batches([len(row) for row in rows], SCORING_TOKENS):
        padded = tokenizer.pad([rows[position] for position in batch]).to(model.device)
        logits[batch] = model(padded).cpu().numpy()
        advance(len(batch))
    model.train(training)
    return logits
