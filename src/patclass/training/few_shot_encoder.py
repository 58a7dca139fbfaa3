"""The encoder of a bundle, and what it makes of a few examples and of their labels' names.

Knows one share of the bundle's adapter; which share is best is for others to find.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import islice

import numpy as np

from patclass.bundle import Bundle
from patclass.core.settings import TrainSettings
from patclass.core.types import FloatArray, Positions
from patclass.data.sources import open_source
from patclass.data.text import TextView
from patclass.engines.torch import TorchEngine
from patclass.model.network import Parts, PatentClassifier, fast_merged
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.components import Components
from patclass.predictor.head_fit import Head, Scale, fit_head, name_prior
from patclass.predictor.pipeline import Pipeline
from patclass.training.categories import Categories
from patclass.training.start import start_model

# Ways to learn that leave the encoder as it is, and take seconds.
NAMES, EMBEDDINGS, COMBINED = "names", "embeddings", "combined"
FROZEN = (COMBINED, EMBEDDINGS, NAMES)

# Texts by which it is seen where embeddings are, and how far apart.
ROWS_OF_SCALE = 20


def usual_texts() -> list[str]:
    """Some patents of all fields, from the sample."""
    source = open_source("sample")
    view = TextView.parse("auto", source.columns)
    return [view.text_of(row.fields) for row in islice(source.splits["train"](), ROWS_OF_SCALE)]


class FewShotEncoder:
    """An encoder between the base of a bundle and what the bundle has made of it."""

    def __init__(
        self,
        task: Categories,
        bundle: Bundle,
        parts: Parts,
        settings: TrainSettings,
        share: float,
        on_texts: Callable[[int], object],
    ) -> None:
        """Nothing is computed yet.

        :param share: of the adapter, 0 to 1.
        :param on_texts: called with the number of examples that were encoded.
        """
        self.task, self.share, self.tree = task, share, task.corpus.tree
        self._bundle, self._parts, self._on_texts = bundle, parts, on_texts
        self._truncation = settings.answer.truncation
        self.tokenizer = TextTokenizer.load(bundle.folder, settings.base.max_tokens)

    def model(self) -> PatentClassifier:
        """A classifier to train, whose head means nothing yet."""
        return start_model(self._bundle, self._parts, self.tree.outputs, self.share)

    @cached_property
    def engine(self) -> TorchEngine:
        """The encoder to answer with; its logits mean nothing."""
        return TorchEngine(fast_merged(self.model()), self.tokenizer)

    @property
    def pipeline(self) -> Pipeline:
        """What gives the embeddings of texts."""
        return Pipeline(self.tree, self.engine, self.tokenizer, self._truncation, Components())

    @cached_property
    def embeddings(self) -> FloatArray:
        """Embeddings of the examples, shape (rows, hidden)."""
        texts = [row.text for row in self.task.rows]
        return self.pipeline.run(texts, self._on_texts).embeddings if texts else self.names[:0]

    @cached_property
    def names(self) -> FloatArray:
        """Embeddings of the names of the labels, shape (labels, hidden)."""
        # A label without a name needs a place among them all the same.
        texts = [name or code for name, code in zip(self.task.names, self.task.codes, strict=True)]
        return self.pipeline.run(texts).embeddings

    @cached_property
    def scale(self) -> Scale:
        """That of the examples; of the sample's patents where there are hardly any."""
        if len(self.embeddings) >= ROWS_OF_SCALE:
            return Scale.of(self.embeddings)
        return Scale.of(self.pipeline.run(usual_texts()).embeddings)

    @cached_property
    def prior(self) -> FloatArray:
        """Directions of the labels by their names, shape (labels, hidden)."""
        return name_prior(self.names, [bool(name) for name in self.task.names], self.scale)

    def head(self, method: str, rows: Positions) -> Head:
        """The head that a method which leaves the encoder as it is fits on some of the rows."""
        rows = rows[:0] if method == NAMES else rows
        prior = np.zeros_like(self.prior) if method == EMBEDDINGS else self.prior
        labels = [self.task.labels[i] for i in rows]
        return fit_head(self.embeddings[rows], labels, prior, self.scale)
