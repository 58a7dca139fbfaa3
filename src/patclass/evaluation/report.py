"""A model beside its baselines, with a verdict in words. Knows figures, no model."""

import math

from pydantic import BaseModel, ConfigDict

from patclass.evaluation.metrics import Metrics


class Report(BaseModel):
    """Figures of a model and of its two baselines on the same rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str
    train_rows: int
    leaked_rows: int
    model: Metrics
    majority: Metrics
    tfidf: Metrics

    @property
    def failures(self) -> list[str]:
        """Why the model is not good enough; empty if it is."""
        reasons = []
        if self.model.accuracy <= self.tfidf.accuracy:
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
        """Whether the model is worth having."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.failures:
            return f"FAILED: the model is not worth using: {'; '.join(self.failures)}."
        gain = (self.model.accuracy - self.tfidf.accuracy) * 100
        return (
            f"passed: {self.model.accuracy:.1%} accuracy, {gain:+.1f} points against TF-IDF + "
            f"logistic regression on the same rows."
        )

    def text(self) -> str:
        """The whole report as plain text tables."""
        lines = [f"{'':24}{'accuracy':>10}{'micro F1':>10}{'macro F1':>10}{'loss':>8}"]
        for name, metrics in (
            ("model", self.model),
            ("TF-IDF + regression", self.tfidf),
            ("majority class", self.majority),
        ):
            lines.append(
                f"{name:24}{metrics.accuracy:>10.1%}{metrics.micro_f1:>10.3f}"
                f"{metrics.macro_f1:>10.3f}{metrics.loss:>8.3f}"
            )
        lines += ["", f"{'label':24}{'precision':>10}{'recall':>10}{'F1':>10}{'rows':>8}"]
        lines += [
            f"{c.code[:23]:24}{c.precision:>10.3f}{c.recall:>10.3f}{c.f1:>10.3f}{c.support:>8}"
            for c in self.model.per_class
        ]
        lines += ["", self.confusion_text(), ""]
        if self.leaked_rows:
            lines.append(f"warning: {self.leaked_rows} {self.split} texts also stand in train.")
        return "\n".join([*lines, f"{self.split}, {self.model.rows} rows: {self.verdict}"])

    def confusion_text(self) -> str:
        """The confusion matrix: a row for each true label, a column for each answer."""
        codes = [c.code for c in self.model.per_class]
        if len(codes) > 30:
            return f"confusion matrix of {len(codes)} labels: see report.json"
        width = max(5, *(len(code[:12]) + 1 for code in codes))
        cells = [
            f"{code[:12]:12}" + "".join(f"{count:>{width}}" for count in row)
            for code, row in zip(codes, self.model.confusion, strict=True)
        ]
        header = f"{'true / pred.':12}" + "".join(f"{code[:12]:>{width}}" for code in codes)
        return "\n".join([header, *cells])
