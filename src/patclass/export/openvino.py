"""A torch classifier as an OpenVINO graph, and ways to quantise it. Knows no bundle."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import nncf
import openvino as ov
import torch
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from patclass.core.errors import ModelError
from patclass.engines.openvino import EMBEDDINGS, INPUTS, LOGITS, adds_exactly_in_int8, has_bfloat16
from patclass.model.network import Batch, PatentClassifier
from patclass.model.tokenizer import TextTokenizer


class _Traced(torch.nn.Module):
    """States and logits from plain tensors, which is what a graph has."""

    def __init__(self, model: PatentClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        embeddings = self.model.embed(Batch(input_ids, attention_mask))
        return embeddings, self.model.head(embeddings)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back: the converter calls Python from C++, where an interruption gets lost.

    It is raised at the end. Threads other than the main one are never interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before: dict[int, Any] = {
        number: signal.signal(number, lambda number, frame: held.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            _deliver(held[0], before[held[0]])


def _deliver(number: int, handler: Any) -> None:
    """Let a handler have a signal that was held back; without one, the process."""
    if callable(handler):
        handler(number, None)
    else:
        signal.raise_signal(number)


def to_graph(model: PatentClassifier) -> ov.Model:
    """The model in float32, for any number of rows of any length.

    :raises ModelError: if OpenVINO cannot convert this kind of base.
    """
    vocabulary = model.backbone.get_input_embeddings().num_embeddings
    ids = torch.arange(1, 129).view(2, 64) % min(100, vocabulary)
    mask = torch.ones_like(ids)
    mask[1, 40:] = 0  # a trace without padding could take the mask for a constant
    example = dict(zip(INPUTS, (ids, mask), strict=True))
    logging.getLogger("openvino").setLevel(logging.ERROR)
    try:
        with (
            _uninterrupted(),
            torch.inference_mode(False),
            torch.no_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of tracing; parity is measured on the result
            traced = TorchScriptPythonDecoder(
                _Traced(model.eval()),
                example_input=example,
                trace_kwargs={"check_trace": False},  # that would trace and compute all again
            )
            graph = ov.convert_model(traced, example_input=example)
    except Exception as problem:  # the converter raises exceptions of many kinds
        raise ModelError(f"OpenVINO cannot convert this model: {problem}") from problem
    for port, name in zip(
        (*graph.inputs, *graph.outputs), (*INPUTS, EMBEDDINGS, LOGITS), strict=True
    ):
        port.get_tensor().set_names({name})
    return graph


_ATTENTION = r".*scaled_dot_product_attention.*"
_FEED_FORWARD_OUTPUTS = (
    r".*layer\.\d+\.output\.dense.*",
    r".*down_proj.*",
    r".*ffn\.lin2.*",
    r".*mlp\.Wo.*",
    r".*mlp\.fc2.*",
)

Quantise = Callable[[ov.Model, nncf.Dataset, int], ov.Model]


@dataclass(frozen=True)
class Scheme:
    """One way: its name, how a float32 graph becomes it, and what of it this processor lacks.

    :param lacking: in words; empty if the processor has all that it needs.
    """

    name: str
    make: Quantise
    lacking: Callable[[], str] = lambda: ""


def calibration_set(rows: Sequence[Sequence[int]], tokenizer: TextTokenizer) -> nncf.Dataset:
    """Real texts, one at a time, for the ranges of activations."""
    batches = [dict(zip(INPUTS, tokenizer.pad([row]), strict=True)) for row in rows]
    return nncf.Dataset(batches)


def _everything_but(*patterns: str) -> Quantise:
    def quantise(graph: ov.Model, texts: nncf.Dataset, count: int) -> ov.Model:
        return nncf.quantize(
            graph,
            texts,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=count,
            ignored_scope=nncf.IgnoredScope(patterns=list(patterns), validate=False),
        )

    return quantise


def _weights_only(graph: ov.Model, texts: nncf.Dataset, count: int) -> ov.Model:
    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)


def _as_it_is(graph: ov.Model, texts: nncf.Dataset, count: int) -> ov.Model:
    return graph


def _exact_int8() -> str:
    return "" if adds_exactly_in_int8() else "this processor lacks VNNI: sums overflow"


def _bfloat16() -> str:
    return "" if has_bfloat16() else "this processor lacks bfloat16"


FLOAT = Scheme("float32", _as_it_is)
INT8 = (
    Scheme("int8", _everything_but(_ATTENTION), _exact_int8),
    Scheme(
        "int8, feed-forward outputs in float",
        _everything_but(_ATTENTION, *_FEED_FORWARD_OUTPUTS),
        _exact_int8,
    ),
    Scheme("int8 weights", _weights_only),
    Scheme("bfloat16", _as_it_is, _bfloat16),
)

nncf.set_log_level(logging.ERROR)
