"""What all parts of the benchmark use: the model, the shared files, and how many of their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import locate
from patclass.core.types import FloatArray
from patclass.data.rows import read_rows
from patclass.data.table import Row
from patclass.inference import Classifier, load
from patclass.predictor.pipeline import Pipeline, PipelineOutputs, run_with_progress

T = TypeVar("T")

# Rows of a test file, and training rows of a baseline, with --quick.
QUICK_ROWS = 400
QUICK_TRAINING = 4_000


class MissingError(Exception):
    """A part cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Bench:
    """What is measured.

    :param model: a bundle's folder, or ``shipped``.
    :param data: the folder of the shared patents.
    :param quick: whether fewer rows, draws and steps do.
    """

    model: str
    data: Path
    quick: bool = False

    @cached_property
    def bundle(self) -> Bundle:
        """The model's files."""
        return read_bundle(locate(self.model))

    @cached_property
    def pipeline(self) -> Pipeline:
        """What computes probabilities and embeddings."""
        return self.bundle.load_pipeline()

    @cached_property
    def classifier(self) -> Classifier:
        """What answers as users see it."""
        return load(self.model)

    def path(self, name: str) -> Path:
        """A shared file.

        :raises MissingError: if it is not there.
        """
        path = self.data / name
        if not path.is_file():
            raise MissingError(f"{path} is not there; give the folder of it with --data")
        return path

    def rows(self, name: str) -> list[Row]:
        """The rows of a shared file, with ``quick`` some of them."""
        return self.some(self.all_rows(name))

    def all_rows(self, name: str) -> list[Row]:
        """All rows of a shared file, whatever ``quick`` says."""
        return list(read_rows(self.path(name)))

    def some(self, rows: Sequence[T], most: int = QUICK_ROWS) -> list[T]:
        """All rows, with ``quick`` at most so many of them: always the same ones."""
        if not self.quick or len(rows) <= most:
            return list(rows)
        drawn = np.random.default_rng(0).permutation(len(rows))[:most]
        return [rows[place] for place in np.sort(drawn).tolist()]

    def run(self, texts: Sequence[str], what: str) -> PipelineOutputs:
        """Probabilities and embeddings of texts."""
        return run_with_progress(self.pipeline, texts, what)

    def embed(self, texts: Sequence[str], what: str) -> FloatArray:
        """Embeddings of length one, shape (texts, hidden); equal texts are computed once."""
        distinct = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(distinct)}
        embeddings = unit(self.run(distinct, what).embeddings)
        return embeddings[[place[text] for text in texts]]


def unit(embeddings: FloatArray) -> FloatArray:
    """Embeddings of length one."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12), dtype=np.float32)
