"""A classifier as a graph: its ports, any number of rows of any length, and its answers."""

import copy
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch

from patclass.engine.openvino_engine import INPUTS, LOGITS, STATES
from patclass.engine.torch_engine import TorchEngine
from patclass.errors import ModelError
from patclass.export.graph import to_graph
from patclass.model.classifier import PatentClassifier


@pytest.fixture
def graph(tuned_base: Any) -> ov.Model:
    return tuned_base.graph


def ports(graph: ov.Model) -> list[tuple[set[str], str, int]]:
    return [
        (port.names, port.element_type.get_type_name(), port.partial_shape.rank.get_length())
        for port in (*graph.inputs, *graph.outputs)
    ]


def test_its_ports_have_names_and_take_any_number_of_rows_of_any_length(graph: ov.Model):
    names = [{name} for name in (*INPUTS, STATES, LOGITS)]
    assert ports(graph) == [
        *((name, "i64", 2) for name in names[:2]),
        *((name, "f32", 2) for name in names[2:]),
    ]
    for port in graph.inputs:
        assert all(dimension.is_dynamic for dimension in port.partial_shape)
    widths = [port.partial_shape[1].get_length() for port in graph.outputs]
    assert widths == [32, 3]
    assert all(port.partial_shape[0].is_dynamic for port in graph.outputs)


@pytest.mark.parametrize("count", [1, 2, 3, 26])
def test_it_answers_as_the_model_does(tuned_base: Any, graph: ov.Model, count: int):
    rows = tuned_base.rows[-count:]
    expected = TorchEngine(tuned_base.model, tuned_base.tokenizer).run(rows)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    padded = tuned_base.tokenizer.pad(rows)
    found = compiled(dict(zip(INPUTS, padded, strict=True)))
    np.testing.assert_allclose(found[LOGITS], expected.logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[STATES], expected.states, rtol=0, atol=1e-4)


def test_the_mask_is_not_taken_for_a_constant(tuned_base: Any, graph: ov.Model):
    """What stands at masked places changes nothing; unmasked, it does."""
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ids = np.array([tuned_base.rows[0][:20]], dtype=np.int64)
    mask = np.ones_like(ids)
    mask[0, 15:] = 0
    other = np.where(mask == 1, ids, 7)
    short = compiled({"input_ids": ids[:, :15], "attention_mask": mask[:, :15]})[LOGITS]
    for masked in (ids, other):
        found = compiled({"input_ids": masked, "attention_mask": mask})[LOGITS]
        np.testing.assert_allclose(found, short, rtol=0, atol=1e-4)
    unmasked = compiled({"input_ids": ids, "attention_mask": np.ones_like(mask)})[LOGITS]
    assert np.abs(unmasked - short).max() > 1e-2


def test_the_model_is_as_it_was_afterwards(tuned_base: Any):
    before = {name: tensor.clone() for name, tensor in tuned_base.model.state_dict().items()}
    logits = tuned_base.logits()
    to_graph(tuned_base.model)
    assert before.keys() == tuned_base.model.state_dict().keys()
    for name, tensor in tuned_base.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    np.testing.assert_array_equal(tuned_base.logits(), logits)


def test_a_base_of_very_few_tokens_is_converted(tuned_bert: Any):
    """The example that is traced may only hold ids that the base knows."""
    model: PatentClassifier = copy.deepcopy(tuned_bert.model)
    model.backbone.resize_token_embeddings(7, mean_resizing=False)
    assert to_graph(model).outputs


def test_a_base_that_cannot_be_converted_is_an_error_in_words(
    tuned_bert: Any, monkeypatch: pytest.MonkeyPatch
):
    def fail(batch: object) -> torch.Tensor:
        raise NotImplementedError("a kernel of its own")

    model = copy.deepcopy(tuned_bert.model)
    monkeypatch.setattr(model, "embed", fail)
    with pytest.raises(ModelError, match=r"OpenVINO cannot convert this model: [^$]*of its own"):
        to_graph(model)
