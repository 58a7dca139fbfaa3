"""From texts to calibrated probabilities: encoding, model, linear model, calibration.

Knows texts and outputs; not files, bundles or options of a prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from patclass.core.progress import progress
from patclass.core.types import FloatArray, OnProgress, softmax
from patclass.cpc.tree import LabelTree
from patclass.engines.base import Engine, Outputs
from patclass.model.tokenizer import EncodedText, TextTokenizer, Truncation
from patclass.predictor.all_codes import AllCodes
from patclass.predictor.calibration import Calibration
from patclass.predictor.components import Components
from patclass.predictor.linear import LinearModel


@dataclass(frozen=True)
class PipelineOutputs:
    """Outputs for each text.

    :param logits: of leaves and nodes, mean over the passages; shape (texts, outputs).
    :param linear_scores: of the linear model, if there is one; shape (texts, groups).
    :param raw: leaf probabilities before calibration, shape (texts, leaves).
    :param leaves: leaf probabilities after calibration, shape (texts, leaves).
    :param nodes: probability that the patent carries each node, shape (texts, nodes).
    :param embeddings: pooled, mean over the passages; shape (texts, hidden).
    :param passages: for each text the logits of its passages, shape (passages, outputs).
    """

    encodings: list[EncodedText]
    logits: FloatArray
    linear_scores: FloatArray | None
    raw: FloatArray
    leaves: FloatArray
    nodes: FloatArray
    embeddings: FloatArray
    passages: list[FloatArray]


@dataclass(frozen=True)
class Pipeline:
    """All that turns a text into probabilities."""

    tree: LabelTree
    engine: Engine
    tokenizer: TextTokenizer
    truncation: Truncation
    components: Components

    @cached_property
    def linear(self) -> LinearModel | None:
        """The linear model on words, if there is one."""
        return self.components.get(LinearModel)

    @cached_property
    def calibration(self) -> Calibration:
        """How logits become probabilities."""
        return self.components.get(Calibration) or Calibration.none(self.tree)

    def run(
        self, texts: Sequence[str], on_progress: OnProgress = lambda rows: None
    ) -> PipelineOutputs:
        """Predict for texts, in order.

        :param on_progress: called with the number of texts that were done, for progress bars.
        """
        return self.run_encoded(texts, self.encode(texts), on_progress)

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The passages of each text, in order."""
        return self.tokenizer.encode(texts, self.truncation)

    def run_encoded(
        self,
        texts: Sequence[str],
        encodings: list[EncodedText],
        on_progress: OnProgress = lambda rows: None,
    ) -> PipelineOutputs:
        """Predict for texts that are encoded, in order."""
        rows = [passage.ids for encoding in encodings for passage in encoding.passages]
        outputs = self.engine.run(rows, _per_text(on_progress, len(texts), len(rows)))
        ends = np.cumsum([len(encoding.passages) for encoding in encodings])[:-1]
        passages = np.split(outputs.logits, ends)
        pooled = Outputs(_means(outputs.embeddings, ends), _means(outputs.logits, ends))
        linear_scores = self.linear.scores(texts) if self.linear and len(texts) else None
        count = len(self.tree.paths)
        logits = pooled.logits[:, :count]
        leaves = self.calibration.apply(self.tree, logits, linear_scores)
        return PipelineOutputs(
            encodings,
            pooled.logits,
            linear_scores,
            softmax(logits),
            leaves,
            self._nodes(pooled.logits[:, count:], leaves),
            pooled.embeddings,
            passages,
        )

    def _nodes(self, logits: FloatArray, leaves: FloatArray) -> FloatArray:
        all_codes = self.components.get(AllCodes)
        if all_codes is None:
            return self.tree.joint(_sigmoid(logits))
        return all_codes.probabilities(self.tree, logits, leaves)


def run_with_progress(pipeline: Pipeline, texts: Sequence[str], what: str) -> PipelineOutputs:
    """Predict and show the progress."""
    with progress(what, len(texts)) as bar:
        return pipeline.run(texts, bar.update)


def _means(values: FloatArray, ends: npt.NDArray[np.intp]) -> FloatArray:
    """The mean over each text's passages; most texts have one."""
    if len(ends) + 1 >= len(values):
        return values
    return np.stack([part.mean(axis=0) for part in np.split(values, ends)])


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), dtype=np.float32)


def _per_text(on_progress: OnProgress, texts: int, passages: int) -> OnProgress:
    """Progress in texts from progress in passages."""
    done = [0, 0]

    def report(more: int) -> None:
        done[0] += more
        whole = done[0] * texts // max(1, passages)
        on_progress(whole - done[1])
        done[1] = whole

    return report
