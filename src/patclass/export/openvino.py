"""A torch classifier as an OpenVINO graph, and ways to quantise it. Knows no bundle."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nncf
import openvino as ov
import torch

from patclass.core.errors import ModelError
from patclass.engines.openvino import EMBEDDINGS, INPUTS, LOGITS
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
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing; parity is measured on the result
            graph = ov.convert_model(_Traced(model.eval()), example_input=example)
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
    """One way: its name, and how a float32 graph becomes it."""

    name: str
    make: Quantise


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


FLOAT = Scheme("float32", _as_it_is)
INT8 = (
    Scheme("int8", _everything_but(_ATTENTION)),
    Scheme(
        "int8, feed-forward outputs in float", _everything_but(_ATTENTION, *_FEED_FORWARD_OUTPUTS)
    ),
    Scheme("int8 weights", _weights_only),
    Scheme("bfloat16", _as_it_is),
)

nncf.set_log_level(logging.ERROR)
