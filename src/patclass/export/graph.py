"""A torch classifier as an OpenVINO graph. Knows both libraries, no bundle."""

import logging
import warnings

import openvino as ov
import torch

from patclass.engine.openvino_engine import INPUTS, LOGITS, STATES
from patclass.errors import ModelError
from patclass.model.batch import Batch
from patclass.model.classifier import PatentClassifier


class _Traced(torch.nn.Module):
    """States and logits from plain tensors, which is what a graph has."""

    def __init__(self, model: PatentClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.model.embed(Batch(input_ids, attention_mask))
        return states, self.model.head(states)


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
    for port, name in zip((*graph.inputs, *graph.outputs), (*INPUTS, STATES, LOGITS), strict=True):
        port.get_tensor().set_names({name})
    return graph
