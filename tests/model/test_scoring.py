from pathlib import Path

import numpy as np
import pytest

from patclass.model import scoring
from patclass.model.scoring import score
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import TEXTS, tiny_classifier


def test_scores_keep_the_order_whatever_the_batches(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
):
    model, tokenizer = tiny_classifier(tiny_base), TextTokenizer.load(tiny_base, 64)
    texts = TEXTS * 3
    together = score(model, tokenizer, texts)
    monkeypatch.setattr(scoring, "SCORING_TOKENS", 20)
    np.testing.assert_allclose(score(model, tokenizer, texts), together, atol=1e-5)
    assert together.shape == (9, 3)


def test_scoring_advances_by_every_row_and_restores_the_mode(tiny_bert: Path):
    model = tiny_classifier(tiny_bert).train()
    seen: list[int] = []
    score(model, TextTokenizer.load(tiny_bert, 64), TEXTS, seen.append)
    assert sum(seen) == len(TEXTS)
    assert model.training
