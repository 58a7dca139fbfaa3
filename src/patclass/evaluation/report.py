"""A model beside its baselines, with a verdict in words. Knows figures, no model."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from patclass.evaluation.frozen import Frozen
from patclass.evaluation.level_report import LevelReport
from patclass.evaluation.metrics import Metrics
from patclass.evaluation.tables import MAX_LABELS, classes_text, confusion_text, level_text
from patclass.evaluation.tags import TagReport


class Report(Frozen):
    """Figures of a model on one split, level by level, coarsest first.

    ``level`` is the one that the verdict is about. Its baselines were fitted and tested on
    the same rows as the model.
    """

    version: Literal[2] = 2
    split: str
    train_rows: int
    leaked_rows: int
    level: str
    levels: dict[str, LevelReport]
    tags: dict[str, TagReport] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _level_is_there(self) -> Self:
        if self.level not in self.levels:
            raise ValueError(f"no figures of level '{self.level}', only of {list(self.levels)}")
        return self

    @property
    def model(self) -> Metrics:
        """Figures of the model at the level that the verdict is about."""
        return self.levels[self.level].metrics

    @property
    def tfidf(self) -> Metrics | None:
        """Figures of the rival at that level, if it was fitted."""
        return self.levels[self.level].baselines.get("tfidf")

    @property
    def failures(self) -> list[str]:
        """Why the model is not good enough; empty if it is, or if nothing says otherwise."""
        reasons = []
        if self.tfidf is not None and self.model.accuracy <= self.tfidf.accuracy:
            reasons.append(
                f"its accuracy of {self.model.accuracy:.1%} does not beat TF-IDF + logistic "
                f"regression on the same rows ({self.tfidf.accuracy:.1%})"
            )
        chance = math.log(len(self.model.per_class))
        if not self.model.loss < chance:  # a NaN must not pass
            reasons.append(
                f"its loss of {self.model.loss:.3f} is not better than guessing ({chance:.3f})"
            )
        return reasons

    @property
    def passed(self) -> bool:
        """Whether the model is shown to be worth having."""
        return self.tfidf is not None and not self.failures

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.failures:
            return f"FAILED: the model is not worth using: {'; '.join(self.failures)}."
        if self.tfidf is None:
            return (
                f"not compared: {self.model.accuracy:.1%} accuracy, but no baseline was fitted "
                f"on the same rows."
            )
        gain = (self.model.accuracy - self.tfidf.accuracy) * 100
        return (
            f"passed: {self.model.accuracy:.1%} accuracy, {gain:+.1f} points against TF-IDF + "
            f"logistic regression on the same rows."
        )

    def text(self) -> str:
        """The whole report as plain text tables; labels one by one only if they are few."""
        parts = [level_text(level, report) for level, report in self.levels.items()]
        if len(self.model.per_class) <= MAX_LABELS:
            parts += [classes_text(self.model), confusion_text(self.model)]
        last = f"{self.split}, {self.model.rows} rows: {self.verdict}"
        if self.leaked_rows:
            last = f"warning: {self.leaked_rows} {self.split} texts also stand in train.\n" + last
        return "\n\n".join([*parts, last])
