"""From texts to calibrated probabilities: encoding, model, linear model, calibration.

Knows texts and outputs; not files, bundles or options of an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from patclass.core.progress import progress
from patclass.core.types import Advance, FloatArray, softmax
from patclass.cpc.tree import LabelTree
from patclass.engines.base import Engine, Outputs
from patclass.model.tokenizer import EncodedText, TextTokenizer, Truncation
from patclass.predictor.calibration import Calibration
from patclass.predictor.components import Components
from patclass.predictor.linear import LinearModel


@dataclass(frozen=True)
class Answers:
    """Outputs for each text.

    :param logits: of leaves and tags, mean over the passages; shape (texts, outputs).
    :param linear_log_probs: of the linear model on the coarsest level, if there is one.
    :param raw: leaf probabilities before calibration, shape (texts, leaves).
    :param leaves: leaf probabilities after calibration, shape (texts, leaves).
    :param tags: probability of each tag, shape (texts, tags).
    :param embeddings: pooled, mean over the passages; shape (texts, hidden).
    :param passages: for each text the logits of its passages, shape (passages, outputs).
    """

    encodings: list[EncodedText]
    logits: FloatArray
    linear_log_probs: FloatArray | None
    raw: FloatArray
    leaves: FloatArray
    tags: FloatArray
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

    def run(self, texts: Sequence[str], advance: Advance = lambda rows: None) -> Answers:
        """Answer texts, in order.

        :param advance: called with the number of texts that were done, for progress bars.
        """
        return self.answer(texts, self.encode(texts), advance)

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The passages of each text, in order."""
        return self.tokenizer.encode(texts, self.truncation)

    def answer(
        self,
        texts: Sequence[str],
        encodings: list[EncodedText],
        advance: Advance = lambda rows: None,
    ) -> Answers:
        """Answer texts that are encoded, in order."""
        rows = [passage.ids for reading in encodings for passage in reading.passages]
        outputs = self.engine.run(rows, _per_text(advance, len(texts), len(rows)))
        ends = np.cumsum([len(reading.passages) for reading in encodings])[:-1]
        passages = np.split(outputs.logits, ends)
        pooled = Outputs(_means(outputs.embeddings, ends), _means(outputs.logits, ends))
        linear_log_probs = (
            self.linear.log_probabilities(texts) if self.linear and len(texts) else None
        )
        count = len(self.tree.paths)
        logits = pooled.logits[:, :count]
        return Answers(
            encodings,
            pooled.logits,
            linear_log_probs,
            softmax(logits),
            self.calibration.apply(self.tree, logits, linear_log_probs),
            _sigmoid(pooled.logits[:, count:]),
            pooled.embeddings,
            passages,
        )


def with_bar(pipeline: Pipeline, texts: Sequence[str], what: str) -> Answers:
    """Answer texts and show the progress."""
    with progress(what, len(texts)) as bar:
        return pipeline.run(texts, bar.update)


def _means(values: FloatArray, ends: npt.NDArray[np.intp]) -> FloatArray:
    """The mean over each text's passages; most texts have one."""
    if len(ends) + 1 >= len(values):
        return values
    return np.stack([part.mean(axis=0) for part in np.split(values, ends)])


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), dtype=np.float32)


def _per_text(advance: Advance, texts: int, passages: int) -> Advance:
    """Progress in texts from progress in passages."""
    done = [0, 0]

    def report(more: int) -> None:
        done[0] += more
        whole = done[0] * texts // max(1, passages)
        advance(whole - done[1])
        done[1] = whole

    return report
