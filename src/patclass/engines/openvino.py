"""The engine for exported models: OpenVINO on a plain CPU. Knows shapes and threads, no torch.

OpenVINO keeps memory for every shape it has seen. Lengths are therefore rounded up to steps of
32 and batches cut to powers of two, so that there are a few dozen shapes and memory stays flat.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino as ov

from patclass.core.errors import ModelError
from patclass.core.types import OnProgress
from patclass.engines.base import LIMIT, Outputs, cores
from patclass.model.tokenizer import STEP, TextTokenizer, cut_batches

GRAPH, WEIGHTS = "model.xml", "model.bin"
INPUTS = ("input_ids", "attention_mask")
EMBEDDINGS, LOGITS = "embeddings", "logits"


def core() -> ov.Core:
    """A core that leaves the signals of this thread alone.

    On processors with AMX, a core gives the thread that first uses it a stack for signals, and
    takes it away when it goes. Where the lives of two overlap, the thread is left with a stack that
    is gone, and the process dies of the next Ctrl-C or SIGTERM. Therefore it is first used in a
    thread that ends at once. (One core for all models crashes, limited to AVX2, with many models.)
    """

    def load() -> ov.Core:
        loaded = ov.Core()
        loaded.get_property("CPU", "FULL_DEVICE_NAME")
        return loaded

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(load).result()


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor; else it takes float32 instead."""
    known = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in known and LIMIT not in os.environ


@cache
def adds_exactly_in_int8() -> bool:
    """Whether products of eight bits are added up exactly on this processor.

    Without VNNI, pairs of them are added in sixteen bits, where large ones overflow: the sum ends
    at 32,767. The largest weights and activations are multiplied to see it.
    """
    rows, most, high = 64, np.float32(127), np.float32(255)
    given = ov.opset13.parameter([1, rows], np.float32)
    activations = ov.opset13.fake_quantize(given, np.float32(0), high, np.float32(0), high, 256)
    weights = ov.opset13.constant(np.full((rows, rows), most))
    weights = ov.opset13.fake_quantize(weights, -most, most, -most, most, 255)
    graph = ov.Model([ov.opset13.matmul(activations, weights, False, True)], [given])
    found = core().compile_model(graph, "CPU")(np.full((1, rows), high))[0]
    return bool(np.allclose(found, rows * most * high, rtol=0.01))


def _unpacks_odd_weights(model: ov.Model) -> bool:
    """Whether weights of eight bits meet activations in float in a shape that goes wrong.

    In bfloat16, with more streams than one, OpenVINO 2026.4 unpacks weights wrongly if a layer's
    inputs are no multiple of 64: logits are off by hundreds. Multiples, 64 to 1024, were right.
    """
    return any(
        node.get_type_name() == "Constant"
        and node.get_element_type() == ov.Type.u8
        and len(shape := node.get_output_shape(0)) == 2
        and shape[1] > 1  # else they are zero points
        and shape[1] % 64
        for node in model.get_ops()
    )


def _without_fused_gates(model: ov.Model) -> ov.Model:
    """The same graph, whose gated feed-forward blocks (Llama's and others') stay apart.

    In bfloat16 on processors with AMX, OpenVINO makes one kernel of such a block, which divides
    by half the threads of its stream. Ours have one, and dividing by zero ends the process
    (openvino issue 28550). It takes no product for a gate that is declared to broadcast nothing,
    which is true here: both factors have one shape.
    """
    model = model.clone()
    for node in model.get_ops():
        if node.get_type_name() == "Multiply" and _feeds_product(node):
            left, right = (value.get_partial_shape() for value in node.input_values())
            if left.same_scheme(right):
                node.set_attribute("auto_broadcast", "none")
    return model


def _feeds_product(node: ov.Node) -> bool:
    users = node.output(0).get_target_inputs()
    return any(user.get_node().get_type_name() == "MatMul" for user in users)


