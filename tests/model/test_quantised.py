"""Quantised weights for CUDA: the code is the same on a CPU but for where it computes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from patclass.core.errors import ModelError
from patclass.engines.torch import TorchEngine
from patclass.model.classifier import merged
from patclass.model.quantised import check_cuda, quantise
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import TEXTS, tiny_classifier


def test_without_cuda_the_error_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"cuda-int8.*Use openvino-int8 on a CPU"):
        check_cuda("--to cuda-int8")


def test_without_torchao_the_error_says_how_to_get_it(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
):
    import sys

    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelError, match="pip install torchao"):
        quantise(merged(tiny_classifier(tiny_bert)), "int8")


@pytest.mark.filterwarnings("default")
def test_eight_bits_answer_nearly_alike_and_leave_the_head_alone(tiny_base: Path):
    pytest.importorskip("torchao", reason="torchao is not installed")
    model = merged(tiny_classifier(tiny_base))
    tokenizer = TextTokenizer.load(tiny_base, 64)
    rows = tokenizer.encode(TEXTS)
    before = TorchEngine(model, tokenizer).run(rows).logits
    small = quantise(model, "int8")
    after = TorchEngine(small, tokenizer).run(rows).logits
    assert small.head.weight.dtype == torch.float32
    assert 0 < np.abs(after - before).max() < 0.1 * np.abs(before).max() + 0.1
