"""The engine for models as they are trained, on CPU and GPU. Knows torch."""

from collections.abc import Sequence

import numpy as np
import torch

from patclass.core.errors import ModelError
from patclass.core.types import OnProgress
from patclass.engines.base import Outputs
from patclass.model.network import Batch, PatentClassifier
from patclass.model.tokenizer import TextTokenizer, scoring_batches

# Batching gains nothing on a CPU beyond a few full rows; this bounds memory as well.
SCORING_TOKENS = 4096


class TorchEngine:
    """Runs a classifier without gradients; it may go on being trained in between."""

    def __init__(self, model: PatentClassifier, tokenizer: TextTokenizer) -> None:
        self.model = model
        self._tokenizer = tokenizer

    @torch.inference_mode()
    def run(
        self, rows: Sequence[Sequence[int]], on_progress: OnProgress = lambda rows: None
    ) -> Outputs:
        """States and logits of rows of token ids, in order, both float32."""
        model = self.model
        training = model.training
        if training:
            model.eval()
        embeddings = np.empty((len(rows), model.head.in_features), dtype=np.float32)
        logits = np.empty((len(rows), model.head.out_features), dtype=np.float32)
        for batch in scoring_batches([len(row) for row in rows], SCORING_TOKENS):
            padded = self._tokenizer.pad([rows[position] for position in batch])
            try:
                embedded = model.embed(Batch.of(padded).to(model.device))
            except (IndexError, RuntimeError) as problem:  # of tokens that the model does not have
                shape = padded.input_ids.shape
                raise ModelError(f"the model cannot compute {shape}: {problem}") from problem
            embeddings[batch] = embedded.float().cpu().numpy()
            logits[batch] = model.logits(embedded).cpu().numpy()
            on_progress(len(batch))
        if training:
            model.train()
        return Outputs(embeddings, logits)
