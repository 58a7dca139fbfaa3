import copy
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import Linear
from torch.nn.functional import cross_entropy

from patclass.model.fused import fused_adapter
from patclass.model.network import PatentClassifier
from tiny_parts import tiny_batch, tiny_classifier


def with_moved_adapter(
    folder: Path, precision: str = "float32", **more: object
) -> PatentClassifier:
    """A classifier whose adapter answers something, so that both of its matrices get gradients."""
    model = tiny_classifier(folder, precision, targets="all-linear", **more).train()
    torch.manual_seed(1)
    for name, parameter in model.trainable().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(
    model: PatentClassifier, folder: Path, fused: AbstractContextManager[None], mixed: bool = False
) -> dict[str, torch.Tensor]:
    """The logits of a step and the gradients of all that is trained."""
    batch = tiny_batch(folder)
    torch.manual_seed(2)
    with fused:  # the backward pass as well: checkpointing computes the layers again
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = model(batch)
        cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
    found = {name: p.grad.clone() for name, p in model.trainable().items() if p.grad is not None}
    model.zero_grad()
    return found | {"logits": logits.detach()}


def difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """The largest relative one of any tensor."""
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == each.dtype for name, each in expected.items())
    return max(float((found[name] - each).norm() / each.norm()) for name, each in expected.items())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_is_that_of_peft(tiny_base: Path, dropout: float, checkpointing: bool):
    model = with_moved_adapter(tiny_base, checkpointing=checkpointing, dropout=dropout)
    expected = gradients(model, tiny_base, nullcontext())
    layers = [layer for layer in model.backbone.modules() if type(layer) is Linear]
    with fused_adapter(model.backbone):
        assert layers
        assert all("forward" in vars(layer) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
    assert difference(gradients(model, tiny_base, fused_adapter(model.backbone)), expected) < 1e-4
    assert difference(gradients(model, tiny_base, nullcontext()), expected) == 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_in_bfloat16_it_is_as_exact_as_peft(tiny_base: Path, precision: str):
    exact = with_moved_adapter(tiny_base)
    expected = gradients(exact, tiny_base, nullcontext())
    model = with_moved_adapter(tiny_base, precision)
    mixed = precision == "float32"
    of_peft = gradients(model, tiny_base, nullcontext(), mixed)
    found = gradients(model, tiny_base, fused_adapter(model.backbone), mixed)
    assert difference(found, expected) < 1.5 * difference(of_peft, expected) + 0.01


def test_other_kinds_of_layers_are_left_as_they_are(tiny_base: Path):
    model = with_moved_adapter(tiny_base)
    expected = gradients(model, tiny_base, nullcontext())
    batch = tiny_batch(tiny_base)
    model.backbone.disable_adapter_layers()
    base_alone = model(batch).detach()
    with fused_adapter(model.backbone):
        assert model(batch).equal(base_alone)
    model.backbone.enable_adapter_layers()
    with fused_adapter(model.backbone):
        with fused_adapter(model.backbone), model.backbone.disable_adapter():
            assert model(batch).equal(base_alone)
        copied = copy.deepcopy(model)
        assert not model(batch).equal(base_alone)
    copied.backbone.disable_adapter_layers()
    assert copied(batch).equal(base_alone)
    with pytest.raises(ValueError, match="stop"), fused_adapter(model.backbone):
        raise ValueError("stop")
    assert difference(gradients(model, tiny_base, nullcontext()), expected) == 0
