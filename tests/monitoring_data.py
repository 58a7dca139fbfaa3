"""References and windows for tests, drawn from known distributions."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from patclass.monitoring.drift import SignalValues
from patclass.predictor.drift_reference import DriftReference, EmbeddingSpace, Vocabulary
from patclass.store.predictions import PredictionRow
from store_rows import prediction

CODES = tuple("ABCDEFGH")
# Approximately the mix of sections that offices publish.
MIX = np.array([0.16, 0.14, 0.10, 0.01, 0.04, 0.09, 0.25, 0.21])


@dataclass(frozen=True)
class Stream:
    """Live predictions with a mix of labels and a distribution of confidences."""

    mix: npt.NDArray[np.float64] = field(default_factory=MIX.copy)
    sureness: float = 6.0
    length: float = 800.0

    def draw(self, rows: int, random: np.random.Generator) -> "Draw":
        return Draw(
            labels=random.choice(len(CODES), rows, p=self.mix),
            confidences=random.beta(self.sureness, 1.5, rows),
            chars=random.lognormal(np.log(self.length), 0.4, rows),
            oov_rate=random.binomial(150, 0.004, rows) / 150,
            novelty=np.sqrt(random.chisquare(16, rows) / 16),
        )


@dataclass(frozen=True)
class Draw:
    labels: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    chars: npt.NDArray[np.float64]
    oov_rate: npt.NDArray[np.float64]
    novelty: npt.NDArray[np.float64]

    def reference(self) -> DriftReference:
        return DriftReference(
            predictions={"section": self.labels.astype(np.int32)},
            confidences={"section": self.confidences.astype(np.float32)},
            codes={"section": CODES},
            accuracy={"section": float(self.confidences.mean())},
            chars=self.chars.astype(np.float32),
            oov_rate=self.oov_rate.astype(np.float32),
            novelty=self.novelty.astype(np.float32),
            vocabulary=Vocabulary(np.zeros(0, np.uint8)),
            space=EmbeddingSpace(np.zeros(4, np.float32), np.zeros((4, 1), np.float32)),
        )

    def columns(self) -> SignalValues:
        return SignalValues(
            counts=np.bincount(self.labels, minlength=len(CODES)).astype(np.int64),
            confidences=self.confidences.astype(np.float32),
            chars=self.chars.astype(np.float32),
            oov_rate=self.oov_rate.astype(np.float32),
            novelty=self.novelty.astype(np.float32),
        )

    def rows(self) -> list[PredictionRow]:
        return [
            prediction(
                number,
                level="section",
                label=CODES[self.labels[number]],
                confidence=float(self.confidences[number]),
                levels={"section": (CODES[self.labels[number]], float(self.confidences[number]))},
                chars=int(self.chars[number]),
                oov_rate=float(self.oov_rate[number]),
                novelty=float(self.novelty[number]),
            )
            for number in range(len(self.labels))
        ]


def shifted(mix: npt.NDArray[np.float64], label: int, points: float) -> npt.NDArray[np.float64]:
    """A mix in which one label has the given number of points more, at the cost of all others."""
    rest = np.delete(mix, label)
    others = rest * (1 - mix[label] - points / 100) / rest.sum()
    return np.insert(others, label, mix[label] + points / 100)
