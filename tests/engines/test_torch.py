from pathlib import Path

import numpy as np
import pytest

from patclass.engines import torch
from patclass.engines.torch import TorchEngine
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import TEXTS, tiny_classifier


def test_scores_keep_the_order_whatever_the_batches(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
):
    model, tokenizer = tiny_classifier(tiny_base), TextTokenizer.load(tiny_base, 64)
    rows = tokenizer.token_ids(TEXTS * 3)
    engine = TorchEngine(model, tokenizer)
    together = engine.run(rows)
    monkeypatch.setattr(torch, "SCORING_TOKENS", 20)
    apart = engine.run(rows)
    np.testing.assert_allclose(apart.logits, together.logits, atol=1e-5)
    np.testing.assert_allclose(apart.embeddings, together.embeddings, atol=1e-5)
    assert together.logits.shape == (9, 3)


def test_scoring_advances_by_every_row_and_restores_the_mode(tiny_bert: Path):
    model, tokenizer = tiny_classifier(tiny_bert).train(), TextTokenizer.load(tiny_bert, 64)
    seen: list[int] = []
    TorchEngine(model, tokenizer).run(tokenizer.token_ids(TEXTS), seen.append)
    assert sum(seen) == len(TEXTS)
    assert model.training
