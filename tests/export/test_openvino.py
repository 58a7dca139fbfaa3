"""A classifier as a graph: its ports, dynamic shapes and logits."""

import copy
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from patclass.core.errors import ModelError
from patclass.engines.openvino import EMBEDDINGS, INPUTS, LOGITS, OpenVinoEngine, core
from patclass.engines.torch import TorchEngine
from patclass.export import openvino as schemes_module
from patclass.export.openvino import FLOAT, INT8, Scheme, calibration_set, to_graph
from patclass.model.network import PatentClassifier


@pytest.fixture
def graph(tuned_base: Any) -> ov.Model:
    return tuned_base.graph


def ports(graph: ov.Model) -> list[tuple[set[str], str, int]]:
    return [
        (port.names, port.element_type.get_type_name(), port.partial_shape.rank.get_length())
        for port in (*graph.inputs, *graph.outputs)
    ]


def test_its_ports_are_named_and_have_dynamic_shapes(graph: ov.Model):
    names = [{name} for name in (*INPUTS, EMBEDDINGS, LOGITS)]
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
def test_it_reproduces_the_logits_of_the_model(tuned_base: Any, graph: ov.Model, count: int):
    rows = tuned_base.rows[-count:]
    expected = TorchEngine(tuned_base.model, tuned_base.tokenizer).run(rows)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core().compile_model(graph, "CPU", settings)
    padded = tuned_base.tokenizer.pad(rows)
    found = compiled(dict(zip(INPUTS, padded, strict=True)))
    np.testing.assert_allclose(found[LOGITS], expected.logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[EMBEDDINGS], expected.embeddings, rtol=0, atol=1e-4)


def test_the_mask_is_not_traced_as_a_constant(tuned_base: Any, graph: ov.Model):
    """Tokens at masked positions do not change the logits; unmasked, they do."""
    compiled = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
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


def test_conversion_does_not_change_the_model(tuned_base: Any):
    before = {name: tensor.clone() for name, tensor in tuned_base.model.state_dict().items()}
    logits = tuned_base.logits()
    to_graph(tuned_base.model)
    assert before.keys() == tuned_base.model.state_dict().keys()
    for name, tensor in tuned_base.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    np.testing.assert_array_equal(tuned_base.logits(), logits)


def test_a_base_with_very_few_positions_is_converted(tuned_bert: Any):
    """The traced example may only contain ids that the base knows."""
    model: PatentClassifier = copy.deepcopy(tuned_bert.model)
    model.backbone.resize_token_embeddings(7, mean_resizing=False)
    assert to_graph(model).outputs


def test_a_base_that_cannot_be_converted_is_a_clear_error(
    tuned_bert: Any, monkeypatch: pytest.MonkeyPatch
):
    def fail(batch: object) -> torch.Tensor:
        raise NotImplementedError("a kernel of its own")

    model = copy.deepcopy(tuned_bert.model)
    monkeypatch.setattr(model, "embed", fail)
    with pytest.raises(ModelError, match=r"OpenVINO cannot convert this model: [^$]*of its own"):
        to_graph(model)


