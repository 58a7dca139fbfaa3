"""The object that answers. Knows a bundle and texts, no files and no servers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patclass.arrays import FloatArray, softmax
from patclass.bundle import Bundle, read_bundle
from patclass.data.rows import SURROGATE
from patclass.data.views import MAX_CHARS, TextView, clean
from patclass.errors import DataError
from patclass.model.scoring import score

Patent = str | Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One label with its probability."""

    label: str
    name: str
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one patent: the best label, and the ``k`` best in order."""

    label: str
    name: str
    confidence: float
    top: tuple[Candidate, ...]


def load(folder: str | Path = "final_model", device: str = "auto") -> "Classifier":
    """Load a bundle that answers.

    :raises BundleError: if it is incomplete, altered, or its base is not there.
    """
    return Classifier(read_bundle(Path(folder)), device)


class Classifier:
    """Answers with scikit-learn's verbs; a patent is a text or a mapping of its fields."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.labels = bundle.labels
        self.view = TextView(tuple(bundle.description.text.view.split("+")))
        self._model = bundle.load_model(device)
        self._tokenizer = bundle.load_tokenizer()

    @property
    def classes_(self) -> list[str]:
        """Label codes in the order of the columns of ``predict_proba``."""
        return self.labels.codes

    def text_of(self, patent: Patent) -> str:
        """The text that is read for a patent, before it is cut to the token limit.

        :raises DataError: if there is no text, or far too much.
        """
        text = clean(patent) if isinstance(patent, str) else self.view.text_of_patent(patent)
        if not text:
            columns = "text, title, abstract, claims or description"
            raise DataError(f"no text: expected words in {columns}.")
        if len(text) > MAX_CHARS:
            raise DataError(
                f"the text has {len(text):,} characters; at most {MAX_CHARS:,} are accepted. "
                "Give the title and the abstract, or cut it."
            )
        if SURROGATE.search(text):
            raise DataError("the text is not valid Unicode: it holds half a surrogate pair.")
        return text

    def predict_proba(
        self, patents: Sequence[Patent], advance: Callable[[int], object] = lambda rows: None
    ) -> FloatArray:
        """Probabilities, float32 of shape (patents, labels).

        :raises DataError: if a patent has no usable text.
        """
        texts = [self.text_of(patent) for patent in patents]
        return softmax(score(self._model, self._tokenizer, texts, advance))

    def predict(self, patents: Sequence[Patent]) -> list[str]:
        """The most probable label of each patent.

        :raises DataError: if a patent has no usable text.
        """
        best = self.predict_proba(patents).argmax(axis=1)
        return [self.labels[int(position)].code for position in best]

    def rank(self, patents: Sequence[Patent], k: int = 3) -> list[Prediction]:
        """The ``k`` most probable labels of each patent, with names and probabilities.

        :raises DataError: if a patent has no usable text.
        """
        return [self._prediction(row, k) for row in self.predict_proba(patents)]

    def _prediction(self, probabilities: FloatArray, k: int) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")[: max(1, k)]
        top = tuple(
            Candidate(self.labels[int(i)].code, self.labels[int(i)].name, float(probabilities[i]))
            for i in order
        )
        return Prediction(top[0].label, top[0].name, top[0].confidence, top)