class OpenVinoEngine:
    """Runs an exported graph, one stream for each core; threads may share it."""

    def __init__(
        self, model: ov.Model, tokenizer: TextTokenizer, exact: bool, threads: int = 0
    ) -> None:
        """Compile ``model``.

        :param exact: compute in float32; else, what is not quantised is computed in bfloat16
            where the processor has it, OpenVINO is right in it and oneDNN is not limited.
        :param threads: how many to use; 0 for one for each core that is free to us.
        """
        self.streams = threads or cores()
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(self.streams),
            "INFERENCE_NUM_THREADS": str(self.streams),
        }
        if threads:
            # Other processes compute as well, and each would bind its threads to the same cores.
            settings["ENABLE_CPU_PINNING"] = "NO"
        if exact or _unpacks_odd_weights(model) or LIMIT in os.environ:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        else:
            model = _without_fused_gates(model)
        self._tokenizer = tokenizer
        self._compiled = core().compile_model(model, "CPU", settings)
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        # Twice as many as streams: while one thread reads an answer, another is computed.
        for _ in range(2 * self.streams):
            self._idle.put(self._compiled.create_infer_request())
        # One after the other: the first use of the library by two threads at once may never end.
        for _ in range(2 * self.streams):
            self._infer([[0] * STEP])

    @classmethod
    def load(
        cls, folder: Path, tokenizer: TextTokenizer, exact: bool, threads: int = 0
    ) -> "OpenVinoEngine":
        """Read a graph and its weights.

        :raises ModelError: if they cannot be read, or are no such graph.
        """
        path = folder / GRAPH
        try:
            model = ov.Core().read_model(path)  # does not use the processor
            inputs = {name for port in model.inputs for name in port.names}
            widths = {
                name: port.get_partial_shape() for port in model.outputs for name in port.names
            }
        # Also of a message of its own that quotes a damaged file and is no text.
        except (RuntimeError, UnicodeDecodeError) as problem:
            raise ModelError(f"cannot read {path} with {WEIGHTS}: {problem}") from problem
        if inputs != set(INPUTS) or not widths.keys() >= {EMBEDDINGS, LOGITS}:
            raise ModelError(f"{path} has no {EMBEDDINGS} and {LOGITS}; export it again.")
        for name in (EMBEDDINGS, LOGITS):
            if len(widths[name]) != 2 or widths[name][1].is_dynamic:
                raise ModelError(f"{path} gives {name} of no fixed width; export it again.")
        try:
            return cls(model, tokenizer, exact, threads)
        except (RuntimeError, ValueError) as problem:
            raise ModelError(f"cannot compute {path}: {problem}") from problem

    def run(
        self, rows: Sequence[Sequence[int]], on_progress: OnProgress = lambda rows: None
    ) -> Outputs:
        """States and logits of rows of token ids, in order, both float32."""
        embeddings = np.empty((len(rows), self._width(EMBEDDINGS)), dtype=np.float32)
        logits = np.empty((len(rows), self._width(LOGITS)), dtype=np.float32)

        def answer(batch: list[int]) -> int:
            found = self._infer([rows[position] for position in batch])
            embeddings[batch], logits[batch] = found.embeddings, found.logits
            return len(batch)

        batches = list(cut_batches([len(row) for row in rows]))
        if len(batches) <= 1 or self.streams == 1:
            for batch in batches:
                on_progress(answer(batch))
            return Outputs(embeddings, logits)
        with ThreadPoolExecutor(self.streams) as threads:
            for done in threads.map(answer, batches):
                on_progress(done)
        return Outputs(embeddings, logits)

    def _width(self, output: str) -> int:
        return int(self._compiled.output(output).partial_shape[1].get_length())

    def _infer(self, rows: Sequence[Sequence[int]]) -> Outputs:
        padded = self._tokenizer.pad(rows, STEP)
        request = self._idle.get()
        try:  # the library raises RuntimeError for whatever goes wrong in it
            request.infer(dict(zip(INPUTS, padded, strict=True)))
            found = Outputs(
                request.get_tensor(EMBEDDINGS).data.copy(), request.get_tensor(LOGITS).data.copy()
            )
        except RuntimeError as problem:
            raise ModelError(f"OpenVINO cannot compute {padded[0].shape}: {problem}") from problem
        finally:
            self._idle.put(request)
        # Of weights of eight bits where oneDNN is limited, it may compute nothing, in silence.
        if not len(found.embeddings) == len(found.logits) == len(rows):
            given = min(len(found.embeddings), len(found.logits))
            raise ModelError(f"OpenVINO cannot compute {padded[0].shape}: it returns {given} rows.")
        return found
