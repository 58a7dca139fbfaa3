"""Ways to store weights and compute products, from the fastest to the safest.

Post-training quantisation of weights and activations with NNCF. Attention products stay in
float: they are a small part of the time. The outputs of the feed-forward blocks are the layers
whose quantisation costs most (a few of their inputs are far larger than the rest; Bondarenko et
al. 2021, arXiv:2109.12948), so the second way leaves them in float as well; the third stores
weights alone in eight bits; the last before float32 only computes in bfloat16.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nncf
import openvino as ov

from patclass.engine.openvino_engine import INPUTS
from patclass.model.tokenizer import TextTokenizer

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