# Called by the converter. What the first raises becomes another error, what the second does, none.
@pytest.mark.parametrize(
    ("callback", "number"), [("get_op_type", signal.SIGINT), ("get_schema", signal.SIGTERM)]
)
def test_an_interruption_during_the_conversion_is_not_lost(
    tuned_bert: Any, monkeypatch: pytest.MonkeyPatch, callback: str, number: int
):
    real = getattr(TorchScriptPythonDecoder, callback)

    # A signal of the system would reach whatever else the process of the tests has loaded.
    def interrupted(*arguments: object) -> object:
        handler = signal.getsignal(number)
        assert callable(handler)
        handler(number, None)
        return real(*arguments)

    monkeypatch.setattr(TorchScriptPythonDecoder, callback, interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            to_graph(tuned_bert.model)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_a_thread_converts_without_touching_signals(tuned_bert: Any):
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(to_graph, tuned_bert.model).result().outputs


BASES = ("tuned_bert", "tuned_llama")
EIGHT_BITS, HALF = INT8[:3], INT8[3]

# The outputs of the feed-forward blocks of both bases, by their weights.
FEED_FORWARD_OUTPUTS = {
    "tuned_bert": [f"encoder.layer.{n}.output.dense" for n in range(2)],
    "tuned_llama": [f"layers.{n}.mlp.down_proj" for n in range(2)],
}

Made = Callable[[str, Scheme], ov.Model]


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> Made:
    """The graph of a base under a scheme; eight-bit graphs are created once."""
    found: dict[tuple[str, str], ov.Model] = {}

    def make(base: str, scheme: Scheme) -> ov.Model:
        tuned = request.getfixturevalue(base)
        if scheme is FLOAT or (base, scheme.name) not in found:
            texts = calibration_set(tuned.rows, tuned.tokenizer)
            found[base, scheme.name] = scheme.make(tuned.graph.clone(), texts, len(tuned.rows))
        return found[base, scheme.name]

    return make


def logits_of(graph: ov.Model, tuned: Any, exact: bool) -> np.ndarray:
    return OpenVinoEngine(graph, tuned.tokenizer, exact, threads=1).run(tuned.rows).logits


def products(graph: ov.Model) -> dict[str, bool]:
    """Every matrix product with a weight, and whether the weight is stored in eight bits."""
    found = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "MatMul":
            name = node.get_friendly_name().removeprefix("__module.model.")
            found[name.split("/")[0].removeprefix("backbone.")] = _is_int8(node.input_value(1))
    return found


def _is_int8(output: ov.Output) -> bool:
    """Follow an operand to its constant."""
    node = output.get_node()
    while node.get_type_name() != "Constant" and node.get_input_size():
        node = node.input_value(0).get_node()
    return node.get_element_type().size == 1


def rounded_inputs(graph: ov.Model, kind: str) -> list[bool]:
    """For each operation of a type, whether any operand is quantised directly before it."""
    return [
        any(value.get_node().get_type_name() == "FakeQuantize" for value in node.input_values())
        for node in graph.get_ordered_ops()
        if node.get_type_name() == kind
    ]


def test_schemes_are_ordered_from_fastest_to_safest_with_unique_names():
    assert [scheme.name for scheme in (*INT8, FLOAT)] == [
        *("int8", "int8, feed-forward outputs in float", "int8 weights", "bfloat16", "float32")
    ]


@pytest.mark.parametrize("base", BASES)
def test_float32_leaves_the_graph_unchanged(request: pytest.FixtureRequest, made: Made, base: str):
    tuned = request.getfixturevalue(base)
    found = logits_of(made(base, FLOAT), tuned, exact=True)
    np.testing.assert_allclose(found, tuned.logits(), rtol=0, atol=1e-4)
    assert not any(products(made(base, FLOAT)).values())


@pytest.mark.parametrize("base", BASES)
def test_bfloat16_changes_only_the_compute_precision(
    request: pytest.FixtureRequest, made: Made, base: str
):
    """On processors without bfloat16, it computes in float32."""
    tuned = request.getfixturevalue(base)
    graph = made(base, HALF)
    np.testing.assert_allclose(logits_of(graph, tuned, True), tuned.logits(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits_of(graph, tuned, False), tuned.logits(), rtol=0, atol=0.2)
    assert not any(products(graph).values())


@pytest.mark.parametrize("scheme", EIGHT_BITS, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("base", BASES)
def test_eight_bits_are_close_to_the_original(
    request: pytest.FixtureRequest, made: Made, base: str, scheme: Scheme
):
    tuned = request.getfixturevalue(base)
    if scheme.lacking():
        pytest.skip(f"{scheme.name} is not used here: {scheme.lacking()}")
    if scheme.name == "int8 weights":
        request.getfixturevalue("_eight_bit_weights")
    expected = tuned.logits()
    found = logits_of(made(base, scheme), tuned, exact=False)
    difference = np.abs(found - expected).max()
    alike = np.corrcoef(found.ravel(), expected.ravel())[0, 1]
    assert difference > 1e-4
    # These weights are nearly random; the remaining differences are far larger than noise.
    assert difference < 0.4
    assert alike > 0.98


def test_schemes_name_what_the_processor_lacks(monkeypatch: pytest.MonkeyPatch):
    for probe in ("adds_exactly_in_int8", "has_bfloat16"):
        monkeypatch.setattr(schemes_module, probe, lambda: False)
    vnni = "this processor lacks VNNI: sums overflow"
    assert [scheme.lacking() for scheme in (*INT8, FLOAT)] == [
        *(vnni, vnni, "", "this processor lacks bfloat16", "")
    ]
    for probe in ("adds_exactly_in_int8", "has_bfloat16"):
        monkeypatch.setattr(schemes_module, probe, lambda: True)
    assert not any(scheme.lacking() for scheme in INT8)


@pytest.mark.parametrize("scheme", EIGHT_BITS, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("base", BASES)
def test_all_matrix_products_are_in_eight_bits_except_the_named_ones(
    made: Made, base: str, scheme: Scheme
):
    plain = [name for name, small in products(made(base, scheme)).items() if not small]
    spared = FEED_FORWARD_OUTPUTS[base] if "outputs" in scheme.name else []
    assert sorted(plain) == spared
    assert len(products(made(base, scheme))) == {"tuned_bert": 13, "tuned_llama": 15}[base]


@pytest.mark.parametrize("base", BASES)
def test_activations_are_quantised_except_those_of_attention(made: Made, base: str):
    whole, spared, weights = (made(base, scheme) for scheme in EIGHT_BITS)
    assert all(rounded_inputs(whole, "MatMul"))
    assert rounded_inputs(spared, "MatMul").count(False) == 2
    assert not any(rounded_inputs(weights, "MatMul"))
    for graph in (whole, spared, weights):
        assert rounded_inputs(graph, "ScaledDotProductAttention") == [False, False]


def test_the_original_graph_is_not_modified(request: pytest.FixtureRequest, made: Made):
    """A refused scheme must not change the input of the next one."""
    tuned = request.getfixturevalue("tuned_bert")
    for scheme in EIGHT_BITS:
        made("tuned_bert", scheme)
    found = logits_of(made("tuned_bert", FLOAT), tuned, exact=True)
    np.testing.assert_allclose(found, tuned.logits(), rtol=0, atol=1e-4)


def test_calibration_texts_are_fed_one_at_a_time_without_padding(tuned_bert: Any):
    shown = list(calibration_set(tuned_bert.rows, tuned_bert.tokenizer).get_inference_data())
    assert [each["input_ids"].tolist() for each in shown] == [[row] for row in tuned_bert.rows]
    assert all(each["attention_mask"].all() for each in shown)
